package ledger

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
)

// follow makes paths of entries, newest first, as "system" or "system id depends…".
func follow(mean map[string]time.Duration, list []Entry) *paths {
	p := &paths{
		mean: mean, measured: map[string]int{}, lanes: map[string]path{}, ids: map[uuid.UUID]path{}, systems: map[string]bool{},
	}
	for system := range mean {
		p.measured[system] = 10
	}
	for i := range list {
		p.add(&list[i], 0)
	}
	return p
}

func undoAt(system string, id byte, on ...byte) Entry {
	e := Entry{Draft: Draft{System: system, ID: uuid.UUID{id}}}
	for _, o := range on {
		e.DependsOn = append(e.DependsOn, uuid.UUID{o})
	}
	return e
}

func TestCriticalPath(t *testing.T) {
	restore := undoAt("machine", 9)
	restore.Restore = true
	second := map[string]time.Duration{"a": time.Second, "b": time.Second, "machine": time.Second}
	for name, c := range map[string]struct {
		mean map[string]time.Duration
		list []Entry // newest first
		want CriticalPath
		best time.Duration
		all  time.Duration
	}{
		"nothing": {second, nil, CriticalPath{}, 0, 0},
		"the system with the most": {
			second,
			[]Entry{undoAt("a", 5), undoAt("b", 4), undoAt("b", 3), undoAt("a", 2), undoAt("b", 1)},
			CriticalPath{3, []PathPart{{"b", 3}}},
			3 * time.Second, 5 * time.Second,
		},
		"the slow one": {
			map[string]time.Duration{"a": time.Minute, "b": time.Second},
			[]Entry{undoAt("a", 5), undoAt("b", 4), undoAt("b", 3), undoAt("b", 1)},
			CriticalPath{1, []PathPart{{"a", 1}}},
			time.Minute, time.Minute + 3*time.Second,
		},
		"by depends_on from one to the other": {
			second,
			[]Entry{undoAt("a", 6), undoAt("a", 5, 3), undoAt("b", 4), undoAt("b", 3), undoAt("b", 2)},
			CriticalPath{4, []PathPart{{"a", 2}, {"b", 2}}},
			4 * time.Second, 5 * time.Second,
		},
		"nothing passes the restore": {
			second,
			[]Entry{undoAt("a", 6), undoAt("a", 5), restore, undoAt("b", 2), undoAt("a", 1)},
			CriticalPath{4, []PathPart{{"a", 2}, {"machine", 1}, {"b", 1}}},
			4 * time.Second, 5 * time.Second,
		},
		"by entries while nothing was measured": {
			nil,
			[]Entry{undoAt("a", 3), undoAt("b", 2), undoAt("b", 1)},
			CriticalPath{2, []PathPart{{"b", 2}}},
			0, 0,
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := follow(c.mean, c.list)
			if d := cmp.Diff(c.want, p.critical()); d != "" {
				t.Errorf("(-want +got)\n%s", d)
			}
			if e := p.estimate(); e.AtBest != c.best || e.OneByOne != c.all {
				t.Errorf("%+v, want %s and %s", e, c.best, c.all)
			}
		})
	}
}

// An estimate says what it rests on.
func TestEstimateSaysWhatWasMeasured(t *testing.T) {
	p := follow(map[string]time.Duration{"a": time.Second, "unused": time.Second}, []Entry{undoAt("a", 2), undoAt("new", 1)})
	if d := cmp.Diff([]string{"new"}, p.estimate().Unmeasured); d != "" || p.estimate().Measured != 10 {
		t.Errorf("%+v", p.estimate())
	}
	if e := follow(nil, []Entry{undoAt("a", 1)}).estimate(); e.Measured != 0 || e.AtBest != 0 || len(e.Unmeasured) != 1 {
		t.Errorf("%+v", e)
	}
}
