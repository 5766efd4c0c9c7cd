package journal

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// MaxLine is the longest line that a journal file may have: a record holds at most one entry of 1 MiB
// and what the ledger adds to it.
const MaxLine = 16 << 20

// WriteRecord writes one record as a line.
func WriteRecord(w io.Writer, r Record) error {
	_, err := fmt.Fprintf(w, "{\"hash\":\"%s\",\"record\":%s}\n", hex.EncodeToString(r.Hash[:]), r.Body)
	return err
}

// WriteHead writes the last line, which names the head.
func WriteHead(w io.Writer, windowID string, number int64, hash [32]byte) error {
	_, err := fmt.Fprintf(w, "{\"head\":{\"window_id\":%q,\"number\":%d,\"hash\":\"%s\"}}\n", windowID, number, hex.EncodeToString(hash[:]))
	return err
}

// A Report says what Verify found.
type Report struct {
	WindowID string   // as the head line names it; empty: there was none
	Begins   int64    // number of the first record; more than 1: the earlier ones were removed, in the open
	Records  int64    // number of the last record up to which all follow from each other
	Head     [32]byte // hash of the last good record
	FirstBad int64    // number of the first bad record, from 1; 0: none
	Problem  string   // what is wrong with it; empty when OK
	OK       bool
}

// line is one line of a journal file. Record keeps the bytes as they stand.
type line struct {
	Hash   string          `json:"hash"`
	Record json.RawMessage `json:"record"`
	Head   *headLine       `json:"head"`
}

type headLine struct {
	WindowID string `json:"window_id"`
	Number   int64  `json:"number"`
	Hash     string `json:"hash"`
}

// Verify reads a journal file and checks every link. What is wrong with the file is in the report;
// an error means that it could not be read. Verify does not prove that a whole file was not replaced
// by another that is consistent in itself: compare Head with one kept elsewhere.
func Verify(r io.Reader) (Report, error) {
	var rep Report
	err := Scan(r, func(rec Record) error {
		if rep.Records == 0 {
			rep.Begins = rec.Number
		}
		rep.Records, rep.Head = rec.Number, rec.Hash
		return nil
	}, func(windowID string) { rep.WindowID = windowID })
	var bad *BadRecordError
	if errors.As(err, &bad) {
		rep.FirstBad, rep.Problem = bad.Number, bad.Problem
		return rep, nil
	}
	rep.OK = err == nil
	return rep, err
}

// A BadRecordError names the first record that breaks a journal.
type BadRecordError struct {
	Number  int64 // place in the file, from 1
	Problem string
}

// Error says which record and what is wrong with it.
func (e *BadRecordError) Error() string {
	return fmt.Sprintf("record %d: %s", e.Number, e.Problem)
}

// Scan reads a journal file, checks every link and calls each with every good record in order.
// head is called once, with the window that the file is of. The first bad record ends the scan with a
// [BadRecordError].
func Scan(r io.Reader, each func(Record) error, head func(windowID string)) error {
	s := &scan{each: each, head: head}
	in := bufio.NewScanner(r)
	in.Buffer(make([]byte, 64<<10), MaxLine)
	for in.Scan() {
		if err := s.line(in.Bytes()); err != nil {
			return err
		}
	}
	if err := in.Err(); errors.Is(err, bufio.ErrTooLong) {
		return s.bad("the line is longer than a record can be")
	} else if err != nil {
		return fmt.Errorf("read journal: %w", err)
	}
	if !s.ended {
		return s.bad("the file ends without its head: the tail is cut off")
	}
	return nil
}

type scan struct {
	each  func(Record) error
	head  func(string)
	prev  [32]byte
	n     int64 // number of the last good record
	ended bool
}

func (s *scan) bad(format string, args ...any) error {
	return &BadRecordError{Number: s.n + 1, Problem: fmt.Sprintf(format, args...)}
}

func (s *scan) line(raw []byte) error {
	var l line
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.DisallowUnknownFields()
	switch err := dec.Decode(&l); {
	case s.ended:
		return s.bad("there is more after the head")
	case err != nil || dec.More():
		return s.bad("the line is not a journal line")
	case l.Head != nil:
		return s.end(*l.Head)
	}
	rec, problem := s.record(l)
	if problem != "" {
		return s.bad("%s", problem)
	}
	if err := s.each(rec); err != nil {
		return err
	}
	s.prev, s.n = rec.Hash, rec.Number
	return nil
}

func (s *scan) record(l line) (Record, string) {
	var body struct {
		Number int64  `json:"number"`
		Kind   string `json:"kind"`
	}
	if err := json.Unmarshal(l.Record, &body); err != nil {
		return Record{}, "the record is not JSON"
	}
	rec := Record{Number: body.Number, Kind: body.Kind, Body: bytes.Clone(l.Record)}
	if prev, ok := rec.Follows(); ok && s.n == 0 && body.Number > 1 {
		s.prev, s.n = prev, body.Number-1
	}
	rec.Hash = Chain(s.prev, l.Record)
	switch {
	case body.Number != s.n+1:
		return Record{}, fmt.Sprintf("it says number %d: a record is missing, doubled or moved", body.Number)
	case l.Hash != hex.EncodeToString(rec.Hash[:]):
		return Record{}, "its hash does not follow from its bytes and the record before it"
	}
	return rec, ""
}

func (s *scan) end(h headLine) error {
	switch {
	case h.Number > s.n:
		return s.bad("the head names record %d: the tail is cut off", h.Number)
	case h.Number < s.n || h.Hash != hex.EncodeToString(s.prev[:]):
		return s.bad("the head does not belong to these records")
	}
	s.ended = true
	s.head(h.WindowID)
	return nil
}
