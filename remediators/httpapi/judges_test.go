package httpapi

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/legacy"

	"sideledger/remediators/remediatortest"
	"sideledger/remediators/remediatortest/cards"
)

// described is GitHub's own description of what is called here; see testdata/github/LICENSE.
var described = sync.OnceValues(func() (routers.Router, error) {
	raw, err := os.ReadFile("testdata/github/openapi.json")
	if err != nil {
		return nil, err
	}
	doc, err := openapi3.NewLoader().LoadFromData(raw)
	if err != nil {
		return nil, err
	}
	doc.Servers = nil // any host
	return legacy.NewRouter(doc)
})

// judgeGitHub holds every call to the description, unknown members of bodies included.
func judgeGitHub(_ *testing.T, s *cards.Server) {
	s.JudgeFunc = func(r *http.Request, body []byte) error {
		router, err := described()
		if err != nil {
			return err
		}
		u := *r.URL
		if u.Path == "/repos/acme/shop/contents" {
			return nil // the root of a repository: the description has it as a file with an empty path
		}
		if before, file, ok := strings.Cut(u.EscapedPath(), "/contents/"); ok { // the path of a file is one parameter there
			u.Path, u.RawPath = before+"/contents/"+strings.ReplaceAll(file, "/", "-"), ""
		}
		asked := r.Clone(context.Background())
		asked.URL, asked.Body = &u, io.NopCloser(bytes.NewReader(body))
		if len(body) == 0 {
			asked.Header.Del("Content-Type")
		}
		route, vars, err := router.FindRoute(asked)
		if err != nil {
			return err
		}
		return openapi3filter.ValidateRequest(context.Background(), &openapi3filter.RequestValidationInput{
			Request: asked, Route: route, PathParams: vars,
			Options: &openapi3filter.Options{AuthenticationFunc: openapi3filter.NoopAuthenticationFunc},
		})
	}
}

// mocked is Stripe's own mock, once for all tests of this package.
var mocked = struct {
	once sync.Once
	url  string
	proc *remediatortest.Process
	err  error
}{}

// TestMain stops what the tests share.
func TestMain(m *testing.M) {
	code := remediatortest.KeepProofs(m.Run())
	if mocked.proc != nil {
		mocked.proc.Stop()
	}
	os.Exit(code) //nolint:forbidigo // TestMain is a test's main
}

func startStripe(t *testing.T) string {
	t.Helper()
	mocked.once.Do(func() {
		name, err := filepath.Abs("../../.cache/bin/stripe-mock")
		if err == nil {
			_, err = os.Stat(name)
		}
		if err != nil {
			mocked.err = fmt.Errorf("stripe-mock is not there, .ci/install brings it: %w", err)
			return
		}
		plain, tls := remediatortest.FreeAddress(t), remediatortest.FreeAddress(t) // without both it listens on all addresses
		mocked.url = "http://" + plain
		mocked.proc, mocked.err = remediatortest.Launch(remediatortest.Program{
			Name: name, Args: []string{"-http-addr", plain, "-https-addr", tls}, Dir: os.TempDir(),
			ReadyFunc: func(ctx context.Context) error {
				_, err := askStripe(ctx, mocked.url, http.MethodGet, "/v1/webhook_endpoints", nil, nil)
				return err
			},
		})
	})
	if mocked.err != nil {
		t.Fatal(mocked.err)
	}
	return mocked.url
}

// askStripe makes a call at the mock, which holds it to Stripe's description.
func askStripe(ctx context.Context, base, method, path string, header http.Header, body []byte) (status int, err error) {
	req, err := http.NewRequestWithContext(ctx, method, base+path, bytes.NewReader(body))
	if err != nil {
		return 0, err
	}
	if header != nil {
		req.Header = header.Clone()
	}
	req.Header.Set("Authorization", "Bearer sk_test_123")
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	answer, _ := io.ReadAll(resp.Body)
	if resp.StatusCode != http.StatusOK {
		return resp.StatusCode, fmt.Errorf("stripe-mock answered %d: %s", resp.StatusCode, answer)
	}
	return resp.StatusCode, nil
}

func judgeStripe(t *testing.T, s *cards.Server) {
	base := startStripe(t)
	s.JudgeFunc = func(r *http.Request, body []byte) error {
		_, err := askStripe(context.Background(), base, r.Method, r.URL.RequestURI(), r.Header, body)
		return err
	}
}

// TestJudgesRefuse: a judge that refuses nothing would prove nothing.
func TestJudgesRefuse(t *testing.T) {
	for _, c := range []struct {
		judge              func(*testing.T, *cards.Server)
		method, path, body string
		header             http.Header
	}{
		{judgeGitHub, "PATCH", "/repos/acme/shop/hooks/1", `{"active":"yes"}`, http.Header{"Content-Type": {"application/json"}}},
		{judgeGitHub, "PUT", "/repos/acme/shop/contents/a/b", `{"content":"eA=="}`, http.Header{"Content-Type": {"application/json"}}},
		{judgeGitHub, "DELETE", "/repos/acme/shop/contents/a/b", `{"message":"m"}`, http.Header{"Content-Type": {"application/json"}}},
		{judgeStripe, "POST", "/v1/webhook_endpoints", "url=https%3A%2F%2Fa.example.com", http.Header{"Content-Type": {formType}}},
		{judgeStripe, "POST", "/v1/webhook_endpoints/we_1", "nonsense=1", http.Header{"Content-Type": {formType}}},
		{judgeStripe, "POST", "/v1/webhook_endpoints/we_1", "enabled_events[]=no.such.event", http.Header{"Content-Type": {formType}}},
	} {
		s := &cards.Server{}
		c.judge(t, s)
		u, err := url.Parse(c.path)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.JudgeFunc(&http.Request{Method: c.method, URL: u, Header: c.header}, []byte(c.body)); err == nil {
			t.Errorf("%s %s with %s is not refused", c.method, c.path, c.body)
		}
	}
}
