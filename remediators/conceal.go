package remediators

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"net/url"
	"strings"
)

// concealed stands where a credential stood.
const concealed = "[credential]"

// Conceal cuts the system's credential out of what its third party sent: some quote the request that they refuse.
// It is found as it is, escaped for JSON or for an address, and in base64. The text is returned unchanged when
// there is none.
func (c *Client) Conceal(text []byte) []byte {
	if c.credential == "" || len(text) == 0 {
		return text
	}
	list, ok := c.secretTexts()
	if !ok {
		return text // it could not be sent either
	}
	for _, part := range list {
		for _, form := range forms(part) {
			text = bytes.ReplaceAll(text, []byte(form), []byte(concealed))
		}
	}
	return text
}

// parts are the texts of a credential that must not be seen: whole, and what stands behind a name in it.
func (a AuthConfig) parts(secret string) []string {
	out := []string{secret}
	if key, err := parseAzureKey(secret); a.Scheme == schemeAzure && err == nil {
		return append(out, key.spelled.Reveal())
	}
	if a.Scheme == schemeBasic || a.Scheme == schemeSigV4 {
		for _, p := range strings.Split(secret, ":")[1:] {
			if len(p) >= 4 { // shorter ones stand in any text
				out = append(out, p)
			}
		}
	}
	return out
}

// forms are the ways in which a text may be written.
func forms(s string) []string {
	quoted, _ := json.Marshal(s) // a string always has a form
	return []string{
		s, strings.Trim(string(quoted), `"`), url.QueryEscape(s), url.PathEscape(s),
		base64.StdEncoding.EncodeToString([]byte(s)), base64.URLEncoding.EncodeToString([]byte(s)),
	}
}
