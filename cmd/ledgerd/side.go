package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"

	"sideledger/api/wire"
)

// A sideJournal is a folder that facts are kept in while the ledger takes no changes, in the format of ROLLBACK_URL=file:DIR,
// so that a recovery takes them in as `ledgerd import` does. It is safe for concurrent use by one process.
type sideJournal struct {
	dir string
	mu  sync.Mutex
}

func newSideJournal(dir string) *sideJournal { return &sideJournal{dir: dir} }

// add keeps a call; it is on the disk when it returns nil. A call under a key that is there already is kept once.
func (s *sideJournal) add(c wire.SpoolCall) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return fmt.Errorf("side journal: %w", err)
	}
	f, err := os.OpenFile(filepath.Join(s.dir, "facts.jsonl"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("side journal: %w", err)
	}
	err = appendCall(f, c)
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("side journal: %w", err)
	}
	return nil
}

// appendCall writes behind the last whole line: one that is torn was never answered.
func appendCall(f *os.File, c wire.SpoolCall) error {
	there, err := wire.ReadSpool(io.Reader(f))
	var bad *wire.SpoolError
	if err != nil && (!errors.As(err, &bad) || !bad.Torn) {
		return err
	}
	for _, old := range there.Calls {
		if old.Key == c.Key && old.Path == c.Path {
			return nil
		}
	}
	line, _, err := wire.AppendSpool(nil, there.Sum, c)
	if err != nil {
		return err
	}
	if err := f.Truncate(there.Size); err != nil {
		return err
	}
	if _, err := f.WriteAt(line, there.Size); err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(f.Name()))
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), dir.Sync(), dir.Close())
}
