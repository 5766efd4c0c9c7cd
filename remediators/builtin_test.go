package remediators

import (
	"errors"
	"testing"

	"sideledger/ledger"
)

func TestCheckKind(t *testing.T) {
	recipe := []byte(`{"method":"GET"}`)
	for _, c := range []struct {
		name  string
		draft ledger.Draft
		field string // "" is taken
	}{
		{"its own kind", ledger.Draft{Kind: "a.x"}, ""},
		{"null says nothing", ledger.Draft{Kind: "a.y", Undo: []byte("null")}, ""},
		{"another's kind", ledger.Draft{Kind: "b.x"}, "/kind"},
		{"undo", ledger.Draft{Kind: "a.x", Undo: recipe}, "/undo"},
		{"read", ledger.Draft{Kind: "a.x", Read: recipe}, "/read"},
		{"guard", ledger.Draft{Kind: "a.x", Guard: recipe}, "/guard"},
		{"async", ledger.Draft{Kind: "a.x", Async: recipe}, "/async"},
		{"verify", ledger.Draft{Kind: "a.x", Verify: recipe}, "/verify"},
		{"the first of two", ledger.Draft{Kind: "a.x", Verify: recipe, Undo: recipe}, "/undo"},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := CheckKind(&c.draft, "a.x", "a.y")
			var e *ledger.Error
			if errors.As(err, &e) != (c.field != "") || e != nil && (e.Field != c.field || e.Code != ledger.CodeInvalid) {
				t.Errorf("%v, want field %q", err, c.field)
			}
		})
	}
}

func TestCheckBinding(t *testing.T) {
	for _, c := range []struct {
		name    string
		binding Binding
		field   string
	}{
		{"as it should be", Binding{Client: &Client{}}, ""},
		{"no url", Binding{}, "url"},
		{"a profile", Binding{Client: &Client{}, Config: SystemConfig{Profile: "caddy"}}, "profile"},
		{"commands", Binding{Client: &Client{}, Config: SystemConfig{Commands: map[string]CommandConfig{"x": {}}}}, "commands"},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := CheckBinding(c.binding, "where it answers")
			var e *FieldError
			if errors.As(err, &e) != (c.field != "") || e != nil && e.Field != c.field {
				t.Errorf("%v, want field %q", err, c.field)
			}
		})
	}
}
