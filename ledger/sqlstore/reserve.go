package sqlstore

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"time"

	"sideledger/ledger"
)

// reserveSuffix makes the name of the reserve's file from the database's.
const reserveSuffix = ".reserve"

// The reserve is let go in steps, so that whoever else fills the disk does not get all of it at once.
const (
	reserveSteps = 16
	smallestStep = 1 << 20 // bytes
)

// refillEvery is how often at most the disk is tried for room, once it was full.
const refillEvery = time.Second

// A reserve is space on the database's disk that is kept for rollbacks: a file that is made shorter when the disk is full. From
// then on nothing new is taken, until there is room to make the file whole again and a step more. What is let go is given to the
// WAL at once, where the filesystem can do that, so that whoever fills the disk does not get it. A nil reserve keeps nothing
// and refuses nobody. It is safe for concurrent use.
type reserve struct {
	size, step int64 // bytes
	wal        string
	clock      ledger.Clock
	log        *slog.Logger

	mu    sync.Mutex
	file  *os.File
	left  int64 // bytes that are kept still
	full  bool  // the disk was full, and the reserve is not whole again yet
	tried time.Time

	// growFunc is grow. Tests put a full disk in its place.
	growFunc func(f *os.File, from, to int64) error
}

// openReserve makes the reserve of a database, or as much of it as was left when the disk was full. nil: none is wanted.
func openReserve(ctx context.Context, cfg Config, database string) (*reserve, error) {
	if cfg.Reserve == 0 {
		return nil, nil
	}
	database, err := filepath.EvalSymlinks(database) // on its disk
	if err != nil {
		return nil, fmt.Errorf("keep space in reserve: %w", err)
	}
	f, err := os.OpenFile(database+reserveSuffix, os.O_RDWR|os.O_CREATE, 0o600) //nolint:gosec // beside the database, which the operator names
	if err != nil {
		return nil, fmt.Errorf("keep space in reserve: %w", err)
	}
	info, err := f.Stat()
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	r := &reserve{
		size: cfg.Reserve, step: max(cfg.Reserve/reserveSteps, smallestStep), clock: cfg.Clock, log: cfg.Log, file: f,
		left: info.Size(), full: true, growFunc: grow, wal: database + "-wal",
	}
	if err := r.refill(ctx); err != nil {
		r.log.WarnContext(ctx, "there is no room for the reserve: nothing new is taken", slog.Any("err", err),
			slog.Int64("reserve_bytes", r.left), slog.Int64("wanted_bytes", r.size))
	}
	return r, nil
}

func (r *reserve) close() error {
	if r == nil {
		return nil
	}
	return r.file.Close()
}

// admit is refusal, after a look whether there is room again.
func (r *reserve) admit(op, id string, use ledger.Use) error {
	if r == nil {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if now := r.clock.Now(); r.full && !r.allows(use) && now.Sub(r.tried).Abs() >= refillEvery {
		r.tried = now
		_ = r.refill(context.Background()) // as full as before
	}
	return r.answer(op, id, use)
}

// refusal returns CodeFull if the disk is full and has nothing in reserve for use, and nil otherwise.
func (r *reserve) refusal(op, id string, use ledger.Use) error {
	if r == nil {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.answer(op, id, use)
}

var errReserved = errors.New("what is left is kept for rollbacks")

func (r *reserve) answer(op, id string, use ledger.Use) error {
	if r.allows(use) {
		return nil
	}
	return full(op, id, errReserved)
}

func (r *reserve) allows(use ledger.Use) bool {
	switch use {
	case ledger.UseUndo:
		return true
	case ledger.UseFact:
		return !r.full || r.left > r.size/2
	case ledger.UseNew:
	}
	return !r.full
}

// spend is told how a transaction ended. If that was for want of room, it first closes the disk to what is new, and later lets go
// of a step. It reports whether trying again is of use; after a commit whose outcome is not known it never is.
func (r *reserve) spend(ctx context.Context, err error) bool {
	if r == nil || err == nil || !isRoomless(err) {
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	again := !isUnknown(err)
	if !r.full {
		r.full, r.tried = true, time.Time{} // the next one looks at once whether that was all
		r.log.ErrorContext(ctx, "the disk is full: nothing new is taken, rollbacks go on with what is in reserve", slog.Int64("reserve_bytes", r.left))
		if again {
			return true // without what is new it may fit
		}
	}
	return r.release(ctx) && again
}

// release lets go of a step; false: there is nothing left.
func (r *reserve) release(ctx context.Context) bool {
	if r.left == 0 {
		return false
	}
	to := max(r.left-r.step, 0)
	if err := r.file.Truncate(to); err != nil {
		r.log.ErrorContext(ctx, "the reserve could not be let go", slog.Any("err", err))
		return false
	}
	if err := giveTo(r.wal, r.left-to); err != nil {
		r.log.DebugContext(ctx, "what was let go is anybody's", slog.Any("err", err))
	}
	r.left = to
	r.log.WarnContext(ctx, "space was taken from the reserve", slog.Int64("reserve_bytes", r.left))
	return true
}

// refill makes the reserve whole if there is room for it and a step more, so that it is not needed again at once.
func (r *reserve) refill(ctx context.Context) error {
	if err := r.growFunc(r.file, r.left, r.size+r.step); err != nil {
		return errors.Join(err, r.file.Truncate(r.left))
	}
	if err := r.file.Truncate(r.size); err != nil {
		return err
	}
	if r.left < r.size {
		r.log.InfoContext(ctx, "space is kept in reserve", slog.Int64("reserve_bytes", r.size))
	}
	r.left, r.full = r.size, false
	return nil
}

// grow makes f take up space on the disk between from and to, whatever the filesystem can do for it.
func grow(f *os.File, from, to int64) error {
	if from >= to {
		return nil
	}
	if err := allocate(f, from, to-from); !errors.Is(err, errors.ErrUnsupported) {
		return err
	}
	return fill(f, from, to)
}

// fill writes over f between from and to.
func fill(f *os.File, from, to int64) error {
	noise := rand.NewChaCha8([32]byte{}) // what cannot be compressed
	buf := make([]byte, 1<<20)
	for at := from; at < to; {
		_, _ = noise.Read(buf)
		n, err := f.WriteAt(buf[:min(int64(len(buf)), to-at)], at)
		if err != nil {
			return err
		}
		at += int64(n)
	}
	return f.Sync() // a filesystem may find out only then that it has no room
}
