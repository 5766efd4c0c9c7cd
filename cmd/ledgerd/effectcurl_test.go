package main

import (
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The real curl and `rollback curl` send the same, print the same and end with the same status.
func TestCurlIsCurl(t *testing.T) {
	t.Parallel()
	e := &edge{}
	web := httptest.NewServer(e)
	t.Cleanup(web.Close)
	s := newEffectStand(t, web.URL)
	if err := os.WriteFile(filepath.Join(s.dir, "body"), []byte("{\"a\":\n 1}\r\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(s.dir, "bytes"), []byte{0xff, 0, '\n', 0xfe}, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(s.dir, "heads"), []byte("If-Match: \"7\"\nContent-Type: text/x\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	at := web.URL + "/config/a"
	for _, args := range [][]string{
		{"-s", "-X", "PATCH", "-d", `{"v":2}`, at},
		{"-sXPATCH", "-d@body", at},
		{"-s", "-X", "PATCH", "--data-binary", "@body", at},
		{"-s", "-X", "PATCH", "--data-binary", "@bytes", at},
		{"-s", "-X", "PATCH", "--data-raw", "@body", at},
		{"-s", "-X", "PATCH", "-d", "@-", at},
		{"-s", "-d", "a=1", "-d", "b=2", "--data-urlencode", "c= &ü", "--data-urlencode", "=x y", "--data-urlencode", "d@body", at},
		{"-s", "--json", `{"v":`, "--json", "3}", "-X", "PATCH", at},
		{"-s", "--json", `{}`, "-H", "Accept: text/plain", "-H", "content-type: application/x", at},
		{"-s", "-d", "x", "-H", "Content-Type:", "-H", "Accept:application/json", "-H", "Expect:", at},
		{"-s", "-d", "x", "-H", "@heads", at},
		{"-s", "-X", "DELETE", at},
		{"-sX", "DELETE", "-G", "-d", "q=1", "--data-urlencode", "r=a b", at + "?z=0"},
		{"-s", "-d", "", at},
		{"-s", "-T", "body", web.URL + "/config/absent"},
		{"-s", "-T", "body", web.URL + "/config/absent/"},
		{"-s", "-T", "body", "-X", "PATCH", at},
		{"-s", "-X", "PATCH", "-d", "1", "--path-as-is", web.URL + "/config/x/y"},
		{"-s", "-X", "PATCH", "-d", "1", web.URL + "/id/../config/./a/b/../c"},
		{"-s", "-X", "PATCH", "-d", "1", strings.TrimPrefix(at, "http://")},
		{"-s", "-X", "PATCH", "-d", "1", strings.Replace(at, "127.0.0.1", "localhost", 1)},
		{"-s", "-X", "PATCH", "-d", "1", "--url", at + "?a=%20b#part"},
		{"-s", "-g", "-X", "PATCH", "-d", "1", at + "?l[]=1"},
		{"-s", "-X", "PATCH", "-d", "1", at + "?status=404"},
		{"-sf", "-X", "PATCH", "-d", "1", at + "?status=404"},
		{"-s", "--fail-with-body", "-X", "PATCH", "-d", "1", at + "?status=422"},
		{"-sfS", "-w", "%{http_code}", "-X", "PATCH", "-d", "1", at + "?status=500"},
		{"-s", "-X", "PATCH", "-d", "1", at + "?status=302"},
		{"-s", "-w", `\n%{http_code} %{content_type} %{size_download} %{size_upload} %{method} %{num_redirects} %{url_effective} 100%%\t|%{exitcode}`, "-X", "PATCH", "-d", "1", at},
		{"-s", "-o", "out", "-w", "%{filename_effective} %{response_code}", "-X", "PATCH", "-d", "1", at},
		{"-s", "-o", "/dev/null", "-X", "PATCH", "-d", "1", at},
		{"-sO", "-X", "PATCH", "-d", "1", at},
		{"-s", "--output-dir", "sub", "--create-dirs", "-o", "out", "-X", "PATCH", "-d", "1", at},
		{"-s", "--compressed", "-k", "--max-time", "20", "--retry", "3", "--connect-timeout", "2", "-X", "PATCH", "-d", "1", at},
		{"-s", "--requ", "PATCH", "--no-fail", "-d", "1", at},
		{"-s", at},
		{"-sI", "-X", "GET", at + "?echo"},
		{"-sG", "-d", "echo=1", at},
	} {
		files := []string{"out", "a", "sub/out"}
		outcome := func(tool string, args []string) (ran, []string, []string) {
			for _, f := range files {
				_ = os.Remove(filepath.Join(s.dir, f))
			}
			got := s.exec("from stdin", tool, args...)
			var written []string
			for _, f := range files {
				raw, err := os.ReadFile(filepath.Join(s.dir, f))
				written = append(written, fmt.Sprintf("%s %v %s", f, err == nil, raw))
			}
			return got, e.take(), written
		}
		want, sent, files1 := outcome("curl", args)
		got, carried, files2 := outcome(s.tool, append([]string{"curl"}, args...))
		what := strings.Join(args, " ")
		if want.Stdout != got.Stdout || want.Status != got.Status {
			t.Errorf("%s\ncurl          %d %q\nrollback curl %d %q\n%s", what, want.Status, want.Stdout, got.Status, got.Stdout, got.stderr)
		}
		if d := cmp.Diff(sent, carried); d != "" {
			t.Errorf("%s sends (-curl +rollback curl)\n%s", what, d)
		}
		if d := cmp.Diff(files1, files2); d != "" {
			t.Errorf("%s writes (-curl +rollback curl)\n%s", what, d)
		}
	}
	if n := len(s.entries()); n < 30 {
		t.Errorf("only %d of these calls were recorded", n)
	}
}

// What cannot be carried is refused, and nothing is sent; what is not the ledger's is curl's own.
func TestCurlRefusesWhatItCannotCarry(t *testing.T) {
	t.Parallel()
	e, other := &edge{}, &edge{}
	web, elsewhere := httptest.NewServer(e), httptest.NewServer(other)
	t.Cleanup(web.Close)
	t.Cleanup(elsewhere.Close)
	s := newEffectStand(t, web.URL)
	at := web.URL + "/config/a"
	config := filepath.Join(s.dir, "config")
	if err := os.WriteFile(config, []byte("url = "+at+"\nrequest = DELETE\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{"-F", "a=1", at},
		{"-T", "-", at},
		{"-d", "1", at, elsewhere.URL + "/x"},
		{"-d", "1", elsewhere.URL + "/x", at},
		{"-d", "1", at + "/{b,c}"},
		{"-d", "1", at + "/[1-3]"},
		{"-d", "1", "http://{x," + strings.TrimPrefix(web.URL, "http://") + "}/config/a"},
		{"-K", config},
		{"-d", "1", at, "--next", "-d", "2", at},
		{"-G", "-d", "1", elsewhere.URL, "--next", "-d", "2", at},
		{"-b", "c=1", "-d", "1", at},
		{"-x", elsewhere.URL, "-d", "1", at},
		{"--resolve", "a:1:b", "-d", "1", at},
		{"-w", "%{time_connect}", "-d", "1", at},
		{"-w", "%{json}", "-d", "1", at},
		{"-I", "-X", "DELETE", at},
		{"--unheard-of", "-d", "1", at},
		{"-d", "1", "-H", "X-Other: 1", at},
		{"-d", "1", "-H", "Host: x", at},
		{"-d", "1", web.URL + "/other"},
		{"-X", "SEARCH", at},
		{"-d", "1", "-T", config, at},
	} {
		got := s.exec("stdin", s.tool, append([]string{"curl"}, args...)...)
		if got.Status != 2 || got.Stdout != "" || !strings.Contains(got.stderr, "nothing was sent") {
			t.Errorf("%v: %+v %s", args, got, got.stderr)
		}
		if calls := append(e.take(), other.take()...); len(calls) > 0 {
			t.Errorf("%v: %v was sent", args, calls)
		}
	}
	for _, args := range [][]string{
		{"-s", "-F", "a=1", elsewhere.URL + "/x"},
		{"-s", "-K", "-"},
		{"-s", "-d", "1", elsewhere.URL + "/x", "-w", "%{json}"},
	} {
		if got := s.exec("", s.tool, append([]string{"curl"}, args...)...); args[1] != "-K" && got.Status != 0 || args[1] == "-K" && got.Status != 2 {
			t.Errorf("%v: %+v %s", args, got, got.stderr)
		}
	}
	if len(other.take()) != 2 || len(s.entries()) != 0 {
		t.Errorf("calls to somebody else were not left alone: %v", s.entries())
	}
	if got := s.exec("", s.tool, "curl", "-s", "-u", "me:secret", "-H", "Authorization: Bearer x", "-X", "PATCH", "-d", "1", at); got.Status != 0 {
		t.Errorf("with a credential of its own: %+v", got)
	}
	e.take()
	if got := s.exec("", s.tool, "curl", "-X", "PATCH", "-d", "@missing", at); got.Status != 26 || len(e.take()) != 0 {
		t.Errorf("a file that is not there: %+v", got) // curl 7 sends an empty body, curl 8 ends with 26 too
	}
	s.server.kill()
	if got := s.exec("", s.tool, "curl", "-s", "-d", "1", elsewhere.URL); got.Status != 7 || !strings.Contains(got.stderr, "the ledger cannot be reached") {
		t.Errorf("without a ledger: %+v %s", got, got.stderr)
	}
	if got := s.exec("", s.tool, "curl", "-s", elsewhere.URL+"/x"); got.Status != 0 || len(other.take()) != 0 {
		t.Errorf("a read without a ledger: %+v", got)
	}
}
