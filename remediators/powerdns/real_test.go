package powerdns

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"sideledger/ledger"
	"sideledger/remediators"
	"sideledger/remediators/remediatortest"
	"sideledger/remediators/windowtest"
)

// setup is a PowerDNS as the system of these tests; its address is still to be said.
var setup = windowtest.Setup{System: "dns", Factory: Factory, Config: remediators.SystemConfig{
	Remediator: "powerdns", Credential: "env:PDNS_API_KEY", Auth: remediators.AuthConfig{Scheme: "header", Name: "X-API-Key"},
}}

// bench is a zone of the real PowerDNS behind proxies that can lose answers, with a window of a real ledger, and
// somebody who changes records by hand.
type bench struct {
	*windowtest.Window
	remediatortest.Hand
	t     *testing.T
	proxy *remediatortest.Proxy // of the API
	wire  *wire                 // of updates; nil: there are none
	zone  string
}

// start opens a window; guarded: the system names where updates are taken.
func start(t *testing.T, guarded bool) *bench {
	t.Helper()
	url := server.URL(t)
	b := &bench{t: t, zone: remediatortest.Slug(t) + ".test.", proxy: remediatortest.StartProxy(t, url)}
	b.Hand = remediatortest.Hand{T: t, URL: url + serverPath, Header: map[string]string{"X-API-Key": apiKey}}
	b.Must("POST", "/zones", `{"name":"`+b.zone+`","kind":"Native","nameservers":["ns1.`+b.zone+`"]}`)
	with := setup.At(b.proxy.URL)
	with.Secret = apiKey
	if guarded {
		b.wire = startWire(t, nameServer)
		with.Config.DNSUpdate.Address = b.wire.address
	}
	b.Window = with.Open(t)
	return b
}

// both runs a test with and without a guard.
func both(t *testing.T, f func(t *testing.T, guarded bool)) {
	t.Helper()
	for name, guarded := range map[string]bool{"guarded": true, "unguarded": false} {
		t.Run(strings.ToLower(strings.TrimPrefix(t.Name(), "Test"))+"-"+name, func(t *testing.T) { f(t, guarded) })
	}
}

// changes counts the changing calls that were sent, either way.
func (b *bench) changes() int {
	n := len(b.proxy.Changes())
	if b.wire != nil {
		n += int(b.wire.sent.Load())
	}
	return n
}

// name is an RRset of the zone.
func (b *bench) name(owner, kind string) name { return name{b.zone, owner + "." + b.zone, kind} }

// set is a document of an RRset, with contents as they are said; those in brackets are disabled.
func set(ttl int, contents ...string) string {
	var list []string
	for _, c := range contents {
		plain := strings.Trim(c, "[]")
		raw, _ := json.Marshal(record{Content: plain, Disabled: plain != c})
		list = append(list, string(raw))
	}
	return fmt.Sprintf(`{"ttl":%d,"records":[%s]}`, ttl, strings.Join(list, ","))
}

// put writes an RRset by hand; "" deletes it.
func (b *bench) put(n name, doc string) {
	b.t.Helper()
	member := `{"name":"` + n.owner + `","type":"` + n.kind + `","changetype":"DELETE"`
	if doc != "" {
		member = strings.Replace(member, "DELETE", "REPLACE", 1) + "," + doc[1:len(doc)-1]
	}
	b.Must("PATCH", "/zones/"+b.zone, `{"rrsets":[`+member+`}]}`)
}

// wantSet fails unless the whole zone, which shows what is disabled too, has this RRset; "" is absence.
func (b *bench) wantSet(n name, doc string) {
	b.t.Helper()
	var zone struct{ RRsets []rrset }
	if err := json.Unmarshal([]byte(b.Must("GET", "/zones/"+b.zone, "")), &zone); err != nil {
		b.t.Fatal(err)
	}
	got := ""
	for _, s := range zone.RRsets {
		if n.is(s.Name, s.Type) {
			got = string(s.canonical())
		}
	}
	want := ""
	if doc != "" {
		image, err := parseImage("", ledger.Image{JSON: json.RawMessage(doc)})
		if err != nil {
			b.t.Fatal(err)
		}
		want = string(image.canonical())
	}
	if got != want {
		b.t.Errorf("%s %s holds %s, want %s", n.owner, n.kind, got, want)
	}
}

// draft is an applied effect on an RRset; "" is absence.
func draft(action ledger.Action, n name, before, after string) ledger.Draft {
	image := func(doc string) ledger.Image {
		if doc == "" {
			return ledger.Absent
		}
		return ledger.Image{JSON: json.RawMessage(doc)}
	}
	return ledger.Draft{
		System: "dns", Kind: Kind, Action: action, State: ledger.EntryApplied, Resource: n.key(), Before: image(before), After: image(after),
	}
}

// sets are pairs of states that an upgrade may make of each other, by type.
var sets = map[string][2]string{
	"A":     {set(60, "192.0.2.1", "192.0.2.2"), set(300, "192.0.2.3")},
	"AAAA":  {set(60, "2001:DB8:0::1"), set(60, "2001:db8::2")},
	"CNAME": {set(60, "Old.Example.net."), set(60, "new.example.net.")},
	"MX":    {set(60, "10 mail.example.net.", "20 mail2.example.net."), set(60, "10 mail3.example.net.")},
	"TXT":   {set(60, `"v=spf1 -all" "B c"`, `"other;thing"`), set(60, `"v=spf1 ~all"`)},
	"SRV":   {set(60, "0 5 5060 sip.example.net."), set(60, "0 5 5061 sip.example.net.")},
	"CAA":   {set(60, `0 issue "ca.example.net"`), set(60, `0 issue "other.example.net"`)},
	"TLSA":  {set(60, "3 1 1 "+strings.Repeat("ab", 32)), set(60, "3 1 1 "+strings.Repeat("cd", 32))},
	"LUA":   {set(60, `A "ifportup(443, {'192.0.2.1'})"`), set(60, `A "ifportup(443, {'192.0.2.2'})"`)},
}

// TestTaken takes back every action on every type, in one rollback; a neighbour stays what it is.
func TestTaken(t *testing.T) {
	remediatortest.Proves(t, Kind, "create undone", "update undone", "delete undone")
	both(t, func(t *testing.T, guarded bool) {
		b := start(t, guarded)
		neighbour := b.name("neighbour", "A")
		b.put(neighbour, set(60, "192.0.2.9"))
		entries := map[string]*ledger.Entry{}
		wants := map[name]string{}
		for kind, pair := range sets {
			for action, images := range map[ledger.Action][2]string{
				ledger.ActionUpdate: pair, ledger.ActionCreate: {"", pair[1]}, ledger.ActionDelete: {pair[0], ""},
			} {
				n := b.name(strings.ToLower(kind)+"-"+string(action), kind)
				b.put(n, images[0])
				b.put(n, images[1])
				wants[n] = images[0]
				entries[kind+" "+string(action)] = b.Record(draft(action, n, images[0], images[1]))
			}
		}
		if run := b.Rollback(); !run.Complete {
			t.Errorf("counts %+v", run.Counts)
		}
		for what, e := range entries {
			if e = b.Want(e, "undone undone"); e.Outcome != ledger.OutcomeUndone {
				t.Errorf("that was %s", what)
			}
		}
		for n, want := range wants {
			b.wantSet(n, want)
		}
		b.wantSet(neighbour, set(60, "192.0.2.9"))
		if http := len(b.proxy.Changes()); guarded && http != 3 || b.changes() != len(entries) {
			t.Errorf("%d undos, %d of them by HTTP; only the three of type LUA should be in a guarded system", b.changes(), http)
		}
		if again := b.Rollback(); !again.Complete || b.changes() != len(entries) {
			t.Errorf("a second rollback sent %d calls", b.changes()-len(entries))
		}
	})
}

func TestCaptured(t *testing.T) {
	both(t, func(t *testing.T, guarded bool) {
		b := start(t, guarded)
		n := b.name("app", "CNAME")
		b.put(n, set(60, "old.example.net."))
		d := draft(ledger.ActionUpdate, n, "", "")
		d.Before, d.After, d.State, d.Capture = ledger.Image{}, ledger.Image{}, ledger.EntryIntended, true
		e := b.Record(d)
		if windowtest.Warned(e, "unguarded") == guarded {
			t.Errorf("warnings %q", e.Warnings)
		}
		b.put(n, set(300, "new.example.net."))
		e = b.Applied(e, "", "")
		b.WantPlan("undo")
		b.WantVerify("same")
		b.Rollback()
		b.Want(e, "undone undone")
		b.WantVerify("same")
		b.wantSet(n, set(60, "old.example.net."))
	})
}

// TestDrift: somebody else's record is left alone, also where it appears between the look and the undo and the system
// is guarded.
func TestDrift(t *testing.T) {
	remediatortest.Proves(t, Kind, "drift")
	both(t, func(t *testing.T, guarded bool) {
		b := start(t, guarded)
		n, gone := b.name("app", "A"), b.name("gone", "A")
		b.put(n, set(60, "192.0.2.2", "192.0.2.3"))
		e := b.Record(draft(ledger.ActionUpdate, n, set(60, "192.0.2.1"), set(60, "192.0.2.2")))
		removed := b.Record(draft(ledger.ActionUpdate, gone, set(60, "192.0.2.1"), set(60, "192.0.2.2")))
		b.WantPlan("drifted drifted")
		b.Rollback()
		b.Want(e, "stuck drifted")
		b.Want(removed, "stuck drifted")
		b.wantSet(n, set(60, "192.0.2.2", "192.0.2.3"))
		b.wantSet(gone, "")
		if b.changes() != 0 {
			t.Errorf("%d calls over drift", b.changes())
		}
		b.Resolve(e, ledger.DecideUndo)
		b.Want(e, "undone undone")
		b.wantSet(n, set(60, "192.0.2.1"))
	})
}

// TestRace: a change that comes after the look is met by the prerequisite, for each action.
func TestRace(t *testing.T) {
	remediatortest.Proves(t, Kind, "between")
	b := start(t, true)
	n, created, deleted := b.name("app", "CNAME"), b.name("created", "TXT"), b.name("deleted", "A")
	const theirs = `"somebody else's"`
	b.put(n, set(60, "new.example.net."))
	b.put(created, set(60, `"new"`))
	e := []*ledger.Entry{
		b.Record(draft(ledger.ActionUpdate, n, set(60, "old.example.net."), set(60, "new.example.net."))),
		b.Record(draft(ledger.ActionCreate, created, "", set(60, `"new"`))),
		b.Record(draft(ledger.ActionDelete, deleted, set(60, "192.0.2.1"), "")),
	}
	for i, c := range []struct {
		name   name
		theirs string
	}{{n, set(60, "theirs.example.net.")}, {created, set(60, `"new"`, theirs)}, {deleted, set(60, "192.0.2.7")}} {
		b.wire.sever = func() { b.put(c.name, c.theirs) }
		b.Rollback(fmt.Sprint(e[i].Seq))
		b.wantSet(c.name, c.theirs)
		if got := b.Want(e[i], "stuck drifted"); len(got.Attempts) != 1 || got.Attempts[0].Result != string(ledger.AnswerConflict) {
			t.Errorf("attempts %+v", got.Attempts)
		}
	}
}

// TestAnswerLost: the look afterwards finds that the undo was carried out, and nothing is sent again.
func TestAnswerLost(t *testing.T) {
	remediatortest.Proves(t, Kind, "lost")
	both(t, func(t *testing.T, guarded bool) {
		b := start(t, guarded)
		n := b.name("app", "A")
		b.put(n, set(60, "192.0.2.2"))
		e := b.Record(draft(ledger.ActionUpdate, n, set(60, "192.0.2.1"), set(60, "192.0.2.2")))
		if guarded {
			b.wire.lose.Store(true)
		} else {
			b.proxy.Lose(1)
		}
		b.Rollback()
		e = b.Want(e, "undone undone")
		if b.changes() != 1 || len(e.Attempts) != 1 || e.Attempts[0].Result != string(ledger.CallAmbiguous) {
			t.Errorf("%d calls, attempts %+v", b.changes(), e.Attempts)
		}
		b.wantSet(n, set(60, "192.0.2.1"))
	})
}

// TestGone: a zone that is there proves that a set is not; one that is not there needs the server for that.
func TestGone(t *testing.T) {
	remediatortest.Proves(t, Kind, "gone")
	b := start(t, false)
	n := b.name("app", "A")
	create := b.Record(draft(ledger.ActionCreate, n, "", set(60, "192.0.2.1")))
	b.WantPlan("already_undone")
	zoneGone := b.Record(draft(ledger.ActionCreate, name{"nobody.test.", "app.nobody.test.", "A"}, "", set(60, "192.0.2.1")))
	lost := b.Record(draft(ledger.ActionDelete, name{"nobody.test.", "old.nobody.test.", "A"}, set(60, "192.0.2.1"), ""))
	b.proxy.Refuse("GET "+serverPath, 404) // nothing of the API is visible
	b.Rollback("2")
	b.Want(zoneGone, "stuck blocked")
	b.proxy.Refuse("GET "+serverPath, 0)
	b.Rollback()
	b.Want(create, "undone already_undone")
	b.Want(zoneGone, "undone already_undone")
	b.Want(lost, "stuck failed")
	if n := len(b.proxy.Changes()); n != 1 {
		t.Errorf("%d calls: %v", n, b.proxy.Changes())
	}
}

// TestDisabled: a filtered read leaves out what is disabled; an undo brings it back all the same, by HTTP.
func TestDisabled(t *testing.T) {
	b := start(t, true)
	n, star := b.name("app", "A"), b.name("*", "A")
	before := set(60, "192.0.2.1", "[192.0.2.2]")
	b.put(n, before)
	b.put(star, set(60, "[192.0.2.4]"))
	d := draft(ledger.ActionUpdate, n, "", "")
	d.Before, d.After, d.State, d.Capture = ledger.Image{}, ledger.Image{}, ledger.EntryIntended, true
	e := b.Record(d)
	b.put(n, set(60, "192.0.2.3"))
	b.Applied(e, "", "")
	hidden := b.Record(draft(ledger.ActionCreate, star, "", set(60, "192.0.2.5")))
	b.WantPlan("drifted undo")
	b.Rollback()
	b.Want(e, "undone undone")
	b.Want(hidden, "stuck drifted")
	b.wantSet(n, before)
	if int(b.wire.sent.Load()) != 0 || len(b.proxy.Changes()) != 1 {
		t.Error("an update, which knows nothing of disabled records, was sent")
	}
}

// TestSerial: each change moves the zone's serial; an SOA is the same without it.
func TestSerial(t *testing.T) {
	b := start(t, true)
	n := name{b.zone, b.zone, "SOA"}
	soa := func(serial, minimum int) string {
		return set(3600, fmt.Sprintf("ns1.%s hostmaster.%s %d 10800 3600 604800 %d", b.zone, b.zone, serial, minimum))
	}
	b.put(n, soa(2090010101, 300))
	e := b.Record(draft(ledger.ActionUpdate, n, soa(2020010100, 3600), soa(2020010101, 300)))
	b.put(b.name("other", "A"), set(60, "192.0.2.1")) // bumps the serial
	b.WantPlan("undo")
	b.Rollback()
	b.Want(e, "undone undone")
	b.wantSet(n, soa(0, 3600))
	if got := b.Must("GET", "/zones/"+b.zone, ""); strings.Contains(got, `"serial": 0`) || !strings.Contains(got, `"serial": 2090`) {
		t.Error("the serial went back")
	}
}

// TestComments: HTTP brings the comments of a deleted set back, an update does not and says so.
func TestComments(t *testing.T) {
	remediatortest.Proves(t, Kind, "delete compensated")
	both(t, func(t *testing.T, guarded bool) {
		b := start(t, guarded)
		n := b.name("app", "A")
		b.put(n, strings.Replace(set(60, "192.0.2.1"), "{", `{"comments":[{"content":"ask ops","account":"me"}],`, 1))
		d := draft(ledger.ActionDelete, n, "", "")
		d.Before, d.State, d.Capture = ledger.Image{}, ledger.EntryIntended, true
		e := b.Record(d)
		b.put(n, "")
		b.Applied(e, "", "")
		b.Rollback()
		if guarded {
			b.Want(e, "undone compensated")
		} else {
			b.Want(e, "undone undone")
		}
		if back := strings.Contains(b.Must("GET", "/zones/"+b.zone, ""), "ask ops"); back == guarded {
			t.Errorf("the comment came back: %t", back)
		}
	})
}

// TestSigned: with a key, updates are signed; a wrong key is refused, and nothing was done.
func TestSigned(t *testing.T) {
	for _, right := range []bool{true, false} {
		t.Run(fmt.Sprintf("signed-%t", right), func(t *testing.T) {
			b := start(t, true)
			key := "bWFpbnRlbmFuY2Utd2luZG93LWtleS0zMi1ieXRlcyE="
			keyName := "key-" + strings.TrimSuffix(b.zone, ".test.")
			b.Must("POST", "/tsigkeys", `{"name":"`+keyName+`","algorithm":"hmac-sha256","key":"`+key+`"}`)
			b.Must("POST", "/zones/"+b.zone+"/metadata", `{"kind":"TSIG-ALLOW-DNSUPDATE","metadata":["`+keyName+`"]}`)
			with := setup.At(b.proxy.URL)
			with.Secret = apiKey
			with.Config.DNSUpdate = remediators.DNSUpdateConfig{Address: b.wire.address, Key: keyName, Credential: "env:TSIG"}
			with.GetenvFunc = func(name string) string {
				switch {
				case name != "TSIG":
					return apiKey
				case right:
					return key
				default:
					return "d3Jvbmc="
				}
			}
			b.Window = with.Open(t)
			n := b.name("app", "A")
			b.put(n, set(60, "192.0.2.2"))
			e := b.Record(draft(ledger.ActionUpdate, n, set(60, "192.0.2.1"), set(60, "192.0.2.2")))
			b.Rollback()
			if right {
				b.Want(e, "undone undone")
				b.wantSet(n, set(60, "192.0.2.1"))
			} else {
				b.Want(e, "stuck blocked")
				b.wantSet(n, set(60, "192.0.2.2"))
			}
			if int(b.wire.sent.Load()) != 1 {
				t.Error("no update was sent")
			}
		})
	}
}
