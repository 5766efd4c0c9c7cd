package httpapi

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"sideledger/ledger"
	"sideledger/remediators"
)

// paged reads the list of a profile made for one dialect of paging, from a third party that keeps a, b and c.
func paged(t *testing.T, dialect string, answerFunc func(r *http.Request) string) (held string, part bool) {
	t.Helper()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, answerFunc(r)) }))
	defer srv.Close()
	p, err := parseProfile("x", []byte("name: x\nabout: y\nkinds:\n  x.a: {about: z, resource: {key: [id]}, read: {path: /a}, list: {path: \"/a?n=2\", items: /items, resource: {id: \"{{now.id}}\"}, "+dialect+"}}"))
	if err != nil {
		t.Fatal(err)
	}
	_, bare := bindBare(t, remediators.SystemConfig{URL: srv.URL + "/base"})
	bare.profile = p
	got, err := bare.List(t.Context(), "x.a", json.RawMessage(`{}`))
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, one := range got.Items {
		ids = append(ids, named(string(one.Resource), "id"))
	}
	return strings.Join(ids, ""), got.Part
}

// A next page is found in each dialect, with the parameters of the first, and the end of the list is known for one.
func TestPaging(t *testing.T) {
	const first, last = `{"items":[{"id":"a"},{"id":"b"}]`, `{"items":[{"id":"c"}]`
	for name, c := range map[string]struct {
		dialect string
		asked   string // the query of the second page
		says    string // what the first page says
		ends    string // what the last page says
	}{
		"address":          {"more: /next", "n=2&page=2", `,"next":"/base/a?n=2&page=2"`, `,"next":null`},
		"no address":       {"more: /next", "n=2&page=2", `,"next":"/base/a?n=2&page=2"`, ``},
		"token":            {"more: /token, token: pageToken", "n=2&pageToken=t%2B1", `,"token":"t+1"`, `,"token":""`},
		"offset":           {"offset: \"page[offset]\", total: /meta/all", "n=2&page%5Boffset%5D=2", `,"meta":{"all":3}`, `,"meta":{"all":3}`},
		"offset and more":  {"offset: o, more: /more", "n=2&o=2", `,"more":true`, `,"more":false`},
		"after its last":   {"more: /more, after: {from: /id}", "from=b&n=2", `,"more":true`, `,"more":false`},
		"tombstones count": {"offset: o, total: /all, gone_when: {pointer: /id, in: [b]}", "n=2&o=2", `,"all":3`, `,"all":3`},
	} {
		asked := ""
		held, part := paged(t, c.dialect, func(r *http.Request) string {
			if r.URL.RawQuery == "n=2" {
				return first + c.says + "}"
			}
			asked += r.URL.Path + "?" + r.URL.RawQuery
			return last + c.ends + "}"
		})
		if want := map[bool]string{true: "ac", false: "abc"}[name == "tombstones count"]; held != want || part || asked != "/base/a?"+c.asked {
			t.Errorf("%s: holds %s (part %t) after %s", name, held, part, asked)
		}
	}
}

// What is shown after it has gone is not listed, and a page that somebody else would answer is not asked for.
func TestPagingLeavesOut(t *testing.T) {
	held, part := paged(t, "gone_when: {pointer: /state/is, in: [gone]}", func(*http.Request) string {
		return `{"items":[{"id":"a"},{"id":"b","state":{"is":"gone"}}]}`
	})
	if held != "a" || part {
		t.Errorf("holds %s, part %t", held, part)
	}
	held, part = paged(t, "offset: o, total: /all", func(*http.Request) string { return `{"items":[]}` })
	if held != "" || !part {
		t.Errorf("of a list that does not say how long it is it holds %s, part %t", held, part)
	}
	held, part = paged(t, "more: /next", func(*http.Request) string { return `{"items":[{"id":"a"}],"next":"https://elsewhere.example/a"}` })
	if held != "a" || !part {
		t.Errorf("of a list that goes on elsewhere it holds %s, part %t", held, part)
	}
}

func TestPagingIsReadStrictly(t *testing.T) {
	for dialect, want := range map[string]string{
		"token: t":                            "token needs more",
		"offset: o":                           "offset and total",
		"total: /x":                           "offset and total",
		"more: /x, token: t, after: {a: /id}": "one of after, token and offset",
		"gone_when: {pointer: /x}":            "gone_when",
		"gone_when: {pointer: x, in: [1]}":    "gone_when",
	} {
		text := fmt.Sprintf("name: x\nabout: y\nkinds:\n  x.a: {about: z, resource: {key: [id]}, read: {path: /a}, list: {path: /a, items: \"\", resource: {id: \"{{now.id}}\"}, %s}}", dialect)
		if _, err := parseProfile("x", []byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", dialect, err, want)
		}
	}
}

// Calls with one address are told apart by what they say, and a name within a name is found.
func TestEffectsThatSayTheirKind(t *testing.T) {
	rem := bindGear(t, "http://127.0.0.1:1")
	k := rem.profile.kinds["gear.item"]
	x := &effect{Call: "POST /things", Action: "create", When: map[string]any{"/type/is": "item"}, Body: map[string]string{"id": "/name|last"}}
	if err := x.check(k); err != nil {
		t.Fatal(err)
	}
	k.Effects = append(k.Effects, x)
	for body, want := range map[string]string{
		`{"type":{"is":"item"},"name":"boxes/b/items/7"}`: `"7"`,
		`{"type":{"is":"item"},"name":"7"}`:               `"7"`,
		`{"type":{"is":"box"},"name":"7"}`:                "",
		`{"name":"7"}`:                                    "",
		`no document`:                                     "",
	} {
		m, why := k.match("gear.item", ledger.EffectCall{Method: "POST", Path: "/things", Body: []byte(body)})
		if (m == nil) != (want == "") || m != nil && string(m.members["id"]) != want {
			t.Errorf("%s: %+v %s, want %s", body, m, why, want)
		}
	}
	for _, bad := range []*effect{
		{Call: "POST /things", Action: "create", When: map[string]any{"type": "item"}, Body: map[string]string{"id": "/name"}},
		{Call: "POST /things", Action: "create", Body: map[string]string{"id": "/name|first"}},
	} {
		if err := bad.check(k); bad.When != nil && err == nil {
			t.Errorf("%+v is taken", bad)
		}
	}
}
