package remediatortest

import (
	"maps"
	"net/http"
)

// A Dialect is the API of a certain third party, over documents that stay at plain paths: whatever calls a
// remediator makes for a resource, modes, effects and what a test sets are about its path.
type Dialect interface {
	// Path returns the path of the document that a call is about; "/" if it is about none, or about all.
	Path(method, path string, body []byte) string
	// Read answers a read, of the path that was asked or, for a [PostReader], of the document's. docs holds what it may show, by path: a stale document in place of the one there.
	Read(path string, docs map[string]string) (status int, body string)
	// Change answers a changing call. doc is what stands at the path now and next what is to stand there; "" is
	// absence. A next equal to doc is no effect.
	Change(method, path, doc string, body []byte) (next string, status int, answer string)
}

// A PostReader is a [Dialect] that also reads by calls other than GET.
type PostReader interface {
	// Reads reports whether a call changes nothing; [Dialect.Read] answers it, asked for [Dialect.Path] of the call.
	Reads(method, path string) bool
}

// An Addresser is a [Dialect] in which all calls go to one address, and what is asked for stands in a header.
type Addresser interface {
	// Asked returns what stands in place of the path.
	Asked(r *http.Request) string
}

// asked is what a call asks for.
func (th *Third) asked(r *http.Request) string {
	if a, ok := th.Dialect.(Addresser); ok {
		return a.Asked(r)
	}
	return r.URL.Path
}

// reads reports whether a call, as it was asked, changes nothing.
func (th *Third) reads(method, asked string) bool {
	p, ok := th.Dialect.(PostReader)
	return method == http.MethodGet || ok && p.Reads(method, asked)
}

// shown returns the documents as a read of one path sees them.
func (th *Third) shown(path string) map[string]string {
	old := th.stale[path]
	if len(old) == 0 {
		return th.docs
	}
	docs := maps.Clone(th.docs)
	docs[path], th.stale[path] = old[0], old[1:]
	if docs[path] == "" {
		delete(docs, path)
	}
	return docs
}

// speak carries out a changing call in the third party's dialect.
func (th *Third) speak(r *http.Request, asked string, raw []byte, m Mode) (status int, body string) {
	at := r.URL.Path
	next, status, body := th.Dialect.Change(r.Method, asked, th.docs[at], raw)
	if m == NothingHappens || next == th.docs[at] {
		return status, body
	}
	th.put(at, next)
	th.effects = append(th.effects, Effect{r.Method, at, next})
	return status, body
}
