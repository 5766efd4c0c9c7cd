package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"sideledger/api/client"
	"sideledger/api/wire"
)

func newCurl(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "curl ARGS...",
		Short: "Run curl, with changing calls to configured systems through the ledger",
		Long: strings.TrimSpace(`
Takes curl's own options. A changing call (any method but GET, HEAD, OPTIONS and TRACE) to the host of a configured
system is made by the server, as with ` + "`rollback do`" + `, and recorded in the window ROLLBACK_WINDOW. Every other call, and
every read, is made by the real curl with the very same arguments.

What cannot be carried faithfully is refused before anything is sent: several addresses or patterns of them, -F, -T
from a stream, -K, --next, -b and -c, proxies and --resolve, a variable of -w that the ledger cannot tell. A credential
in the call is left out, as the system has its own. Redirects are not followed, retries are not made: a call is made once.

Exit status: curl's own. Of calls through the ledger: 0, 22 with -f, 2 if it is refused, 7 if nothing was sent
(the ledger or the third party cannot be reached, or a rollback has begun), 28 no answer in time, 52 no answer, 18 an
answer that is not whole, 47 a redirect with -L.`),
		Example:            `  rollback curl -fsS -X DELETE http://edge.example:2019/id/old`,
		DisableFlagParsing: true,
		RunE:               func(cmd *cobra.Command, args []string) error { return a.runCurl(cmd.Context(), args) },
	}
}

func (a *app) runCurl(ctx context.Context, args []string) error {
	l := readCurl(args)
	if l.alone() || l.reads() && !l.hidden() {
		return a.realCurl(args)
	}
	window, err := a.windowOr("", false)
	if err != nil {
		return refuseCurl("%v", err)
	}
	c, err := a.server()
	if err != nil {
		return refuseCurl("%v", err)
	}
	systems, err := c.EffectSystems(ctx, window)
	if err != nil {
		if refusesUs(err) || !client.Unreachable(err) {
			return refuseCurl("%v", err)
		}
		return &exit{status: curlConnect, err: fmt.Errorf(
			"curl: the ledger cannot be reached, so that nobody knows whether this call has to be recorded; nothing was sent: %w", err)}
	}
	place, err := l.judge(systems.Items)
	if err != nil {
		return err
	}
	if place == nil {
		return a.realCurl(args)
	}
	return a.carryCurl(ctx, c, window, l, place)
}

// refuseCurl ends without having sent anything.
func refuseCurl(format string, args ...any) error {
	return &exit{status: curlRefused, err: fmt.Errorf("curl: "+format+"; nothing was sent", args...)}
}

// judge finds the system that the line changes; nil: none, it is curl's own.
func (l *curlLine) judge(systems []wire.EffectSystem) (*curlPlace, error) {
	if l.hidden() {
		return nil, l.judgeHidden(systems)
	}
	var found *curlPlace
	for _, u := range l.urls {
		if p := placeOf(l, u, systems); p != nil {
			found = p
			break
		}
	}
	if found == nil {
		if system := l.detour(systems); system != "" {
			return nil, refuseCurl("a proxy, --connect-to or --resolve leads it to system %s, and that cannot be carried through the ledger", system)
		}
		return nil, nil //nolint:nilnil // nothing of the ledger's
	}
	if why := l.uncarried(); why != "" {
		return nil, refuseCurl("%s", why)
	}
	if found.trouble != "" {
		return nil, refuseCurl("%s", found.trouble)
	}
	return found, nil
}

// judgeHidden refuses a line of which a part cannot be seen, if a configured system may be meant.
func (l *curlLine) judgeHidden(systems []wire.EffectSystem) error {
	text := strings.Join(l.args, " ")
	what := l.unknown
	if l.expands {
		what = "--expand-*"
	}
	if name := l.values["config"]; l.set["config"] {
		what = "-K"
		raw, err := readWhole(name)
		if name == "-" && len(systems) > 0 {
			return refuseCurl("a configuration on stdin cannot be told from a call to a configured system")
		}
		if err == nil { // a file that cannot be read, curl refuses itself
			text += " " + string(raw)
		}
	}
	if system := mentions(text, systems); system != "" {
		return refuseCurl("%s cannot be carried through the ledger, and the line names system %s", what, system)
	}
	return nil
}

// carryCurl has the server make the call, and answers as curl does.
func (a *app) carryCurl(ctx context.Context, c *client.Client, window string, l *curlLine, place *curlPlace) error {
	if file := a.curlrc(); file != "" && !l.set["disable"] {
		return refuseCurl("%s may change what curl sends, and cannot be carried through the ledger: give -q first", file)
	}
	call, err := l.carry(place, a.stdin)
	if err != nil {
		return &exit{status: curlRead, err: fmt.Errorf("curl: (26) %w", err)}
	}
	r := &curlResult{line: l, place: place, call: call}
	if r.file, err = l.outputName(place); err != nil {
		return &exit{status: curlWrite, err: fmt.Errorf("curl: (23) %w", err)}
	}
	if len(call.dropped) > 0 && !l.set["silent"] {
		a.say("curl: %s is left out: system %s has its own credential", strings.Join(call.dropped, ", "), place.system)
	}
	id, err := newID()
	if err != nil {
		return err
	}
	ctx, cancel, most, err := l.within(ctx, id)
	if err != nil {
		return err
	}
	defer cancel()
	began := time.Now()
	entry := wire.EffectEntry{ID: id, System: place.system, Source: a.getenv("ROLLBACK_SOURCE")}
	r.effect, err = c.Effect(ctx, window, wire.EffectRequest{Call: call.call, Entry: entry}, most)
	r.took = time.Since(began)
	if err != nil {
		return curlLost(ctx, err, id)
	}
	return a.finishCurl(r)
}

// within bounds the wait for an answer by --max-time.
func (l *curlLine) within(ctx context.Context, id string) (context.Context, context.CancelFunc, time.Duration, error) {
	if !l.set["max-time"] {
		ctx, cancel := context.WithCancel(ctx)
		return ctx, cancel, 0, nil
	}
	seconds, err := strconv.ParseFloat(l.values["max-time"], 64)
	if err != nil || seconds < 0 || seconds > 1e6 {
		return nil, nil, 0, refuseCurl("--max-time takes seconds")
	}
	most := time.Duration(seconds * float64(time.Second))
	if most == 0 { // curl's "no limit"
		ctx, cancel := context.WithCancel(ctx)
		return ctx, cancel, 0, nil
	}
	ctx, cancel := context.WithTimeoutCause(ctx, most, &exit{status: curlTimeout, err: fmt.Errorf(
		"curl: (28) no answer within %s s: the ledger goes on, and entry %s says what becomes of the call", l.values["max-time"], id)})
	return ctx, cancel, most, nil
}

// curlLost says what is known where the ledger did not answer to the call.
func curlLost(ctx context.Context, err error, id string) error {
	if ctx.Err() == nil && client.Refused(err) {
		return refuseCurl("the ledger refuses this call: %v", err)
	}
	return lostEffect(ctx, err, id)
}

// finishCurl writes the answer and returns curl's status.
func (a *app) finishCurl(r *curlResult) error {
	a.warn(r.effect.Entry)
	a.sayEffect(r.effect, false)
	r.settle()
	if r.effect.Answer != nil {
		if err := r.deliver(a.stdout); err != nil && r.status == 0 {
			r.status, r.message = curlWrite, "failure writing output: "+err.Error()
		}
	}
	format, _ := readWriteOut(r.line.values["write-out"]) // it was read before the call
	if err := format.write(a.stdout, r); err != nil && r.status == 0 {
		r.status, r.message = curlWrite, "failure writing output: "+err.Error()
	}
	if r.status != 0 && (!r.line.set["silent"] || r.line.set["show-error"]) {
		fmt.Fprintf(a.stderr, "curl: (%d) %s\n", r.status, clean(r.message))
	}
	return exitWith(r.status)
}

// settle decides on curl's status and what curl says of it.
func (r *curlResult) settle() {
	l, answer := r.line, r.effect.Answer
	failing := l.set["fail"] || l.set["fail-with-body"]
	switch {
	case answer == nil:
		r.status, r.message = statusOfFailure(r.effect), r.effect.Detail
	case answer.Status >= 400 && failing:
		r.status, r.message = curlStatus, fmt.Sprintf("The requested URL returned error: %d", answer.Status)
	case answer.Broken != "":
		r.status, r.message = curlPartial, answer.Broken
	case answer.Status/100 == 3 && answer.Headers["Location"] != "" && (l.set["location"] || l.set["location-trusted"]):
		r.status, r.message = curlRedirect, "redirects are not followed through the ledger"
	}
}

// curlrc returns the file that curl reads by itself; "": there is none.
func (a *app) curlrc() string {
	for _, name := range []string{
		filepath.Join(a.getenv("CURL_HOME"), ".curlrc"), filepath.Join(a.getenv("XDG_CONFIG_HOME"), "curlrc"), filepath.Join(a.getenv("XDG_CONFIG_HOME"), ".curlrc"),
		filepath.Join(a.getenv("HOME"), ".curlrc"), filepath.Join(a.getenv("HOME"), ".config", "curlrc"),
	} {
		if !filepath.IsAbs(name) {
			continue
		}
		if _, err := os.Stat(name); err == nil {
			return name
		}
	}
	return ""
}

// realCurl becomes the curl of PATH. It returns only where there is none.
func (a *app) realCurl(args []string) error {
	path, err := exec.LookPath("curl")
	if err != nil {
		return &exit{status: exitNotStarted, err: fmt.Errorf("the real curl is not here: %w", err)}
	}
	if self, err := os.Executable(); err == nil && sameFile(self, path) {
		return &exit{status: exitNotStarted, err: errors.New("the curl of PATH is this program")}
	}
	err = syscall.Exec(path, append([]string{"curl"}, args...), withoutToken(os.Environ())) //nolint:gosec // to run it is what was asked for
	return &exit{status: exitNotStarted, err: fmt.Errorf("run the real curl: %w", err)}
}

func sameFile(a, b string) bool {
	x, err1 := os.Stat(a)
	y, err2 := os.Stat(b)
	return err1 == nil && err2 == nil && os.SameFile(x, y)
}
