package remediators

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"sideledger/ledger"
)

// explosive panics in every call, with a value that must not be shown.
type explosive struct{}

func (explosive) Kinds() []string                             { return []string{"x"} }
func (explosive) Check(*ledger.Draft) (ledger.Grading, error) { panic("canary-7f3a") }
func (explosive) Look(context.Context, *ledger.Entry) (ledger.Look, error) {
	panic(errors.New("canary-7f3a"))
}

func (explosive) Preview(*ledger.Entry, ledger.Look) (ledger.Request, error) { panic("canary-7f3a") }

func (explosive) Undo(context.Context, *ledger.Entry, ledger.Look) (ledger.Answer, error) {
	panic("canary-7f3a")
}

func (explosive) Renamed(*ledger.Draft) json.RawMessage       { panic("canary-7f3a") }
func (explosive) Canonical(string, ledger.Image) ledger.Image { panic("canary-7f3a") }
func (explosive) Held(context.Context) (int, bool, error)     { panic("canary-7f3a") }

// A remediator that panics ends neither the server nor the run: each call says what is known of it.
func TestAPanicIsAnError(t *testing.T) {
	var log bytes.Buffer
	reg, _, err := NewRegistry(Options{
		Systems: map[string]SystemConfig{"sys": {Remediator: "explosive"}}, Clock: time.Now, Log: slog.New(slog.NewTextHandler(&log, nil)),
		Factories: map[string]Factory{"explosive": func(Binding) (ledger.Remediator, error) { return explosive{}, nil }},
		Getenv:    func(string) string { return "" },
	})
	if err != nil {
		t.Fatal(err)
	}
	defer reg.Close()
	_, rem, err := reg.Find("sys")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := rem.Check(&ledger.Draft{}); ledger.CodeOf(err) != ledger.CodeInvalid {
		t.Errorf("check: %v", err)
	}
	_, look := rem.Look(t.Context(), &ledger.Entry{})
	_, preview := rem.Preview(&ledger.Entry{}, ledger.Look{})
	_, undo := rem.Undo(t.Context(), &ledger.Entry{}, ledger.Look{})
	for want, err := range map[ledger.CallClass]error{ledger.CallAnswered: look, ledger.CallDenied: preview, ledger.CallAmbiguous: undo} {
		var call *ledger.CallError
		if !errors.As(err, &call) || call.Class != want {
			t.Errorf("%v, want class %s", err, want)
		}
	}
	if got := rem.(ledger.Renamer).Renamed(&ledger.Draft{}); got != nil {
		t.Errorf("renamed to %s", got)
	}
	if got := rem.(ledger.Canonicalizer).Canonical("x", ledger.Absent); !got.IsAbsent() {
		t.Errorf("canonical form %s", got.JSON)
	}
	if _, _, err := rem.(ledger.Counter).Held(t.Context()); err == nil {
		t.Error("counted")
	}
	if !strings.Contains(log.String(), "a remediator panicked") || strings.Contains(log.String(), "canary-7f3a") {
		t.Errorf("log: %s", log.String())
	}
}
