package remediatortest

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// A Shared is a real server that all tests of a package use. It starts with the first test that asks for it, in a
// folder of its own, and ends with [Shared.Main].
type Shared struct {
	// ProgramFunc prepares the folder, which everybody may enter, and says what is started and where it answers.
	ProgramFunc func(t testing.TB, dir string) (p Program, url string)
	// AfterFunc ends what the program left behind; nil: nothing. It is called in the folder's lifetime.
	AfterFunc func(dir string) error

	once    sync.Once
	err     error
	url     string
	dir     string
	process *Process
}

// URL returns the server's address.
func (s *Shared) URL(t testing.TB) string {
	t.Helper()
	s.once.Do(func() { s.err = s.start(t) })
	if s.err != nil {
		t.Fatal(s.err)
	}
	return s.url
}

func (s *Shared) start(t testing.TB) (err error) {
	if s.dir, err = os.MkdirTemp("", "server-"); err != nil { //nolint:usetesting // it outlives the test that starts it
		return err
	}
	if err := os.Chmod(s.dir, 0o755); err != nil { // a server that runs as somebody else works in it
		return err
	}
	var p Program
	p, s.url = s.ProgramFunc(t, s.dir)
	p.Dir = s.dir
	s.process, err = Launch(p)
	return err
}

// Main runs the tests of a package and then ends the server. It returns the exit status.
func (s *Shared) Main(m *testing.M) (code int) {
	code = KeepProofs(m.Run())
	if s.process != nil {
		s.process.Stop()
	}
	if s.AfterFunc != nil && s.dir != "" {
		if err := s.AfterFunc(s.dir); err != nil {
			fmt.Fprintln(os.Stderr, "end the server:", err)
			code = 1
		}
	}
	if s.dir != "" {
		if err := os.RemoveAll(s.dir); err != nil {
			fmt.Fprintln(os.Stderr, "remove the server's folder:", err)
			code = 1
		}
	}
	return code
}

// Slug makes a test's name into what any third party takes as the name of a thing: small letters, digits and '-'.
func Slug(t testing.TB) string {
	t.Helper()
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			return r
		}
		return '-'
	}, strings.ToLower(filepath.Base(t.Name())))
}
