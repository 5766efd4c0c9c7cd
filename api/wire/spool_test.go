package wire_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sideledger/api/wire"
)

func spoolOf(t *testing.T, calls ...wire.SpoolCall) []byte {
	t.Helper()
	var buf []byte
	var sum [sha256.Size]byte
	var err error
	for _, c := range calls {
		if buf, sum, err = wire.AppendSpool(buf, sum, c); err != nil {
			t.Fatal(err)
		}
	}
	return buf
}

func threeCalls() []wire.SpoolCall {
	at := time.Date(2026, 11, 21, 2, 0, 0, 0, time.UTC)
	return []wire.SpoolCall{
		{At: at, Method: "POST", Path: "/v1/windows", Key: "k1", Makes: "w1", Body: []byte(`{"name":"<&> é \u00e9"}`)},
		{At: at, Server: "http://ledger", Method: "POST", Path: "/v1/windows/w1/entries", Key: "k2", Body: []byte(`{"before":9007199254740993.0,"note":"a\nb"}`)},
		{At: at, Method: "POST", Path: "/v1/entries/e1/applied", Key: "k3"},
	}
}

func TestSpoolRoundTrip(t *testing.T) {
	want := threeCalls()
	file := spoolOf(t, want...)
	got, err := wire.ReadSpool(bytes.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, got.Calls); d != "" {
		t.Errorf("calls (-want +got):\n%s", d)
	}
	if got.Size != int64(len(file)) {
		t.Errorf("size %d, want %d", got.Size, len(file))
	}
	// Writing goes on where reading ended.
	more, _, err := wire.AppendSpool(file, got.Sum, want[2])
	if err != nil {
		t.Fatal(err)
	}
	if got, err := wire.ReadSpool(bytes.NewReader(more)); err != nil || len(got.Calls) != 4 {
		t.Errorf("%d calls, %v", len(got.Calls), err)
	}
	if got, err := wire.ReadSpool(strings.NewReader("")); err != nil || len(got.Calls) != 0 {
		t.Errorf("an empty file: %+v, %v", got, err)
	}
}

// Cut anywhere, a spool has all lines that were whole, and says that the last one is torn.
func TestSpoolCutAnywhere(t *testing.T) {
	file := spoolOf(t, threeCalls()...)
	for n := range file {
		got, err := wire.ReadSpool(bytes.NewReader(file[:n]))
		whole := bytes.Count(file[:n], []byte("\n"))
		if len(got.Calls) != whole {
			t.Fatalf("cut at %d: %d calls, want %d", n, len(got.Calls), whole)
		}
		torn := n > 0 && file[n-1] != '\n'
		var bad *wire.SpoolError
		if torn != errors.As(err, &bad) || torn && (!bad.Torn || bad.Line != whole+1) || !torn && err != nil {
			t.Fatalf("cut at %d: %v", n, err)
		}
	}
}

func TestSpoolNamesTheFirstBadLine(t *testing.T) {
	file := string(spoolOf(t, threeCalls()...))
	lines := strings.SplitAfter(file, "\n")
	foreign := string(spoolOf(t, wire.SpoolCall{Method: "DELETE", Path: "/v1/windows", Key: "k"}))
	for name, c := range map[string]struct {
		file string
		line int
	}{
		"changed":      {strings.Replace(file, "k2", "k9", 1), 2},
		"missing":      {lines[0] + lines[2], 2},
		"moved":        {lines[1] + lines[0] + lines[2], 1},
		"doubled":      {lines[0] + lines[0], 2},
		"no sum":       {lines[0] + "{}\n", 2},
		"empty line":   {lines[0] + "\n" + lines[1], 2},
		"other method": {foreign, 1},
		"zeros":        {lines[0] + strings.Repeat("\x00", 200) + "\n", 2},
		"too long":     {lines[0] + strings.Repeat("x", wire.MaxSpoolLine+1<<17), 2},
	} {
		got, err := wire.ReadSpool(strings.NewReader(c.file))
		var bad *wire.SpoolError
		if !errors.As(err, &bad) || bad.Torn || bad.Line != c.line || len(got.Calls) != c.line-1 {
			t.Errorf("%s: %v with %d calls, want line %d", name, err, len(got.Calls), c.line)
		}
	}
	if _, _, err := wire.AppendSpool(nil, [32]byte{}, wire.SpoolCall{Body: []byte(`"` + strings.Repeat("x", wire.MaxSpoolLine) + `"`)}); err == nil {
		t.Error("a call longer than a line is written")
	}
}

func FuzzReadSpool(f *testing.F) {
	f.Add([]byte(`{"at":"2026-11-21T02:00:00Z","method":"POST"}` + "\n"))
	f.Fuzz(func(t *testing.T, file []byte) {
		got, err := wire.ReadSpool(bytes.NewReader(file))
		if int64(len(file)) < got.Size || err == nil && got.Size != int64(len(file)) {
			t.Fatalf("size %d of %d, %v", got.Size, len(file), err)
		}
	})
}
