package ledger

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
)

// An EffectCall is one request of a script that the ledger makes for it, with the system's own credential.
type EffectCall struct {
	Method string
	Path   string            // escaped, relative to the system's URL
	Query  string            // escaped, without '?'; empty: none
	Header map[string]string // a few are taken; see the outgoing client
	Body   []byte            // nil: none
	// Names says where the answer brings members of the resource that the third party chooses: a JSON pointer for each.
	Names map[string]string
}

// Reads reports whether the call changes nothing by its method.
func (c EffectCall) Reads() bool { return c.Method == http.MethodGet || c.Method == http.MethodHead }

// An EffectAnswer is what a third party answered to a call, whatever its status. It holds no credential of the system.
type EffectAnswer struct {
	Status int
	Header map[string]string // the few that are passed on
	Body   []byte
	Broken string // why Body is not the whole body; empty: it is
}

// An Effector is a [Remediator] through which the ledger makes the calls of scripts.
type Effector interface {
	// Admits says whether the call may be made at all: only what the configuration lists. It makes no call. Codes:
	// invalid, forbidden.
	Admits(c EffectCall) error
	// Derive fills in what the call itself says of its entry (kind, action, resource, owned), as far as the caller has
	// not said it. It may read the resource, and changes nothing. Codes: invalid, conflict.
	Derive(ctx context.Context, c EffectCall, d *Draft) (Derived, error)
	// Send sends the call once. readyFunc is called last before anything leaves; its error keeps the call from being
	// sent and is returned. Any answer is no error; other errors are a [CallError], as those of [Remediator.Undo].
	Send(ctx context.Context, c EffectCall, readyFunc func() error) (EffectAnswer, error)
}

// Derived is how the members of a resource that the third party chooses are found in its answer.
type Derived struct {
	Names map[string]string // JSON pointers into the body
	// LocationFunc takes them from the Location header; false: they are not in it. nil: they are not there.
	LocationFunc func(location string) (json.RawMessage, bool)
	// Success lists statuses, besides 2xx less 202, by which this call is answered once its effect is there.
	Success []int
}

func (d Derived) any() bool { return len(d.Names) > 0 || d.LocationFunc != nil }

// An EffectOutcome says what became of a call.
type EffectOutcome string

// The outcomes.
const (
	EffectRead     EffectOutcome = "read"     // it changes nothing and is not recorded
	EffectApplied  EffectOutcome = "applied"  // the effect is there
	EffectVoid     EffectOutcome = "void"     // certainly nothing happened
	EffectInDoubt  EffectOutcome = "in_doubt" // nobody knows; a rollback finds out by looking
	EffectReplayed EffectOutcome = "replayed" // it was asked for before; the call was not made again
)

// Effected is what became of a call and of its entry.
type Effected struct {
	Entry   *Entry // nil: it was a read, or nothing was recorded as the third party could not be looked at before
	Outcome EffectOutcome
	Answer  *EffectAnswer // nil: there is none
	Failure string        // why there is none: not_sent, ambiguous, timeout, away, denied, fenced; empty otherwise
	Detail  string        // one sentence for a person; empty: nothing is unusual
}

// Effect records an intent, makes the call once, and reports what became of it. The intent is durable, with its
// before-image, before the call is made; the call is made only while the intent stands, before its perform_by and
// in a window that no rollback has fenced. The same draft id or Idempotency-Key again makes no second call, also
// after a crash. Calls that read are made without an entry. Codes: those of Record, and forbidden.
func (l *Ledger) Effect(ctx context.Context, windowID uuid.UUID, d Draft, c EffectCall) (*Effected, error) {
	eff, err := l.effectorOf(&d)
	if err != nil {
		return nil, err
	}
	intent := intentOnce(onceOf(ctx))
	if done, err := l.effectedUnder(ctx, intent); done != nil || err != nil {
		return done, err
	}
	if err := eff.Admits(c); err != nil {
		return nil, err
	}
	if c.Reads() {
		return l.passThrough(ctx, windowID, eff, c)
	}
	e := &effecting{ledger: l, eff: eff, call: c, once: onceOf(ctx)}
	if err := e.prepare(ctx, &d); err != nil {
		return l.refusedEffect(ctx, intent, err)
	}
	list, err := l.Record(WithOnce(ctx, intent), windowID, []Draft{d})
	if done, err := l.effectedBefore(ctx, err); done != nil || err != nil {
		if err != nil {
			return l.refusedEffect(ctx, intent, err)
		}
		return done, nil
	}
	if e.entry = list[0].Entry; list[0].Replay {
		return l.replayed(e.entry)
	}
	// Who goes away does not end a call that is on its way, and what was expected was expected of the window.
	return e.perform(context.WithValue(context.WithoutCancel(ctx), expectKey, nil)), nil
}

// unreached turns the refusal of a call before which the third party could not be reached into its end: certainly
// nothing happened, and nothing was recorded. Any other error stays. The same key or id again begins anew.
func unreached(err error) (*Effected, error) {
	var refused *Error
	var call *CallError
	if !errors.As(err, &refused) || refused.Code != CodeConflict || !asCall(err, &call) {
		return nil, err
	}
	out := &Effected{Outcome: EffectVoid, Failure: string(call.Class), Detail: refused.Msg}
	switch call.Class {
	case CallNotSent, CallAway, CallDenied:
	case CallAmbiguous:
		out.Failure = string(CallNotSent) // it was a look that got no answer
	case CallAuth, CallAnswered: // it was reached
		return nil, err
	}
	return out, nil
}

// effectorOf returns through whom the calls of a draft's system are made.
func (l *Ledger) effectorOf(d *Draft) (Effector, error) {
	d.State = EntryIntended
	rem, err := l.remediatorOf(d)
	if err != nil {
		return nil, err
	}
	eff, ok := rem.(Effector)
	if !ok {
		return nil, Invalid("/entry/system", "this system takes no calls")
	}
	return eff, nil
}

// intentOnce is the key under which the intent of a call is kept: the answer of the call itself comes later, and
// whoever asks between, or after a crash, finds that the call was begun.
func intentOnce(o *Once) *Once {
	if o == nil {
		return nil
	}
	out := *o
	out.Key.Path += "#intent" // no request has such a path
	o.refusal = out.Key
	out.RenderFunc = func(v any) (Reply, error) {
		list, ok := v.([]Recorded)
		if !ok {
			return Reply{}, errors.New("an intent is one recorded entry")
		}
		return Reply{Status: http.StatusAccepted, Body: []byte(list[0].Entry.ID.String())}, nil
	}
	return &out
}

// effectedBefore turns the replay of an intent into the first answer of its call or, where the call was never reported
// on, into its entry as it is now. Another error, or none, stays.
func (l *Ledger) effectedBefore(ctx context.Context, err error) (*Effected, error) {
	var replay *ReplayError
	if !errors.As(err, &replay) {
		return nil, err
	}
	id, refused := uuid.ParseBytes(replay.Reply.Body)
	var e *Entry
	if refused == nil { // before the answer, which comes with its last state: another replica may be about to report it
		e, err = l.store.GetEntry(ctx, id)
	}
	if err := l.Answered(ctx, onceOf(ctx)); err != nil {
		return nil, err
	}
	switch {
	case refused != nil:
		return nil, replay
	case e == nil:
		return nil, err
	}
	return l.replayed(e)
}

// effectedUnder asks whether an intent was recorded under its key, or refused, before; nil, nil: neither, or there is no key.
func (l *Ledger) effectedUnder(ctx context.Context, intent *Once) (*Effected, error) {
	if intent == nil {
		return nil, nil
	}
	return l.effectedBefore(ctx, l.Answered(ctx, intent))
}

// refusedEffect is the end of a call that was refused before its intent was recorded. Where another replica has recorded it
// under the same key meanwhile, that is the answer, and no refusal: what this one saw may be the effect itself.
func (l *Ledger) refusedEffect(ctx context.Context, intent *Once, err error) (*Effected, error) {
	if done, before := l.effectedUnder(ctx, intent); done != nil || before != nil {
		return done, before
	}
	return unreached(err)
}

// replayed is the answer to a call that was asked for before. While its time is not over, another replica may be at it:
// then it is to be asked for again, so that there is one answer.
func (l *Ledger) replayed(e *Entry) (*Effected, error) {
	if l.replicated && e.State == EntryIntended && l.clock.Now().Before(e.PerformBy) {
		return nil, &Error{
			Code: CodeConflict, Op: "make call", ID: e.ID.String(), RetryAfter: time.Second,
			Msg: "the first request for this call may still be in progress at another replica",
		}
	}
	detail := "it was asked for before, and the call is not made again; the answer to it is not known any more"
	if e.State == EntryIntended {
		detail = "it was asked for before, and nobody reported how the call ended: the entry is in doubt; the call is not made again"
	}
	return &Effected{Entry: e, Outcome: EffectReplayed, Detail: detail}, nil
}

// passThrough makes a call that reads. A window that is over takes none: its recorders have nothing to do any more.
func (l *Ledger) passThrough(ctx context.Context, windowID uuid.UUID, eff Effector, c EffectCall) (*Effected, error) {
	w, err := l.store.FindWindow(ctx, windowID)
	if err != nil {
		return nil, err
	}
	if w.State == WindowKept || w.State == WindowRolledBack {
		return nil, Conflict("make call", windowID.String(), "the window is %s", w.State)
	}
	out := &Effected{Outcome: EffectRead}
	answer, err := eff.Send(ctx, c, func() error { return nil })
	if err != nil {
		out.Failure, out.Detail = failureOf(err)
		return out, nil
	}
	out.Answer = &answer
	return out, nil
}

// failureOf says in one word, and in one sentence, why a call has no answer.
func failureOf(err error) (word, detail string) {
	var call *CallError
	switch {
	case !asCall(err, &call):
		return string(CallAmbiguous), "nobody knows whether it was sent"
	case call.Class == CallAmbiguous && errors.Is(call.Err, context.DeadlineExceeded):
		return "timeout", call.Detail + " in time"
	default:
		return string(call.Class), call.Detail
	}
}

// An effecting is one call on its way.
type effecting struct {
	ledger  *Ledger
	eff     Effector
	call    EffectCall
	derived Derived
	looks   bool  // its resource can be read once it has a name
	once    *Once // of the caller; nil: none
	entry   *Entry
}

// prepare completes the draft of a call: what the profile knows, and that its images are captured.
func (e *effecting) prepare(ctx context.Context, d *Draft) error {
	var err error
	if e.derived, err = e.eff.Derive(ctx, e.call, d); err != nil {
		return err
	}
	if len(e.call.Names) > 0 {
		e.derived.Names, e.derived.LocationFunc = e.call.Names, nil
	}
	if err := lacking(d); err != nil {
		return err
	}
	if d.Note == "" {
		d.Note = e.call.Method + " " + e.call.Path + " through the ledger"
	}
	if d.Action == ActionCreate && !d.Before.Known() {
		d.Before = Absent
	}
	rem, err := e.ledger.remediatorOf(d)
	if err != nil {
		return err
	}
	g, err := rem.Check(d)
	if err != nil {
		return atEntry(err)
	}
	return e.graded(d, g)
}

// graded takes in what the remediator says of the entry: how its images are taken, and that it can be undone, unless
// the caller says that it cannot.
func (e *effecting) graded(d *Draft, g Grading) error {
	e.looks = g.CanLook
	unnamed := d.Before.IsAbsent() && e.derived.any()
	d.Capture = e.looks && !unnamed && (!d.Before.Known() || d.Before.IsAbsent())
	switch {
	case !d.Capture && !d.Before.Known():
		return Invalid("/entry/read", "is missing: without it the before-image cannot be taken. Give read, or before")
	case g.Reversible == ReversibleNone && d.Reversible == "" && d.OnRollback != OnRollbackRetain:
		return Invalid("/entry/undo", "is missing: %s. Complete resource or give undo, or say reversible: none", firstOf(g.Warnings, "nothing takes this back"))
	}
	return nil
}

func firstOf(warnings []string, prefix string) string {
	for _, w := range warnings {
		if strings.HasPrefix(w, prefix) {
			return w
		}
	}
	return prefix
}

// lacking names what neither the caller nor the system's profile says of the entry.
func lacking(d *Draft) error {
	const fix = "is missing: the system's profile does not know this call, so say kind, action and resource, as for an entry (and undo and read for http.request)"
	switch {
	case d.Kind == "":
		return Invalid("/entry/kind", fix)
	case d.Action == "":
		return Invalid("/entry/action", fix)
	case len(d.Resource) == 0:
		return Invalid("/entry/resource", fix)
	}
	return nil
}

// atEntry names the field of an entry as it stands in the body of a call.
func atEntry(err error) error {
	e, ok := err.(*Error) //nolint:errorlint // only an error made here is renamed; a wrapped one keeps its words
	if !ok || e.Code != CodeInvalid || strings.HasPrefix(e.Field, "/entry") {
		return err
	}
	renamed := *e
	renamed.Field = "/entry" + e.Field
	return &renamed
}

// errFenced keeps a call from being sent: its intent does not stand any more.
var errFenced = errors.New("the intent does not stand any more")

// perform makes the call and reports what became of it. From here on every end is an answer.
func (e *effecting) perform(ctx context.Context) *Effected {
	within, cancel := context.WithTimeout(ctx, e.entry.Perform) // over before perform_by, which ready moves on
	defer cancel()
	answer, err := e.eff.Send(within, e.call, func() error { return e.ready(ctx) })
	out := &Effected{Entry: e.entry}
	if err == nil {
		out.Answer = &answer
	}
	v := judgeEffect(answer, err)
	if err == nil && slices.Contains(e.derived.Success, answer.Status) {
		v = effectLanded
	}
	if v == effectUnproven {
		v = e.lookAgain(within, answer.Status)
	}
	e.settle(ctx, out, v, err)
	return out
}

// ready makes sure, under the window's fence, that the intent still stands, and gives it its time anew: a rollback
// that begins while the call is on its way waits for that time.
func (e *effecting) ready(ctx context.Context) error {
	armed, err := e.ledger.changeIntent(WithOnce(ctx, nil), "renew entry", e.entry.ID, func(u *unit, now *Entry) error {
		switch {
		case u.Window().Fenced():
			return Conflict(u.op, now.ID.String(), "a rollback has begun")
		case !u.now.Before(now.PerformBy):
			return Conflict(u.op, now.ID.String(), "its time is over")
		}
		now.PerformBy = u.now.Add(now.Perform)
		return u.touchEntry("entry.renewed", now, moved{})
	})
	if err != nil {
		e.ledger.log.WarnContext(ctx, "call not made", slog.String("entry_id", e.entry.ID.String()), slog.Any("err", err))
		return errors.Join(errFenced, err)
	}
	e.entry = armed
	return nil
}

// An effectVerdict is what an answer says about the effect.
type effectVerdict int

const (
	effectLanded   effectVerdict = iota // it is there
	effectNothing                       // certainly nothing happened
	effectUnproven                      // refused, or begun: a look decides
	effectUnknown                       // it may have happened, or still happen
)

// refusals are statuses of calls that are refused before they are acted on (RFC 9110, section 15.5; RFC 6585).
var refusals = map[int]bool{
	http.StatusUnauthorized: true, http.StatusForbidden: true, http.StatusNotFound: true, http.StatusMethodNotAllowed: true,
	http.StatusLengthRequired: true, http.StatusRequestEntityTooLarge: true, http.StatusRequestURITooLong: true,
	http.StatusUnsupportedMediaType: true, http.StatusMisdirectedRequest: true, http.StatusPreconditionRequired: true,
	http.StatusTooManyRequests: true, http.StatusRequestHeaderFieldsTooLarge: true,
}

// judgeEffect says what is known once a call is over.
func judgeEffect(a EffectAnswer, err error) effectVerdict {
	var call *CallError
	switch {
	case errors.Is(err, errFenced):
		return effectNothing
	case asCall(err, &call) && (call.Class == CallNotSent || call.Class == CallAway || call.Class == CallDenied):
		return effectNothing
	case err != nil:
		return effectUnknown
	case a.Status == http.StatusAccepted:
		return effectUnproven
	case a.Status/100 == 2:
		return effectLanded
	case refusals[a.Status]:
		return effectNothing
	case a.Status/100 == 4:
		return effectUnproven
	default:
		return effectUnknown
	}
}

// lookAgain settles an answer that alone proves little: a refusal whose resource is what it was did nothing, an
// accepted call whose resource is not what it was has done it. Where nobody can look, a request that was found to be
// wrong did nothing; a conflict may be one with the call itself, sent again by a gateway.
func (e *effecting) lookAgain(ctx context.Context, status int) effectVerdict {
	if !e.looks || e.derived.any() {
		if status == http.StatusBadRequest || status == http.StatusUnprocessableEntity {
			return effectNothing
		}
		return effectUnknown
	}
	_, rem, err := e.ledger.systems.Find(e.entry.System)
	if err != nil {
		return effectUnknown
	}
	seen, err := rem.Look(ctx, e.entry)
	if err != nil || !seen.Known {
		return effectUnknown
	}
	c := Compare(e.entry.Before, Image{}, seen.Now, seen.Scope)
	if accepted := status == http.StatusAccepted; c.Blind || accepted == c.Before {
		return effectUnknown // begun and not to be seen, or refused and there
	}
	if c.Before {
		return effectNothing
	}
	return effectLanded
}
