// Command documents is a plugin for a made-up third party: JSON documents at paths, with an ETag. docs/plugins.md has
// the protocol. It needs the standard library alone:
//
//	CGO_ENABLED=0 go build -trimpath -o documents ./docs/examples/plugins/go
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
)

// A message is what the server says.
type message struct {
	ID    int64  `json:"id"`
	Call  string `json:"call"`
	Entry struct {
		Resource struct {
			Path string `json:"path"`
		} `json:"resource"`
		Before json.RawMessage `json:"before"` // null: nothing was there; nil: unknown
	} `json:"entry"`
	Seen struct {
		Validator string `json:"validator"`
	} `json:"seen"`
	Case struct {
		Path string `json:"path"`
	} `json:"case"`
	Answer *answer `json:"answer"`
	End    string  `json:"end"`
}

type answer struct {
	Status  int               `json:"status"`
	Headers map[string]string `json:"headers"`
	Body    json.RawMessage   `json:"body"`
}

type object map[string]any

// errEnded says that the server gave the call up: nothing more is said for its id.
var errEnded = errors.New("the call is over")

// A plugin talks to the server.
type plugin struct {
	in  *bufio.Reader
	out *json.Encoder
}

func (p *plugin) hear(into any) error {
	line, err := p.in.ReadBytes('\n')
	if err != nil {
		return err
	}
	return json.Unmarshal(line, into)
}

// ask has the server make a request.
func (p *plugin) ask(id int64, request object) (*answer, error) {
	if err := p.out.Encode(object{"id": id, "request": request}); err != nil {
		return nil, err
	}
	var m message
	if err := p.hear(&m); err != nil {
		return nil, err
	}
	if m.Answer == nil {
		return nil, errEnded
	}
	return m.Answer, nil
}

const kind = "documents.document"

func describe() object {
	return object{"describe": object{
		"page": "Documents at paths, conditional by ETag.", "backed_by": "the conformance suite",
		"kinds": []object{{
			"kind": kind, "says": "A JSON document at a path.", "actions": []string{"create", "update", "delete"}, "reversible": "exact",
			"resource": object{"path": object{"type": "string", "required": true, "says": "where it is, from the first slash"}},
		}},
	}}
}

func refusal(field, why string) object {
	return object{"error": object{"field": field, "message": why}}
}

// look reads the document. A 404 is absence only when the parent is there for the same credential.
func (p *plugin) look(m message) (object, error) {
	a, err := p.ask(m.ID, object{"method": "GET", "path": m.Entry.Resource.Path})
	switch {
	case err != nil:
		return nil, err
	case a.Status == 200 && a.Body != nil:
		// A reference, and not the body itself: so no literal of it is lost, and no secret is seen.
		return object{"look": object{"now": object{"$ref": "/answers/1"}, "validator": a.Headers["etag"]}}, nil
	case a.Status != 404:
		return refusal("", fmt.Sprintf("the read answered %d", a.Status)), nil
	}
	parent, err := p.ask(m.ID, object{"method": "GET", "path": "/"})
	if err != nil {
		return nil, err
	}
	return object{"look": object{"now": nil, "proven": parent.Status == 200}}, nil
}

// wayBack is the one request that takes the entry back; nil: nobody knows what was there.
func wayBack(m message) object {
	// PUT and DELETE may be repeated. The condition holds off whoever changed it since the look.
	request := object{"method": "PUT", "path": m.Entry.Resource.Path, "repeatable": true}
	if m.Seen.Validator != "" {
		request["headers"] = object{"If-Match": m.Seen.Validator}
	}
	switch string(m.Entry.Before) {
	case "":
		return nil
	case "null":
		request["method"] = "DELETE"
	default:
		request["body"] = object{"$ref": "/before"}
	}
	return request
}

// answerCall does what one line asks for.
func (p *plugin) answerCall(m message) (object, error) {
	switch m.Call {
	case "describe":
		return describe(), nil
	case "example":
		return object{"example": object{"kind": kind, "resource": object{"path": m.Case.Path}}}, nil
	case "check":
		if !strings.HasPrefix(m.Entry.Resource.Path, "/") {
			return refusal("/resource/path", "begins with a slash"), nil
		}
		return object{"check": object{"reversible": "exact", "can_look": true, "warnings": []string{}}}, nil
	case "look":
		return p.look(m)
	case "preview", "undo":
		request := wayBack(m)
		if request == nil {
			return refusal("", "the before-image is unknown"), nil
		}
		if m.Call == "preview" {
			return object{"preview": request}, nil
		}
		_, err := p.ask(m.ID, request)
		return object{"undo": object{}}, err // what HTTP says of the answer is right here
	default:
		return refusal("", "no such call"), nil
	}
}

func run(in io.Reader, out io.Writer) error {
	p := &plugin{in: bufio.NewReader(in), out: json.NewEncoder(out)}
	var greeting object
	if err := p.hear(&greeting); err != nil {
		return err
	}
	if err := p.out.Encode(object{"protocol": 1, "name": "documents"}); err != nil {
		return err
	}
	for {
		line, err := p.in.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return nil
		}
		var m message
		if err != nil || json.Unmarshal(line, &m) != nil {
			return errors.New("what the server said cannot be read")
		}
		said, err := p.answerCall(m)
		if errors.Is(err, errEnded) {
			continue
		}
		if err != nil {
			return err
		}
		said["id"] = m.ID
		if err := p.out.Encode(said); err != nil {
			return err
		}
	}
}

func main() {
	if err := run(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
