package ledger

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
)

var updateDocs = flag.Bool("update", false, "rewrite docs/states.md from the tables")

// docs/states.md is written from the tables of moves.
func TestStatesPage(t *testing.T) {
	const page = "../docs/states.md"
	var b strings.Builder
	b.WriteString("# States\n\nGenerated from the tables in `ledger/states.go` by `go test ./ledger -run TestStatesPage -update`; a test holds this page to them.\n" +
		"A move that is not listed cannot happen: every move is one guarded update and one journal record in the same transaction.\n")
	writeTable(&b, "Window", windowMoves)
	writeTable(&b, "Entry", entryMoves)
	writeTable(&b, "Rollback", rollbackMoves)
	if *updateDocs {
		if err := os.WriteFile(page, []byte(b.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != b.String() {
		t.Error("docs/states.md does not belong to the tables; run with -update")
	}
}

func writeTable[S ~string](b *strings.Builder, noun string, t table[S]) {
	fmt.Fprintf(b, "\n## %s\n\n| from | to | moved by |\n| --- | --- | --- |\n", noun)
	for _, r := range t {
		if len(r.to) == 0 {
			fmt.Fprintf(b, "| `%s` | – | final |\n", r.from)
			continue
		}
		var to []string
		for _, s := range r.to {
			to = append(to, "`"+string(s)+"`")
		}
		fmt.Fprintf(b, "| `%s` | %s | %s |\n", r.from, strings.Join(to, ", "), r.by)
	}
}

// Every state has a row, and every move leads to a state that has one.
func TestTablesAreClosed(t *testing.T) {
	checkClosed(t, "window", windowMoves)
	checkClosed(t, "entry", entryMoves)
	checkClosed(t, "rollback", rollbackMoves)
}

func checkClosed[S ~string](t *testing.T, noun string, moves table[S]) {
	t.Helper()
	rows := map[S]bool{}
	for _, r := range moves {
		rows[r.from] = true
	}
	for _, r := range moves {
		for _, to := range r.to {
			if !rows[to] {
				t.Errorf("%s: %s leads to %s, which has no row", noun, r.from, to)
			}
			if to == r.from {
				t.Errorf("%s: %s leads to itself", noun, to)
			}
		}
	}
}

func TestMoves(t *testing.T) {
	if !EntryApplied.MayBecome(EntryUndoing) || EntryUndone.MayBecome(EntryApplied) || EntryIntended.MayBecome(EntryUndone) {
		t.Error("the entry table allows what it must not, or not what it must")
	}
	if WindowRolledBack.MayBecome(WindowOpen) || !WindowRolledBack.MayBecome(WindowStuck) {
		t.Error("a window that was rolled back may only become stuck")
	}
}
