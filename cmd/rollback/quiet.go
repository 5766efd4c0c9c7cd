package main

import (
	"sync"
	"time"
)

// reminders are how long a followed run says nothing before a line says that it still runs; the last one again and again.
var reminders = []time.Duration{time.Minute, 5 * time.Minute, 15 * time.Minute}

// A quiet decides when a followed run that waits is worth a line: when what it waits for changes, and at growing intervals
// while it does not. That it tries again in between, and until when it waits this time, is not worth one.
type quiet struct {
	nowFunc func() time.Time

	mu   sync.Mutex
	what string    // that was said last
	said time.Time // when it, or the last reminder, was
	step int       // of reminders
}

// news reports whether what a run waits for is another than was said last.
func (q *quiet) news(why, on string) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	what := why + " " + on
	if what == q.what {
		return false
	}
	q.what, q.said, q.step = what, q.nowFunc(), 0
	return true
}

// moved notes that the run got on: the next wait is a new one.
func (q *quiet) moved() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.what, q.said, q.step = "", q.nowFunc(), 0
}

// due reports whether it is time for a reminder, and counts it.
func (q *quiet) due() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	now := q.nowFunc()
	if now.Sub(q.said) < reminders[q.step] {
		return false
	}
	q.said, q.step = now, min(q.step+1, len(reminders)-1)
	return true
}
