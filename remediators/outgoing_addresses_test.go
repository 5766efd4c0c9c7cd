package remediators

import (
	"log/slog"
	"net"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"sideledger/ledger"
)

// Every way to write or reach an address that is not for us: no connection is made there. In a network of
// its own every address of the world is this machine, so that whatever is dialled arrives at the judge.
func TestOutgoingAddresses(t *testing.T) {
	if os.Getenv(isolated) == "" && inIsolation(t, t.Name()) {
		return
	}
	alone := os.Getenv(isolated) == ""
	listen := []string{"[::]:0"} // both families
	if alone {
		listen = []string{"127.0.0.1:0"}
		if l, err := net.Listen("tcp", "[::1]:0"); err == nil {
			_ = l.Close()
			listen = append(listen, "[::1]:")
		}
	}
	j := newJudge(t, ok200, listen...)
	system := net.DefaultResolver
	n := newNames(t)
	ours := net.DefaultResolver
	cases := hostCases()
	for _, c := range cases {
		for name, lists := range c.names {
			n.set(strings.ToLower(name), lists...)
		}
		for _, private := range []bool{false, true} {
			net.DefaultResolver = ours
			tryHost(t, j, c, private)
			if c.names == nil || !alone && strings.Trim(c.host, "0123456789abcdefx.") == "" {
				net.DefaultResolver = system // a C library reads numbers that a name server is not asked for
				tryHost(t, j, c, private)
			}
		}
	}
	if len(cases) < 120 {
		t.Errorf("only %d hosts", len(cases))
	}
	net.DefaultResolver = ours
	if !alone {
		proveJudge(t, j)
	}
	t.Logf("figure: %d hosts, each with and without allow_private; every address judged: %v", len(cases), !alone)
}

// tryHost calls one host, twice: a name may say something else the second time.
func tryHost(t *testing.T, j *judge, c hostCase, private bool) {
	t.Helper()
	reg, warnings, err := NewRegistry(Options{
		Systems: map[string]SystemConfig{"sys": {
			Remediator: "nothing", URL: "http://" + c.host + ":" + j.port(), AllowPrivate: private, Credential: "env:TOKEN",
		}},
		Factories: nothingFactory(), Clock: time.Now, Log: slog.New(slog.DiscardHandler), Getenv: environment{"TOKEN": canary}.get,
	})
	if err != nil {
		if strings.Contains(err.Error(), canary) {
			t.Errorf("%q: %v", c.host, err)
		}
		return // refused at start: nothing can be called
	}
	defer reg.Close()
	warnings = append(warnings, reg.LookUp(t.Context())...)
	_, rem, _ := reg.Find("sys")
	client := rem.(*sheltered).inner.(*nothing).client
	var classes []string
	for _, method := range []string{"GET", "PUT"} {
		_, err := client.Do(t.Context(), Call{Method: method, Path: "/latest/meta-data", Body: []byte(`{"v":1}`), Fresh: method == "PUT"})
		classes = append(classes, class(err))
	}
	arrived := j.verdict(t)
	for _, a := range arrived {
		host, _, _ := net.SplitHostPort(a.at)
		if !slices.Contains(c.may, host) && (!private || !c.opens) {
			t.Errorf("%q (private %v): a connection to %s; %v", c.host, private, a.at, classes)
		}
	}
	if (!private || !c.opens) && c.may == nil && (slices.Contains(classes, "<nil>") || !refusedForGood(classes)) {
		t.Errorf("%q (private %v): %v", c.host, private, classes)
	}
	if slices.Contains(classes, "denied") && c.may == nil && len(c.names[c.host]) < 2 && len(warnings) == 0 {
		t.Errorf("%q (private %v) is refused, and nothing was said at start", c.host, private)
	}
}

// refusedForGood reports whether calls were refused for good, or led nowhere: there is no such name.
func refusedForGood(classes []string) bool {
	return !slices.ContainsFunc(classes, func(c string) bool { return c != "denied" && c != "not_sent" })
}

// proveJudge makes sure that the judge sees what it is to see.
func proveJudge(t *testing.T, j *judge) {
	t.Helper()
	for _, host := range []string{"8.8.8.8", "100.128.0.1", "172.32.0.1", "11.0.0.1", "[2606:4700::1111]", "[2a00:1450::1]"} {
		client := newTestClient(t, SystemConfig{URL: "http://" + host + ":" + j.port(), Credential: "env:TOKEN"})
		_, err := client.Do(t.Context(), Call{Method: "GET", Path: "/"})
		if arrived := j.verdict(t); err != nil || len(arrived) != 1 || !strings.Contains(j.everything(arrived), canary) {
			t.Errorf("%s: %v, %d connections", host, err, len(arrived))
		}
	}
	for _, host := range []string{"127.0.0.1", "10.0.0.1", "[::1]", "[fd12::1]", "100.64.0.1"} {
		client := newTestClient(t, SystemConfig{URL: "http://" + host + ":" + j.port(), AllowPrivate: true})
		_, err := client.Do(t.Context(), Call{Method: "GET", Path: "/"})
		if arrived := j.verdict(t); err != nil || len(arrived) != 1 {
			t.Errorf("%s with allow_private: %v, %d connections", host, err, len(arrived))
		}
	}
}

func nothingFactory() map[string]Factory {
	return map[string]Factory{"nothing": func(b Binding) (ledger.Remediator, error) { return &nothing{client: b.Client, lane: b.Lane}, nil }}
}

// proxyVariables are all that anybody reads.
var proxyVariables = []string{"HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy", "FTP_PROXY", "SOCKS_PROXY"}

// No variable of the environment leads a call to a proxy, which would walk around the check of addresses.
// net/http reads them once in a process, so each has a process of its own.
func TestOutgoingProxies(t *testing.T) {
	if os.Getenv(isolated) == "" {
		for _, v := range proxyVariables {
			for _, no := range []string{"", "NO_PROXY=10.0.0.1", "no_proxy=*"} {
				env := []string{v + "=http://9.9.9.9:3128"}
				if no != "" {
					env = append(env, no)
				}
				if !inIsolation(t, t.Name(), env...) {
					return // client_test.go judges by names that only a proxy would take
				}
			}
		}
		return
	}
	proxy := newJudge(t, ok200, "0.0.0.0:3128") // wherever the proxy is said to be
	j := newJudge(t, ok200, "0.0.0.0:0")
	for _, c := range []struct{ url, want string }{
		{"http://8.8.8.8:" + j.port(), "<nil>"},
		{"http://169.254.169.254:" + j.port(), "denied"},
		{"http://10.0.0.1:" + j.port(), "denied"},
		{"https://8.8.8.8:" + j.port(), "not_sent"},
		{"https://169.254.169.254:" + j.port(), "denied"},
	} {
		client := newTestClient(t, SystemConfig{URL: c.url, Credential: "env:TOKEN"})
		_, err := client.Do(t.Context(), Call{Method: "GET", Path: "/"})
		if class(err) != c.want {
			t.Errorf("%s: %v, want %s", c.url, err, c.want)
		}
		arrived := j.verdict(t)
		if asked := proxy.verdict(t); len(asked) > 0 {
			t.Errorf("%s: the proxy was asked %q", c.url, proxy.everything(asked))
		}
		if (c.want == "<nil>") != strings.Contains(j.everything(arrived), canary) {
			t.Errorf("%s: arrived %q", c.url, j.everything(arrived))
		}
	}
}

// A literal address is recognised in every form, and only then.
func FuzzLiteralHost(f *testing.F) {
	for _, c := range hostCases() {
		f.Add(strings.Trim(c.host, "[]"))
	}
	f.Fuzz(func(t *testing.T, host string) {
		ip, ok := literalHost(host)
		if ok != ip.IsValid() {
			t.Errorf("%q: %v, %v", host, ip, ok)
		}
		if ok && ip.Zone() == "" {
			if again, ok := literalHost(ip.String()); !ok || again != ip {
				t.Errorf("%q is %s, which is read as %s", host, ip, again)
			}
		}
	})
}
