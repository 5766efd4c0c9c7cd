package remediators

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// authSchemes are all ways to present the credential.
var authSchemes = map[string]SystemConfig{
	"bearer": {Credential: "env:TOKEN"},
	"basic":  {Credential: "env:PAIR", Auth: AuthConfig{Scheme: schemeBasic}},
	"header": {Credential: "env:TOKEN", Auth: AuthConfig{Scheme: schemeHeader, Name: "DD-API-KEY"}},
	"hmac":   {Credential: "env:TOKEN", Auth: AuthConfig{Scheme: schemeHMAC}},
	"sigv4":  {Credential: "env:AWS", Auth: AuthConfig{Scheme: schemeSigV4, Region: "eu-west-1", Service: "s3"}},
}

// carries reports whether what arrived at the third party itself is signed or holds the credential.
func carries(scheme, got string) bool {
	switch scheme {
	case "hmac":
		return strings.Contains(got, "X-Signature: t=") && !holdsSecret(got)
	case "sigv4":
		return strings.Contains(got, "AWS4-HMAC-SHA256 Credential=AKID/") && !strings.Contains(got, canary)
	default:
		return holdsSecret(got)
	}
}

// A lure is an answer that asks for another call, or another connection, somewhere.
type lure struct {
	name   string
	answer func(home, elsewhere string) string // raw
	status int
}

func answerOf(status int, headers ...string) string {
	return fmt.Sprintf("HTTP/1.1 %d %s\r\n%s\r\nContent-Length: 2\r\n\r\n{}", status, http.StatusText(status), strings.Join(headers, "\r\n"))
}

// lures are every answer that leads clients elsewhere, to the same host and to another.
func lures() []lure {
	var out []lure
	for _, status := range []int{300, 301, 302, 303, 304, 305, 306, 307, 308, 399} {
		for name, location := range map[string]string{
			"same host": "HOME/x", "other host": "ELSE/x", "path": "/other", "no scheme": "//NAKED/x", "userinfo": "http://u:p@NAKED/x",
		} {
			out = append(out, lure{fmt.Sprintf("%d %s", status, name), func(home, elsewhere string) string {
				to := strings.NewReplacer("HOME", home, "ELSE", elsewhere, "NAKED", strings.TrimPrefix(elsewhere, "http://")).Replace(location)
				return strings.Replace(answerOf(status, "Location: "+to), "Content-Length: 2\r\n\r\n{}", "Connection: close\r\n\r\n", 1)
			}, status})
		}
	}
	header := func(name string, status int, headers ...string) {
		out = append(out, lure{name, func(_, elsewhere string) string {
			naked := strings.TrimPrefix(elsewhere, "http://")
			_, port, _ := strings.Cut(naked, ":")
			return strings.NewReplacer("ELSE", elsewhere, "NAKED", naked, "PORT", port).Replace(answerOf(status, headers...))
		}, status})
	}
	header("Refresh", 200, "Refresh: 0; url=ELSE/x")
	header("Link preload", 200, `Link: <ELSE/x>; rel=preload; as=fetch`, `Link: <ELSE/x>; rel="next"`)
	header("Content-Location", 200, "Content-Location: ELSE/x")
	header("Location on 201", 201, "Location: ELSE/x")
	header("Location on 202", 202, "Location: ELSE/x", "Retry-After: 0")
	header("Alt-Svc h2", 200, `Alt-Svc: h2="NAKED"; ma=86400; persist=1`)
	header("Alt-Svc h3", 200, `Alt-Svc: h3=":PORT"; ma=86400`)
	header("Alt-Svc http/1.1", 200, `Alt-Svc: http/1.1="NAKED"; ma=86400`)
	header("Upgrade offered", 200, "Upgrade: h2c", "Connection: Upgrade")
	header("426", 426, "Upgrade: h2c, TLS/1.3", "Connection: Upgrade")
	header("401", 401, `WWW-Authenticate: Bearer realm="ELSE/token"`, `WWW-Authenticate: Basic realm="x"`, "Location: ELSE/x")
	header("407", 407, `Proxy-Authenticate: Basic realm="x"`, "Location: ELSE/x")
	header("421", 421, "Location: ELSE/x")
	header("Strict-Transport-Security", 200, "Strict-Transport-Security: max-age=31536000; includeSubDomains")
	header("X-Accel-Redirect", 200, "X-Accel-Redirect: ELSE/x")
	header("Report-To", 200, `Report-To: {"endpoints":[{"url":"ELSE/x"}]}`, `NEL: {"report_to":"x"}`)
	out = append(out, lure{"103", func(_, elsewhere string) string {
		return "HTTP/1.1 103 Early Hints\r\nLink: <" + elsewhere + "/x>; rel=preload\r\n\r\n" + ok200
	}, 200})
	out = append(out, lure{"101", func(_, elsewhere string) string {
		return "HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: Upgrade\r\nLocation: " + elsewhere + "/x\r\n\r\n" +
			"\x00\x00\x00\x04\x00\x00\x00\x00\x00"
	}, 101})
	return out
}

// Whatever a third party answers, no other host hears of it, and it is called once for each call.
func TestOutgoingLures(t *testing.T) {
	elsewhere := newJudge(t, ok200, "127.0.0.1:0")
	count := 0
	for _, l := range lures() {
		for scheme, c := range authSchemes {
			count++
			home := newJudge(t, "", "127.0.0.1:0")
			home.say(l.answer(home.url(), strings.Replace(elsewhere.url(), "127.0.0.1", "localhost", count%2)))
			c.URL, c.AllowPrivate = home.url(), true
			client := newTestClient(t, c)
			for _, call := range []Call{
				{Method: "GET", Path: "/a"}, {Method: "PUT", Path: "/a", Body: []byte(`{"before":"image"}`)}, {Method: "DELETE", Path: "/a", Fresh: true},
			} {
				reply, err := client.Do(t.Context(), call)
				if l.status == http.StatusUnauthorized && class(err) == "auth" {
					continue
				}
				if err != nil || reply.Status != l.status {
					t.Errorf("%s, %s: %s answered %d, %v", l.name, scheme, call.Method, reply.Status, err)
				}
			}
			arrived := home.verdict(t)
			got := home.everything(arrived)
			if n := strings.Count(got, " /a HTTP/1.1\r\n"); n != 3 || strings.Count(got, " HTTP/1.1\r\n") != 3 || !carries(scheme, got) {
				t.Errorf("%s, %s: at the third party itself %d calls: %q", l.name, scheme, n, got)
			}
		}
	}
	if arrived := elsewhere.verdict(t); len(arrived) > 0 {
		t.Errorf("%d connections elsewhere: %q", len(arrived), elsewhere.everything(arrived))
	}
	t.Logf("figure: %d answers that lead elsewhere, with every scheme: %d cases", len(lures()), count)
}

// What a third party hands out is never brought back: no cookie, and nothing of one answer in the next call.
func TestOutgoingCookies(t *testing.T) {
	home := newJudge(t, strings.Replace(ok200, "\r\n", "\r\nSet-Cookie: sid=cookie-3c1; Path=/; Domain=127.0.0.1\r\nSet-Cookie2: x=cookie-3c1\r\n"+
		"ETag: \"cookie-3c1\"\r\nAuthentication-Info: nextnonce=\"cookie-3c1\"\r\n", 1), "127.0.0.1:0")
	client := newTestClient(t, SystemConfig{URL: home.url(), AllowPrivate: true, Credential: "env:TOKEN"})
	for range 3 {
		if _, err := client.Do(t.Context(), Call{Method: "GET", Path: "/a"}); err != nil {
			t.Fatal(err)
		}
		if _, err := client.Do(t.Context(), Call{Method: "POST", Path: "/a", Body: []byte("{}"), Fresh: true}); err != nil {
			t.Fatal(err)
		}
	}
	arrived := home.verdict(t)
	if got := home.everything(arrived); strings.Contains(got, "ookie") || strings.Count(got, " /a HTTP/1.1") != 6 {
		t.Errorf("%q", got)
	}
}

// smuggled are headers that no entry may bring, in every spelling: they would carry a credential, end the
// request early, or lead to another method, path or host than the one that was checked.
func smuggled() map[string]string {
	out := map[string]string{
		"X-A": "a\r\nHost: evil.example", "X-B": "a\nX-Api-Key: x", "X-C": "a\x00b", "X-D": "a\r", "X-E\r\nHost": "evil", "X F": "x", "": "x", "X:G": "x", "Ｈost": "x",
	}
	for _, name := range []string{
		"Host", "Authorization", "Cookie", "Proxy-Authorization", "Proxy-Connection", "Connection", "Keep-Alive", "Transfer-Encoding", "TE", "Trailer", "Upgrade",
		"HTTP2-Settings", "Expect", "Content-Length", "Accept-Encoding", "User-Agent", "X-Api-Key", "Api-Key", "X-Auth-Token", "X-Amz-Security-Token",
		"X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override", "X-Original-URL", "X-Original-Host", "X-Rewrite-URL", "X-Override-URL", "X-Forwarded-Host",
		"X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Prefix", "X-Forwarded-Uri", "Forwarded", "X-Host", "X-Real-IP", "X-Envoy-Original-Path", "Alt-Used",
	} {
		out[name] = "evil.example"
		out[strings.ToLower(name)] = "evil.example"
		out[strings.ReplaceAll(name, "-", "_")] = "evil.example"
	}
	return out
}

func TestOutgoingSmuggling(t *testing.T) {
	home := newJudge(t, ok200, "127.0.0.1:0")
	client := newTestClient(t, SystemConfig{URL: home.url(), AllowPrivate: true, Credential: "env:TOKEN", Auth: AuthConfig{Scheme: schemeHeader, Name: "DD-API-KEY"}})
	refuse := func(call Call, what string) {
		t.Helper()
		if _, err := client.Do(t.Context(), call); class(err) != "denied" || strings.Contains(err.Error(), "evil") {
			t.Errorf("%s: %v", what, err)
		}
	}
	for name, value := range smuggled() {
		refuse(Call{Method: "POST", Path: "/a", Header: map[string]string{name: value}}, fmt.Sprintf("%q: %q", name, value))
	}
	for _, name := range []string{"DD-API-KEY", "dd-api-key", "DD_API_KEY"} {
		refuse(Call{Method: "POST", Path: "/a", Header: map[string]string{name: "x"}}, name)
	}
	refuse(Call{Method: "PUT", Path: "/a", Header: map[string]string{"If-Match": `"1"`, "if-match": "*"}}, "a guard in two spellings")
	refuse(Call{Method: "PUT", Path: "/a", Header: map[string]string{"If-Match": `"1"`, "IF_MATCH": "*"}}, "a guard in two spellings")
	for _, query := range []string{"_method=DELETE", "a=b&_method=DELETE", "%5Fmethod=DELETE", "_METHOD=x", "a;_method=x", "x-http-method-override=PUT", "a b", "a#b", "a\r\nb"} {
		refuse(Call{Method: "POST", Path: "/a", Query: query}, query)
	}
	paths := badPaths()
	for _, path := range paths {
		refuse(Call{Method: "POST", Path: path}, fmt.Sprintf("%q", path))
	}
	if arrived := home.verdict(t); len(arrived) > 0 {
		t.Errorf("it arrived: %q", home.everything(arrived))
	}
	t.Logf("figure: %d headers and %d paths that an entry may not bring", len(smuggled())+5, len(paths))
}

// badPaths lead out of the system's URL, or would at a server that is careless in some way.
func badPaths() []string {
	return []string{
		"", "a", "*", "//evil.example/", "///evil.example", "http://evil.example/", "http:/evil.example", "https://evil.example/a", "evil.example:80/a", "@evil.example/",
		":80/a", ".evil.example/", "/..", "/../x", "/a/..", "/a/../../b", "/./a", "/a/.", "/a//b", "//", "/%2e%2e/x", "/%2E%2E/x", "/.%2e/x", "/%2e./x", "/a/%2e",
		"/%252e%252e/x", "/%25252e%25252e/x", "/a%2f..%2fb", "/a%2F%2E%2E%2Fb", "/a%252f..%252fb", "/a%5c..%5cb", "/a%5C%2e%2e", "/a\\..\\b", "/\\evil.example", "/..;/x",
		"/..;x=1/y", "/..%3b/y", "/.;/y", "/%2e%2e%3bx/y", "/.. /x", "/..%20/x", "/%20../x", "/..%09/x", "/..%0b/x", "/..%00/x", "/a%00", "/a%0d%0aHost:%20evil",
		"/a\r\nHost: evil", "/a\nb", "/a\tb", "/a b", "/a?b", "/a#b", "/%", "/%2", "/%zz", "/%u002e%u002e/x", "/%c0%ae%c0%ae/x", "/%c0%af", "/%e0%80%ae%e0%80%ae/x",
		"/%ef%bc%8e%ef%bc%8e/x", "/a%ef%bc%8f..%ef%bc%8fb", "/%e2%80%a5/x", "/%e2%80%a4%e2%80%a4/x", "/%ff", "/é", "/a|b", "/a\"b", "/<a>", "/{a}", "/a`b", "/a^b", "/a\x7f",
	}
}
