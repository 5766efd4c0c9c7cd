package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"sideledger/api/wire"
)

// A vm is a machine whose snapshot a script restores: a file says what runs on it, another has a line for each restore.
type vm struct {
	*house
	dir string

	mu    sync.Mutex
	order []string // of the undos, with what ran on the machine then
}

const vmScript = `#!/bin/sh
cd "$(dirname "$0")"
if [ "$1" = undo ]; then
	echo restored >>restores
	[ ! -e broken ] || exit 1
	printf 4.1 >version
	echo '{"result":"undone"}'
	exit
fi
printf '{"now":{"version":"%s"}}' "$(cat version)"
`

// newVM is a stopped ledger with a window that names its restore, two effects that go before that, and two that do not.
func newVM(t *testing.T, restore bool) (m *vm, window string) {
	t.Helper()
	m = &vm{house: newHouse(t, false), dir: t.TempDir()}
	script := filepath.Join(m.dir, "vm")
	if err := os.WriteFile(script, []byte(vmScript), 0o700); err != nil {
		t.Fatal(err)
	}
	m.put("version", "4.2")
	m.third.onPut = func(at string) {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.order = append(m.order, at+" "+m.get("version"))
	}
	m.append(fmt.Sprintf("  vm: {remediator: command, retry: {base: 1ms, cap: 5ms, attempts: 2}, commands: {restore: {argv: [%[1]q, undo], read: [%[1]q, read], repeatable: true}}}\noutside_snapshot: true\n", script))
	m.serve()
	draft := wire.WindowDraft{Name: "4.2", Snapshot: "before 4.2"}
	if restore {
		draft.Restore = &wire.Restore{
			System: "vm", Kind: "vm", Resource: json.RawMessage(`{"vm":17}`), Before: json.RawMessage(`{"version":"4.1"}`), Undo: json.RawMessage(`{"command":"restore"}`),
		}
	}
	w, err := m.client.OpenWindow(t.Context(), draft)
	if err != nil {
		t.Fatal(err)
	}
	for i, before := range []bool{false, true, false, true} {
		at := fmt.Sprintf("/%d", i+1)
		m.third.set(at, `{"v":"new"}`)
		d := putDraft(at)
		d.BeforeRestore = before
		if _, err := m.client.Record(t.Context(), w.ID, d); err != nil {
			t.Fatal(err)
		}
	}
	m.stop()
	return m, w.ID
}

func (m *vm) put(name, text string) {
	m.Helper()
	if err := os.WriteFile(filepath.Join(m.dir, name), []byte(text), 0o600); err != nil {
		m.Fatal(err)
	}
}

func (m *vm) get(name string) string {
	raw, _ := os.ReadFile(filepath.Join(m.dir, name)) // none: empty
	return string(raw)
}

// restores is how often the machine was restored.
func (m *vm) restores() int { return strings.Count(m.get("restores"), "restored") }

func (m *vm) undone() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.order)
}

// With no server running the snapshot is restored in the same run: after what goes before it, before everything else, once.
func TestOfflineRollbackRestoresTheSnapshot(t *testing.T) {
	m, window := newVM(t, true)
	status, out, talk := m.run("rollback", "--window", window, "--restore-snapshot", "--reason", "4.2 is bad")
	if status != exitOK || !strings.Contains(out, "finished: 5 undone") {
		t.Errorf("%d %s %s", status, out, talk)
	}
	if got, want := m.undone(), []string{"/4 4.2", "/2 4.2", "/3 4.1", "/1 4.1"}; !slices.Equal(got, want) {
		t.Errorf("undone %v, want %v", got, want)
	}
	if m.restores() != 1 || m.get("version") != "4.1" {
		t.Errorf("%d restores, it runs %s", m.restores(), m.get("version"))
	}
	if out := m.must("verify"); out != "OK" {
		t.Error(out)
	}
}

// Who does not ask for it does not get it.
func TestOfflineRollbackLeavesTheMachineAlone(t *testing.T) {
	m, window := newVM(t, true)
	if status, out, talk := m.run("rollback", "--window", window); status != exitOK || !strings.Contains(out, "finished: 4 undone") {
		t.Errorf("%d %s %s", status, out, talk)
	}
	if m.restores() != 0 || m.get("version") != "4.2" {
		t.Errorf("%d restores, it runs %s", m.restores(), m.get("version"))
	}
}

// A window that names no restore is not begun with.
func TestOfflineRollbackHasNothingToRestore(t *testing.T) {
	m, window := newVM(t, false)
	if status, out, talk := m.run("rollback", "--window", window, "--restore-snapshot"); status != exitFailure || !strings.Contains(talk, "restore") {
		t.Errorf("%d %s %s", status, out, talk)
	}
	if got := m.undone(); len(got) > 0 {
		t.Errorf("undone all the same: %v", got)
	}
}

// A restore that fails holds what comes after it, and the exit status says so; called again, the run goes on from there.
func TestOfflineRollbackAfterAFailedRestore(t *testing.T) {
	m, window := newVM(t, true)
	m.put("broken", "")
	status, out, talk := m.run("rollback", "--window", window, "--restore-snapshot")
	if status != exitFailed || !strings.Contains(out, "1 stuck") || m.restores() == 0 {
		t.Errorf("%d %s %s, %d restores", status, out, talk, m.restores())
	}
	if got, want := m.undone(), []string{"/4 4.2", "/2 4.2"}; !slices.Equal(got, want) {
		t.Errorf("undone %v, want %v", got, want)
	}
	if err := os.Remove(filepath.Join(m.dir, "broken")); err != nil {
		t.Fatal(err)
	}
	if status, out, talk := m.run("rollback", "--window", window, "--restore-snapshot"); status != exitOK {
		t.Errorf("%d %s %s", status, out, talk)
	}
	if got, want := m.undone(), []string{"/4 4.2", "/2 4.2", "/3 4.1", "/1 4.1"}; !slices.Equal(got, want) || m.get("version") != "4.1" {
		t.Errorf("undone %v, want %v; it runs %s", got, want, m.get("version"))
	}
}
