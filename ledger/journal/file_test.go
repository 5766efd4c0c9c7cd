package journal

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

func file(t *testing.T, n int) []byte {
	t.Helper()
	var b bytes.Buffer
	var prev [32]byte
	for i := 1; i <= n; i++ {
		body := fmt.Appendf(nil, `{"number":%d,"kind":"entry.recorded","after":{"v":%d}}`, i, i)
		prev = Chain(prev, body)
		if err := WriteRecord(&b, Record{Number: int64(i), Body: body, Hash: prev}); err != nil {
			t.Fatal(err)
		}
	}
	if err := WriteHead(&b, "w1", int64(n), prev); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestVerifyClean(t *testing.T) {
	for n := range 40 {
		rep, err := Verify(bytes.NewReader(file(t, n)))
		if err != nil || !rep.OK || rep.Records != int64(n) || rep.WindowID != "w1" {
			t.Fatalf("%d records: %+v, %v", n, rep, err)
		}
	}
}

func TestVerifyNamesTheFirstBadRecord(t *testing.T) {
	good := string(file(t, 9))
	lines := strings.SplitAfter(good, "\n")
	join := func(l ...[]string) string {
		var s string
		for _, x := range l {
			s += strings.Join(x, "")
		}
		return s
	}
	for name, c := range map[string]struct {
		file string
		bad  int64
	}{
		"changed value": {strings.Replace(good, `"v":5`, `"v":6`, 1), 5},
		"deleted":       {join(lines[:3], lines[4:]), 4},
		"swapped":       {join(lines[:2], lines[3:4], lines[2:3], lines[4:]), 3},
		"doubled":       {join(lines[:6], lines[5:]), 7},
		"cut tail":      {join(lines[:7]), 8},
		"cut in a line": {good[:len(good)-200], 9},
		"cut with head": {join(lines[:7], lines[9:]), 8},
		"added":         {good + lines[0], 10},
		"empty":         {"", 1},
	} {
		rep, err := Verify(strings.NewReader(c.file))
		if err != nil || rep.OK || rep.FirstBad != c.bad {
			t.Errorf("%s: %+v, %v; want first bad %d", name, rep, err, c.bad)
		}
	}
}

// Every single-byte change of a record or its hash is found.
func TestVerifyFindsRandomEdits(t *testing.T) {
	good := file(t, 20)
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		bad := bytes.Clone(good)
		i := rnd.IntN(len(bad))
		b := byte(rnd.IntN(256))
		if bad[i] == b || bytes.ContainsAny(bad[i:i+1], "\n") || bytes.HasSuffix(bad[:i], []byte(`"window_id":"`)) ||
			bytes.HasSuffix(bad[:i], []byte(`"window_id":"w`)) {
			continue // the window's name in the head line is not part of the chain
		}
		bad[i] = b
		rep, err := Verify(bytes.NewReader(bad))
		if err != nil {
			t.Fatal(err)
		}
		if rep.OK && !sameLetter(good[i], b) {
			t.Fatalf("byte %d changed from %q to %q was not found", i, good[i], b)
		}
	}
}

// sameLetter: encoding/json matches member names whatever their case, so a changed case of a name is no change.
func sameLetter(a, b byte) bool { return a|0x20 == b|0x20 }

func FuzzVerify(f *testing.F) {
	f.Add([]byte(`{"head":{"window_id":"w","number":0,"hash":""}}`))
	f.Add([]byte("{\"hash\":\"00\",\"record\":{\"number\":1}}\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		rep, err := Verify(bytes.NewReader(b))
		if err == nil && !rep.OK && rep.FirstBad == 0 {
			t.Fatal("not good, and no record is named")
		}
	})
}

// pruned is a journal that begins with record n, which says that the earlier ones were removed, and ends with record last.
func pruned(t *testing.T, n, last int) (lines []string) {
	t.Helper()
	prev := Chain([32]byte{}, []byte("the last one that was removed"))
	for i := n; i <= last; i++ {
		body := fmt.Appendf(nil, `{"number":%d,"kind":"entry.recorded","window_id":"w1"}`, i)
		kind := "entry.recorded"
		if i == n {
			kind = KindPruned
			body = fmt.Appendf(nil, `{"number":%d,"kind":%q,"window_id":"w1","follows":"%x"}`, i, kind, prev)
		}
		prev = Chain(prev, body)
		var b bytes.Buffer
		if err := WriteRecord(&b, Record{Number: int64(i), Kind: kind, Body: body, Hash: prev}); err != nil {
			t.Fatal(err)
		}
		lines = append(lines, b.String())
	}
	var b bytes.Buffer
	if err := WriteHead(&b, "w1", int64(last), prev); err != nil {
		t.Fatal(err)
	}
	return append(lines, b.String())
}

// A journal may begin with a record that says that the earlier ones were removed, and with no other.
func TestVerifyPruned(t *testing.T) {
	lines := pruned(t, 8, 12)
	rep, err := Verify(strings.NewReader(strings.Join(lines, "")))
	if err != nil || !rep.OK || rep.Begins != 8 || rep.Records != 12 {
		t.Fatalf("%+v, %v", rep, err)
	}
	for name, bad := range map[string]string{
		"begins later":    strings.Join(lines[1:], ""),
		"another hash":    strings.Replace(strings.Join(lines, ""), `"follows":"`, `"follows":"00`, 1),
		"not said":        strings.Replace(strings.Join(lines, ""), `"follows"`, `"allows"`, 1),
		"in the middle":   strings.Join(append(pruned(t, 2, 3)[:2], lines...), ""),
		"another number":  strings.Replace(strings.Join(lines, ""), `"number":8`, `"number":7`, 1),
		"a record's loss": strings.Join(append(lines[:2:2], lines[3:]...), ""),
	} {
		if rep, err := Verify(strings.NewReader(bad)); err != nil || rep.OK {
			t.Errorf("%s: %+v, %v", name, rep, err)
		}
	}
}

// A mirror that came after a removal begins where the journal began then; one that missed some records goes on from there.
func TestMirrorOfPruned(t *testing.T) {
	late := pruned(t, 8, 12)
	for name, text := range map[string]string{"new": strings.Join(late[:5], ""), "twice": strings.Join(append(late[:5:5], late[:5]...), "")} {
		var got []int64
		m, err := ReadMirror(fstest.MapFS{"a" + SegmentSuffix: {Data: []byte(text)}}, func(r Mirrored) error {
			got = append(got, r.Number)
			return nil
		})
		if err != nil || len(m.Damages) > 0 || m.Heads["w1"].Number != 12 || !slices.Equal(got, []int64{8, 9, 10, 11, 12}) {
			t.Errorf("%s: %v, %v, %v, %v", name, got, m.Heads, m.Damages, err)
		}
		if _, ok, err := m.HashAt("w1", 6); ok || err != nil {
			t.Errorf("%s: it has what was removed", name)
		}
	}
	if m, err := ReadMirror(fstest.MapFS{"a" + SegmentSuffix: {Data: []byte(strings.Join(late[1:5], ""))}}, func(Mirrored) error { return nil }); err != nil || len(m.Damages) != 1 {
		t.Errorf("%v, %v", m, err)
	}
}
