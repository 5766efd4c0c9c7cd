package ledger

import (
	"encoding/json"
	"testing"
)

func img(s string) Image {
	if s == "" {
		return Image{}
	}
	return Image{JSON: json.RawMessage(s)}
}

func TestCompare(t *testing.T) {
	for name, c := range map[string]struct {
		before, after, now string
		scope              Scope
		isBefore, isAfter  bool
	}{
		"before":                         {`{"v":1}`, `{"v":2}`, `{"v":1}`, Scope{}, true, false},
		"after":                          {`{"v":1}`, `{"v":2}`, `{"v":2}`, Scope{}, false, true},
		"neither":                        {`{"v":1}`, `{"v":2}`, `{"v":3}`, Scope{}, false, false},
		"server adds a member":           {`{"v":1}`, `{"v":2}`, `{"id":9,"v":2,"at":"x"}`, Scope{}, false, true},
		"member in one image only":       {`{"v":1}`, `{"v":1,"w":2}`, `{"v":1,"w":2}`, Scope{}, false, true},
		"that member gone":               {`{"v":1}`, `{"v":1,"w":2}`, `{"v":1}`, Scope{}, true, false},
		"nested member added is drift":   {`{"c":{"a":1}}`, `{"c":{"a":2}}`, `{"c":{"a":2,"b":1}}`, Scope{}, false, false},
		"null is not absent":             {`{"v":null}`, `{"w":1}`, `{}`, Scope{}, false, false},
		"null is null":                   {`{"v":null}`, `{"v":1}`, `{"v":null}`, Scope{}, true, false},
		"numbers by value":               {`{"v":1.0E+2}`, `{"v":5}`, `{"v":100}`, Scope{}, true, false},
		"big numbers exact":              {`{"v":9007199254740993}`, `{"v":9007199254740992}`, `{"v":9007199254740993}`, Scope{}, true, false},
		"huge exponent":                  {`{"v":1e999999999}`, `{"v":1e999999998}`, `{"v":10e999999998}`, Scope{}, true, false},
		"number is not string":           {`{"v":1}`, `{"v":2}`, `{"v":"1"}`, Scope{}, false, false},
		"created and gone":               {`null`, `{"v":2}`, `null`, Scope{}, true, false},
		"created and there":              {`null`, `{"v":2}`, `{"v":2,"id":1}`, Scope{}, false, true},
		"deleted and there again":        {`{"v":2}`, `null`, `{"v":2}`, Scope{}, true, false},
		"update and gone":                {`{"v":1}`, `{"v":2}`, `null`, Scope{}, false, false},
		"scalar":                         {`"a"`, `"b"`, `"b"`, Scope{}, false, true},
		"array order counts":             {`[1,2]`, `[3]`, `[2,1]`, Scope{}, false, false},
		"unordered":                      {`{"e":[1,2]}`, `{"e":[3]}`, `{"e":[2,1]}`, Scope{Unordered: []string{"/e"}}, true, false},
		"unordered counts copies":        {`{"e":[1,1,2]}`, `{"e":[3]}`, `{"e":[1,2,2]}`, Scope{Unordered: []string{"/e"}}, false, false},
		"volatile":                       {`{"v":1,"t":1}`, `{"v":2,"t":2}`, `{"v":2,"t":7}`, Scope{Volatile: []string{"/t"}}, false, true},
		"masked below":                   {`{"c":{"u":1,"s":"x"}}`, `{"c":{"u":2,"s":"y"}}`, `{"c":{"u":2,"s":"***"}}`, Scope{Masked: []string{"/c/s"}}, false, true},
		"owned leaves the rest out":      {`{"a":1,"b":1}`, `{"a":2,"b":1}`, `{"a":2,"b":9}`, Scope{Owned: []string{"/a"}}, false, true},
		"owned nested":                   {`{"c":{"u":1}}`, `{"c":{"u":2}}`, `{"c":{"u":1,"x":3}}`, Scope{Owned: []string{"/c/u"}}, true, false},
		"unknown before":                 {``, `{"v":2}`, `{"v":2}`, Scope{}, false, true},
		"unknown now":                    {`{"v":1}`, `{"v":2}`, ``, Scope{}, false, false},
		"no-op entry":                    {`{"v":1}`, `{"v":1}`, `{"v":1}`, Scope{}, true, true},
		"member with slash":              {`{"a/b":1}`, `{"a/b":2}`, `{"a/b":2}`, Scope{}, false, true},
		"html and unicode by code point": {`{"v":"\u003c"}`, `{"v":"x"}`, `{"v":"<"}`, Scope{}, true, false},
	} {
		got := Compare(img(c.before), img(c.after), img(c.now), c.scope)
		if got.Before != c.isBefore || got.After != c.isAfter {
			t.Errorf("%s: before %v after %v, want %v %v", name, got.Before, got.After, c.isBefore, c.isAfter)
		}
	}
}

func TestDigestFollowsWhatIsOwned(t *testing.T) {
	scope := Scope{Volatile: []string{"/t"}, Unordered: []string{"/e"}}
	d := func(now string) string {
		return Compare(img(`{"v":1,"t":0,"e":[]}`), img(`{"v":2,"t":0,"e":[]}`), img(now), scope).Digest
	}
	base := d(`{"v":3,"e":[1,2],"t":1}`)
	for name, same := range map[string]string{
		"order, number form, volatile": `{"t":5,"e":[2,1.0],"v":30e-1}`,
		"server adds":                  `{"v":3,"e":[1,2],"t":1,"new":true}`,
	} {
		if d(same) != base {
			t.Errorf("%s: digest changed", name)
		}
	}
	if d(`{"v":4,"e":[1,2],"t":1}`) == base {
		t.Error("another value has the same digest")
	}
	if d("null") != "absent" || d("") != "" {
		t.Error("absence or not known has a wrong digest")
	}
}
