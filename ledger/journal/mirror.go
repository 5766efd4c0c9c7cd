package journal

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"time"
)

// SegmentSuffix ends the name of a mirror's files, its segments.
const SegmentSuffix = ".journal"

// A Mirrored is a record together with the window that it is of, as a mirror gets it.
type Mirrored struct {
	WindowID string
	Record
}

// A SignedHead is a checkpoint of all windows: a signed note over a Merkle tree of Leaves, of which this one
// has those that its predecessor had not.
type SignedHead struct {
	Note   string `json:"note"`             // as golang.org/x/mod/sumdb/note writes it
	First  int64  `json:"first"`            // place of the first of Leaves in the tree, from 0
	Leaves []Leaf `json:"leaves,omitempty"` // in order
}

// A Leaf is the head that a window had when a head was signed.
type Leaf struct {
	WindowID string `json:"window_id"`
	Number   int64  `json:"number"`
	Hash     string `json:"hash"` // 64 hex digits
}

// Data is what the tree hashes of a leaf (RFC 6962, section 2.1, puts the prefix before it).
func (l Leaf) Data() []byte { return fmt.Appendf(nil, "%s %d %s\n", l.WindowID, l.Number, l.Hash) }

// WriteSigned writes a signed head as a line of a mirror.
func WriteSigned(w io.Writer, s SignedHead) error {
	raw, err := json.Marshal(s)
	if err == nil {
		_, err = fmt.Fprintf(w, "{\"signed\":%s}\n", raw)
	}
	return err
}

// A Damage is a place where a mirror or a ledger does not hold together.
type Damage struct {
	WindowID string // empty: it is about no window
	Number   int64  // of the first record that is bad or missing; 0: it is about no record
	Problem  string
	// Row: a row of the database is not what the journal tells; the journal itself holds. Where a record is bad or missing too,
	// that is the cause, and rows are not to be compared.
	Row bool
}

// Before reports whether d is the one to name of two damages of one window: the cause, and then the lower record.
func (d Damage) Before(o Damage) bool {
	if d.Row != o.Row {
		return !d.Row
	}
	return d.Number != 0 && (o.Number == 0 || d.Number < o.Number)
}

// String says where and what.
func (d Damage) String() string {
	switch {
	case d.WindowID == "":
		return d.Problem
	case d.Number == 0:
		return fmt.Sprintf("window %s: %s", d.WindowID, d.Problem)
	}
	return fmt.Sprintf("window %s, record %d: %s", d.WindowID, d.Number, d.Problem)
}

// A Mirror is what was read from a mirror's segments.
type Mirror struct {
	Windows []string        // as their first records were met, which is the order of their opening
	Heads   map[string]Leaf // the newest record of each window up to which nothing is missing
	Signed  []SignedHead    // in the order of the segments
	Keys    Keys            // wrapped keys of secret fields; a mirror of a version before them has none
	Damages []Damage        // the first of each window; none: all is well
	Torn    []string        // segments whose last line is not whole: it was never acted on
	Records int64           // good ones, each counted once
	order   map[string]*thread
	each    func(Mirrored) error
}

// A thread is one window's chain while a mirror is read.
type thread struct {
	base   int64              // records up to it were removed from the ledger before this mirror got them
	prev   [32]byte           // hash of record base
	hashes [][32]byte         // of record base+i+1
	early  map[int64]Mirrored // beyond a gap: another process wrote them into another segment
	bad    bool
}

// ReadMirror reads the segments of a mirror in the order of their names and checks every link. It calls each
// with every good record once: those of a window in order, from the first, or from one of kind window.pruned whose predecessors
// are not there; after the first bad one of a window no more of that window. Records that stand there twice are skipped; two with one number and different bytes are a damage.
// What is wrong with the mirror is in its Damages; an error means that it could not be read, or comes from each.
func ReadMirror(dir fs.FS, each func(Mirrored) error) (*Mirror, error) {
	names, err := segments(dir)
	if err != nil {
		return nil, err
	}
	m := &Mirror{Heads: map[string]Leaf{}, order: map[string]*thread{}, each: each}
	for _, name := range names {
		if err := m.segment(dir, name); err != nil {
			return nil, err
		}
	}
	m.gaps()
	return m, nil
}

func segments(dir fs.FS) ([]string, error) {
	list, err := fs.ReadDir(dir, ".")
	if err != nil {
		return nil, fmt.Errorf("read mirror: %w", err)
	}
	var names []string
	for _, e := range list {
		if e.Type().IsRegular() && strings.HasSuffix(e.Name(), SegmentSuffix) {
			names = append(names, e.Name())
		}
	}
	slices.Sort(names)
	return names, nil
}

// segment reads one file. Its last line may be torn; any other line that is not one is a damage.
func (m *Mirror) segment(dir fs.FS, name string) error {
	f, err := dir.Open(name)
	if err != nil {
		return fmt.Errorf("read mirror: %w", err)
	}
	defer func() { _ = f.Close() }()
	in := bufio.NewReaderSize(f, 256<<10)
	var held Damage // a bad line: torn if nothing good follows
	for n := 1; ; n++ {
		problem, whole, err := m.next(in)
		if err != nil {
			return fmt.Errorf("read mirror segment %s: %w", name, err)
		}
		switch {
		case problem != "" && held.Problem == "":
			held = Damage{Problem: fmt.Sprintf("segment %s, line %d: %s", name, n, problem)}
		case problem == "" && whole:
			m.damaged(&held)
		}
		if !whole {
			if held.Problem != "" {
				m.Torn = append(m.Torn, name)
			}
			return nil
		}
	}
}

// next reads one line and takes it in; problem says what is wrong with it. Not whole: it is what stands behind the last
// line feed, which may be nothing.
func (m *Mirror) next(in *bufio.Reader) (problem string, whole bool, err error) {
	line, err := readWhole(in)
	switch {
	case err == nil:
		problem, err = m.line(line)
		return problem, true, err
	case !errors.Is(err, io.EOF):
		return "", false, err
	case len(line) > 0:
		return "the line is not whole", false, nil
	}
	return "", false, nil
}

// damaged keeps a bad line that a good one follows.
func (m *Mirror) damaged(held *Damage) {
	if held.Problem != "" {
		m.Damages = append(m.Damages, *held)
		*held = Damage{}
	}
}

// readWhole returns the next line without its line feed; with io.EOF what is left.
func readWhole(in *bufio.Reader) ([]byte, error) {
	var line []byte
	for {
		part, err := in.ReadSlice('\n')
		line = append(line, part...)
		switch {
		case err == nil:
			return line[:len(line)-1], nil
		case !errors.Is(err, bufio.ErrBufferFull):
			return line, err
		case len(line) > MaxLine:
			return nil, bufio.ErrTooLong
		}
	}
}

// line takes one line in; problem says why it is none.
func (m *Mirror) line(raw []byte) (problem string, err error) {
	var l struct {
		line
		Signed *SignedHead `json:"signed"`
		Key    *WrappedKey `json:"key"`
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&l); err != nil || dec.More() {
		return "it is not a line of a mirror", nil
	}
	switch {
	case l.Signed != nil:
		m.Signed = append(m.Signed, *l.Signed)
		return "", nil
	case l.Key != nil && !l.Key.whole():
		return "it has no key", nil
	case l.Key != nil:
		m.Keys.take(*l.Key)
		return "", nil
	}
	var body recordHead
	if json.Unmarshal(l.Record, &body) != nil || body.Number < 1 || body.WindowID == "" {
		return "it has no record of a window", nil
	}
	r := Mirrored{WindowID: body.WindowID, Record: body.record(bytes.Clone(l.Record))}
	if n, err := hex.Decode(r.Hash[:], []byte(l.Hash)); err != nil || n != len(r.Hash) {
		return "it has no hash", nil
	}
	return "", m.take(r)
}

// recordHead is what every record of a ledger has.
type recordHead struct {
	Number     int64     `json:"number"`
	Kind       string    `json:"kind"`
	WindowID   string    `json:"window_id"`
	EntryID    string    `json:"entry_id"`
	RollbackID string    `json:"rollback_id"`
	At         time.Time `json:"at"`
}

func (b recordHead) record(raw []byte) Record {
	return Record{Number: b.Number, Kind: b.Kind, EntryID: b.EntryID, RollbackID: b.RollbackID, At: b.At.UTC(), Body: raw}
}

// take follows one record's chain.
func (m *Mirror) take(r Mirrored) error {
	t := m.order[r.WindowID]
	if t == nil {
		t = &thread{early: map[int64]Mirrored{}}
		m.order[r.WindowID] = t
		m.Windows = append(m.Windows, r.WindowID)
	}
	switch have := t.have(); {
	case t.bad || r.Number <= t.base:
		return nil
	case r.Number <= have:
		if t.hash(r.Number) != r.Hash || Chain(t.hash(r.Number-1), r.Body) != r.Hash {
			m.spoil(r.WindowID, r.Number, "it stands there twice with different bytes")
		}
		return nil
	case r.Number > have+1 && !t.beginsAnew(r.Record):
		m.early(t, r)
		return nil
	}
	return m.follow(t, r)
}

// have returns the number of the newest record up to which nothing is missing.
func (t *thread) have() int64 { return t.base + int64(len(t.hashes)) }

// beginsAnew lets the chain begin with a record that says that everything before it was removed; false: it is none.
func (t *thread) beginsAnew(r Record) bool {
	prev, ok := r.Follows()
	if !ok || Chain(prev, r.Body) != r.Hash {
		return false
	}
	t.base, t.prev, t.hashes = r.Number-1, prev, nil
	maps.DeleteFunc(t.early, func(n int64, _ Mirrored) bool { return n <= t.base })
	return true
}

// early keeps a record whose predecessor is still to come.
func (m *Mirror) early(t *thread, r Mirrored) {
	if old, twice := t.early[r.Number]; twice && (old.Hash != r.Hash || !bytes.Equal(old.Body, r.Body)) {
		m.spoil(r.WindowID, r.Number, "it stands there twice with different bytes")
		return
	}
	t.early[r.Number] = r
}

// follow takes the next record of a window, and those that waited for it.
func (m *Mirror) follow(t *thread, r Mirrored) error {
	for ok := true; ok && !t.bad; r, ok = t.early[r.Number+1] {
		delete(t.early, r.Number)
		if Chain(t.hash(r.Number-1), r.Body) != r.Hash {
			m.spoil(r.WindowID, r.Number, "its hash does not follow from its bytes and the record before it")
			return nil
		}
		if err := m.each(r); err != nil {
			return err
		}
		t.hashes = append(t.hashes, r.Hash)
		m.Heads[r.WindowID] = Leaf{WindowID: r.WindowID, Number: r.Number, Hash: hex.EncodeToString(r.Hash[:])}
		m.Records++
	}
	return nil
}

// hash returns the hash of a record from base on; that of record 0 is zero.
func (t *thread) hash(n int64) [32]byte {
	if n == t.base {
		return t.prev
	}
	return t.hashes[n-t.base-1]
}

func (m *Mirror) spoil(windowID string, number int64, problem string) {
	m.order[windowID].bad = true
	m.Damages = append(m.Damages, Damage{WindowID: windowID, Number: number, Problem: problem})
}

// gaps names the first missing record of every window that has records beyond one.
func (m *Mirror) gaps() {
	for _, id := range m.Windows {
		if t := m.order[id]; len(t.early) > 0 && !t.bad {
			m.spoil(id, t.have()+1, "it is missing, and later ones are there")
		}
	}
}

// HashAt returns the hash of a good record; false: the mirror does not have it.
func (m *Mirror) HashAt(windowID string, number int64) (hash [32]byte, ok bool) {
	t := m.order[windowID]
	if t == nil || number < max(t.base, 1) || number > t.have() {
		return hash, false
	}
	return t.hash(number), true
}

// IsMirrorLine reports whether raw, without its line feed, has the form of a line of a mirror.
func IsMirrorLine(raw []byte) bool {
	var l struct {
		Hash   string          `json:"hash"`
		Record json.RawMessage `json:"record"`
		Signed json.RawMessage `json:"signed"`
		Key    json.RawMessage `json:"key"`
	}
	return json.Unmarshal(raw, &l) == nil && (len(l.Signed) > 0 || len(l.Key) > 0 || l.Hash != "" && len(l.Record) > 0)
}
