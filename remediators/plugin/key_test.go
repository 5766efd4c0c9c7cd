package plugin

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"sideledger/ledger"
)

// keyed is a plugin whose check says a key. version is what it greets with.
func keyed(t *testing.T, version, key string) string {
	t.Helper()
	path := hostile(t, "", `say(id=call["id"], check={"reversible": "exact", "can_look": True, "warnings": [], "key": `+key+`})`)
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	raw = bytes.Replace(raw, []byte(`protocol=1, name="hostile"`), []byte(`protocol=`+version+`, name="hostile"`), 1)
	if err := os.WriteFile(path, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// A plugin of version 2 names its resources itself, so that two spellings are one resource.
func TestKey(t *testing.T) {
	s := newStand(t, keyed(t, "2", `{"path": call["entry"]["resource"]["path"].lower()}`), nil)
	small, large := s.entry.Draft, s.entry.Draft
	large.Resource = []byte(`{"path":"/R/1"}`)
	a, err := s.Check(&small)
	if err != nil {
		t.Fatal(err)
	}
	b, err := s.Check(&large)
	if err != nil {
		t.Fatal(err)
	}
	if ledger.ResourceKey("docs", a.ResourceKey) != ledger.ResourceKey("docs", b.ResourceKey) || !strings.Contains(string(a.ResourceKey), "/r/1") {
		t.Errorf("the keys are %s and %s", a.ResourceKey, b.ResourceKey)
	}
	none := newStand(t, keyed(t, "2", "None"), nil)
	if g, err := none.Check(&small); err != nil || string(g.ResourceKey) != "null" {
		t.Errorf("nothing is named: %s, %v", g.ResourceKey, err)
	}
}

// A key that is none, one of a plugin that says it speaks version 1, and a version that nobody knows are refused.
func TestKeyRefused(t *testing.T) {
	for name, c := range map[string][2]string{"of version 1": {"1", `{"path": "x"}`}, "no object": {"2", `"x"`}, "unknown version": {"3", `{"path": "x"}`}} {
		s := newStand(t, keyed(t, c[0], c[1]), nil)
		d := s.entry.Draft
		d.State = ledger.EntryIntended
		if g, err := s.Check(&d); err == nil {
			t.Errorf("%s: taken as %s", name, g.ResourceKey)
		}
	}
}

// A plugin of version 1 goes on as it was: its resource is named by its members.
func TestKeyOfOldPlugin(t *testing.T) {
	s := newStand(t, hostile(t, "", `say(id=call["id"], check={"reversible": "exact", "can_look": True, "warnings": []})`), nil)
	if g, err := s.Check(&s.entry.Draft); err != nil || len(g.ResourceKey) != 0 {
		t.Errorf("key %s, %v", g.ResourceKey, err)
	}
}
