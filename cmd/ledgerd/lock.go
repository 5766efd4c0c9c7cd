package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// lockLedger makes this process the only runner of an embedded ledger, so that leases of dead ones may be
// taken over at once, and lets it keep the reserve. The lock ends with the process, however it ends. For
// PostgreSQL it does nothing: leases alone decide there.
func lockLedger(c *Config) (unlock func(), err error) {
	file := c.sqliteFile()
	if file == "" {
		return func() {}, nil
	}
	file = realPath(file)
	f, err := lockFile(file + ".lock")
	switch {
	case errors.Is(err, unix.EWOULDBLOCK):
		return nil, fmt.Errorf("a server runs on %s already: use its API, or stop it first", file)
	case err != nil:
		return nil, fmt.Errorf("lock the ledger: %w", err)
	}
	if c.reserve, err = c.reserveBytes(); err != nil {
		_ = f.Close()
		return nil, err
	}
	return func() { _ = f.Close() }, nil
}

// lockFile makes a file, locks it, and returns it as the one that has the name: a rebuild that failed takes its lock away.
func lockFile(name string) (*os.File, error) {
	for {
		f, err := os.OpenFile(name, os.O_CREATE|os.O_RDWR, 0o600) //nolint:gosec // the operator names the database
		if err != nil {
			return nil, err
		}
		if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
			_ = f.Close()
			return nil, err
		}
		locked, err := f.Stat()
		if there, err2 := os.Stat(name); err == nil && err2 == nil && os.SameFile(locked, there) {
			return f, nil
		}
		_ = f.Close()
		if err != nil {
			return nil, err
		}
	}
}

// realPath returns the one spelling of a file's path that all links to it share, so that two processes that
// name one ledger in different ways meet at one lock. A file that is not there yet has its folder's.
func realPath(file string) string {
	if real, err := filepath.EvalSymlinks(file); err == nil {
		return real
	}
	if dir, err := filepath.EvalSymlinks(filepath.Dir(file)); err == nil {
		return filepath.Join(dir, filepath.Base(file))
	}
	return file
}
