package httpapi

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"
)

// A timing is where an element says a time.
type timing []tmpl

// read reads the pointer, whose tokens may refer to the resource.
func (t *timing) read(pointer string) error {
	tokens, ok := parsePointer(pointer)
	if !ok {
		return errors.New("list: created or changed is no JSON pointer")
	}
	for _, token := range tokens {
		parsed, err := parseText(token)
		if err != nil {
			return fmt.Errorf("list: created or changed %w", err)
		}
		*t = append(*t, parsed)
	}
	return nil
}

// at reads a time, as RFC 3339 or in seconds or milliseconds of the epoch; zero: there is none.
func (t timing) at(e, place json.RawMessage) time.Time {
	var tokens []string
	for _, token := range t {
		s, err := token.render(values{resource: place}, asText)
		if err != nil {
			return time.Time{}
		}
		tokens = append(tokens, s)
	}
	if len(tokens) == 0 {
		return time.Time{}
	}
	v, _ := at(e, tokens)
	s, _ := text(v)
	if t, err := time.Parse(time.RFC3339, s); err == nil {
		return t.UTC()
	}
	n, err := strconv.ParseFloat(s, 64) // AWS writes 1.7E9 and fractions
	switch {
	case err != nil || !(n >= 1 && n < millis*millis):
		return time.Time{}
	case n >= millis:
		return time.UnixMilli(int64(n)).UTC()
	}
	return time.Unix(int64(n), 0).UTC()
}

// millis is a number that as seconds is in the year 5138, and as milliseconds in 1973: what is larger is milliseconds.
const millis = 1e11
