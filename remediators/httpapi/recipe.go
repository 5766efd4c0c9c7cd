package httpapi

import (
	"bytes"
	"encoding/json"
	"net/http"
	"slices"
	"time"

	"sideledger/ledger"
	"sideledger/remediators"
)

// A header is a name with a value that may hold references.
type header struct {
	posted string // as the entry spells it
	name   string // canonical
	value  tmpl
}

// reading is how to look at a resource: the entry field read.
type reading struct {
	where    location
	headers  []header
	present  []int
	absent   []int
	selected []string // pointer into the answer, or into the element that list found; tokens may hold references
	proof    *proof   // nil: a 404 proves nothing
	// validator: from a header (or trailer), or from the answer.
	validatorHeader  string
	validatorPointer []string
	list             *listing   // nil: the answer is the resource
	gone             *tombstone // nil: what is shown is there
}

// proof is a call to the parent that the same credential can see.
type proof struct {
	where  location
	status []int
	list   *listing // the answer has to hold a list without the resource; nil: the status is enough
}

// listing finds one element of a list: the resource has no address of its own.
type listing struct {
	items   []string // pointer to the list
	more    []string // where true, or a text, says that the list is not whole; nil: it is
	pointer []string // in each element
	equals  body
}

// undoing is the call that takes an entry back: the entry field undo.
type undoing struct {
	method      string
	where       location
	headers     []header
	contentType string // empty: application/json if there is a body
	body        body
	success     []int
	predicate   *predicate // of a successful answer's body; nil: none
	gone        []int
	conflict    []int
	retry       []int               // it was not carried out, and may be sent again later
	blocked     []blocking          // it was not carried out, and waits for a person
	renamed     map[string][]string // member of the resource → where a successful answer says its new value
	tell        []string            // what somebody has to be told once it worked
	partial     bool                // what the body does not name stays as it is, masked values too
}

// predicate is a condition on an answer's body.
type predicate struct {
	pointer []string // empty: the whole answer
	equals  json.RawMessage
}

// guarding makes the undo conditional: the entry field guard.
type guarding struct {
	header string // header or query, one of them
	query  string
	value  tmpl
}

// asyncing waits for an undo that was only begun: the entry field async.
type asyncing struct {
	status []int
	where  *location // poll this, or
	header string    // the address in this header, on the same host
	every  time.Duration
	until  []string // pointer into what the poll answers
	in     []json.RawMessage
	most   time.Duration
}

// verifying says how patiently to look after the undo: the entry field verify.
type verifying struct{ patience, stable time.Duration }

// A recipe is everything that is known about one entry's kind, the profile's part filled up.
type recipe struct {
	read   *reading  // nil: it cannot be looked at
	undo   *undoing  // nil: nothing takes it back
	guard  *guarding // nil: unguarded
	async  *asyncing // nil: an answer is the end
	verify verifying
	scope  ledger.Scope
	once   bool // sending the undo twice does more than once, whatever its method promises
}

// documents are the raw fields of a recipe, of an entry or of a profile.
type documents struct{ read, undo, guard, async, verify json.RawMessage }

// over fills what is not given from a profile.
func (d documents) over(p documents) documents {
	pick := func(a, b json.RawMessage) json.RawMessage {
		if given(a) {
			return a
		}
		return b
	}
	return documents{
		pick(d.read, p.read), pick(d.undo, p.undo), pick(d.guard, p.guard), pick(d.async, p.async), pick(d.verify, p.verify),
	}
}

func (d documents) equal(o documents) bool {
	return bytes.Equal(d.read, o.read) && bytes.Equal(d.undo, o.undo) && bytes.Equal(d.guard, o.guard) && bytes.Equal(d.async, o.async) &&
		bytes.Equal(d.verify, o.verify)
}

// parse reads the documents strictly. The error is CodeInvalid and names the field. action decides what
// counts as gone when undo does not say.
func (d documents) parse(action ledger.Action) (*recipe, error) {
	p := &parser{}
	rec := &recipe{}
	if given(d.read) {
		rec.read = p.reading(p.object("/read", d.read))
	}
	if given(d.undo) {
		rec.undo = p.undoing(p.object("/undo", d.undo), action)
	}
	if given(d.guard) {
		rec.guard = p.guarding(p.object("/guard", d.guard))
	}
	if given(d.async) {
		rec.async = p.asyncing(p.object("/async", d.async))
	}
	if given(d.verify) {
		f := p.object("/verify", d.verify)
		rec.verify.patience = f.duration("timeout", 0, 10*time.Minute)
		rec.verify.stable = f.duration("stable_for", 0, 10*time.Minute)
		f.end()
	}
	return rec, p.err
}

func (p *parser) reading(f *fields) *reading {
	f.word("method", "GET", "GET")
	r := &reading{
		where: f.location("path"), headers: f.headers("headers"),
		present: f.statuses("present", 200), absent: f.statuses("absent", 404, 410),
		selected: f.pointer("select"), validatorHeader: "ETag",
	}
	if slices.ContainsFunc(r.present, func(s int) bool { return slices.Contains(r.absent, s) }) {
		p.fail(f.at("absent"), "has a status that stands in present too")
	}
	if g, ok := f.sub("gone_proof"); ok {
		g.word("method", "GET", "GET")
		r.proof = &proof{where: g.location("path"), status: g.statuses("status", 200), list: g.listing()}
		g.end()
	}
	if v, ok := f.sub("validator"); ok {
		r.validatorHeader, r.validatorPointer = v.text("header", ""), v.pointer("pointer")
		if (r.validatorHeader == "") == (len(r.validatorPointer) == 0) {
			p.fail(v.path, "has either header or pointer")
		}
		v.end()
	}
	for _, token := range r.selected {
		if _, err := parseText(token); err != nil {
			p.fail(f.at("select"), "%s", err.Error())
		}
	}
	r.list = f.listing()
	r.gone = f.tombstone("gone_when")
	f.end()
	return r
}

// listing reads list and match, which stand together or not at all.
func (f *fields) listing() *listing {
	l, hasList := f.sub("list")
	m, hasMatch := f.sub("match")
	if hasList != hasMatch {
		f.p.fail(f.path, "has list and match together, or neither")
	}
	if !hasList || !hasMatch {
		return nil
	}
	out := &listing{items: l.pointer("items"), more: l.pointer("more"), pointer: m.pointer("pointer"), equals: m.body("equals")}
	if out.equals.raw == nil {
		f.p.fail(m.at("equals"), "is missing: the value that tells the resource from the others")
	}
	l.end()
	m.end()
	return out
}

func (p *parser) undoing(f *fields, action ledger.Action) *undoing {
	u := &undoing{
		method: f.word("method", "", "PUT", "POST", "PATCH", "DELETE"), where: f.location("path"),
		headers: f.headers("headers"), contentType: f.text("content_type", ""), body: f.body("body"),
		success: []int{200, 201, 202, 204}, conflict: []int{409, 412},
		renamed: f.pointers("renamed"), tell: f.sentences("tell"), partial: f.flag("partial"),
	}
	if action == ledger.ActionCreate {
		u.gone = []int{404, 410} // an update whose resource is gone is drift, not success
	}
	if s, ok := f.sub("success"); ok {
		u.success = s.statuses("status", u.success...)
		u.predicate = s.predicate("body")
		s.end()
	}
	if s, ok := f.sub("gone"); ok {
		u.gone = s.statuses("status", 404, 410)
		s.end()
	}
	if s, ok := f.sub("conflict"); ok {
		u.conflict = s.statuses("status", 409, 412)
		s.end()
	}
	if !knownType(u.contentType) {
		p.fail(f.at("content_type"), "has to be a JSON type (application/json, application/merge-patch+json and the like), %s, text/plain or application/octet-stream", formType)
	}
	if s, ok := f.sub("retry"); ok {
		u.retry = s.statuses("status")
		s.end()
	}
	u.blocked = f.blockings("blocked_when")
	u.settleOverlap(p, f)
	f.end()
	return u
}

// settleOverlap refuses a status that means two things; a default gives way to what was written.
func (u *undoing) settleOverlap(p *parser, f *fields) {
	drop := func(list []int, others ...int) []int {
		return slices.DeleteFunc(slices.Clone(list), func(s int) bool { return slices.Contains(others, s) })
	}
	written := func(name string) bool { return given(f.m[name]) }
	if !written("gone") {
		u.gone = drop(u.gone, slices.Concat(u.success, u.conflict, u.retry)...)
	}
	if !written("conflict") {
		u.conflict = drop(u.conflict, slices.Concat(u.success, u.gone, u.retry)...)
	}
	var all []int
	for _, list := range [][]int{u.success, u.gone, u.conflict, u.retry} {
		all = append(all, slices.Compact(slices.Sorted(slices.Values(list)))...)
	}
	slices.Sort(all)
	if len(slices.Compact(slices.Clone(all))) != len(all) {
		p.fail(f.path, "has a status that stands in two of success, gone, conflict and retry")
	}
}

func (f *fields) predicate(name string) *predicate {
	s, ok := f.sub(name)
	if !ok {
		return nil
	}
	equals, there := s.m["equals"]
	s.seen = append(s.seen, "equals")
	if !there {
		f.p.fail(s.at("equals"), "is missing: the JSON value that the answer has to show")
	}
	out := &predicate{pointer: s.pointer("pointer"), equals: equals}
	s.end()
	return out
}

func (p *parser) guarding(f *fields) *guarding {
	g := &guarding{header: f.text("header", ""), query: f.text("query", "")}
	if (g.header == "") == (g.query == "") {
		p.fail(f.path, "has either header or query")
	}
	if g.header != "" {
		if err := remediators.CheckHeader(g.header, ""); err != nil {
			p.fail(f.at("header"), "%s", err.Error())
		}
	}
	g.header = http.CanonicalHeaderKey(g.header)
	g.value = f.template("value", "{{validator}}")
	f.end()
	return g
}

func (p *parser) asyncing(f *fields) *asyncing {
	a := &asyncing{status: f.statuses("status", 202)}
	poll, ok := f.sub("poll")
	if !ok {
		p.fail(f.at("poll"), "is missing: what to ask until it is done")
	}
	a.header = poll.text("header", "")
	if given(poll.m["path"]) {
		where := poll.location("path")
		a.where = &where
	}
	poll.seen = append(poll.seen, "path")
	if ok && (a.where == nil) == (a.header == "") {
		p.fail(poll.path, "has either path or header")
	}
	a.every = poll.duration("every", 2*time.Second, time.Minute)
	a.most = poll.duration("max", 2*time.Minute, time.Hour)
	until, _ := poll.sub("until")
	a.until = until.pointer("pointer")
	if err := json.Unmarshal(orNull(until.raw("in")), &a.in); err != nil || len(a.in) == 0 {
		p.fail(until.at("in"), "has to be a list of the values that mean done")
	}
	until.end()
	poll.end()
	f.end()
	return a
}

func orNull(raw json.RawMessage) json.RawMessage {
	if raw == nil {
		return json.RawMessage("null")
	}
	return raw
}

// quote writes a JSON string without escaping what need not be.
func quote(s string) []byte {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(s) // a string always encodes
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}
