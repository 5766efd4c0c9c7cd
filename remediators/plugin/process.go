package plugin

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"

	"sideledger/ledger"
	"sideledger/remediators"
)

// The limits of what a plugin says.
const (
	maxLine   = 1 << 20 // of one line, its end included
	maxStderr = 4 << 10 // of which the last is kept
	grace     = 2 * time.Second
)

const itEnded = "it ended"

// A breakdown is what a plugin did wrong, or that it is not there. Its process is of no use any more.
type breakdown struct{ why string }

func (b *breakdown) Error() string { return b.why }

func broke(format string, args ...any) error { return &breakdown{fmt.Sprintf(format, args...)} }

// A process is one running plugin. It serves one call at a time.
type process struct {
	protocol int // that it speaks; 0 before its greeting
	pid      int
	in       *os.File // of the server's ends
	out      *os.File
	lines    *bufio.Reader
	stderr   *tail
	limit    time.Duration // for each line
	ended    chan struct{}
	last     int64 // id of the newest call
	asked    bool  // it was told something that it has to say something to, and has not yet
}

// start runs the pinned executable. An error of another kind than breakdown means that it must not be run.
func start(c remediators.PluginConfig) (*process, error) {
	image, err := sealedCopy(c.Path, c.SHA256)
	if err != nil {
		return nil, err
	}
	defer image.Close()
	launcher, err := self()
	if err != nil {
		return nil, fmt.Errorf("find the launcher: %w", err)
	}
	childIn, in, err := os.Pipe()
	if err != nil {
		return nil, broke("no pipe to it could be made")
	}
	out, childOut, err := os.Pipe()
	if err != nil {
		_, _ = childIn.Close(), in.Close()
		return nil, broke("no pipe to it could be made")
	}
	p := &process{in: in, out: out, lines: bufio.NewReaderSize(out, maxLine), stderr: &tail{}, limit: c.Timeout, ended: make(chan struct{})}
	cmd := &exec.Cmd{
		Path: launcher, Args: launching{memoryMiB: c.MemoryMiB, confined: !c.Unconfined, folders: c.Folders}.argv(),
		Env: []string{}, Dir: "/", Stdin: childIn, Stdout: childOut, Stderr: p.stderr, ExtraFiles: []*os.File{image},
		SysProcAttr: &syscall.SysProcAttr{Setpgid: true}, WaitDelay: grace,
	}
	started := make(chan error)
	go p.attend(cmd, started)
	err = <-started
	_, _ = childIn.Close(), childOut.Close()
	if err != nil {
		_, _ = in.Close(), out.Close()
		return nil, broke("it could not be started")
	}
	return p, nil
}

// attend starts the process and waits for its end. It keeps its thread to itself: the process dies with the thread
// that started it.
func (p *process) attend(cmd *exec.Cmd, started chan<- error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	err := cmd.Start()
	if err != nil {
		started <- err
		return
	}
	p.pid = cmd.Process.Pid
	started <- nil
	endGroup(p.pid)
	_ = cmd.Wait()
	close(p.ended)
}

// greet exchanges versions and asks what the plugin serves.
func (p *process) greet(ctx context.Context) (name string, about *Description, err error) {
	if err := p.send(ctx, greeting{Protocol: Protocol, Name: "sideledger"}); err != nil {
		return "", nil, err
	}
	line, err := p.receive(ctx)
	if err != nil {
		return "", nil, p.unborn(err)
	}
	var g greeting
	switch {
	case strict(line, &g) != nil || !pluginName.MatchString(g.Name):
		return "", nil, broke("its first line is no greeting")
	case g.Protocol < Protocol || g.Protocol > protocolNewest:
		return "", nil, broke("it speaks version %d of the protocol, this server speaks %d to %d", g.Protocol, Protocol, protocolNewest)
	}
	p.protocol = g.Protocol
	s, err := p.ask(ctx, message{ID: p.id(), Call: callDescribe})
	switch {
	case err != nil:
		return "", nil, err
	case s.Describe == nil:
		return "", nil, broke("it does not describe itself")
	}
	return g.Name, s.Describe, s.Describe.validate()
}

// unborn adds what the launcher said, where it could not make the plugin of itself.
func (p *process) unborn(err error) error {
	var bad *breakdown
	if !errors.As(err, &bad) || bad.why != itEnded {
		return err
	}
	p.kill()
	if said, ok := strings.CutPrefix(p.stderr.String(), LaunchArg+": "); ok {
		return broke("%s", clean(said, maxDetail))
	}
	return err
}

// id numbers the calls of a process.
func (p *process) id() int64 {
	p.last++
	return p.last
}

// ask says something and returns what the plugin says to it: one member, under the same id.
func (p *process) ask(ctx context.Context, m message) (*said, error) {
	p.asked = true
	if err := p.send(ctx, m); err != nil {
		return nil, err
	}
	line, err := p.receive(ctx)
	if err != nil {
		return nil, err
	}
	p.asked = false
	out := new(said)
	if err := strict(line, out); err != nil || out.ID != m.ID || out.members() != 1 {
		return nil, broke("what it said is no message of the protocol")
	}
	return out, nil
}

// alive reports whether the process still runs.
func (p *process) alive() bool {
	select {
	case <-p.ended:
		return false
	default:
		return true
	}
}

// kill ends the process and its group, and returns when it is gone.
func (p *process) kill() {
	if p.alive() {
		_ = syscall.Kill(-p.pid, syscall.SIGKILL)
	}
	<-p.ended
	_, _ = p.in.Close(), p.out.Close()
}

// send writes one line. The error is a breakdown, or the end of ctx.
func (p *process) send(ctx context.Context, message any) error {
	line, err := encode(message)
	if err != nil {
		return fmt.Errorf("encode a message: %w", err)
	}
	_ = p.in.SetWriteDeadline(time.Now().Add(p.limit))
	stop := context.AfterFunc(ctx, func() { _ = p.in.SetWriteDeadline(time.Unix(1, 0)) })
	defer stop()
	if _, err := p.in.Write(append(line, '\n')); err != nil {
		return p.why(ctx, err, "it did not read what it was told")
	}
	return nil
}

// receive reads one line. The error is a breakdown, or the end of ctx. The line is good until the next.
func (p *process) receive(ctx context.Context) ([]byte, error) {
	_ = p.out.SetReadDeadline(time.Now().Add(p.limit))
	stop := context.AfterFunc(ctx, func() { _ = p.out.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	line, err := p.lines.ReadSlice('\n')
	switch {
	case errors.Is(err, bufio.ErrBufferFull):
		return nil, broke("it printed a line longer than 1 MiB")
	case err != nil:
		return nil, p.why(ctx, err, "it said nothing within "+p.limit.String())
	}
	return line, nil
}

func (p *process) why(ctx context.Context, err error, late string) error {
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, os.ErrDeadlineExceeded):
		return broke("%s", late)
	default:
		return broke(itEnded)
	}
}

// tail keeps the last of what is written to it.
type tail struct {
	mu   sync.Mutex
	kept []byte
}

var _ io.Writer = (*tail)(nil)

func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.kept = append(t.kept, b...)
	if over := len(t.kept) - maxStderr; over > 0 {
		t.kept = append(t.kept[:0], t.kept[over:]...)
	}
	return len(b), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.kept)
}

// interrupted is the error of a call whose caller did not wait for its end.
func interrupted(err error) *ledger.CallError {
	return &ledger.CallError{Class: ledger.CallNotSent, Detail: "given up before the plugin had said what to send", Err: err}
}
