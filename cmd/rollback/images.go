package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"sideledger/api/client"
)

// maxInput is the longest JSON that a flag may name: what the API takes for one entry.
const maxInput = 1 << 20

// inputs reads the values of JSON flags: literal JSON, @FILE, or - for stdin.
type inputs struct {
	stdin io.Reader
	read  string // the flag that has read stdin; empty: none yet
}

// json returns a flag's document, compacted and otherwise byte for byte. The API refuses doubled names
// and invalid UTF-8, so they are refused here: a file has nobody who would.
func (in *inputs) json(flag, value string) (json.RawMessage, error) {
	raw := []byte(value)
	var err error
	switch {
	case value == "-":
		if in.read != "" {
			return nil, fmt.Errorf("--%s and --%s cannot both be read from stdin", in.read, flag)
		}
		in.read = flag
		raw, err = io.ReadAll(io.LimitReader(in.stdin, maxInput+1))
	case strings.HasPrefix(value, "@"):
		raw, err = readFile(value[1:])
	}
	if err != nil {
		return nil, fmt.Errorf("read --%s: %w", flag, err)
	}
	if len(raw) > maxInput {
		return nil, fmt.Errorf("--%s is longer than %d bytes", flag, maxInput)
	}
	v := jsontext.Value(bytes.TrimSpace(raw))
	if len(v) == 0 {
		return nil, fmt.Errorf("--%s is empty: say null where nothing was there", flag)
	}
	if !v.IsValid() {
		return nil, fmt.Errorf("--%s is not JSON (a text stands in double quotes; each name once; UTF-8): %s", flag, whatIsWrong(v))
	}
	if err := v.Compact(); err != nil {
		return nil, fmt.Errorf("--%s: %w", flag, err)
	}
	return json.RawMessage(v), nil
}

// whatIsWrong says where a document breaks off being JSON.
func whatIsWrong(v jsontext.Value) string {
	d := jsontext.NewDecoder(bytes.NewReader(v))
	if _, err := d.ReadValue(); err != nil {
		return err.Error()
	}
	return "there is more behind the document"
}

func readFile(name string) ([]byte, error) {
	f, err := os.Open(name) //nolint:gosec // the operator names the file
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, maxInput+1))
}

// setAt puts a value at a path of member names below a JSON object and returns the new object. All other
// members keep their bytes and their place; objects on the way are made. No path: the value itself.
func setAt(object json.RawMessage, path []string, value json.RawMessage) (json.RawMessage, error) {
	if len(path) == 0 {
		return value, nil
	}
	name, below := path[0], path[1:]
	var members []member
	if len(object) > 0 && string(object) != "null" {
		var err error
		if members, err = membersOf(object); err != nil {
			return nil, err
		}
	}
	for i := range members {
		if members[i].name == name {
			inner, err := setAt(members[i].value, below, value)
			members[i].value = inner
			return joinMembers(members, err)
		}
	}
	inner, err := setAt(nil, below, value)
	return joinMembers(append(members, member{name, inner}), err)
}

func joinMembers(members []member, err error) (json.RawMessage, error) {
	if err != nil {
		return nil, err
	}
	out := []byte{'{'}
	for i, m := range members {
		if i > 0 {
			out = append(out, ',')
		}
		name, err := client.Encode(m.name)
		if err != nil {
			return nil, fmt.Errorf("encode a member's name: %w", err)
		}
		out = append(append(append(out, name...), ':'), m.value...)
	}
	return append(out, '}'), nil
}

// mergeObjects adds the members of more to an object; those of more win.
func mergeObjects(object, more json.RawMessage) (json.RawMessage, error) {
	members, err := membersOf(more)
	if err != nil {
		return nil, errors.New("a resource is not a JSON object")
	}
	for _, m := range members {
		if object, err = setAt(object, []string{m.name}, m.value); err != nil {
			return nil, err
		}
	}
	return object, nil
}
