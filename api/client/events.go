package client

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"sideledger/api/wire"
)

// silence is how long a stream may say nothing before it counts as dead: three heartbeats.
const silence = 45 * time.Second

// maxEvent is the longest line of a stream: a record holds at most one entry of 1 MiB, and what the
// ledger adds.
const maxEvent = 16 << 20

// Watch is how a stream of events is followed.
type Watch struct {
	After int64 // only records with a greater number
	// LostFunc is told when the connection is lost, before it is made again; nil: nobody.
	LostFunc func(err error)
	// OpenFunc is told when the stream stands, the first time and after each loss; nil: nobody.
	OpenFunc func()
}

// WindowEvents calls each with every record of a window's journal, those that are there and those that
// come, in order and each once, over as many connections as it takes. It ends with the context's error,
// with an error of each, or with an [*Error] that another try would not change.
func (c *Client) WindowEvents(ctx context.Context, windowID string, w Watch, each func(wire.Event) error) error {
	return c.follow(ctx, windowPath(windowID, "/events"), w, each)
}

// RollbackEvents does the same for the records of one run, and returns nil once the run is over and all
// of them were seen.
func (c *Client) RollbackEvents(ctx context.Context, id string, w Watch, each func(wire.Event) error) error {
	return c.follow(ctx, rollbackPath(id, "/events"), w, each)
}

var errEnded = errors.New("the stream ended")

func (c *Client) follow(ctx context.Context, path string, w Watch, each func(wire.Event) error) error {
	s := &stream{client: c, path: path, watch: w, each: each, last: w.After}
	for try := 1; ; try++ {
		seen := s.last
		err := s.connect(ctx)
		var stop *stopError
		switch {
		case err == nil:
			return nil // the server said that there is no more
		case errors.As(err, &stop):
			return stop.err
		case ctx.Err() != nil:
			return ctx.Err()
		case isAnswer(err) && !again(err):
			return err
		}
		if w.LostFunc != nil {
			w.LostFunc(err)
		}
		if s.last > seen {
			try = 1
		}
		if err := c.pause(ctx, pauseAfter(err, min(try, 5))); err != nil {
			return err
		}
	}
}

func isAnswer(err error) bool {
	var e *Error
	return errors.As(err, &e)
}

// A stopError carries an error of the caller's own function.
type stopError struct{ err error }

func (e *stopError) Error() string { return e.err.Error() }

// A stream is one followed journal over its connections.
type stream struct {
	client *Client
	path   string
	watch  Watch
	each   func(wire.Event) error
	last   int64 // number of the newest record that each has seen
}

// connect follows one connection. It returns nil only when the server has said that the stream is over.
func (s *stream) connect(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	quiet := time.AfterFunc(silence, func() { cancel(errors.New("the server fell silent")) })
	defer quiet.Stop()
	header := map[string]string{"Accept": "text/event-stream"}
	if s.last > 0 {
		header["Last-Event-ID"] = strconv.FormatInt(s.last, 10)
	}
	resp, err := s.client.open(ctx, Call{Method: http.MethodGet, Path: s.path, Header: header})
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if s.watch.OpenFunc != nil {
		s.watch.OpenFunc()
	}
	err = readEvents(resp.Body, func() { quiet.Reset(silence) }, s.deliver)
	if errors.Is(err, errEnded) {
		return nil
	}
	if cause := context.Cause(ctx); cause != nil && err != nil {
		return fmt.Errorf("%w: %w", err, cause)
	}
	return err
}

func (s *stream) deliver(e frame) error {
	id, err := strconv.ParseInt(e.id, 10, 64)
	if err != nil {
		return fmt.Errorf("an event without a number: %w", err)
	}
	if id <= s.last {
		return nil
	}
	if err := s.each(wire.Event{ID: id, Kind: e.kind, Data: json.RawMessage(e.data)}); err != nil {
		return &stopError{err}
	}
	s.last = id
	return nil
}

// A frame is one event of a text/event-stream.
type frame struct{ id, kind, data string }

// readEvents reads a text/event-stream (WHATWG HTML, section 9.2) until it breaks off, or until the
// comment "end" says that there is no more: errEnded. alive is called for every line, comments included.
func readEvents(r io.Reader, alive func(), each func(frame) error) error {
	in := bufio.NewScanner(r)
	in.Buffer(make([]byte, 64<<10), maxEvent)
	var f frame
	var data []string
	for in.Scan() {
		alive()
		line := in.Text()
		if line == "" {
			if data != nil {
				f.data = strings.Join(data, "\n")
				if err := each(f); err != nil {
					return err
				}
			}
			f, data = frame{}, nil
			continue
		}
		name, value, _ := strings.Cut(line, ":")
		value = strings.TrimPrefix(value, " ")
		switch name {
		case "":
			if value == "end" {
				return errEnded
			}
		case "id":
			f.id = value
		case "event":
			f.kind = value
		case "data":
			data = append(data, value)
		}
	}
	if err := in.Err(); err != nil {
		return fmt.Errorf("read events: %w", err)
	}
	return io.ErrUnexpectedEOF
}
