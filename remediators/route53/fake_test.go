package route53

import (
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
)

// zones is a Route 53 that enforces what is known of the real one: a batch is carried out whole or not at all, a delete has to
// name every value, a set is made only where none is, sets of one name and type have identifiers all or none, names come back
// in small letters, with their dot and with escapes, and a change is at all name servers only after a while.
type zones struct {
	t       testing.TB
	URL     string
	mu      sync.Mutex
	kept    map[string][]set // by zone, in the order of the list
	rounds  int              // how often a change is asked about before it is INSYNC
	asked   int
	batches int    // carried out
	once    string // the code of the next answer to a batch
	lose    bool
	extra   string // put into each set that is shown
	page    int
}

func startZones(t testing.TB) *zones {
	t.Helper()
	z := &zones{t: t, kept: map[string][]set{"Z1": {}}, rounds: 2, page: 300}
	web := httptest.NewServer(z)
	t.Cleanup(web.Close)
	z.URL = web.URL
	return z
}

// ServeHTTP implements [http.Handler].
func (z *zones) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	z.mu.Lock()
	defer z.mu.Unlock()
	if !strings.HasPrefix(r.Header.Get("Authorization"), "AWS4-HMAC-SHA256 Credential="+keyID+"/") {
		z.t.Errorf("%s %s is not signed", r.Method, r.URL)
	}
	status, answer := z.answer(r, body)
	if r.Method == http.MethodPost && status == 200 && z.lose {
		z.lose = false
		panic(http.ErrAbortHandler)
	}
	w.Header().Set("Content-Type", "text/xml")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, xml.Header+answer)
}

func failure(code string) string {
	return `<ErrorResponse xmlns="` + namespace + `"><Error><Type>Sender</Type><Code>` + code + `</Code><Message>for people</Message></Error><RequestId>1</RequestId></ErrorResponse>`
}

func (z *zones) answer(r *http.Request, body []byte) (status int, answer string) {
	if id, ok := strings.CutPrefix(r.URL.Path, "/2013-04-01/change/"); ok {
		z.asked++
		state := "PENDING"
		if z.asked >= z.rounds {
			state = "INSYNC"
		}
		return 200, `<GetChangeResponse xmlns="` + namespace + `"><ChangeInfo><Id>/change/` + id + `</Id><Status>` + state + `</Status></ChangeInfo></GetChangeResponse>`
	}
	zone, rest, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/2013-04-01/hostedzone/"), "/")
	list, ok := z.kept[zone]
	switch {
	case !ok:
		return 404, failure("NoSuchHostedZone")
	case r.Method == http.MethodGet && rest == "rrset":
		return 200, z.list(list, r)
	case r.Method != http.MethodPost || rest != "rrset/":
		return 404, failure("UnknownOperationException")
	case z.once != "":
		code := z.once
		z.once = ""
		return 400, failure(code)
	}
	next, why := apply(list, body)
	if why != "" {
		return 400, `<InvalidChangeBatch xmlns="` + namespace + `"><Messages><Message>` + why + `</Message></Messages></InvalidChangeBatch>`
	}
	z.kept[zone] = next
	z.batches++
	return 200, pending
}

func keyOf(s set) string { return plain(s.Name) + " " + s.Type + " " + s.SetIdentifier }

// apply carries a batch out, or says why not.
func apply(list []set, body []byte) (next []set, why string) {
	var b batch
	if xml.Unmarshal(body, &b) != nil || b.XMLName.Space != namespace || len(b.Changes) == 0 {
		return nil, "no batch"
	}
	next = slices.Clone(list)
	for _, c := range b.Changes {
		i := slices.IndexFunc(next, func(s set) bool { return keyOf(s) == keyOf(*c.Set) })
		switch {
		case c.Action == "DELETE" && i < 0:
			return nil, "Tried to delete resource record set but it was not found"
		case c.Action == "DELETE" && string(next[i].image().JSON) != string(c.Set.image().JSON):
			return nil, "Tried to delete resource record set but the values provided do not match the current values"
		case c.Action == "CREATE" && i >= 0:
			return nil, "Tried to create resource record set but it already exists"
		case c.Set.AliasTarget == nil && (c.Set.TTL == nil || len(c.Set.ResourceRecords) == 0) || c.Set.AliasTarget != nil && c.Set.TTL != nil:
			return nil, "a set has TTL and records, or an alias"
		}
		if i >= 0 {
			next = slices.Delete(next, i, i+1)
		}
		if c.Action == "DELETE" {
			continue
		}
		if slices.ContainsFunc(next, func(s set) bool {
			return plain(s.Name)+s.Type == plain(c.Set.Name)+c.Set.Type && (s.SetIdentifier == "") != (c.Set.SetIdentifier == "")
		}) {
			return nil, "RRSet with DNS name already has sets of another policy"
		}
		s := *c.Set
		s.Name = strings.ReplaceAll(plain(s.Name), "*", `\052`)
		next = append(next, s)
	}
	slices.SortFunc(next, func(a, b set) int { return strings.Compare(keyOf(a), keyOf(b)) })
	return next, ""
}

// list is a page that begins at a set.
func (z *zones) list(list []set, r *http.Request) string {
	q := r.URL.Query()
	if q.Get("identifier") != "" && q.Get("type") == "" || q.Get("type") != "" && q.Get("name") == "" {
		z.t.Errorf("a list cannot begin at %s", r.URL.RawQuery)
	}
	from := strings.TrimSpace(q.Get("name") + " " + q.Get("type") + " " + q.Get("identifier"))
	if q.Get("name") != "" {
		from = plain(q.Get("name")) + strings.TrimPrefix(from, q.Get("name"))
	}
	most := min(z.page, map[string]int{"10": 10, "300": 300}[q.Get("maxitems")])
	var out []string
	next := ""
	for _, s := range list {
		if keyOf(s) < from {
			continue
		}
		if len(out) == most {
			next = "<NextRecordName>" + s.Name + "</NextRecordName><NextRecordType>" + s.Type + "</NextRecordType>"
			if s.SetIdentifier != "" {
				next += "<NextRecordIdentifier>" + s.SetIdentifier + "</NextRecordIdentifier>"
			}
			break
		}
		raw, _ := xml.Marshal(s)
		out = append(out, strings.Replace(string(raw), "</Type>", "</Type>"+z.extra, 1))
	}
	return `<ListResourceRecordSetsResponse xmlns="` + namespace + `"><ResourceRecordSets>` + strings.Join(out, "") + `</ResourceRecordSets><IsTruncated>` +
		fmt.Sprint(next != "") + `</IsTruncated>` + next + `<MaxItems>300</MaxItems></ListResourceRecordSetsResponse>`
}

// put makes a set say this, whatever it said; "": it is not there.
func (z *zones) put(n name, doc string) {
	z.t.Helper()
	z.mu.Lock()
	defer z.mu.Unlock()
	z.kept[n.Zone] = slices.DeleteFunc(z.kept[n.Zone], func(s set) bool { return n.is(&s) })
	if doc == "" {
		return
	}
	s := parsed(z.t, doc)
	s.Name, s.Type, s.SetIdentifier = n.Owner, n.Type, n.Set
	body, _ := xml.Marshal(batch{Space: namespace, Changes: []change{{"CREATE", s}}})
	next, why := apply(z.kept[n.Zone], body)
	if why != "" {
		z.t.Fatal(why)
	}
	z.kept[n.Zone] = next
}

// want fails unless a set says this; "": it is not there.
func (z *zones) want(n name, doc string) {
	z.t.Helper()
	z.mu.Lock()
	defer z.mu.Unlock()
	i := slices.IndexFunc(z.kept[n.Zone], func(s set) bool { return n.is(&s) })
	got := ""
	if i >= 0 {
		got = string(z.kept[n.Zone][i].image().JSON)
	}
	if doc != "" {
		doc = string(parsed(z.t, doc).image().JSON)
	}
	if got != doc {
		z.t.Errorf("%s %s is %s, want %s", n.Owner, n.Set, got, doc)
	}
}
