package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/google/uuid"

	"sideledger/api/wire"
	"sideledger/ledger"
)

func (a *API) recordEntry(ctx context.Context, in *call, b *wire.EntryDraft) ([]ledger.Recorded, error) {
	d, err := draftOf("", b)
	if err != nil {
		return nil, err
	}
	return a.record(ctx, in.id, []ledger.Draft{d})
}

func (a *API) recordBatch(ctx context.Context, in *call, b *wire.EntryBatch) ([]ledger.Recorded, error) {
	drafts := make([]ledger.Draft, 0, len(b.Entries))
	for i := range b.Entries {
		d, err := draftOf(fmt.Sprintf("/entries/%d", i), &b.Entries[i])
		if err != nil {
			return nil, err
		}
		drafts = append(drafts, d)
	}
	out, err := a.record(ctx, in.id, drafts)
	var e *ledger.Error
	if len(drafts) == 1 && errors.As(err, &e) && e.Field != "" { // the ledger takes a batch of one for an entry
		inBatch := *e
		inBatch.Field = "/entries/0" + e.Field
		err = &inBatch
	}
	return out, err
}

func (a *API) record(ctx context.Context, windowID uuid.UUID, drafts []ledger.Draft) ([]ledger.Recorded, error) {
	out, err := a.ledger.Record(ctx, windowID, drafts)
	if err != nil {
		return nil, err
	}
	for _, r := range out {
		if !r.Replay {
			a.metrics.records.WithLabelValues(string(r.Entry.Draft.State)).Inc()
		}
	}
	return out, nil
}

func entryRecorded(list []ledger.Recorded) answer {
	ans := entryAnswer(list[0].Entry)
	ans.header = map[string]string{"Location": "/v1/entries/" + list[0].Entry.ID.String()}
	if !list[0].Replay {
		ans.status = http.StatusCreated
	}
	return ans
}

func batchRecorded(list []ledger.Recorded) answer {
	out := wire.EntryList{Items: make([]wire.Entry, 0, len(list))}
	for _, r := range list {
		out.Items = append(out.Items, entryToWire(r.Entry))
	}
	ans := answer{status: http.StatusCreated, body: out}
	if n := len(list); n > 0 {
		ans.window, ans.head = list[n-1].Entry.WindowID, list[n-1].Entry.Journal
	}
	return ans
}

func (a *API) getEntry(ctx context.Context, in *call) (answer, error) {
	e, err := a.ledger.Entry(ctx, in.id)
	if err != nil {
		return answer{}, err
	}
	return entryAnswer(e), nil
}

func (a *API) listEntries(ctx context.Context, in *call) (answer, error) {
	q, err := entryQuery(in)
	if err != nil {
		return answer{}, err
	}
	limit := q.Limit
	q.Limit++
	list, err := a.ledger.Entries(ctx, q)
	if err != nil {
		return answer{}, err
	}
	if len(list) == 0 { // an empty page of a window, or no window at all
		if _, err := a.ledger.Window(ctx, in.id); err != nil {
			return answer{}, err
		}
	}
	out := wire.EntryList{Items: []wire.Entry{}}
	if len(list) > limit {
		list = list[:limit]
		out.NextCursor = newCursor(orderMark(q.Desc), strconv.Itoa(list[limit-1].Seq))
	}
	for i := range list {
		out.Items = append(out.Items, entryToWire(&list[i]))
	}
	return answer{body: out, hashed: true, header: in.query.next("/v1/windows/"+in.id.String()+"/entries", out.NextCursor)}, nil
}

func entryQuery(in *call) (ledger.EntryQuery, error) {
	q := ledger.EntryQuery{WindowID: in.id, Desc: in.query.Get("order") == "desc", Limit: in.query.limit()}
	var err error
	if q.From, err = in.query.entryCursor(q.Desc); err != nil {
		return q, err
	}
	if q.Select, err = in.query.terms(); err != nil {
		return q, err
	}
	for _, s := range in.query.Values["state"] {
		q.States = append(q.States, ledger.EntryState(s))
	}
	if in.actor.Role == ledger.RoleRecorder {
		q.RecordedBy = in.actor.TokenID
	}
	return q, nil
}

func (a *API) reportApplied(ctx context.Context, in *call, b *wire.AppliedRequest) (*ledger.Entry, error) {
	return a.ledger.Applied(ctx, in.id, ledger.Report{After: ledger.Image{JSON: b.After}, Resource: b.Resource})
}

func (a *API) voidEntry(ctx context.Context, in *call, b *wire.ReasonRequest) (*ledger.Entry, error) {
	return a.ledger.Void(ctx, in.id, b.Reason)
}

func (a *API) renewEntry(ctx context.Context, in *call, _ *struct{}) (*ledger.Entry, error) {
	return a.ledger.Renew(ctx, in.id)
}

func (a *API) resolveEntry(ctx context.Context, in *call, b *wire.ResolveRequest) (*ledger.Entry, error) {
	return a.ledger.Resolve(ctx, in.id, ledger.Resolution{
		Decision: ledger.DecisionKind(b.Decision), Reason: b.Reason, Seen: b.Seen, Evidence: b.Evidence,
	})
}

// awaitEntry waits until the run has acted on a person's word and on what that set free, for ResolveWait
// at most: then the window tells the truth as soon as the caller asks.
func (a *API) awaitEntry(ctx context.Context, _ *call, e *ledger.Entry) (*ledger.Entry, error) {
	err := a.await(ctx, e.WindowID, a.ResolveWait, func() (bool, error) {
		now, err := a.ledger.Entry(ctx, e.ID)
		if err != nil {
			return false, err
		}
		e = now
		if underWay(e) {
			return false, nil
		}
		return a.atRest(ctx, e.WindowID)
	})
	return e, err
}

// atRest reports whether nothing is being done in the window: its run is over, or waits for something.
func (a *API) atRest(ctx context.Context, windowID uuid.UUID) (bool, error) {
	w, err := a.ledger.Window(ctx, windowID)
	if err != nil {
		return false, err
	}
	if w.RollbackID == uuid.Nil {
		return true, nil
	}
	r, err := a.ledger.Rollback(ctx, w.RollbackID)
	if err != nil {
		return false, err
	}
	return r.State != ledger.RollbackQueued && r.State != ledger.RollbackRunning, nil
}

// underWay reports whether a person's word on e is still to be acted on.
func underWay(e *ledger.Entry) bool {
	return e.State == ledger.EntryUndoing || e.State == ledger.EntryStuck && e.Decision != nil
}

// await calls done when the window's journal has grown, and now and then, until it reports true. It gives
// up without an error after the time given, when the server stops, or when the caller has gone.
func (a *API) await(ctx context.Context, windowID uuid.UUID, most time.Duration, done func() (bool, error)) error {
	grown, end := a.ledger.Subscribe(windowID)
	defer end()
	enough := time.NewTimer(most)
	defer enough.Stop()
	sweep := time.NewTicker(a.Sweep)
	defer sweep.Stop()
	for {
		if ok, err := done(); ok || err != nil {
			return err
		}
		select {
		case <-grown:
		case <-sweep.C:
		case <-enough.C:
			return nil
		case <-a.stop:
			return nil
		case <-ctx.Done():
			return nil
		}
	}
}

func entryAnswer(e *ledger.Entry) answer {
	return answer{body: entryToWire(e), version: e.Journal.Number, window: e.WindowID, head: e.Journal}
}

// draftOf reads a posted entry; at is where it stands in the body.
func draftOf(at string, b *wire.EntryDraft) (ledger.Draft, error) {
	d := ledger.Draft{
		System: b.System, Kind: b.Kind, Action: ledger.Action(b.Action), Resource: b.Resource,
		Before: ledger.Image{JSON: b.Before}, After: ledger.Image{JSON: b.After},
		Undo: recipe(b.Undo), Read: recipe(b.Read), Guard: recipe(b.Guard), Async: recipe(b.Async), Verify: recipe(b.Verify),
		Capture: b.Capture, State: ledger.EntryState(b.State), OnRollback: ledger.OnRollback(b.OnRollback),
		Owned: b.Owned, Masked: b.Masked, Volatile: b.Volatile, Unordered: b.Unordered, Secret: b.Secret,
		Reversible: ledger.Reversibility(b.Reversible), Tag: b.Tag, Note: b.Note, Source: b.Source,
		BeforeRestore: b.BeforeRestore,
	}
	var err error
	if d.Perform, err = readDuration(at+"/perform_within", b.PerformWithin); err != nil {
		return d, err
	}
	if b.PerformWithin != "" && d.Perform <= 0 {
		return d, ledger.Invalid(at+"/perform_within", "want more than 0s")
	}
	if b.ID != "" {
		if d.ID, err = uuid.Parse(b.ID); err != nil || d.ID == uuid.Nil {
			return d, ledger.Invalid(at+"/id", "want a UUIDv7, or leave it out")
		}
	}
	for i, text := range b.DependsOn {
		id, err := uuid.Parse(text)
		if err != nil {
			return d, ledger.Invalid(fmt.Sprintf("%s/depends_on/%d", at, i), "want the id of an entry")
		}
		d.DependsOn = append(d.DependsOn, id)
	}
	return d, nil
}

// recipe returns a posted document that null stands for the absence of.
func recipe(raw json.RawMessage) json.RawMessage {
	if string(raw) == "null" {
		return nil
	}
	return raw
}

func entryToWire(e *ledger.Entry) wire.Entry {
	out := wire.Entry{
		ID: e.ID.String(), WindowID: e.WindowID.String(), Seq: e.Seq, System: e.System, Kind: e.Kind, Action: string(e.Action),
		Resource: e.Resource, Before: e.Before.JSON, After: e.After.JSON, Undo: e.Undo, Read: e.Read, Guard: e.Guard, Async: e.Async,
		Verify: e.Verify, Capture: e.Capture, State: string(e.State), Reason: string(e.Reason), Detail: e.Detail,
		Outcome: string(e.Outcome), PerformWithin: duration(e.Perform), PerformBy: maybeTime(e.PerformBy), OnRollback: string(e.OnRollback),
		DependsOn: idsToWire(e.DependsOn), Owned: list(e.Owned), Masked: list(e.Masked), Volatile: list(e.Volatile),
		Unordered: list(e.Unordered), Secret: list(e.Secret), Reversible: string(e.Reversible), Tag: e.Tag, Note: e.Note, Source: e.Source,
		Late: e.Late, Warnings: list(e.Warnings), Attempts: attemptsToWire(e.Attempts), RecordedBy: e.RecordedBy,
		RollbackID: maybeID(e.RollbackID), RecordedAt: e.RecordedAt, AppliedAt: maybeTime(e.AppliedAt), UndoneAt: maybeTime(e.UndoneAt),
		Journal: headToWire(e.Journal), BeforeRestore: e.BeforeRestore, Restore: e.Restore,
		Alias: aliasToWire(e.Alias), TraceID: e.Trace.ID(),
	}
	if e.State == ledger.EntryStuck {
		out.NowDigest, out.Now, out.Next, out.Decision = e.NowDigest, e.Now.JSON, e.Next(), decisionToWire(e.Decision)
	}
	return out
}

func aliasToWire(a *ledger.Alias) *wire.Alias {
	if a == nil {
		return nil
	}
	return &wire.Alias{Resource: a.Resource, At: a.At}
}

func attemptsToWire(list []ledger.Attempt) []wire.Attempt {
	out := make([]wire.Attempt, 0, len(list))
	for _, t := range list {
		out = append(out, wire.Attempt{
			N: t.N, RollbackID: t.RollbackID.String(), Seen: t.Seen, Request: t.Request, StartedAt: t.StartedAt,
			EndedAt: maybeTime(t.EndedAt), Result: t.Result, Status: t.Status, Detail: t.Detail,
		})
	}
	return out
}

func decisionToWire(d *ledger.Decision) *wire.Decision {
	if d == nil {
		return nil
	}
	return &wire.Decision{Decision: string(d.Kind), Reason: d.Reason, Seen: d.Seen, Evidence: d.Evidence, By: d.By, At: d.At}
}

func idsToWire(ids []uuid.UUID) []string {
	out := make([]string, 0, len(ids))
	for _, id := range ids {
		out = append(out, id.String())
	}
	return out
}

// list returns an empty list for none.
func list(s []string) []string {
	if s == nil {
		return []string{}
	}
	return s
}
