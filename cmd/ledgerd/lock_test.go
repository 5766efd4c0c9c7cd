package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// However a ledger's file is spelled, its lock is one.
func TestOneLockForAllSpellings(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "l.db")
	link, folder := filepath.Join(dir, "link.db"), filepath.Join(dir, "folder")
	for _, err := range []error{os.Symlink(file, link), os.Symlink(dir, folder)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	t.Chdir(dir)
	for _, there := range []bool{false, true} { // before the file is made, and after
		if there {
			if err := os.WriteFile(file, nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		unlock, err := lockLedger(&Config{Database: "sqlite:" + file, Reserve: "0"})
		if err != nil {
			t.Fatal(err)
		}
		spellings := []string{file, "l.db", "./l.db", filepath.Join(folder, "l.db"), filepath.Join(dir, "folder", "..", "l.db")}
		if there {
			spellings = append(spellings, link)
		}
		for _, s := range spellings {
			if again, err := lockLedger(&Config{Database: "sqlite:" + s, Reserve: "0"}); err == nil {
				again()
				t.Errorf("%s was locked twice (the file is there: %v)", s, there)
			}
		}
		unlock()
	}
}

// A database file with a second name is opened under neither: each name has a lock and a -wal file of its own.
func TestNoLedgerUnderTwoNames(t *testing.T) {
	h := newHouse(t, false)
	h.must("token", "list")
	link := filepath.Join(h.dir, "link.db")
	if err := os.Link(h.db(), link); err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{link, h.db()} {
		for _, args := range [][]string{{"serve", "--listen", "127.0.0.1:0"}, {"token", "list"}, {"migrate"}} {
			status, _, talk := h.run(append(args, "--database", "sqlite:"+file)...)
			if status != exitFailure || !strings.Contains(talk, "2 names") {
				t.Errorf("%v of %s: %d %s", args, file, status, talk)
			}
		}
	}
	if err := os.Remove(link); err != nil {
		t.Fatal(err)
	}
	h.must("token", "list")
}
