package ledgertest

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// roundName is the test that runs a package's tests once more.
const roundName = "TestOnPostgres"

// OnPostgres reports whether a test runs below TestOnPostgres, by [Round.Run]: what it opens is then on PostgreSQL.
func OnPostgres(t testing.TB) bool {
	name, _, below := strings.Cut(t.Name(), "/")
	return below && name == roundName
}

// A Round is the tests of a package that run once more, on PostgreSQL, and those that do not.
type Round struct {
	Tests []func(*testing.T)
	// Raced are those of them that run with the race detector too. What a database changes for it is in the store, whose
	// own tests run with it on both, and everything takes several times as long.
	Raced []func(*testing.T)
	Not   map[string]string // names of tests, with spaces between, by the reason
}

// Run runs them, each under its name without Test. It fails unless every test of the package is in one of the two: nobody
// forgets one by adding it.
func (r Round) Run(t *testing.T) {
	t.Helper()
	there := testsOfPackage(t)
	named := map[string]bool{roundName: true}
	for reason, names := range r.Not {
		for name := range strings.FieldsSeq(names) {
			if named[name] || !slices.Contains(there, name) {
				t.Errorf("%s is named twice, or is no test of this package (%s)", name, reason)
			}
			named[name] = true
		}
	}
	for _, test := range r.Tests {
		name := nameOf(test)
		if named[name] {
			t.Errorf("%s is named twice", name)
		}
		named[name] = true
		if !raceDetector || slices.ContainsFunc(r.Raced, func(f func(*testing.T)) bool { return nameOf(f) == name }) {
			t.Run(strings.TrimPrefix(name, "Test"), test)
		}
	}
	for _, name := range there {
		if !named[name] {
			t.Errorf("%s does not run on PostgreSQL, and nobody says why", name)
		}
	}
}

func nameOf(test func(*testing.T)) string {
	full := runtime.FuncForPC(reflect.ValueOf(test).Pointer()).Name()
	return full[strings.LastIndexByte(full, '.')+1:]
}

// testsOfPackage returns the names of the tests in the files of the working folder.
func testsOfPackage(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob("*_test.go")
	if err != nil || len(files) == 0 {
		t.Fatalf("no files of tests here: %v", err)
	}
	var out []string
	for _, name := range files {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range file.Decls {
			f, ok := d.(*ast.FuncDecl)
			if ok && f.Recv == nil && strings.HasPrefix(f.Name.Name, "Test") && f.Name.Name != "TestMain" {
				out = append(out, f.Name.Name)
			}
		}
	}
	return out
}
