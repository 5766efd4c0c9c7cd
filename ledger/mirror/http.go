package mirror

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"strconv"
	"sync"

	"sideledger/ledger/journal"
)

// A Post is one request of an HTTP mirror.
type Post struct {
	Header map[string]string
	Body   []byte // lines of a mirror
}

// A PostFunc sends a request to the sink, at most once and without following a redirect, and returns the status of
// its answer.
type PostFunc func(ctx context.Context, p Post) (status int, err error)

// The headers of a write. Sequence counts the writes of this process from 1: a sink may see by it that one is missing.
// Whoever sends the same lines again sends the same Idempotency-Key.
const (
	HeaderSequence = "Ledger-Mirror-Sequence"
	HeaderKey      = "Idempotency-Key"
)

// An HTTP is a mirror behind an HTTP sink: each write is one POST of lines of a mirror; a 2xx says that they are durable.
// It cannot be read back.
type HTTP struct {
	name string
	post PostFunc

	mu       sync.Mutex // one request at a time
	sequence int64
}

// NewHTTP returns the mirror at a URL, which names it.
func NewHTTP(url string, post PostFunc) *HTTP { return &HTTP{name: "http:" + url, post: post} }

// Name implements [Sink].
func (h *HTTP) Name() string { return h.name }

// Close implements [Sink].
func (h *HTTP) Close() error { return nil }

// Write implements [Sink].
func (h *HTTP) Write(ctx context.Context, keys []journal.WrappedKey, records []journal.Mirrored) error {
	lines, err := linesOf(keys, records)
	if err != nil {
		return err
	}
	return h.send(ctx, lines)
}

// WriteSigned implements [Sink].
func (h *HTTP) WriteSigned(ctx context.Context, s journal.SignedHead) error {
	var b bytes.Buffer
	if err := journal.WriteSigned(&b, s); err != nil {
		return err
	}
	return h.send(ctx, b.Bytes())
}

func (h *HTTP) send(ctx context.Context, lines []byte) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.sequence++
	sum := sha256.Sum256(lines)
	status, err := h.post(ctx, Post{Body: lines, Header: map[string]string{
		"Content-Type": "application/jsonl", HeaderSequence: strconv.FormatInt(h.sequence, 10), HeaderKey: hex.EncodeToString(sum[:]),
	}})
	switch {
	case err != nil:
		return fmt.Errorf("post to the mirror: %w", err)
	case status < http.StatusOK || status >= http.StatusMultipleChoices:
		return fmt.Errorf("post to the mirror: it answered %d", status)
	}
	return nil
}
