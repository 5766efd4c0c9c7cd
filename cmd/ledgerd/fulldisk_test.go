package main

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"sideledger/api/client"
	"sideledger/api/wire"
)

// A disk that somebody else fills to its last byte: what is new is refused with 507, reads go on, a server that was stopped or
// killed starts again, a fact is taken and a rollback runs to its end. With room again everything is as it was.
func TestFullDisk(t *testing.T) {
	third := &counting{state: map[string]string{}}
	web := httptest.NewServer(third)
	t.Cleanup(web.Close)
	b := newBrim(t, buildServer(t), web.URL, "16MiB")
	b.start()
	b.wantReady("ok")
	w, err := b.client.OpenWindow(t.Context(), wire.WindowDraft{Name: "full"})
	if err != nil {
		t.Fatal(err)
	}
	acked := b.record(third, w.ID, 4, 10)
	intents := 3
	for i := range intents {
		if _, err := b.client.Record(t.Context(), w.ID, intentDraft(fmt.Sprintf("/%s/%d", w.ID, i))); err != nil {
			t.Fatal(err)
		}
	}
	b.fill()
	intents += b.recordUntilFull(w.ID)
	b.wantReady("full")
	b.wantFull(w.ID)

	b.stop() // takes the WAL away, and the room with it
	b.fill()
	b.start()
	b.wantFull(w.ID)
	b.wantReads(w.ID, len(acked)+intents)
	for range 3 { // a fact, and the word about an intent
		at := fmt.Sprintf("/%s/fact-%d", w.ID, len(acked))
		third.set(at, `{"v":"new"}`)
		e, err := b.client.Record(t.Context(), w.ID, putDraft(at))
		if err != nil {
			t.Fatalf("a fact: %v", err)
		}
		acked[e.ID] = true
	}
	b.voidIntents(w.ID)

	if _, err := b.client.StartRollback(t.Context(), w.ID, wire.RollbackRequest{Reason: "full"}, 0); err != nil {
		t.Fatal(err)
	}
	b.kill()
	b.fill()
	b.start()
	stop := b.keepFilling()
	run := b.finish(w.ID)
	stop()
	if run.Counts.Undone != len(acked) || run.Counts.Void != intents {
		t.Errorf("%d facts and %d intents: %+v", len(acked), intents, run.Counts)
	}
	if calls := third.take(); len(calls) != len(acked) {
		t.Errorf("%d facts, %d undos", len(acked), len(calls))
	}
	b.checkJournal(w.ID)
	b.wantFull(w.ID)
	left := b.reserve()
	if left >= 16<<20 {
		t.Error("nothing was taken from the reserve: this proves nothing")
	}
	t.Logf("%d undos and %d voids on a full disk took %d MiB of 16 MiB in reserve", len(acked), intents, (16<<20-left)>>20)

	b.empty()
	b.wantRoom()
	b.wantReady("ok")
	b.kill()
	checkSound(t, filepath.Join(b.dir, "ledger.db"))
	if got := b.reserve(); got != 16<<20 {
		t.Errorf("the reserve is %d bytes with room again", got)
	}
}

// Without a reserve a rollback cannot even begin where the disk is full: the test above can fail.
func TestFullDiskBites(t *testing.T) {
	third := &counting{state: map[string]string{}}
	web := httptest.NewServer(third)
	t.Cleanup(web.Close)
	b := newBrim(t, buildServer(t), web.URL, "0")
	b.start()
	w, err := b.client.OpenWindow(t.Context(), wire.WindowDraft{Name: "full"})
	if err != nil {
		t.Fatal(err)
	}
	b.record(third, w.ID, 4, 10)
	b.fill()
	b.recordUntilFull(w.ID)
	_, err = b.client.StartRollback(t.Context(), w.ID, wire.RollbackRequest{}, 0)
	b.wantCode(err)
	b.wantReads(w.ID, -1)
	b.empty()
	b.finish(w.ID) // of itself, with room again
	b.checkJournal(w.ID)
}

// A brim is a server whose ledger stands on a small disk.
type brim struct {
	*server
	dir string
}

func newBrim(t *testing.T, binary, thirdURL, reserve string) *brim {
	t.Helper()
	dir := t.TempDir()
	if err := syscall.Mount("sideledger", dir, "tmpfs", 0, "size=32m,mode=700"); err != nil {
		t.Fatalf("this test needs to be root, to mount a small tmpfs: %v", err)
	}
	b := &brim{dir: dir}
	t.Cleanup(func() {
		if b.server != nil {
			b.kill()
		}
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	b.server = newServerIn(t, binary, thirdURL, dir, "reserve: "+reserve+"\n")
	return b
}

// reserve returns how many bytes are kept.
func (b *brim) reserve() int64 {
	b.t.Helper()
	info, err := os.Stat(filepath.Join(b.dir, "ledger.db.reserve"))
	if err != nil {
		b.t.Fatal(err)
	}
	return info.Size()
}

// keepFilling takes whatever becomes free on the disk, as a log does that somebody writes, until stop is called.
func (b *brim) keepFilling() (stop func()) {
	var wg sync.WaitGroup
	done := make(chan struct{})
	wg.Go(func() {
		for {
			select {
			case <-done:
				return
			case <-time.After(100 * time.Microsecond):
				if err := b.fillUp(); err != nil {
					b.t.Error(err)
					return
				}
			}
		}
	})
	return func() { close(done); wg.Wait() }
}

// fill takes every byte that is left on the disk.
func (b *brim) fill() {
	b.t.Helper()
	if err := b.fillUp(); err != nil {
		b.t.Fatal(err)
	}
}

func (b *brim) fillUp() error {
	f, err := os.OpenFile(filepath.Join(b.dir, "filler"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	for buf := make([]byte, page); err == nil; {
		_, err = f.Write(buf)
	}
	if errors.Is(err, syscall.ENOSPC) {
		return nil
	}
	return err
}

func (b *brim) empty() {
	b.t.Helper()
	if err := os.Remove(filepath.Join(b.dir, "filler")); err != nil {
		b.t.Fatal(err)
	}
}

// stop ends the server as an operator does.
func (b *brim) stop() {
	b.t.Helper()
	if err := b.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		b.t.Fatal(err)
	}
	if err := b.cmd.Wait(); err != nil {
		b.t.Errorf("the server ended with %v", err)
	}
	b.cmd = nil
}

func intentDraft(at string) wire.EntryDraft {
	d := putDraft(at)
	d.State = "intended"
	return d
}

// recordUntilFull records intents until one is refused, and returns how many were taken.
func (b *brim) recordUntilFull(window string) int {
	b.t.Helper()
	for n := range 5000 {
		_, err := b.client.Record(b.t.Context(), window, intentDraft(fmt.Sprintf("/%s/intent-%d", window, n)))
		if err != nil {
			b.wantCode(err)
			return n
		}
	}
	b.t.Fatal("the disk is not full")
	return 0
}

func (b *brim) wantCode(err error) {
	b.t.Helper()
	var e *client.Error
	if !errors.As(err, &e) || e.Status != http.StatusInsufficientStorage || e.Problem.Code != client.CodeFull || e.RetryAfter <= 0 {
		b.t.Errorf("on a full disk: %v, want 507, full", err)
	}
}

// wantFull holds the server to refusing what is new.
func (b *brim) wantFull(window string) {
	b.t.Helper()
	_, err := b.client.Record(b.t.Context(), window, intentDraft("/x"))
	b.wantCode(err)
	_, err = b.client.RecordBatch(b.t.Context(), window, []wire.EntryDraft{putDraft("/y"), intentDraft("/z")})
	b.wantCode(err)
	_, err = b.client.OpenWindow(b.t.Context(), wire.WindowDraft{Name: "one more"})
	b.wantCode(err)
}

// wantReads reads what there is to read; n is the number of entries, -1: any.
func (b *brim) wantReads(window string, n int) {
	b.t.Helper()
	got := 0
	for _, err := range b.client.AllEntries(b.t.Context(), window, client.EntryQuery{}) {
		if err != nil {
			b.t.Fatal(err)
		}
		got++
	}
	if n >= 0 && got != n {
		b.t.Errorf("%d entries, want %d", got, n)
	}
	if _, err := b.client.Windows(b.t.Context(), client.WindowQuery{}); err != nil {
		b.t.Error(err)
	}
	if _, err := b.client.Plan(b.t.Context(), window, client.Selection{}); err != nil {
		b.t.Error(err)
	}
	b.checkJournal(window)
}

// voidIntents says of every intent that it never happened, so that no rollback waits for it.
func (b *brim) voidIntents(window string) {
	b.t.Helper()
	for e, err := range b.client.AllEntries(b.t.Context(), window, client.EntryQuery{}) {
		if err == nil && e.State == "intended" {
			_, err = b.client.Void(b.t.Context(), e.ID, "the disk was full")
		}
		if err != nil {
			b.t.Fatal(err)
		}
	}
}

// wantRoom waits until something new is taken again.
func (b *brim) wantRoom() {
	b.t.Helper()
	limit := time.Now().Add(30 * time.Second)
	for {
		_, err := b.client.OpenWindow(b.t.Context(), wire.WindowDraft{Name: "room"})
		if err == nil {
			return
		}
		b.wantCode(err)
		if time.Now().After(limit) {
			b.t.Fatal("nothing new is taken though there is room")
		}
		time.Sleep(50 * time.Millisecond) // the server looks once a second
	}
}

func (b *brim) wantReady(want string) {
	b.t.Helper()
	a, err := b.client.Send(b.t.Context(), client.Call{Method: http.MethodGet, Path: "/readyz"})
	if err != nil {
		b.t.Fatal(err)
	}
	if got := string(a.Body); !strings.HasPrefix(got, fmt.Sprintf("{\"status\":%q,", want)) {
		b.t.Errorf("ready: %s, want %s", got, want)
	}
}
