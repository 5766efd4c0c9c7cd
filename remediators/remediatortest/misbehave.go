package remediatortest

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// A Mode is one way to misbehave.
type Mode string

// The modes. Those that answer do so before anything else, without an effect, unless they say otherwise.
const (
	Well           Mode = ""                // do as asked
	LoseAfter      Mode = "lose_after"      // do it, then drop the connection
	DropBefore     Mode = "drop_before"     // drop the connection, no effect
	Fail500        Mode = "500"             // answer 500
	Fail502        Mode = "502"             // do it, and answer 502 as a gateway that lost the answer
	Busy503        Mode = "503"             // answer 503, Retry-After: 7
	LimitDelta     Mode = "429_delta"       // answer 429, Retry-After: 7
	LimitDate      Mode = "429_date"        // answer 429, Retry-After: an HTTP-date in 7 s
	LimitReset     Mode = "429_reset"       // answer 429, X-RateLimit-Reset: epoch seconds in 7 s
	Silent         Mode = "silent"          // say nothing until the client goes away
	Endless        Mode = "endless"         // answer 200 and never stop
	Bomb           Mode = "bomb"            // answer 200 with gzip that grows to 64 MiB
	Broken         Mode = "broken"          // answer 200 with half a document
	CutOff         Mode = "cut_off"         // answer 200, promise more than comes
	Redirect       Mode = "redirect"        // answer 307 to Third.Elsewhere
	Unauthorized   Mode = "401"             // answer 401
	Forbidden      Mode = "403"             // answer 403
	Hidden         Mode = "hidden"          // answer 404: the credential may not know of it
	False          Mode = "false"           // answer 200 false, no effect
	Accept         Mode = "accept"          // answer 202 with a Location, do it after Third.Polls polls
	Mask           Mode = "mask"            // show ******** for the member secret
	Refuse         Mode = "422"             // answer 422, quoting the request
	NothingHappens Mode = "nothing_happens" // answer 200 as if it had been done
)

func (th *Third) modeOf(path string, reads bool) Mode {
	if m, ok := th.once[path]; ok && !reads {
		delete(th.once, path)
		return m
	}
	if m, ok := th.modes[path]; ok {
		return m
	}
	return th.modes["*"]
}

// misbehave answers in place of what was asked; false: it is to be done after all.
func (th *Third) misbehave(w http.ResponseWriter, r *http.Request, m Mode, raw []byte) bool {
	in7 := time.Now().Add(7 * time.Second)
	h := w.Header()
	switch m {
	case Well, LoseAfter, Fail502, Mask, Accept, NothingHappens:
		return false
	case DropBefore:
		drop(w)
	case Fail500:
		reply(w, 500, `{"error":"no"}`)
	case Busy503:
		h.Set("Retry-After", "7")
		reply(w, 503, `{"error":"busy"}`)
	case LimitDelta:
		h.Set("Retry-After", "7")
		reply(w, 429, `{}`)
	case LimitDate:
		h.Set("Retry-After", in7.UTC().Format(http.TimeFormat))
		reply(w, 429, `{}`)
	case LimitReset:
		h.Set("X-RateLimit-Reset", strconv.FormatInt(in7.Unix(), 10))
		reply(w, 429, `{}`)
	case Silent:
		if th.SilentFunc != nil {
			th.SilentFunc()
		}
		select {
		case <-r.Context().Done():
		case <-th.ended:
		}
		drop(w)
	case Endless:
		th.endless(w, r)
	case Bomb:
		h.Set("Content-Encoding", "gzip")
		_, _ = w.Write(bomb())
	case Broken:
		reply(w, 200, `{"v": "old`)
	case CutOff:
		h.Set("Content-Length", "1000")
		w.WriteHeader(200)
		_, _ = io.WriteString(w, `{"v":`)
		drop(w)
	case Redirect:
		h.Set("Location", th.Elsewhere.URL+r.URL.Path)
		reply(w, 307, ``)
	case Unauthorized:
		reply(w, 401, `{}`)
	case Forbidden:
		reply(w, 403, `{}`)
	case Hidden:
		reply(w, 404, `{"error":"none"}`)
	case False:
		if r.Method == http.MethodGet {
			return false
		}
		reply(w, 200, `false`)
	case Refuse:
		reply(w, 422, fmt.Sprintf(`{"error":%q,"auth":%q}`, raw, r.Header.Get("Authorization")))
	default:
		reply(w, 500, `{"error":"unknown mode"}`)
	}
	return true
}

func (th *Third) endless(w http.ResponseWriter, r *http.Request) {
	junk := bytes.Repeat([]byte(" "), 64<<10)
	for {
		select {
		case <-r.Context().Done():
			return
		case <-th.ended:
			return
		default:
		}
		if _, err := w.Write(junk); err != nil {
			return
		}
	}
}

func drop(w http.ResponseWriter) {
	if f, ok := w.(http.Flusher); ok && w.Header().Get("Content-Length") != "" {
		f.Flush()
	}
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = conn.Close()
}

func masked(doc string) string {
	var m map[string]json.RawMessage
	if json.Unmarshal([]byte(doc), &m) != nil || m["secret"] == nil {
		return doc
	}
	m["secret"] = json.RawMessage(`"********"`)
	out, _ := json.Marshal(m)
	return string(out)
}

// bomb is 64 MiB of nothing, compressed once: under the race detector that takes seconds.
var bomb = sync.OnceValue(func() []byte {
	var b bytes.Buffer
	z, _ := gzip.NewWriterLevel(&b, gzip.BestSpeed) // the level is one that there is
	zeros := make([]byte, 1<<20)
	for range 64 {
		_, _ = z.Write(zeros)
	}
	_ = z.Close()
	return b.Bytes()
})
