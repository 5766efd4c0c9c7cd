package api

import (
	"bytes"
	"errors"
	"io"
	"mime"
	"net/http"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"sideledger/ledger"
)

// Limits of what is taken in.
const (
	maxBody   = 1 << 20 // bytes of a request
	maxBatch  = 8 << 20 // bytes of a batch of entries
	maxEffect = 4 << 20 // bytes of a call and what is recorded of it
	maxDepth  = 64      // nesting of JSON
)

// readBody reads a request's body, at most limit bytes of it, and returns it compacted: white space gone,
// everything else byte for byte. No body counts as an empty object. Duplicate names and invalid UTF-8
// are malformed; NUL characters and nesting beyond maxDepth are invalid, and the body is returned all the
// same if it can be.
func readBody(w http.ResponseWriter, r *http.Request, limit int64) ([]byte, error) {
	raw, err := io.ReadAll(http.MaxBytesReader(w, r.Body, limit))
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return nil, &ledger.Error{Code: ledger.CodeTooLarge, Op: "read body", Msg: "the body is larger than it may be"}
	case err != nil:
		return nil, &ledger.Error{Code: ledger.CodeMalformed, Op: "read body", Msg: "the body could not be read to its end", Err: err}
	case len(raw) == 0:
		return []byte("{}"), nil
	}
	if err := checkMedia(r); err != nil {
		return nil, err
	}
	return compactJSON(raw)
}

func checkMedia(r *http.Request) error {
	kind, params, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	charset := params["charset"]
	if err != nil || kind != "application/json" || charset != "" && charset != "utf-8" && charset != "UTF-8" {
		return &ledger.Error{Code: ledger.CodeMalformed, Op: "read body", Field: "Content-Type", Msg: "want application/json"}
	}
	if enc := r.Header.Get("Content-Encoding"); enc != "" && enc != "identity" {
		return &ledger.Error{Code: ledger.CodeMalformed, Op: "read body", Field: "Content-Encoding", Msg: "bodies are taken as they are, not encoded"}
	}
	return nil
}

// compactJSON checks and compacts one JSON value in place. It returns what is compact also where scan has
// found something.
func compactJSON(raw []byte) ([]byte, error) {
	fault := scan(raw)
	v := jsontext.Value(raw)
	err := v.Compact(jsontext.AllowDuplicateNames(false), jsontext.AllowInvalidUTF8(false))
	switch {
	case err == nil:
		return v, fault
	case fault != nil:
		return nil, fault
	case errors.Is(err, jsontext.ErrDuplicateName):
		return nil, &ledger.Error{Code: ledger.CodeMalformed, Op: "read body", Msg: "a name stands twice in one object"}
	default:
		return nil, &ledger.Error{Code: ledger.CodeMalformed, Op: "read body", Msg: "the body is not one JSON value in UTF-8"}
	}
}

// scan looks for what the JSON reader allows: deep nesting, and NUL characters in strings. What it makes
// of text that is not JSON does not matter.
func scan(raw []byte) error {
	depth := 0
	for i := 0; i < len(raw); i++ {
		switch raw[i] {
		case '"':
			end, nul := skipString(raw, i)
			if nul {
				return ledger.Invalid("", "a string has a NUL character")
			}
			i = end
		case '{', '[':
			if depth++; depth > maxDepth {
				return ledger.Invalid("", "the body is nested deeper than %d levels", maxDepth)
			}
		case '}', ']':
			depth--
		}
	}
	return nil
}

// skipString returns where the string ends that begins at i, and whether it escapes a NUL character.
func skipString(raw []byte, i int) (end int, nul bool) {
	for i++; i < len(raw) && raw[i] != '"'; i++ {
		if raw[i] != '\\' {
			continue
		}
		if bytes.HasPrefix(raw[i+1:], []byte("u0000")) {
			return i, true
		}
		i++
	}
	return i, false
}

// decodeBody reads a body that passed readBody and its schema into a request type.
func decodeBody(raw []byte, into any) error {
	err := json.Unmarshal(raw, into, json.RejectUnknownMembers(true), jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	var semantic *json.SemanticError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &semantic):
		return ledger.Invalid(string(semantic.JSONPointer), "cannot be read")
	default:
		return &ledger.Error{Code: ledger.CodeMalformed, Op: "read body", Msg: "the body is not one JSON value in UTF-8", Err: err}
	}
}

// encodeBody writes a response: compact, raw fields byte for byte.
func encodeBody(v any) ([]byte, error) {
	return json.Marshal(v, jsontext.PreserveRawStrings(true), jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true), json.Deterministic(true))
}
