package remediators

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"net/http"
	"strings"
	"time"

	"sideledger/ledger"
)

// An azureKey is what an azure credential holds: an access key of App Configuration.
type azureKey struct {
	id      string
	secret  []byte
	spelled ledger.Secret // the secret as it stands in the credential
}

var errAzureKey = errors.New("it is not ID:SECRET, nor a connection string with Id and Secret, of an access key whose secret is base64")

// parseAzureKey reads ID:SECRET, in which the id may have colons, or the connection string that Azure shows. The error
// repeats nothing.
func parseAzureKey(s string) (azureKey, error) {
	var id, secret string
	if strings.Contains(s, "Secret=") {
		for part := range strings.SplitSeq(s, ";") {
			name, value, _ := strings.Cut(part, "=")
			switch name {
			case "Id":
				id = value
			case "Secret":
				secret = value
			}
		}
	} else if i := strings.LastIndex(s, ":"); i > 0 {
		id, secret = s[:i], s[i+1:]
	}
	raw, err := base64.StdEncoding.DecodeString(secret)
	if err != nil || id == "" || len(raw) == 0 {
		return azureKey{}, errAzureKey
	}
	return azureKey{id, raw, ledger.NewSecret(secret)}, nil
}

// signAzure signs a request as App Configuration asks: HMAC-SHA256 over the method, path with query as sent, and the values of three
// headers, of which one is the hash of the body.
func signAzure(req *http.Request, body []byte, key azureKey, now time.Time) {
	sum := sha256.Sum256(body)
	hash, date := base64.StdEncoding.EncodeToString(sum[:]), now.UTC().Format(http.TimeFormat)
	host := req.Host
	if host == "" {
		host = req.URL.Host
	}
	mac := hmac.New(sha256.New, key.secret)
	mac.Write([]byte(req.Method + "\n" + req.URL.RequestURI() + "\n" + date + ";" + host + ";" + hash))
	req.Header.Set("X-Ms-Date", date)
	req.Header.Set("X-Ms-Content-Sha256", hash)
	req.Header.Set("Authorization", "HMAC-SHA256 Credential="+key.id+"&SignedHeaders=x-ms-date;host;x-ms-content-sha256&Signature="+
		base64.StdEncoding.EncodeToString(mac.Sum(nil)))
}
