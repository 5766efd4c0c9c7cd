package mirror

import (
	"bytes"
	"context"

	"sideledger/ledger/journal"
)

// A Sink keeps journal records elsewhere. Implementations are safe for concurrent use.
type Sink interface {
	// Name names the sink for good: what it has is remembered under this name.
	Name() string
	// Write keeps wrapped keys and, behind them, records; nil means that all are durable there. Records of one window
	// come in order, without gaps. The same ones may come again, since an error means that nobody knows.
	Write(ctx context.Context, keys []journal.WrappedKey, records []journal.Mirrored) error
	// WriteSigned keeps a signed head of all windows, likewise.
	WriteSigned(ctx context.Context, s journal.SignedHead) error
	// Close gives back what the sink holds.
	Close() error
}

// A Reader is a [Sink] that can be read back.
type Reader interface {
	Sink
	// Read reads everything: see [journal.ReadMirror].
	Read(ctx context.Context, each func(journal.Mirrored) error) (*journal.Mirror, error)
}

var _ Reader = (*Folder)(nil)

// linesOf are the lines of one write: keys first, so that no record stands there without what opens it.
func linesOf(keys []journal.WrappedKey, records []journal.Mirrored) ([]byte, error) {
	var b bytes.Buffer
	for _, k := range keys {
		if err := journal.WriteKey(&b, k); err != nil {
			return nil, err
		}
	}
	for _, r := range records {
		if err := journal.WriteRecord(&b, r.Record); err != nil {
			return nil, err
		}
	}
	return b.Bytes(), nil
}
