package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"sideledger/api/client"
	"sideledger/api/wire"
)

// Exit statuses of calls that the server makes: those of curl.
const (
	curlRefused  = 2  // it cannot be carried, or the ledger refuses it; nothing was sent
	curlConnect  = 7  // nothing was sent
	curlPartial  = 18 // the body is not whole
	curlStatus   = 22 // the third party answered 400 or more
	curlWrite    = 23 // the answer could not be written
	curlRead     = 26 // a file of the call could not be read
	curlTimeout  = 28 // no answer in time
	curlRedirect = 47 // redirects are never followed
	curlNothing  = 52 // no answer: nobody knows
)

const callExits = `Exit status:
    0  the third party answered below 400
    1  error (usage included), or the ledger refused the call; nothing was sent
    4  not authenticated, or not allowed; nothing was sent
    7  the third party could not be reached, or a rollback has begun; nothing was sent, and the entry, if there is one, is void
   18  the answer is not whole; the entry says what became of the effect
   22  the third party answered 400 or more
   28  no answer in time: the entry is in doubt, and a rollback finds out by looking
   52  no answer: likewise`

type doOptions struct {
	entryFlags

	headers []string
	data    string
	names   []string
	timeout time.Duration
	verbose bool
}

// AddFlags adds the flags to a command.
func (o *doOptions) AddFlags(cmd *cobra.Command) {
	o.entryFlags.AddFlags(cmd)
	f := cmd.Flags()
	for _, name := range notForDo {
		_ = f.MarkHidden(name)
	}
	f.StringArrayVarP(&o.headers, "header", "H", nil, "header of the call, as `'NAME: VALUE'` (repeatable); the credential is the system's own")
	f.StringVarP(&o.data, "data", "d", "", "`BODY` of the call, @FILE, or @- for stdin")
	f.StringArrayVar(&o.names, "name", nil, "where the answer names what was made: `MEMBER=POINTER`, as in id=/hook/id (repeatable)")
	f.DurationVar(&o.timeout, "timeout", 2*time.Minute, "how long to wait for the answer")
	f.BoolVarP(&o.verbose, "verbose", "v", false, "say on stderr what is recorded")
}

func newDo(a *app) *cobra.Command {
	o := new(doOptions)
	cmd := &cobra.Command{
		Use:   "do [entry flags] METHOD PATH",
		Short: "Have the server make a call at a system, and record it",
		Long: strings.TrimSpace(`
The server records the intent with the before-image, makes the call once with the system's own credential, takes the
after-image and reports what became of it. PATH stands below the system's address. The third party's answer is
printed. What the system's profile knows of the call need not be said: kind, action, resource, undo. The call is made
only if the system's configuration lists it under effects. GET and HEAD are made without an entry.

A call that certainly did nothing leaves a void entry. One whose answer was lost leaves an entry in doubt. Asked again
with the same --id it makes no second call.`) + "\n\n" + callExits,
		Example: `  rollback do --system edge PATCH /id/shop -d @route.json
  rollback do --system edge DELETE /id/old
  rollback do --system shop --kind http.request --action create --resource '{}' --name id=/id \
      --undo @undo.json --read @read.json POST /hooks -d @hook.json`,
		RunE: func(cmd *cobra.Command, args []string) error { return a.runDo(cmd.Context(), cmd, o, args) },
	}
	o.AddFlags(cmd)
	completeWindows(a, cmd)
	return cmd
}

func (a *app) runDo(ctx context.Context, cmd *cobra.Command, o *doOptions, args []string) error {
	r, window, err := o.request(a, cmd, args)
	if err != nil {
		return err
	}
	c, err := a.server()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, o.timeout, &exit{status: curlTimeout, err: fmt.Errorf(
		"no answer within %s: the ledger goes on, and entry %s says what becomes of it", o.timeout, r.Entry.ID)})
	defer cancel()
	e, err := c.Effect(ctx, window, r, o.timeout)
	if err != nil {
		return lostEffect(ctx, err, r.Entry.ID)
	}
	a.warn(e.Entry)
	a.sayEffect(e, o.verbose)
	if err := a.showEffect(e); err != nil {
		return err
	}
	return exitWith(statusOfEffect(e))
}

// request reads the call and what is said of its entry.
func (o *doOptions) request(a *app, cmd *cobra.Command, args []string) (r wire.EffectRequest, window string, err error) {
	if err := o.check(cmd, args); err != nil {
		return r, "", err
	}
	if window, err = a.windowOr(o.window, cmd.Flags().Changed("window")); err != nil {
		return r, "", err
	}
	in := &inputs{stdin: a.stdin}
	d, err := o.readLoose(cmd, in)
	if err != nil {
		return r, "", err
	}
	r.Entry = effectEntry(&d)
	r.Call = wire.EffectCall{Method: args[0], Path: args[1]}
	if r.Call.Headers, err = readHeaders(o.headers); err != nil {
		return r, "", err
	}
	if r.Call.Names, err = readNames(o.names); err != nil {
		return r, "", err
	}
	if !cmd.Flags().Changed("data") {
		return r, window, nil
	}
	body, err := readData(a.stdin, o.data, in.read != "")
	if err != nil {
		return r, "", err
	}
	putBody(&r.Call, body)
	if _, said := r.Call.Headers["Content-Type"]; !said {
		r.Call.Headers["Content-Type"] = "application/json"
	}
	return r, window, nil
}

// check holds the command line to what a call needs and takes.
func (o *doOptions) check(cmd *cobra.Command, args []string) error {
	if len(args) != 2 || !strings.HasPrefix(args[1], "/") {
		return fmt.Errorf("want METHOD and PATH, as in PATCH /id/shop\nsee `%s --help`", cmd.CommandPath())
	}
	for _, name := range notForDo {
		if cmd.Flags().Changed(name) {
			return fmt.Errorf("--%s is not for `do`: the server makes the call and takes the images", name)
		}
	}
	if o.draft.System == "" {
		return errors.New("--system is required: the third party, as the server knows it")
	}
	return nil
}

// notForDo are entry flags about what the server does itself.
var notForDo = []string{"after", "capture", "state"}

func effectEntry(d *wire.EntryDraft) wire.EffectEntry {
	return wire.EffectEntry{
		ID: d.ID, System: d.System, Kind: d.Kind, Action: d.Action, Resource: d.Resource, Before: d.Before,
		Undo: d.Undo, Read: d.Read, Guard: d.Guard, Async: d.Async, Verify: d.Verify,
		PerformWithin: d.PerformWithin, OnRollback: d.OnRollback, DependsOn: d.DependsOn,
		Owned: d.Owned, Masked: d.Masked, Volatile: d.Volatile, Unordered: d.Unordered, Secret: d.Secret,
		Reversible: d.Reversible, Tag: d.Tag, Note: d.Note, Source: d.Source, BeforeRestore: d.BeforeRestore,
	}
}

func putBody(c *wire.EffectCall, body []byte) {
	if utf8.Valid(body) {
		text := string(body)
		c.Body = &text
		return
	}
	c.Bytes = body
}

func readHeaders(list []string) (map[string]string, error) {
	out := map[string]string{}
	for _, h := range list {
		name, value, ok := strings.Cut(h, ":")
		if !ok || strings.TrimSpace(name) == "" {
			return nil, errors.New("-H takes 'NAME: VALUE'")
		}
		out[canonicalHeader(name)] = strings.TrimSpace(value)
	}
	return out, nil
}

func readNames(list []string) (map[string]string, error) {
	var out map[string]string
	for _, n := range list {
		name, pointer, ok := strings.Cut(n, "=")
		if !ok || name == "" || !strings.HasPrefix(pointer, "/") {
			return nil, errors.New("--name takes MEMBER=POINTER, as in id=/hook/id")
		}
		if out == nil {
			out = map[string]string{}
		}
		out[name] = pointer
	}
	return out, nil
}

// readData reads a body that stands on the command line, in a file, or on stdin.
func readData(stdin io.Reader, value string, taken bool) ([]byte, error) {
	name, file := strings.CutPrefix(value, "@")
	switch {
	case !file:
		return []byte(value), nil
	case name == "-" && taken:
		return nil, errors.New("--data and another flag cannot both be read from stdin")
	case name == "-":
		return readAll(stdin)
	default:
		return readWhole(name)
	}
}

// lostEffect says what is known of a call whose outcome the ledger did not answer.
func lostEffect(ctx context.Context, err error, entry string) error {
	var own *exit
	if errors.As(context.Cause(ctx), &own) {
		return own
	}
	if client.Refused(err) {
		return fmt.Errorf("nothing was sent: %w", err)
	}
	return &exit{status: curlNothing, err: fmt.Errorf(
		"the ledger did not answer, so nobody here knows whether the call was made; entry %s says it, if there is one: %w", entry, err)}
}

// sayEffect says what is unusual about what became of a call.
func (a *app) sayEffect(e *wire.Effect, verbose bool) {
	switch {
	case e.Entry == nil && e.Failure != "":
		a.say("%s: %s", e.Failure, e.Detail)
	case e.Entry == nil:
	case e.Outcome != "applied" || e.Detail != "" || verbose:
		said := fmt.Sprintf("entry %s (%s %s) is %s", e.Entry.ID, e.Entry.System, e.Entry.Kind, strings.ReplaceAll(e.Outcome, "_", " "))
		if e.Detail != "" {
			said += ": " + e.Detail
		}
		a.say("%s", said)
	}
}

// statusOfEffect maps what became of a call to an exit status.
func statusOfEffect(e *wire.Effect) int {
	switch {
	case e.Answer == nil:
		return statusOfFailure(e)
	case e.Answer.Status >= 400:
		return curlStatus
	case e.Answer.Broken != "":
		return curlPartial
	default:
		return exitDone
	}
}

func statusOfFailure(e *wire.Effect) int {
	switch {
	case e.Failure == "timeout":
		return curlTimeout
	case e.Failure == "not_sent", e.Failure == "away", e.Failure == "denied", e.Failure == "fenced":
		return curlConnect
	case e.Outcome == "replayed" && e.Entry.State == "applied":
		return exitDone
	default:
		return curlNothing
	}
}

// showEffect prints the answer's body as it came, or all of it.
func (a *app) showEffect(e *wire.Effect) error {
	if a.output != formatText {
		v := view{value: e}
		if e.Entry != nil {
			v.names = []string{e.Entry.ID}
		}
		return a.show(v)
	}
	if _, err := a.stdout.Write(bodyOf(e.Answer)); err != nil {
		return fmt.Errorf("write to stdout: %w", err)
	}
	return nil
}

func bodyOf(answer *wire.EffectAnswer) []byte {
	switch {
	case answer == nil:
		return nil
	case answer.Body != nil:
		return []byte(*answer.Body)
	default:
		return answer.Bytes
	}
}
