package remediatortest

import (
	"context"
	"encoding/json"
	"slices"
	"testing"

	"sideledger/ledger"
)

// inert is a remediator that does nothing and says that all is well.
type inert struct{ panics bool }

func (inert) Kinds() []string { return []string{""} }

func (i inert) Check(*ledger.Draft) (ledger.Grading, error) {
	if i.panics {
		panic("no")
	}
	return ledger.Grading{CanLook: true}, nil
}

func (inert) Look(context.Context, *ledger.Entry) (ledger.Look, error) {
	return ledger.Look{Known: true, Now: ledger.Image{JSON: json.RawMessage(`{"v":"new"}`)}}, nil
}

func (inert) Preview(*ledger.Entry, ledger.Look) (ledger.Request, error) {
	return ledger.Request{Summary: "nothing"}, nil
}

func (inert) Undo(context.Context, *ledger.Entry, ledger.Look) (ledger.Answer, error) {
	return ledger.Answer{Class: ledger.AnswerAccepted}, nil
}

// Outside `go test` a check that fails, stops or panics is a mark, and the others go on.
func TestGrade(t *testing.T) {
	for _, panics := range []bool{false, true} {
		ended := 0
		s := Subject{
			BindToFunc: func(t T, _ *Third) ledger.Remediator {
				t.Cleanup(func() { ended++ })
				return inert{panics}
			},
			EntryFunc: func(action ledger.Action, _, before, after string) *ledger.Entry {
				return &ledger.Entry{Draft: ledger.Draft{Action: action, Before: image(before), After: image(after)}}
			},
		}
		passed, failed := []string{}, []string{}
		all, err := Grade(t.Context(), s, func(m Mark) {
			if len(m.Why) > 0 {
				failed = append(failed, m.Check)
			} else {
				passed = append(passed, m.Check)
			}
		})
		if all || err != nil || ended == 0 {
			t.Errorf("all passed: %t, %v, %d ended", all, err, ended)
		}
		for _, name := range []string{"Undone/update", "Undone/create", "Classified/422", "AnswersLost", "Cancelled", "NotFoundProvesNothing"} {
			if !slices.Contains(failed, name) {
				t.Errorf("%s does not fail; what does is %v", name, failed)
			}
		}
		if !slices.Contains(passed, "PreviewSendsNothing") {
			t.Errorf("what passes is %v", passed)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if all, err := Grade(ctx, Subject{}, func(Mark) { t.Error("it began") }); all || err == nil {
		t.Errorf("given up: %t, %v", all, err)
	}
}
