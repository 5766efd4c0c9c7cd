package api

import (
	"net/http"
	"time"

	"github.com/labstack/echo/v4"
)

// pieceSize is how many bytes of a stream are gathered before they are sent.
const pieceSize = 16 << 10

// pieces writes an answer bit by bit. Each bit has a deadline of its own, so a client that does not take
// them is dropped. Nothing is sent before pieceSize bytes have come together or flush is called; until
// then an error can still be answered with a problem document.
type pieces struct {
	c       echo.Context
	ctl     *http.ResponseController
	most    time.Duration // for one piece
	kind    string
	tag     string // ETag; empty: none
	buf     []byte
	lastOut time.Time
}

// begin sets the media type and the first bytes. It sends nothing.
func (w *pieces) begin(kind, first string) {
	w.kind, w.lastOut = kind, time.Now()
	w.buf = append(w.buf, first...)
}

// add appends to what will be sent.
func (w *pieces) add(text string) { w.buf = append(w.buf, text...) }

// send appends, and sends when there is enough or the last bytes went out more than a moment ago.
func (w *pieces) send(p []byte) error {
	w.buf = append(w.buf, p...)
	if len(w.buf) < pieceSize && time.Since(w.lastOut) < 100*time.Millisecond {
		return nil
	}
	return w.flush()
}

// Write implements [io.Writer] for the journal's own writing.
func (w *pieces) Write(p []byte) (int, error) { return len(p), w.send(p) }

// flush sends what there is; where that is nothing, it does nothing.
func (w *pieces) flush() error {
	resp := w.c.Response()
	if len(w.buf) == 0 && resp.Committed {
		return nil
	}
	if !resp.Committed {
		resp.Header().Set("Content-Type", w.kind)
		resp.Header().Set("X-Accel-Buffering", "no")
		if w.tag != "" {
			resp.Header().Set("ETag", w.tag)
		}
		resp.WriteHeader(http.StatusOK)
	}
	_ = w.ctl.SetWriteDeadline(time.Now().Add(w.most)) // a writer without deadlines needs none
	if _, err := resp.Write(w.buf); err != nil {
		return err
	}
	w.buf, w.lastOut = w.buf[:0], time.Now()
	return w.ctl.Flush()
}
