package wire

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// MaxSpoolLine is the longest line of a spool: an entry of 1 MiB and what a call adds to it.
const MaxSpoolLine = 4 << 20

// A SpoolCall is one changing call that has not reached a server yet. Spool files keep such calls, one
// JSON line a call, in the order in which they have to be sent:
//
//	{"at":…,"method":"POST","path":…,"idempotency_key":…,"body":…,"sha256":"<64 hex>"}
//
// The sum of a line is SHA-256 over the sum of the line before it (32 zero bytes before the first) and
// the line's bytes before `,"sha256":`, so that a changed, missing or moved line shows. A line counts
// once it ends with a line feed; a writer has it on disk before it acts on it.
//
// All ids in paths and bodies are the writer's own UUIDv7, so that later lines can name what earlier
// ones make. The server takes an entry's id as it is. It gives a window an id of its own: a line that
// opens a window says in Makes by which id the lines after it name that window, and whoever sends them
// puts the server's id in its place.
type SpoolCall struct {
	At     time.Time       `json:"at"`
	Server string          `json:"server,omitzero"` // address that could not be reached; empty: recorded for no server in particular
	Method string          `json:"method"`          // POST
	Path   string          `json:"path"`            // "/v1/windows/…/entries"
	Key    string          `json:"idempotency_key"`
	Makes  string          `json:"makes,omitzero"` // id by which later lines name the window that this call opens
	Body   json.RawMessage `json:"body,omitzero"`  // left out: none
}

// spoolSum is the member that ends a line, before the sum itself.
const spoolSum = `,"sha256":"`

// AppendSpool adds the line of one call to buf. prev is the sum of the line before it, zero for the
// first line of a file. It returns the line's sum beside the longer buf.
func AppendSpool(buf []byte, prev [sha256.Size]byte, c SpoolCall) ([]byte, [sha256.Size]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	c.At = c.At.UTC()
	if err := enc.Encode(c); err != nil {
		return buf, prev, fmt.Errorf("encode a spooled call: %w", err)
	}
	content := bytes.TrimSuffix(b.Bytes(), []byte("}\n"))
	if len(content) > MaxSpoolLine-128 {
		return buf, prev, fmt.Errorf("a spooled call is longer than %d bytes", MaxSpoolLine)
	}
	sum := chainSpool(prev, content)
	buf = append(buf, content...)
	buf = append(buf, spoolSum...)
	buf = append(buf, hex.EncodeToString(sum[:])...)
	return append(buf, "\"}\n"...), sum, nil
}

func chainSpool(prev [sha256.Size]byte, content []byte) [sha256.Size]byte {
	return sha256.Sum256(append(prev[:], content...))
}

// A Spool is what was read from a spool file.
type Spool struct {
	Calls []SpoolCall       // in order; none: the file has no good line
	Sum   [sha256.Size]byte // of the last good line; zero: there is none
	Size  int64             // bytes of the good lines
}

// A SpoolError names the first line of a spool that is not good. All lines before it are.
type SpoolError struct {
	Line int // from 1
	// Torn: it is the last line and not whole, as after a power cut. Its writer never acted on it.
	Torn    bool
	Problem string
}

// Error says which line and what is wrong with it.
func (e *SpoolError) Error() string { return fmt.Sprintf("line %d: %s", e.Line, e.Problem) }

// ReadSpool reads a spool file and checks every line. It returns the good lines before the first bad one
// together with a [*SpoolError] for that one; any other error means that r could not be read. An empty
// file is a spool without calls.
func ReadSpool(r io.Reader) (*Spool, error) {
	in := bufio.NewReaderSize(r, 64<<10)
	s := new(Spool)
	for n := 1; ; n++ {
		line, err := readLine(in)
		switch {
		case errors.Is(err, io.EOF) && len(line) == 0:
			return s, nil
		case errors.Is(err, io.EOF):
			return s, &SpoolError{Line: n, Torn: true, Problem: "the last line is not whole: it was being written when its writer ended"}
		case errors.Is(err, bufio.ErrTooLong):
			return s, &SpoolError{Line: n, Problem: "it is longer than a call can be"}
		case err != nil:
			return s, fmt.Errorf("read spool: %w", err)
		}
		c, sum, problem := parseSpool(s.Sum, line)
		if problem != "" {
			return s, &SpoolError{Line: n, Problem: problem}
		}
		s.Calls, s.Sum, s.Size = append(s.Calls, c), sum, s.Size+int64(len(line))+1
	}
}

// readLine returns the next line without its line feed. With io.EOF it returns what is left of one.
func readLine(in *bufio.Reader) ([]byte, error) {
	var line []byte
	for {
		part, err := in.ReadSlice('\n')
		line = append(line, part...)
		switch {
		case err == nil:
			return line[:len(line)-1], nil
		case !errors.Is(err, bufio.ErrBufferFull):
			return line, err
		case len(line) > MaxSpoolLine:
			return nil, bufio.ErrTooLong
		}
	}
}

func parseSpool(prev [sha256.Size]byte, line []byte) (c SpoolCall, sum [sha256.Size]byte, problem string) {
	at := len(line) - len(spoolSum) - 2*sha256.Size - len(`"}`)
	if at < 0 || !bytes.HasPrefix(line[at:], []byte(spoolSum)) || !bytes.HasSuffix(line, []byte(`"}`)) {
		return c, sum, "it does not end with its sum"
	}
	content := line[:at]
	sum = chainSpool(prev, content)
	if hex.EncodeToString(sum[:]) != string(line[at+len(spoolSum):len(line)-2]) {
		return c, sum, "its sum does not follow from its bytes and the line before it: it was changed, or a line is missing or moved"
	}
	dec := json.NewDecoder(bytes.NewReader(append(bytes.Clone(content), '}')))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&c); err != nil || dec.More() {
		return c, sum, "it is not a spooled call"
	}
	if c.Method != http.MethodPost || !strings.HasPrefix(c.Path, "/v1/") || c.Key == "" {
		return c, sum, "it is not a call that can be spooled"
	}
	return c, sum, ""
}
