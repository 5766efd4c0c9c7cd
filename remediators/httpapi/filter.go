package httpapi

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"
)

var (
	errBase64 = errors.New("has a reference whose value is no base64")
	errObject = errors.New("has a reference whose value is no object")
	errBytes  = errors.New("has a reference whose value is not text once it is decoded")
)

// The filters of a reference. Each takes text, unless it says otherwise, and gives a JSON value.
const (
	filterBase64 = "base64" // base64 in whatever lines it came, in one line
	filterText   = "text"   // what base64 stands for
	filterLast   = "last"   // of a name like projects/p/jobs/j what stands after the last slash
	filterIs     = "is:"    // is:WORD is true where the text is WORD, else false
	// keep:A,B takes an object: its members A and B are those that the resource has now at the same place, and are left
	// out where it has none.
	filterKeep    = "keep:"
	filterGiven   = "given"    // an object, or each of a list of them, less the members that are null or an empty list
	filterWithout = "without:" // without:A,B takes an object and leaves out its members A and B
)

func knownFilter(name string) bool {
	word, is := strings.CutPrefix(name, filterIs)
	members, _ := membersOf(name)
	return name == "" || name == filterBase64 || name == filterText || name == filterLast || name == filterGiven || is && word != "" || len(members) > 0 && !slices.Contains(members, "")
}

// membersOf returns the members that a filter of objects names, and whether it keeps them; none: it is no such filter.
func membersOf(filter string) (members []string, keep bool) {
	list, keep := strings.CutPrefix(filter, filterKeep)
	list, without := strings.CutPrefix(list, filterWithout)
	if keep == without {
		return nil, false
	}
	return strings.Split(list, ","), keep
}

// keeping takes members of an object from what is there now.
func keeping(names []string, raw, now json.RawMessage) (json.RawMessage, error) {
	var doc, is map[string]json.RawMessage
	if json.Unmarshal(raw, &doc) != nil || doc == nil {
		return nil, errObject
	}
	_ = json.Unmarshal(now, &is) // what is not there, or no object, has no members
	for _, name := range names {
		if v, there := is[name]; there {
			doc[name] = v
		} else {
			delete(doc, name)
		}
	}
	return object(doc), nil
}

// onlyGiven leaves out of an object, or of each object of a list, the members that are null or an empty list.
func onlyGiven(raw json.RawMessage) (json.RawMessage, error) {
	var list []json.RawMessage
	if json.Unmarshal(raw, &list) == nil && list != nil {
		out := []byte("[")
		for i, e := range list {
			e, err := onlyGiven(e)
			if err != nil {
				return nil, err
			}
			if i > 0 {
				out = append(out, ',')
			}
			out = append(out, e...)
		}
		return append(out, ']'), nil
	}
	var doc map[string]json.RawMessage
	if json.Unmarshal(raw, &doc) != nil || doc == nil {
		return nil, errObject
	}
	maps.DeleteFunc(doc, func(_ string, v json.RawMessage) bool { return !filled(v) })
	return object(doc), nil
}

// filled reports whether a value is neither null nor an empty list.
func filled(v json.RawMessage) bool {
	var list []json.RawMessage
	return string(v) != "null" && (json.Unmarshal(v, &list) != nil || len(list) > 0)
}

// object writes an object with its members in order, each byte for byte.
func object(members map[string]json.RawMessage) json.RawMessage {
	out := []byte("{")
	for i, name := range slices.Sorted(maps.Keys(members)) {
		if i > 0 {
			out = append(out, ',')
		}
		out = append(append(append(out, quote(name)...), ':'), members[name]...)
	}
	return append(out, '}')
}

// filtered puts a value through a filter.
func filtered(filter string, raw json.RawMessage) (json.RawMessage, error) {
	if filter == filterGiven {
		return onlyGiven(raw)
	}
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
	if filter == filterLast {
		return quote(s[strings.LastIndexByte(s, '/')+1:]), nil
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
