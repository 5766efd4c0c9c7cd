package remediators

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/net/http/httpguts"

	"sideledger/ledger"
)

const (
	schemeBearer = "bearer"
	schemeBasic  = "basic"
	schemeHeader = "header"
	schemeHMAC   = "hmac"
	schemeSigV4  = "sigv4"
	schemeAzure  = "azure"
)

// maxCredential is the longest credential that is read from a file, in bytes.
const maxCredential = 64 << 10

// checkReference says what is wrong with a credential reference; it never repeats it, since somebody
// may have put the secret itself there.
func checkReference(ref string) string {
	kind, rest, _ := strings.Cut(ref, ":")
	switch {
	case kind == "env" && envName.MatchString(rest):
		return ""
	case kind == "file" && filepath.IsAbs(rest):
		return ""
	default:
		return "is a reference, env:NAME or file:/path; the secret itself never stands in the configuration"
	}
}

// Resolve reads the secret behind a reference of the configuration, now: a secret of the third party's that an undo
// has to send, or a credential. The error names the reference, never the value.
func Resolve(ref string, getenv func(string) string) (ledger.Secret, error) {
	kind, rest, _ := strings.Cut(ref, ":")
	var secret string
	switch kind {
	case "env":
		secret = getenv(rest)
	case "file":
		raw, err := readSecret(rest)
		if err != nil {
			return ledger.Secret{}, fmt.Errorf("read the credential %s: %w", ref, err)
		}
		secret = strings.TrimRight(raw, "\r\n")
	}
	if secret == "" {
		return ledger.Secret{}, fmt.Errorf("the credential %s is empty", ref)
	}
	if !httpguts.ValidHeaderFieldValue(secret) {
		return ledger.Secret{}, fmt.Errorf("the credential %s has a character that no header may have", ref)
	}
	return ledger.NewSecret(secret), nil
}

func readSecret(path string) (string, error) {
	f, err := os.Open(path) //nolint:gosec // the path stands in the server's own configuration
	if err != nil {
		return "", err
	}
	defer f.Close()
	raw, err := io.ReadAll(io.LimitReader(f, maxCredential+1))
	if len(raw) > maxCredential {
		return "", errors.New("it is longer than 64 KiB")
	}
	return string(raw), err
}

// authorize puts the credential on a request that is otherwise complete. The body is what will be sent.
func (c *Client) authorize(req *http.Request, body []byte, now time.Time) error {
	if c.credential == "" {
		return nil
	}
	credential, err := Resolve(c.credential, c.getenv)
	if err != nil {
		return err
	}
	secret := credential.Reveal() // it goes into the request, and nowhere else
	switch c.auth.Scheme {
	case schemeBasic:
		if !strings.Contains(secret, ":") {
			return fmt.Errorf("the credential %s is not user:password", c.credential)
		}
		req.Header.Set("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(secret)))
	case schemeHeader:
		req.Header.Set(c.auth.Name, c.auth.Prefix+secret)
	case schemeHMAC:
		req.Header.Set(c.auth.hmacHeader(), signHMAC(secret, req, body, now))
	case schemeSigV4:
		key, err := parseAWSKey(secret)
		if err != nil {
			return fmt.Errorf("the credential %s: %w", c.credential, err)
		}
		signV4(req, body, key, c.auth.Region, c.auth.Service, now)
	case schemeAzure:
		key, err := parseAzureKey(secret)
		if err != nil {
			return fmt.Errorf("the credential %s: %w", c.credential, err)
		}
		signAzure(req, body, key, now)
	default:
		req.Header.Set("Authorization", "Bearer "+secret)
	}
	return c.authorizeMore(req)
}

func (a AuthConfig) hmacHeader() string {
	if a.Name == "" {
		return "X-Signature"
	}
	return a.Name
}

// signHMAC returns "t=SECONDS,v1=HEX": HMAC-SHA256, keyed with the credential, over four lines joined by
// "\n": method, path with query as sent, SHA-256 of the body in hex, and the same seconds since the epoch.
func signHMAC(secret string, req *http.Request, body []byte, now time.Time) string {
	sum := sha256.Sum256(body)
	mac := hmac.New(sha256.New, []byte(secret))
	_, _ = fmt.Fprintf(mac, "%s\n%s\n%s\n%d", req.Method, req.URL.RequestURI(), hex.EncodeToString(sum[:]), now.Unix())
	return fmt.Sprintf("t=%d,v1=%s", now.Unix(), hex.EncodeToString(mac.Sum(nil)))
}

// Slot says how a person presents the credential by hand. It is empty where there is none, and for
// hmac, sigv4 and azure, whose signatures no fixed header can carry.
func (c *Client) Slot() ledger.CredentialSlot {
	if c.credential == "" {
		return ledger.CredentialSlot{}
	}
	kind, rest, _ := strings.Cut(c.credential, ":")
	variable := rest
	if kind != "env" {
		variable = strings.ToUpper(strings.NewReplacer("-", "_", ".", "_").Replace(c.lane.name)) + "_CREDENTIAL"
	}
	switch c.auth.Scheme {
	case schemeHMAC, schemeSigV4, schemeAzure:
		return ledger.CredentialSlot{}
	case schemeBasic: // the variable has to hold base64 of user:password
		return ledger.CredentialSlot{Variable: variable + "_BASE64", Header: "Authorization", Prefix: "Basic "}
	case schemeHeader:
		return ledger.CredentialSlot{Variable: variable, Header: c.auth.Name, Prefix: c.auth.Prefix}
	default:
		return ledger.CredentialSlot{Variable: variable, Header: "Authorization", Prefix: "Bearer "}
	}
}

// transportHeaders belong to the connection or to the client; no call sets them.
var transportHeaders = []string{
	"Accept-Encoding", "Connection", "Content-Length", "Cookie", "Expect", "Host", "Keep-Alive", "Proxy-Authorization",
	"Proxy-Connection", "Te", "Trailer", "Transfer-Encoding", "Upgrade", "User-Agent", "Http2-Settings",
}

// secretHeaders carry credentials, which stand in the configuration and nowhere else.
var secretHeaders = []string{"Authorization", "X-Api-Key", "Api-Key", "X-Auth-Token", "X-Amz-Security-Token"}

func transportHeader(name string) bool {
	return slices.Contains(transportHeaders, plainHeader(name))
}

// CheckHeader says whether a call may set a header to a value (empty while it is not known yet). Headers
// of the connection and of credentials belong to the client, and none may lead a third party to another
// method, path or host than the one that is checked. The error never repeats the value.
func CheckHeader(name, value string) error {
	switch {
	case !httpguts.ValidHeaderFieldName(name):
		return errors.New("is not a header name")
	case transportHeader(name):
		return errors.New("belongs to the connection; a call does not set it")
	case slices.Contains(secretHeaders, plainHeader(name)):
		return errors.New("carries a credential; that belongs to credential and auth of the system")
	case steeringHeader(plainHeader(name)):
		return errors.New("would lead to another method, path or host than the one that is checked; a call does not set it")
	case !httpguts.ValidHeaderFieldValue(value):
		return errors.New("has a character that no header value may have")
	}
	return nil
}

// References returns the references of a system's configuration, each once.
func (c *SystemConfig) References() []string {
	refs := append(slices.Collect(maps.Values(c.Credentials)), slices.Collect(maps.Values(c.Secrets))...)
	if c.Credential != "" {
		refs = append(refs, c.Credential)
	}
	slices.Sort(refs)
	return slices.Compact(refs)
}
