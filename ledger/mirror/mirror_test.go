package mirror

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sideledger/ledger/journal"
)

// chain returns n records of a window, from its first.
func chain(window string, n int) []journal.Mirrored {
	var prev [32]byte
	var out []journal.Mirrored
	for i := 1; i <= n; i++ {
		body := fmt.Appendf(nil, `{"number":%d,"at":"2026-11-27T00:00:00Z","kind":"noted","window_id":%q}`, i, window)
		prev = journal.Chain(prev, body)
		out = append(out, journal.Mirrored{WindowID: window, Record: journal.Record{Number: int64(i), Kind: "noted", Body: body, Hash: prev}})
	}
	return out
}

func folder(t *testing.T, dir string) *Folder {
	t.Helper()
	f, err := NewFolder(dir, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return f
}

func write(t *testing.T, s Sink, records ...journal.Mirrored) {
	t.Helper()
	if err := s.Write(t.Context(), nil, records); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, f *Folder) *journal.Mirror {
	t.Helper()
	got := map[string]int64{}
	m, err := f.Read(t.Context(), func(r journal.Mirrored) error {
		if got[r.WindowID]++; got[r.WindowID] != r.Number {
			t.Errorf("record %d of window %s came as the %d. one", r.Number, r.WindowID, got[r.WindowID])
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func segmentsOf(t *testing.T, dir string) []string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "*"+journal.SegmentSuffix))
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// What is written is read back in order, over several segments and several writers, each record once.
func TestFolder(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "m")
	a, b := folder(t, dir), folder(t, dir) // two processes: each has a segment of its own
	a.size, b.size = 2000, 2000
	w1, w2 := chain("w1", 40), chain("w2", 30)
	for i, r := range w1 {
		if i%3 == 0 {
			write(t, b, r) // out of order between the segments, and some twice
		}
		if i%5 != 0 || i%3 != 0 {
			write(t, a, r)
		}
	}
	write(t, a, w2...)
	if err := a.WriteSigned(t.Context(), journal.SignedHead{Note: "n", Leaves: []journal.Leaf{{WindowID: "w1", Number: 40}}}); err != nil {
		t.Fatal(err)
	}
	m := read(t, a)
	if len(m.Damages) > 0 || m.Heads["w1"].Number != 40 || m.Heads["w2"].Number != 30 || m.Records != 70 || len(m.Signed) != 1 {
		t.Fatalf("%+v", m)
	}
	for _, r := range append(w1, w2...) {
		if hash, ok, err := m.HashAt(r.WindowID, r.Number); hash != r.Hash || !ok || err != nil {
			t.Errorf("record %d of %s: %x, %t, %v", r.Number, r.WindowID, hash, ok, err)
		}
	}
	if _, ok, err := m.HashAt("w1", 41); ok || err != nil {
		t.Errorf("it has a record that nobody wrote: %v", err)
	}
	if n := len(segmentsOf(t, dir)); n < 4 {
		t.Errorf("%d segments", n)
	}
}

// A record that comes before its predecessors waits for them by its place alone. One that stands there twice with different bytes is
// found, whichever comes first.
func TestRecordsBeyondAGap(t *testing.T) {
	records := chain("w", 900)
	other := records[500]
	other.Body = bytes.Replace(other.Body, []byte("noted"), []byte("Noted"), 1)
	for name, c := range map[string]struct {
		first, second []journal.Mirrored
		want          int64 // first bad record; 0: none
	}{
		"the later half first":          {records[450:], records[:450], 0},
		"twice beyond the gap":          {append(records[450:len(records):len(records)], records[500:]...), records[:450], 0},
		"changed beyond the gap":        {append(records[450:len(records):len(records)], other), records[:450], 501},
		"changed, and the other is met": {append([]journal.Mirrored{other}, records[450:]...), records[:450], 501},
		"changed, and it is there":      {records, []journal.Mirrored{other}, 501},
		"changed alone":                 {append(append(records[450:500:500], other), records[501:]...), records[:450], 501},
		"missing":                       {records[450:], records[:449], 450},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "m")
			a, b := folder(t, dir), folder(t, dir)
			a.size, b.size = 20_000, 20_000
			write(t, a, c.first...)
			write(t, b, c.second...)
			m := read(t, a)
			switch {
			case c.want == 0:
				if len(m.Damages) > 0 || m.Records != 900 || m.Heads["w"].Number != 900 {
					t.Errorf("%d records, %v", m.Records, m.Damages)
				}
			case len(m.Damages) != 1 || m.Damages[0].Number != c.want:
				t.Errorf("want record %d, got %v", c.want, m.Damages)
			}
		})
	}
}

// A wrapped key stands before the records that came with it, in a line of its own; of each key the mirror gives back every
// wrapping that it was given, once.
func TestKeys(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "m")
	f, records := folder(t, dir), chain("w", 3)
	root, one := journal.WrappedKey{Root: []byte("root")}, journal.WrappedKey{EntryID: "e", DataKey: []byte("first")}
	two := journal.WrappedKey{EntryID: "e", DataKey: []byte("second")}
	for i, keys := range [][]journal.WrappedKey{{root, one}, {two, one}, {root}} {
		if err := f.Write(t.Context(), keys, records[i:i+1]); err != nil {
			t.Fatal(err)
		}
	}
	raw, err := os.ReadFile(segmentsOf(t, dir)[0])
	if err != nil {
		t.Fatal(err)
	}
	if lines := strings.Split(string(raw), "\n"); !strings.Contains(lines[1], `{"key":{"entry_id":"e"`) || !strings.Contains(lines[2], `"record"`) {
		t.Errorf("%s", raw)
	}
	m := read(t, f)
	if k := m.Keys; len(m.Damages) > 0 || m.Records != 3 || len(k.Root) != 1 || len(k.Data) != 1 || len(k.Data["e"]) != 2 || !k.Data["e"].Has([]byte("second")) {
		t.Errorf("%+v, %v", m.Keys, m.Damages)
	}
	for _, bad := range []string{`{"key":{}}`, `{"key":{"entry_id":"e"}}`, `{"key":{"root":"cg==","entry_id":"e","data_key":"cg=="}}`, `{"key":{"raw":"cg=="}}`, `{"key":{"root":"!"}}`} {
		if err := os.WriteFile(segmentsOf(t, dir)[0], []byte(bad+"\n"+string(raw)), 0o600); err != nil {
			t.Fatal(err)
		}
		if m := read(t, f); len(m.Damages) != 1 {
			t.Errorf("%s is no damage", bad)
		}
	}
}

// A tail that a power cut has torn is read over, and cut off before anything is added; what was answered is there.
func TestTornTail(t *testing.T) {
	whole := chain("w", 20)
	var last bytes.Buffer
	if err := journal.WriteRecord(&last, whole[10].Record); err != nil {
		t.Fatal(err)
	}
	for name, tail := range map[string]string{
		"half a line": last.String()[:last.Len()/2], "without its line feed": strings.TrimSuffix(last.String(), "\n"),
		"zeros": strings.Repeat("\x00", 500), "zeros and an end": strings.Repeat("\x00", 500) + "\n", "two bad lines": "x\n{\"hash\":\n",
	} {
		dir := filepath.Join(t.TempDir(), "m")
		f := folder(t, dir)
		write(t, f, whole[:10]...)
		_ = f.Close()
		file := segmentsOf(t, dir)[0]
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, append(raw, tail...), 0o600); err != nil {
			t.Fatal(err)
		}
		f = folder(t, dir)
		if m := read(t, f); m.Heads["w"].Number < 10 || len(m.Damages) > 0 {
			t.Errorf("%s: %+v", name, m)
		}
		write(t, f, whole[10]) // shorter than some of the tails
		if m := read(t, f); m.Heads["w"].Number != 11 || len(m.Damages) > 0 || len(m.Torn) > 0 {
			t.Errorf("%s, after one record more: %+v", name, m)
		}
		write(t, f, whole[11:]...)
		if m := read(t, f); m.Heads["w"].Number != 20 || len(m.Damages) > 0 || len(m.Torn) > 0 || len(segmentsOf(t, dir)) != 1 {
			t.Errorf("%s, after more was written: %+v", name, m)
		}
	}
}

// Damage in the middle is named with its record.
func TestDamages(t *testing.T) {
	for name, c := range map[string]struct {
		edit func(lines []string) []string
		bad  int64
	}{
		"changed":        {func(l []string) []string { l[4] = strings.Replace(l[4], "noted", "Noted", 1); return l }, 5},
		"deleted":        {func(l []string) []string { return append(l[:4], l[5:]...) }, 5},
		"another":        {func(l []string) []string { return append(l[:11], strings.Replace(l[2], "noted", "Noted", 1), l[11]) }, 3},
		"no line at all": {func(l []string) []string { l[6] = "hello\n"; return l }, 7},
	} {
		dir := filepath.Join(t.TempDir(), "m")
		f := folder(t, dir)
		write(t, f, chain("w", 12)...)
		_ = f.Close()
		file := segmentsOf(t, dir)[0]
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		lines := c.edit(strings.SplitAfter(strings.TrimSuffix(string(raw), "\n"), "\n"))
		if err := os.WriteFile(file, []byte(strings.Join(lines, "")+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		m := read(t, folder(t, dir))
		found := false
		for _, d := range m.Damages {
			found = found || d.WindowID == "w" && d.Number == c.bad
		}
		if !found {
			t.Errorf("%s: %v", name, m.Damages)
		}
	}
}

// A folder whose storage is not there is no mirror; one that fails says so and goes on when it can.
func TestFolderAway(t *testing.T) {
	if _, err := NewFolder(filepath.Join(t.TempDir(), "not", "mounted"), time.Now); err == nil {
		t.Error("a folder was made where no storage is")
	}
	if _, err := NewFolder("relative", time.Now); err == nil {
		t.Error("a relative folder")
	}
	dir := filepath.Join(t.TempDir(), "m")
	f := folder(t, dir)
	records := chain("w", 4)
	write(t, f, records[0])
	_ = f.file.Close() // the disk goes away under it
	if err := f.Write(t.Context(), nil, records[1:2]); err == nil {
		t.Fatal("a write that failed was answered")
	}
	write(t, f, records[1:]...)
	if m := read(t, f); m.Heads["w"].Number != 4 || len(m.Damages) > 0 {
		t.Fatalf("%+v", m)
	}
}

// An HTTP sink gets one POST for each write; only a 2xx is durable, and a redirect is none.
func TestHTTP(t *testing.T) {
	var posts []Post
	status, failed := http.StatusNoContent, error(nil)
	h := NewHTTP("https://sink.test/m", func(_ context.Context, p Post) (int, error) {
		posts = append(posts, p)
		return status, failed
	})
	write(t, h, chain("w", 3)...)
	for _, s := range []int{302, 307, 404, 500} {
		status = s
		if err := h.Write(t.Context(), nil, chain("w", 3)); err == nil {
			t.Errorf("%d counts as durable", s)
		}
	}
	failed = errors.New("no answer")
	if err := h.Write(t.Context(), nil, chain("w", 3)); err == nil {
		t.Error("no answer counts as durable")
	}
	if len(posts) != 6 || posts[0].Header[HeaderKey] != posts[5].Header[HeaderKey] || posts[0].Header[HeaderSequence] != "1" ||
		posts[5].Header[HeaderSequence] != "6" || bytes.Count(posts[0].Body, []byte("\n")) != 3 {
		t.Errorf("%d posts: %v", len(posts), posts[0].Header)
	}
}

// A command gets the lines on its stdin, and its exit status says whether they are durable.
func TestCommand(t *testing.T) {
	out := filepath.Join(t.TempDir(), "out"+journal.SegmentSuffix)
	c, err := NewCommand([]string{"sh", "-c", `cat >>"$0"`, out})
	if err != nil {
		t.Fatal(err)
	}
	write(t, c, chain("w", 5)...)
	m, err := journal.ReadMirror(os.DirFS(filepath.Dir(out)), func(journal.Mirrored) error { return nil })
	if err != nil || m.Heads["w"].Number != 5 {
		t.Fatalf("%+v, %v", m, err)
	}
	for _, argv := range [][]string{{"false"}, {"/no/such/program"}, {"sh", "-c", "cat >/dev/null; exit 3"}} {
		c, err := NewCommand(argv)
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Write(t.Context(), nil, chain("w", 1)); err == nil {
			t.Errorf("%v counts as durable", argv)
		}
	}
	if _, err := NewCommand(nil); err == nil {
		t.Error("no program")
	}
}

func FuzzReadMirror(f *testing.F) {
	var b bytes.Buffer
	for _, r := range chain("w", 2) {
		_ = journal.WriteRecord(&b, r.Record)
	}
	f.Add(b.Bytes())
	f.Add([]byte(`{"key":{"entry_id":"e","data_key":"cg=="}}` + "\n"))
	f.Add([]byte("{\"signed\":{\"note\":\"n\",\"first\":0,\"leaves\":[]}}\n"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "1"+journal.SegmentSuffix), raw, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := journal.ReadMirror(os.DirFS(dir), func(journal.Mirrored) error { return nil }); err != nil && !strings.Contains(err.Error(), "too long") {
			t.Fatal(err)
		}
	})
}

// What is written into a folder that is no longer at its name is not answered, and neither is what would follow in a
// folder that lacks what was: removed, moved away, unmounted, an older copy. A whole one is gone on with.
func TestFolderReplaced(t *testing.T) {
	for name, c := range map[string]struct {
		replace func(t *testing.T, dir string)
		back    bool // it is taken again
	}{
		"removed":     {func(t *testing.T, dir string) { do(t, os.RemoveAll(dir)) }, false},
		"moved":       {func(t *testing.T, dir string) { do(t, os.Rename(dir, dir+".away")) }, false},
		"unmounted":   {func(t *testing.T, dir string) { do(t, os.Rename(dir, dir+".away")); do(t, os.Mkdir(dir, 0o700)) }, false},
		"older copy":  {func(t *testing.T, dir string) { copied(t, dir, 1) }, false},
		"whole copy":  {func(t *testing.T, dir string) { copied(t, dir, 0) }, true},
		"other lines": {func(t *testing.T, dir string) { copied(t, dir, -1) }, false},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "m")
			f, records := folder(t, dir), chain("w", 4)
			write(t, f, records[:1]...)
			write(t, f, records[1:2]...)
			c.replace(t, dir)
			if err := f.Write(t.Context(), nil, records[2:3]); err == nil {
				t.Fatal("it is in a folder that nobody finds, and was answered")
			}
			err := f.Write(t.Context(), nil, records[2:])
			if c.back != (err == nil) {
				t.Fatalf("the next write: %v", err)
			}
			if !c.back {
				return
			}
			if m := read(t, f); m.Heads["w"].Number != 4 || len(m.Damages) > 0 {
				t.Errorf("%+v", m)
			}
		})
	}
}

func do(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// copied puts a copy in the folder's place, without its last lines; -1: with another last line.
func copied(t *testing.T, dir string, without int) {
	t.Helper()
	do(t, os.Rename(dir, dir+".away"))
	do(t, os.Mkdir(dir, 0o700))
	for _, name := range segmentsOf(t, dir+".away") {
		raw, err := os.ReadFile(name)
		do(t, err)
		lines := strings.SplitAfter(strings.TrimSuffix(string(raw), "\n"), "\n")
		if without < 0 {
			lines[len(lines)-1] = strings.Replace(lines[len(lines)-1], "noted", "novel", 1)
			without = 0
		}
		whole := strings.Join(lines[:len(lines)-without], "")
		do(t, os.WriteFile(filepath.Join(dir, filepath.Base(name)), []byte(strings.TrimSuffix(whole, "\n")+"\n"), 0o600))
	}
}
