package main

import (
	"os"
	"path/filepath"
	"testing"
)

// The suite is looked for in ledgerd; without one the command says what is missing.
func TestFindLedgerd(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("PATH", dir)
	if path, err := findLedgerd(); err == nil {
		t.Errorf("it found %s", path)
	}
	want := filepath.Join(dir, "ledgerd")
	if err := os.WriteFile(want, []byte("#!/bin/sh\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	if path, err := findLedgerd(); err != nil || path != want {
		t.Errorf("it found %s, %v", path, err)
	}
}
