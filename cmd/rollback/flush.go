package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"sideledger/api/client"
	"sideledger/api/wire"
)

// recordTimeout is how long one sending of a record, or of what became of it, may take. A capture reads
// a third party meanwhile.
const recordTimeout = 30 * time.Second

// entryOf returns the entry that a spooled call is about; "" for other calls.
func entryOf(c wire.SpoolCall) string {
	if rest, ok := strings.CutPrefix(c.Path, "/v1/entries/"); ok {
		id, _, _ := strings.Cut(rest, "/")
		return id
	}
	if !isIntent(c) {
		return ""
	}
	var d struct{ ID string }
	if json.Unmarshal(c.Body, &d) != nil {
		return ""
	}
	return d.ID
}

func isIntent(c wire.SpoolCall) bool {
	return strings.HasPrefix(c.Path, "/v1/windows/") && strings.HasSuffix(c.Path, "/entries")
}

// send makes one spooled call.
func send(ctx context.Context, c *client.Client, call wire.SpoolCall) (*client.Answer, error) {
	return c.Send(ctx, client.Call{Method: call.Method, Path: call.Path, Key: call.Key, Body: call.Body, Timeout: recordTimeout})
}

// sent says what came of sending spooled calls.
type sent struct {
	done int   // calls that were acknowledged
	kept int   // calls that are still there
	err  error // why the first of those is, of the ones meant for this server; nil: there are none
}

func (s *sent) add(o sent) {
	s.done, s.kept = s.done+o.done, s.kept+o.kept
	if s.err == nil {
		s.err = o.err
	}
}

// flush sends the calls of one file in their order. What was acknowledged is taken out of it, and the
// file is removed when nothing is left. Sending twice is harmless: ids and keys stand in the file.
func (s *spool) flush(ctx context.Context, c *client.Client, name string) (out sent, err error) {
	f, err := s.open(ctx, name)
	if err != nil {
		return out, err
	}
	defer f.Close()
	got, err := s.mend(f)
	var damaged *damagedError
	if errors.As(err, &damaged) {
		got = damaged.good
	} else if err != nil {
		return out, err
	}
	o := outbox{app: s.app, client: c, calls: got.Calls, held: map[string]bool{}, dropped: map[int]bool{}}
	rest := o.run(ctx)
	out = sent{done: len(got.Calls) - len(rest), kept: len(rest), err: o.problem}
	if damaged != nil {
		// The good calls behind the last acknowledged one go into a file of their own.
		if err := s.setAside(damaged); err != nil {
			return out, err
		}
		out.err = errors.Join(out.err, damaged)
		if len(rest) == 0 {
			return out, nil
		}
		return out, s.append(ctx, strings.TrimSuffix(filepath.Base(name), spoolSuffix), rest...)
	}
	if len(rest) == len(got.Calls) && !o.changed && len(rest) > 0 {
		return out, nil
	}
	return out, s.rewrite(f, rest)
}

// flushAll sends the calls of all files that are meant for this server. What it could not send it says.
func (s *spool) flushAll(ctx context.Context, c *client.Client, base string, only string) (sent, error) {
	var all sent
	files, err := s.files()
	if err != nil {
		return all, err
	}
	for _, name := range files {
		window := strings.TrimSuffix(filepath.Base(name), spoolSuffix)
		if only != "" && window != only {
			continue
		}
		if other, n := serverOf(name); only == "" && other != "" && other != base {
			s.app.say("%s is kept: its calls are meant for %s", name, other)
			all.kept += n
			continue
		}
		one, err := s.flush(ctx, c, name)
		if err != nil {
			return all, err
		}
		if one.kept > 0 {
			s.app.say("%d recorded calls are kept in %s: %v", one.kept, name, one.err)
		}
		all.add(one)
	}
	return all, nil
}

// serverOf returns the address that the first call of a file is meant for, and how many calls there are; "" where it
// says none.
func serverOf(name string) (server string, calls int) {
	f, err := os.Open(name) //nolint:gosec // a name of our own in our own folder
	if err != nil {
		return "", 0
	}
	defer f.Close()
	got, _ := wire.ReadSpool(f) // damage is told when the file is sent
	if got == nil || len(got.Calls) == 0 {
		return "", 0
	}
	return got.Calls[0].Server, len(got.Calls)
}

// An outbox sends the calls of one file.
type outbox struct {
	app     *app
	client  *client.Client
	calls   []wire.SpoolCall
	held    map[string]bool // entries of which a call was refused: what comes after it waits
	dropped map[int]bool    // calls that were sent as a part of an earlier one
	changed bool            // a call that is kept differs from what stands in the file
	problem error           // the first
}

// run sends what can be sent and returns the calls that have to be kept.
func (o *outbox) run(ctx context.Context) (rest []wire.SpoolCall) {
	for i, call := range o.calls {
		entry := entryOf(call)
		switch {
		case o.dropped[i]:
			continue
		case o.held[entry]:
			rest = append(rest, call)
			continue
		}
		err := o.send(ctx, i)
		if err == nil {
			continue
		}
		if o.problem == nil {
			o.problem = err
		}
		if later(err) || ctx.Err() != nil {
			return append(rest, o.from(i)...)
		}
		// Refused: it did not happen, so it may be asked again under another key.
		call.Key, o.changed = client.NewKey(), true
		o.held[entry] = entry != ""
		rest = append(rest, call)
	}
	return rest
}

// send sends the i-th call, and an intent that comes too late as what it is by now.
func (o *outbox) send(ctx context.Context, i int) error {
	answer, err := send(ctx, o.client, o.calls[i])
	if err == nil && strings.HasSuffix(o.calls[i].Path, "/entries") {
		o.warn(answer)
	}
	if isIntent(o.calls[i]) && statusIs(err, http.StatusConflict) {
		return o.sendLate(ctx, i, err)
	}
	return err
}

// warn says what the server warned about: nobody has heard it when the entry was recorded.
func (o *outbox) warn(answer *client.Answer) {
	var e wire.Entry
	if json.Unmarshal(answer.Body, &e) == nil {
		o.app.warn(&e)
	}
}

// from returns the calls from the i-th on, but for those that were sent.
func (o *outbox) from(i int) []wire.SpoolCall {
	var out []wire.SpoolCall
	for j := i; j < len(o.calls); j++ {
		if !o.dropped[j] {
			out = append(out, o.calls[j])
		}
	}
	return out
}

// later reports whether the same call may succeed another time, with everything behind it.
func later(err error) bool {
	return client.Unreachable(err) || refusesUs(err) || statusIs(err, http.StatusTooManyRequests) || statusIs(err, http.StatusInsufficientStorage) ||
		statusIs(err, http.StatusInternalServerError)
}

func statusIs(err error, status int) bool {
	var e *client.Error
	return errors.As(err, &e) && e.Status == status
}

// sendLate deals with an intent that its window does not take any more. Where a later call says that the
// effect is there, the two are a fact, and facts are taken in any state of a window. Where one says that
// it never happened, there is nothing to record. Otherwise nobody knows, and a person has to say.
func (o *outbox) sendLate(ctx context.Context, i int, refused error) error {
	entry := entryOf(o.calls[i])
	for j := i + 1; j < len(o.calls); j++ {
		if entryOf(o.calls[j]) != entry || entry == "" {
			continue
		}
		if strings.HasSuffix(o.calls[j].Path, "/void") {
			o.app.say("entry %s: its window takes no intents any more, and its effect never happened: nothing to record", entry)
			o.dropped[j] = true
			return nil
		}
		fact, err := factOf(o.calls[i], o.calls[j])
		if err != nil {
			return errors.Join(refused, err)
		}
		if _, err := send(ctx, o.client, fact); err != nil {
			return err
		}
		o.dropped[j] = true
		return nil
	}
	return fmt.Errorf("the window takes no intents any more, and nobody has said what became of entry %s: "+
		"say `rollback applied %s` or `rollback void %s`: %w", entry, entry, entry, refused)
}

// factOf joins an intent and the report that its effect is there.
func factOf(intent, applied wire.SpoolCall) (wire.SpoolCall, error) {
	var d wire.EntryDraft
	var report wire.AppliedRequest
	if err := json.Unmarshal(intent.Body, &d); err != nil {
		return intent, fmt.Errorf("read a spooled intent: %w", err)
	}
	if len(applied.Body) > 0 {
		if err := json.Unmarshal(applied.Body, &report); err != nil {
			return intent, fmt.Errorf("read a spooled report: %w", err)
		}
	}
	d.State, d.PerformWithin = "applied", ""
	if report.After != nil {
		d.After = report.After
	}
	if report.Resource != nil {
		merged, err := mergeObjects(d.Resource, report.Resource)
		if err != nil {
			return intent, err
		}
		d.Resource = merged
	}
	if d.After == nil && d.Action == "delete" {
		d.After = json.RawMessage("null")
	}
	body, err := client.Encode(d)
	if err != nil {
		return intent, fmt.Errorf("encode a fact: %w", err)
	}
	intent.Key, intent.Body = intent.Key+"-fact", body
	return intent, nil
}

// writeSpool makes a spool file of calls.
func writeSpool(name string, calls []wire.SpoolCall) error {
	var buf []byte
	var sum [32]byte
	var err error
	for _, c := range calls {
		if buf, sum, err = wire.AppendSpool(buf, sum, c); err != nil {
			return err
		}
	}
	if err := writeFile(name, buf); err != nil {
		return err
	}
	return syncFolder(filepath.Dir(name))
}
