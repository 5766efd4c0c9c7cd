package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/uuid"

	"sideledger/ledger"
)

// A schema is a compiled schema of the OpenAPI document. It checks JSON text in one pass, without building
// values; kin-openapi, which needs them, takes several times as long. A test holds both to the same
// verdicts.
type schema struct {
	any      bool
	kind     string // object, array, string, integer, number, boolean
	nullable bool
	enum     []string
	minLen   int
	maxLen   int // of a string in code points, or of an array or object in members; -1: no limit
	format   string
	min, max *float64
	items    *schema
	members  map[string]*schema
	required []string
	extra    *schema // of members without a name in members; nil: there may be none
	oneOf    []*schema
}

// keywords are those that compile knows, and those that say nothing about validity.
var keywords = []string{
	"type", "nullable", "enum", "minLength", "maxLength", "format", "minimum", "maximum", "minItems", "maxItems", "items",
	"properties", "required", "additionalProperties", "maxProperties", "oneOf", "description",
}

// compile returns an error for a schema that says more than it understands.
func compile(ref *openapi3.SchemaRef) (*schema, error) {
	s := ref.Value
	if err := checkKeywords(s); err != nil {
		return nil, err
	}
	out := &schema{nullable: s.Nullable, maxLen: -1, format: s.Format, min: s.Min, max: s.Max, required: s.Required}
	if len(s.Required) > 64 {
		return nil, fmt.Errorf("more than 64 required members")
	}
	switch types := s.Type.Slice(); {
	case len(types) == 1:
		out.kind = types[0]
	case len(types) > 1:
		return nil, fmt.Errorf("more than one type")
	case len(s.OneOf) == 0:
		out.any = true
		return out, nil
	}
	if err := out.compileText(s); err != nil {
		return nil, err
	}
	return out, out.compileParts(s)
}

func checkKeywords(s *openapi3.Schema) error {
	raw, err := s.MarshalJSON()
	if err != nil {
		return err
	}
	var set map[string]json.RawMessage
	if err := json.Unmarshal(raw, &set); err != nil {
		return err
	}
	for k := range set {
		if !slices.Contains(keywords, k) {
			return fmt.Errorf("keyword %s is not understood", k)
		}
	}
	return nil
}

func (s *schema) compileText(spec *openapi3.Schema) error {
	for _, v := range spec.Enum {
		text, ok := v.(string)
		if !ok {
			return fmt.Errorf("an enum of other things than strings")
		}
		s.enum = append(s.enum, text)
	}
	switch s.format {
	case "", "uuid", "date-time", "duration":
	default:
		return fmt.Errorf("format %s is not understood", s.format)
	}
	switch s.kind {
	case "string":
		s.limit(spec.MinLength, spec.MaxLength)
	case "array":
		s.limit(spec.MinItems, spec.MaxItems)
	case "object":
		s.limit(0, spec.MaxProps)
	}
	return nil
}

func (s *schema) limit(least uint64, most *uint64) {
	s.minLen = int(least) //nolint:gosec // limits of our own document
	if most != nil {
		s.maxLen = int(*most) //nolint:gosec // as above
	}
}

func (s *schema) compileParts(spec *openapi3.Schema) error {
	var err error
	if spec.Items != nil {
		if s.items, err = compile(spec.Items); err != nil {
			return fmt.Errorf("items: %w", err)
		}
	}
	s.members = map[string]*schema{}
	for name, ref := range spec.Properties {
		if s.members[name], err = compile(ref); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	if err := s.compileExtra(spec.AdditionalProperties); err != nil {
		return fmt.Errorf("additionalProperties: %w", err)
	}
	for i, ref := range spec.OneOf {
		one, err := compile(ref)
		if err != nil {
			return fmt.Errorf("oneOf/%d: %w", i, err)
		}
		s.oneOf = append(s.oneOf, one)
	}
	return nil
}

func (s *schema) compileExtra(more openapi3.AdditionalProperties) error {
	var err error
	switch {
	case more.Schema == nil && (more.Has == nil || *more.Has):
		s.extra = &schema{any: true, nullable: true}
	case more.Schema != nil:
		if s.extra, err = compile(more.Schema); err == nil && (s.extra.kind == "object" || s.extra.kind == "array") {
			return fmt.Errorf("type %s is not understood: a fault below would name what the caller chose", s.extra.kind)
		}
	}
	return err
}

// check returns an error of code invalid that names the first field that is wrong, and nothing of its
// value. raw is one valid JSON value without duplicate names.
func (s *schema) check(raw []byte) error {
	w := walker{dec: jsontext.NewDecoder(bytes.NewReader(raw), jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))}
	return w.value(s)
}

// checkText does the same for a value that stands outside JSON, in a query; field names it.
func (s *schema) checkText(field, text string) error {
	if s.kind != "integer" {
		return invalid(field, s.faultOfString(text))
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return ledger.Invalid(field, "want a whole number")
	}
	return invalid(field, s.faultOfNumber(float64(n)))
}

// invalid returns nil for no fault.
func invalid(field, fault string) error {
	if fault == "" {
		return nil
	}
	return ledger.Invalid(field, "%s", fault)
}

// A walker checks the tokens of one document.
type walker struct{ dec *jsontext.Decoder }

func (w walker) field() string { return string(w.dec.StackPointer()) }

// value checks the next value.
func (w walker) value(s *schema) error {
	k := w.dec.PeekKind()
	if k == 'n' {
		if err := w.dec.SkipValue(); err != nil {
			return err
		}
		if !s.nullable {
			return ledger.Invalid(w.field(), "must not be null; leave it out instead")
		}
		return nil
	}
	if len(s.oneOf) > 0 {
		return w.alternative(s, k)
	}
	if s.any {
		return w.dec.SkipValue()
	}
	if !s.takes(k) {
		if err := w.dec.SkipValue(); err != nil {
			return err
		}
		return ledger.Invalid(w.field(), "want %s", article(s.kind))
	}
	switch s.kind {
	case "object":
		return w.object(s)
	case "array":
		return w.array(s)
	default:
		return w.scalar(s)
	}
}

func article(kind string) string {
	if strings.ContainsRune("aio", rune(kind[0])) {
		return "an " + kind
	}
	return "a " + kind
}

// takes reports whether a value of kind k may have the schema's type.
func (s *schema) takes(k jsontext.Kind) bool {
	switch s.kind {
	case "object":
		return k == '{'
	case "array":
		return k == '['
	case "string":
		return k == '"'
	case "boolean":
		return k == 't' || k == 'f'
	default:
		return k == '0'
	}
}

// alternative picks the one schema whose type fits; the document's alternatives differ in type.
func (w walker) alternative(s *schema, k jsontext.Kind) error {
	for _, one := range s.oneOf {
		if one.takes(k) {
			return w.value(one)
		}
	}
	if err := w.dec.SkipValue(); err != nil {
		return err
	}
	return ledger.Invalid(w.field(), "has the wrong type")
}

func (w walker) scalar(s *schema) error {
	t, err := w.dec.ReadToken()
	if err != nil {
		return err
	}
	var fault string
	switch s.kind {
	case "string":
		fault = s.faultOfString(t.String())
	case "integer", "number":
		n, err := strconv.ParseFloat(t.String(), 64)
		if fault = s.faultOfNumber(n); err != nil {
			fault = "is out of range"
		}
	}
	if fault == "" {
		return nil
	}
	return invalid(w.field(), fault)
}

func (w walker) object(s *schema) error {
	if _, err := w.dec.ReadToken(); err != nil {
		return err
	}
	n, seen := 0, uint64(0)
	for w.dec.PeekKind() != '}' {
		name, err := w.dec.ReadToken()
		if err != nil {
			return err
		}
		text := name.String()
		m := s.members[text]
		if m == nil {
			m = s.extra
		}
		if m == nil {
			return unknownMember(w.field())
		}
		n++
		if i := slices.Index(s.required, text); i >= 0 {
			seen |= 1 << i
		}
		if err := w.value(m); err != nil {
			return unnamed(err, m == s.extra)
		}
	}
	if _, err := w.dec.ReadToken(); err != nil {
		return err
	}
	for i, name := range s.required {
		if seen&(1<<i) == 0 {
			return ledger.Invalid(w.field()+"/"+name, "is required")
		}
	}
	return w.length(s, n, "members")
}

// unnamed takes the name of the member that a fault is in out of the fault, if the caller chose that name: it
// is a value like any other.
func unnamed(err error, chosen bool) error {
	var e *ledger.Error
	if !chosen || !errors.As(err, &e) {
		return err
	}
	return ledger.Invalid(e.Field[:strings.LastIndexByte(e.Field, '/')], "one of its members: %s", e.Msg)
}

// unknownMember names a field that there is none of, if its name looks like one.
func unknownMember(field string) error {
	name := field[strings.LastIndexByte(field, '/')+1:]
	if len(name) > 64 || strings.ContainsFunc(name, func(r rune) bool { return !isNameRune(r) }) {
		field = strings.TrimSuffix(field, "/"+name)
		return ledger.Invalid(field, "has a field of a name that there is none of")
	}
	return ledger.Invalid(field, "there is no such field")
}

func isNameRune(r rune) bool {
	return r == '_' || r == '-' || r == '.' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z'
}

func (w walker) array(s *schema) error {
	if _, err := w.dec.ReadToken(); err != nil {
		return err
	}
	n := 0
	for w.dec.PeekKind() != ']' {
		n++
		if s.maxLen >= 0 && n > s.maxLen {
			if err := w.dec.SkipValue(); err != nil {
				return err
			}
			continue
		}
		if err := w.value(s.items); err != nil {
			return err
		}
	}
	if _, err := w.dec.ReadToken(); err != nil {
		return err
	}
	return w.length(s, n, "elements")
}

func (w walker) length(s *schema, n int, of string) error {
	fault := s.faultOfLength(n, of)
	if fault == "" {
		return nil
	}
	return invalid(w.field(), fault)
}

// The faultOf methods say what is wrong with a value; empty: nothing.

func (s *schema) faultOfLength(n int, of string) string {
	switch {
	case n < s.minLen:
		return fmt.Sprintf("want at least %d %s", s.minLen, of)
	case s.maxLen == 0 && n > 0:
		return "must be empty: this is not supported yet"
	case s.maxLen > 0 && n > s.maxLen:
		return fmt.Sprintf("want at most %d %s", s.maxLen, of)
	}
	return ""
}

func (s *schema) faultOfNumber(n float64) string {
	switch {
	case s.kind == "integer" && n != math.Trunc(n):
		return "want a whole number"
	case s.min != nil && n < *s.min:
		return fmt.Sprintf("want at least %g", *s.min)
	case s.max != nil && n > *s.max:
		return fmt.Sprintf("want at most %g", *s.max)
	}
	return ""
}

func (s *schema) faultOfString(text string) string {
	if s.minLen > 0 || s.maxLen >= 0 {
		if fault := s.faultOfLength(utf8.RuneCountInString(text), "characters"); fault != "" {
			return fault
		}
	}
	if len(s.enum) > 0 && !slices.Contains(s.enum, text) {
		return "want one of: " + strings.Join(s.enum, ", ")
	}
	return faultOfFormat(s.format, text)
}

func faultOfFormat(format, text string) string {
	switch format {
	case "uuid":
		if len(text) != 36 || uuid.Validate(text) != nil {
			return "want a UUID"
		}
	case "date-time":
		if _, err := time.Parse(time.RFC3339, text); err != nil {
			return "want a time as in RFC 3339: 2026-01-02T03:04:05Z"
		}
	case "duration":
		if _, err := time.ParseDuration(text); err != nil {
			return "want a duration such as 90s or 30m"
		}
	}
	return ""
}
