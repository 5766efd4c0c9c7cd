package api

import (
	"context"
	"strconv"
	"time"

	"sideledger/ledger"
)

// eventPage is how many records a stream reads together.
const eventPage = 200

// windowEvents follows a window's journal until the client goes or the server stops.
func (a *API) windowEvents(ctx context.Context, in *call, w *pieces) error {
	if _, err := a.ledger.Window(ctx, in.id); err != nil {
		return err
	}
	return a.follow(ctx, in, w, ledger.RecordQuery{WindowID: in.id}, func() (bool, error) { return false, nil })
}

// rollbackEvents follows one run until it is over. The comment "end" tells the client that there is no
// more; without it the connection was lost.
func (a *API) rollbackEvents(ctx context.Context, in *call, w *pieces) error {
	r, err := a.ledger.Rollback(ctx, in.id)
	if err != nil {
		return err
	}
	return a.follow(ctx, in, w, ledger.RecordQuery{WindowID: r.WindowID, RollbackID: in.id}, func() (bool, error) {
		r, err := a.ledger.Rollback(ctx, in.id)
		return err == nil && r.State.Over(), err
	})
}

// after returns the number of the last record that the client has seen.
func (in *call) after() (int64, error) {
	if text := in.header.Get("Last-Event-ID"); text != "" {
		n, err := strconv.ParseUint(text, 10, 63) // no sign
		if err != nil {
			return 0, ledger.Invalid("Last-Event-ID", "want the number of a record")
		}
		return int64(n), nil
	}
	n, err := strconv.ParseInt(in.query.Get("after"), 10, 64)
	if err != nil {
		return 0, nil // absent; the document holds it to a whole number
	}
	return n, nil
}

// follow writes the records that q picks as server-sent events, those that are there and those that come.
// over is asked before each reading; once it reports true, that reading is the last.
func (a *API) follow(ctx context.Context, in *call, w *pieces, q ledger.RecordQuery, over func() (bool, error)) error {
	var err error
	if q.After, err = in.after(); err != nil {
		return err
	}
	grown, end := a.ledger.Subscribe(q.WindowID)
	defer end()
	heartbeat := time.NewTicker(a.Heartbeat)
	defer heartbeat.Stop()
	sweep := time.NewTicker(a.Sweep)
	defer sweep.Stop()
	w.begin("text/event-stream", "retry: 1000\n\n")
	for {
		if last, err := a.turn(ctx, w, &q, over); err != nil || last {
			return err
		}
		select {
		case <-grown:
		case <-sweep.C:
		case <-heartbeat.C:
			w.add(": alive\n\n")
		case <-a.stop:
			return nil
		case <-ctx.Done():
			return nil
		}
	}
}

// turn writes what there is, and reports whether it was the last.
func (a *API) turn(ctx context.Context, w *pieces, q *ledger.RecordQuery, over func() (bool, error)) (last bool, err error) {
	if last, err = over(); err != nil {
		return false, err
	}
	if err := a.catchUp(ctx, w, q); err != nil {
		return false, err
	}
	if last {
		w.add(": end\n\n")
	}
	return last, w.flush()
}

// catchUp writes the records that are there and moves q behind them.
func (a *API) catchUp(ctx context.Context, w *pieces, q *ledger.RecordQuery) error {
	q.Limit = eventPage
	for {
		list, err := a.ledger.Records(ctx, *q)
		if err != nil {
			return err
		}
		for _, r := range list {
			w.add("id: " + strconv.FormatInt(r.Number, 10) + "\nevent: " + r.Kind + "\ndata: ")
			w.buf = append(w.buf, r.Body...)
			if err := w.send([]byte("\n\n")); err != nil {
				return err
			}
			q.After = r.Number
		}
		if len(list) < eventPage {
			return nil
		}
	}
}
