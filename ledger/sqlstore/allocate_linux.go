package sqlstore

import (
	"os"
	"syscall"
)

// allocate makes the filesystem set blocks aside for f, or is [errors.ErrUnsupported].
func allocate(f *os.File, at, size int64) error {
	for {
		err := syscall.Fallocate(int(f.Fd()), 0, at, size)
		if err != syscall.EINTR { //nolint:errorlint // a bare number of the system
			return err
		}
	}
}
