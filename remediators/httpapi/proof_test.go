package httpapi

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"sideledger/ledger"
	"sideledger/remediators"
)

// A 404 is absence, and proven only if the parent that the recipe names shows itself to the same credential. Without such
// a parent nothing is proven; a parent that gives no answer of use says nothing either way.
func TestNotFoundIsNoProof(t *testing.T) {
	for name, c := range map[string]struct {
		read   string // empty: with a gone_proof
		parent int
		proven bool
		class  ledger.CallClass // of the error of the look; empty: none
	}{
		"no parent named":     {read: `{"path":"/r/1"}`, parent: 200},
		"visible":             {parent: 200, proven: true},
		"answers, not as 200": {parent: 204},
		"moved":               {parent: 302},
		"hidden":              {parent: 404},
		"forbidden":           {parent: 403},
		"refused credential":  {parent: 401, class: ledger.CallAuth},
		"has no time":         {parent: 429, class: ledger.CallAnswered},
		"broken":              {parent: 500, class: ledger.CallAnswered},
	} {
		t.Run(name, func(t *testing.T) {
			web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/r/1" {
					w.WriteHeader(http.StatusNotFound)
				} else {
					w.WriteHeader(c.parent)
				}
			}))
			t.Cleanup(web.Close)
			e := entry(ledger.ActionCreate, "/r/1", "", `{"v":1}`)
			if c.read != "" {
				e.Read = raw(c.read)
			}
			seen, err := bind(t, remediators.SystemConfig{URL: web.URL, Credential: "env:TOKEN"}).Look(t.Context(), e)
			if class, _ := classOf(err); class != c.class || seen.Proven != c.proven {
				t.Errorf("proven %v, %v", seen.Proven, err)
			}
			if c.class == "" && (!seen.Known || !seen.Now.IsAbsent()) {
				t.Errorf("a 404 was read as %+v", seen)
			}
		})
	}
}
