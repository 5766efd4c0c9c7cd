package ledger

import (
	"sync"

	"github.com/google/uuid"
)

// A feed tells readers in this process that a window's journal has grown. It carries no data: a reader
// that was told reads the journal from where it stopped, so nothing is lost when it is slow.
type feed struct {
	mu   sync.Mutex
	subs map[uuid.UUID]map[chan struct{}]bool
}

func newFeed() *feed { return &feed{subs: map[uuid.UUID]map[chan struct{}]bool{}} }

// Subscribe returns a channel that gets a value after the window's journal has grown, and a function
// that ends the subscription. Growth between two receives is told once.
func (l *Ledger) Subscribe(windowID uuid.UUID) (<-chan struct{}, func()) {
	f, ch := l.feed, make(chan struct{}, 1)
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.subs[windowID] == nil {
		f.subs[windowID] = map[chan struct{}]bool{}
	}
	f.subs[windowID][ch] = true
	return ch, func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		delete(f.subs[windowID], ch)
		if len(f.subs[windowID]) == 0 {
			delete(f.subs, windowID)
		}
	}
}

func (f *feed) grown(windowID uuid.UUID) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for ch := range f.subs[windowID] {
		select {
		case ch <- struct{}{}:
		default:
		}
	}
}
