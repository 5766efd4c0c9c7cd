package remediators

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"sideledger/ledger"
)

// The vectors are AWS's own: the Signature Version 4 test suite, the IAM example of the signing guide and
// the S3 example of its authentication page.
func TestSigV4(t *testing.T) {
	suite := awsKey{id: "AKIDEXAMPLE", secret: ledger.NewSecret("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")}
	s3 := awsKey{id: "AKIAIOSFODNN7EXAMPLE", secret: ledger.NewSecret("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")}
	day := time.Date(2015, 8, 30, 12, 36, 0, 0, time.UTC)
	for _, c := range []struct {
		name, method, url, body, service, want string
		header                                 http.Header
		key                                    awsKey
		at                                     time.Time
	}{
		{name: "get-vanilla", method: "GET", url: "https://example.amazonaws.com/", service: "service", key: suite, at: day, want: "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"},
		{name: "post-vanilla", method: "POST", url: "https://example.amazonaws.com/", service: "service", key: suite, at: day, want: "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"},
		{name: "get-vanilla-query-order-key-case", method: "GET", url: "https://example.amazonaws.com/?Param2=value2&Param1=value1", service: "service", key: suite, at: day, want: "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500"},
		{name: "post-x-www-form-urlencoded", method: "POST", url: "https://example.amazonaws.com/", body: "Param1=value1", header: http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}, service: "service", key: suite, at: day, want: "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a"},
		{name: "iam", method: "GET", url: "https://iam.amazonaws.com/?Action=ListUsers&Version=2010-05-08", header: http.Header{"Content-Type": {"application/x-www-form-urlencoded; charset=utf-8"}}, service: "iam", key: suite, at: day, want: "5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7"},
		{name: "s3", method: "GET", url: "https://examplebucket.s3.amazonaws.com/test.txt", header: http.Header{"Range": {"bytes=0-9"}}, service: "s3", key: s3, at: time.Date(2013, 5, 24, 0, 0, 0, 0, time.UTC), want: "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"},
	} {
		req, err := http.NewRequestWithContext(t.Context(), c.method, c.url, nil)
		if err != nil {
			t.Fatal(err)
		}
		for k, v := range c.header {
			req.Header[k] = v
		}
		signV4(req, []byte(c.body), c.key, "us-east-1", c.service, c.at)
		if got := req.Header.Get("Authorization"); !strings.HasSuffix(got, "Signature="+c.want) {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}

func TestSigV4OnTheWire(t *testing.T) {
	var got *http.Request
	url := serve(t, func(_ http.ResponseWriter, r *http.Request) { got = r })
	client := newTestClient(t, SystemConfig{
		URL: url, AllowPrivate: true, Credential: "env:AWS", Auth: AuthConfig{Scheme: "sigv4", Region: "eu-central-1", Service: "scheduler"},
	})
	if _, err := client.Do(t.Context(), Call{Method: "PUT", Path: "/schedules/a%20b", Body: []byte("{}")}); err != nil {
		t.Fatal(err)
	}
	auth := got.Header.Get("Authorization")
	if !strings.Contains(auth, "/eu-central-1/scheduler/aws4_request") || got.Header.Get("X-Amz-Security-Token") != "session" {
		t.Errorf("%s", auth)
	}
	if strings.Contains(auth, canary) || client.Slot().Header != "" {
		t.Error("the secret, or a slot for it, is there")
	}
}
