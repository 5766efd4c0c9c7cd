package ledger

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
)

const (
	// rehearsalPrefix begins the name of every canary, wherever its kind has a place for a name.
	rehearsalPrefix = "sideledger-rehearsal-"
	rehearsalLabel  = "sideledger.rehearsal" // of a rehearsal's window: the system
	canaryLabel     = "sideledger.canary"    // its canaries' name, less their number
	forLabel        = "sideledger.for"       // the window that it was asked for
	maxCanaries     = 20
)

// A rehearsing is a rehearsal on its way.
type rehearsing struct {
	ledger    *Ledger
	rem       Remediator
	eff       Effector
	rehearser Rehearser
	name      string // of all canaries, less their number
	within    time.Duration
	out       *Rehearsal
	made      []canary
	seen      map[string]bool // kinds with their place
}

// A canary is one that can be made, with the place of its report.
type canary struct {
	Canary
	at int // in Rehearsal.Canaries
}

// Rehearse makes a harmless resource of each kind of a system that has one, changes it, and begins the rollback that
// takes it back: in a window of its own, with calls and entries like those of any script. What an earlier rehearsal of
// the system left unfinished is taken back first. [Ledger.Rehearsed] says how it ends. Codes: invalid, not_found (the
// window), unavailable.
func (l *Ledger) Rehearse(ctx context.Context, r RehearsalRequest) (*Rehearsal, error) {
	run, err := l.newRehearsing(r)
	if err != nil {
		return nil, err
	}
	places, err := l.placesOf(ctx, r, run.rem)
	if err != nil {
		return nil, err
	}
	final := onceOf(ctx)
	// From here on who goes away does not end it, and what was expected was expected of no window of ours.
	ctx = WithOnce(context.WithValue(context.WithoutCancel(ctx), expectKey, nil), nil)
	if err := run.takeBackEarlier(ctx); err != nil {
		return nil, err
	}
	for _, p := range places {
		run.prepare(ctx, p.kind, p.place)
	}
	if len(run.made) == 0 {
		run.out.Over = true
		return run.out, nil
	}
	return run.out, run.perform(ctx, r, final)
}

func (l *Ledger) newRehearsing(r RehearsalRequest) (*rehearsing, error) {
	sys, rem, err := l.systems.Find(r.System)
	if err != nil {
		return nil, Invalid("/system", "there is no such system")
	}
	if sys.Disabled {
		return nil, Invalid("/system", "the system is disabled")
	}
	if len(r.Place) > 0 && !isObject(r.Place) {
		return nil, Invalid("/place", "want an object with members of resources")
	}
	out := &rehearsing{
		ledger: l, rem: rem, within: r.Perform, name: rehearsalPrefix + NewID().String()[24:], seen: map[string]bool{},
		out: &Rehearsal{System: r.System, For: r.WindowID},
	}
	var takes, knows bool
	out.eff, takes = rem.(Effector)
	out.rehearser, knows = rem.(Rehearser)
	if !takes || !knows {
		return nil, Invalid("/system", "its remediator knows no rehearsal")
	}
	return out, nil
}

func isObject(raw json.RawMessage) bool {
	v, err := decode(raw)
	_, ok := v.(map[string]any)
	return err == nil && ok
}

// A placed kind is one that is rehearsed at one place.
type placedKind struct {
	kind  string
	place json.RawMessage
}

// placesOf lists which kinds are rehearsed, and where.
func (l *Ledger) placesOf(ctx context.Context, r RehearsalRequest, rem Remediator) ([]placedKind, error) {
	kinds, err := r.kindsOf(rem)
	if err != nil {
		return nil, err
	}
	sys, _, err := l.systems.Find(r.System)
	if err != nil {
		return nil, err
	}
	var out []placedKind
	if r.WindowID != uuid.Nil {
		if _, err := l.store.FindWindow(ctx, r.WindowID); err != nil {
			return nil, err
		}
		err := l.eachEntry(ctx, EntryQuery{WindowID: r.WindowID, Select: Selection{Only: []Term{{System: r.System}}}}, func(e *Entry) {
			if slices.Contains(kinds, e.Kind) && !e.Restore {
				out = append(out, placedKind{e.Kind, joinPlaces(sys.Place, e.Where(), r.Place)})
			}
		})
		if err != nil || len(out) > 0 {
			return out, err
		}
	}
	for _, k := range kinds {
		out = append(out, placedKind{k, joinPlaces(sys.Place, nil, r.Place)})
	}
	return out, nil
}

// kindsOf returns the kinds that are asked for; all that the system serves, where none are.
func (r *RehearsalRequest) kindsOf(rem Remediator) ([]string, error) {
	kinds := rem.Kinds()
	for i, k := range r.Kinds {
		if !slices.Contains(kinds, k) && !slices.Contains(kinds, "") {
			return nil, Invalid(fmt.Sprintf("/kinds/%d", i), "is not served by this system; it serves %s", strings.Join(kinds, ", "))
		}
	}
	if len(r.Kinds) > 0 {
		return r.Kinds, nil
	}
	return kinds, nil
}

// joinPlaces puts together what says where: the configuration, the resource of an entry, and who asks, whose word goes
// before the others'. Empty: nobody.
func joinPlaces(list ...json.RawMessage) (out json.RawMessage) {
	for _, p := range list {
		if len(out) == 0 {
			out = p
			continue
		}
		if both, err := mergeResource(out, p); err == nil {
			out = both
		}
	}
	return out
}

// eachEntry calls fn for every entry of a query, in its order.
func (l *Ledger) eachEntry(ctx context.Context, q EntryQuery, fn func(*Entry)) error {
	q.Limit = planPage
	for {
		page, err := l.store.ListEntries(ctx, q)
		if err != nil {
			return err
		}
		for i := range page {
			fn(&page[i])
		}
		if len(page) < planPage {
			return nil
		}
		q.From = page[len(page)-1].Seq
	}
}

// takeBackEarlier begins the rollback of what earlier rehearsals of the system left unfinished: this server was killed
// in the middle, or an undo was refused then.
func (run *rehearsing) takeBackEarlier(ctx context.Context) error {
	for _, state := range []WindowState{WindowOpen, WindowSealed, WindowStuck, WindowRollingBack} {
		q := WindowQuery{State: state, Limit: planPage}
		for {
			page, err := run.ledger.store.ListWindows(ctx, q)
			if err != nil {
				return err
			}
			for i := range page {
				if page[i].Labels[rehearsalLabel] == run.out.System && page[i].Name == rehearsalName(run.out.System) {
					run.out.Earlier = append(run.out.Earlier, EarlierRehearsal{WindowID: page[i].ID, State: state})
				}
			}
			if len(page) < planPage {
				break
			}
			q.Before = page[len(page)-1].ID
		}
	}
	for _, e := range run.out.Earlier {
		if _, err := run.ledger.StartRollback(ctx, e.WindowID, RollbackRequest{Reason: "a rehearsal that had not ended"}); err != nil && CodeOf(err) != CodeConflict {
			return err
		}
	}
	return nil
}

func rehearsalName(system string) string { return "rehearsal of " + system }

// prepare finds out whether a kind can be rehearsed at a place: before anything is made it has to be sure that the calls
// and their undos may be sent, and that the canary can be read.
func (run *rehearsing) prepare(ctx context.Context, kind string, place json.RawMessage) {
	name := fmt.Sprintf("%s-%d", run.name, len(run.out.Canaries)+1)
	c := run.rehearser.Rehearse(kind, name, place)
	// Two canaries of one kind at one place prove no more than one; but for their names they are the same.
	same := kind + "\x00" + c.Why + strings.ReplaceAll(string(c.Resource), name, "")
	switch {
	case run.seen[same]:
		return
	case c.Why == "" && len(run.made) == maxCanaries:
		c.Why = fmt.Sprintf("there are more than %d kinds and places; name fewer", maxCanaries)
	case c.Why == "":
		c.Why = run.hindrance(kind, &c)
	}
	run.seen[same] = true
	if c.Why != "" {
		run.out.Left = append(run.out.Left, NotRehearsed{Kind: kind, Why: c.Why})
		return
	}
	run.out.Canaries = append(run.out.Canaries, newRehearsed(kind, name, c.Resource))
	at := len(run.out.Canaries) - 1
	if run.reads(ctx, kind, &c, &run.out.Canaries[at]) {
		run.made = append(run.made, canary{c, at})
	}
}

// hindrance says what in the configuration keeps a canary from being made or taken back; "": nothing.
func (run *rehearsing) hindrance(kind string, c *Canary) string {
	for _, a := range []Action{ActionCreate, ActionUpdate} {
		call, err := c.CallFunc(a, c.anyName())
		if err != nil {
			return "its " + string(a) + " cannot be put together: " + lookDetail(err)
		}
		if err := run.eff.Admits(call); err != nil {
			return fmt.Sprintf("%s %s may not be sent (systems.%s.effects and allow): %s", call.Method, call.Path, run.out.System, msgOf(err))
		}
		d := run.draft(kind, a, c)
		g, err := run.rem.Check(&d)
		if err != nil && a == ActionCreate { // an update may lack the name that the third party will choose
			return "it is refused: " + msgOf(err)
		}
		if len(g.Denied) > 0 {
			return g.Denied[0].Msg
		}
	}
	return ""
}

// anyName gives a resource what the third party chooses, so that the paths of its calls can be held to what may be sent.
func (c *Canary) anyName() json.RawMessage {
	names := map[string]string{"id": "0"}
	for _, name := range c.Chosen {
		names[name] = "0"
	}
	raw, _ := json.Marshal(names) // texts always encode
	if merged, err := mergeResource(raw, c.Resource); err == nil {
		return merged
	}
	return c.Resource
}

func msgOf(err error) string {
	if e, ok := err.(*Error); ok && e.Msg != "" { //nolint:errorlint // made here, or by a remediator as it is
		return e.Msg
	}
	return "its remediator does not say why"
}

// draft is the entry of a canary's call, as far as it is known before the call.
func (run *rehearsing) draft(kind string, a Action, c *Canary) Draft {
	d := Draft{System: run.out.System, Kind: kind, Action: a, State: EntryIntended, Resource: c.Resource, Before: c.Before}
	if a == ActionCreate {
		d.Before = Absent
		if c.MadeAs != nil {
			d.Kind, d.Resource = c.MadeAs.Kind, c.MadeAs.Resource
		}
	}
	return d
}

// reads looks for the canary before it is made, where it has a name by then. A credential that may not even read makes
// nothing.
func (run *rehearsing) reads(ctx context.Context, kind string, c *Canary, out *Rehearsed) bool {
	d := run.draft(kind, ActionCreate, c)
	g, err := run.rem.Check(&d)
	if err != nil || string(g.ResourceKey) == "null" {
		return true // the third party names it: its read is seen afterwards
	}
	step := out.step(StepRead)
	seen, err := run.rem.Look(ctx, &Entry{Draft: d})
	var call *CallError
	switch {
	case asCall(err, &call) && (call.Class == CallAuth || call.Class == CallDenied):
		step.Result, step.Status, step.Detail = RehearsalRefused, call.Status, call.Detail
	case err != nil:
		step.Result, step.Detail = RehearsalFailed, lookDetail(err)
	case seen.Known && !seen.Now.IsAbsent():
		step.Result, step.Detail = RehearsalFailed, "something of the canary's name is there already; nothing was made"
	default:
		if seen.Known {
			step.Result = RehearsalOK
		}
		return true
	}
	return false
}

// perform makes the canaries in a window of their own, and begins to take them back. final keeps the answer.
func (run *rehearsing) perform(ctx context.Context, r RehearsalRequest, final *Once) error {
	labels := map[string]string{rehearsalLabel: r.System, canaryLabel: run.name}
	if r.WindowID != uuid.Nil {
		labels[forLabel] = r.WindowID.String()
	}
	w, err := run.ledger.OpenWindow(ctx, WindowDraft{Name: rehearsalName(r.System), Labels: labels})
	if err != nil {
		return err
	}
	run.out.WindowID = w.ID
	for i := range run.made {
		c := &run.made[i]
		run.make(ctx, c, &run.out.Canaries[c.at])
	}
	back, err := run.ledger.StartRollback(WithOnce(ctx, run.finalOnce(final)), w.ID, RollbackRequest{Reason: "the end of the rehearsal"})
	if err != nil {
		return err
	}
	run.out.RollbackID = back.ID
	return nil
}

// finalOnce keeps the answer of the whole call in the transaction that begins its rollback; a call that was cut off
// before that is made again, and takes back what the first one left.
func (run *rehearsing) finalOnce(o *Once) *Once {
	if o == nil {
		return nil
	}
	out := *o
	out.RenderFunc = func(v any) (Reply, error) {
		kept := *run.out
		if back, ok := v.(*RollbackView); ok {
			kept.RollbackID = back.ID
		}
		return o.RenderFunc(&kept)
	}
	return &out
}

// make makes a canary and changes it.
func (run *rehearsing) make(ctx context.Context, c *canary, out *Rehearsed) {
	made := run.call(ctx, ActionCreate, c, out)
	if made == nil {
		return
	}
	out.create = made.ID
	if c.MadeAs == nil {
		out.Resource = made.Where()
	}
	read := out.step(StepRead)
	switch {
	case made.State != EntryApplied:
		return
	case !made.After.Known() || made.After.IsAbsent():
		read.Result, read.Detail = RehearsalFailed, "it was made, and cannot be read back"
		return
	}
	read.Result = RehearsalOK
	if changed := run.call(ctx, ActionUpdate, c, out); changed != nil {
		out.update = changed.ID
	}
}

// call makes one call of a canary through the ledger; nil: there is no entry of it.
func (run *rehearsing) call(ctx context.Context, a Action, c *canary, out *Rehearsed) *Entry {
	step := out.step(string(a))
	call, err := c.CallFunc(a, out.Resource)
	if err != nil {
		step.Result, step.Detail = RehearsalFailed, lookDetail(err)
		return nil
	}
	named := c.Canary
	named.Resource = out.Resource
	d := run.draft(out.Kind, a, &named)
	d.ID, d.Perform, d.Tag, d.Note = NewID(), run.within, out.Name, "rehearsal: "+string(a)
	made, err := run.ledger.Effect(ctx, run.out.WindowID, d, call)
	if err != nil {
		run.ledger.log.WarnContext(ctx, "rehearsal call refused", slog.String("system", run.out.System), slog.String("err", err.Error()))
		step.Result, step.Detail = RehearsalRefused, "nothing was sent: "+msgOf(err)
		return nil
	}
	*step = judgeMade(string(a), made)
	return made.Entry
}
