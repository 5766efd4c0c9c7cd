package httpapi

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"sideledger/ledger"
	"sideledger/remediators"
	"sideledger/remediators/remediatortest"
)

// bindPiped makes the remediator of a system whose third party is a function over connections in memory.
func bindPiped(t *testing.T, serve func(net.Conn, <-chan struct{})) (ledger.Remediator, func()) {
	t.Helper()
	var served sync.WaitGroup
	done := make(chan struct{})
	reg, _, err := remediators.NewRegistry(remediators.Options{
		Systems:   map[string]remediators.SystemConfig{"sys": {Remediator: "http", URL: "http://third.party"}},
		Factories: map[string]remediators.Factory{"http": Factory}, Clock: time.Now, Log: slog.New(slog.DiscardHandler),
		Getenv: func(string) string { return "" },
		DialFunc: func(context.Context, string, string) (net.Conn, error) {
			near, far := net.Pipe()
			served.Go(func() { defer far.Close(); serve(far, done) })
			return near, nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	_, rem, _ := reg.Find("sys")
	return rem, func() { close(done); reg.Close(); served.Wait() }
}

// No answer that is not whole is a success: of a look it shows nothing, of an undo the look decides, and
// where there is no look it is in doubt.
func TestOutgoingNeverReadAsSuccess(t *testing.T) {
	whole := map[string]string{"101 and silence": "failed", "101 and a flood": "failed"}
	for _, s := range remediatortest.Spells() {
		synctest.Test(t, func(t *testing.T) {
			rem, end := bindPiped(t, s.ServeFunc)
			defer end()
			e := entry(ledger.ActionUpdate, "/r/1", `{"v":"old"}`, `{"v":"new"}`)
			seen, err := rem.Look(t.Context(), e)
			if shown := s.Want == remediatortest.Whole && s.Status < 300 && s.Status >= 200; (err == nil || seen.Known) && !shown {
				t.Errorf("%s: it shows %+v", s.Name, seen)
			}
			for _, blind := range []bool{true, false} {
				if blind {
					e.Read = nil
				}
				ans, err := rem.Undo(t.Context(), e, ledger.Look{Known: !blind, Now: e.After})
				want := "ambiguous"
				if s.Want == remediatortest.Whole {
					want = "accepted"
					if w := whole[s.Name]; w != "" {
						want = w
					}
				}
				got := string(ans.Class)
				if c, _ := classOf(err); err != nil {
					got = string(c)
				}
				if got != want {
					t.Errorf("%s: an undo (blind %v) is %s, want %s: %+v, %v", s.Name, blind, got, want, ans, err)
				}
				s := ledger.Settle(e, ledger.Sent{Answer: ans, Err: err, Repeatable: true, Attempts: 8})
				if want != "accepted" && s.Outcome != "" {
					t.Errorf("blind, and settled as %s", s.Outcome)
				}
			}
		})
	}
}

// documents that are meant to break who reads them; none shows anything but what stands in it.
func bombs() map[string]struct {
	doc   string
	shown bool
} {
	type d = struct {
		doc   string
		shown bool
	}
	nested := func(open, inner, end string, n int) string {
		return strings.Repeat(open, n) + inner + strings.Repeat(end, n)
	}
	big := strings.Repeat("9", 1_000_000)
	return map[string]d{
		"lists 10,000 deep":             {nested("[", "1", "]", 9999), false},
		"lists 128 deep":                {nested("[", "1", "]", 128), true},
		"lists 129 deep":                {nested("[", "1", "]", 129), false},
		"brackets in a text":            {`{"x":"` + strings.Repeat("[", 1000) + `\"{"}`, true},
		"long names 128 deep":           {nested(`{"`+strings.Repeat("n", 8000)+`":`, "1", "}", 128), true},
		"lists 500,000 deep":            {nested("[", "", "]", 500_000), false},
		"objects 100,000 deep":          {nested(`{"a":`, "1", "}", 100_000), false},
		"objects 5,000 deep, 1 MiB":     {nested(`{"a":`, `"`+strings.Repeat("x", 900_000)+`"`, "}", 5000), false},
		"long names 9,900 deep":         {nested(`{"`+strings.Repeat("n", 95)+`":`, "1", "}", 9900), false},
		"unclosed, 1 MiB":               {strings.Repeat("[", 1<<20), false},
		"a name twice":                  {`{"v":"old","v":"new"}`, false},
		"a name twice, escaped":         {`{"v":"old","\u0076":"new"}`, false},
		"a name twice, deep":            {`{"a":[{"v":1,"v":2}]}`, false},
		"a name twice, 100,000 names":   {`{` + strings.Repeat(`"a":1,`, 100_000) + `"v":1}`, false},
		"40,000 names":                  {manyNames(40_000), true},
		"invalid UTF-8":                 {"{\"v\":\"\xff\xfe\"}", false},
		"invalid UTF-8 in a name":       {"{\"\xc0\xaf\":1}", false},
		"half a surrogate":              {`{"v":"\ud800"}`, false},
		"a byte order mark":             {"\xef\xbb\xbf{}", false},
		"UTF-16":                        {"\xff\xfe{\x00}\x00", false},
		"a NUL":                         {"{\"v\":\"\x00\"}", false},
		"two documents":                 {`{"v":"old"}{"v":"new"}`, false},
		"a comma too many":              {`{"v":"old",}`, false},
		"a comment":                     {`{"v":"old"} // x`, false},
		"NaN":                           {`{"v":NaN}`, false},
		"a number of a million digits":  {`{"v":` + big + `}`, true},
		"an exponent of 10^9":           {`{"v":1e1000000000}`, true},
		"an exponent of 900,000 digits": {`{"v":1e` + big[:900_000] + `}`, true},
		"a minus and no more":           {`{"v":-}`, false},
		"a leading zero":                {`{"v":01}`, false},
		"HTML":                          {"<html>200 OK</html>", false},
		"XSSI":                          {")]}'\n{\"v\":\"old\"}", false},
	}
}

func manyNames(n int) string {
	var b strings.Builder
	b.WriteString(`{"v":1`)
	for i := range n {
		fmt.Fprintf(&b, `,"n%d":%d`, i, i)
	}
	return b.String() + "}"
}

// Documents that are nested, repeated or broken on purpose end in bounded memory and show nothing false.
func TestOutgoingDocuments(t *testing.T) {
	var doc string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, doc) }))
	defer server.Close()
	rem := bind(t, remediators.SystemConfig{URL: server.URL})
	var largest int64
	for name, b := range bombs() {
		doc = b.doc
		e := entry(ledger.ActionUpdate, "/r/1", `{"v":"old"}`, `{"v":"new"}`)
		for _, own := range [][]string{nil, {""}} {
			e.Owned = own
			begun := time.Now()
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			seen, err := rem.Look(t.Context(), e)
			if (err == nil) != b.shown {
				t.Errorf("%s: %v", name, err)
			}
			if err == nil {
				if c := ledger.Compare(e.Before, e.After, seen.Now, seen.Scope); c.Before || c.After {
					t.Errorf("%s: it passes for an image: %+v", name, c)
				}
			}
			runtime.ReadMemStats(&after)
			bytes := int64(after.TotalAlloc - before.TotalAlloc)
			largest = max(largest, bytes)
			t.Logf("%-32s %6d KiB %s", name, bytes>>10, time.Since(begun).Round(time.Millisecond))
			if bytes > 256<<20 {
				t.Errorf("%s: %d MiB", name, bytes>>20)
			}
		}
	}
	t.Logf("figure: %d documents, the largest allocates %d MiB in all", len(bombs()), largest>>20)
}
