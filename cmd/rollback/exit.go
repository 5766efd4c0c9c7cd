package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"sideledger/api/client"
	"sideledger/api/wire"
)

// Exit statuses. exitTable says what they mean.
const (
	exitDone        = 0
	exitError       = 1
	exitWork        = 2
	exitPerson      = 3
	exitAuth        = 4
	exitFailed      = 5
	exitDrift       = 6
	exitRunning     = 8
	exitNotStarted  = 125
	exitSignal      = 128
	exitInterrupted = 130
)

// stateCancelled is the one state of a run that statuses depend on.
const stateCancelled = "cancelled"

type exitRow struct {
	status int
	means  string
}

// exitTable is the one list of exit statuses; every help text takes its lines from here.
var exitTable = []exitRow{
	{exitDone, "done: nothing that was selected is left open"},
	{exitError, "error (usage included)"},
	{exitWork, "only `plan --detailed-exitcode`: there is work to do"},
	{exitPerson, "finished, but a person is needed: drifted, manual, in doubt, irreversible or late entries are open"},
	{exitAuth, "not authenticated, or not allowed"},
	{exitFailed, "finished, and some undo failed or is blocked (beats 3)"},
	{exitDrift, "`verify` found drift"},
	{exitRunning, "still running (--detach, --timeout)"},
	{exitNotStarted, "only `record -- COMMAND`: the command could not be started; any other status is the command's own"},
	{exitInterrupted, "interrupted; the rollback itself goes on"},
}

// exitHelp returns the lines of exitTable for these statuses, indented as help shows them.
func exitHelp(statuses ...int) string {
	var b strings.Builder
	b.WriteString("Exit status:\n")
	for _, row := range exitTable {
		for _, s := range statuses {
			if s == row.status {
				fmt.Fprintf(&b, "  %3d  %s\n", row.status, row.means)
			}
		}
	}
	return strings.TrimRight(b.String(), "\n")
}

// An exit ends the command with a status of its own. Err is said on stderr; nil: nothing is said.
type exit struct {
	status int
	err    error
}

func (e *exit) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit status %d", e.status)
	}
	return e.err.Error()
}

func (e *exit) Unwrap() error { return e.err }

// exitWith returns nil for exitDone, and an error without words for any other status.
func exitWith(status int) error {
	if status == exitDone {
		return nil
	}
	return &exit{status: status}
}

// statusOf maps an error to an exit status.
func statusOf(ctx context.Context, err error) int {
	var own *exit
	switch {
	case err == nil:
		return exitDone
	case errors.As(err, &own):
		return own.status
	case refusesUs(err):
		return exitAuth
	case ctx.Err() != nil && errors.Is(err, context.Canceled):
		return exitInterrupted
	default:
		return exitError
	}
}

// refusesUs reports whether err means that the token is missing, unknown or not allowed to do this.
func refusesUs(err error) bool {
	var e *client.Error
	return errors.As(err, &e) && (e.Status == http.StatusUnauthorized || e.Status == http.StatusForbidden)
}

// statusOfRollback maps a run that is over to an exit status. stuck are the stuck entries that it
// selected. What is open now decides, not how the run ended: a fact may have come after it.
func statusOfRollback(r *wire.Rollback, stuck []wire.Entry) int {
	if r.Left() == 0 {
		return exitDone
	}
	for i := range stuck {
		if statusOfStuck(stuck[i].Reason) == exitFailed {
			return exitFailed
		}
	}
	// What a stuck entry holds is explained by it. Open entries without one, and those that a cancelled
	// run never came to, are not.
	if len(stuck) == 0 || r.State == stateCancelled && r.Counts.Remaining > 0 {
		return exitFailed
	}
	return exitPerson
}

// statusOfStuck maps the reason of one stuck entry.
func statusOfStuck(reason string) int {
	switch reason {
	case "drifted", "manual", "in_doubt", "irreversible", "late":
		return exitPerson
	default: // failed, blocked, and whatever a newer server says
		return exitFailed
	}
}
