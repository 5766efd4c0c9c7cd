package httpapi

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
	"unicode/utf8"
)

var (
	errBase64 = errors.New("has a reference whose value is no base64")
	errBytes  = errors.New("has a reference whose value is not text once it is decoded")
)

// The filters of a reference. Each takes text and gives a JSON value.
const (
	filterBase64 = "base64" // base64 in whatever lines it came, in one line
	filterText   = "text"   // what base64 stands for
	filterIs     = "is:"    // is:WORD is true where the text is WORD, else false
)

func knownFilter(name string) bool {
	word, is := strings.CutPrefix(name, filterIs)
	return name == "" || name == filterBase64 || name == filterText || is && word != ""
}

// filtered puts a value through a filter.
func filtered(filter string, raw json.RawMessage) (json.RawMessage, error) {
	s, ok := text(raw)
	if word, is := strings.CutPrefix(filter, filterIs); is {
		if ok && s == word {
			return json.RawMessage("true"), nil
		}
		return json.RawMessage("false"), nil
	}
	if !ok {
		return nil, errScalar
	}
	decoded, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(s), ""))
	switch {
	case err != nil:
		return nil, errBase64
	case filter == filterBase64:
		return quote(base64.StdEncoding.EncodeToString(decoded)), nil
	case !utf8.Valid(decoded):
		return nil, errBytes
	}
	return quote(string(decoded)), nil
}
