package command

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"
	"testing"

	"sideledger/ledger"
	"sideledger/remediators"
	"sideledger/remediators/remediatortest"
	"sideledger/remediators/windowtest"
)

// exampleSetup is a system whose one command is a program of docs/examples/remediators.
func exampleSetup(t *testing.T, program string) (s windowtest.Setup, path string) {
	t.Helper()
	path, err := filepath.Abs("../../docs/examples/remediators/" + program)
	if err != nil {
		t.Fatal(err)
	}
	return windowtest.Setup{System: "host", Factory: Factory, GetenvFunc: os.Getenv, Config: remediators.SystemConfig{
		Remediator: "command", Commands: map[string]remediators.CommandConfig{
			"it": {Argv: []string{path, "undo"}, Read: []string{path, "read"}, Repeatable: true},
		},
	}}, path
}

func exampleDraft(kind string, action ledger.Action, resource, before, after string) ledger.Draft {
	return ledger.Draft{
		System: "host", Kind: kind, Action: action, State: ledger.EntryApplied, Resource: json.RawMessage(resource), Undo: json.RawMessage(`{"command":"it"}`),
		Before: ledger.Image{JSON: json.RawMessage(before)}, After: ledger.Image{JSON: json.RawMessage(after)},
	}
}

// A spool is the crontab of one user, by the real crontab of the machine: of a user made for the test where it runs as
// root, and else of whoever runs it, whose own crontab is put back.
type spool struct {
	*windowtest.Window
	t       *testing.T
	user    string
	program string
	flags   []string
}

func openSpool(t *testing.T) *spool {
	t.Helper()
	with, program := exampleSetup(t, "crontab")
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	s := &spool{t: t, user: me.Username, program: program}
	if os.Getuid() == 0 {
		s.user = fmt.Sprintf("sideledger-%d", os.Getpid())
		s.flags = []string{"-u", s.user}
		s.run("", "useradd", "--no-create-home", "--no-user-group", s.user)
		t.Cleanup(func() { _ = exec.Command("userdel", s.user).Run() })
		t.Cleanup(func() { _ = exec.Command("crontab", "-r", "-u", s.user).Run() })
	} else if mine, err := exec.CommandContext(t.Context(), "crontab", "-l").Output(); err == nil {
		t.Cleanup(func() {
			back := exec.Command("crontab", "-")
			back.Stdin = bytes.NewReader(mine)
			if err := back.Run(); err != nil {
				t.Errorf("the crontab of %s is not put back: %v\n%s", s.user, err, mine)
			}
		})
		s.run("", "crontab", "-r")
	} else {
		t.Cleanup(func() { _ = exec.Command("crontab", "-r").Run() })
	}
	s.Window = with.Open(t)
	return s
}

// run runs a command that has to work.
func (s *spool) run(in string, argv ...string) {
	s.t.Helper()
	cmd := exec.CommandContext(s.t.Context(), argv[0], argv[1:]...)
	cmd.Stdin = strings.NewReader(in)
	if out, err := cmd.CombinedOutput(); err != nil {
		s.t.Fatalf("%v: %v: %s", argv, err, out)
	}
}

// set replaces the whole crontab, as somebody else does.
func (s *spool) set(content string) {
	s.t.Helper()
	s.run(content, append(append([]string{"crontab"}, s.flags...), "-")...)
}

// none removes the crontab.
func (s *spool) none() {
	s.t.Helper()
	s.run("", append(append([]string{"crontab"}, s.flags...), "-r")...)
}

// want fails unless the crontab is this; "none": there is none.
func (s *spool) want(content string) {
	s.t.Helper()
	cmd := exec.CommandContext(s.t.Context(), "crontab", append(append([]string{}, s.flags...), "-l")...)
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	out, err := cmd.CombinedOutput()
	got := string(out)
	if err != nil && strings.HasPrefix(got, "no crontab for") {
		got = "none"
	}
	if got != content {
		s.t.Errorf("the crontab is\n%q, want\n%q", got, content)
	}
}

func (s *spool) draft(action ledger.Action, before, after string) ledger.Draft {
	return exampleDraft("cron.block", action, `{"user":"`+s.user+`","block":"import"}`, before, after)
}

const (
	theirs = "MAILTO=ops\n# theirs \\ \"quoted\"\n0 1 * * * /bin/true %a\n\n"
	begin  = "# sideledger BEGIN import\n"
	end    = "# sideledger END import\n"
	oldJob = "*/5 * * * * /opt/import \"a\\b\" %x\n"
	newJob = "#*/5 * * * * /opt/import\n"
)

// lines is the image of a block.
func lines(t *testing.T, list ...string) string {
	t.Helper()
	for i := range list {
		list[i] = strings.TrimSuffix(list[i], "\n")
	}
	raw, err := json.Marshal(map[string][]string{"lines": append([]string{}, list...)})
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

func TestCrontab(t *testing.T) {
	remediatortest.Proves(t, "crontab", "create undone", "update undone", "delete undone")
	s := openSpool(t)
	old, changed := lines(t, oldJob), lines(t, newJob)
	for _, c := range []struct {
		name, before, after, there, want string
		action                           ledger.Action
	}{
		{"updated", old, changed, theirs + begin + newJob + end + theirs, theirs + begin + oldJob + end + theirs, ledger.ActionUpdate},
		{"created", "null", changed, theirs + begin + newJob + end + theirs, theirs + theirs, ledger.ActionCreate},
		{"deleted", old, "null", theirs, theirs + begin + oldJob + end, ledger.ActionDelete},
		{"emptied", lines(t), changed, begin + newJob + end, begin + end, ledger.ActionUpdate},
		{"alone in an empty crontab", "null", changed, begin + newJob + end, "", ledger.ActionCreate},
		{"first in a crontab", "null", changed, "# sideledger BEGIN import first\n" + newJob + end, "none", ledger.ActionCreate},
		{"first, and no longer alone", "null", changed, "# sideledger BEGIN import first\n" + newJob + end + theirs, theirs, ledger.ActionCreate},
		{"first, deleted", strings.Replace(old, "}", `,"first":true}`, 1), "null", "", "# sideledger BEGIN import first\n" + oldJob + end, ledger.ActionDelete},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := &spool{t: t, user: s.user, flags: s.flags, Window: mustOpen(t)}
			s.set(c.there)
			e := s.Record(s.draft(c.action, c.before, c.after))
			s.Rollback()
			s.Want(e, "undone undone")
			s.want(c.want)
			s.WantVerify("same")
		})
	}
}

func mustOpen(t *testing.T) *windowtest.Window {
	t.Helper()
	with, _ := exampleSetup(t, "crontab")
	return with.Open(t)
}

// TestCrontabWritten: the upgrade writes the block by the program itself, the ledger captures both images, and an
// absent crontab is absent again.
func TestCrontabWritten(t *testing.T) {
	s := openSpool(t)
	d := s.draft(ledger.ActionCreate, "", "")
	d.State, d.Capture = ledger.EntryIntended, true
	e := s.Record(d)
	s.run(newJob, s.program, "write", s.user, "import")
	s.want("# sideledger BEGIN import first\n" + newJob + end)
	s.Applied(e, "", "")
	update := s.draft(ledger.ActionUpdate, "", "")
	update.State, update.Capture = ledger.EntryIntended, true
	u := s.Record(update)
	s.run(oldJob, s.program, "write", s.user, "import")
	s.Applied(u, "", "")
	remove := s.draft(ledger.ActionDelete, "", "null")
	remove.State, remove.Capture = ledger.EntryIntended, true
	r := s.Record(remove)
	s.run("", s.program, "remove", s.user, "import")
	s.want("none")
	s.Applied(r, "", "")
	s.Rollback()
	for _, e := range []*ledger.Entry{e, u, r} {
		s.Want(e, "undone undone")
	}
	s.want("none")
}

func TestCrontabLeftAlone(t *testing.T) {
	remediatortest.Proves(t, "crontab", "drift", "gone")
	s := openSpool(t)
	job := lines(t, newJob)
	for name, there := range map[string]string{
		"edited": begin + newJob + newJob + end, "gone": theirs, "twice": begin + newJob + end + begin + newJob + end, "without an end": begin + newJob,
		"without a beginning": theirs + end,
	} {
		t.Run(name, func(t *testing.T) {
			s := &spool{t: t, user: s.user, flags: s.flags, Window: mustOpen(t)}
			s.set(there)
			e := s.Record(s.draft(ledger.ActionUpdate, lines(t, oldJob), job))
			s.Rollback()
			if e = s.Entry(e); e.State != ledger.EntryStuck {
				t.Errorf("the entry is %s", e.State)
			}
			s.want(there)
		})
	}
	t.Run("no crontab", func(t *testing.T) {
		s := &spool{t: t, user: s.user, flags: s.flags, Window: mustOpen(t)}
		s.none()
		e := s.Record(s.draft(ledger.ActionCreate, "null", job))
		s.Rollback()
		s.Want(e, "undone already_undone")
		s.want("none")
	})
}

// TestCrontabRefuses: what would break out of the block is not written, and a block that moved since the look is a
// conflict.
func TestCrontabRefuses(t *testing.T) {
	s := openSpool(t)
	there := theirs + begin + newJob + end
	s.set(there)
	now := lines(t, newJob)
	ask := func(doc string) int {
		cmd := exec.CommandContext(t.Context(), s.program, "undo")
		cmd.Stdin = strings.NewReader(doc)
		_ = cmd.Run()
		return cmd.ProcessState.ExitCode()
	}
	resource := `"resource":{"user":"` + s.user + `","block":"import"}`
	for doc, want := range map[string]int{
		`{` + resource + `,"before":{"lines":["a\nb"]},"now":` + now + `}`:                    12,
		`{` + resource + `,"before":{"lines":["# sideledger END import"]},"now":` + now + `}`: 12,
		`{` + resource + `,"before":{"lines":[1]},"now":` + now + `}`:                         12,
		`{"resource":{"user":"-l","block":"import"},"before":null,"now":` + now + `}`:         12,
		`{"resource":{"user":"` + s.user + `","block":"a b"},"before":null,"now":null}`:       12,
		`{` + resource + `,"before":null,"now":` + lines(t, oldJob) + `}`:                     11,
		`{` + resource + `,"before":` + now + `,"now":null}`:                                  10,
	} {
		if got := ask(doc); got != want {
			t.Errorf("%s: exit status %d, want %d", doc, got, want)
		}
	}
	s.want(there)
}

// fakeSystemctl is systemctl as far as the example calls it, over a file that says what the unit shows. No systemd runs
// where tests run.
const fakeSystemctl = `#!/bin/sh
cd "$(dirname "$0")" || exit 1
set_() { sed -i "s/^$1=.*/$1=$2/" unit; }
op=$1
[ "$op" = show ] && { cat unit; exit 0; }
echo "$op" >>calls
case $op in
enable) set_ UnitFileState enabled ;;
disable) set_ UnitFileState disabled ;;
mask) set_ UnitFileState masked ;;
unmask) set_ UnitFileState disabled ;;
start) set_ ActiveState active ;;
stop) set_ ActiveState inactive ;;
*) exit 1 ;;
esac
`

func TestSystemdTimer(t *testing.T) {
	state := func(enabled string, active bool) string {
		return fmt.Sprintf(`{"enabled":%q,"active":%t}`, enabled, active)
	}
	for _, c := range []struct {
		name, load, unit, activity string // as systemctl shows it
		before, after, want, calls string
	}{
		{"disabled", "loaded", "disabled", "inactive", state("enabled", true), state("disabled", false), "undone undone", "enable start"},
		{"enabled", "loaded", "enabled", "active", state("disabled", false), state("enabled", true), "undone undone", "disable stop"},
		{"masked", "masked", "masked", "inactive", state("enabled", true), state("masked", false), "undone undone", "unmask enable start"},
		{"unmasked", "loaded", "enabled", "active", state("masked", false), state("enabled", true), "undone undone", "mask stop"},
		{"stopped only", "loaded", "static", "inactive", state("static", true), state("static", false), "undone undone", "start"},
		{"was static", "loaded", "enabled", "active", state("static", true), state("enabled", true), "stuck failed", ""},
		{"undone already", "loaded", "enabled", "active", state("enabled", true), state("disabled", false), "undone already_undone", ""},
		{"started again by hand", "loaded", "disabled", "active", state("enabled", true), state("disabled", false), "stuck drifted", ""},
		{"not there", "not-found", "", "inactive", state("enabled", true), state("disabled", false), "stuck drifted", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			for name, content := range map[string]string{
				"systemctl": fakeSystemctl, "unit": "LoadState=" + c.load + "\nUnitFileState=" + c.unit + "\nActiveState=" + c.activity + "\n", "calls": "",
			} {
				if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o700); err != nil {
					t.Fatal(err)
				}
			}
			with, _ := exampleSetup(t, "systemd-timer")
			path := dir + ":" + os.Getenv("PATH")
			with.GetenvFunc = func(string) string { return path }
			w := with.Open(t)
			e := w.Record(exampleDraft("systemd.timer", ledger.ActionUpdate, `{"unit":"import@a.timer"}`, c.before, c.after))
			w.Rollback()
			w.Want(e, c.want)
			w.Rollback()
			calls, err := os.ReadFile(filepath.Join(dir, "calls"))
			if got := strings.Join(strings.Fields(string(calls)), " "); err != nil || got != c.calls {
				t.Errorf("it called %q (%v), want %q", got, err, c.calls)
			}
		})
	}
}
