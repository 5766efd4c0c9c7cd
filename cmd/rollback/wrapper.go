package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"sideledger/api/wire"
)

// A wrapper runs a command between the intent and the outcome of its effect.
type wrapper struct {
	app     *app
	rec     recorder
	draft   wire.EntryDraft
	takes   []take
	argv    []string
	verbose bool
	warned  []string // what was said when the intent was recorded: it is not said twice
}

// passedOn are the signals that the command gets. SIGPIPE is caught and not passed on: whoever loses the
// reader of its output gets it anyway, and this command has an outcome to report.
var passedOn = []os.Signal{
	syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT, syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGWINCH,
}

func (w *wrapper) run(ctx context.Context) error {
	signals := make(chan os.Signal, 16)
	signal.Notify(signals, passedOn...)
	defer signal.Stop(signals)
	pipes := make(chan os.Signal, 1)
	signal.Notify(pipes, syscall.SIGPIPE)
	defer signal.Stop(pipes)

	e, err := w.rec.record(ctx, w.draft)
	if err != nil {
		return fmt.Errorf("the command was not run: %w", err)
	}
	w.app.warn(e)
	if e != nil {
		w.warned = e.Warnings
	}
	if w.verbose {
		w.app.say("entry %s is intended", w.draft.ID)
	}
	after := context.WithoutCancel(ctx)
	if ctx.Err() != nil {
		w.void(after, "interrupted before the command was started")
		return &exit{status: exitInterrupted, err: errors.New("interrupted; the command was not run")}
	}
	output := &tee{out: w.app.stdout}
	cmd := w.command(output)
	if err := cmd.Start(); err != nil {
		w.void(after, "the command could not be started")
		return &exit{status: exitNotStarted, err: fmt.Errorf("the command could not be started, and the entry is void: %w", err)}
	}
	err = w.wait(after, cmd, signals)
	return w.outcome(after, cmd, output, err)
}

// command prepares the command. Without --take it has the very streams of this one.
func (w *wrapper) command(output *tee) *exec.Cmd {
	cmd := exec.Command(w.argv[0], w.argv[1:]...) //nolint:gosec // to run it is what was asked for
	cmd.Stdin, cmd.Stdout, cmd.Stderr = w.app.stdin, w.app.stdout, w.app.stderr
	if len(w.takes) > 0 {
		cmd.Stdout = output
	}
	cmd.Env = withoutToken(os.Environ())
	return cmd
}

// withoutToken leaves the ledger's token out of an environment.
func withoutToken(env []string) []string {
	var out []string
	for _, v := range env {
		if !strings.HasPrefix(v, "ROLLBACK_TOKEN") {
			out = append(out, v)
		}
	}
	return out
}

// wait passes signals on and renews the intent until the command ends.
func (w *wrapper) wait(ctx context.Context, cmd *exec.Cmd, signals <-chan os.Signal) error {
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	renewing, stop := context.WithCancel(ctx)
	defer stop()
	go w.renew(renewing)
	for {
		select {
		case err := <-done:
			return err
		case s := <-signals:
			if sentByTerminal(s) {
				continue
			}
			// The only error is that the command has ended, which the other case tells.
			_ = cmd.Process.Signal(s)
		}
	}
}

// sentByTerminal reports whether a terminal sends this signal to the command as well: then passing it on
// would send it twice.
func sentByTerminal(s os.Signal) bool {
	if s != syscall.SIGINT && s != syscall.SIGQUIT && s != syscall.SIGWINCH {
		return false
	}
	tty, err := os.Open("/dev/tty")
	if err != nil {
		return false
	}
	defer tty.Close()
	group, err := unix.IoctlGetInt(int(tty.Fd()), unix.TIOCGPGRP)
	return err == nil && group == unix.Getpgrp()
}

// renew renews the intent at half of its time, until the context ends.
func (w *wrapper) renew(ctx context.Context) {
	half := max(within(&w.draft)/2, time.Millisecond)
	for w.app.pause(ctx, half) == nil {
		err := w.rec.renew(ctx, w.draft.ID)
		switch {
		case err == nil, ctx.Err() != nil:
		case statusIs(err, http.StatusConflict):
			w.app.say("entry %s can no longer be renewed, and the command still runs: %v", w.draft.ID, err)
			return
		default:
			w.app.say("entry %s could not be renewed: %v", w.draft.ID, err)
		}
	}
}

// outcome reports what became of the command, and returns its own status.
func (w *wrapper) outcome(ctx context.Context, cmd *exec.Cmd, output *tee, waited error) error {
	status := commandStatus(cmd.ProcessState)
	if status != 0 {
		w.app.say("the command ended with status %d, so nobody knows whether its effect is there: entry %s stays intended.\n"+
			"If you know, say it: `rollback applied %s` or `rollback void %s`", status, w.draft.ID, w.draft.ID, w.draft.ID)
		return exitWith(status)
	}
	if waited != nil {
		w.app.say("the command's output could not be passed on: %v", waited)
	}
	e, kept, err := w.rec.report(ctx, w.draft.ID, report{applied: w.taken(ctx, output), keep: true, plain: len(w.draft.Secret) == 0})
	if err != nil && len(w.takes) > 0 && !later(err) {
		w.app.say("entry %s: the report with what was taken is refused: %v", w.draft.ID, err)
		e, kept, err = w.rec.report(ctx, w.draft.ID, report{keep: true})
	}
	switch {
	case err != nil:
		w.app.say("THE EFFECT IS THERE AND IS NOT REPORTED: %v\nEntry %s stays intended; say it later: `rollback applied %s`", err, w.draft.ID, w.draft.ID)
	case e != nil:
		w.lateWord(e)
	case kept && w.verbose:
		w.app.say("entry %s is applied, in a file", w.draft.ID)
	}
	return nil
}

// taken reads what --take names out of the command's output, and says what it could not.
func (w *wrapper) taken(ctx context.Context, output *tee) wire.AppliedRequest {
	taken, err := takeAll(context.WithoutCancel(ctx), w.takes, output, &w.draft)
	switch {
	case err != nil && len(w.draft.Secret) > 0: // the error may quote the output
		w.app.say("entry %s: not everything that --take names could be taken from the command's output", w.draft.ID)
	case err != nil:
		w.app.say("entry %s: %v", w.draft.ID, err)
	}
	return taken
}

// lateWord says what is unusual about an entry that was reported.
func (w *wrapper) lateWord(e *wire.Entry) {
	for _, text := range e.Warnings {
		if !slices.Contains(w.warned, text) {
			w.app.say("entry %d (%s %s): %s", e.Seq, e.System, e.Kind, text)
		}
	}
	if e.Late {
		w.app.say("entry %d is late: a rollback has begun or is over; the effect is now %s", e.Seq, e.State)
	}
	if w.verbose {
		w.app.say("entry %s is %s", e.ID, e.State)
	}
}

// void reports that the effect never happened, as well as it can.
func (w *wrapper) void(ctx context.Context, why string) {
	if _, _, err := w.rec.report(ctx, w.draft.ID, report{void: why, keep: true}); err != nil {
		w.app.say("entry %s stays intended, as it could not be made void: %v", w.draft.ID, err)
	}
}

// commandStatus returns a command's exit status; 128 and the signal's number where one ended it.
func commandStatus(s *os.ProcessState) int {
	if ws, ok := s.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
		return exitSignal + int(ws.Signal())
	}
	return s.ExitCode()
}
