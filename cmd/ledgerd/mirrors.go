package main

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"time"

	"sideledger/ledger"
	"sideledger/ledger/heads"
	"sideledger/ledger/mirror"
	"sideledger/ledger/sqlstore"
	"sideledger/remediators"
)

// mirrorRemediator names the factory that hands the shared outgoing client to a mirror.
const mirrorRemediator = "mirror"

// mirrors are the configured mirrors of a ledger. Close them when done.
type mirrors []mirror.Sink

func newMirrors(e *env, c Config) (mirrors, error) {
	var list mirrors
	for _, m := range c.Mirror {
		sink, err := newMirror(e, m)
		if err != nil {
			return nil, errors.Join(err, list.close())
		}
		list = append(list, mirror.InTurn(sink))
	}
	return list, nil
}

func newMirror(e *env, m MirrorConfig) (mirror.Sink, error) {
	switch {
	case m.Folder != "":
		return mirror.NewFolder(m.Folder, time.Now)
	case len(m.Command) > 0:
		return mirror.NewCommand(m.Command)
	}
	u, err := url.Parse(m.URL)
	if err != nil {
		return nil, errors.New("mirror.url cannot be read")
	}
	client, err := mirrorClient(e, m, u.Scheme+"://"+u.Host)
	if err != nil {
		return nil, err
	}
	call := remediators.Call{Method: http.MethodPost, Path: cmp.Or(u.EscapedPath(), "/"), Query: u.RawQuery, Fresh: true}
	return mirror.NewHTTP(m.URL, func(ctx context.Context, p mirror.Post) (int, error) {
		one := call
		one.Header, one.Body = p.Header, p.Body
		reply, err := client.Do(ctx, one)
		return reply.Status, err
	}), nil
}

// mirrorClient makes a client with the rules of every outgoing call: no redirects, no retries, addresses checked when
// they are dialled, the credential by reference.
func mirrorClient(e *env, m MirrorConfig, host string) (*remediators.Client, error) {
	sys := m.system()
	sys.URL, sys.Retry = host, remediators.RetryConfig{Base: 100 * time.Millisecond, Cap: time.Second}
	var client *remediators.Client
	_, _, err := remediators.NewRegistry(remediators.Options{
		Systems: map[string]remediators.SystemConfig{"mirror": sys}, Clock: time.Now, Log: e.log, Getenv: e.getenv,
		Factories: map[string]remediators.Factory{mirrorRemediator: func(b remediators.Binding) (ledger.Remediator, error) {
			client = b.Client
			return nil, nil //nolint:nilnil // it undoes nothing: nobody ever asks it to
		}},
	})
	return client, err
}

func (l mirrors) close() error {
	var errs []error
	for _, m := range l {
		errs = append(errs, m.Close())
	}
	return errors.Join(errs...)
}

func (l mirrors) start(ctx context.Context, s *sqlstore.Store) error {
	var list []sqlstore.Mirror
	for _, m := range l {
		list = append(list, m)
	}
	return s.StartMirrors(ctx, list...)
}

// readers are the mirrors that can be read back.
func (l mirrors) readers() []mirror.Reader {
	var out []mirror.Reader
	for _, m := range l {
		if r, ok := m.(mirror.Reader); ok {
			out = append(out, r)
		}
	}
	return out
}

func (l mirrors) sinks() []heads.Sink {
	return slices.Collect(func(yield func(heads.Sink) bool) {
		for _, m := range l {
			if !yield(m) {
				return
			}
		}
	})
}
