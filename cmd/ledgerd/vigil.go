package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"sync"
	"time"

	"github.com/google/uuid"

	"sideledger/api/wire"
	"sideledger/ledger"
	"sideledger/ledger/heads"
	"sideledger/ledger/journal"
	"sideledger/ledger/mirror"
	"sideledger/ledger/sqlstore"
)

// What the ledger knows of itself, by name, beside what package sqlstore keeps there.
const (
	factID          = "id"
	factIncarnation = "incarnation" // counts the losses that were accepted, from 1: heads of an earlier one count no more
	factNoteKey     = "note_key"    // public half of the key that heads are signed with
	factLosses      = "losses"      // what was lost and accepted
)

const warnUnmirrored = "the ledger runs without its mirror (serve --without-mirror): what is recorded now is lost with this host"

// warnAway is said with every answer while a mirror lacks something.
const warnAway = "a mirror does not take what is committed: nothing is recorded, and nothing undone, until it does"

// A vigil watches over what the ledger once had: it compares it with its mirrors and with what clients were answered, signs
// heads, and keeps facts aside while the ledger is in safe mode. It implements api.Vigil.
type vigil struct {
	store       *sqlstore.Store
	mirrors     mirrors
	key         *heads.Key
	name        string // of the ledger: "sideledger/ID"
	incarnation int64
	signer      *heads.Signer
	side        *sideJournal
	signedFunc  func(time.Time) // is told when all heads are signed and in every mirror
	replica     string          // names this process among those that serve the ledger
	warning     string
	log         *slog.Logger

	once   sync.Once
	danger chan struct{} // closed when the ledger has entered safe mode
}

// newVigil returns the vigil of a ledger, with no mirrors yet, and finds out who the ledger is.
func (p *parts) newVigil(ctx context.Context) (*vigil, error) {
	v := &vigil{
		store: p.store, log: p.log, signedFunc: p.meters.signed, side: newSideJournal(p.config.sideJournal()), danger: make(chan struct{}),
		replica: uuid.NewString(),
	}
	return v, p.store.Alone(ctx, func() error {
		if p.config.replicated() && !p.recovering {
			if err := v.checkReplicaKey(ctx, p.config.noteKey()); err != nil {
				return err
			}
		}
		return v.identify(ctx, p.config.noteKey())
	})
}

// watch opens the mirrors and the key, compares what the ledger has with what it once had, and mirrors from here on what is
// recorded. It is called before the first change. An error says what keeps the ledger from being watched over.
func (p *parts) watch(ctx context.Context, e *env, withoutMirror bool) (err error) {
	v, err := p.newVigil(ctx)
	if err != nil {
		return err
	}
	p.vigil = v
	if v.mirrors, err = newMirrors(e, p.config); err != nil {
		if !withoutMirror {
			return fmt.Errorf("%w\n`ledgerd serve --without-mirror` starts without it, if it has to be", err)
		}
		p.log.ErrorContext(ctx, "the mirror cannot be opened", slog.Any("err", err))
	}
	away, err := v.compare(ctx)
	if err != nil {
		return err
	}
	if withoutMirror && len(p.config.Mirror) > 0 {
		v.warning = warnUnmirrored
		for _, err := range away {
			p.log.WarnContext(ctx, "a mirror was not compared with", slog.Any("err", err))
		}
		if err := v.mirrors.close(); err != nil {
			p.log.WarnContext(ctx, "close mirrors", slog.Any("err", err))
		}
		v.mirrors = nil
	} else if err := errors.Join(away...); err != nil {
		return fmt.Errorf("%w\n`ledgerd serve --without-mirror` starts without it, if it has to be", err)
	}
	if v.Safe() != nil {
		v.alarm(ctx)
		return nil
	}
	v.signer = v.newSigner()
	if p.config.replicated() {
		v.askPrimary(ctx)
		defer func() { go v.followPrimary(ctx) }()
	}
	return v.mirrors.start(ctx, p.store)
}

func (v *vigil) newSigner() *heads.Signer {
	return heads.NewSigner(heads.SignerConfig{
		Log: v.store, Key: v.key, Origin: v.name + "/" + strconv.FormatInt(v.incarnation, 10), Clock: time.Now, Sinks: v.mirrors.sinks(),
	})
}

func (v *vigil) close() error { return v.mirrors.close() }

// mirrored returns how many mirrors there are.
func (v *vigil) mirrored() int {
	if v == nil {
		return 0
	}
	return len(v.mirrors)
}

// identify reads who the ledger is, or makes it somebody. A ledger whose key is not there was moved, or restored without
// it.
func (v *vigil) identify(ctx context.Context, file string) error {
	id, err := v.fact(ctx, factID, uuid.NewString)
	if err != nil {
		return err
	}
	born, err := v.fact(ctx, factIncarnation, func() string { return "1" })
	if err != nil {
		return err
	}
	if v.incarnation, err = strconv.ParseInt(born, 10, 64); err != nil {
		return fmt.Errorf("read the ledger's incarnation: %w", err)
	}
	v.name = "sideledger/" + id
	var made bool
	if v.key, made, err = heads.OpenKey(file, v.name); err != nil {
		return err
	}
	known, err := v.fact(ctx, factNoteKey, v.key.Verifier)
	switch {
	case err != nil:
		return err
	case known == v.key.Verifier():
		return nil
	case made:
		return v.store.EnterSafe(ctx, ledger.Missing{From: file, Detail: "the key that its heads were signed with is not here: the database was moved, or restored, without it"})
	default:
		return v.store.EnterSafe(ctx, ledger.Missing{From: file, Detail: "the key that is here is not the one that its heads were signed with: the database is of another ledger or another time"})
	}
}

// fact reads what the ledger knows of itself, or stores what makeFunc says.
func (v *vigil) fact(ctx context.Context, name string, makeFunc func() string) (string, error) {
	raw, err := v.store.Fact(ctx, name)
	if err != nil || len(raw) > 0 {
		return string(raw), err
	}
	text := makeFunc()
	return text, v.store.SetFact(ctx, name, []byte(text))
}

// compare compares the ledger with every mirror that can be read. What the ledger lacks puts it into safe mode; away are
// mirrors that cannot be read or are damaged. err is the database's: nobody knows then whether the ledger lacks something.
func (v *vigil) compare(ctx context.Context) (away []error, err error) {
	for _, r := range v.mirrors.readers() {
		had, err := v.store.MirroredUpTo(ctx, r.Name()) // before the mirror is read: a server may be writing both
		if err != nil {
			return away, err
		}
		c := &mirrorCopy{name: r.Name(), sealed: map[uuid.UUID]string{}}
		if c.seen, err = r.Read(ctx, c.seal); err == nil {
			err = sound(r, c.seen, had)
		}
		if err != nil {
			away = append(away, err)
			continue
		}
		if err := v.wantKeys(ctx, c); err != nil {
			return away, err
		}
		missing, err := v.missing(ctx, r.Name(), c.seen)
		if err == nil {
			err = v.store.EnterSafe(ctx, missing...)
		}
		if err != nil {
			return away, err
		}
	}
	return away, nil
}

// wantKeys lets a mirror that lacks wrapped keys, or has others in their places, get all of them again.
func (v *vigil) wantKeys(ctx context.Context, c *mirrorCopy) error {
	bad, err := c.damagedKeys(ctx, v.store)
	if err != nil || len(bad) == 0 {
		return err
	}
	v.log.WarnContext(ctx, "keys of secret fields are brought to a mirror", slog.String("err", bad[0].Problem))
	return v.store.ForgetMirroredKeys(ctx, c.name)
}

// sound refuses a mirror that is damaged, or has less than it once had: its storage may not be the one that it was.
func sound(r mirror.Reader, seen *journal.Mirror, had map[string]int64) error {
	if len(seen.Damages) > 0 {
		return fmt.Errorf("the mirror %s is damaged: %s. Set it aside and name a new folder, which gets everything that is here", r.Name(), seen.Damages[0])
	}
	for id, number := range had {
		if has := seen.Heads[id].Number; has < number {
			return fmt.Errorf("the mirror %s has %d records of window %s and had %d: is its storage mounted? If it is lost, name a new folder", r.Name(), has, id, number)
		}
	}
	return nil
}

// missing is what a mirror has and the ledger has not.
func (v *vigil) missing(ctx context.Context, from string, seen *journal.Mirror) ([]ledger.Missing, error) {
	var out []ledger.Missing
	for _, id := range seen.Windows {
		head, ok := seen.Heads[id]
		if !ok {
			continue
		}
		m, err := v.look(ctx, head, "mirror "+from)
		if err != nil {
			return nil, err
		}
		if m == nil { // it is here; so must be everything before it
			continue
		}
		if fork, err := v.forked(ctx, *m, seen); err != nil {
			return nil, err
		} else if fork != nil {
			m = fork
		}
		out = append(out, *m)
	}
	if len(out) > 0 {
		return out, nil
	}
	return v.missingLeaves(ctx, from, seen)
}

// missingLeaves compares the newest signed head of a mirror with the ledger's leaves.
func (v *vigil) missingLeaves(ctx context.Context, from string, seen *journal.Mirror) ([]ledger.Missing, error) {
	if len(seen.Signed) == 0 {
		return nil, nil
	}
	last, err := heads.Open(seen.Signed[len(seen.Signed)-1].Note, v.key.Verifier())
	if err != nil || last.Origin != v.name+"/"+strconv.FormatInt(v.incarnation, 10) {
		return nil, nil //nolint:nilerr // signed by an earlier key, or before a loss that was accepted: it says nothing of now
	}
	leaves, err := v.store.Leaves(ctx)
	if err != nil || int64(len(leaves)) >= last.Size {
		return nil, err
	}
	return []ledger.Missing{{
		From: "mirror " + from, Detail: fmt.Sprintf("the newest signed head there has %d leaves, and %d are here", last.Size, len(leaves)),
	}}, nil
}

// look compares one head that somebody knows with the ledger; nil: it is here.
func (v *vigil) look(ctx context.Context, h journal.Leaf, from string) (*ledger.Missing, error) {
	id, err := uuid.Parse(h.WindowID)
	if err != nil {
		return nil, fmt.Errorf("read a head: %w", err)
	}
	m := ledger.Missing{WindowID: id, Want: h.Number, Hash: h.Hash, From: from}
	w, err := v.store.FindWindow(ctx, id)
	switch {
	case ledger.CodeOf(err) == ledger.CodeNotFound:
		return &m, nil
	case err != nil:
		return nil, err
	}
	if m.Have = w.Head.Number; m.Have < m.Want {
		return &m, nil
	}
	if p := w.Pruned; p != nil && h.Number < p.Number {
		m.Fork = h.Number == p.Number-1 && h.Hash != hex.EncodeToString(p.Follows[:])
		if m.Fork {
			return &m, nil
		}
		return nil, nil //nolint:nilnil // it was here, and was removed in the open
	}
	hash, err := v.hashAt(ctx, id, h.Number)
	if err != nil || hash == h.Hash {
		return nil, err
	}
	m.Fork = true
	return &m, nil
}

// forked reports a mirror whose history differs from the ledger's where both have it; nil: they agree that far.
func (v *vigil) forked(ctx context.Context, m ledger.Missing, seen *journal.Mirror) (*ledger.Missing, error) {
	there, ok, err := seen.HashAt(m.WindowID.String(), m.Have)
	if err != nil || !ok {
		return nil, err // nothing to compare
	}
	here, err := v.hashAt(ctx, m.WindowID, m.Have)
	if err != nil || here == hex.EncodeToString(there[:]) {
		return nil, err
	}
	m.Want, m.Hash, m.Fork = m.Have, hex.EncodeToString(there[:]), true
	return &m, nil
}

func (v *vigil) hashAt(ctx context.Context, id uuid.UUID, number int64) (string, error) {
	list, err := v.store.ListRecords(ctx, ledger.RecordQuery{WindowID: id, After: number - 1, Limit: 1})
	if err != nil || len(list) == 0 || list[0].Number != number {
		return "", err
	}
	return hex.EncodeToString(list[0].Hash[:]), nil
}

// Seal implements api.Vigil.
func (v *vigil) Seal(windowID uuid.UUID, h ledger.Head) string {
	return v.key.Seal(heads.Seen{
		Leaf: journal.Leaf{WindowID: windowID.String(), Number: h.Number, Hash: hex.EncodeToString(h.Hash[:])}, Incarnation: v.incarnation,
	})
}

// Check implements api.Vigil. What this ledger has not sealed itself, or sealed before a loss that was accepted, is passed
// over: nobody stops it with a number of his own.
func (v *vigil) Check(ctx context.Context, kept string) error {
	seen, ok := v.key.Unseal(kept)
	if !ok || seen.Incarnation != v.incarnation {
		return nil
	}
	m, err := v.look(ctx, seen.Leaf, "client")
	if err != nil || m == nil {
		return err
	}
	if err := v.store.EnterSafe(ctx, *m); err != nil {
		return err
	}
	v.alarm(ctx)
	return nil
}

func (v *vigil) alarm(ctx context.Context) {
	v.log.ErrorContext(ctx, "safe mode", slog.String("err", v.Safe().Text()))
	v.once.Do(func() { close(v.danger) })
}

// Safe implements api.Vigil.
func (v *vigil) Safe() *ledger.SafeMode { return v.store.Safe() }

// Aside implements api.Vigil.
func (v *vigil) Aside(_ context.Context, c wire.SpoolCall) error { return v.side.add(c) }

// Signed implements api.Vigil.
func (v *vigil) Signed(ctx context.Context) (note, key string, err error) {
	if safe := v.Safe(); safe != nil || v.signer == nil {
		return "", "", safe.Err("sign heads")
	}
	note, err = v.signNow(ctx)
	return note, v.key.Verifier(), err
}

// Warning implements api.Vigil.
func (v *vigil) Warning() string {
	if v.warning == "" && v.store.MirrorAway() {
		return warnAway
	}
	return v.warning
}

const (
	signEvery = time.Second // how often heads that have moved are signed without being asked for
	signShare = 10          // and at most one part in so many of the time: records want the mirrors too
)

// sign signs heads until ctx ends. Of several replicas one does.
func (v *vigil) sign(ctx context.Context) {
	if v.signer == nil {
		return
	}
	defer v.dropDuty(ctx)
	next := time.NewTimer(signEvery)
	defer next.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-next.C:
		}
		if v.Safe() != nil {
			return
		}
		start := time.Now()
		if !v.hasDuty(ctx) {
			next.Reset(signEvery)
			continue
		}
		_, err := v.signer.Sign(ctx)
		switch {
		case err == nil:
			v.signedFunc(time.Now())
		case ctx.Err() == nil:
			v.log.WarnContext(ctx, "heads were not signed", slog.Any("err", err))
		}
		next.Reset(max(signEvery, signShare*time.Since(start)))
	}
}
