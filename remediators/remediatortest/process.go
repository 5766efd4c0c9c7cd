package remediatortest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"testing"
	"time"

	"sideledger/ledger/ledgertest"
)

// A Program is a real server that tests start, as an ordinary process on loopback.
type Program struct {
	Name string   // of the executable; it has to be in the PATH, or a path itself
	Args []string // after the name
	Dir  string   // it runs here, and this is its HOME: a folder of the test's own
	Env  []string // besides PATH and HOME, which are all that it gets
	// ReadyFunc asks once whether it is ready; nil error: it is. It is asked again and again.
	ReadyFunc func(ctx context.Context) error
	Within    time.Duration        // it has to be ready by then; 0: 30 s
	As        *syscall.SysProcAttr // as whom it runs; nil: as the test. Either way it does not outlive the test's process
}

// A Process is a program that runs. Its methods are safe for concurrent use.
type Process struct {
	PID int

	cmd  *exec.Cmd
	gone chan struct{} // closed when it has ended
	log  *logBuffer
}

// Start starts a program and returns when it is ready. It ends with the test, and fails it where the program is not
// installed, ends, or is not ready in time.
func Start(t testing.TB, p Program) *Process {
	t.Helper()
	proc, err := Launch(p)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(proc.Stop)
	return proc
}

// Launch is [Start] for a server that several tests share: whoever launches it stops it, in TestMain.
func Launch(p Program) (*Process, error) {
	bin, err := exec.LookPath(p.Name)
	if err != nil {
		return nil, fmt.Errorf("%s is needed on this machine: %w", p.Name, err)
	}
	proc := &Process{cmd: exec.Command(bin, p.Args...), gone: make(chan struct{}), log: new(logBuffer)}
	proc.cmd.Dir, proc.cmd.Stdout, proc.cmd.Stderr = p.Dir, proc.log, proc.log
	proc.cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + p.Dir}, p.Env...)
	attr := syscall.SysProcAttr{}
	if p.As != nil {
		attr = *p.As
	}
	ledgertest.EndWithParent(&attr, syscall.SIGKILL)
	proc.cmd.SysProcAttr = &attr
	if err := proc.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", p.Name, err)
	}
	proc.PID = proc.cmd.Process.Pid
	go func() { _ = proc.cmd.Wait(); close(proc.gone) }()
	if err := proc.await(p); err != nil {
		proc.Kill()
		return nil, fmt.Errorf("%s %w: %s", p.Name, err, proc.Log())
	}
	return proc, nil
}

func (proc *Process) await(p Program) error {
	within := p.Within
	if within == 0 {
		within = 30 * time.Second
	}
	late := time.After(within)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		if ready(p.ReadyFunc) {
			return nil
		}
		select {
		case <-proc.gone:
			return errors.New("ended before it was ready")
		case <-late:
			return fmt.Errorf("is not ready within %s", within)
		case <-tick.C:
		}
	}
}

func ready(askFunc func(context.Context) error) bool {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	return askFunc(ctx) == nil
}

// Stop interrupts the process and waits for its end; one that does not end is killed.
func (proc *Process) Stop() {
	_ = proc.cmd.Process.Signal(os.Interrupt)
	select {
	case <-proc.gone:
	case <-time.After(10 * time.Second):
		proc.Kill()
	}
}

// Kill ends the process as a power cut does, and waits for its end.
func (proc *Process) Kill() {
	_ = proc.cmd.Process.Kill()
	<-proc.gone
}

// Log returns what it has printed so far.
func (proc *Process) Log() string { return proc.log.String() }

// Answers is a ReadyFunc: a GET of this address answers 200.
func Answers(url string) func(context.Context) error {
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	return func(ctx context.Context) error {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return err
		}
		resp, err := client.Do(req)
		if err != nil {
			return err
		}
		if err := resp.Body.Close(); err != nil {
			return err
		}
		if resp.StatusCode != http.StatusOK {
			return fmt.Errorf("it answers %d", resp.StatusCode)
		}
		return nil
	}
}

// FreeAddress returns an address of loopback, HOST:PORT, that was free a moment ago.
func FreeAddress(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// A logBuffer takes what a process prints while others read it.
type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
