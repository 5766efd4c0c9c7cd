package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"sideledger/api/wire"
)

const (
	spoolSuffix = ".jsonl"
	// looseSpool holds facts on entries whose window nobody has named.
	looseSpool = "entries"
	lockPause  = 10 * time.Millisecond
)

// A spool is a folder of calls that no server has answered yet, one file a window, in the format of
// [wire.SpoolCall]. Files are readable by their owner alone. Several commands may use it at once: who
// reads, adds to or sends a file holds its lock.
type spool struct {
	app *app
	dir string
}

func (s *spool) file(window string) string { return filepath.Join(s.dir, window+spoolSuffix) }

// files returns the spool files of the folder in order; none where there is no folder.
func (s *spool) files() ([]string, error) {
	list, err := os.ReadDir(s.dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the spool: %w", err)
	}
	var out []string
	for _, e := range list {
		if e.Type().IsRegular() && strings.HasSuffix(e.Name(), spoolSuffix) && !strings.HasPrefix(e.Name(), ".") {
			out = append(out, filepath.Join(s.dir, e.Name()))
		}
	}
	return out, nil
}

// append adds calls to the file of a window. They are on disk when it returns nil.
func (s *spool) append(ctx context.Context, window string, calls ...wire.SpoolCall) error {
	if err := makeFolder(s.dir); err != nil {
		return fmt.Errorf("make the spool: %w", err)
	}
	f, err := s.open(ctx, s.file(window))
	if err != nil {
		return err
	}
	at, err := s.mend(f)
	var damaged *damagedError
	if errors.As(err, &damaged) {
		err = s.setAside(damaged)
		_ = f.Close()
		if err != nil {
			return err
		}
		return s.append(ctx, window, calls...)
	}
	defer f.Close()
	if err != nil {
		return err
	}
	return addCalls(f.File, at, calls)
}

// addCalls writes calls behind what at says is there, and waits until they are on disk.
func addCalls(f *os.File, at *wire.Spool, calls []wire.SpoolCall) error {
	var buf []byte
	var err error
	sum := at.Sum
	for _, c := range calls {
		if buf, sum, err = wire.AppendSpool(buf, sum, c); err != nil {
			return err
		}
	}
	if _, err := f.WriteAt(buf, at.Size); err != nil {
		return fmt.Errorf("write %s: %w", f.Name(), err)
	}
	if err := f.Sync(); err != nil {
		return fmt.Errorf("write %s: %w", f.Name(), err)
	}
	return syncFolder(filepath.Dir(f.Name()))
}

// A lockedFile is a spool file whose lock is held until it is closed.
type lockedFile struct{ *os.File }

// open opens a spool file, makes it where it is not there, and waits for its lock.
func (s *spool) open(ctx context.Context, name string) (*lockedFile, error) {
	for {
		f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600) //nolint:gosec // a name of our own in our own folder
		if err != nil {
			return nil, fmt.Errorf("open the spool: %w", err)
		}
		held, err := lock(f, name)
		if err != nil {
			_ = f.Close()
			return nil, err
		}
		if held {
			return &lockedFile{f}, nil
		}
		_ = f.Close()
		if err := s.app.pause(ctx, lockPause); err != nil {
			return nil, fmt.Errorf("wait for %s: %w", name, err)
		}
	}
}

// lock takes the file's lock. It reports false where somebody else holds it, or has put another file in
// its place meanwhile.
func lock(f *os.File, name string) (bool, error) {
	err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) || errors.Is(err, syscall.EINTR) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("lock %s: %w", name, err)
	}
	mine, err := f.Stat()
	if err != nil {
		return false, fmt.Errorf("lock %s: %w", name, err)
	}
	there, err := os.Stat(name)
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("lock %s: %w", name, err)
	}
	return os.SameFile(mine, there), nil
}

// mend reads a locked file. A torn last line is cut off and said: its writer never acted on it. Damage
// elsewhere is a [*wire.SpoolError] beside the good calls before it.
func (s *spool) mend(f *lockedFile) (*wire.Spool, error) {
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return nil, fmt.Errorf("read %s: %w", f.Name(), err)
	}
	got, err := wire.ReadSpool(f)
	var bad *wire.SpoolError
	switch {
	case err == nil:
		return got, nil
	case !errors.As(err, &bad):
		return nil, fmt.Errorf("read %s: %w", f.Name(), err)
	case bad.Torn:
		s.app.say("%s: %s. It is cut off; nothing was done on the strength of it", f.Name(), bad.Error())
		if err := f.Truncate(got.Size); err != nil {
			return nil, fmt.Errorf("cut off the torn line of %s: %w", f.Name(), err)
		}
		return got, nil
	default:
		return got, &damagedError{file: f.Name(), good: got, cause: bad}
	}
}

// A damagedError is a spool file that was changed in its middle.
type damagedError struct {
	file  string
	good  *wire.Spool // calls before the damage
	cause error
}

func (e *damagedError) Error() string { return e.file + " is damaged: " + e.cause.Error() }
func (e *damagedError) Unwrap() error { return e.cause }

// setAside moves a damaged file away, so that new calls are not lost behind the damage.
func (s *spool) setAside(d *damagedError) error {
	aside := d.file + ".damaged-" + s.app.now().Format("20060102T150405.000000000Z")
	if err := os.Rename(d.file, aside); err != nil {
		return fmt.Errorf("set the damaged spool aside: %w", err)
	}
	s.app.say("%v.\nIt is kept as %s: a person has to look at what is behind that line", d, aside)
	return syncFolder(s.dir)
}

// rewrite puts calls in the place of a locked file's content, whole or not at all; no calls remove it.
func (s *spool) rewrite(f *lockedFile, calls []wire.SpoolCall) error {
	if len(calls) == 0 {
		if err := os.Remove(f.Name()); err != nil {
			return fmt.Errorf("remove the sent spool: %w", err)
		}
		return syncFolder(s.dir)
	}
	return writeSpool(f.Name(), calls)
}

// find returns the window whose file has calls on an entry; "" where there is none.
func (s *spool) find(ctx context.Context, entry string) (string, error) {
	files, err := s.files()
	if err != nil {
		return "", err
	}
	for _, name := range files {
		f, err := s.open(ctx, name)
		if err != nil {
			return "", err
		}
		got, err := wire.ReadSpool(f)
		var bad *wire.SpoolError
		empty := err == nil && got.Size == 0
		if empty {
			_ = os.Remove(name) // made by open after somebody else had sent it
		}
		_ = f.Close()
		if err != nil && !errors.As(err, &bad) {
			return "", fmt.Errorf("read %s: %w", name, err)
		}
		if slices.ContainsFunc(got.Calls, func(c wire.SpoolCall) bool { return entryOf(c) == entry }) {
			return strings.TrimSuffix(filepath.Base(name), spoolSuffix), nil
		}
	}
	return "", nil
}

// hasIntent reports whether the file of a window has the recording of an entry itself.
func (s *spool) hasIntent(ctx context.Context, window, entry string) (bool, error) {
	f, err := s.open(ctx, s.file(window))
	if err != nil {
		return false, err
	}
	defer f.Close()
	got, err := wire.ReadSpool(f)
	var bad *wire.SpoolError
	if err != nil && !errors.As(err, &bad) {
		return false, fmt.Errorf("read %s: %w", f.Name(), err)
	}
	return slices.ContainsFunc(got.Calls, func(c wire.SpoolCall) bool { return isIntent(c) && entryOf(c) == entry }), nil
}

// makeFolder makes a folder for its owner alone and waits until it is on disk.
func makeFolder(dir string) error {
	_, err := os.Stat(dir)
	if !errors.Is(err, os.ErrNotExist) {
		return err
	}
	parent := filepath.Dir(dir)
	if err := makeFolder(parent); err != nil {
		return err
	}
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	return syncFolder(parent)
}

// syncFolder waits until the names in a folder are on disk. A folder that may not be read is left alone:
// nothing of ours was made in it.
func syncFolder(dir string) error {
	d, err := os.Open(dir) //nolint:gosec // a folder of our own, or above it
	if errors.Is(err, os.ErrPermission) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("sync %s: %w", dir, err)
	}
	defer d.Close()
	if err := d.Sync(); err != nil && !errors.Is(err, syscall.EINVAL) && !errors.Is(err, os.ErrPermission) {
		return fmt.Errorf("sync %s: %w", dir, err)
	}
	return nil
}
