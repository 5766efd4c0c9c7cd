package remediatortest

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"
)

// What a client has to make of a [Spell].
const (
	Unanswered = "ambiguous" // sent, and no answer came
	Unwhole    = "unwhole"   // a status came, and its body is not whole: no success
	Whole      = "whole"     // an answer like any other
)

// A Spell is one way to answer a request, or not to, byte by byte. Time in it is meant for a bubble of
// testing/synctest: a byte a second takes nobody's second.
type Spell struct {
	Name   string
	Want   string
	Status int // of what came; 0: none
	// ServeFunc serves one connection; the caller closes it. It returns when done is closed or the other
	// side has gone.
	ServeFunc func(conn net.Conn, done <-chan struct{})
}

// Spells are slow, endless, broken, compressed and half-open answers.
func Spells() []Spell {
	out := append(silences(), heads()...)
	out = append(out, bodies()...)
	return append(out, packed()...)
}

// raw answers the first request with these bytes and closes.
func raw(name, want string, status int, answer string) Spell {
	return Spell{name, want, status, func(conn net.Conn, _ <-chan struct{}) {
		if asked(conn) {
			_, _ = io.WriteString(conn, answer)
		}
	}}
}

// held answers with these bytes and says no more.
func held(name, want string, status int, answer string) Spell {
	return Spell{name, want, status, func(conn net.Conn, done <-chan struct{}) {
		if asked(conn) {
			_, _ = io.WriteString(conn, answer)
			<-done
		}
	}}
}

// endless answers with head and then again and again with the same, each after a pause.
func endless(name, want string, status int, pause time.Duration, head, again string) Spell {
	return Spell{name, want, status, func(conn net.Conn, done <-chan struct{}) {
		if !asked(conn) {
			return
		}
		_, err := io.WriteString(conn, head)
		for err == nil && wait(done, pause) {
			_, err = io.WriteString(conn, again)
		}
	}}
}

func asked(conn net.Conn) bool {
	req, err := http.ReadRequest(bufio.NewReader(conn))
	if err != nil {
		return false
	}
	_, err = io.Copy(io.Discard, req.Body)
	return err == nil
}

// wait reports whether d went by before done was closed.
func wait(done <-chan struct{}, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-done:
		return false
	}
}

// silences never come to an answer.
func silences() []Spell {
	return []Spell{
		{"accepts and never reads", Unanswered, 0, func(_ net.Conn, done <-chan struct{}) { <-done }},
		{"closes at once", Unanswered, 0, func(net.Conn, <-chan struct{}) {}},
		raw("closes after the request", Unanswered, 0, ""),
		held("reads and never answers", Unanswered, 0, ""),
		raw("half a status line", Unanswered, 0, "HTTP/1.1 20"),
		held("half a status line, held", Unanswered, 0, "HTTP/1.1 20"),
		raw("headers cut off", Unanswered, 0, "HTTP/1.1 200 OK\r\nContent-Le"),
		held("headers without their end", Unanswered, 0, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n"),
		endless("a header a second", Unanswered, 0, time.Second, "HTTP/1.1 200 OK\r\n", "X-A: b\r\n"),
		endless("a byte of the status a second", Unanswered, 0, time.Second, "HTTP/1.1 200 ", "O"),
		raw("speaks SSH", Unanswered, 0, "SSH-2.0-OpenSSH_9.9\r\n"),
		raw("speaks HTTP/2", Unanswered, 0, "\x00\x00\x12\x04\x00\x00\x00\x00\x00\x00\x03\x00\x00\x00\x80"),
		raw("speaks HTTP/0.9", Unanswered, 0, "{\"v\":\"old\"}"),
		raw("speaks TLS", Unanswered, 0, "\x15\x03\x01\x00\x02\x02\x28"),
		endless("hints without end", Unanswered, 0, 0, "", "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"),
		endless("a 100 a second", Unanswered, 0, time.Second, "", "HTTP/1.1 100 Continue\r\n\r\n"),
		endless("a 102 a second", Unanswered, 0, time.Second, "", "HTTP/1.1 102 Processing\r\n\r\n"),
	}
}

const success = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"

// heads are answers whose headers are wrong, or say what does not fit.
func heads() []Spell {
	junk := strings.Repeat("x", 128<<10)
	return []Spell{
		raw("a header of 128 KiB", Unanswered, 0, success+"X-Junk: "+junk+"\r\n\r\n"),
		raw("a thousand headers", Unanswered, 0, success+strings.Repeat("X-Junk: "+junk[:100]+"\r\n", 1000)+"\r\n"),
		raw("a reason of 128 KiB", Unanswered, 0, "HTTP/1.1 200 "+junk+"\r\n\r\n"),
		endless("a header without end", Unanswered, 0, 0, success+"X-Junk: ", junk),
		raw("a NUL in a header", Unanswered, 0, success+"X-A: a\x00b\r\n\r\n"),
		raw("a header without a colon", Unanswered, 0, success+"nonsense\r\n\r\n"),
		raw("a space in a header's name", Whole, 200, success+"Content-Length : 2\r\n\r\n{}"),
		raw("a negative length", Unanswered, 0, success+"Content-Length: -1\r\n\r\n{}"),
		raw("a length that is no number", Unanswered, 0, success+"Content-Length: 2e0\r\n\r\n{}"),
		raw("two lengths", Unanswered, 0, success+"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{} "),
		raw("an unknown transfer encoding", Unanswered, 0, success+"Transfer-Encoding: gzip, chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"),
		raw("status 99999", Unanswered, 0, "HTTP/1.1 99999 OK\r\n\r\n"),
		raw("status -200", Unanswered, 0, "HTTP/1.1 -20 OK\r\n\r\n"),
		held("101 and silence", Whole, 101, "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"),
		endless("101 and a flood", Whole, 101, 0, "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n", junk),
		held("204 that promises a body", Whole, 204, "HTTP/1.1 204 No Content\r\nContent-Length: 100\r\n\r\n"),
		raw("an empty answer said to be gzip", Whole, 200, success+"Content-Encoding: gzip\r\nContent-Length: 0\r\n\r\n"),
		raw("a length and chunks", Whole, 200, success+"Content-Length: 100\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"),
	}
}

// bodies come late, never end, or end too early.
func bodies() []Spell {
	junk := strings.Repeat(" ", 64<<10)
	chunked := success + "Transfer-Encoding: chunked\r\n\r\n"
	return []Spell{
		held("headers and silence", Unwhole, 200, success+"Content-Length: 100\r\n\r\n"),
		held("half a body and silence", Unwhole, 200, success+"Content-Length: 100\r\n\r\n{\"v\":"),
		held("half a body without a length and silence", Unwhole, 200, success+"\r\n{\"v\":\"old\"}"),
		held("a chunk and silence", Unwhole, 200, chunked+"2\r\n{}\r\n"),
		endless("a byte a second", Unwhole, 200, time.Second, success+"Content-Length: 1000\r\n\r\n", " "),
		endless("a byte a second in chunks", Unwhole, 200, time.Second, chunked, "1\r\n \r\n"),
		endless("a body without end", Unwhole, 200, 0, success+"\r\n", junk),
		endless("chunks without end", Unwhole, 200, 0, chunked, "10000\r\n"+junk+"\r\n"),
		endless("a body as long as it said, 1 GiB", Unwhole, 200, 0, success+"Content-Length: 1073741824\r\n\r\n", junk),
		endless("a chunk's extension without end", Unwhole, 200, 0, chunked+"1;", junk),
		endless("trailers without end", Unwhole, 200, 0, chunked+"2\r\n{}\r\n0\r\n", "X-A: "+junk[:1000]+"\r\n"),
		raw("a length of 2^63-1", Unwhole, 200, success+"Content-Length: 9223372036854775807\r\n\r\n{}"),
		raw("cut off", Unwhole, 200, success+"Content-Length: 100\r\n\r\n{\"v\":"),
		raw("cut off in a chunk", Unwhole, 200, chunked+"64\r\n{\"v\":"),
		raw("cut off between chunks", Unwhole, 200, chunked+"2\r\n{}\r\n"),
		raw("cut off before the last line", Unwhole, 200, chunked+"2\r\n{}\r\n0\r\n"),
		raw("chunks of nonsense", Unwhole, 200, chunked+"zz\r\n{}\r\n"),
		raw("a chunk of 2^64-1", Unwhole, 200, chunked+"FFFFFFFFFFFFFFFF\r\n{}\r\n"),
		raw("a chunk of 2^68", Unwhole, 200, chunked+"10000000000000000000\r\n{}\r\n"),
		raw("a chunk longer than it said", Unwhole, 200, chunked+"2\r\n{}{}\r\n0\r\n\r\n"),
	}
}

// packed are compressed, which nobody asked for.
func packed() []Spell {
	b := bomb()
	small := gzipped([]byte("{}"))
	as := func(encoding string, body []byte) string {
		return fmt.Sprintf("%sContent-Encoding: %s\r\nContent-Length: %d\r\n\r\n%s", success, encoding, len(body), body)
	}
	broken := bytes.Clone(small)
	broken[len(broken)-6] ^= 0xff
	return []Spell{
		raw("gzip", Whole, 200, as("gzip", small)),
		raw("a bomb in gzip", Unwhole, 200, as("gzip", b)),
		raw("a bomb in x-gzip", Unwhole, 200, as("X-GZIP", b)),
		raw("a bomb in gzip twice", Unwhole, 200, as("gzip, gzip", gzipped(b))),
		raw("a bomb said to be deflate", Unwhole, 200, as("deflate", b)),
		raw("a bomb said to be br", Unwhole, 200, as("br", b)),
		raw("a bomb said to be zstd", Unwhole, 200, as("zstd", b)),
		raw("a bomb of many members", Unwhole, 200, as("gzip", bytes.Repeat(gzipped(make([]byte, 1<<20)), 64))),
		raw("gzip without its end", Unwhole, 200, as("gzip", small[:len(small)-9])),
		raw("gzip with a wrong sum", Unwhole, 200, as("gzip", broken)),
		raw("no gzip", Unwhole, 200, as("gzip", []byte("{}"))),
		held("gzip, cut off by silence", Unwhole, 200, success+"Content-Encoding: gzip\r\nContent-Length: 1000\r\n\r\n"+string(small[:12])),
		held("gzip, silence at once", Unwhole, 200, success+"Content-Encoding: gzip\r\nContent-Length: 1000\r\n\r\n"),
	}
}

func gzipped(plain []byte) []byte {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, _ = z.Write(plain)
	_ = z.Close()
	return b.Bytes()
}

// Serving answers every request of a connection with the same bytes.
func Serving(answer string) func(conn net.Conn, done <-chan struct{}) {
	return func(conn net.Conn, _ <-chan struct{}) {
		in := bufio.NewReader(conn)
		for {
			req, err := http.ReadRequest(in)
			if err != nil {
				return
			}
			_, _ = io.Copy(io.Discard, req.Body)
			if _, err := io.WriteString(conn, answer); err != nil {
				return
			}
		}
	}
}
