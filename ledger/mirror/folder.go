package mirror

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"sideledger/ledger/journal"
)

// segmentSize is how long a segment may become before the next one is begun.
const segmentSize = 64 << 20

// A Folder is a mirror in a folder on other storage. It is safe for concurrent use, also by several processes: each
// writes a segment of its own, whose lock it holds.
type Folder struct {
	dir   string
	clock func() time.Time
	size  int64 // of a full segment

	mu   sync.Mutex
	file *os.File // the locked segment; nil: none yet, or the last write failed
	at   int64    // bytes of it that are whole and on the disk
	left mark     // where the last write that was answered ended
}

// A mark is the end of what a folder has been told of: the segment, how long it was, and its last line.
type mark struct {
	name string // path; empty: nothing was written
	at   int64
	line []byte // with its line feed
}

// NewFolder returns the mirror in a folder, which is made if its parent is there: a parent that is missing is storage
// that is not mounted. It writes nothing else.
func NewFolder(dir string, clock func() time.Time) (*Folder, error) {
	if !filepath.IsAbs(dir) {
		return nil, fmt.Errorf("mirror folder %s: want an absolute path", dir)
	}
	err := os.Mkdir(dir, 0o700)
	if err == nil {
		err = syncDir(filepath.Dir(dir))
	} else if errors.Is(err, os.ErrExist) {
		err = nil
	}
	if err != nil {
		return nil, fmt.Errorf("mirror folder: %w", err)
	}
	return &Folder{dir: dir, clock: clock, size: segmentSize}, nil
}

// Name names the mirror in positions, messages and logs.
func (f *Folder) Name() string { return "folder:" + f.dir }

// Write adds keys and records; they are on the disk when it returns nil. After an error nobody knows: the same ones are
// written again then, and stand there twice.
func (f *Folder) Write(_ context.Context, keys []journal.WrappedKey, records []journal.Mirrored) error {
	lines, err := linesOf(keys, records)
	if err != nil {
		return err
	}
	return f.add(lines)
}

// WriteSigned adds a signed head, likewise.
func (f *Folder) WriteSigned(_ context.Context, s journal.SignedHead) error {
	var b bytes.Buffer
	if err := journal.WriteSigned(&b, s); err != nil {
		return err
	}
	return f.add(b.Bytes())
}

// Read implements [Reader].
func (f *Folder) Read(_ context.Context, each func(journal.Mirrored) error) (*journal.Mirror, error) {
	return journal.ReadMirror(os.DirFS(f.dir), each)
}

// Close lets the segment go.
func (f *Folder) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.drop()
}

func (f *Folder) add(lines []byte) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(lines) == 0 {
		return nil
	}
	if f.file == nil || f.at >= f.size {
		if err := f.next(); err != nil {
			return fmt.Errorf("mirror folder: %w", err)
		}
	}
	_, err := f.file.WriteAt(lines, f.at)
	if err == nil {
		err = f.file.Sync()
	}
	if err == nil {
		err = f.reachable()
	}
	if err != nil { // what is there now is not known: the segment is read, and its tail cut, before it is used again
		_ = f.drop()
		return fmt.Errorf("mirror folder: %w", err)
	}
	f.at += int64(len(lines))
	last := lines[bytes.LastIndexByte(lines[:len(lines)-1], '\n')+1:]
	f.left = mark{name: f.file.Name(), at: f.at, line: bytes.Clone(last)}
	return nil
}

// reachable refuses a segment that is no longer what its name leads to: the folder was removed, moved, or unmounted.
func (f *Folder) reachable() error {
	held, err := f.file.Stat()
	if err != nil {
		return err
	}
	named, err := os.Stat(f.file.Name())
	if err != nil {
		return err
	}
	if !os.SameFile(held, named) {
		return errors.New("another file has the segment's name")
	}
	return nil
}

// wants refuses a folder that has not all that was answered before: it is another one, or an older copy. A start reads
// what is there; until then nothing more is taken.
func (m mark) wants() error {
	if m.name == "" {
		return nil
	}
	tail := make([]byte, len(m.line))
	file, err := os.Open(m.name)
	if err != nil {
		return fmt.Errorf("it has not what was written before: %w. Is its storage mounted?", err)
	}
	_, err = file.ReadAt(tail, m.at-int64(len(tail)))
	_ = file.Close()
	if err != nil || !bytes.Equal(tail, m.line) {
		return errors.New("it is not as it was left: records are missing. Bring the right one back, or start the server anew, which says what is missing")
	}
	return nil
}

func (f *Folder) drop() error {
	if f.file == nil {
		return nil
	}
	err := f.file.Close()
	f.file = nil
	return err
}

// next goes on with the newest segment if that is not full and nobody else's, after its torn tail was cut off, and
// else begins a new one.
func (f *Folder) next() error {
	_ = f.drop()
	if err := f.left.wants(); err != nil {
		return err
	}
	names, err := filepath.Glob(filepath.Join(f.dir, "*"+journal.SegmentSuffix))
	if err != nil {
		return err
	}
	if len(names) > 0 { // Glob sorts them
		if done, err := f.resume(names[len(names)-1]); done || err != nil {
			return err
		}
	}
	random := make([]byte, 4)
	_, _ = rand.Read(random) // never fails
	last := int64(0)
	if len(names) > 0 {
		_, _ = fmt.Sscanf(filepath.Base(names[len(names)-1]), "%016d-", &last)
	}
	name := fmt.Sprintf("%016d-%s%s", max(f.clock().UnixMicro(), last+1), hex.EncodeToString(random), journal.SegmentSuffix)
	file, err := os.OpenFile(filepath.Join(f.dir, name), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600) //nolint:gosec // a name of ours in the folder that the operator names
	if err != nil {
		return err
	}
	if err := errors.Join(unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB), syncDir(f.dir)); err != nil {
		return errors.Join(err, file.Close())
	}
	f.file, f.at = file, 0
	return nil
}

// resume takes over a segment; false: it is full, or somebody writes it.
func (f *Folder) resume(name string) (bool, error) {
	file, err := os.OpenFile(name, os.O_RDWR, 0o600) //nolint:gosec // a file of ours in the folder that the operator names
	if err != nil {
		return false, err
	}
	err = unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return false, file.Close()
	}
	info, statErr := file.Stat()
	if err = errors.Join(err, statErr); err != nil || info.Size() >= f.size {
		return false, errors.Join(err, file.Close())
	}
	whole, err := wholeLines(file, info.Size())
	if err == nil && whole < info.Size() {
		err = errors.Join(file.Truncate(whole), file.Sync())
	}
	if err != nil {
		return false, errors.Join(err, file.Close())
	}
	f.file, f.at = file, whole
	return true, nil
}

// wholeLines returns how many bytes of a segment are whole lines: up to its last line feed, less lines at the end that
// are not JSON, as a power cut may leave them.
func wholeLines(file *os.File, size int64) (int64, error) {
	raw := make([]byte, size)
	if _, err := file.ReadAt(raw, 0); err != nil && size > 0 {
		return 0, err
	}
	for {
		raw = raw[:bytes.LastIndexByte(raw, '\n')+1]
		if len(raw) == 0 {
			return 0, nil
		}
		start := bytes.LastIndexByte(raw[:len(raw)-1], '\n') + 1
		if journal.IsMirrorLine(raw[start : len(raw)-1]) {
			return int64(len(raw)), nil
		}
		raw = raw[:start]
	}
}

// syncDir makes a new name in a folder durable.
func syncDir(dir string) error {
	d, err := os.Open(dir) //nolint:gosec // the folder that the operator names, or its parent
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
