package manual

import (
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"sideledger/ledger"
	"sideledger/remediators"
)

func bind(t *testing.T, c remediators.SystemConfig) (ledger.Remediator, error) {
	t.Helper()
	c.Remediator = "manual"
	reg, _, err := remediators.NewRegistry(remediators.Options{
		Systems: map[string]remediators.SystemConfig{"people": c}, Factories: map[string]remediators.Factory{"manual": Factory},
		Clock: time.Now, Log: slog.New(slog.DiscardHandler), Getenv: func(string) string { return "" },
	})
	if err != nil {
		return nil, err
	}
	_, rem, err := reg.Find("people")
	return rem, err
}

func TestManual(t *testing.T) {
	rem, err := bind(t, remediators.SystemConfig{})
	if err != nil {
		t.Fatal(err)
	}
	e := &ledger.Entry{Draft: ledger.Draft{Kind: "manual.phone", Undo: json.RawMessage(`{"instructions":"call the carrier","owner":"Ada","evidence":"ticket closed"}`)}}
	g, err := rem.Check(&e.Draft)
	if err != nil || g.Reversible != ledger.ReversibleManual || g.CanLook || len(g.Warnings) != 1 {
		t.Errorf("%+v, %v", g, err)
	}
	if seen, err := rem.Look(t.Context(), e); err != nil || seen.Known {
		t.Errorf("%+v, %v", seen, err)
	}
	const want = "call the carrier (owner: Ada) (evidence: ticket closed)"
	if req, err := rem.Preview(e, ledger.Look{}); err != nil || req.Summary != want || req.Method != "" {
		t.Errorf("%+v, %v", req, err)
	}
	if ans, err := rem.Undo(t.Context(), e, ledger.Look{}); err != nil || ans.Class != ledger.AnswerManual || ans.Detail != want {
		t.Errorf("%+v, %v", ans, err)
	}
	e.Undo = nil
	if g, err := rem.Check(&e.Draft); err != nil || len(g.Warnings) != 2 {
		t.Errorf("without instructions: %+v, %v", g, err)
	}
	if req, _ := rem.Preview(e, ledger.Look{}); !strings.Contains(req.Summary, "no instructions") {
		t.Errorf("%+v", req)
	}
}

func TestManualIsStrict(t *testing.T) {
	rem, err := bind(t, remediators.SystemConfig{})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		d     ledger.Draft
		field string
	}{
		{ledger.Draft{Kind: "manual", Undo: json.RawMessage(`{"instruction":"x"}`)}, "/undo/instruction"},
		{ledger.Draft{Kind: "manual", Undo: json.RawMessage(`{"owner":5}`)}, "/undo/owner"},
		{ledger.Draft{Kind: "manual", Undo: json.RawMessage(`{"owner":"` + strings.Repeat("x", maxText+1) + `"}`)}, "/undo/owner"},
		{ledger.Draft{Kind: "manual", Undo: json.RawMessage(`[]`)}, "/undo"},
		{ledger.Draft{Kind: "manual", Read: json.RawMessage(`{"path":"/"}`)}, "/read"},
		{ledger.Draft{Kind: "manually"}, "/kind"},
		{ledger.Draft{Kind: "http.request"}, "/kind"},
	} {
		_, err := rem.Check(&c.d)
		var bad *ledger.Error
		if !errors.As(err, &bad) || bad.Field != c.field {
			t.Errorf("%s: %v", c.field, err)
		}
	}
	for field, c := range map[string]remediators.SystemConfig{
		"systems.people.url": {URL: "https://x.example"}, "systems.people.profile": {Profile: "x"},
		"systems.people.commands": {Commands: map[string]remediators.CommandConfig{"a": {}}},
	} {
		if _, err := bind(t, c); err == nil || !strings.Contains(err.Error(), field) {
			t.Errorf("%s: %v", field, err)
		}
	}
}
