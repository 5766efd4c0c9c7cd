package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	testName = regexp.MustCompile("`[a-z]* ?((?:Test|Fuzz)[A-Za-z0-9]+)(\\*?)`|`((?:Test|Fuzz)[A-Za-z0-9]+)(\\*?)`")
	testFunc = regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)[A-Za-z0-9]+)\(`)
)

// The pages that name the test behind a promise name tests that are there.
func TestPagesNameRealTests(t *testing.T) {
	root := filepath.Join("..", "..")
	var there []string
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() && strings.HasPrefix(d.Name(), ".") && path != root {
			if err == nil {
				err = fs.SkipDir
			}
			return err
		}
		if !strings.HasSuffix(path, "_test.go") {
			return nil
		}
		text, err := os.ReadFile(path)
		for _, m := range testFunc.FindAllStringSubmatch(string(text), -1) {
			there = append(there, m[1])
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	named := 0
	for _, page := range []string{"security.md", "reliability.md"} {
		text, err := os.ReadFile(filepath.Join(root, "docs", page))
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range testName.FindAllStringSubmatch(string(text), -1) {
			name, prefix := m[1]+m[3], m[2]+m[4] == "*"
			named++
			if !hasTest(there, name, prefix) {
				t.Errorf("docs/%s names %s, which is no test", page, name)
			}
		}
	}
	if named < 50 {
		t.Errorf("%d tests are named: this page was read wrongly", named)
	}
}

func hasTest(there []string, name string, prefix bool) bool {
	for _, is := range there {
		if is == name || prefix && strings.HasPrefix(is, name) {
			return true
		}
	}
	return false
}
