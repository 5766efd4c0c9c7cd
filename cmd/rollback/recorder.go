package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"

	"sideledger/api/client"
	"sideledger/api/wire"
)

// A recorder takes entries and what becomes of them: a server, or files.
type recorder interface {
	// Record makes an entry durable, or returns why it is not. The answer is nil where no server has
	// answered: then the entry is in a file.
	record(ctx context.Context, d wire.EntryDraft) (*wire.Entry, error)
	// Report says that the effect is there, or that it never happened. kept is true where that is in a
	// file and no server knows it yet.
	report(ctx context.Context, entry string, r report) (e *wire.Entry, kept bool, err error)
	// Renew says that the effect is still being made.
	renew(ctx context.Context, entry string) error
}

// A report is what became of an intent.
type report struct {
	void    string // why the effect never happened; empty: it is there
	applied wire.AppliedRequest
	// keep puts it into the spool where the server does not answer: always for a command that has run.
	keep bool
	// plain: the entry is known to have no secret fields, so that its after-image may stand in a file.
	plain bool
}

// inFile returns the report as it may stand in a file on this host: without an after-image that may hold
// secret values.
func (r *report) inFile() (kept report, cut bool) {
	kept = *r
	if r.plain || r.applied.After == nil || string(r.applied.After) == "null" {
		return kept, false
	}
	kept.applied.After = nil
	return kept, true
}

func (r *report) call(a *app, entry string) (wire.SpoolCall, error) {
	c := wire.SpoolCall{At: a.now(), Method: http.MethodPost, Path: "/v1/entries/" + entry + "/applied", Key: client.NewKey()}
	var body any = r.applied
	if r.void != "" {
		c.Path = "/v1/entries/" + entry + "/void"
		body = wire.ReasonRequest{Reason: r.void}
	}
	var err error
	if c.Body, err = client.Encode(body); err != nil {
		return c, fmt.Errorf("encode a report: %w", err)
	}
	return c, nil
}

func intentCall(a *app, window string, d *wire.EntryDraft) (wire.SpoolCall, error) {
	body, err := client.Encode(d)
	if err != nil {
		return wire.SpoolCall{}, fmt.Errorf("encode the entry: %w", err)
	}
	return wire.SpoolCall{
		At: a.now(), Method: http.MethodPost, Path: "/v1/windows/" + window + "/entries", Key: client.NewKey(), Body: body,
	}, nil
}

// recorder returns where entries of a window go. window may be empty for reports alone.
func (a *app) recorder(window string, useSpool bool) (recorder, error) {
	base, folder, err := a.address()
	if err != nil {
		return nil, err
	}
	if folder != "" {
		return &fileRecorder{app: a, spool: spool{app: a, dir: folder}, window: window}, nil
	}
	c, err := a.server()
	if err != nil {
		return nil, err
	}
	r := &serverRecorder{app: a, client: c, base: base, window: window, useSpool: useSpool}
	if r.spool, err = a.spool(); err != nil && useSpool {
		return nil, err
	}
	return r, nil
}

// spool returns the spool of calls that a server did not answer. Without a folder for one it has none,
// and the error says so.
func (a *app) spool() (*spool, error) {
	dir, err := a.spoolFolder()
	if err != nil {
		return nil, err
	}
	return &spool{app: a, dir: dir}, nil
}

// A serverRecorder records at a server, and in the spool while that does not answer.
type serverRecorder struct {
	app      *app
	client   *client.Client
	spool    *spool // nil: there is no place for one
	base     string
	window   string
	useSpool bool
	spooled  bool // the entry went into the spool: what follows it has to go there too
}

func (r *serverRecorder) record(ctx context.Context, d wire.EntryDraft) (*wire.Entry, error) {
	call, err := intentCall(r.app, r.window, &d)
	if err != nil {
		return nil, err
	}
	pending, err := r.sendSpool(ctx)
	if err != nil {
		return nil, err
	}
	if pending == nil {
		var e *wire.Entry
		if e, err = sendEntry(ctx, r.client, call); err == nil {
			return e, nil
		}
		if !client.Unreachable(err) {
			return nil, err
		}
	} else {
		err = fmt.Errorf("earlier calls are still in the spool: %w", pending)
	}
	if ctx.Err() != nil {
		return nil, err
	}
	if !r.useSpool {
		return nil, fmt.Errorf("entry %s is not recorded, the ledger cannot be reached (--spool goes on without it): %w", d.ID, err)
	}
	if err := checkOffline(&d); err != nil {
		return nil, fmt.Errorf("the ledger cannot be reached, and this cannot go into the spool: %w", err)
	}
	if spoolErr := r.keep(ctx, call); spoolErr != nil {
		return nil, errors.Join(err, spoolErr)
	}
	r.spooled = true
	r.app.say("the ledger cannot be reached (%v): entry %s is in the spool, %s", err, d.ID, r.spool.file(r.file()))
	return nil, nil //nolint:nilnil // recorded, and no server has answered
}

// sendSpool sends what is in the spool. It returns why calls on this window could not be sent, if the
// reason is one that would meet a new call as well.
func (r *serverRecorder) sendSpool(ctx context.Context) (pending, err error) {
	if r.spool == nil {
		return nil, nil
	}
	files, err := r.spool.files()
	if err != nil || len(files) == 0 {
		return nil, err
	}
	all, err := r.spool.flushAll(ctx, r.client, r.base, "")
	if err != nil {
		return nil, err
	}
	if all.err != nil && client.Unreachable(all.err) {
		return all.err, nil
	}
	return nil, nil
}

func (r *serverRecorder) file() string {
	if r.window == "" {
		return looseSpool
	}
	return r.window
}

func (r *serverRecorder) keep(ctx context.Context, call wire.SpoolCall) error {
	if r.spool == nil {
		return errors.New("there is no place for a spool: set HOME or XDG_STATE_HOME")
	}
	call.Server = r.base
	return r.spool.append(context.WithoutCancel(ctx), r.file(), call)
}

func (r *serverRecorder) report(ctx context.Context, entry string, rep report) (*wire.Entry, bool, error) {
	call, err := rep.call(r.app, entry)
	if err != nil {
		return nil, false, err
	}
	if kept, err := r.reportSpooled(ctx, entry, rep, call); kept || err != nil {
		return nil, kept, err
	}
	e, err := sendEntry(ctx, r.client, call)
	if err == nil {
		return e, false, nil
	}
	if !later(err) || !rep.keep && (!r.useSpool || !client.Unreachable(err)) {
		return nil, false, err
	}
	if spoolErr := r.keepReport(ctx, entry, rep, call); spoolErr != nil {
		return nil, false, errors.Join(err, spoolErr)
	}
	r.app.say("the ledger did not take the report (%v): it is in the spool, %s", err, r.spool.file(r.file()))
	return nil, true, nil
}

// keepReport puts a report that the server did not take into the spool.
func (r *serverRecorder) keepReport(ctx context.Context, entry string, rep report, call wire.SpoolCall) error {
	call, err := r.fitForFile(entry, rep, call)
	if err != nil {
		return err
	}
	return r.keep(ctx, call)
}

// fitForFile returns the call of a report as it may stand in a file, and says what was left out.
func (r *serverRecorder) fitForFile(entry string, rep report, call wire.SpoolCall) (wire.SpoolCall, error) {
	kept, cut := rep.inFile()
	if !cut {
		return call, nil
	}
	key := call.Key + "-cut" // another body: another key
	call, err := kept.call(r.app, entry)
	call.Key = key
	r.app.say("its after-image is left out of the spool, as it may hold secret values: once the ledger answers, say `rollback applied %s --after …`", entry)
	return call, err
}

// reportSpooled puts a report behind the entry that is still in the spool, and tries to send both.
func (r *serverRecorder) reportSpooled(ctx context.Context, entry string, rep report, call wire.SpoolCall) (bool, error) {
	if r.spool == nil {
		return false, nil
	}
	window := r.file()
	if !r.spooled {
		var err error
		if window, err = r.spool.find(ctx, entry); err != nil || window == "" {
			return false, err
		}
	}
	if !r.spooled { // of an entry that is itself in the spool it is known that it has no secrets
		var err error
		if rep.plain, err = r.spool.hasIntent(ctx, window, entry); err != nil {
			return false, err
		}
	}
	call, err := r.fitForFile(entry, rep, call)
	if err != nil {
		return false, err
	}
	call.Server = r.base
	if err := r.spool.append(context.WithoutCancel(ctx), window, call); err != nil {
		return false, err
	}
	out, err := r.spool.flush(ctx, r.client, r.spool.file(window))
	if err != nil {
		return true, err
	}
	if out.kept > 0 {
		r.app.say("%d recorded calls are kept in %s: %v", out.kept, r.spool.file(window), out.err)
	}
	return true, nil
}

func (r *serverRecorder) renew(ctx context.Context, entry string) error {
	if r.spooled {
		return nil // there is nobody to tell
	}
	_, err := r.client.Renew(ctx, entry)
	return err
}

// sendEntry makes a call that answers with an entry.
func sendEntry(ctx context.Context, c *client.Client, call wire.SpoolCall) (*wire.Entry, error) {
	answer, err := send(ctx, c, call)
	if err != nil {
		return nil, err
	}
	return readEntry(answer)
}

// A fileRecorder records into files: ROLLBACK_URL=file:DIR.
type fileRecorder struct {
	app    *app
	spool  spool
	window string
}

func (r *fileRecorder) record(ctx context.Context, d wire.EntryDraft) (*wire.Entry, error) {
	if err := checkOffline(&d); err != nil {
		return nil, err
	}
	call, err := intentCall(r.app, r.window, &d)
	if err != nil {
		return nil, err
	}
	return nil, r.spool.append(ctx, r.window, call)
}

func (r *fileRecorder) report(ctx context.Context, entry string, rep report) (*wire.Entry, bool, error) {
	call, err := rep.call(r.app, entry)
	if err != nil {
		return nil, false, err
	}
	window, err := r.spool.find(ctx, entry)
	if err != nil {
		return nil, false, err
	}
	if window == "" {
		return nil, false, fmt.Errorf("no file of %s has entry %s", filepath.Clean(r.spool.dir), entry)
	}
	return nil, true, r.spool.append(context.WithoutCancel(ctx), window, call)
}

// renew does nothing: an intent in a file has nobody who judges it by the clock.
func (r *fileRecorder) renew(context.Context, string) error { return nil }
