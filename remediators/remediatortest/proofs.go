package remediatortest

import (
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"testing"
)

// What tests proved at real servers is kept in a file of their package, from which the table in docs/remediators is
// generated. PROOFS=write in the environment of a run of all the package's tests writes it anew; PROOFS=add adds what some
// of them prove.
const (
	proofsFile  = "testdata/proved.txt"
	proofsWrite = "PROOFS"
)

// proofs are what the tests of this process proved: "KIND WHAT…".
var proofs = struct {
	mu   sync.Mutex
	seen map[string]bool
}{seen: map[string]bool{}}

// Proves says what a test proves of a kind at the real server, if it passes: "create undone", "delete compensated",
// "drift", "between", "gone", "lost", "rehearsed", "listed", "credential".
func Proves(t testing.TB, kind string, what ...string) {
	t.Helper()
	t.Cleanup(func() {
		if t.Failed() || t.Skipped() {
			return
		}
		proofs.mu.Lock()
		defer proofs.mu.Unlock()
		for _, w := range what {
			proofs.seen[kind+" "+w] = true
		}
	})
}

// KeepProofs holds what the tests of a package proved to its file: TestMain calls it with their exit status and ends with the
// one that it returns. A run of some of the tests may prove less.
func KeepProofs(code int) int {
	if code != 0 {
		return code
	}
	if err := keepProofs(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

func keepProofs() error {
	proofs.mu.Lock()
	defer proofs.mu.Unlock()
	lines := slices.Sorted(maps.Keys(proofs.seen))
	raw, err := os.ReadFile(proofsFile)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	kept := strings.FieldsFunc(string(raw), func(r rune) bool { return r == '\n' })
	switch how := os.Getenv(proofsWrite); {
	case how == "add":
		return writeProofs(append(lines, kept...))
	case how == "write" && !partial():
		return writeProofs(lines)
	default:
		return compareProofs(kept, lines, partial())
	}
}

func writeProofs(lines []string) error {
	slices.Sort(lines)
	if err := os.MkdirAll(filepath.Dir(proofsFile), 0o750); err != nil {
		return err
	}
	return os.WriteFile(proofsFile, []byte(strings.Join(slices.Compact(lines), "\n")+"\n"), 0o600)
}

// compareProofs says how the file and the tests differ.
func compareProofs(kept, seen []string, some bool) error {
	for _, l := range seen {
		if !slices.Contains(kept, l) {
			return fmt.Errorf("%s: a test proved %q, which it does not have; PROOFS=write go test writes it anew", proofsFile, l)
		}
	}
	for _, l := range kept {
		if !some && !slices.Contains(seen, l) {
			return fmt.Errorf("%s: it has %q, which no test proved", proofsFile, l)
		}
	}
	return nil
}

// partial reports whether some tests alone ran: picked by name, or left out under the race detector.
func partial() bool {
	for _, name := range []string{"test.run", "test.skip", "test.list"} {
		if f := flag.Lookup(name); f != nil && f.Value.String() != "" {
			return true
		}
	}
	info, ok := debug.ReadBuildInfo()
	return ok && slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"})
}
