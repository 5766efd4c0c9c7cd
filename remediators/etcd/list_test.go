package etcd

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sideledger/ledger"
	"sideledger/remediators/remediatortest"
)

// What nobody recorded beside a recorded key of a real etcd, over more than one page.
func TestUnrecorded(t *testing.T) {
	remediatortest.Proves(t, Kind, "listed")
	b := start(t)
	b.put(b.key("dir/recorded"), "v", "")
	b.put(b.key("elsewhere"), "v", "")
	b.Record(draft(ledger.ActionUpdate, b.key("dir/recorded"), val("u"), val("v")))
	want := map[string]bool{}
	for i := range listPage + 3 {
		key := b.key(fmt.Sprintf("dir/k%04d", i))
		want[key] = true
		b.put(key, "secret value", "")
	}
	binary := b.key("dir/\xff")
	b.put(binary, "v", "")
	want[binary] = true
	found, err := b.Ledger.Unrecorded(t.Context(), ledger.UnrecordedRequest{WindowID: b.ID})
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]bool{}
	for _, f := range found.Items {
		key, err := parseKey(f.Resource)
		if err != nil || f.Sign != ledger.ForeignUndated {
			t.Fatalf("%+v, %v", f, err)
		}
		got[key] = true
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if l := found.Lists; len(l) != 1 || l[0].Part || l[0].Held != len(want)+1 || string(l[0].Place) != string(named(b.key("dir/"))) {
		t.Errorf("%+v", l)
	}
}

func TestRangeOf(t *testing.T) {
	for prefix, want := range map[string][2]string{
		"": {"\x00", "\x00"}, "/a/": {"/a/", "/a0"}, "a\xff": {"a\xff", "b"}, "\xff\xff": {"\xff\xff", "\x00"},
	} {
		if from, end := rangeOf(prefix); string(from) != want[0] || string(end) != want[1] {
			t.Errorf("%q: %q to %q, want %q", prefix, from, end, want)
		}
	}
}
