package route53

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"sideledger/ledger"
	"sideledger/remediators/windowtest"
)

func parsed(t testing.TB, doc string) *set {
	t.Helper()
	s, err := parseImage("", ledger.Image{JSON: json.RawMessage(doc)})
	if err != nil || s == nil {
		t.Fatalf("%s: %v", doc, err)
	}
	return s
}

func www(kind, identifier string) name {
	return name{Zone: "Z1", Owner: "www.example.com.", Type: kind, Set: identifier}
}

func begin(t *testing.T) (*zones, *windowtest.Window) {
	t.Helper()
	z := startZones(t)
	s := setup.At(z.URL)
	s.Config.Effects = []string{"POST /2013-04-01/hostedzone/*"}
	return z, s.Open(t)
}

func a(ttl int, ips ...string) string {
	var list []string
	for _, ip := range ips {
		list = append(list, `{"Value":"`+ip+`"}`)
	}
	return fmt.Sprintf(`{"TTL":%d,"ResourceRecords":[%s]}`, ttl, strings.Join(list, ","))
}

const aliased = `{"AliasTarget":{"HostedZoneId":"Z2FDTNDATAQYW2","DNSName":"D1.cloudfront.net","EvaluateTargetHealth":false}}`

// effect records an effect whose images are captured, and makes it.
func effect(z *zones, w *windowtest.Window, action ledger.Action, n name, after string) *ledger.Entry {
	w.T.Helper()
	e := w.Record(ledger.Draft{System: "dns", Kind: Kind, Action: action, State: ledger.EntryIntended, Capture: true, Resource: n.resource()})
	z.put(n, after)
	return w.Applied(e, "", "")
}

// sets are record sets of every policy, and what the upgrade makes of each.
var sets = map[string]struct {
	n             name
	before, after string
}{
	"simple":    {name{"Z1", "api.example.com.", "A", ""}, a(60, "192.0.2.1", "192.0.2.2"), a(60, "192.0.2.3")},
	"alias":     {name{"Z1", "cdn.example.com.", "A", ""}, aliased, a(60, "192.0.2.3")},
	"wildcard":  {name{"Z1", "*.example.com.", "TXT", ""}, `{"TTL":5,"ResourceRecords":[{"Value":"\"a <&> \\\"b\\\"\""}]}`, `{"TTL":5,"ResourceRecords":[{"Value":"\"c\""}]}`},
	"weighted":  {www("A", "blue"), `{"Weight":0,"TTL":60,"ResourceRecords":[{"Value":"192.0.2.1"}],"HealthCheckId":"hc-1"}`, `{"Weight":200,"TTL":60,"ResourceRecords":[{"Value":"192.0.2.1"}],"HealthCheckId":"hc-1"}`},
	"failover":  {www("AAAA", "first one"), `{"Failover":"PRIMARY","TTL":60,"ResourceRecords":[{"Value":"2001:db8::1"}]}`, `{"Failover":"SECONDARY","TTL":60,"ResourceRecords":[{"Value":"2001:db8::1"}]}`},
	"geo":       {www("TXT", "de"), `{"GeoLocation":{"CountryCode":"DE"},"TTL":60,"ResourceRecords":[{"Value":"\"de\""}]}`, `{"GeoLocation":{"ContinentCode":"EU"},"TTL":60,"ResourceRecords":[{"Value":"\"eu\""}]}`},
	"nearby":    {www("CNAME", "n"), `{"TTL":60,"ResourceRecords":[{"Value":"x.example.net"}],"GeoProximityLocation":{"Coordinates":{"Latitude":"1.5","Longitude":"2"},"Bias":-3}}`, `{"TTL":60,"ResourceRecords":[{"Value":"x.example.net"}],"GeoProximityLocation":{"AWSRegion":"eu-central-1"}}`},
	"cidr":      {www("MX", "office"), `{"TTL":60,"ResourceRecords":[{"Value":"10 m.example.net"}],"CidrRoutingConfig":{"CollectionId":"c","LocationName":"x"}}`, `{"TTL":60,"ResourceRecords":[{"Value":"10 m.example.net"}],"CidrRoutingConfig":{"CollectionId":"c","LocationName":"*"}}`},
	"multi":     {www("SRV", "m"), `{"MultiValueAnswer":true,"TTL":60,"ResourceRecords":[{"Value":"1 1 1 a.example.net"}]}`, `{"MultiValueAnswer":true,"TTL":90,"ResourceRecords":[{"Value":"1 1 1 a.example.net"}]}`},
	"by region": {www("CAA", "r"), `{"Region":"eu-central-1","TTL":60,"ResourceRecords":[{"Value":"0 issue \"x\""}]}`, `{"Region":"us-east-1","TTL":60,"ResourceRecords":[{"Value":"0 issue \"x\""}]}`},
}

func TestTaken(t *testing.T) {
	for _, action := range []ledger.Action{ledger.ActionUpdate, ledger.ActionCreate, ledger.ActionDelete} {
		t.Run(string(action), func(t *testing.T) {
			z, w := begin(t)
			wants := map[string]string{}
			var list []*ledger.Entry
			for title, s := range sets {
				before, after := s.before, s.after
				switch action {
				case ledger.ActionCreate:
					before = ""
				case ledger.ActionDelete:
					after = ""
				case ledger.ActionUpdate:
				}
				z.put(s.n, before)
				wants[title] = before
				list = append(list, effect(z, w, action, s.n, after))
			}
			w.Rollback()
			for _, e := range list {
				w.Want(e, "undone undone")
			}
			for title, want := range wants {
				z.want(sets[title].n, want)
			}
			if z.batches != len(sets) {
				t.Errorf("%d batches, want %d", z.batches, len(sets))
			}
			if w.Rollback(); z.batches != len(sets) {
				t.Error("a second rollback sent something")
			}
		})
	}
}

// TestNeighbours: sets of the same name and type, of others and of other names stay what they are.
func TestNeighbours(t *testing.T) {
	z, w := begin(t)
	green, other := www("A", "green"), name{"Z1", "www.example.com.", "TXT", ""}
	weighted := func(n int) string {
		return fmt.Sprintf(`{"Weight":%d,"TTL":60,"ResourceRecords":[{"Value":"192.0.2.1"}]}`, n)
	}
	z.put(www("A", "blue"), weighted(100))
	z.put(green, weighted(0))
	z.put(other, `{"TTL":60,"ResourceRecords":[{"Value":"\"x\""}]}`)
	e := effect(z, w, ledger.ActionUpdate, www("A", "blue"), weighted(1))
	z.put(green, weighted(99)) // somebody else's
	w.Rollback()
	w.Want(e, "undone undone")
	z.want(www("A", "blue"), weighted(100))
	z.want(green, weighted(99))
	z.want(other, `{"TTL":60,"ResourceRecords":[{"Value":"\"x\""}]}`)
}

// TestOwned: what the entry does not own, or does not speak of, stays as it is.
func TestOwned(t *testing.T) {
	z, w := begin(t)
	n := name{"Z1", "api.example.com.", "A", ""}
	z.put(n, a(5, "192.0.2.9"))
	d := draft(ledger.ActionUpdate, n, a(300, "192.0.2.1"), a(5, "192.0.2.2"))
	d.Owned = []string{"/TTL"}
	e := w.Record(d)
	w.Rollback()
	w.Want(e, "undone undone")
	z.want(n, a(300, "192.0.2.9"))
	z.put(n, `{"TTL":5,"ResourceRecords":[{"Value":"192.0.2.2"}],"HealthCheckId":"hc-1"}`)
	w2 := setup.At(z.URL).Open(t)
	e = w2.Record(draft(ledger.ActionUpdate, n, a(300, "192.0.2.1"), a(5, "192.0.2.2")))
	w2.Rollback()
	w2.Want(e, "undone undone")
	z.want(n, `{"TTL":300,"ResourceRecords":[{"Value":"192.0.2.1"}],"HealthCheckId":"hc-1"}`)
}

func TestDriftAndGone(t *testing.T) {
	z, w := begin(t)
	n, gone, policy := name{"Z1", "api.example.com.", "A", ""}, name{"Z1", "gone.example.com.", "A", ""}, name{"Z1", "p.example.com.", "A", ""}
	z.put(n, a(60, "192.0.2.1"))
	drifted := effect(z, w, ledger.ActionUpdate, n, a(60, "192.0.2.2"))
	made := effect(z, w, ledger.ActionCreate, gone, a(60, "192.0.2.2"))
	z.put(policy, `{"TTL":60,"ResourceRecords":[{"Value":"192.0.2.1"}],"TrafficPolicyInstanceId":"t"}`)
	byPolicy := effect(z, w, ledger.ActionUpdate, policy, `{"TTL":60,"ResourceRecords":[{"Value":"192.0.2.2"}],"TrafficPolicyInstanceId":"t"}`)
	elsewhere := w.Record(draft(ledger.ActionCreate, name{"Z9", "x.example.com.", "A", ""}, "", a(60, "192.0.2.2")))
	z.put(n, a(60, "192.0.2.3"))
	z.put(gone, "")
	w.Rollback()
	w.Want(drifted, "stuck drifted")
	w.Want(made, "undone already_undone")
	w.Want(byPolicy, "stuck blocked")
	if w.Entry(elsewhere).State == ledger.EntryUndone {
		t.Error("a zone that is not there was taken for a record that is not")
	}
	if z.batches != 0 {
		t.Errorf("%d batches were sent", z.batches)
	}
}

// TestBetween: what somebody changed between the look and the undo is left alone, and nothing of the batch is done.
func TestBetween(t *testing.T) {
	z := startZones(t)
	rem := setup.At(z.URL).Bind(t)
	n := name{"Z1", "api.example.com.", "A", ""}
	for action, pair := range map[ledger.Action][2]string{
		ledger.ActionUpdate: {a(60, "192.0.2.1"), a(60, "192.0.2.2")}, ledger.ActionCreate: {"", a(60, "192.0.2.2")}, ledger.ActionDelete: {a(60, "192.0.2.1"), ""},
	} {
		z.put(n, pair[1])
		e := &ledger.Entry{State: ledger.EntryApplied, Draft: draft(action, n, pair[0], pair[1])}
		seen, err := rem.Look(t.Context(), e)
		if err != nil {
			t.Fatal(err)
		}
		z.put(n, a(61, "192.0.2.2"))
		if ans, err := rem.Undo(t.Context(), e, seen); err != nil || ans.Class != ledger.AnswerConflict {
			t.Errorf("%s: %+v, %v", action, ans, err)
		}
		z.want(n, a(61, "192.0.2.2"))
	}
}

func TestLostAnswer(t *testing.T) {
	z, w := begin(t)
	n := name{"Z1", "api.example.com.", "A", ""}
	z.put(n, a(60, "192.0.2.1"))
	e := effect(z, w, ledger.ActionUpdate, n, a(60, "192.0.2.2"))
	z.lose = true
	w.Rollback()
	w.Want(e, "undone undone")
	if z.want(n, a(60, "192.0.2.1")); z.batches != 1 {
		t.Errorf("%d batches, want 1", z.batches)
	}
}

// TestInSync: an undo is over when all name servers have it.
func TestInSync(t *testing.T) {
	z := startZones(t)
	z.rounds = 5
	rem := setup.At(z.URL).Bind(t)
	n := name{"Z1", "api.example.com.", "A", ""}
	z.put(n, a(60, "192.0.2.2"))
	e := &ledger.Entry{State: ledger.EntryApplied, Draft: draft(ledger.ActionCreate, n, "", a(60, "192.0.2.2"))}
	seen, err := rem.Look(t.Context(), e)
	if err != nil {
		t.Fatal(err)
	}
	if ans, err := rem.Undo(t.Context(), e, seen); err != nil || ans.Class != ledger.AnswerAccepted || ans.Detail != "" || z.asked != 5 {
		t.Errorf("%+v, %v after %d questions", ans, err, z.asked)
	}
}

func TestErrorsByName(t *testing.T) {
	z := startZones(t)
	rem := setup.At(z.URL).Bind(t)
	n := name{"Z1", "api.example.com.", "A", ""}
	z.put(n, a(60, "192.0.2.2"))
	e := &ledger.Entry{State: ledger.EntryApplied, Draft: draft(ledger.ActionUpdate, n, a(60, "192.0.2.1"), a(60, "192.0.2.2"))}
	for code, want := range map[string]string{
		"Throttling": "retry", "PriorRequestNotComplete": "retry", "AccessDenied": "auth", "SignatureDoesNotMatch": "auth", "InvalidInput": "refused", "InvalidChangeBatch": "conflict",
	} {
		seen, err := rem.Look(t.Context(), e)
		if err != nil {
			t.Fatal(err)
		}
		z.once = code
		ans, err := rem.Undo(t.Context(), e, seen)
		got := string(ans.Class)
		var call *ledger.CallError
		if errors.As(err, &call) {
			got = string(call.Class)
		}
		if got != want || want == "retry" && ans.RetryAfter <= 0 {
			t.Errorf("%s is %s (%+v, %v), want %s", code, got, ans, err, want)
		}
	}
	z.extra = "<NewPolicy>x</NewPolicy>"
	if seen, err := rem.Look(t.Context(), e); err == nil || !strings.Contains(err.Error(), "does not know") {
		t.Errorf("a part that nobody knows: %+v, %v", seen, err)
	}
}

// TestEffects: batches through the ledger need say nothing of their entry.
func TestEffects(t *testing.T) {
	z, w := begin(t)
	n := name{"Z1", "api.example.com.", "A", ""}
	do := func(action, doc string) (*ledger.Effected, error) {
		s := parsed(t, doc)
		s.Name, s.Type = n.Owner, n.Type
		c := n.call("", change{action, s})
		return w.Ledger.Effect(t.Context(), w.ID, ledger.Draft{System: "dns"}, ledger.EffectCall{Method: "POST", Path: c.Path, Header: c.Header, Body: c.Body})
	}
	var list []*ledger.Entry
	for _, step := range [][3]string{
		{"CREATE", a(60, "192.0.2.1"), "create"}, {"UPSERT", a(60, "192.0.2.2"), "update"}, {"DELETE", a(60, "192.0.2.2"), "delete"}, {"UPSERT", a(60, "192.0.2.3"), "create"},
	} {
		out, err := do(step[0], step[1])
		if err != nil || out.Outcome != ledger.EffectApplied || string(out.Entry.Action) != step[2] {
			t.Fatalf("%s: %+v, %v", step[0], out, err)
		}
		list = append(list, out.Entry)
	}
	w.Rollback()
	for _, e := range list {
		w.Want(e, "undone undone")
	}
	z.want(n, "")
	two := n.call("", change{"CREATE", parsed(t, a(1, "192.0.2.1"))}, change{"CREATE", parsed(t, a(1, "192.0.2.1"))})
	if _, err := w.Ledger.Effect(t.Context(), w.ID, ledger.Draft{System: "dns"}, ledger.EffectCall{Method: "POST", Path: two.Path, Header: two.Header, Body: two.Body}); err == nil || z.batches != 8 {
		t.Errorf("two changes in one batch: %v, %d batches", err, z.batches)
	}
}

func TestRehearsalAndList(t *testing.T) {
	z, w := begin(t)
	z.put(www("A", ""), a(60, "192.0.2.1"))
	r := w.Rehearse(ledger.RehearsalRequest{System: "dns", Place: json.RawMessage(`{"zone":"Z1","name":"example.com"}`)})
	if !r.Proven() || len(r.Left) != 0 || !strings.Contains(string(r.Canaries[0].Resource), `.example.com.","type":"TXT"`) {
		t.Errorf("%+v", r)
	}
	z.put(www("TXT", "a"), `{"Weight":1,"TTL":60,"ResourceRecords":[{"Value":"\"x\""}]}`)
	z.put(www("TXT", "b"), `{"Weight":1,"TTL":60,"ResourceRecords":[{"Value":"\"x\""}]}`)
	z.page = 2
	lister, ok := setup.At(z.URL).Bind(t).(ledger.Lister)
	if !ok {
		t.Fatal("it lists nothing")
	}
	got, err := lister.List(t.Context(), Kind, json.RawMessage(`{"zone":"/hostedzone/Z1"}`))
	if err != nil || len(got.Items) != 3 || got.Part || string(got.Items[2].Resource) != string(www("TXT", "b").resource()) {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestRefused(t *testing.T) {
	rem := setup.At("http://127.0.0.1:1").Bind(t)
	good := www("A", "").resource()
	for field, d := range map[string]ledger.Draft{
		"/resource":      {Resource: json.RawMessage(`{"zone":"Z1","nam":"x"}`)},
		"/resource/zone": {Resource: json.RawMessage(`{"zone":"../x","name":"x","type":"A"}`)},
		"/resource/name": {Resource: json.RawMessage(`{"zone":"Z1","name":".","type":"A"}`)},
		"/resource/type": {Resource: json.RawMessage(`{"zone":"Z1","name":"x","type":"A&b"}`)},
		"/before":        {Resource: good, Before: ledger.Image{JSON: json.RawMessage(`{"ttl":60,"records":[]}`)}},
		"/after/TTL":     {Resource: good, After: ledger.Image{JSON: json.RawMessage(`{"TTL":-1}`)}},
		"/undo":          {Resource: good, Undo: json.RawMessage(`{"method":"PUT"}`)},
	} {
		d.Kind, d.Action = Kind, ledger.ActionUpdate
		_, err := rem.Check(&d)
		var e *ledger.Error
		if !errors.As(err, &e) || e.Field != field {
			t.Errorf("%s: %v", field, err)
		}
	}
	if got := plain(`\052.Example.COM`); got != "*.example.com." {
		t.Errorf("plain is %s", got)
	}
}
