package ledgertest

import (
	"os"
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
