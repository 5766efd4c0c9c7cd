package ledgertest

import (
	"os"
	"path/filepath"
	"testing"
)

// memory is a folder in memory, where there is one.
const memory = "/dev/shm"

// MemoryDir returns a folder in memory where there is one, else one on a disk: for tests that write much and are not
// about durability. It is removed when the test ends.
func MemoryDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp(memory, "ledger") //nolint:usetesting // TempDir is on a disk
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// Files returns what stands in all files of a folder, and below it. It fails the test if there is none.
func Files(t testing.TB, folder string) []byte {
	t.Helper()
	var all []byte
	err := filepath.WalkDir(folder, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		raw, err := os.ReadFile(path)
		all = append(all, raw...)
		return err
	})
	if err != nil || len(all) == 0 {
		t.Fatalf("%s: %d bytes, %v", folder, len(all), err)
	}
	return all
}
