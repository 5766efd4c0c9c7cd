package remediators

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"sideledger/ledger"
)

// An awsKey is what a sigv4 credential holds.
type awsKey struct {
	id            string
	secret, token ledger.Secret // token: empty where there is none
}

// parseAWSKey reads AKID:SECRET or AKID:SECRET:TOKEN. The error repeats nothing.
func parseAWSKey(s string) (awsKey, error) {
	parts := strings.SplitN(s, ":", 3)
	if len(parts) < 2 || parts[0] == "" || parts[1] == "" {
		return awsKey{}, errors.New("it is not AKID:SECRET or AKID:SECRET:TOKEN")
	}
	k := awsKey{id: parts[0], secret: ledger.NewSecret(parts[1])}
	if len(parts) == 3 {
		k.token = ledger.NewSecret(parts[2])
	}
	return k, nil
}

// signV4 signs a request as AWS Signature Version 4 asks: host, content-type, range and every x-amz header.
// S3 alone has its path encoded once and the hash of the body in a header.
func signV4(req *http.Request, body []byte, key awsKey, region, service string, now time.Time) {
	now = now.UTC()
	stamp, day := now.Format("20060102T150405Z"), now.Format("20060102")
	payload := sha256.Sum256(body)
	req.Header.Set("X-Amz-Date", stamp)
	if !key.token.Empty() {
		req.Header.Set("X-Amz-Security-Token", key.token.Reveal())
	}
	if service == "s3" {
		req.Header.Set("X-Amz-Content-Sha256", hex.EncodeToString(payload[:]))
	}
	headers, signed := canonicalHeaders(req)
	canonical := strings.Join([]string{
		req.Method, canonicalPath(req.URL, service), canonicalQuery(req.URL), headers, signed, hex.EncodeToString(payload[:]),
	}, "\n")
	scope := day + "/" + region + "/" + service + "/aws4_request"
	hashed := sha256.Sum256([]byte(canonical))
	toSign := "AWS4-HMAC-SHA256\n" + stamp + "\n" + scope + "\n" + hex.EncodeToString(hashed[:])
	mac := []byte("AWS4" + key.secret.Reveal())
	for _, part := range []string{day, region, service, "aws4_request", toSign} {
		mac = sum256(mac, part)
	}
	req.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential="+key.id+"/"+scope+", SignedHeaders="+signed+", Signature="+hex.EncodeToString(mac))
}

func sum256(key []byte, data string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(data))
	return h.Sum(nil)
}

func canonicalHeaders(req *http.Request) (lines, signed string) {
	host := req.Host
	if host == "" {
		host = req.URL.Host
	}
	values := map[string]string{"host": host}
	for name, vs := range req.Header {
		name = strings.ToLower(name)
		if name == "content-type" || name == "range" || strings.HasPrefix(name, "x-amz-") {
			for i, v := range vs {
				vs[i] = strings.Join(strings.Fields(v), " ")
			}
			values[name] = strings.Join(vs, ",")
		}
	}
	names := make([]string, 0, len(values))
	for name := range values {
		names = append(names, name)
	}
	slices.Sort(names)
	var b strings.Builder
	for _, name := range names {
		b.WriteString(name + ":" + values[name] + "\n")
	}
	return b.String(), strings.Join(names, ";")
}

// canonicalPath encodes every segment of the path as sent once more; S3 takes it as sent.
func canonicalPath(u *url.URL, service string) string {
	path := u.EscapedPath()
	if path == "" {
		path = "/"
	}
	if service == "s3" {
		return path
	}
	parts := strings.Split(path, "/")
	for i, p := range parts {
		parts[i] = awsEscape(p)
	}
	return strings.Join(parts, "/")
}

func canonicalQuery(u *url.URL) string {
	var pairs []string
	for k, vs := range u.Query() {
		for _, v := range vs {
			pairs = append(pairs, awsEscape(k)+"="+awsEscape(v))
		}
	}
	slices.Sort(pairs)
	return strings.Join(pairs, "&")
}

// awsEscape escapes everything but the unreserved characters of RFC 3986.
func awsEscape(s string) string {
	var b strings.Builder
	for _, c := range []byte(s) {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', strings.IndexByte("-_.~", c) >= 0:
			b.WriteByte(c)
		default:
			b.WriteByte('%')
			b.WriteString(strings.ToUpper(hex.EncodeToString([]byte{c})))
		}
	}
	return b.String()
}
