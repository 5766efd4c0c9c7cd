package main

import (
	"fmt"
	"os/exec"
	"regexp"
	"strings"
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
	}
	for address, want := range map[string]string{
		"http://127.0.0.1:2019/id/x?a=b#c":       "edge /id/x?a=b",
		"localhost:2019/id/x":                    "edge /id/x",
		"HTTP://LOCALHOST:2019":                  "edge /",
		"http://[::1]:2019/x":                    "edge /x",
		"http://127.1:2019/x":                    "",
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
