package api

import (
	_ "embed" // for the document below
	"fmt"
	"strings"
	"sync"

	"github.com/getkin/kin-openapi/openapi3"
)

// document is the OpenAPI document, kept by hand. What requests are checked against is compiled from it.
//
//go:embed openapi.yaml
var document []byte

// An operation is what the document says of one call.
type operation struct {
	spec   *openapi3.Operation
	body   *schema // nil: the call takes none
	query  map[string]*param
	pathID bool // it is about the thing named by {id}
}

// A param is one parameter of a query.
type param struct {
	schema *schema // an array: it may be given more than once
}

// A description is the loaded document. All APIs of a process share one: nobody changes it.
type description struct {
	doc        *openapi3.T
	json       []byte
	operations map[string]*operation // by method and path, as the router writes it: "GET /v1/windows/:id"
}

// describe returns the document, loaded once: that takes longer than all else at a start. An error is a mistake in the
// document.
var describe = sync.OnceValues(loadDocument)

func loadDocument() (*description, error) {
	doc, err := openapi3.NewLoader().LoadFromData(document)
	if err != nil {
		return nil, fmt.Errorf("load openapi.yaml: %w", err)
	}
	d := &description{doc: doc, operations: map[string]*operation{}}
	if d.json, err = doc.MarshalJSON(); err != nil {
		return nil, fmt.Errorf("write openapi.json: %w", err)
	}
	for path, item := range doc.Paths.Map() {
		for method, spec := range item.Operations() {
			op, err := compileOperation(spec, item.Parameters)
			if err != nil {
				return nil, fmt.Errorf("openapi.yaml: %s %s: %w", method, path, err)
			}
			d.operations[method+" "+routerPath(path)] = op
		}
	}
	return d, nil
}

// routerPath writes a path of the document as the router does.
func routerPath(path string) string {
	return strings.ReplaceAll(strings.ReplaceAll(path, "{", ":"), "}", "")
}

func compileOperation(spec *openapi3.Operation, shared openapi3.Parameters) (*operation, error) {
	op := &operation{spec: spec, query: map[string]*param{}}
	for _, list := range []openapi3.Parameters{shared, spec.Parameters} {
		for _, ref := range list {
			if err := op.add(ref.Value); err != nil {
				return nil, fmt.Errorf("parameter %s: %w", ref.Value.Name, err)
			}
		}
	}
	if spec.RequestBody == nil {
		return op, nil
	}
	media := spec.RequestBody.Value.Content.Get("application/json")
	if media == nil {
		return nil, fmt.Errorf("a body that is not JSON")
	}
	var err error
	op.body, err = compile(media.Schema)
	return op, err
}

func (op *operation) add(p *openapi3.Parameter) error {
	switch p.In {
	case openapi3.ParameterInPath:
		op.pathID = true
	case openapi3.ParameterInQuery:
		s, err := compile(p.Schema)
		if err != nil {
			return err
		}
		op.query[p.Name] = &param{schema: s}
	}
	return nil
}
