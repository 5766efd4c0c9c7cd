package api

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"

	"sideledger/ledger"
)

// A shot is one request before it is sent.
type shot struct {
	*drawer
	call   string // the operation that it was drawn for
	method string
	path   string
	query  string
	header http.Header
	tree   any    // the body as JSON; nil: none
	body   []byte // the body's bytes, once tree is written
	marks  []string
}

func (s *shot) mark(format string, args ...any) {
	s.marks = append(s.marks, fmt.Sprintf(format, args...))
}

// newShot draws a valid request of one operation.
func (d *drawer) newShot(method, path string, op *openapi3.Operation, shared openapi3.Parameters) *shot {
	s := &shot{drawer: d, call: op.OperationID, method: method, path: path, header: http.Header{}}
	s.header.Set("Authorization", "Bearer "+d.world.tokens[0])
	if strings.Contains(path, "{id}") {
		s.path = strings.Replace(path, "{id}", d.world.thing(d.Rand, path), 1)
	}
	var query []string
	for _, ref := range append(append(openapi3.Parameters{}, shared...), op.Parameters...) {
		p := ref.Value
		switch {
		case p.In == openapi3.ParameterInQuery && d.chance(30):
			query = append(query, d.parameter(p)...)
		case p.In == openapi3.ParameterInHeader && d.chance(25):
			s.headerOf(p.Name)
		}
	}
	s.query = strings.Join(query, "&")
	if op.RequestBody != nil {
		s.tree = d.value("", op.RequestBody.Value.Content.Get("application/json").Schema.Value)
		s.header.Set("Content-Type", "application/json")
	}
	return s
}

func (d *drawer) parameter(p *openapi3.Parameter) []string {
	v := d.value(p.Name, p.Schema.Value)
	list, ok := v.(array)
	if !ok {
		list = array{v}
	}
	var out []string
	for _, e := range list {
		out = append(out, p.Name+"="+strings.NewReplacer(" ", "+", "\t", "%09", "\r", "%0D", "\n", "%0A", "&", "%26").Replace(fmt.Sprint(e)))
	}
	return out
}

// headerOf gives one of the headers that the document knows a value: right, odd or wrong.
func (s *shot) headerOf(name string) {
	switch name {
	case "Idempotency-Key":
		s.header.Set(name, fmt.Sprintf("%s %d", canary, s.IntN(6))) // few, so that they meet again
	case "If-Match", "If-None-Match":
		s.header.Set(name, s.oneOf("*", `"1"`, `"2", "3", "4"`, `W/"1"`, `"`+canary+`"`, `"1", "`+canary))
	case "Prefer":
		s.header.Set(name, s.oneOf("wait=1", "respond-async, wait=600", "wait=-1", "wait=99999999999999999999", `wait="2"; x=y`, "return="+canary, "wait"))
	case "Last-Event-ID":
		s.header.Set(name, s.oneOf("0", "3", "9223372036854775807", "-1", canary, "9223372036854775808", "١"))
	}
}

// write turns the tree into bytes.
func (s *shot) write() {
	if s.tree == nil {
		return
	}
	var b strings.Builder
	encodeTree(&b, s.tree)
	s.body = []byte(b.String())
}

// mutate changes the request in one to three ways.
func (s *shot) mutate() {
	for range 1 + s.IntN(3) {
		if s.tree != nil && s.chance(55) {
			treeMutators[s.IntN(len(treeMutators))](s)
		} else {
			outerMutators[s.IntN(len(outerMutators))](s)
		}
	}
}

// A mutator makes a request wrong, or odd, in one way.
type mutator func(s *shot)

var treeMutators = []mutator{
	func(s *shot) { s.replace("type", s.document(2)) },
	func(s *shot) { s.replace("type", s.oneOf("", canary, "0", "true", "null")) },
	func(s *shot) {
		s.replace("number", rawJSON(s.oneOf("0", "-1", "-0", "1e400", "1E-400", "0.1e1", "9223372036854775808", "-9223372036854775809",
			strings.Repeat("9", 400), "0."+strings.Repeat("0", 400)+"1", "01", "+1", ".5", "1.", "NaN", "-Infinity", "0x10", "1_000")))
	},
	func(s *shot) {
		s.replace("text", rawJSON(s.oneOf(`"\u0000"`, `"a\u0000`+canary+`"`, `"\ud800"`, `"\udc00\ud800"`, "\"\xff\xfe\"", "\"\xc0\xaf\"", "\"\xed\xa0\x80\"",
			"\"\x01\"", "\"a\nb\"", `"\x41"`, `"\u12"`, `'`+canary+`'`, "\"\u202e\u2066"+canary+"\"", "\"\ufeff\u200b\"", "\"e\u0301\u0301\u0301\"", `"\uD83D\uDE00"`)))
	},
	func(s *shot) {
		s.replace("long text", rawJSON(`"`+strings.Repeat(s.oneOf("x", "é", `\n`, `\\`, canary), 1+s.IntN(1+s.IntN(6000)))+`"`))
	},
	func(s *shot) {
		n := s.oneOf("10", "60", "63", "64", "65", "1000", "20000")
		deep := map[string]int{"10": 10, "60": 60, "63": 63, "64": 64, "65": 65, "1000": 1000, "20000": 20000}[n]
		if s.chance(50) {
			s.replace("depth "+n, rawJSON(strings.Repeat("[", deep)+strings.Repeat("]", deep)))
		} else {
			s.replace("depth "+n, rawJSON(strings.Repeat(`{"a":`, deep)+"1"+strings.Repeat("}", deep)))
		}
	},
	func(s *shot) {
		s.inObject("one more", func(o object) object {
			return append(o, member{s.oneOf(canary+" name", "__proto__", "", "State", "undone_at", "seq"), s.document(1)})
		})
	},
	func(s *shot) {
		s.inObject("twice", func(o object) object {
			if len(o) == 0 {
				return append(o, member{"a", 1}, member{"a", 2})
			}
			return append(o, o[s.IntN(len(o))])
		})
	},
	func(s *shot) {
		s.inObject("missing", func(o object) object {
			if len(o) == 0 {
				return o
			}
			i := s.IntN(len(o))
			return append(append(object{}, o[:i]...), o[i+1:]...)
		})
	},
	func(s *shot) { s.replace("null", nil) },
	func(s *shot) {
		s.replace("many", rawJSON("["+strings.TrimSuffix(strings.Repeat(s.oneOf("1,", `"`+canary+`",`, "{},", "null,"), 1+s.IntN(3000)), ",")+"]"))
	},
	func(s *shot) {
		var b strings.Builder
		for i := range 1 + s.IntN(2000) {
			fmt.Fprintf(&b, `"%s %d":%d,`, canary, i, i)
		}
		s.replace("many members", rawJSON("{"+strings.TrimSuffix(b.String(), ",")+"}"))
	},
}

func (s *shot) replace(what string, v any) {
	list := nodes(&s.tree)
	i := s.IntN(len(list))
	s.mark("%s at node %d", what, i)
	*list[i] = v
	if s.tree == nil {
		s.tree = rawJSON("null")
	}
}

func (s *shot) inObject(what string, change func(object) object) {
	var objects []*any
	for _, n := range nodes(&s.tree) {
		if _, ok := (*n).(object); ok {
			objects = append(objects, n)
		}
	}
	if len(objects) == 0 {
		return
	}
	i := s.IntN(len(objects))
	s.mark("%s in object %d", what, i)
	*objects[i] = change((*objects[i]).(object))
}

var outerMutators = []mutator{
	func(s *shot) {
		s.method = s.oneOf("GET", "POST", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE", "PATCH", "CONNECT", "BREW", "get", strings.Repeat("M", 300))
		s.mark("method %.20s", s.method)
	},
	func(s *shot) {
		token := s.world.tokens[s.IntN(len(s.world.tokens))]
		s.header.Set("Authorization", s.oneOf("Bearer "+token, "Bearer "+token, "bearer  "+token, "Basic "+canary, canary, "Bearer", "Bearer "+canary, token))
		s.mark("authorization")
	},
	func(s *shot) { s.header.Del("Authorization"); s.mark("no authorization") },
	func(s *shot) {
		s.header.Set("Content-Type", s.oneOf("text/plain", "application/json; charset=utf-8", "application/json; charset=latin1", "APPLICATION/JSON", "application/json;;",
			"multipart/form-data; boundary="+canary, "application/x-www-form-urlencoded", "", canary, "application/json; charset=\""+canary))
		s.mark("content type %s", s.header.Get("Content-Type"))
	},
	func(s *shot) {
		s.header.Set("Content-Encoding", s.oneOf("gzip", "br", "identity", canary, "gzip, gzip"))
		s.mark("content encoding %s", s.header.Get("Content-Encoding"))
	},
	func(s *shot) {
		s.headerOf(s.oneOf("Idempotency-Key", "If-Match", "If-None-Match", "Prefer", "Last-Event-ID"))
		s.mark("header")
	},
	func(s *shot) {
		s.header["Idempotency-Key"] = [][]string{{""}, {strings.Repeat("k", 256)}, {"é" + canary}, {"a\x00b"}, {"a", "b"}, {strings.Repeat("k", 255)}}[s.IntN(6)]
		s.mark("odd key")
	},
	func(s *shot) {
		name := s.oneOf("Accept", "Range", "If-Modified-Since", "X-Forwarded-For", "X-HTTP-Method-Override", "Expect", "Cookie", "Origin", "If-Range", "Upgrade", "Te")
		s.header.Set(name, s.oneOf("bytes=0-1", "text/html", canary, "DELETE", "::1", "h2c", "bytes=5-,0-", strings.Repeat("x", 60000)))
		s.mark("header %s", name)
	},
	func(s *shot) {
		name := s.oneOf("Prefer", "If-Match", "If-None-Match", "Last-Event-ID", "Accept")
		for range 1 + s.IntN(200) {
			s.header.Add(name, s.oneOf(`"1"`, "wait=1", canary, ",", "*", ""))
		}
		s.mark("many headers %s", name)
	},
	func(s *shot) {
		s.query += s.oneOf("&misspelt="+canary, "&limit=0", "&limit=1&limit=2", "&limit=1e2", "&limit=99999999999999999999", "&%zz=1", "&a;b", "&cursor=%00", "&cursor=%ff",
			"&order=sideways", "&state=", "&only=", "&only=system%3D"+canary, "&cursor="+strings.Repeat("A", 9000), "&after=-1", "&after=1.5", "&to_entry=0", "&=", "&&&",
			"&limit=+1", "&cursor="+newCursor("w", canary), "&cursor="+newCursor("a", "-1"), "&cursor="+newCursor("a", "99999999999999999999"), "&to_tag="+canary+"&to_entry=1")
		s.mark("query")
	},
	func(s *shot) {
		id := s.oneOf(s.world.windows[0], s.world.entries[0], s.world.rollbacks[0], ledger.NewID().String(), "00000000-0000-0000-0000-000000000000", canary)
		s.path = s.oneOf("/v1/windows/", "/v1/entries/", "/v1/rollbacks/") + s.oneOf(id, strings.ToUpper(id), "{"+id+"}", "urn:uuid:"+id, strings.ReplaceAll(id, "-", ""),
			id+"%00", "..%2f"+id, "%2e%2e/"+id, id+"/", "/"+id, "%zz", "%ff", strings.Repeat("a", 4000), id+" ", ":id", "*") + s.oneOf("", "", "/entries", "/seal", "/plan", "/applied", "/pause")
		s.mark("path")
	},
	func(s *shot) {
		s.path = s.oneOf("/", "", "*", "//v1/windows", "/v1/windows/", "/V1/windows", "/v1//windows", "/v1/%77indows", "/docs/", "/"+canary, "/metrics/x", "/v1/./windows")
		s.mark("path")
	},
	func(s *shot) {
		s.write()
		s.body = s.body[:s.IntN(len(s.body)+1)]
		s.tree = nil
		s.mark("truncated to %d", len(s.body))
	},
	func(s *shot) {
		s.write()
		junk := s.oneOf("{}", "\x00", ",", " ", canary, "//", "]", "\ufeff", "\x1f\x8b\x08\x00"+canary)
		if s.chance(50) {
			s.body = append([]byte(junk), s.body...)
		} else {
			s.body = append(s.body, junk...)
		}
		s.tree = nil
		s.mark("junk")
	},
	func(s *shot) {
		s.write()
		for range 1 + s.IntN(4) {
			if len(s.body) > 0 {
				s.body[s.IntN(len(s.body))] ^= 1 << s.IntN(8)
			}
		}
		s.tree = nil
		s.mark("bits turned over")
	},
	func(s *shot) {
		s.tree = nil
		s.body = []byte(s.oneOf("", " ", "{", "[]", "null", "\"", "{}{}", canary, "\xff\xfe{}", strings.Repeat(" ", 5000)+"{}", "{\"\":{}}"))
		s.mark("another body")
	},
	func(s *shot) {
		if !s.chance(4) {
			return
		}
		s.tree, s.body = nil, []byte(`{"name":"`+strings.Repeat("x", maxBody)+`"}`)
		s.mark("larger than it may be")
	},
}

func drawerFor(seed, index uint64, w *world) *drawer {
	return &drawer{Rand: rand.New(rand.NewPCG(seed, index)), world: w}
}
