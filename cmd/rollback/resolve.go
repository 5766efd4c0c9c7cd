package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/spf13/cobra"

	"sideledger/api/client"
	"sideledger/api/wire"
)

type resolveOptions struct {
	retry, undo, waive, done bool
	reason                   string
	evidence                 string
	seen                     string
	detach                   bool
	timeout                  time.Duration
}

// AddFlags adds the flags to a command.
func (o *resolveOptions) AddFlags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.BoolVar(&o.retry, "retry", false, "try again; drift still stops it")
	f.BoolVar(&o.undo, "undo", false, "undo it although it drifted")
	f.BoolVar(&o.waive, "waive", false, "leave the effect in place")
	f.BoolVar(&o.done, "done", false, "it was undone by hand")
	f.StringVar(&o.reason, "reason", "", "why; stored and shown (required)")
	f.StringVar(&o.evidence, "evidence", "", "with --done: `URL` where it can be seen")
	f.StringVar(&o.seen, "seen", "", "with --undo: `DIGEST` of the drifted state that you decide about; default: the one the entry shows")
	f.BoolVar(&o.detach, "detach", false, "do not wait for what comes of it")
	f.DurationVar(&o.timeout, "timeout", time.Minute, "wait for at most `D`")
	cmd.MarkFlagsOneRequired("retry", "undo", "waive", "done")
	cmd.MarkFlagsMutuallyExclusive("retry", "undo", "waive", "done")
}

func newResolve(a *app) *cobra.Command {
	o := new(resolveOptions)
	cmd := &cobra.Command{
		Use:   "resolve ENTRY",
		Short: "Say what is to happen with a stuck entry",
		Long: long(`
A person's word on a stuck entry, acted on at once: the window's rollback goes on, or a new one starts.
--undo overrides the drift that the entry shows and no other: where the resource has changed again since,
nothing is sent, and the entry is shown as it is now with the command that agrees to that. It exits by what came of the entry.`,
			exitDone, exitError, exitPerson, exitAuth, exitFailed, exitRunning, exitInterrupted),
		Example: `  rollback resolve ENTRY --undo --reason "agreed with the one who changed it"
  rollback resolve ENTRY --waive --reason "the new limit stays"
  rollback resolve ENTRY --done --reason "by phone" --evidence https://tickets.example/4711`,
		Args: oneArg("ENTRY"),
		RunE: func(cmd *cobra.Command, args []string) error { return a.runResolve(cmd.Context(), o, args[0]) },
	}
	o.AddFlags(cmd)
	return cmd
}

func (o *resolveOptions) decision() string {
	switch {
	case o.retry:
		return "retry"
	case o.undo:
		return "undo"
	case o.waive:
		return "waive"
	default:
		return "done"
	}
}

func (o *resolveOptions) check() error {
	switch {
	case o.reason == "":
		return errors.New("--reason is required: it is what others will read")
	case o.evidence != "" && !o.done:
		return errors.New("--evidence goes with --done")
	case o.seen != "" && !o.undo:
		return errors.New("--seen goes with --undo")
	case o.timeout <= 0:
		return errors.New("--timeout must be more than 0")
	}
	return nil
}

func (a *app) runResolve(ctx context.Context, o *resolveOptions, arg string) error {
	id, err := checkID("entry", arg)
	if err != nil {
		return err
	}
	if err := o.check(); err != nil {
		return err
	}
	c, err := a.server()
	if err != nil {
		return err
	}
	e, err := a.decide(ctx, c, o, id)
	if err != nil {
		return err
	}
	if !o.detach && !settled(e) {
		if e, err = a.awaitEntry(ctx, c, e, o.timeout); err != nil {
			return err
		}
	}
	if err := a.showEntry(e); err != nil {
		return err
	}
	return exitWith(statusOfEntry(e))
}

// decide posts the decision. An undo is about the drift that the entry shows, and no other. Where the third party
// shows another by now, that is what the entry shows since, and what is shown here: nothing is agreed to unseen.
func (a *app) decide(ctx context.Context, c *client.Client, o *resolveOptions, id string) (*wire.Entry, error) {
	seen := o.seen
	if o.undo && seen == "" {
		e, err := c.Entry(ctx, id)
		if err != nil {
			return nil, err
		}
		if e.State == "stuck" && e.Reason == "drifted" {
			seen = e.NowDigest
			a.say("the undo is of what the entry shows, and of no other state: %s", short(string(e.Now), 160))
		}
	}
	e, err := c.Resolve(ctx, id, wire.ResolveRequest{Decision: o.decision(), Reason: o.reason, Seen: seen, Evidence: o.evidence})
	if !statusIs(err, http.StatusPreconditionFailed) {
		return e, err
	}
	if now, readErr := c.Entry(ctx, id); readErr == nil && now.State == "stuck" {
		if err := a.showEntry(now); err != nil {
			return nil, err
		}
		return nil, fmt.Errorf("it has changed again since it was seen, so nothing was sent. To undo what it shows now:\n  %s\n%w",
			undoCommand(now), err)
	}
	return nil, fmt.Errorf("it has changed again since it was seen, so nothing was sent: %w", err)
}

// undoCommand is what a person types who agrees to undo the state that a stuck entry shows.
func undoCommand(e *wire.Entry) string {
	seen := ""
	if e.NowDigest != "" {
		seen = " --seen " + quote(clean(e.NowDigest))
	}
	return "rollback resolve " + clean(e.ID) + " --undo" + seen + " --reason TEXT"
}

// settled reports whether a decision on the entry has been acted on.
func settled(e *wire.Entry) bool {
	switch e.State {
	case "undone", "waived", "void":
		return true
	case "stuck":
		return e.Decision == nil
	default:
		return false
	}
}

// statusOfEntry maps a resolved entry to an exit status.
func statusOfEntry(e *wire.Entry) int {
	switch {
	case !settled(e):
		return exitRunning
	case e.State == "stuck":
		return statusOfStuck(e.Reason)
	default:
		return exitDone
	}
}

// awaitEntry reads the entry after each record of its window until the decision was acted on, or the
// time is up: then it returns the entry as it is.
func (a *app) awaitEntry(ctx context.Context, c *client.Client, e *wire.Entry, timeout time.Duration) (*wire.Entry, error) {
	followed, cancel := context.WithTimeoutCause(ctx, timeout, errTimeout)
	defer cancel()
	watch := client.Watch{After: max(e.Journal.Number-1, 0)} // with its own record, to read it once at least
	last := e
	err := c.WindowEvents(followed, e.WindowID, watch, func(wire.Event) error {
		now, err := c.Entry(followed, e.ID)
		if err != nil {
			return err
		}
		if last = now; settled(now) {
			return errOver
		}
		return nil
	})
	switch {
	case errors.Is(err, errOver):
		return last, nil
	case ctx.Err() != nil:
		a.say("the decision is recorded and is being acted on; look at it with `rollback status --window %s`", e.WindowID)
		return nil, &exit{status: exitInterrupted}
	case errors.Is(context.Cause(followed), errTimeout):
		a.say("the decision is recorded and not yet acted on; look at it with `rollback status --window %s`", e.WindowID)
		return last, nil
	default:
		return nil, err
	}
}

// showEntry shows one entry.
func (a *app) showEntry(e *wire.Entry) error {
	return a.show(view{value: e, names: []string{e.ID}, text: func(p *page) {
		if e.State == "stuck" {
			p.stuck([]wire.Entry{*e})
			return
		}
		state := e.State
		if e.Outcome != "" && e.Outcome != state {
			state += ": " + e.Outcome
		}
		p.printf("entry %d  %s  %s  %s  %s  %s\n", e.Seq, p.paint(tintGood, clean(state)), clean(e.System), clean(e.Kind),
			resourceOf(e), p.paint(tintDim, clean(e.ID)))
	}})
}
