package api

import (
	"context"
	"encoding/hex"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"sideledger/api/wire"
	"sideledger/ledger"
)

func (a *API) openWindow(ctx context.Context, _ *call, b *wire.WindowDraft) (*ledger.WindowView, error) {
	buffer, err := readDuration("/buffer", b.Buffer)
	if err != nil {
		return nil, err
	}
	return a.ledger.OpenWindow(ctx, ledger.WindowDraft{
		Name: b.Name, Ticket: b.Ticket, Owner: b.Owner, OpensAt: readTime(b.OpensAt), EndsAt: readTime(b.EndsAt),
		Buffer: buffer, Snapshot: b.Snapshot, Labels: b.Labels, Restore: restoreOf(b.Restore),
	})
}

func (a *API) getWindow(ctx context.Context, in *call) (answer, error) {
	w, err := a.ledger.Window(ctx, in.id)
	if err != nil {
		return answer{}, err
	}
	return windowAnswer(w), nil
}

func (a *API) listWindows(ctx context.Context, in *call) (answer, error) {
	before, err := in.query.windowCursor()
	if err != nil {
		return answer{}, err
	}
	limit := in.query.limit()
	list, err := a.ledger.Windows(ctx, ledger.WindowQuery{State: ledger.WindowState(in.query.Get("state")), Before: before, Limit: limit + 1})
	if err != nil {
		return answer{}, err
	}
	out := wire.WindowList{Items: []wire.Window{}}
	if len(list) > limit {
		list = list[:limit]
		out.NextCursor = newCursor("w", list[limit-1].ID.String())
	}
	for i := range list {
		out.Items = append(out.Items, windowToWire(&list[i]))
	}
	return answer{body: out, hashed: true, header: in.query.next("/v1/windows", out.NextCursor)}, nil
}

func (a *API) sealWindow(ctx context.Context, in *call, b *wire.ReasonRequest) (*ledger.WindowView, error) {
	return a.ledger.Seal(ctx, in.id, b.Reason)
}

func (a *API) reopenWindow(ctx context.Context, in *call, b *wire.ReasonRequest) (*ledger.WindowView, error) {
	return a.ledger.Reopen(ctx, in.id, b.Reason)
}

func (a *API) keepWindow(ctx context.Context, in *call, b *wire.ReasonRequest) (*ledger.WindowView, error) {
	return a.ledger.Keep(ctx, in.id, b.Reason)
}

func windowAnswer(w *ledger.WindowView) answer {
	return answer{body: windowToWire(w), version: w.Head.Number, window: w.ID, head: w.Head}
}

func windowOpened(w *ledger.WindowView) answer {
	ans := windowAnswer(w)
	ans.status, ans.header = http.StatusCreated, map[string]string{"Location": "/v1/windows/" + w.ID.String()}
	return ans
}

func windowToWire(w *ledger.WindowView) wire.Window {
	labels := w.Labels
	if labels == nil {
		labels = map[string]string{}
	}
	return wire.Window{
		ID: w.ID.String(), Name: w.Name, Ticket: w.Ticket, Owner: w.Owner, OpensAt: maybeTime(w.OpensAt), EndsAt: maybeTime(w.EndsAt),
		Buffer: maybeDuration(w.Buffer), Snapshot: w.Snapshot, Labels: labels, Restore: restoreToWire(w.Restore), State: string(w.State), Counts: countsToWire(w.Counts),
		RollbackID: maybeID(w.RollbackID), Head: headToWire(w.Head), CreatedAt: w.CreatedAt, SealedAt: maybeTime(w.SealedAt),
		Pruned:   prunedToWire(w.Pruned),
		Warnings: w.Warnings,
	}
}

func prunedToWire(p *ledger.Pruning) *wire.Pruned {
	if p == nil {
		return nil
	}
	return &wire.Pruned{At: p.At, Entries: p.LastSeq, Begins: p.Number}
}

func countsToWire(c ledger.Counts) wire.Counts {
	return wire.Counts{
		Undone: c.Undone, AlreadyUndone: c.AlreadyUndone, Compensated: c.Compensated, Unverified: c.Unverified, ByHand: c.ByHand,
		Waived: c.Waived, Retained: c.Retained, Void: c.Void, Stuck: c.Stuck, Remaining: c.Remaining,
	}
}

func headToWire(h ledger.Head) wire.Head {
	return wire.Head{Number: h.Number, Hash: hex.EncodeToString(h.Hash[:])}
}

func maybeTime(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}

func readTime(t *time.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.UTC().Truncate(time.Microsecond)
}

func maybeID(id uuid.UUID) *string {
	if id == uuid.Nil {
		return nil
	}
	s := id.String()
	return &s
}

// readDuration reads a Go duration; empty is 0.
func readDuration(field, text string) (time.Duration, error) {
	if text == "" {
		return 0, nil
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		return 0, ledger.Invalid(field, "want a duration such as 90s or 30m")
	}
	return d, nil
}

// duration writes a Go duration without the zeros that a person would leave out: 30m, not 30m0s.
func duration(d time.Duration) string {
	if d%time.Second == 0 && d < 2*time.Minute {
		return strconv.FormatInt(int64(d/time.Second), 10) + "s" // as the contract writes its default, "60s"
	}
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

func maybeDuration(d time.Duration) string {
	if d == 0 {
		return ""
	}
	return duration(d)
}
