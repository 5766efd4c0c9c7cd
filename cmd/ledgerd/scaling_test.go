package main

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

// What docs/scaling.md counts with. BenchmarkScale, BenchmarkRecordPath and docs/operations.md say where the numbers come from; they
// are rounded, and of one machine: change them here for another, and see what becomes of the table.
const (
	bytesSQLite   = 2700 // an entry of 400 bytes that is recorded as a fact
	bytesPostgres = 2550
	bytesMirror   = 1150
	bytesRolled   = 3000 // more, once it was rolled back

	readHead   = 6500 * time.Nanosecond // a window's head, read before a signature
	holdHead   = 500 * time.Nanosecond  // a window that is then compared with what a mirror has, while nobody records; estimated
	readLeaf   = 10 * time.Microsecond  // a leaf of the signed tree, at start
	readRecord = 85 * time.Microsecond  // a record of a mirror, at start
	verifyOne  = 375 * time.Microsecond // a record and its rows
	heapLeaf   = 310                    // bytes of memory, for good
	heapRecord = 15                     // bytes of memory, while a mirror is read at start

	syncTime   = 300 * time.Microsecond // a commit of SQLite until the disk has it
	recordTime = 100 * time.Microsecond // more for each record in it
	groupMost  = 512                    // records in one commit

	inWindow   = 1000    // entries in a window
	perLeaf    = 10      // entries of a window between two signatures
	simPerSec  = 500     // records a second that arrive
	simSeconds = 20 * 60 // what is simulated
)

// A grown ledger is one that has taken in so many entries.
type grown struct{ entries int64 }

func (g grown) windows() int64 { return g.entries / inWindow }
func (g grown) leaves() int64  { return g.entries / perLeaf }

// signing is how long the heads of all windows are read for one signature, and how often one is made.
func (g grown) signing() (takes, every time.Duration) {
	takes = time.Duration(g.windows()) * readHead
	return takes, max(signEvery, (1+signShare)*takes)
}

// A waited is how long records waited until they were durable.
type waited struct{ p50, p99, most time.Duration }

// holds is how long of a signature no record is answered: whoever signs holds the mirrors.
func (g grown) holds() time.Duration { return time.Duration(g.windows()) * holdHead }

// simulate lets records arrive at random at one writer with group commit, beside the signing of heads with a mirror.
func (g grown) simulate() waited {
	rnd := rand.New(rand.NewPCG(20261128, 1))
	_, every := g.signing()
	end := simSeconds * time.Second
	var arrivals []time.Duration
	for at := time.Duration(0); at < end; at += time.Duration(rnd.ExpFloat64() / simPerSec * float64(time.Second)) {
		arrivals = append(arrivals, at)
	}
	times := make([]time.Duration, 0, len(arrivals))
	free, sign := time.Duration(0), every
	for next := 0; next < len(arrivals); {
		start := max(free, arrivals[next])
		if sign <= start { // the signer came first
			free = max(free, sign) + g.holds()
			sign += every
			continue
		}
		n := 0
		for next+n < len(arrivals) && n < groupMost && arrivals[next+n] <= start {
			n++
		}
		free = start + syncTime + time.Duration(n)*recordTime
		for _, at := range arrivals[next : next+n] {
			times = append(times, free-at)
		}
		next += n
	}
	slices.Sort(times)
	return waited{times[len(times)/2], times[len(times)*99/100], times[len(times)-1]}
}

// scalingTable is what docs/scaling.md shows.
func scalingTable() string {
	type column func(g grown) string
	rows := []struct {
		name string
		cell column
	}{
		{"windows, of 1,000 entries", func(g grown) string { return short(g.windows()) }},
		{"SQLite file", func(g grown) string { return size(g.entries * bytesSQLite) }},
		{"PostgreSQL", func(g grown) string { return size(g.entries * bytesPostgres) }},
		{"a mirror", func(g grown) string { return size(g.entries * bytesMirror) }},
		{"a signature reads heads for", func(g grown) string { d, _ := g.signing(); return lasts(d) }},
		{"and is made every", func(g grown) string { _, d := g.signing(); return lasts(d) }},
		{"no record is answered for, of that", func(g grown) string { return lasts(g.holds()) }},
		{"a record waits, median (simulated)", func(g grown) string { return lasts(g.simulate().p50) }},
		{"a record waits, 99 of 100", func(g grown) string { return lasts(g.simulate().p99) }},
		{"a record waits, longest", func(g grown) string { return lasts(g.simulate().most) }},
		{"leaves in memory, for good", func(g grown) string { return size(g.leaves() * heapLeaf) }},
		{"leaves read at start", func(g grown) string { return lasts(time.Duration(g.leaves()) * readLeaf) }},
		{"mirror read at start", func(g grown) string { return lasts(time.Duration(g.entries) * readRecord) }},
		{"memory for that", func(g grown) string { return size(g.entries * heapRecord) }},
		{"`ledgerd verify`", func(g grown) string { return lasts(time.Duration(g.entries) * verifyOne) }},
		{"recorded in, at 5,000 a second", func(g grown) string { return lasts(time.Duration(g.entries/5000) * time.Second) }},
	}
	var b strings.Builder
	b.WriteString("| entries | 10⁶ | 10⁷ | 10⁸ | 10⁹ |\n| --- | --- | --- | --- | --- |\n")
	for _, r := range rows {
		b.WriteString("| " + r.name)
		for n := int64(1e6); n <= 1e9; n *= 10 {
			b.WriteString(" | " + r.cell(grown{n}))
		}
		b.WriteString(" |\n")
	}
	return b.String()
}

func short(n int64) string {
	if n >= 1e6 {
		return digits(float64(n)/1e6) + " M"
	}
	return digits(float64(n)/1e3) + " k"
}

func size(n int64) string {
	units := []string{"B", "KiB", "MiB", "GiB", "TiB"}
	v := float64(n)
	for len(units) > 1 && v >= 1000 {
		v, units = v/1024, units[1:]
	}
	return digits(v) + " " + units[0]
}

// digits writes a number with two digits that count.
func digits(v float64) string {
	if v >= 10 {
		return fmt.Sprintf("%.0f", v)
	}
	return fmt.Sprintf("%.2g", v)
}

// lasts writes a duration with two digits.
func lasts(d time.Duration) string {
	for _, u := range []struct {
		of   time.Duration
		name string
	}{{24 * time.Hour, "d"}, {time.Hour, "h"}, {time.Minute, "min"}, {time.Second, "s"}} {
		if d >= u.of {
			return digits(float64(d)/float64(u.of)) + " " + u.name
		}
	}
	return digits(float64(d)/float64(time.Millisecond)) + " ms"
}

const (
	scalingPage  = "../../docs/scaling.md"
	scalingBegin = "<!-- from TestScalingPage -->\n"
	scalingEnd   = "<!-- end -->\n"
)

// The table of docs/scaling.md is what the model says; -update writes it.
func TestScalingPage(t *testing.T) {
	raw, err := os.ReadFile(scalingPage)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(raw), scalingBegin)
	shown, after, okEnd := strings.Cut(rest, scalingEnd)
	if !ok || !okEnd {
		t.Fatal("docs/scaling.md has no place for the table")
	}
	want := scalingTable()
	switch {
	case *update:
		if err := os.WriteFile(scalingPage, []byte(before+scalingBegin+want+scalingEnd+after), 0o600); err != nil {
			t.Fatal(err)
		}
	case shown != want:
		t.Errorf("docs/scaling.md is not what the model says: run `make generate`\n%s", want)
	}
}

// The model is right where it can be worked out by hand: nobody waits for a writer that is fast, and no record longer than a
// signature and what has piled up behind it.
func TestScalingModel(t *testing.T) {
	idle := grown{inWindow}.simulate()
	if idle.p50 < syncTime+recordTime || idle.p50 > 2*(syncTime+recordTime) {
		t.Errorf("one window: %+v", idle)
	}
	large := grown{1e9}
	takes, every := large.signing()
	hold := large.holds()
	if takes != 6500*time.Millisecond || every != 11*takes {
		t.Errorf("a signature takes %v every %v", takes, every)
	}
	if w := large.simulate(); w.most < hold || w.most > 2*hold || w.p50 > 2*idle.p50 || w.p99 < idle.p99 {
		t.Errorf("%+v", w)
	}
}
