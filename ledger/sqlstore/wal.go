package sqlstore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// resync makes the WAL that a write connection found durable, before anything is appended to it. It must run on every
// connection that may be the first after an fsync that failed, in this process or in one that died.
//
// After such an fsync Linux takes the pages for clean, though they are not on the disk, and the next fsync succeeds without
// writing them. SQLite itself writes over the frames of a commit that failed, as long as one connection is open. But a
// connection that has to recover the WAL takes whatever reads well for committed: everything that is appended behind it
// then stands behind a hole, which the next power cut opens. So its bytes are written once more, in their place,
// under the write lock; and the folder is synced, since SQLite does not look at whether that succeeded.
func (s *Store) resync(ctx context.Context, c *conn) (err error) {
	if _, err := c.exec(ctx, s.dialect.begin); err != nil {
		return err
	}
	defer func() {
		if _, err2 := c.exec(ctx, "ROLLBACK"); err == nil {
			err = err2
		}
	}()
	var n int
	var name, file string
	if _, err := c.scan(ctx, []any{&n, &name, &file}, "PRAGMA database_list"); err != nil {
		return err
	}
	if err := rewrite(file + "-wal"); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("sync the WAL: %w", err)
	}
	return syncDir(filepath.Dir(file))
}

// rewrite writes every byte of a file over itself and syncs it. It must not be used on the database: closing that
// file would end SQLite's locks on it.
func rewrite(file string) error {
	f, err := os.OpenFile(file, os.O_RDWR, 0) //nolint:gosec // SQLite says where its WAL is
	if err != nil {
		return err
	}
	return errors.Join(rewriteOpen(f), f.Close())
}

func rewriteOpen(f *os.File) error {
	buf := make([]byte, 1<<20)
	for at := int64(0); ; {
		n, err := f.ReadAt(buf, at)
		if n > 0 {
			if _, err := f.WriteAt(buf[:n], at); err != nil {
				return err
			}
			at += int64(n)
		}
		if errors.Is(err, io.EOF) {
			return f.Sync()
		}
		if err != nil {
			return err
		}
	}
}
