package api

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"

	"sideledger/ledger"
)

// canary is what every text of a drawn request has in it: no error may repeat it.
const canary = "c4n4ry"

// A request's body as it is drawn and mutated: Go maps would lose order and duplicates.
type (
	object  []member
	array   []any
	rawJSON string // text that is put in as it is, whether it is JSON or not
	member  struct {
		name  string
		value any
	}
)

func encodeTree(b *strings.Builder, v any) {
	switch v := v.(type) {
	case object:
		b.WriteByte('{')
		for i, m := range v {
			if i > 0 {
				b.WriteByte(',')
			}
			encodeTree(b, m.name)
			b.WriteByte(':')
			encodeTree(b, m.value)
		}
		b.WriteByte('}')
	case array:
		b.WriteByte('[')
		for i, e := range v {
			if i > 0 {
				b.WriteByte(',')
			}
			encodeTree(b, e)
		}
		b.WriteByte(']')
	case rawJSON:
		b.WriteString(string(v))
	case nil:
		b.WriteString("null")
	default:
		raw, err := encodeBody(v)
		if err != nil {
			panic(err)
		}
		b.Write(raw)
	}
}

// nodes returns the places of all values in a tree, the root first.
func nodes(at *any) []*any {
	out := []*any{at}
	switch v := (*at).(type) {
	case object:
		for i := range v {
			out = append(out, nodes(&v[i].value)...)
		}
	case array:
		for i := range v {
			out = append(out, nodes(&v[i])...)
		}
	}
	return out
}

// A drawer draws valid requests from the document.
type drawer struct {
	*rand.Rand
	world *world
}

func (d *drawer) oneOf(list ...string) string { return list[d.IntN(len(list))] }

func (d *drawer) chance(percent int) bool { return d.IntN(100) < percent }

// value draws what a schema allows; name is the member or parameter that it is for.
func (d *drawer) value(name string, s *openapi3.Schema) any {
	switch {
	case len(s.OneOf) > 0:
		return d.value(name, s.OneOf[d.IntN(len(s.OneOf))].Value)
	case len(s.Enum) > 0:
		return s.Enum[d.IntN(len(s.Enum))]
	case s.Type.Is("string"):
		return d.text(name, s)
	case s.Type.Is("integer"):
		return d.number(s)
	case s.Type.Is("boolean"):
		return d.chance(50)
	case s.Type.Is("array"):
		return d.list(name, s)
	case s.Type.Is("object"):
		return d.object(name, s)
	default:
		return d.document(3)
	}
}

func (d *drawer) number(s *openapi3.Schema) any {
	least, most := int64(-5), int64(5000)
	if s.Min != nil {
		least = int64(*s.Min)
	}
	if s.Max != nil {
		most = int64(*s.Max)
	}
	return least + d.Int64N(most-least+1)
}

func (d *drawer) list(name string, s *openapi3.Schema) any {
	n := d.IntN(4)
	if s.MaxItems != nil {
		n = min(n, int(*s.MaxItems))
	}
	out := array{}
	for range max(n, int(s.MinItems)) {
		out = append(out, d.value(name, s.Items.Value))
	}
	return out
}

func (d *drawer) text(name string, s *openapi3.Schema) any {
	switch s.Format {
	case "uuid":
		if name == "id" {
			return ledger.NewID().String()
		}
		return d.world.entry(d.Rand)
	case "date-time":
		return d.oneOf("2026-01-02T03:04:05Z", "2026-01-02T03:04:05.999999999+14:00", "0000-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "2027-02-28T00:00:00-00:00")
	case "duration":
		return d.oneOf("60s", "1h30m", "500ms", "1ns", "24h", "1.5h", "0.000001s")
	}
	switch name {
	case "system":
		return d.oneOf("shelf", "shelf", "shelf", "shelf", canary)
	case "kind":
		return "shelf"
	case "only", "exclude":
		return d.oneOf("system=shelf", "kind=shelf", "tag="+canary, d.world.entry(d.Rand), strconv.Itoa(1+d.IntN(9)))
	case "to_entry":
		return d.oneOf(d.world.entry(d.Rand), strconv.Itoa(1+d.IntN(9)))
	case "method":
		return d.oneOf("GET", "PUT", "PUT", "PUT", "DELETE", canary)
	case "path":
		return "/" + strconv.Itoa(d.IntN(20))
	case "body_base64":
		return d.oneOf("AAEC/w==", "e30=", canary)
	case "plan":
		return "7-0011223344556677-" + canary
	case "owned", "masked", "volatile", "unordered":
		return d.oneOf("/v", "", "/a/0", "/"+canary, "/~0~1", "/é")
	}
	most := 40
	if s.MaxLength != nil {
		most = min(most, int(*s.MaxLength))
	}
	text := canary + d.oneOf("", " é", " \u2028<&>", " 漢字", " \U0001F600", "\t\r\n", " \u202e", " ﬁ")
	return string([]rune(text)[:min(most, len([]rune(text)))])
}

func (d *drawer) object(name string, s *openapi3.Schema) any {
	if name == "resource" {
		return object{{"path", "/" + strconv.Itoa(d.IntN(20))}, {"n", rawJSON(d.oneOf("1", "1.0", "0.1e1", "1e400", "18446744073709551616"))}}
	}
	out := object{}
	for _, key := range d.sorted(s.Properties) {
		if slices.Contains(s.Required, key) || d.chance(25) {
			out = append(out, member{key, d.value(key, s.Properties[key].Value)})
		}
	}
	if more := s.AdditionalProperties.Schema; more != nil {
		for i := range d.IntN(3) {
			out = append(out, member{fmt.Sprintf("%s %d", canary, i), d.value("", more.Value)})
		}
	}
	switch {
	case s.Properties["action"] == nil || d.chance(20):
	case s.Properties["after"] != nil:
		return d.sensible(out)
	default: // of a call, whose images the server takes
		drop := []string{"kind", "action", "resource", "before", "depends_on", "secret"}
		return slices.DeleteFunc(out, func(m member) bool { return slices.Contains(drop, m.name) })
	}
	return out
}

func (d *drawer) sorted(m openapi3.Schemas) []string {
	var out []string
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}

// sensible makes an entry that the domain takes: images that fit the action, dependencies that are there.
func (d *drawer) sensible(in object) object {
	action := d.oneOf("create", "update", "delete")
	images := map[string][2]any{
		"create": {nil, d.document(2)}, "update": {object{{"v", 1}}, object{{"v", rawJSON("2.0")}}}, "delete": {object{{"v", 1}}, nil},
	}[action]
	out := object{
		{"system", "shelf"},
		{"kind", "shelf"},
		{"action", action},
		{"before", images[0]},
		{"after", images[1]},
		{"resource", object{{"path", "/" + strconv.Itoa(d.IntN(20))}}},
	}
	drop := []string{"system", "kind", "action", "before", "after", "resource", "depends_on", "capture", "undo", "read", "guard", "async", "verify", "owned"}
	for _, m := range in {
		if !slices.Contains(drop, m.name) {
			out = append(out, m)
		}
	}
	return out
}

// document draws any JSON.
func (d *drawer) document(depth int) any {
	switch d.IntN(8) {
	case 0:
		return nil
	case 1:
		return d.chance(50)
	case 2:
		return rawJSON(d.oneOf("0", "-0", "1e400", "-1E-400", "9007199254740993", "18446744073709551616", "0.1e1", "1.10"))
	case 3:
		return canary + d.oneOf("", "\u0001", "é", "\u2029")
	case 4, 5:
		if depth == 0 {
			return object{}
		}
		return object{{"v", d.document(depth - 1)}, {d.oneOf("a", "", "é", "~", "/", canary), d.document(depth - 1)}}
	case 6:
		if depth == 0 {
			return array{}
		}
		return array{d.document(depth - 1), d.document(depth - 1)}
	default:
		return object{{"v", 2}}
	}
}
