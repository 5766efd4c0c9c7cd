package ledger

import (
	"bytes"
	"encoding/json"
	"math/big"
	"strings"
	"testing"

	"github.com/google/uuid"

	"sideledger/ledger/journal"
)

func FuzzPointer(f *testing.F) {
	f.Add("/a/0", `{"a":[1,{"b":null}]}`)
	f.Add("/~0~1/é", `{"~/":{"é":1}}`)
	f.Add("/a/01", `{"a":[1,2]}`)
	f.Add("/a/-", `{"a":[1,2]}`)
	f.Add("~", `{}`)
	f.Fuzz(func(t *testing.T, p, doc string) {
		if !checkPointer(p) {
			return
		}
		again := ""
		for _, s := range steps(p) {
			again += pointerTo(s)
		}
		if again != p {
			t.Fatalf("%q is read as %q", p, again)
		}
		v, err := decode(json.RawMessage(doc))
		if err != nil {
			return
		}
		found, ok := lookup(v, p)
		if ok && !strings.Contains(text(v), text(found)) {
			t.Fatalf("%q of %s is %s", p, doc, text(found))
		}
		if m, isObject := v.(map[string]any); isObject && len(steps(p)) == 1 {
			if got, there := lookup(put(m, steps(p), "x", true), p); !there || got != "x" {
				t.Fatalf("%q cannot be put into %s", p, doc)
			}
		}
	})
}

func FuzzTerm(f *testing.F) {
	for _, s := range []string{"7", "system=a", "kind=a=b", "tag=", "0199f7a2-0000-7000-8000-000000000000", "00000000-0000-0000-0000-000000000000", "+7", "-1", "{0199f7a2-0000-7000-8000-000000000000}"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		term, err := ParseTerm("/only/0", s)
		if err != nil {
			if CodeOf(err) != CodeInvalid {
				t.Fatal(err)
			}
			return
		}
		if term == (Term{}) {
			t.Fatalf("%q picks nothing and is taken", s)
		}
		if back, err := ParseTerm("", term.String()); err != nil || back != term {
			t.Fatalf("%q is %+v and is written %q, which is %+v, %v", s, term, term, back, err)
		}
	})
}

func FuzzToken(f *testing.F) {
	f.Add(newSecret(RoleAdmin))
	f.Add("sl_admin_")
	f.Add("")
	f.Add("_000000")
	f.Fuzz(func(t *testing.T, secret string) {
		if !wellFormed(secret) {
			return
		}
		turned := []byte(secret)
		turned[len(turned)/2] ^= 1
		if wellFormed(string(turned)) && turned[len(turned)/2] != secret[len(turned)/2] {
			t.Fatalf("%q and %q have the same checksum", secret, turned)
		}
	})
}

// Numbers are equal by their value, however long they are and however they are written.
func FuzzNumbers(f *testing.F) {
	f.Add("1", "0.1e1")
	f.Add("1e400", "10E399")
	f.Add("-0", "0.0e-7")
	f.Add("9007199254740993", "9007199254740992")
	f.Add("1e99999999999999999999", "1E+99999999999999999999")
	f.Fuzz(func(t *testing.T, a, b string) {
		if !isNumber(a) || !isNumber(b) {
			return
		}
		same := sameNumber(a, b)
		if same != sameNumber(b, a) || !sameNumber(a, a) {
			t.Fatalf("%s and %s: %t", a, b, same)
		}
		if small(a) && small(b) {
			x, _ := new(big.Rat).SetString(a)
			y, _ := new(big.Rat).SetString(b)
			if (x.Cmp(y) == 0) != same {
				t.Fatalf("%s and %s: %t", a, b, same)
			}
		}
	})
}

func isNumber(s string) bool {
	return json.Valid([]byte(s)) && strings.TrimSpace(s) == s && strings.ContainsAny(s[:1], "-0123456789")
}

// small reports whether big.Rat can hold it without using up the memory.
func small(s string) bool {
	_, exp, _ := strings.Cut(strings.ToLower(s), "e")
	return len(strings.TrimLeft(exp, "+-0")) < 4
}

// A journal that somebody else wrote is refused or rebuilt: it harms nobody.
func FuzzRebuild(f *testing.F) {
	id := uuid.MustParse("0199f7a2-0000-7000-8000-000000000000")
	body := recordBody{
		Number: 1, Kind: "entry.recorded", WindowID: id, EntryID: id, RollbackID: id, Entry: entryToJSON(&Entry{Seq: 1, Posted: [32]byte{1}}),
		Draft: []byte(`{"id":"0199f7a2-0000-7000-8000-000000000000","before":{"n":1e400}}`), Attempt: &attemptJSON{N: 1},
		Window: windowToJSON(&Window{}), Rollback: rollbackToJSON(&Rollback{Select: Selection{Only: []Term{{Seq: 7}}}}),
	}
	raw, err := encode(body)
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte(raw))
	f.Add([]byte(`{"entry_id":"0199f7a2-0000-7000-8000-000000000000","entry":{"seq":1},"attempt":{"n":0}}`))
	f.Add([]byte(`{"entry":{"posted":"` + strings.Repeat("0", 80) + `"}}`))
	f.Add([]byte(`{"rollback":{"only":["0"]}}`))
	f.Fuzz(func(_ *testing.T, raw []byte) {
		var b Rebuilt
		for part := range bytes.SplitSeq(raw, []byte("\n")) {
			_ = b.Apply(journal.Record{Number: 1, Body: part})
			_ = b.Apply(journal.Record{Number: 2, Body: part})
		}
	})
}
