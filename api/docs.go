package api

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	_ "embed" // for the page below
	"encoding/base64"
	"html/template"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
)

//go:embed docs.html
var docsTemplate string

//go:embed docs.css
var docsStyle string

// A page is a rendered document and the content security policy that its one style needs.
type page struct {
	html   []byte
	policy string
}

type docsPage struct {
	Title, Intro string
	Style        template.CSS
	Calls        []docsCall
	Problems     []docsProblem
}

type docsCall struct {
	ID, Method, Path, Summary, Text, Role string
	Recorder                              bool
	Params                                []docsParam
	Fields                                []docsField
	Answers                               []string
}

type docsParam struct{ Name, In, Type, Text string }

type docsField struct {
	Name, Type, Text string
	Required         bool
}

type docsProblem struct {
	Anchor, Code, Title, Detail string // Anchor: empty where the code had one before
	Status                      int
}

// renderDocs renders the OpenAPI document for people: one page without script, font or picture.
func renderDocs(doc *openapi3.T) (page, error) {
	t, err := template.New("docs").Parse(docsTemplate)
	if err != nil {
		return page{}, err
	}
	p := docsPage{
		Title: doc.Info.Title, Intro: doc.Info.Description, Problems: problemTable(),
		Style: template.CSS(docsStyle), //nolint:gosec // our own style sheet
	}
	for _, path := range doc.Paths.InMatchingOrder() {
		item := doc.Paths.Value(path)
		for _, method := range []string{http.MethodGet, http.MethodPost} {
			if op := item.GetOperation(method); op != nil {
				p.Calls = append(p.Calls, docsCallOf(method, path, op, item.Parameters))
			}
		}
	}
	slices.SortStableFunc(p.Calls, func(a, b docsCall) int {
		return cmp.Or(cmp.Compare(order(a.Path), order(b.Path)), cmp.Compare(a.Path, b.Path))
	})
	var b bytes.Buffer
	if err := t.Execute(&b, p); err != nil {
		return page{}, err
	}
	sum := sha256.Sum256([]byte(docsStyle))
	return page{
		html:   b.Bytes(),
		policy: "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
	}, nil
}

// order puts the calls of /v1 first.
func order(path string) int {
	if strings.HasPrefix(path, "/v1/") {
		return 0
	}
	return 1
}

func problemTable() []docsProblem {
	var out []docsProblem
	for _, row := range answerOf {
		out = append(out, docsProblem{row.code, row.code, row.title, row.detail, row.status})
	}
	slices.SortFunc(out, func(a, b docsProblem) int { return cmp.Compare(a.Status, b.Status) })
	seen := map[string]bool{}
	for i := range out {
		if seen[out[i].Code] {
			out[i].Anchor = ""
		}
		seen[out[i].Code] = true
	}
	return out
}

func docsCallOf(method, path string, op *openapi3.Operation, shared openapi3.Parameters) docsCall {
	c := docsCall{ID: op.OperationID, Method: method, Path: path, Summary: op.Summary, Text: op.Description}
	c.Role, _ = op.Extensions["x-role"].(string)
	c.Recorder, _ = op.Extensions["x-recorder"].(bool)
	for _, p := range append(slices.Clone(shared), op.Parameters...) {
		c.Params = append(c.Params, docsParam{p.Value.Name, p.Value.In, typeOf(p.Value.Schema), p.Value.Description})
	}
	if op.RequestBody != nil {
		s := op.RequestBody.Value.Content.Get("application/json").Schema.Value
		for _, name := range slices.Sorted(maps.Keys(s.Properties)) {
			ref := s.Properties[name]
			c.Fields = append(c.Fields, docsField{name, typeOf(ref), ref.Value.Description, slices.Contains(s.Required, name)})
		}
	}
	for _, status := range slices.Sorted(maps.Keys(op.Responses.Map())) {
		text := ""
		if d := op.Responses.Value(status).Value.Description; d != nil {
			text = strings.TrimSuffix(*d, ".")
		}
		c.Answers = append(c.Answers, strings.Replace(status, "default", "otherwise", 1)+" "+text)
	}
	return c
}

// typeOf names a schema's type in a word or two.
func typeOf(ref *openapi3.SchemaRef) string {
	s := ref.Value
	switch {
	case len(s.Enum) > 0:
		var words []string
		for _, v := range s.Enum {
			words = append(words, strconv.Quote(v.(string)))
		}
		return strings.Join(words, ", ")
	case s.Items != nil:
		return "list of " + typeOf(s.Items)
	case len(s.OneOf) > 0:
		var words []string
		for _, one := range s.OneOf {
			words = append(words, typeOf(one))
		}
		return strings.Join(words, " or ")
	case s.Format != "":
		return s.Format
	case len(s.Type.Slice()) == 1:
		return s.Type.Slice()[0]
	default:
		return "any"
	}
}
