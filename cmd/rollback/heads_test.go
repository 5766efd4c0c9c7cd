package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"

	"sideledger/api/client"
	"sideledger/api/wire"
)

func headOf(window string, number, born int) string {
	return fmt.Sprintf("%s %d %064x %d-seal", window, number, number, born)
}

// The newest head of each window is kept, for the windows that were answered last, and only for the ledger that answered it.
func TestKeptHeads(t *testing.T) {
	h := &headFile{name: filepath.Join(t.TempDir(), "rollback", "heads", "a.json")}
	if got := h.For("/v1/windows"); len(got) != 0 {
		t.Fatalf("%v", got)
	}
	a, b := uuid.NewString(), uuid.NewString()
	for _, head := range []string{headOf(a, 3, 1), headOf(a, 2, 1), "nonsense", headOf(b, 1, 1), headOf(a, 9, 2), headOf(a, 20, 1), headOf(b, 2, 1)} {
		h.Saw(head)
	}
	if got := h.For("/v1/windows/" + a + "/entries"); strings.Join(got, "|") != headOf(b, 2, 1)+"|"+headOf(a, 9, 2) {
		t.Fatalf("%v", got)
	}
	for range mostHeads + 10 {
		h.Saw(headOf(uuid.NewString(), 1, 1))
	}
	doc, err := h.read()
	if err != nil || len(doc.Heads) != mostHeads {
		t.Fatalf("%d heads, %v", len(doc.Heads), err)
	}
	if err := os.WriteFile(h.name, []byte("no file of ours"), 0o600); err != nil {
		t.Fatal(err)
	}
	h.Saw(headOf(a, 1, 1))
	if got := h.For("/"); len(got) != 1 {
		t.Fatalf("%v", got)
	}
}

// Many commands at once lose no window.
func TestKeptHeadsAtOnce(t *testing.T) {
	name := filepath.Join(t.TempDir(), "a.json")
	var wg sync.WaitGroup
	for range 40 {
		wg.Go(func() { (&headFile{name: name}).Saw(headOf(uuid.NewString(), 1, 1)) })
	}
	wg.Wait()
	doc, err := (&headFile{name: name}).read()
	if err != nil || len(doc.Heads) != 40 {
		t.Fatalf("%d heads, %v", len(doc.Heads), err)
	}
}

// What one command was answered goes with the next one's call; a warning of the server is passed on.
func TestHeadsGoWithCalls(t *testing.T) {
	id := uuid.NewString()
	var got []string
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got = r.Header.Values(wire.HeaderHead)
		w.Header().Set(wire.HeaderHead, headOf(id, 5, 1))
		w.Header().Set(wire.HeaderWarning, "safe mode: x")
		_, _ = fmt.Fprintf(w, `{"id":%q}`, id)
	}))
	t.Cleanup(srv.Close)
	name, warned := filepath.Join(t.TempDir(), "a.json"), ""
	for i, want := range []string{"", headOf(id, 5, 1)} {
		c, err := client.New(client.Config{URL: srv.URL, Heads: &headFile{name: name}, WarnFunc: func(s string) { warned = s }})
		if err == nil {
			_, err = c.Window(t.Context(), id)
		}
		if err != nil || strings.Join(got, "|") != want || warned != "safe mode: x" {
			t.Fatalf("call %d carried %v, warned %q, %v", i, got, warned, err)
		}
	}
}
