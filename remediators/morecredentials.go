package remediators

import (
	"maps"
	"net/http"
	"slices"
	"strings"

	"golang.org/x/net/http/httpguts"

	"sideledger/ledger"
)

// authorizeMore puts the further credentials of a system on a request, each in its header.
func (c *Client) authorizeMore(req *http.Request) error {
	for name, ref := range c.more {
		secret, err := Resolve(ref, c.getenv)
		if err != nil {
			return err
		}
		req.Header.Set(name, secret.Reveal()) // it goes into the request, and nowhere else
	}
	return nil
}

// carries reports whether a header, in its plain form, carries one of the further credentials, or belongs to the signature.
func (c *Client) carries(plain string) bool {
	if c.auth.Scheme == schemeAzure && (plain == "X-Ms-Date" || plain == "X-Ms-Content-Sha256") {
		return true
	}
	for name := range c.more {
		if plainHeader(name) == plain {
			return true
		}
	}
	return false
}

// secretTexts are the texts of the credentials that must not be seen: each whole, and what stands behind a name in it.
// ok is false where one cannot be read.
func (c *Client) secretTexts() (list []string, ok bool) {
	if c.credential == "" {
		return nil, true
	}
	secret, err := Resolve(c.credential, c.getenv)
	if err != nil {
		return nil, false
	}
	list = c.auth.parts(secret.Reveal())
	for _, name := range slices.Sorted(maps.Keys(c.more)) {
		secret, err := Resolve(c.more[name], c.getenv)
		if err != nil {
			return nil, false
		}
		list = append(list, secret.Reveal())
	}
	slices.SortStableFunc(list, func(a, b string) int { return len(b) - len(a) }) // one may stand within another
	return list, true
}

// MoreSlots is [Client.Slot] for the further credentials.
func (c *Client) MoreSlots() (list []ledger.CredentialSlot) {
	if c == nil || c.Slot().Variable == "" {
		return nil
	}
	for _, name := range slices.Sorted(maps.Keys(c.more)) {
		kind, variable, _ := strings.Cut(c.more[name], ":")
		if kind != "env" {
			variable = strings.ToUpper(strings.NewReplacer("-", "_", ".", "_").Replace(c.lane.name + "_" + name))
		}
		list = append(list, ledger.CredentialSlot{Variable: variable, Header: name})
	}
	return list
}

// validateCredentials looks at the further credentials.
func (c SystemConfig) validateCredentials(add func(field, msg string)) {
	main := "Authorization"
	if c.Auth.Name != "" {
		main = http.CanonicalHeaderKey(c.Auth.Name)
	}
	seen := map[string]bool{main: true}
	for _, name := range slices.Sorted(maps.Keys(c.Credentials)) {
		plain := http.CanonicalHeaderKey(name)
		switch msg := checkReference(c.Credentials[name]); {
		case c.Credential == "":
			add("credentials", "are those beside credential, which is missing")
		case msg != "":
			add("credentials."+name, msg)
		case !httpguts.ValidHeaderFieldName(name) || transportHeader(name) || steeringHeader(plainHeader(name)):
			add("credentials", "has a name that is not a header which can carry a credential")
		case seen[plain]:
			add("credentials."+name, "is a header that carries another credential already")
		}
		seen[plain] = true
	}
}
