package ledger

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Every operation of the table is one that the code performs, under this very name.
func TestUsesNameOperations(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") || file == "reserve.go" {
			continue
		}
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		text.Write(raw)
	}
	for op := range uses {
		if !strings.Contains(text.String(), `"`+op+`"`) {
			t.Errorf("nothing performs %q", op)
		}
	}
}

func TestUse(t *testing.T) {
	ctx := t.Context()
	for op, want := range map[string]Use{"open window": UseNew, "record entry": UseNew, "report applied": UseFact, "claim rollback": UseUndo} {
		if got := UseOf(forOp(ctx, op)); got != want {
			t.Errorf("%s is for %d, want %d", op, got, want)
		}
	}
	if got := UseOf(forOp(WithUse(ctx, UseFact), "record entry")); got != UseFact {
		t.Errorf("what was said is not heard: %d", got)
	}
	fact, intent := checkedDraft{draft: Draft{State: EntryApplied}}, checkedDraft{draft: Draft{State: EntryIntended}}
	if useOf([]checkedDraft{fact, fact}) != UseFact || useOf([]checkedDraft{fact, intent}) != UseNew {
		t.Error("a batch is a fact only if all of it is")
	}
}
