package ledger

import (
	"context"
	"slices"
	"time"

	"github.com/google/uuid"
)

// A CriticalPath is the longest chain of undos each of which has to wait for the one before: as it is of the same system,
// or as the one before names it in depends_on. No rollback is quicker, whatever goes on beside it.
type CriticalPath struct {
	Entries int
	Systems []PathPart // in the order in which the path comes to them
}

// A PathPart says how many entries of a path are of one system.
type PathPart struct {
	System  string
	Entries int
}

// An Estimate says how long the undos of a plan take, by what the ledger has measured: of each one the look that the plan
// itself made, and the mean of the system's last attempts. Waiting, of whatever kind, is not in it.
type Estimate struct {
	OneByOne time.Duration // all of them
	AtBest   time.Duration // the critical path alone: at as many systems at once as there are
	Measured int           // attempts that it rests on; 0: nothing is estimated
	// Unmeasured are systems with undos of which no attempt was measured: the mean of the others stands for them.
	Unmeasured []string
}

// An AttemptTime is how long one attempt took: from the moment when it was durable to the one when its outcome was.
type AttemptTime struct {
	System string
	Took   time.Duration
}

// attemptsAsked is how many attempts, those of the newest entries, an estimate rests on.
const attemptsAsked = 2000

// paths follows the undos of a plan, newest first, and knows the longest path to each that something may still follow.
type paths struct {
	mean     map[string]time.Duration // of an attempt, by system
	other    time.Duration            // of systems without one
	measured map[string]int           // attempts, by system

	lanes   map[string]path    // to the last undo of each system
	ids     map[uuid.UUID]path // to the entries that name this one
	base    path               // everything follows it
	longest path
	total   time.Duration
	systems map[string]bool // that have undos
}

// A path is a chain of undos; the zero value is the empty one.
type path struct {
	cost    time.Duration
	entries int
	last    *pathPart
}

type pathPart struct {
	PathPart
	before *pathPart
}

func (l *Ledger) newPaths(ctx context.Context) (*paths, error) {
	list, err := l.store.AttemptTimes(ctx, attemptsAsked)
	if err != nil {
		return nil, err
	}
	p := &paths{
		mean: map[string]time.Duration{}, measured: map[string]int{}, lanes: map[string]path{}, ids: map[uuid.UUID]path{},
		systems: map[string]bool{},
	}
	for _, a := range list {
		p.mean[a.System] += a.Took
		p.measured[a.System]++
		p.other += a.Took
	}
	for system, n := range p.measured {
		p.mean[system] /= time.Duration(n)
	}
	p.other /= time.Duration(max(1, len(list)))
	return p, nil
}

// add takes in the next undo; look is how long its look took.
func (p *paths) add(e *Entry, look time.Duration) {
	cost, known := p.mean[e.System]
	if !known {
		cost = p.other
	}
	if len(p.measured) > 0 { // else paths are compared by their entries
		cost += look
	}
	p.systems[e.System] = true
	p.total += cost
	after := longer(longer(p.base, p.lanes[e.System]), p.ids[e.ID])
	delete(p.ids, e.ID)
	if e.Restore { // everything that comes before it is done, and nothing of the rest is begun
		after = p.longest
	}
	to := after.then(e.System, cost)
	p.longest = longer(p.longest, to)
	if e.Restore {
		p.base, p.lanes, p.ids = to, map[string]path{}, map[uuid.UUID]path{}
	}
	p.lanes[e.System] = to
	for _, id := range e.DependsOn {
		p.ids[id] = longer(p.ids[id], to)
	}
}

func longer(a, b path) path {
	if b.cost > a.cost || b.cost == a.cost && b.entries > a.entries {
		return b
	}
	return a
}

func (p path) then(system string, cost time.Duration) path {
	part := &pathPart{PathPart{system, 1}, p.last}
	if p.last != nil && p.last.System == system {
		part.Entries, part.before = p.last.Entries+1, p.last.before
	}
	return path{cost: p.cost + cost, entries: p.entries + 1, last: part}
}

// critical returns the longest path.
func (p *paths) critical() CriticalPath {
	out := CriticalPath{Entries: p.longest.entries}
	for part := p.longest.last; part != nil; part = part.before {
		i := slices.IndexFunc(out.Systems, func(s PathPart) bool { return s.System == part.System })
		if i < 0 {
			out.Systems = append(out.Systems, part.PathPart)
			continue
		}
		found := out.Systems[i]
		found.Entries += part.Entries
		out.Systems = append(slices.Delete(out.Systems, i, i+1), found) // it comes to it earlier
	}
	slices.Reverse(out.Systems)
	return out
}

func (p *paths) estimate() Estimate {
	var out Estimate
	for system := range p.systems {
		out.Measured += p.measured[system]
		if p.measured[system] == 0 {
			out.Unmeasured = append(out.Unmeasured, system)
		}
	}
	slices.Sort(out.Unmeasured)
	if out.Measured > 0 {
		out.OneByOne, out.AtBest = p.total, p.longest.cost
	}
	return out
}
