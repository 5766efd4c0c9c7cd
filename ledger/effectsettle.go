package ledger

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strconv"
	"time"
)

const (
	reportTries = 3 // of a report that nobody knows the outcome of
	reportPause = 50 * time.Millisecond
)

// settle reports what became of a call. What cannot be reported stays in doubt, and is said.
func (e *effecting) settle(ctx context.Context, out *Effected, v effectVerdict, sent error) {
	switch {
	case errors.Is(sent, errFenced):
		out.Failure, out.Detail = "fenced", "the call was not made: "+reasonOf(sent)
	case sent != nil:
		out.Failure, out.Detail = failureOf(sent)
	case v != effectLanded:
		out.Detail = "answered " + strconv.Itoa(out.Answer.Status)
	}
	var reportFunc func(context.Context) (*Entry, error)
	switch v {
	case effectLanded:
		out.Outcome, out.Detail = EffectApplied, ""
		reportFunc = e.applied(ctx, out)
	case effectNothing:
		out.Outcome = EffectVoid
		reason := "nothing happened: " + out.Detail
		reportFunc = func(ctx context.Context) (*Entry, error) { return e.ledger.Void(ctx, e.entry.ID, reason) }
	case effectUnproven, effectUnknown:
		out.Outcome = EffectInDoubt
		out.Detail += "; the entry is in doubt, and a rollback finds out by looking"
		reportFunc = func(ctx context.Context) (*Entry, error) { return e.doubt(ctx, out.Detail) }
	}
	e.report(ctx, out, reportFunc)
}

// reasonOf is the sentence of a refusal under the fence.
func reasonOf(err error) string {
	var own *Error
	if errors.As(err, &own) && own.Msg != "" {
		return own.Msg
	}
	return "the ledger could not make sure that the intent stands"
}

// report writes the last word on a call, together with the answer that is kept for its Idempotency-Key.
func (e *effecting) report(ctx context.Context, out *Effected, reportFunc func(context.Context) (*Entry, error)) {
	under := WithOnce(ctx, e.finalOnce(out))
	var err error
	for try := range reportTries {
		if try > 0 && !sleep(ctx, reportPause<<try) {
			break
		}
		var entry *Entry
		entry, err = reportFunc(under)
		if err == nil {
			out.reported(entry)
			return
		}
		var replay *ReplayError
		if errors.As(err, &replay) { // the commit that nobody knew of was one
			err = nil
			break
		}
		if CodeOf(err) != CodeUnavailable {
			break
		}
	}
	if now, readErr := e.ledger.store.GetEntry(ctx, e.entry.ID); readErr == nil {
		out.Entry = now
	}
	if err == nil {
		return
	}
	e.ledger.log.ErrorContext(ctx, "call not reported", slog.String("entry_id", e.entry.ID.String()), slog.Any("err", err))
	said := "the ledger could not report it: the entry is " + string(out.Entry.State)
	if out.Entry.State == EntryIntended {
		out.Outcome = EffectInDoubt
	}
	if out.Detail != "" {
		said = out.Detail + "; " + said
	}
	out.Detail = said
}

// finalOnce keeps the answer of the whole call under the caller's key. Of an entry with secret fields the third
// party's body is not kept: it may hold one of them.
func (e *effecting) finalOnce(out *Effected) *Once {
	if e.once == nil {
		return nil
	}
	final := *e.once
	final.RenderFunc = func(v any) (Reply, error) {
		kept := *out
		if entry, ok := v.(*Entry); ok {
			kept.reported(entry)
		}
		if kept.Answer != nil && len(kept.Entry.Secret) > 0 {
			bare := *kept.Answer
			bare.Body, bare.Broken = nil, "the answer is not kept, as the entry has secret fields"
			kept.Answer = &bare
		}
		return e.once.RenderFunc(&kept)
	}
	return &final
}

func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// doubt writes down what is known of a call whose effect nobody knows.
func (e *effecting) doubt(ctx context.Context, detail string) (*Entry, error) {
	return e.ledger.changeIntent(ctx, "report doubt", e.entry.ID, func(u *unit, now *Entry) error {
		now.Detail = detail
		return u.touchEntry("entry.doubted", now, moved{})
	})
}

// applied returns the report of an effect that is there: with the name that the third party chose, and with the
// after-image. A report that is refused over the name is made without it: the effect is there all the same.
func (e *effecting) applied(ctx context.Context, out *Effected) func(context.Context) (*Entry, error) {
	var r Report
	name, err := e.named(*out.Answer)
	if err != nil {
		out.Detail = "the effect is there, and its resource has no name: " + err.Error()
	}
	r.Resource = name
	switch {
	case e.entry.Action == ActionDelete:
		r.After = Absent
	case e.looks:
		r.After = e.after(ctx, name)
	}
	return func(ctx context.Context) (*Entry, error) {
		entry, err := e.ledger.Applied(ctx, e.entry.ID, r)
		if code := CodeOf(err); code == CodeInvalid || code == CodeConflict {
			e.ledger.log.WarnContext(ctx, "report refused", slog.String("entry_id", e.entry.ID.String()), slog.Any("err", err))
			out.Detail = "the effect is there, and the name or image that the third party gave it was refused"
			return e.ledger.Applied(ctx, e.entry.ID, Report{})
		}
		return entry, err
	}
}

// reported takes in the entry as it was reported. Of an update that shows no effect it says so.
func (out *Effected) reported(e *Entry) {
	out.Entry = e
	if out.Outcome == EffectApplied && out.Detail == "" && e.Action == ActionUpdate && e.After.Known() && e.After.Equal(e.Before) {
		out.Detail = "the third party shows after the call what it showed before: it changed nothing, or not yet"
	}
}

// after reads the after-image of a resource, under the name that the answer may have given it. It is not known where
// that fails, or where the third party still shows what was there before although the call asked for something else:
// then what was asked for stays the after-image.
func (e *effecting) after(ctx context.Context, name json.RawMessage) Image {
	_, rem, err := e.ledger.systems.Find(e.entry.System)
	full := *e.entry
	merged, mergeErr := mergeResource(full.Resource, name)
	if errors.Join(err, mergeErr) != nil {
		return Image{}
	}
	full.Resource = merged
	seen, err := rem.Look(ctx, &full)
	for try := 1; try < reportTries && unanswered(err) && sleep(ctx, reportPause<<try); try++ {
		seen, err = rem.Look(ctx, &full) // some third parties start anew when they are changed
	}
	if err != nil || !seen.Known || seen.Now.IsAbsent() {
		return Image{}
	}
	if c := Compare(full.Before, full.After, seen.Now, seen.Scope); full.After.Known() && c.Before && !c.After {
		return Image{}
	}
	return seen.revealed()
}

// unanswered reports whether a read got no answer, so that it may be made again.
func unanswered(err error) bool {
	var call *CallError
	return asCall(err, &call) && (call.Class == CallAmbiguous || call.Class == CallNotSent)
}

// named finds the members of the resource that the third party chose.
func (e *effecting) named(a EffectAnswer) (json.RawMessage, error) {
	if e.derived.LocationFunc != nil {
		if name, ok := e.derived.LocationFunc(a.Header[http.CanonicalHeaderKey("Location")]); ok {
			return name, nil
		}
		if len(e.derived.Names) == 0 {
			return nil, errors.New("the answer's Location does not say it")
		}
	}
	if len(e.derived.Names) == 0 {
		return nil, nil
	}
	if a.Broken != "" {
		return nil, errors.New(a.Broken)
	}
	body, err := decode(a.Body)
	if err != nil {
		return nil, errors.New("the answer is not JSON")
	}
	return namesIn(body, e.derived.Names)
}

func namesIn(body any, names map[string]string) (json.RawMessage, error) {
	var list []member
	for name, pointer := range names {
		v, ok := lookup(body, pointer)
		switch v.(type) {
		case string, json.Number:
		default:
			ok = false
		}
		if !ok {
			return nil, fmt.Errorf("the answer has no text or number at the pointer of %q", name)
		}
		quoted, err1 := encode(name)
		value, err2 := encode(v)
		if err := errors.Join(err1, err2); err != nil {
			return nil, err
		}
		list = append(list, member{quoted, value})
	}
	slices.SortFunc(list, func(a, b member) int { return slices.Compare(a.name, b.name) })
	return joinMembers(list), nil
}
