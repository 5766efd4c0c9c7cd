package api

import (
	stdjson "encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"

	"sideledger/ledger"
)

// The compiled schemas and kin-openapi come to the same verdict about every request body that the
// document describes: on values made from the schema, and on the same values with one thing changed.
func TestCompiledSchemasAgreeWithKinOpenAPI(t *testing.T) {
	d := loaded(t)
	good, bad := 0, 0
	for name, op := range d.operations {
		if op.body == nil {
			continue
		}
		spec := op.spec.RequestBody.Value.Content.Get("application/json").Schema.Value
		rnd := rand.New(rand.NewPCG(7, uint64(len(name))))
		for range schemaDefault {
			v := make1(rnd, spec)
			for range rnd.IntN(3) {
				v = mutate(rnd, v)
			}
			raw, err := stdjson.Marshal(v)
			if err != nil {
				t.Fatal(err)
			}
			var plain any
			if err := stdjson.Unmarshal(raw, &plain); err != nil {
				t.Fatal(err)
			}
			ours, theirs := op.body.check(raw), spec.VisitJSON(plain, formats()...)
			if (ours == nil) != (theirs == nil) {
				t.Fatalf("%s\n%s\nours: %v\ntheirs: %v", name, raw, ours, theirs)
			}
			if ours == nil {
				good++
			} else {
				bad++
			}
			if ours != nil && ledger.CodeOf(ours) != ledger.CodeInvalid {
				t.Fatalf("%s: %v", name, ours)
			}
		}
	}
	if least := schemaDefault * 2 / 3; good < least || bad < least {
		t.Errorf("%d good and %d bad values prove little", good, bad)
	}
}

// make1 makes a value that fits the schema, more or less.
func make1(rnd *rand.Rand, s *openapi3.Schema) any {
	if s.Nullable && rnd.IntN(4) == 0 {
		return nil
	}
	if len(s.OneOf) > 0 {
		return make1(rnd, s.OneOf[rnd.IntN(len(s.OneOf))].Value)
	}
	if len(s.Enum) > 0 {
		return s.Enum[rnd.IntN(len(s.Enum))]
	}
	kind := ""
	if types := s.Type.Slice(); len(types) > 0 {
		kind = types[0]
	}
	switch kind {
	case "object":
		return makeObject(rnd, s)
	case "array":
		out := []any{}
		for range rnd.IntN(3) {
			out = append(out, make1(rnd, s.Items.Value))
		}
		return out
	case "string":
		return makeString(rnd, s)
	case "integer":
		return rnd.IntN(5) - 1
	case "boolean":
		return rnd.IntN(2) == 0
	default:
		return []any{nil, 1.5, "x", map[string]any{"a": []any{1, nil}}, []any{}, true}[rnd.IntN(6)]
	}
}

func makeObject(rnd *rand.Rand, s *openapi3.Schema) any {
	out := map[string]any{}
	for name, ref := range s.Properties {
		if slices.Contains(s.Required, name) || rnd.IntN(3) == 0 {
			out[name] = make1(rnd, ref.Value)
		}
	}
	if ref := s.AdditionalProperties.Schema; ref != nil {
		out["label"] = make1(rnd, ref.Value)
	}
	if has := s.AdditionalProperties.Has; has != nil && *has {
		out["free"] = []any{nil, 1, "x"}[rnd.IntN(3)]
	}
	return out
}

func makeString(rnd *rand.Rand, s *openapi3.Schema) string {
	switch s.Format {
	case "uuid":
		return ledger.NewID().String()
	case "date-time":
		return []string{"2026-01-02T03:04:05Z", "2026-01-02T03:04:05.123+02:00", "2026-01-02"}[rnd.IntN(3)]
	case "duration":
		return []string{"1s", "30m", "1h2m3s", "60"}[rnd.IntN(4)]
	}
	n := 1 + rnd.IntN(5)
	rare := 10
	if s.MaxLength != nil && *s.MaxLength > 10_000 {
		rare = 100 // megabytes of one letter
	}
	if s.MaxLength != nil && rnd.IntN(rare) == 0 {
		n = int(*s.MaxLength) + rnd.IntN(2)
	}
	return strings.Repeat([]string{"x", "é", "𝄞"}[rnd.IntN(3)], n)
}

// mutate changes one thing somewhere in v.
func mutate(rnd *rand.Rand, v any) any {
	other := []any{nil, true, 7, -1, 1.5, 1e300, "", "x", "0199f7a2-0000-7000-8000-000000000000", []any{}, map[string]any{}, []any{"a", 1}}
	switch c := v.(type) {
	case map[string]any:
		names := make([]string, 0, len(c))
		for name := range c {
			names = append(names, name)
		}
		slices.Sort(names)
		switch {
		case len(names) == 0 || rnd.IntN(4) == 0:
			c[fmt.Sprintf("n%d", rnd.IntN(3))] = other[rnd.IntN(len(other))]
		case rnd.IntN(4) == 0:
			delete(c, names[rnd.IntN(len(names))])
		default:
			name := names[rnd.IntN(len(names))]
			c[name] = mutate(rnd, c[name])
		}
		return c
	case []any:
		if len(c) > 0 && rnd.IntN(2) == 0 {
			i := rnd.IntN(len(c))
			c[i] = mutate(rnd, c[i])
			return c
		}
		return append(c, other[rnd.IntN(len(other))])
	default:
		return other[rnd.IntN(len(other))]
	}
}

// A schema that says more than compile understands is refused at start, not half obeyed.
func TestUnknownKeywordsAreRefused(t *testing.T) {
	for name, s := range map[string]*openapi3.Schema{
		"allOf":       {AllOf: openapi3.SchemaRefs{{Value: openapi3.NewStringSchema()}}},
		"uniqueItems": {Type: &openapi3.Types{"array"}, Items: openapi3.NewSchemaRef("", openapi3.NewStringSchema()), UniqueItems: true},
		"format":      openapi3.NewStringSchema().WithFormat("email"),
		"enum":        openapi3.NewIntegerSchema().WithEnum(1),
		"pattern":     openapi3.NewStringSchema().WithPattern("a"),
		"below":       openapi3.NewObjectSchema().WithProperty("a", openapi3.NewStringSchema().WithFormat("email")),
	} {
		if _, err := compile(openapi3.NewSchemaRef("", s)); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
}

func FuzzBody(f *testing.F) {
	f.Add([]byte(sampleEntry))
	f.Add([]byte(`{"system":"s","kind":"k","action":"create","resource":{},"before":null,"depends_on":["x"]}`))
	f.Add([]byte(`{"a":"\u0000","b":[[[{}]]]}`))
	op := loaded(f).operations["POST /v1/windows/:id/entries"]
	f.Fuzz(func(t *testing.T, raw []byte) {
		compact, err := compactJSON(slices.Clone(raw))
		if err != nil {
			if code := ledger.CodeOf(err); code != ledger.CodeMalformed && code != ledger.CodeInvalid {
				t.Fatal(err)
			}
			return
		}
		if !stdjson.Valid(compact) {
			t.Fatalf("%s became %s", raw, compact)
		}
		if err := op.body.check(compact); err != nil && ledger.CodeOf(err) != ledger.CodeInvalid {
			t.Fatalf("%s: %v", raw, err)
		}
	})
}
