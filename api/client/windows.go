package client

import (
	"context"
	"iter"
	"net/url"
	"strconv"

	"sideledger/api/wire"
)

func windowPath(id, rest string) string { return "/v1/windows/" + url.PathEscape(id) + rest }

// OpenWindow opens a window.
func (c *Client) OpenWindow(ctx context.Context, d wire.WindowDraft) (*wire.Window, error) {
	return answer[wire.Window](ctx, c, "/v1/windows", d)
}

// Window returns one window.
func (c *Client) Window(ctx context.Context, id string) (*wire.Window, error) {
	return read[wire.Window](ctx, c, windowPath(id, ""))
}

// A WindowQuery pages through windows, newest first.
type WindowQuery struct {
	State  string // empty: any
	Limit  int    // 0: the server's default, 100
	Cursor string // NextCursor of the page before; empty: from the newest
}

// Windows returns one page.
func (c *Client) Windows(ctx context.Context, q WindowQuery) (*wire.WindowList, error) {
	v := url.Values{}
	setString(v, "state", q.State)
	setPage(v, q.Limit, q.Cursor)
	return read[wire.WindowList](ctx, c, withQuery("/v1/windows", v))
}

// AllWindows walks over all pages. An error ends it and comes with a zero window.
func (c *Client) AllWindows(ctx context.Context, q WindowQuery) iter.Seq2[wire.Window, error] {
	return pages(func(cursor string) ([]wire.Window, string, error) {
		q.Cursor = cursor
		l, err := c.Windows(ctx, q)
		if err != nil {
			return nil, "", err
		}
		return l.Items, l.NextCursor, nil
	}, q.Cursor)
}

// Seal closes a window to new intents.
func (c *Client) Seal(ctx context.Context, id, reason string) (*wire.Window, error) {
	return answer[wire.Window](ctx, c, windowPath(id, "/seal"), wire.ReasonRequest{Reason: reason})
}

// Reopen takes a seal or a keep back.
func (c *Client) Reopen(ctx context.Context, id, reason string) (*wire.Window, error) {
	return answer[wire.Window](ctx, c, windowPath(id, "/reopen"), wire.ReasonRequest{Reason: reason})
}

// Keep accepts the upgrade: the window's effects stay.
func (c *Client) Keep(ctx context.Context, id, reason string) (*wire.Window, error) {
	return answer[wire.Window](ctx, c, windowPath(id, "/keep"), wire.ReasonRequest{Reason: reason})
}

// Systems lists the configured third parties.
func (c *Client) Systems(ctx context.Context) (*wire.SystemList, error) {
	return read[wire.SystemList](ctx, c, "/v1/systems")
}

// SystemsFor is [Client.Systems], with what one window has to know of their credentials.
func (c *Client) SystemsFor(ctx context.Context, window string) (*wire.SystemList, error) {
	return read[wire.SystemList](ctx, c, "/v1/systems?window="+url.QueryEscape(window))
}

// Remediators describes what serves each configured third party.
func (c *Client) Remediators(ctx context.Context) (*wire.RemediatorList, error) {
	return read[wire.RemediatorList](ctx, c, "/v1/remediators")
}

// Version says what the server runs. It needs no token.
func (c *Client) Version(ctx context.Context) (*wire.Version, error) {
	return read[wire.Version](ctx, c, "/version")
}

// Ready returns nil when the server can work. It needs no token.
func (c *Client) Ready(ctx context.Context) error {
	_, err := read[wire.Status](ctx, c, "/readyz")
	return err
}

func read[T any](ctx context.Context, c *Client, path string) (*T, error) {
	out := new(T)
	if err := c.get(ctx, path, out); err != nil {
		return nil, err
	}
	return out, nil
}

func answer[T any](ctx context.Context, c *Client, path string, in any) (*T, error) {
	out := new(T)
	if err := c.post(ctx, path, in, out); err != nil {
		return nil, err
	}
	return out, nil
}

func withQuery(path string, v url.Values) string {
	if len(v) == 0 {
		return path
	}
	return path + "?" + v.Encode()
}

func setString(v url.Values, name, value string) {
	if value != "" {
		v.Set(name, value)
	}
}

func setPage(v url.Values, limit int, cursor string) {
	if limit > 0 {
		v.Set("limit", strconv.Itoa(limit))
	}
	setString(v, "cursor", cursor)
}

func pages[T any](next func(cursor string) ([]T, string, error), cursor string) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for {
			items, more, err := next(cursor)
			if err != nil {
				var zero T
				yield(zero, err)
				return
			}
			for _, item := range items {
				if !yield(item, nil) {
					return
				}
			}
			if more == "" {
				return
			}
			cursor = more
		}
	}
}
