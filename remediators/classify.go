package remediators

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"

	"sideledger/ledger"
)

// Classify says what the answer to a changing call means by what HTTP says: 2xx accepted; 404 and 410 gone;
// 409 and 412 conflict; 408, 425, 429 and a 503 with Retry-After not executed; 502 and 504 ambiguous (the
// error, since a gateway may have passed it on); another 5xx failed; 3xx and other 4xx refused. A third party
// that means something else by a status is asked about that first.
func Classify(reply Reply) (ledger.Answer, error) {
	out := ledger.Answer{Class: ledger.AnswerRefused, Status: reply.Status, RetryAfter: reply.RetryAfter, Detail: "answered " + strconv.Itoa(reply.Status)}
	switch s := reply.Status; {
	case retryStatus(reply):
		out.Class = ledger.AnswerRetry
	case s < 200:
		out.Class = ledger.AnswerFailed
	case s < 300 && reply.BodyErr != nil:
		return ledger.Answer{}, &ledger.CallError{Class: ledger.CallAmbiguous, Status: s, Detail: out.Detail + ", and " + reply.BodyErr.Error()}
	case s < 300:
		out.Class, out.Detail = ledger.AnswerAccepted, ""
	case s < 400:
		out.Detail += ": redirects are never followed"
	case s == http.StatusNotFound, s == http.StatusGone:
		out.Class = ledger.AnswerGone
	case s == http.StatusConflict, s == http.StatusPreconditionFailed:
		out.Class = ledger.AnswerConflict
	case s == http.StatusBadGateway, s == http.StatusGatewayTimeout:
		return ledger.Answer{}, &ledger.CallError{
			Class: ledger.CallAmbiguous, Status: s, RetryAfter: reply.RetryAfter,
			Detail: out.Detail + ": a gateway that may have passed it on",
		}
	case s >= 500 && s != http.StatusNotImplemented:
		out.Class = ledger.AnswerFailed
	}
	return out, nil
}

// retryStatus reports whether an answer says that the call was not executed and may be sent again later.
func retryStatus(r Reply) bool {
	switch r.Status {
	case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests:
		return true
	case http.StatusServiceUnavailable:
		return r.RetryAfter > 0
	default:
		return false
	}
}

// Unusable is the error of a read whose answer says nothing about the resource; why may be empty.
func Unusable(reply Reply, why string) error {
	if why == "" {
		why = "the read answered " + strconv.Itoa(reply.Status)
		if reply.Status/100 == 3 {
			why += ": redirects are never followed"
		}
	}
	return &ledger.CallError{Class: ledger.CallAnswered, Status: reply.Status, RetryAfter: reply.RetryAfter, Detail: why, Err: reply.BodyErr}
}

// Unread is what becomes of an undo that reads something first, an old value, and could not: nothing was changed, and it may
// be tried again. err is of [Client.Do] or of a look.
func Unread(err error) (ledger.Answer, error) {
	var call *ledger.CallError
	if !errors.As(err, &call) {
		return ledger.Answer{}, err
	}
	why := "nothing was sent, since the old value could not be read: " + call.Detail
	switch call.Class {
	case ledger.CallAnswered:
		return ledger.Answer{Class: ledger.AnswerRetry, Status: call.Status, RetryAfter: call.RetryAfter, Detail: why}, nil
	case ledger.CallAmbiguous:
		return ledger.Answer{}, &ledger.CallError{Class: ledger.CallNotSent, Status: call.Status, RetryAfter: call.RetryAfter, Detail: why, Err: call.Err}
	case ledger.CallNotSent, ledger.CallAway, ledger.CallAuth, ledger.CallDenied:
	}
	return ledger.Answer{}, err
}

// Denied is the error of what must not be sent, or cannot be looked at, until a person has done something.
func Denied(why string) error { return deniedCall(why) }

// Document returns the answer compacted, its literals untouched; why says what is wrong with it. An answer
// without a body is {}.
func Document(reply Reply) (doc json.RawMessage, why string) {
	if reply.BodyErr != nil {
		return nil, reply.BodyErr.Error()
	}
	if len(bytes.TrimSpace(reply.Body)) == 0 {
		return json.RawMessage("{}"), ""
	}
	if deep(reply.Body) {
		return nil, "the answer is nested deeper than 128 levels"
	}
	var b bytes.Buffer
	if !jsontext.Value(reply.Body).IsValid() || json.Compact(&b, reply.Body) != nil {
		return nil, "the answer is not JSON, or a name stands twice in one object"
	}
	return b.Bytes(), ""
}

// maxDepth is how deep an answer may be nested. What is compared is named by JSON pointers, so that the work
// grows with depth times length.
const maxDepth = 128

// deep reports whether a document, which need not be JSON, is nested too deep.
func deep(doc []byte) bool {
	depth, inString := 0, false
	for i := 0; i < len(doc); i++ {
		switch c := doc[i]; {
		case inString && c == '\\':
			i++
		case c == '"':
			inString = !inString
		case inString:
		case c == '{', c == '[':
			depth++
		case c == '}', c == ']':
			depth--
		}
		if depth > maxDepth {
			return true
		}
	}
	return false
}
