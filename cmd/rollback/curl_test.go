package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"

	"sideledger/api/wire"
)

// Every option of the curl of this machine is known, with its short name and whether it has an argument.
func TestCurlTableKnowsCurl(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), "curl", "--help", "all").Output()
	if err != nil {
		t.Fatal(err)
	}
	table := newCurlTable()
	line := regexp.MustCompile(`(?m)^\s*(?:-(.), )?\s*--([a-z0-9.-]+)( <| \[proto)?`)
	found := line.FindAllStringSubmatch(string(out), -1)
	if len(found) < 200 {
		t.Fatalf("only %d options are listed", len(found))
	}
	for _, m := range found {
		short, name, value := m[1], m[2], m[3] != ""
		o, off := table.find(name)
		switch {
		case o == nil:
			t.Errorf("--%s is not known", name)
		case o.value != value && !off:
			t.Errorf("--%s has an argument: %t, want %t", name, o.value, value)
		case short != "" && table.short[short[0]] != o:
			t.Errorf("-%s is not --%s", short, name)
		}
	}
}

func TestCurlLines(t *testing.T) {
	for line, want := range map[string]string{
		"u":                     "GET u",
		"-d x u":                "POST u data=x",
		"-dx u":                 "POST u data=x",
		"-sSfXPATCH -d @f u":    "PATCH u data=@f",
		"-sXPATCH u":            "PATCH u",
		"-G -d x u":             "GET u data=x",
		"-I u":                  "HEAD u",
		"-T f u":                "PUT u",
		"-F a=b u":              "POST u refused=[-F]",
		"--json {} u":           "POST u json={}",
		"-X POST --url u -- -x": "POST u -x",
		"-o- u":                 "GET u",
		"-d x --no-get u":       "POST u data=x",
		"--dat x u":             "GET  unknown=--dat",
		"--data-bin x u":        "POST u data-binary=x",
		"--nope u":              "GET  unknown=--nope",
		"-s~ u":                 "GET  unknown=-~",
		"-X":                    "GET  bad=-X requires an argument",
		"-d":                    "GET  bad=-d requires an argument",
		"-x p -b c -d x u":      "POST u data=x refused=[-x -b]",
		"-o a -o b u":           "GET u refused=[-o twice]",
		"--expand-data {{x}} u": "GET u refused=[--expand-data]",
		"- -X DELETE":           "DELETE -",
	} {
		l := readCurl(strings.Fields(line))
		got := l.verb() + " " + strings.Join(l.urls, " ")
		for _, p := range l.data {
			got += " " + p.option + "=" + p.value
		}
		if l.unknown != "" {
			got += " unknown=" + l.unknown
		}
		if l.bad != "" {
			got += " bad=" + l.bad
		}
		if len(l.refused) > 0 {
			got += fmt.Sprintf(" refused=%v", l.refused)
		}
		if got != want {
			t.Errorf("%s: %q, want %q", line, got, want)
		}
	}
}

func TestCurlPlaces(t *testing.T) {
	systems := []wire.EffectSystem{
		{System: "edge", URL: "http://127.0.0.1:2019"},
		{System: "shop", URL: "https://shop.example/api"},
		{System: "v2", URL: "https://shop.example/api/v2"},
		{System: "six", URL: "http://[2001:db8::1]:80"},
		{System: "ten", URL: "http://10.1.2.3:8080/v1"},
		{System: "idn", URL: "https://Bücher.Example."},
	}
	for address, want := range map[string]string{
		"http://127.0.0.1:2019/id/x?a=b#c":       "edge /id/x?a=b",
		"localhost:2019/id/x":                    "edge /id/x",
		"HTTP://LOCALHOST:2019":                  "edge /",
		"http://[::1]:2019/x":                    "edge /x",
		"http://127.0.0.1/x":                     "",
		"http://me:pw@127.0.0.1:2019/x":          "edge /x",
		"https://shop.example/api/hooks":         "shop /hooks",
		"https://SHOP.example.:443/api/v2/hooks": "v2 /hooks",
		"https://shop.example/api/v20":           "shop /v20",
		"https://shop.example/api/../api/x":      "shop /x",
		"https://shop.example/api/%2e%2e/x":      "shop trouble",
		"https://shop.example/apis":              "shop trouble",
		"http://shop.example/api/x":              "shop trouble",
		"https://shop.example/api/{a,b}":         "shop trouble",
		"https://shop.example/api/a b":           "shop trouble",
		"https://{shop,x}.example/api":           " trouble",
		"ftp://shop.example/api":                 "",
		"http://[2001:db8:0::1]/x":               "six /x",
		"https://elsewhere.example/api":          "",

		"http://127.1:2019/x":                "edge /x",
		"http://127.0.1:2019/x":              "edge /x",
		"http://127.9.9.9:2019/x":            "edge /x",
		"http://2130706433:2019/x":           "edge /x",
		"http://0:2019/x":                    "edge /x",
		"http://0x7F.1:2019/x":               "edge /x",
		"http://0x7f000001:2019/x":           "edge /x",
		"http://017700000001:2019/x":         "edge /x",
		"http://0177.0.0.01:2019/x":          "edge /x",
		"http://127.0.0.1:002019/x":          "edge /x",
		"http://127.0.0.1.:2019/x":           "edge /x",
		"http:/127.0.0.1:2019/x":             "edge /x",
		"http:///127.0.0.1:2019/x":           "edge /x",
		"http://１２７.0.0.1:2019/x":            "edge /x",
		"http://127。0．0｡1:2019/x":            "edge /x",
		"http://loc\u00adalhost:2019/x":      "edge /x",
		"http://ⓛocalhost:2019/x":            "edge /x",
		"http://%31%32%37.1:2019/x":          "edge /x",
		"http://a.localhost:2019/x":          "edge /x",
		"http://localhost.:2019/x":           "edge /x",
		"http://ip6-localhost:2019/x":        "edge /x",
		"http://[::]:2019/x":                 "edge /x",
		"http://[::ffff:0:0]:2019/x":         "edge /x",
		"http://[::ffff:7f00:1%25lo]:2019/x": "edge /x",
		"http://me@x@127.1:2019/x":           "edge /x",
		"http://127.0.0.256:2019/x":          "",
		"http://128.1:2019/x":                "",
		"http://0x7f.1.1.1.1:2019/x":         "",
		"http://4294967297:2019/x":           "",
		"http://127.0.0.08:2019/x":           "",
		"http://[2001:db8::2]/x":             "",
		"http://167838211:8080/v1/x":         "ten /x",
		"http://0xa.0x10203:08080/v1/x":      "ten /x",
		"http://10.1.515:8080/v1/x":          "ten /x",
		"http://10.1.2.3:8080/v2":            "ten trouble",
		"https://xn--bcher-kva.example/x":    "idn /x",
		"https://BÜCHER.example:0443/x":      "idn /x",
		"https://b%C3%BCcher.example./x":     "idn /x",
		"http://127.0.0.1:201[9-9]/x":        " trouble",
		"htt[p-p]://127.0.0.1:2019/x":        " trouble",
		"{http://127.0.0.1:2019/x}":          " trouble",
		"http://\u202e.example/x":            " trouble",
		"http:////127.0.0.1:2019/x":          "",
	} {
		got := ""
		if p := placeOf(readCurl(nil), address, systems); p != nil {
			got = p.system + " " + p.path
			if p.trouble != "" {
				got = p.system + " trouble"
			}
		}
		if got != want {
			t.Errorf("%s: %q, want %q", address, got, want)
		}
	}
}

// Whatever spelling of this host the curl of this machine takes, the ledger takes too.
func TestCurlSpellingsOfThisHost(t *testing.T) {
	var arrived atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { arrived.Add(1) }))
	defer server.Close()
	_, port, _ := strings.Cut(strings.TrimPrefix(server.URL, "http://"), ":")
	systems := []wire.EffectSystem{{System: "edge", URL: server.URL}}
	own, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	reached := 0
	for _, host := range []string{
		"127.0.0.1", "127.1", "127.0.1", "2130706433", "0", "0x7f.1", "0X7F.0.0.1", "0177.1", "00000177.1", "017700000001", "0x7f000001", "0.0.0.0",
		"localhost", "LOCALHOST", "localhost.", "a.localhost", "localhost.localdomain", "ip6-localhost", "127.0.0.1.", "127.1.", own,
		"１２７.0.0.1", "127。0。0。1", "①②⑦.0.0.1", "loc\u00adalhost", "ⓛocalhost", "ℓ\u200docalhost", "%6cocalhost", "%31%32%37.1", "127%2e1",
		"[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[::ffff:0:0]", "[::ffff:7f00:1%25lo]", "[::1]", "[::]", "u:p@127.1", "x\\@127.0.0.1", "127.0.0.08", "127..1",
	} {
		for _, form := range []string{"http://%s:%s/x", "http:/%s:%s/x", "http:///%s:%s?x", "%s:0%s", "HTTP://%s:%s#x"} {
			address := fmt.Sprintf(form, host, port)
			before := arrived.Load()
			_ = exec.CommandContext(t.Context(), "curl", "-gsS", "--noproxy", "*", "-m", "5", "-X", "POST", address).Run() // that it failed is an answer
			if arrived.Load() == before {
				continue
			}
			reached++
			if p := placeOf(readCurl([]string{"-g"}), address, systems); p == nil {
				t.Errorf("%s went to the system, and nothing knew", address)
			}
		}
	}
	if reached < 100 {
		t.Errorf("only %d of the addresses reached the server", reached)
	}
}

// A line of which a part cannot be seen, or that leads its call elsewhere, is refused if a system is meant, however it
// is written.
func TestCurlMentions(t *testing.T) {
	systems := []wire.EffectSystem{{System: "edge", URL: "http://127.0.0.1:2019"}, {System: "ten", URL: "http://10.1.2.3:8080"}}
	for line, want := range map[string]string{
		"--nope -X POST http://167838211:8080/x":                  "ten",
		"--nope -X POST http://0x7f.1:2019/x":                     "edge",
		"--nope -X POST -m 0 http://elsewhere.example/0":          "",
		"--variable h=2130706433:2019 --expand-url http://{{h}}/": "edge",
		"--nope -dx=1 --url=http:/0xa.0x10203:8080":               "ten",
	} {
		l := readCurl(strings.Fields(line))
		if !l.hidden() {
			t.Errorf("%s: nothing is hidden", line)
		}
		if got := mentions(strings.Join(l.args, " "), systems); got != want {
			t.Errorf("%s: %q, want %q", line, got, want)
		}
	}
	for line, want := range map[string]string{
		"-d x --connect-to ::127.1:2019 http://elsewhere.example/":           "edge",
		"-d x --connect-to ::[::1]: http://elsewhere.example:2019/":          "edge",
		"-d x --resolve e.example:8080:10.1.2.4,167838211 http://e.example/": "ten",
		"-d x -x http://2130706433:2019 http://elsewhere.example/":           "edge",
		"-d x -xhttp://10.1.2.3:3128 http://elsewhere.example/":              "",
		"-d x --connect-to ::10.1.2.4:8080 http://elsewhere.example/":        "",
	} {
		if got := readCurl(strings.Fields(line)).detour(systems); got != want {
			t.Errorf("%s: %q, want %q", line, got, want)
		}
	}
}
