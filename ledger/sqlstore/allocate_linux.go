package sqlstore

import (
	"os"
	"syscall"
)

// allocate makes the filesystem set blocks aside for f, or is [errors.ErrUnsupported].
func allocate(f *os.File, at, size int64) error {
	return fallocate(f, 0, at, size)
}

// giveTo sets blocks aside behind the end of a file, whose length stays. It must not be used on the database: closing
// that file would end SQLite's locks on it.
func giveTo(name string, size int64) error {
	const keepSize = 1                        // FALLOC_FL_KEEP_SIZE
	f, err := os.OpenFile(name, os.O_RDWR, 0) //nolint:gosec // the WAL of the ledger
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	return fallocate(f, keepSize, info.Size(), size)
}

func fallocate(f *os.File, mode uint32, at, size int64) error {
	for {
		err := syscall.Fallocate(int(f.Fd()), mode, at, size)
		if err != syscall.EINTR {
			return err
		}
	}
}
