package httpapi

import (
	"strings"
	"testing"

	"sideledger/ledger"
	"sideledger/remediators/remediatortest"
	"sideledger/remediators/remediatortest/cards"
)

// switched is a thing with a path of its own that calls move from one state to another.
type switched struct {
	kind, path, resource string
	card                 func() cards.Card
	kept                 string
	seed                 func(h hand)
}

// from is the contract of a move: what was done before it, the move, and somebody else's one after it.
func (s switched) from(name string, before, effect, drift func(h hand)) contract {
	return contract{
		kind: s.kind, action: ledger.ActionUpdate, name: name, card: s.card, kept: s.kept, outcome: ledger.OutcomeUndone,
		seedFunc: func(h hand) string {
			s.seed(h)
			before(h)
			return s.resource
		},
		effectFunc: func(h hand, _ string) string { effect(h); return "" },
		driftFunc:  func(h hand, _ string) { drift(h) },
		removeFunc: func(h hand, _ string) { h.Must("DELETE", s.path, "") },
	}
}

func nothing(hand) {}

func airflowContracts() []contract {
	const path = "/dags/import"
	dag := func(catchup string) switched {
		return switched{
			kind: "airflow.dag_pause", path: path, resource: `{"dag":"import"}`, card: cards.Airflow, kept: "/dags",
			seed: func(h hand) { h.Must("PUT", path, `{"dag_id":"import","is_paused":false,"catchup":`+catchup+`}`) },
		}
	}
	pause := func(to string) func(h hand) {
		return func(h hand) { h.Must("PATCH", path+"?update_mask=is_paused", `{"is_paused":`+to+`}`) }
	}
	out := []contract{
		dag("true").from("resumed", pause("true"), pause("false"), pause("null")),
		dag("false").from("paused without catchup", nothing, pause("true"), pause("null")), dag("true").from("paused with catchup", nothing, pause("true"), pause("null")),
	}
	out[2].asked = true
	return append(append(out, variableContracts("limit", "")...), variableContracts("db_password", `,"secret":"db-password"`)...)
}

// variableContracts are those of a variable; secret is what names its value where that does not show.
func variableContracts(key, secret string) []contract {
	const list = "/variables"
	body := func(value, description string) string {
		return `{"key":"` + key + `","value":"` + value + `","description":"` + description + `"}`
	}
	write := func(method, path, value, description string) func(h hand) {
		return func(h hand) { h.Must(method, path, body(value, description)) }
	}
	path := list + "/" + key
	old := "old"
	if secret != "" {
		old = remediatortest.Secret
	}
	out := unguarded(namedThing{
		kind: "airflow.variable", path: path, resource: `{"key":"` + key + `"` + secret + `}`, card: cards.Airflow, kept: list,
		create: write("POST", list, old, "kept"), update: write("PATCH", path, "new", "changed"), drift: write("PATCH", path, "else", "else"),
	}.contracts())
	for i := range out {
		out[i].name = key
		if out[i].action != ledger.ActionCreate {
			out[i].checkFunc = func(t *testing.T, s *cards.Server) {
				if doc := s.Kept(path); doc["value"] != old {
					t.Errorf("it has the value %v", doc["value"])
				}
			}
		}
	}
	return out
}

func jenkinsContracts() []contract {
	const path = "/job/shop/job/import"
	s := switched{
		kind: "jenkins.job", path: path, resource: `{"job":"` + path + `"}`, card: cards.Jenkins, kept: "/job/shop/job",
		seed: func(h hand) { h.Must("POST", path, "") },
	}
	move := func(to string) func(h hand) { return func(h hand) { h.Call("POST", path+"/"+to, "") } }
	out := []contract{s.from("disabled", nothing, move("disable"), nothing), s.from("enabled", move("disable"), move("enable"), nothing)}
	for i := range out {
		out[i].driftFunc = nil // there are two states
	}
	return out
}

func eventBridgeContracts() []contract {
	const path = "/schedules/import"
	write := func(method, more string) func(h hand) {
		return func(h hand) {
			h.Must(method, path, `{"GroupName":"shop","ScheduleExpression":"rate(5 minutes)","FlexibleTimeWindow":{"Mode":"OFF"},"Target":{"Arn":"arn:aws:lambda:x","RoleArn":"arn:aws:iam:y","Input":"{\"a\":1}"}`+more+`}`)
		}
	}
	thing := namedThing{
		kind: "eventbridge.schedule", path: path + "?groupName=shop", resource: `{"group":"shop","name":"import"}`, card: cards.EventBridge, kept: "/schedules/shop",
		create: write("POST", `,"Description":"nightly","StartDate":1.7E9`), update: write("PUT", `,"State":"DISABLED"`), drift: write("PUT", `,"Description":"else"`),
	}
	enabled := thing
	enabled.create, enabled.update = write("POST", `,"State":"DISABLED"`), write("PUT", "")
	out := append(unguarded(thing.contracts()), unguarded(enabled.contracts())[1])
	out[1].name, out[3].name = "disabled", "enabled"
	return out
}

func cloudSchedulerContracts() []contract {
	const list = "/v1/projects/shop/locations/europe-west1/jobs"
	const path, resource = list + "/import", `{"project":"shop","location":"europe-west1","job":"import"}`
	job := func(more string) string { return `{"name":"` + strings.TrimPrefix(path, "/v1/") + `"` + more + `}` }
	write := func(method, query, more string) func(h hand) {
		return func(h hand) {
			h.Must(method, map[string]string{"POST": list, "PATCH": path + "?updateMask=" + query}[method], job(more))
		}
	}
	const web, topic, app = `,"httpTarget":{"uri":"https://shop.example.com/in","headers":{"X-A":"1"}}`, `,"pubsubTarget":{"topicName":"projects/shop/topics/in"}`, `,"appEngineHttpTarget":{"relativeUri":"/in"}`
	s := switched{
		kind: "cloudscheduler.job_state", path: path, resource: resource, card: cards.CloudScheduler, kept: list,
		seed: write("POST", "", `,"schedule":"0 3 * * *"`+web),
	}
	move := func(to string) func(h hand) {
		return func(h hand) { h.Must("POST", path+":"+to, "{}") }
	}
	out := []contract{s.from("paused", nothing, move("pause"), nothing), s.from("resumed", move("pause"), move("resume"), nothing)}
	for i := range out {
		out[i].driftFunc = nil // there are two states that calls lead to
	}
	for name, target := range map[string][2]string{"http": {web, topic}, "pubsub": {topic, app}, "app engine": {app, web}} {
		c := unguarded(namedThing{
			kind: "cloudscheduler.job", path: path, resource: resource, card: cards.CloudScheduler, kept: list,
			create: write("POST", "", `,"schedule":"0 3 * * *","description":"nightly"`+target[0]),
			update: write("PATCH", "schedule,description,"+strings.SplitN(target[1], `"`, 3)[1], `,"schedule":"0 4 * * *"`+target[1]),
			drift:  write("PATCH", "attemptDeadline", `,"attemptDeadline":"20s"`),
		}.contracts())
		c[1].name = name
		if out = append(out, c[1]); name == "http" {
			out = append(out, c[0], c[2])
		}
	}
	return out
}

// A job that was paused would run if it came back, since it comes back enabled: nothing takes its deletion back.
func TestDeletionOfAPausedJob(t *testing.T) {
	for _, c := range cloudSchedulerContracts() {
		if c.kind != "cloudscheduler.job" || c.action != ledger.ActionDelete {
			continue
		}
		sc := c.set(t)
		sc.h.Must("POST", "/v1/projects/shop/locations/europe-west1/jobs/import:pause", "{}")
		e := sc.w.Record(sc.effect(c))
		if !strings.Contains(strings.Join(e.Warnings, " "), "nothing takes this back") {
			t.Errorf("it is recorded with %q", e.Warnings)
		}
		sc.w.Rollback()
		if sc.w.Entry(e).State == ledger.EntryUndone || sc.s.Count(c.kept) != 0 {
			t.Error("it came back, and runs")
		}
	}
}

func appConfigContracts() []contract {
	var out []contract
	for _, k := range []struct{ kind, label, query, kept string }{{"appconfig.key", "", "?api-version=1.0", "/kv"}, {"appconfig.labelled_key", `,"label":"prod"`, "?label=prod&api-version=1.0", "/kv"}} {
		path := "/kv/.appconfig.featureflag%2Fbulk" + k.query
		put := func(value, more string) func(h hand) {
			return func(h hand) { h.Must("PUT", path, `{"value":"`+value+`"`+more+`}`) }
		}
		c := namedThing{
			kind: k.kind, path: path, resource: `{"key":".appconfig.featureflag/bulk"` + k.label + `}`, card: cards.AppConfig,
			create: put("off", `,"content_type":"text/plain","tags":{"a":"b"}`), update: put("on", ""), drift: put("else", ""),
		}.contracts()
		out = append(out, c...)
	}
	return out
}

// A key that somebody has locked is not changed, and somebody has to unlock it.
func TestLocked(t *testing.T) {
	for _, c := range appConfigContracts()[:2] {
		sc := c.begin(t)
		e := sc.record()
		sc.h.Must("PUT", "/locks/.appconfig.featureflag%2Fbulk?api-version=1.0", "")
		sc.w.Rollback()
		if e = sc.w.Want(e, "stuck blocked"); !strings.Contains(e.Detail, "locked") {
			t.Errorf("it says %q", e.Detail)
		}
	}
}

// A change that can be seen in nothing but a mask is never taken for undone.
func TestMaskedChangeIsBlocked(t *testing.T) {
	c := variableContracts("db_password", `,"secret":"db-password"`)[1]
	c.effectFunc = func(h hand, _ string) string {
		h.Must("PATCH", "/variables/db_password", `{"key":"db_password","value":"another","description":"kept"}`)
		return ""
	}
	sc := c.begin(t)
	e := sc.record()
	sc.w.Rollback()
	sc.w.Want(e, "stuck blocked")
}

// Airflow masks members of a value that is JSON, too: such a value is not written back as it shows.
func TestMaskWithinAVariable(t *testing.T) {
	c := variableContracts("conf", "")[1]
	seed := `{"key":"conf","value":"{\"password\": \"` + remediatortest.Secret + `\", \"n\": 1}"}`
	c.seedFunc = func(h hand) string { h.Must("POST", "/variables", seed); return `{"key":"conf"}` }
	c.effectFunc = func(h hand, _ string) string {
		h.Must("PATCH", "/variables/conf", strings.Replace(seed, "1}", `2}","description":"new`, 1))
		return ""
	}
	sc := c.begin(t)
	e := sc.record()
	sent := sc.s.Changes()
	sc.w.Rollback()
	if e = sc.w.Want(e, "stuck blocked"); sc.s.Changes() != sent || !strings.Contains(e.Detail, "secret_missing") {
		t.Errorf("it says %q after %d calls", e.Detail, sc.s.Changes()-sent)
	}
}
