package httpapi

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sideledger/ledger"
	"sideledger/remediators"
	"sideledger/remediators/remediatortest"
	"sideledger/remediators/windowtest"
)

// startRabbitMQ starts a real RabbitMQ and returns the address of its management API. epmd, the name server of Erlang
// nodes, is started beside it: left to RabbitMQ it would stay for ever. Both end with the test.
func startRabbitMQ(t *testing.T) (url string) {
	t.Helper()
	dir := t.TempDir()
	port := func() string {
		_, p, _ := net.SplitHostPort(remediatortest.FreeAddress(t))
		return p
	}
	epmd, management := port(), port()
	write := func(name, content string) string {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	remediatortest.Start(t, remediatortest.Program{
		Name: "epmd", Args: []string{"-address", "127.0.0.1", "-port", epmd}, Dir: dir, ReadyFunc: answersAt("127.0.0.1:" + epmd),
	})
	url = "http://127.0.0.1:" + management
	remediatortest.Start(t, remediatortest.Program{
		Name: "/usr/lib/rabbitmq/bin/rabbitmq-server", Dir: dir, Within: 4 * time.Minute, // 10 s of CPU time, on a busy machine
		Env: []string{
			"RUNNING_UNDER_SYSTEMD=true", // it takes the script's place, so that it ends with the test
			"RABBITMQ_NODENAME=sideledger@localhost", "RABBITMQ_BASE=" + dir, "RABBITMQ_MNESIA_BASE=" + filepath.Join(dir, "mnesia"),
			"RABBITMQ_LOG_BASE=" + filepath.Join(dir, "logs"), "RABBITMQ_PID_FILE=" + filepath.Join(dir, "pid"),
			"RABBITMQ_CONFIG_FILE=" + write("rabbitmq.conf", "listeners.tcp.1 = 127.0.0.1:"+port()+"\nmanagement.tcp.ip = 127.0.0.1\nmanagement.tcp.port = "+management+"\n"),
			"RABBITMQ_ENABLED_PLUGINS_FILE=" + write("enabled_plugins", "[rabbitmq_management,rabbitmq_shovel_management]."),
			"RABBITMQ_DIST_PORT=" + port(), "ERL_EPMD_ADDRESS=127.0.0.1", "ERL_EPMD_PORT=" + epmd,
			"RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS=-kernel inet_dist_use_interface {127,0,0,1} +sbwt none",
		},
		ReadyFunc: remediatortest.Answers(strings.Replace(url, "//", "//guest:guest@", 1) + "/api/overview"),
	})
	return url
}

// A rabbit is a vhost of the real RabbitMQ behind a proxy that can lose answers, with a window of a real ledger, and
// somebody who changes things by hand.
type rabbit struct {
	*windowtest.Window
	remediatortest.Hand
	t     *testing.T
	proxy *remediatortest.Proxy
	vhost string // as a path says it
}

// rabbitMQ is a RabbitMQ as the system of these tests; its address is still to be said.
func rabbitMQ(url, user string) windowtest.Setup {
	s := setupOf(remediators.SystemConfig{Profile: "rabbitmq", URL: url, Credential: "env:RABBITMQ", Auth: remediators.AuthConfig{Scheme: "basic"}})
	s.Secret = user
	return s
}

func openRabbit(t *testing.T, url string) *rabbit {
	t.Helper()
	r := &rabbit{t: t, proxy: remediatortest.StartProxy(t, url), vhost: "%2F" + remediatortest.Slug(t)}
	r.Hand = remediatortest.Hand{T: t, URL: url + "/api", Header: map[string]string{"Authorization": "Basic Z3Vlc3Q6Z3Vlc3Q="}}
	r.Must("PUT", "/vhosts/"+r.vhost, "")
	r.Must("PUT", "/permissions/"+r.vhost+"/guest", `{"configure":".*","write":".*","read":".*"}`)
	r.Window = rabbitMQ(r.proxy.URL, "guest:guest").Open(t)
	return r
}

// A thing is a kind with what it takes to make two states of it.
type thing struct{ kind, path, before, after string }

var things = []thing{
	{
		"rabbitmq.policy", "/policies/",
		`{"pattern":"^q","definition":{"max-length":10},"priority":7,"apply-to":"queues"}`,
		`{"pattern":"^q","definition":{"max-length":20,"message-ttl":5},"priority":0,"apply-to":"all"}`,
	},
	{
		"rabbitmq.shovel", "/parameters/shovel/",
		`{"src-protocol":"amqp091","src-uri":"amqp://u:pa%2Fss@127.0.0.1:1","src-queue":"a","dest-protocol":"amqp091","dest-uri":["amqp://u:p@127.0.0.1:1"],"dest-queue":"b"}`,
		`{"src-protocol":"amqp091","src-uri":"amqp://u:p@127.0.0.1:1","src-queue":"c","dest-protocol":"amqp091","dest-uri":"amqp://u:p@127.0.0.1:1","dest-queue":"b","prefetch-count":5}`,
	},
}

// at is where the thing of a name stands.
func (r *rabbit) at(th thing, name string) string { return th.path + r.vhost + "/" + name }

// put makes the thing have a state; "" removes it.
func (r *rabbit) put(th thing, name, state string) {
	r.t.Helper()
	if state == "" {
		r.Call("DELETE", r.at(th, name), "")
		return
	}
	if th.kind == "rabbitmq.shovel" {
		state = `{"value":` + state + `}`
	}
	r.Must("PUT", r.at(th, name), state)
}

// want fails unless the thing has a state; "" is absence.
func (r *rabbit) want(th thing, name, state string) {
	r.t.Helper()
	status, answer := r.Call("GET", r.at(th, name), "")
	if state == "" || status != http.StatusOK {
		if (state == "") != (status == http.StatusNotFound) {
			r.t.Errorf("%s %s answers %d, want %q", th.kind, name, status, state)
		}
		return
	}
	now := ledger.Image{JSON: json.RawMessage(answer)}
	if th.kind == "rabbitmq.shovel" {
		var doc struct{ Value json.RawMessage }
		if err := json.Unmarshal([]byte(answer), &doc); err != nil {
			r.t.Fatal(err)
		}
		now.JSON = doc.Value
	}
	if !ledger.Compare(image(state), ledger.Image{}, now, ledger.Scope{}).Before {
		r.t.Errorf("%s %s is %s, want %s", th.kind, name, now.JSON, state)
	}
}

func (r *rabbit) draft(th thing, action ledger.Action, name, before, after string) ledger.Draft {
	resource, err := json.Marshal(map[string]string{"vhost": strings.Replace(r.vhost, "%2F", "/", 1), "name": name})
	if err != nil {
		r.t.Fatal(err)
	}
	return ledger.Draft{System: "sys", Kind: th.kind, Action: action, State: ledger.EntryApplied, Resource: resource, Before: image(before), After: image(after)}
}

// TestRabbitMQ is one test, since a RabbitMQ takes long to start. Each part has a vhost of its own, with a slash in
// its name.
func TestRabbitMQ(t *testing.T) {
	t.Parallel() // it waits for the start
	url := startRabbitMQ(t)
	t.Run("rehearsal", func(t *testing.T) { testRabbitMQRehearsal(t, url) })
	t.Run("credential", func(t *testing.T) {
		remediatortest.Proves(t, "rabbitmq.policy", "credential")
		remediatortest.Proves(t, "rabbitmq.shovel", "credential")
		for user, want := range map[string]ledger.CredentialState{"guest:guest": ledger.CredentialAccepted, "guest:wrong": ledger.CredentialRefused} {
			if c := rabbitMQ(url, user).Bind(t).(ledger.CredentialChecker).CheckCredential(t.Context()); c.State != want {
				t.Errorf("%+v, want %s", c, want)
			}
		}
	})
	for name, f := range map[string]func(*rabbit, thing){
		"taken": rabbitTaken, "captured": rabbitCaptured, "drift": rabbitDrift, "gone": rabbitGone, "lost": rabbitLost,
	} {
		for _, th := range things {
			t.Run(name+"-"+th.kind, func(t *testing.T) { f(openRabbit(t, url), th) })
		}
	}
}

func rabbitTaken(r *rabbit, th thing) {
	remediatortest.Proves(r.t, th.kind, "create undone", "update undone", "delete undone")
	var list []*ledger.Entry
	wants := map[string]string{}
	for action, s := range map[ledger.Action][2]string{
		ledger.ActionUpdate: {th.before, th.after}, ledger.ActionCreate: {"", th.after}, ledger.ActionDelete: {th.before, ""},
	} {
		r.put(th, "a%20b%C3%A9-"+string(action), s[0])
		r.put(th, "a%20b%C3%A9-"+string(action), s[1])
		wants["a%20b%C3%A9-"+string(action)] = s[0]
		list = append(list, r.Record(r.draft(th, action, "a bé-"+string(action), s[0], s[1])))
	}
	if run := r.Rollback(); !run.Complete {
		r.t.Errorf("counts %+v", run.Counts)
	}
	for _, e := range list {
		r.Want(e, "undone undone")
	}
	for name, want := range wants {
		r.want(th, name, want)
	}
	if again := r.Rollback(); !again.Complete || len(r.proxy.Changes()) != len(list) {
		r.t.Errorf("%d calls after a second rollback, want %d", len(r.proxy.Changes()), len(list))
	}
}

func rabbitCaptured(r *rabbit, th thing) {
	r.put(th, "x", th.before)
	d := r.draft(th, ledger.ActionUpdate, "x", "", "")
	d.Before, d.After, d.State, d.Capture = ledger.Image{}, ledger.Image{}, ledger.EntryIntended, true
	e := r.Record(d)
	if th.kind == "rabbitmq.shovel" && !windowtest.Warned(e, "--secret /src-uri") {
		r.t.Errorf("warnings %q", e.Warnings)
	}
	r.put(th, "x", th.after)
	r.Applied(e, "", "")
	r.WantPlan("undo")
	r.Rollback()
	r.Want(e, "undone undone")
	r.want(th, "x", th.before)
	r.WantVerify("same")
}

func rabbitDrift(r *rabbit, th thing) {
	remediatortest.Proves(r.t, th.kind, "drift")
	theirs := strings.NewReplacer(`"b"`, `"theirs"`, `20`, `21`).Replace(th.after)
	r.put(th, "x", theirs)
	e := r.Record(r.draft(th, ledger.ActionUpdate, "x", th.before, th.after))
	removed := r.Record(r.draft(th, ledger.ActionUpdate, "removed", th.before, th.after))
	r.Rollback()
	r.Want(e, "stuck drifted")
	r.Want(removed, "stuck drifted")
	r.want(th, "x", theirs)
	r.want(th, "removed", "")
	if n := len(r.proxy.Changes()); n != 0 {
		r.t.Errorf("%d calls over drift", n)
	}
}

// rabbitGone: the list of the vhost's policies or shovels is the proof; who may not see the vhost has none.
func rabbitGone(r *rabbit, th thing) {
	remediatortest.Proves(r.t, th.kind, "gone")
	e := r.Record(r.draft(th, ledger.ActionCreate, "x", "", th.after))
	list := "GET /api" + th.path + strings.Replace(r.vhost, "%2F", "/", 1)
	r.proxy.Refuse(list, http.StatusNotFound)
	r.Rollback()
	r.Want(e, "stuck blocked")
	r.proxy.Refuse(list, 0)
	r.Rollback()
	r.Want(e, "undone already_undone")

	r.Must("PUT", "/users/nobody", `{"password":"p","tags":"policymaker"}`)
	r.Window = rabbitMQ(r.proxy.URL, "nobody:p").Open(r.t)
	e = r.Record(r.draft(th, ledger.ActionCreate, "x", "", th.after))
	r.Rollback()
	r.Want(e, "stuck blocked")
}

func rabbitLost(r *rabbit, th thing) {
	remediatortest.Proves(r.t, th.kind, "lost")
	r.put(th, "x", th.after)
	e := r.Record(r.draft(th, ledger.ActionUpdate, "x", th.before, th.after))
	r.proxy.Lose(1)
	r.Rollback()
	e = r.Want(e, "undone undone")
	if len(r.proxy.Changes()) != 1 || len(e.Attempts) != 1 || e.Attempts[0].Result != string(ledger.CallAmbiguous) {
		r.t.Errorf("calls %v, attempts %+v", r.proxy.Changes(), e.Attempts)
	}
	r.want(th, "x", th.before)
}

// TestRabbitMQPart: an image that leaves a member of a policy out is refused, since the PUT would make it the default.
func TestRabbitMQPart(t *testing.T) {
	d := (&rabbit{t: t, vhost: "v"}).draft(things[0], ledger.ActionUpdate, "x", `{"pattern":"^q","definition":{"max-length":10}}`, things[0].after)
	if _, err := rabbitMQ("http://127.0.0.1:1", "").Bind(t).Check(&d); err == nil || !strings.Contains(err.Error(), "/before") {
		t.Errorf("recorded: %v", err)
	}
}

// answersAt is a ReadyFunc: somebody listens there.
func answersAt(address string) func(context.Context) error {
	return func(ctx context.Context) error {
		conn, err := new(net.Dialer).DialContext(ctx, "tcp", address)
		if err != nil {
			return err
		}
		return conn.Close()
	}
}

// testRabbitMQRehearsal rehearses the policies of a vhost, and lists them.
func testRabbitMQRehearsal(t *testing.T, url string) {
	remediatortest.Proves(t, "rabbitmq.policy", "rehearsed", "listed")
	r := openRabbit(t, url)
	setup := rabbitMQ(url, "guest:guest")
	setup.Config.Effects = []string{"* /api/policies/*"}
	r.Window = setup.Open(t)
	r.put(things[0], "other", things[0].before)
	place := json.RawMessage(`{"vhost":"` + strings.Replace(r.vhost, "%2F", "/", 1) + `"}`)
	got := r.Rehearse(ledger.RehearsalRequest{System: "sys", Place: place})
	if told(got) != allOK || len(got.Left) != 2 {
		t.Errorf("%s\n%+v %+v", told(got), got.Canaries, got.Left)
	}
	r.want(things[0], "other", things[0].before)
	u, err := r.Ledger.Unrecorded(t.Context(), ledger.UnrecordedRequest{WindowID: r.ID, System: "sys", Kinds: []string{"rabbitmq.policy"}, Place: place})
	if err != nil || len(u.Items) != 1 || named(string(u.Items[0].Resource), "name") != "other" {
		t.Errorf("%+v, %v", u, err)
	}
}
