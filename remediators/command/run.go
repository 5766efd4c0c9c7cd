package command

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"strings"
	"syscall"
	"time"
	"unicode"

	"sideledger/ledger"
	"sideledger/remediators"
)

// grace is how long pipes may stay open after a command has ended or was killed.
const grace = 2 * time.Second

// input is the document that a command reads. Raw parts keep their bytes.
func input(op string, e *ledger.Entry, rec recipe, seen ledger.Look) json.RawMessage {
	doc := struct {
		Op        string          `json:"op"`
		ID        string          `json:"id"`
		System    string          `json:"system"`
		Kind      string          `json:"kind"`
		Action    ledger.Action   `json:"action"`
		Resource  json.RawMessage `json:"resource,omitempty"`
		Before    json.RawMessage `json:"before,omitempty"`
		After     json.RawMessage `json:"after,omitempty"`
		Args      json.RawMessage `json:"args,omitempty"`
		Now       json.RawMessage `json:"now,omitempty"`
		Validator string          `json:"validator,omitempty"`
	}{
		Op: op, ID: e.ID.String(), System: e.System, Kind: e.Kind, Action: e.Action, Resource: e.Where(),
		Before: e.Before.JSON, After: e.After.JSON, Args: rec.args, Now: seen.Now.JSON, Validator: seen.Validator,
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(doc); err != nil {
		return json.RawMessage("{}") // the parts were checked to be JSON at the edge
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

// output is how a command ended by itself.
type output struct {
	status  int
	stdout  []byte
	secrets []ledger.Secret // values of the variables it was given; cut out of its detail
}

// run starts a command in a process group of its own and waits for it. The error is a
// [ledger.CallError]: CallNotSent if it could not be started, CallAmbiguous if it had to be killed.
func (r *Remediator) run(ctx context.Context, c remediators.CommandConfig, argv []string, stdin []byte, changing bool) (output, error) {
	leave, err := r.lane.Enter(ctx, changing)
	if err != nil {
		return output{}, err
	}
	result := remediators.ResultNothing
	defer func() { leave(result) }()
	limit := c.Timeout
	if !changing {
		limit = c.ReadTimeout
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	env, secrets := r.environment(c)
	cmd := exec.CommandContext(ctx, r.find(argv[0]), argv[1:]...) //nolint:gosec // argv stands in the server's configuration
	cmd.Args[0] = argv[0]
	cmd.Env, cmd.Dir = env, "/"
	cmd.Stdin = bytes.NewReader(stdin)
	stdout := &capped{room: maxOutput, full: cancel}
	cmd.Stdout, cmd.Stderr = stdout, io.Discard
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = grace
	if err := cmd.Start(); err != nil {
		return output{}, &ledger.CallError{Class: ledger.CallNotSent, Detail: "the command could not be started"}
	}
	remediators.LimitMemory(cmd.Process.Pid, c.MemoryMiB)
	err = cmd.Wait()
	if errors.Is(err, exec.ErrWaitDelay) { // a child of it still holds the pipe, so the group is still there
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
	}
	var exit *exec.ExitError
	switch {
	case stdout.over:
		return output{}, &ledger.CallError{Class: ledger.CallAmbiguous, Detail: "the command printed more than 1 MiB and was killed"}
	case ctx.Err() != nil:
		return output{}, &ledger.CallError{Class: ledger.CallAmbiguous, Detail: "the command did not end in time and was killed", Err: ctx.Err()}
	case err != nil && !errors.As(err, &exit) && !errors.Is(err, exec.ErrWaitDelay):
		return output{}, &ledger.CallError{Class: ledger.CallAmbiguous, Detail: "nobody knows how the command ended"}
	case exit != nil && exit.ExitCode() < 0:
		return output{}, &ledger.CallError{Class: ledger.CallAmbiguous, Detail: "the command was ended by a signal"}
	}
	result = remediators.ResultAnswered
	return output{status: cmd.ProcessState.ExitCode(), stdout: stdout.buf.Bytes(), secrets: secrets}, nil
}

// find looks a bare name up in the PATH that the command itself will have.
func (r *Remediator) find(name string) string {
	if strings.HasPrefix(name, "/") {
		return name
	}
	for dir := range strings.SplitSeq(r.getenv("PATH"), ":") {
		if !strings.HasPrefix(dir, "/") {
			continue
		}
		if p, err := exec.LookPath(dir + "/" + name); err == nil {
			return p
		}
	}
	return "/nonexistent/" + name
}

// environment is PATH and what the configuration names, nothing else.
func (r *Remediator) environment(c remediators.CommandConfig) (env []string, secrets []ledger.Secret) {
	env = []string{"PATH=" + r.getenv("PATH")}
	for _, name := range c.Env {
		if v := r.getenv(name); v != "" {
			env = append(env, name+"="+v)
			secrets = append(secrets, ledger.NewSecret(v))
		}
	}
	return env, secrets
}

// capped keeps what is printed up to a limit; over it, it ends the command.
type capped struct {
	buf  bytes.Buffer
	room int
	full func()
	over bool
}

func (c *capped) Write(p []byte) (int, error) {
	if c.buf.Len()+len(p) > c.room {
		c.over = true
		c.full()
		return 0, errors.New("too much output")
	}
	return c.buf.Write(p)
}

// answer reads exit status and document.
func (o output) answer() ledger.Answer {
	var doc struct {
		Result string `json:"result"`
		Detail string `json:"detail"`
	}
	broken := len(bytes.TrimSpace(o.stdout)) > 0 && strict(o.stdout, &doc) != nil
	class, known := map[string]ledger.AnswerClass{
		"": ledger.AnswerAccepted, "undone": ledger.AnswerAccepted, "already": ledger.AnswerGone,
		"conflict": ledger.AnswerConflict, "retry": ledger.AnswerRetry, "refused": ledger.AnswerRefused,
	}[doc.Result]
	byStatus := map[int]ledger.AnswerClass{
		10: ledger.AnswerGone, 11: ledger.AnswerConflict, 12: ledger.AnswerRefused, 75: ledger.AnswerRetry,
	}
	a := ledger.Answer{Class: class, Detail: o.clean(doc.Detail)}
	switch {
	case o.status != 0 && byStatus[o.status] == "":
		a.Class, a.Detail = ledger.AnswerFailed, "the command failed"
	case o.status != 0:
		a.Class = byStatus[o.status]
	case broken || !known:
		a.Class, a.Detail = ledger.AnswerFailed, "the command printed what is not its document"
	}
	return a
}

// clean makes a command's sentence fit to be shown: one short line, without the values it was given.
func (o output) clean(s string) string {
	for _, secret := range o.secrets {
		if len(secret.Reveal()) >= 4 { // shorter ones stand in any sentence
			s = strings.ReplaceAll(s, secret.Reveal(), secret.String())
		}
	}
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, s)
	if runes := []rune(s); len(runes) > 200 {
		s = string(runes[:200]) + "…"
	}
	return strings.TrimSpace(s)
}

// strict reads one JSON document, no more and no other members.
func strict(raw []byte, into any) error {
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.DisallowUnknownFields()
	if err := dec.Decode(into); err != nil {
		return err
	}
	if dec.More() {
		return errors.New("more than one document")
	}
	return nil
}

func compact(raw json.RawMessage) json.RawMessage {
	var b bytes.Buffer
	if json.Compact(&b, raw) != nil {
		return raw
	}
	return b.Bytes()
}
