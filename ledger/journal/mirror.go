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
	at place // in the mirror that it was read from
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
	again   *rereader
}

// ReadMirror reads the segments of a mirror in the order of their names and checks every link. It calls each
// with every good record once: those of a window in order, from the first, or from one of kind window.pruned whose predecessors
// are not there; after the first bad one of a window no more of that window. Records that stand there twice are skipped; two with one number and different bytes are a damage.
// What is wrong with the mirror is in its Damages; an error means that it could not be read, or comes from each. It keeps no record: of
// each it remembers where it stands. So dir's files have to implement [io.ReaderAt].
func ReadMirror(dir fs.FS, each func(Mirrored) error) (*Mirror, error) {
	names, err := segments(dir)
	if err != nil {
		return nil, err
	}
	m := &Mirror{Heads: map[string]Leaf{}, order: map[string]*thread{}, each: each, again: &rereader{dir: dir, names: names}}
	defer func() { _ = m.again.close() }()
	for i := range names {
		if err := m.segment(i); err != nil {
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
func (m *Mirror) segment(i int) error {
	name := m.again.names[i]
	f, err := m.again.dir.Open(name)
	if err != nil {
		return fmt.Errorf("read mirror: %w", err)
	}
	defer func() { _ = f.Close() }()
	in := bufio.NewReaderSize(f, 256<<10)
	var held Damage // a bad line: torn if nothing good follows
	at := int64(0)
	for n := 1; ; n++ {
		problem, whole, err := m.next(in, i, &at)
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

// next reads one line of a segment, which begins at a byte, and takes it in; problem says what is wrong with it. Not whole: it is what
// stands behind the last line feed, which may be nothing.
func (m *Mirror) next(in *bufio.Reader, segment int, at *int64) (problem string, whole bool, err error) {
	line, err := readWhole(in)
	switch {
	case err == nil:
		p := placeOf(segment, *at)
		*at += int64(len(line)) + 1
		problem, err = m.line(line, p)
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

// mirrorLine is one line of a mirror.
type mirrorLine struct {
	line
	Signed *SignedHead `json:"signed"`
	Key    *WrappedKey `json:"key"`
}

func readLine(raw []byte) (l mirrorLine, problem string) {
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&l); err != nil || dec.More() {
		return l, "it is not a line of a mirror"
	}
	return l, ""
}

// mirrored returns the record that the line has.
func (l *mirrorLine) mirrored() (r Mirrored, problem string) {
	var body recordHead
	if json.Unmarshal(l.Record, &body) != nil || body.Number < 1 || body.WindowID == "" {
		return r, "it has no record of a window"
	}
	r = Mirrored{WindowID: body.WindowID, Record: body.record(bytes.Clone(l.Record))}
	if n, err := hex.Decode(r.Hash[:], []byte(l.Hash)); err != nil || n != len(r.Hash) {
		return r, "it has no hash"
	}
	return r, ""
}

// line takes one line in; problem says why it is none.
func (m *Mirror) line(raw []byte, at place) (problem string, err error) {
	l, problem := readLine(raw)
	switch {
	case problem != "":
		return problem, nil
	case l.Signed != nil:
		m.Signed = append(m.Signed, *l.Signed)
		return "", nil
	case l.Key != nil && !l.Key.whole():
		return "it has no key", nil
	case l.Key != nil:
		m.Keys.take(*l.Key)
		return "", nil
	}
	r, problem := l.mirrored()
	if problem != "" {
		return problem, nil
	}
	r.at = at
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
