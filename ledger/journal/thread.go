package journal

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
)

// A place is where a line of a mirror begins: its segment, by the order of their names, and the byte. A mirror has many records, so
// that this is all that is remembered of one.
type place uint64

const placeBits = 40 // of the byte

func placeOf(segment int, at int64) place { return place(segment)<<placeBits | place(at) } //nolint:gosec // neither is negative

func (p place) segment() int { return int(p >> placeBits) }
func (p place) at() int64    { return int64(p & (1<<placeBits - 1)) }

// placeBlock is how many places stand together at most, so that few are copied when more come.
const placeBlock = 4096

// A thread is one window's chain while a mirror is read.
type thread struct {
	id     string
	base   int64    // records up to it were removed from the ledger before this mirror got them
	prev   [32]byte // hash of record base
	places [][]place
	count  int64           // of places; that of record base+i+1 is the i-th
	last   [32]byte        // hash of record base+count
	early  map[int64]place // beyond a gap: another process wrote them into another segment
	bad    bool
}

// have returns the number of the newest record up to which nothing is missing.
func (t *thread) have() int64 { return t.base + t.count }

// has reports whether the hash of a record is known.
func (t *thread) has(n int64) bool { return n >= max(t.base, 1) && n <= t.have() }

func (t *thread) add(r Mirrored) {
	if t.count%placeBlock == 0 {
		t.places = append(t.places, nil) // it grows: most windows are small
	}
	block := &t.places[len(t.places)-1]
	*block = append(*block, r.at)
	t.count, t.last = t.count+1, r.Hash
}

// beginsAnew lets the chain begin with a record that says that everything before it was removed; false: it is none.
func (t *thread) beginsAnew(r Record) bool {
	prev, ok := r.Follows()
	if !ok || Chain(prev, r.Body) != r.Hash {
		return false
	}
	t.base, t.prev, t.last, t.places, t.count = r.Number-1, prev, prev, nil, 0
	maps.DeleteFunc(t.early, func(n int64, _ place) bool { return n <= t.base })
	return true
}

// A rereader reads single lines of a mirror again. Close it when done.
type rereader struct {
	dir   fs.FS
	names []string
	open  int // segment of file
	file  fs.File
	in    *bufio.Reader
}

// hash returns the hash of a record that a thread has.
func (m *rereader) hash(t *thread, n int64) ([32]byte, error) {
	switch i := n - t.base - 1; {
	case n == t.base:
		return t.prev, nil
	case n == t.have():
		return t.last, nil
	default:
		r, err := m.record(t.places[i/placeBlock][i%placeBlock])
		return r.Hash, err
	}
}

// record reads a record once more.
func (m *rereader) record(p place) (Mirrored, error) {
	raw, err := m.line(p)
	if err != nil {
		return Mirrored{}, fmt.Errorf("read mirror segment %s again: %w", m.names[p.segment()], err)
	}
	l, problem := readLine(raw)
	if problem == "" {
		var r Mirrored
		if r, problem = l.mirrored(); problem == "" {
			r.at = p
			return r, nil
		}
	}
	return Mirrored{}, fmt.Errorf("read mirror segment %s again: it has changed: %s", m.names[p.segment()], problem)
}

func (m *rereader) line(p place) ([]byte, error) {
	if m.file == nil || m.open != p.segment() {
		_ = m.close()
		var err error
		if m.file, err = m.dir.Open(m.names[p.segment()]); err != nil {
			m.file = nil
			return nil, err
		}
		m.open = p.segment()
	}
	file, ok := m.file.(io.ReaderAt)
	if !ok {
		return nil, errors.New("it cannot be read from a place on")
	}
	part := io.NewSectionReader(file, p.at(), 2*MaxLine)
	if m.in == nil {
		m.in = bufio.NewReader(part)
	} else {
		m.in.Reset(part)
	}
	return readWhole(m.in)
}

func (m *rereader) close() error {
	if m.file == nil {
		return nil
	}
	err := m.file.Close()
	m.file = nil
	return err
}

// HashAt returns the hash of a good record; false: the mirror does not have it. It is read from the mirror once more.
func (m *Mirror) HashAt(windowID string, number int64) (hash [32]byte, ok bool, err error) {
	t := m.order[windowID]
	if t == nil || !t.has(number) {
		return hash, false, nil
	}
	hash, err = m.again.hash(t, number)
	return hash, err == nil, errors.Join(err, m.again.close())
}

// Forget lets go what HashAt needs: it then has no record.
func (m *Mirror) Forget() { m.order = nil }

// take follows one record's chain.
func (m *Mirror) take(r Mirrored) error {
	t := m.order[r.WindowID]
	if t == nil {
		t = &thread{id: r.WindowID}
		m.order[t.id] = t
		m.Windows = append(m.Windows, t.id)
	}
	r.WindowID = t.id // one string for all of them
	switch {
	case t.bad || r.Number <= t.base:
		return nil
	case r.Number <= t.have():
		return m.twice(t, r)
	case r.Number > t.have()+1 && !t.beginsAnew(r.Record):
		return m.early(t, r)
	}
	return m.follow(t, r)
}

// twice looks at a record that was there before.
func (m *Mirror) twice(t *thread, r Mirrored) error {
	prev, err := m.again.hash(t, r.Number-1)
	if err != nil {
		return err
	}
	old, err := m.again.hash(t, r.Number)
	if err != nil {
		return err
	}
	if old != r.Hash || Chain(prev, r.Body) != r.Hash {
		m.spoil(r.WindowID, r.Number, "it stands there twice with different bytes")
	}
	return nil
}

// early keeps the place of a record whose predecessor is still to come.
func (m *Mirror) early(t *thread, r Mirrored) error {
	if at, twice := t.early[r.Number]; twice {
		old, err := m.again.record(at)
		if err != nil {
			return err
		}
		if old.Hash != r.Hash || !bytes.Equal(old.Body, r.Body) {
			m.spoil(r.WindowID, r.Number, "it stands there twice with different bytes")
			return nil
		}
	}
	if t.early == nil {
		t.early = map[int64]place{}
	}
	t.early[r.Number] = r.at
	return nil
}

// follow takes the next record of a window, and those that waited for it.
func (m *Mirror) follow(t *thread, r Mirrored) error {
	for {
		delete(t.early, r.Number)
		prev, err := m.again.hash(t, r.Number-1)
		if err != nil {
			return err
		}
		if Chain(prev, r.Body) != r.Hash {
			m.spoil(r.WindowID, r.Number, "its hash does not follow from its bytes and the record before it")
			return nil
		}
		if err := m.each(r); err != nil {
			return err
		}
		t.add(r)
		m.Heads[t.id] = Leaf{WindowID: t.id, Number: r.Number, Hash: hex.EncodeToString(r.Hash[:])}
		m.Records++
		at, waits := t.early[r.Number+1]
		if !waits {
			return nil
		}
		if r, err = m.again.record(at); err != nil {
			return err
		}
		r.WindowID = t.id
	}
}
