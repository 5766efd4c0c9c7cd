package api

import (
	"bytes"
	stdjson "encoding/json"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"

	"sideledger/api/wire"
	"sideledger/ledger/journal"
)

// A judge holds answers to the document that the server itself serves.
type judge struct {
	doc   *openapi3.T // where no answer may have a member that the document does not have
	paths map[string]*regexp.Regexp
}

func newJudge(doc *openapi3.T) *judge {
	j := &judge{doc: doc, paths: map[string]*regexp.Regexp{}}
	for path := range doc.Paths.Map() {
		j.paths[path] = regexp.MustCompile("^" + strings.ReplaceAll(regexp.QuoteMeta(path), `\{id\}`, "[^/]+") + "$")
	}
	return j
}

// operation finds what the document says of a request; nil: nothing.
func (j *judge) operation(method, path string) *openapi3.Operation {
	if method == http.MethodHead {
		method = http.MethodGet
	}
	for template, re := range j.paths {
		if item := j.doc.Paths.Value(template); re.MatchString(path) && (method == http.MethodGet || method == http.MethodPost) {
			return item.GetOperation(method)
		}
	}
	return nil
}

// check returns what is wrong with an answer.
func (j *judge) check(hr *http.Request, rec *httptest.ResponseRecorder) error {
	h := rec.Header()
	if h.Get("X-Content-Type-Options") != "nosniff" || h.Get("Cache-Control") != "no-store" ||
		!strings.HasPrefix(h.Get("Content-Security-Policy"), "default-src 'none'") || len(h.Get("X-Request-Id")) != 36 {
		return fmt.Errorf("headers %v", h)
	}
	kind, _, _ := mime.ParseMediaType(h.Get("Content-Type"))
	switch {
	case rec.Code >= http.StatusInternalServerError && (rec.Code != http.StatusServiceUnavailable || hr.Context().Err() == nil):
		return fmt.Errorf("a failure of the server")
	case rec.Code >= http.StatusBadRequest:
		return j.problem(hr, kind, rec)
	case rec.Code == http.StatusNotModified || rec.Code == http.StatusNoContent:
		return j.empty(hr, rec)
	}
	op := j.operation(hr.Method, hr.URL.Path)
	if op == nil {
		return fmt.Errorf("an answer to a call that the document does not have")
	}
	resp := op.Responses.Status(rec.Code)
	if resp == nil {
		return fmt.Errorf("the document knows no such status here")
	}
	media := resp.Value.Content[kind]
	if media == nil {
		return fmt.Errorf("the document knows no type %s here", kind)
	}
	if hr.Method == http.MethodHead {
		return nil
	}
	return j.body(kind, rec.Body.Bytes(), media.Schema)
}

func (j *judge) empty(hr *http.Request, rec *httptest.ResponseRecorder) error {
	read := hr.Method == http.MethodGet || hr.Method == http.MethodHead
	switch {
	case rec.Body.Len() > 0:
		return fmt.Errorf("an answer with a body")
	case rec.Code == http.StatusNotModified && (!read || rec.Header().Get("ETag") == ""):
		return fmt.Errorf("not modified, to a %s, with the ETag %s", hr.Method, rec.Header().Get("ETag"))
	case rec.Code == http.StatusNoContent && (hr.Method != http.MethodOptions || rec.Header().Get("Allow") == ""):
		return fmt.Errorf("no content, with Allow %s", rec.Header().Get("Allow"))
	}
	return nil
}

func (j *judge) problem(hr *http.Request, kind string, rec *httptest.ResponseRecorder) error {
	if kind != wire.ProblemType {
		return fmt.Errorf("a problem of type %s", kind)
	}
	for name, values := range rec.Header() {
		if strings.Contains(fmt.Sprint(values), canary) {
			return fmt.Errorf("the header %s repeats the caller's value: %s", name, values)
		}
	}
	body := rec.Body.Bytes()
	if bytes.Contains(body, []byte(canary)) {
		return fmt.Errorf("the problem repeats the caller's value")
	}
	if err := j.body("application/json", body, j.doc.Components.Schemas["Problem"]); err != nil {
		return err
	}
	var p wire.Problem
	if err := stdjson.Unmarshal(body, &p); err != nil {
		return err
	}
	replayed := rec.Header().Get("Idempotency-Replayed") != "" // it has the first one's request id
	if p.Status != rec.Code || p.Title == "" || p.Detail == "" || !replayed && p.RequestID != rec.Header().Get("X-Request-Id") {
		return fmt.Errorf("the problem does not fit its answer")
	}
	if rec.Code == http.StatusMethodNotAllowed && rec.Header().Get("Allow") == "" && hr.Method != "" {
		return fmt.Errorf("no header Allow")
	}
	return nil
}

func (j *judge) body(kind string, body []byte, s *openapi3.SchemaRef) error {
	switch kind {
	case "application/json":
		v, err := decodeLoose(body)
		if err != nil {
			return fmt.Errorf("the body is not JSON: %w", err)
		}
		return s.Value.VisitJSON(v, formats()...)
	case "application/jsonl":
		rep, err := journal.Verify(bytes.NewReader(body))
		if err == nil && !rep.OK {
			err = fmt.Errorf("the journal does not verify: %s", rep.Problem)
		}
		return err
	case "text/event-stream":
		return eventsFit(string(body))
	}
	return nil
}

// eventsFit checks a stream that was broken off between two events.
func eventsFit(body string) error {
	for line := range strings.SplitSeq(body, "\n") {
		name, value, _ := strings.Cut(line, ":")
		switch name {
		case "", "id", "event", "retry":
		case "data":
			if !stdjson.Valid([]byte(value)) {
				return fmt.Errorf("an event with data that is no JSON")
			}
		default:
			return fmt.Errorf("an event with the field %q", name)
		}
	}
	return nil
}

// decodeLoose decodes JSON with numbers that a float64 does not hold: the document says nothing of them.
func decodeLoose(body []byte) (any, error) {
	dec := stdjson.NewDecoder(bytes.NewReader(body))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil {
		return nil, err
	}
	if _, err := dec.Token(); err != io.EOF {
		return nil, fmt.Errorf("there is more behind it")
	}
	return loosened(v), nil
}

func loosened(v any) any {
	switch v := v.(type) {
	case stdjson.Number:
		f, err := v.Float64()
		if err != nil {
			return float64(0)
		}
		return f
	case map[string]any:
		for k := range v {
			v[k] = loosened(v[k])
		}
	case []any:
		for i := range v {
			v[i] = loosened(v[i])
		}
	}
	return v
}
