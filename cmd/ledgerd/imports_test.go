package main_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "sideledger"

// topLevel is everything that may stand beside dot files at the top of the module. bin holds what
// `make build` builds and is not kept.
var topLevel = []string{
	"CHANGELOG.md", "LICENSE", "Makefile", "README.md", "api", "bin", "cmd", "docs", "go.mod", "go.sum",
	"ledger", "migrations", "remediators",
}

// An importRule says what one folder may import, besides the standard library.
type importRule struct {
	folder string   // a trailing /* means every folder directly below it that has no rule of its own
	ours   []string // folders of this module; "*" any
	others []string // modules of others, by path prefix; "*" any that has no home of its own
}

// importTable is "Who may import whom" of the architecture. Whoever may import ledger may import
// ledger/journal too: the signatures of package ledger name its types.
var importTable = []importRule{
	{"ledger/journal", nil, nil},
	{"ledger", []string{"ledger/journal"}, []string{"github.com/google/uuid"}},
	{
		"ledger/sqlstore",
		[]string{"ledger", "ledger/journal", "migrations"},
		[]string{"github.com/google/uuid", "github.com/uptrace/bun", "github.com/jackc/pgx/v5", "modernc.org/sqlite", "golang.org/x/sys"},
	},
	{"ledger/sqlstore/sqlstoretest", []string{"ledger/ledgertest", "ledger/sqlstore"}, nil},
	{"ledger/secrets", []string{"ledger"}, []string{"github.com/google/uuid", "github.com/tink-crypto/tink-go/v2"}},
	{"ledger/runner", []string{"ledger", "ledger/journal"}, []string{"github.com/google/uuid", "github.com/riverqueue/river", "github.com/jackc/pgx/v5"}},
	{"ledger/preflight/*", []string{"ledger", "ledger/journal"}, []string{"*"}},
	{"ledger/watch", []string{"ledger", "ledger/journal"}, []string{"*"}},
	{"ledger/mirror", []string{"ledger/journal"}, []string{"golang.org/x/sys"}},
	{"ledger/heads", []string{"ledger/journal"}, []string{"golang.org/x/mod"}},
	{"ledger/ledgertest", []string{"ledger", "ledger/journal"}, []string{"github.com/google/uuid", "github.com/google/go-cmp"}},
	{"remediators", []string{"ledger"}, []string{"*", "github.com/go-resty/resty/v2"}},
	{"remediators/remediatortest", []string{"ledger", "ledger/ledgertest", "remediators"}, []string{"*", "github.com/google/go-cmp"}},
	{"remediators/remediatortest/cards", nil, nil},
	{
		"remediators/windowtest",
		[]string{"ledger", "ledger/runner", "ledger/sqlstore", "ledger/sqlstore/sqlstoretest", "remediators", "remediators/remediatortest"},
		[]string{"github.com/google/uuid", "github.com/google/go-cmp"},
	},
	{"remediators/*", []string{"ledger", "remediators"}, []string{"*"}},
	{"api/wire", nil, []string{"github.com/google/uuid", "github.com/go-json-experiment/json"}},
	{"api", []string{"ledger", "ledger/journal", "api/wire", "api/console"}, []string{"*", "github.com/labstack/echo/v4"}},
	{"api/console", []string{"ledger", "ledger/journal", "api/wire"}, []string{"*", "github.com/labstack/echo/v4"}},
	{"api/client", []string{"api/wire"}, []string{"*", "github.com/go-resty/resty/v2"}},
	{"cmd/rollback", []string{"api/client", "api/wire", "ledger/journal"}, []string{"*"}},
	{"cmd/ledgerd", []string{"*"}, []string{"*", "go.opentelemetry.io/otel/sdk", "go.opentelemetry.io/otel/exporters"}},
	{"docs/examples/plugins/go", nil, nil}, // what an author of a plugin needs: the standard library
	{"migrations", nil, []string{"github.com/uptrace/bun"}},
}

// homes are the modules that live in few folders: "*" in a rule does not reach them.
var homes = []string{
	"github.com/uptrace/bun", "github.com/labstack/echo", "github.com/go-resty/resty", "github.com/riverqueue/river",
	"modernc.org/sqlite", "github.com/jackc/pgx", "github.com/tink-crypto/tink-go", "go.opentelemetry.io/otel/sdk",
	"go.opentelemetry.io/otel/exporters",
}

// testOnly are the modules that tests alone import.
var testOnly = []string{
	"github.com/google/go-cmp", "github.com/hanwen/go-fuse", "github.com/rogpeppe/go-internal", "pgregory.net/rapid",
}

// banned are assertion libraries and mock frameworks.
var banned = []string{
	"github.com/stretchr", "github.com/onsi", "github.com/golang/mock", "go.uber.org/mock", "gotest.tools",
	"github.com/frankban/quicktest", "github.com/matryer", "github.com/DATA-DOG",
}

// A source is one Go file of the module.
type source struct {
	path    string // relative to the module, with slashes
	folder  string
	test    bool
	imports []string
	inits   int // number of func init
}

func TestImports(t *testing.T) {
	for _, src := range sources(t) {
		rule := ruleFor(src.folder)
		if rule == nil {
			t.Errorf("%s: the import table does not know folder %s", src.path, src.folder)
			continue
		}
		for _, imp := range src.imports {
			if why := rule.refuses(&src, imp); why != "" {
				t.Errorf("%s imports %s: %s", src.path, imp, why)
			}
		}
	}
}

// TestImportTable keeps the table able to say no.
func TestImportTable(t *testing.T) {
	cases := []struct {
		folder, imports string
		test, allowed   bool
	}{
		{"ledger", "crypto/sha256", false, true},
		{"ledger", "github.com/google/uuid", false, true},
		{"ledger", "sideledger/ledger/journal", false, true},
		{"ledger", "sideledger/ledger/sqlstore", false, false},
		{"ledger", "sideledger/ledger/sqlstore", true, true},
		{"ledger", "github.com/uptrace/bun", false, false},
		{"ledger/journal", "github.com/google/uuid", false, false},
		{"ledger", "github.com/tink-crypto/tink-go/v2/aead", false, false},
		{"ledger/secrets", "github.com/tink-crypto/tink-go/v2/aead/subtle", false, true},
		{"ledger/secrets", "sideledger/ledger/sqlstore", false, false},
		{"remediators", "sideledger/ledger/secrets", false, false},
		{"ledger/journal", "sideledger/ledger", false, false},
		{"ledger/sqlstore", "github.com/uptrace/bun/dialect/pgdialect", false, true},
		{"ledger/sqlstore", "sideledger/api/wire", false, false},
		{"ledger/mirror", "sideledger/ledger", false, false},
		{"ledger/mirror", "sideledger/ledger/journal", false, true},
		{"ledger/heads", "golang.org/x/mod/sumdb/note", false, true},
		{"ledger/heads", "sideledger/ledger/sqlstore", false, false},
		{"ledger", "golang.org/x/mod/sumdb/tlog", false, false},
		{"remediators", "github.com/go-resty/resty/v2", false, true},
		{"remediators", "sideledger/ledger/journal", false, false},
		{"remediators/httpapi", "github.com/go-resty/resty/v2", false, false},
		{"remediators/httpapi", "sideledger/remediators/httpapi/internal/pointer", false, true},
		{"remediators/httpapi", "sideledger/remediators/manual", false, false},
		{"remediators/httpapi/internal/pointer", "sideledger/remediators", false, true},
		{"remediators/manual", "github.com/uptrace/bun", false, false},
		{"remediators/manual", "sideledger/ledger/sqlstore", false, false},
		{"remediators/windowtest", "sideledger/ledger/sqlstore", false, true},
		{"remediators/remediatortest", "sideledger/ledger/sqlstore", false, false},
		{"remediators/windowtest", "github.com/uptrace/bun", false, false},
		{"remediators/manual", "github.com/labstack/echo/v4", false, false},
		{"api/wire", "sideledger/ledger", false, false},
		{"api", "sideledger/ledger/sqlstore", false, false},
		{"api", "sideledger/remediators", false, false},
		{"api", "github.com/labstack/echo/v4/middleware", false, true},
		{"api/client", "sideledger/ledger", false, false},
		{"api/client", "github.com/labstack/echo/v4", false, false},
		{"cmd/rollback", "sideledger/ledger", false, false},
		{"cmd/rollback", "sideledger/ledger/journal", false, true},
		{"cmd/ledgerd", "sideledger/remediators/manual", false, true},
		{"cmd/ledgerd", "go.opentelemetry.io/otel/sdk/trace", false, true},
		{"api", "go.opentelemetry.io/otel/sdk/trace", false, false},
		{"api", "go.opentelemetry.io/otel/trace", false, true},
		{"remediators", "go.opentelemetry.io/otel/trace", false, true},
		{"ledger/runner", "go.opentelemetry.io/otel/trace", false, false},
		{"cmd/ledgerd", "github.com/uptrace/bun", false, false},
		{"ledger/preflight/scan", "sideledger/ledger", false, true},
		{"api", "github.com/stretchr/testify/assert", true, false},
		{"api", "github.com/google/go-cmp/cmp", true, true},
		{"api", "github.com/google/go-cmp/cmp", false, false},
		{"ledger/ledgertest", "github.com/google/go-cmp/cmp", false, true},
		{"api", "github.com/getkin/kin-openapi/openapi3", true, true},
	}
	for _, c := range cases {
		rule := ruleFor(c.folder)
		if rule == nil {
			t.Errorf("no rule for %s", c.folder)
			continue
		}
		why := rule.refuses(&source{folder: c.folder, test: c.test}, c.imports)
		if (why == "") != c.allowed {
			t.Errorf("%s imports %s (test %t): allowed %t, want %t %s", c.folder, c.imports, c.test, why == "", c.allowed, why)
		}
	}
	for _, folder := range []string{"util", "api/models", "ledger/common", "cmd/other", "."} {
		if ruleFor(folder) != nil {
			t.Errorf("the table has a rule for %s", folder)
		}
	}
}

// TestRiverInOneFile: the waker on PostgreSQL is the only thing that knows River.
func TestRiverInOneFile(t *testing.T) {
	var files []string
	for _, src := range sources(t) {
		if !src.test && slices.ContainsFunc(src.imports, func(s string) bool { return below(s, "github.com/riverqueue/river") }) {
			files = append(files, src.path)
		}
	}
	if len(files) > 1 {
		t.Errorf("River is imported by %v, want one file", files)
	}
}

func TestNoInit(t *testing.T) {
	for _, src := range sources(t) {
		if src.inits > 0 {
			t.Errorf("%s has a func init; what exists is listed in cmd/ledgerd/wire.go", src.path)
		}
	}
}

func TestTopLevel(t *testing.T) {
	list, err := os.ReadDir(root(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range list {
		if !strings.HasPrefix(e.Name(), ".") && !slices.Contains(topLevel, e.Name()) {
			t.Errorf("%s has no place at the top level", e.Name())
		}
	}
}

// refuses says why a file of this rule's folder may not import imp, and "" if it may.
func (r *importRule) refuses(src *source, imp string) string {
	if imp == module || below(imp, module) {
		return r.refusesOurs(src, strings.TrimPrefix(strings.TrimPrefix(imp, module), "/"))
	}
	if first, _, _ := strings.Cut(imp, "/"); !strings.Contains(first, ".") {
		return "" // the standard library
	}
	reaches := func(m string) bool { return below(imp, m) }
	switch {
	case slices.ContainsFunc(banned, reaches):
		return "tests use the standard library, go-cmp and testscript"
	case slices.ContainsFunc(r.others, reaches):
		return ""
	case slices.ContainsFunc(testOnly, reaches):
		return iff(!src.test, "that module is for tests")
	case slices.ContainsFunc(homes, reaches):
		return iff(!src.test, "that module has a home elsewhere")
	default:
		return iff(!src.test && !slices.Contains(r.others, "*"), "that module is not in the folder's rule")
	}
}

func iff(refused bool, why string) string {
	if refused {
		return why
	}
	return ""
}

// refusesOurs is refuses for a folder of this module. Tests may import any of ours.
func (r *importRule) refusesOurs(src *source, folder string) string {
	switch {
	case src.test, slices.Contains(r.ours, "*"), slices.Contains(r.ours, folder):
		return ""
	case below(folder, own(r.folder, src.folder)):
		return ""
	default:
		return "the table has it not in the rule of " + r.folder
	}
}

// own returns the folder that a file's rule stands for: with a * the folder that took its place.
func own(rule, folder string) string {
	prefix, found := strings.CutSuffix(rule, "*")
	if !found {
		return rule + "/internal"
	}
	first, _, _ := strings.Cut(strings.TrimPrefix(folder, prefix), "/")
	return prefix + first
}

// ruleFor returns the rule of a folder, or nil: exact first, then by *; internal folders follow the
// folder they stand in.
func ruleFor(folder string) *importRule {
	if parent, _, found := strings.Cut(folder, "/internal"); found {
		folder = parent
	}
	for i, r := range importTable {
		if r.folder == folder {
			return &importTable[i]
		}
	}
	for i, r := range importTable {
		prefix, found := strings.CutSuffix(r.folder, "*")
		rest, under := strings.CutPrefix(folder, prefix)
		if found && under && rest != "" && !strings.Contains(rest, "/") {
			return &importTable[i]
		}
	}
	return nil
}

func below(path, prefix string) bool {
	return path == prefix || strings.HasPrefix(path, prefix+"/")
}

// sources parses every Go file of the module, whatever its build constraints. Dot folders, testdata and
// what `make build` builds are left out.
func sources(t *testing.T) []source {
	t.Helper()
	top := root(t)
	var list []source
	err := filepath.WalkDir(top, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if path != top && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata") || path == filepath.Join(top, "bin") {
				return filepath.SkipDir
			}
			return nil
		}
		if strings.HasSuffix(path, ".go") {
			list = append(list, parse(t, top, path))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(list) < 10 {
		t.Fatalf("found %d Go files below %s; the walk is broken", len(list), top)
	}
	return list
}

func parse(t *testing.T, top, path string) source {
	t.Helper()
	rel, err := filepath.Rel(top, path)
	if err != nil {
		t.Fatal(err)
	}
	file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	rel = filepath.ToSlash(rel)
	src := source{path: rel, folder: filepath.ToSlash(filepath.Dir(rel)), test: strings.HasSuffix(rel, "_test.go")}
	for _, spec := range file.Imports {
		imp, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			t.Fatal(err)
		}
		src.imports = append(src.imports, imp)
	}
	for _, decl := range file.Decls {
		if f, ok := decl.(*ast.FuncDecl); ok && f.Recv == nil && f.Name.Name == "init" {
			src.inits++
		}
	}
	return src
}

// root returns the folder that holds go.mod.
func root(t *testing.T) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			t.Fatal("no go.mod above the test")
		}
		dir = parent
	}
}
