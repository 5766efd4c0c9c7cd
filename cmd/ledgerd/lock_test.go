package main

import (
	"os"
	"path/filepath"
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
