package client

import (
	"context"
	"iter"
	"net/url"

	"sideledger/api/wire"
)

func entryPath(id, rest string) string { return "/v1/entries/" + url.PathEscape(id) + rest }

// Record records one entry. It is durable when Record returns nil. With the caller's own d.ID it may be
// called again after an error, with the same content.
func (c *Client) Record(ctx context.Context, windowID string, d wire.EntryDraft) (*wire.Entry, error) {
	return answer[wire.Entry](ctx, c, windowPath(windowID, "/entries"), d)
}

// RecordBatch records up to 1,000 entries, all or none, in order.
func (c *Client) RecordBatch(ctx context.Context, windowID string, drafts []wire.EntryDraft) (*wire.EntryList, error) {
	return answer[wire.EntryList](ctx, c, windowPath(windowID, "/entries/batch"), wire.EntryBatch{Entries: drafts})
}

// Entry returns one entry.
func (c *Client) Entry(ctx context.Context, id string) (*wire.Entry, error) {
	return read[wire.Entry](ctx, c, entryPath(id, ""))
}

// An EntryQuery pages through the entries of a window.
type EntryQuery struct {
	States  []string // any of them; empty: all
	Only    []string // as in [wire.RollbackRequest]
	Exclude []string
	Desc    bool // newest first
	Limit   int  // 0: the server's default, 100
	Cursor  string
}

// Entries returns one page.
func (c *Client) Entries(ctx context.Context, windowID string, q EntryQuery) (*wire.EntryList, error) {
	v := url.Values{"only": q.Only, "exclude": q.Exclude, "state": q.States}
	for name, values := range v {
		if len(values) == 0 {
			delete(v, name)
		}
	}
	if q.Desc {
		v.Set("order", "desc")
	}
	setPage(v, q.Limit, q.Cursor)
	return read[wire.EntryList](ctx, c, withQuery(windowPath(windowID, "/entries"), v))
}

// AllEntries walks over all pages. An error ends it and comes with a zero entry.
func (c *Client) AllEntries(ctx context.Context, windowID string, q EntryQuery) iter.Seq2[wire.Entry, error] {
	return pages(func(cursor string) ([]wire.Entry, string, error) {
		q.Cursor = cursor
		l, err := c.Entries(ctx, windowID, q)
		if err != nil {
			return nil, "", err
		}
		return l.Items, l.NextCursor, nil
	}, q.Cursor)
}

// Applied reports that the effect is there.
func (c *Client) Applied(ctx context.Context, id string, r wire.AppliedRequest) (*wire.Entry, error) {
	return answer[wire.Entry](ctx, c, entryPath(id, "/applied"), r)
}

// Void reports that the effect never happened.
func (c *Client) Void(ctx context.Context, id, reason string) (*wire.Entry, error) {
	return answer[wire.Entry](ctx, c, entryPath(id, "/void"), wire.ReasonRequest{Reason: reason})
}

// Renew reports that the effect is still being made.
func (c *Client) Renew(ctx context.Context, id string) (*wire.Entry, error) {
	return answer[wire.Entry](ctx, c, entryPath(id, "/renew"), nil)
}

// Resolve is a person's word on a stuck entry.
func (c *Client) Resolve(ctx context.Context, id string, r wire.ResolveRequest) (*wire.Entry, error) {
	return answer[wire.Entry](ctx, c, entryPath(id, "/resolve"), r)
}
