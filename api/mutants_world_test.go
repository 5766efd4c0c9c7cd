package api

import (
	"math/rand/v2"
	"strconv"
	"strings"

	"github.com/google/uuid"

	"sideledger/api/wire"
	"sideledger/ledger"
)

// A world is a living ledger that requests are drawn for: windows, entries and rollbacks in every state
// that they can have. Requests change it, so a new one is made now and then.
type world struct {
	b         *bench
	n         int
	windows   []string
	entries   []string
	rollbacks []string
	tokens    []string
	intended  []string // of entries, those that were
	stuckOnes []string
	asking    []string      // of rollbacks, those that wait for a second word
	release   chan struct{} // closed: the undo that the world has under way goes on
}

func pick(r *rand.Rand, list []string) string { return list[r.IntN(len(list))] }

func (w *world) entry(r *rand.Rand) string { return pick(r, w.entries) }

// newWorld makes the n-th world.
func newWorld(b *bench, n int) *world {
	b.Helper()
	w := &world{b: b, n: n, release: make(chan struct{})}
	open, sealed, kept, back, stuck := w.window("open"), w.window("sealed"), w.window("kept"), w.window("back"), w.window("stuck")
	waiting, held, wary := w.window("waiting"), w.window("held"), w.window("wary")
	for _, id := range []string{open, sealed, kept, back, stuck} {
		w.record(id, "/"+strconv.Itoa(n)+"/"+id, "applied")
		w.record(id, "/"+strconv.Itoa(n)+"/b"+id, "applied")
	}
	for _, id := range []string{open, sealed, waiting} {
		w.record(id, "/"+strconv.Itoa(n)+"/i"+id, "intended")
	}
	void := w.record(open, "/void", "intended")
	b.do(req{method: "POST", path: "/v1/entries/" + void + "/void", body: `{"reason":"r"}`}, 200, nil)
	b.do(req{method: "POST", path: "/v1/windows/" + sealed + "/seal"}, 200, nil)
	b.do(req{method: "POST", path: "/v1/windows/" + kept + "/keep"}, 200, nil)
	w.roll(b.rollback(back, nil).ID)
	for i := range 6 {
		w.stuck(stuck, "/stuck/"+strconv.Itoa(i))
	}
	w.roll(b.rollback(stuck, nil).ID)
	b.do(req{method: "POST", path: "/v1/entries/" + w.stuckOnes[0] + "/resolve", body: `{"decision":"waive","reason":"r"}`}, 200, nil)
	w.start(waiting)
	b.shelf.hold("/held", w.release)
	w.record(held, "/held", "applied")
	w.start(held)
	d := b.draft("/" + strconv.Itoa(n) + "/wary")
	d.System = "wary"
	w.entries = append(w.entries, b.record(wary, d).ID)
	w.start(wary)
	w.asking = w.rollbacks[len(w.rollbacks)-1:]
	w.tokens = []string{
		b.admin, b.token(ledger.Token{Role: ledger.RoleViewer}), b.token(ledger.Token{Role: ledger.RoleOperator}),
		b.token(ledger.Token{Role: ledger.RoleRecorder, WindowID: uuid.MustParse(open)}),
	}
	return w
}

// close lets what is under way end.
func (w *world) close() { close(w.release) }

func (w *world) window(name string) string {
	id := w.b.window(name).ID
	w.windows = append(w.windows, id)
	return id
}

func (w *world) roll(id string) { w.rollbacks = append(w.rollbacks, id) }

func (w *world) record(windowID, path, state string) string {
	w.b.Helper()
	d := w.b.draft(path)
	d.State = state
	id := w.b.record(windowID, d).ID
	w.entries = append(w.entries, id)
	if state == "intended" {
		w.intended = append(w.intended, id)
	}
	return id
}

// thing picks what a call is about: mostly something that it can be made of.
func (w *world) thing(r *rand.Rand, path string) string {
	half := r.IntN(2) == 0
	switch {
	case half && strings.HasSuffix(path, "/resolve"):
		return pick(r, w.stuckOnes)
	case half && strings.HasSuffix(path, "/confirm"):
		return pick(r, w.asking)
	case half && (strings.HasSuffix(path, "/void") || strings.HasSuffix(path, "/renew")):
		return pick(r, w.intended)
	case strings.HasPrefix(path, "/v1/entries/"):
		return pick(r, w.entries)
	case strings.HasPrefix(path, "/v1/rollbacks/"):
		return pick(r, w.rollbacks)
	default:
		return pick(r, w.windows)
	}
}

// stuck records an entry whose resource somebody else has changed.
func (w *world) stuck(windowID, path string) {
	w.b.Helper()
	w.stuckOnes = append(w.stuckOnes, w.record(windowID, path, "applied"))
	w.b.shelf.put(path, `{"v":"somebody else"}`)
}

// start starts a rollback that will not come to its end by itself.
func (w *world) start(windowID string) {
	w.b.Helper()
	var r wire.Rollback
	w.b.do(req{method: "POST", path: "/v1/windows/" + windowID + "/rollbacks", body: `{}`}, 202, &r)
	w.roll(r.ID)
}
