package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"runtime/debug"

	"github.com/spf13/cobra"

	"sideledger/ledger"
)

// version is set by the build.
var version = ""

// The exit statuses of ledgerd; those of `ledgerd rollback` are the same as the rollback command's.
const (
	exitOK      = 0
	exitFailure = 1 // an error, usage included
	exitPerson  = 3 // finished, and a person is needed
	exitFailed  = 5 // finished, and some undo failed or is blocked
	exitRunning = 8 // the rollback is not over
)

// An env is what a command gets from the process.
type env struct {
	getenv func(string) string
	stdout io.Writer
	stderr io.Writer
	log    *slog.Logger
}

// An exitError ends a command with a status; its text was said already, or is empty.
type exitError struct{ code int }

func (e exitError) Error() string { return fmt.Sprintf("exit status %d", e.code) }

// run executes one command line and returns the exit status.
func run(ctx context.Context, args []string, getenv func(string) string, stdout, stderr io.Writer) int {
	e := &env{getenv: getenv, stdout: stdout, stderr: stderr, log: slog.New(slog.NewJSONHandler(stderr, nil))}
	hush(e.log)
	root := newRoot(e)
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	var exit exitError
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &exit):
		return exit.code
	}
	_, _ = fmt.Fprintln(stderr, "ledgerd: "+explain(err))
	return exitFailure
}

// hush keeps what libraries write by themselves out of the log: net/http quotes bytes of third parties there
// when one answers without having been asked.
func hush(to *slog.Logger) {
	log.SetFlags(0)
	log.SetOutput(hushed{to})
}

// hushed says that something was said, and not what.
type hushed struct{ to *slog.Logger }

func (h hushed) Write(p []byte) (int, error) {
	h.to.Warn("a library reported trouble with a connection; what it said may quote a third party and is left out", slog.Int("bytes", len(p)))
	return len(p), nil
}

// explain writes an error for a person: a domain error as its message and field, any other as it is.
func explain(err error) string {
	var e *ledger.Error
	if errors.As(err, &e) && e.Msg != "" && e.Err == nil {
		if e.Field != "" {
			return e.Field + ": " + e.Msg
		}
		return e.Msg
	}
	return err.Error()
}

func newRoot(e *env) *cobra.Command {
	root := &cobra.Command{
		Use:           "ledgerd",
		Short:         "The ledger of an upgrade's side effects: keeps them, serves the API, runs rollbacks",
		SilenceUsage:  true,
		SilenceErrors: true,
		Version:       versionText(),
	}
	root.AddCommand(newServe(e), newMigrate(e), newCheckConfig(e), newBackup(e), newImport(e), newToken(e), newRollback(e), newRebuild(e), newRecover(e), newVerify(e), newPrune(e), newVersion(e), newRewrap(e), newKeys(e), newPluginTest(e), newPluginLaunch(e))
	return root
}

func newVersion(e *env) *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Print the version", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			_, err := fmt.Fprintln(e.stdout, versionText())
			return err
		},
	}
}

// versionText is the version set by the build, else what the toolchain stamped, else "devel".
func versionText() string {
	if version != "" {
		return version
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" && info.Main.Version != "(devel)" {
		return info.Main.Version
	}
	return "devel"
}
