package secrets

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/uuid"

	"sideledger/ledger"
)

func newRing(t *testing.T, k Key, previous ...Key) (*Keyring, []byte) {
	t.Helper()
	root, err := NewRoot(k)
	if err != nil {
		t.Fatal(err)
	}
	r, err := Open(k, previous, root)
	if err != nil {
		t.Fatal(err)
	}
	return r, root
}

// A sealed is one value where it belongs.
type sealed struct {
	ring  *Keyring
	field ledger.Field
	text  []byte
	plain string
}

// seal makes two ledgers under one key, the same three entries in each, and three fields in each of those.
func seal(t *testing.T, k Key) []sealed {
	t.Helper()
	var out []sealed
	entries := []uuid.UUID{ledger.NewID(), ledger.NewID(), ledger.NewID()}
	for range 2 {
		ring, _ := newRing(t, k)
		for _, entry := range entries {
			key, err := ring.NewDataKey(entry)
			if err != nil {
				t.Fatal(err)
			}
			for _, name := range []string{"/before/token", "/after/token", "/undo/body/0"} {
				v := sealed{ring: ring, field: ledger.Field{Entry: entry, Name: name, DataKey: key}, plain: fmt.Sprintf(`"value %d"`, len(out))}
				if v.text, err = ring.Encrypt(v.field, ledger.NewSecret(v.plain)); err != nil {
					t.Fatal(err)
				}
				if bytes.Contains(v.text, []byte("value")) {
					t.Fatalf("the ciphertext shows it: %q", v.text)
				}
				out = append(out, v)
			}
		}
	}
	return out
}

// Every ciphertext opens where it belongs, and nowhere else: not in another field, entry or ledger, with its own
// data key or that one's.
func TestSwappedCiphertextsNeverOpen(t *testing.T) {
	list := seal(t, NewKey())
	swaps := 0
	for i, from := range list {
		for j, to := range list {
			got, err := to.ring.Decrypt(to.field, from.text)
			if i == j {
				if err != nil || got.Reveal() != from.plain {
					t.Fatalf("%d does not open where it belongs: %v", i, err)
				}
				continue
			}
			swaps += 2
			if err == nil {
				t.Errorf("%d opens as %d", i, j)
			}
			moved := to.field
			moved.DataKey = from.field.DataKey
			if from.ring == to.ring && from.field.Entry == to.field.Entry {
				continue // the same data key
			}
			if _, err := to.ring.Decrypt(moved, from.text); err == nil {
				t.Errorf("%d opens as %d once its data key is moved too", i, j)
			}
		}
	}
	t.Logf("%d swaps, none opened", swaps)
}

func TestChangedBytesNeverOpen(t *testing.T) {
	v := seal(t, NewKey())[0]
	for i := range v.text {
		bad := bytes.Clone(v.text)
		bad[i] ^= 1
		if _, err := v.ring.Decrypt(v.field, bad); err == nil {
			t.Errorf("byte %d of the ciphertext may change", i)
		}
		if _, err := v.ring.Decrypt(v.field, v.text[:i]); err == nil {
			t.Errorf("it opens with %d bytes", i)
		}
	}
	for i := range v.field.DataKey {
		bad := v.field
		bad.DataKey = bytes.Clone(bad.DataKey)
		bad.DataKey[i] ^= 1
		if _, err := v.ring.Decrypt(bad, v.text); err == nil {
			t.Errorf("byte %d of the data key may change", i)
		}
	}
}

func TestRewrapKeepsAllReadableAndTouchesNoCiphertext(t *testing.T) {
	first, second := NewKey(), NewKey()
	old, root := newRing(t, first)
	var fields []ledger.Field
	var texts [][]byte
	for i := range 50 {
		f := ledger.Field{Entry: ledger.NewID(), Name: "/before/x"}
		var err error
		if f.DataKey, err = old.NewDataKey(f.Entry); err != nil {
			t.Fatal(err)
		}
		text, err := old.Encrypt(f, ledger.NewSecret(fmt.Sprint(i)))
		if err != nil {
			t.Fatal(err)
		}
		fields, texts = append(fields, f), append(texts, text)
	}
	both, err := Open(second, []Key{first}, root)
	if err != nil {
		t.Fatal(err)
	}
	for i, f := range fields {
		out, changed, err := both.RewrapDataKey(f.Entry, f.DataKey)
		if err != nil || !changed || KeyID(out) != second.ID() {
			t.Fatalf("%d: changed %t, under %s, %v", i, changed, KeyID(out), err)
		}
		if _, _, err := both.RewrapDataKey(ledger.NewID(), f.DataKey); err == nil {
			t.Fatal("a data key is wrapped anew for another entry")
		}
		if again, changed, err := both.RewrapDataKey(f.Entry, out); err != nil || changed || !bytes.Equal(again, out) {
			t.Fatalf("a second time: changed %t, %v", changed, err)
		}
		fields[i].DataKey = out
	}
	newRoot, _, err := both.RewrapRoot(root)
	if err != nil {
		t.Fatal(err)
	}
	alone, err := Open(second, nil, newRoot)
	if err != nil {
		t.Fatal(err)
	}
	for i, f := range fields {
		if got, err := alone.Decrypt(f, texts[i]); err != nil || got.Reveal() != fmt.Sprint(i) {
			t.Errorf("%d: %v", i, err)
		}
	}
	if alone.MAC("fingerprint", []byte("x")) != old.MAC("fingerprint", []byte("x")) {
		t.Error("fingerprints change with the key")
	}
	if alone.MAC("fingerprint", []byte("x")) == alone.MAC("posted", []byte("x")) {
		t.Error("two purposes have one key")
	}
	var wrong *WrongKeyError
	if _, err := Open(first, nil, newRoot); !errors.As(err, &wrong) || wrong.Want != second.ID() {
		t.Errorf("the old key alone: %v", err)
	}
	if _, _, err := alone.RewrapDataKey(uuid.Nil, nil); err == nil {
		t.Error("nothing is taken for a data key")
	}
}

func TestKeysAreReadAndWrittenWithoutShowingThem(t *testing.T) {
	k := NewKey()
	text := k.Text().Reveal()
	if again, err := ParseKey(" " + text + "\n"); err != nil || again.ID() != k.ID() {
		t.Fatalf("%v", err)
	}
	for _, bad := range []string{"", text[:len(text)-1], text + "A", strings.TrimPrefix(text, "sideledger"), strings.ToLower(text), "sideledger-key-2:" + text[17:]} {
		if again, err := ParseKey(bad); err == nil && again.ID() == k.ID() || err != nil && len(bad) > 20 && strings.Contains(err.Error(), bad[20:]) {
			t.Errorf("%q: %v", bad, err)
		}
	}
	file := filepath.Join(t.TempDir(), "key")
	if err := WriteKey(file, k); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if err := WriteKey(file, NewKey()); !errors.Is(err, os.ErrExist) {
		t.Errorf("over another: %v", err)
	}
	for _, ref := range []string{"file:" + file, "env:KEY"} {
		got, err := Load(ref, func(string) string { return text })
		if err != nil || got.ID() != k.ID() {
			t.Errorf("%s: %v", ref, err)
		}
	}
	for _, ref := range []string{text, "file:relative", "env:", "vault:x", "env:A=B"} {
		if _, err := Load(ref, func(string) string { return text }); err == nil || strings.Contains(err.Error(), text[20:]) {
			t.Errorf("%s: %v", ref, err)
		}
	}
	if s := fmt.Sprintf("%v %+v %#v", k, k, k); strings.Contains(s, text[20:]) || strings.Contains(s, k.raw.Reveal()) {
		t.Errorf("a key prints itself: %s", s)
	}
}
