package ledger

import "github.com/google/uuid"

// Holds remembers, while a walk goes through a window from its newest entry to its oldest, which entries
// stay open, and so which older ones must not be undone: those on the same resource, and those that an
// open one names in depends_on. The zero value holds nothing. Its memory grows with what stays open only.
type Holds struct {
	keys    map[Key]int       // resource → Seq of the open entry
	ids     map[uuid.UUID]int // entry → Seq of the open entry that depends on it
	systems map[string]int    // on_stuck: system
	all     int               // Seq of an entry that holds whatever comes after it; 0: none does
}

// By returns the Seq of the newer entry that e has to wait for; 0 if there is none.
func (h *Holds) By(e *Entry) int {
	if h.all != 0 {
		return h.all
	}
	if seq := h.ids[e.ID]; seq != 0 {
		return seq
	}
	if seq := h.systems[e.System]; seq != 0 {
		return seq
	}
	if e.ResourceKey == (Key{}) {
		return 0
	}
	return h.keys[e.ResourceKey]
}

// Add says that e stays open.
func (h *Holds) Add(e *Entry) {
	if h.keys == nil {
		h.keys, h.ids = map[Key]int{}, map[uuid.UUID]int{}
	}
	if e.ResourceKey != (Key{}) {
		h.keys[e.ResourceKey] = e.Seq
	}
	for _, id := range e.DependsOn {
		h.ids[id] = e.Seq
	}
}

// AddAll says that e stays open and holds everything that is still to come: nothing goes before it is done.
func (h *Holds) AddAll(e *Entry) { h.all = e.Seq }

// AddSystem holds everything older in e's system too.
func (h *Holds) AddSystem(e *Entry) {
	h.Add(e)
	if h.systems == nil {
		h.systems = map[string]int{}
	}
	h.systems[e.System] = e.Seq
}
