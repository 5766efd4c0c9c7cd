package main

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"
	"unicode"

	"github.com/google/uuid"

	"sideledger/api/client"
)

const (
	defaultURL  = "http://127.0.0.1:8420"
	dialTimeout = 5 * time.Second
	maxToken    = 4096 // bytes of a token file
)

// address returns where the ledger is, and for `file:DIR` the folder that is recorded into instead.
func (a *app) address() (base, folder string, err error) {
	s := a.getenv("ROLLBACK_URL")
	if s == "" {
		return defaultURL, "", nil
	}
	if dir, ok := strings.CutPrefix(s, "file:"); ok {
		dir = strings.TrimPrefix(dir, "//")
		if dir == "" {
			return "", "", errors.New("ROLLBACK_URL is file: without a folder")
		}
		return "", filepath.Clean(dir), nil
	}
	u, err := url.Parse(s)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return "", "", errors.New("ROLLBACK_URL must be http://HOST[:PORT], https://HOST[:PORT] or file:DIR")
	}
	return strings.TrimRight(s, "/"), "", nil
}

// server returns a client of the ledger. With `file:DIR` there is none, and the error says so.
func (a *app) server() (*client.Client, error) {
	base, folder, err := a.address()
	if err != nil {
		return nil, err
	}
	if folder != "" {
		return nil, errors.New("this needs a server: ROLLBACK_URL is file:DIR, where window open, record, applied and void work.\n" +
			"Take the folder in with `ledgerd import DIR`, then set ROLLBACK_URL to the server")
	}
	token, err := a.token()
	if err != nil {
		return nil, err
	}
	return client.New(client.Config{
		URL: base, Token: token, UserAgent: "sideledger-rollback/" + versionOf(), Heads: a.keptHeads(base), WarnFunc: a.warnOnce(),
		Traceparent: a.traceparent(),
		Transport: &http.Transport{
			DialContext:         (&net.Dialer{Timeout: dialTimeout}).DialContext,
			TLSHandshakeTimeout: 2 * dialTimeout, MaxIdleConnsPerHost: 4, IdleConnTimeout: time.Minute, ForceAttemptHTTP2: true,
		},
	})
}

var traceparent = regexp.MustCompile(`^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$`)

// traceparent returns the span that the script runs under, as OpenTelemetry hands it to processes; "" if there is none.
func (a *app) traceparent() string {
	if t := a.getenv("TRACEPARENT"); traceparent.MatchString(t) {
		return t
	}
	return ""
}

// token reads the token from the environment, or from the file that it names; "" if there is none.
func (a *app) token() (string, error) {
	if t := a.getenv("ROLLBACK_TOKEN"); t != "" {
		return checkToken("ROLLBACK_TOKEN", t)
	}
	name := a.getenv("ROLLBACK_TOKEN_FILE")
	if name == "" {
		return "", nil
	}
	b, err := os.ReadFile(name) //nolint:gosec // the operator names the file
	if err != nil {
		return "", fmt.Errorf("read ROLLBACK_TOKEN_FILE: %w", err)
	}
	if len(b) > maxToken {
		return "", errors.New("ROLLBACK_TOKEN_FILE is too long to hold a token")
	}
	t, err := checkToken("ROLLBACK_TOKEN_FILE", string(b))
	if err == nil && t == "" {
		return "", errors.New("ROLLBACK_TOKEN_FILE is empty")
	}
	return t, err
}

func checkToken(name, t string) (string, error) {
	t = strings.TrimSpace(t)
	if strings.ContainsFunc(t, func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) || r > unicode.MaxASCII }) {
		return "", fmt.Errorf("%s does not hold a token: it has spaces or other foreign characters", name)
	}
	return t, nil
}

// spoolFolder returns where calls are kept that could not be sent.
func (a *app) spoolFolder() (string, error) { return a.stateFolder("spool") }

// stateFolder returns a folder of the command's state.
func (a *app) stateFolder(name string) (string, error) {
	state := a.getenv("XDG_STATE_HOME")
	if !filepath.IsAbs(state) { // relative values are to be ignored, says the XDG base directory specification
		home := a.getenv("HOME")
		if home == "" {
			return "", errors.New("neither XDG_STATE_HOME nor HOME says where a " + name + " may be kept")
		}
		state = filepath.Join(home, ".local", "state")
	}
	return filepath.Join(state, "rollback", name), nil
}

// windowOr returns the window that a flag names, or else ROLLBACK_WINDOW.
func (a *app) windowOr(flag string, changed bool) (string, error) {
	if !changed {
		flag = a.getenv("ROLLBACK_WINDOW")
	}
	if flag == "" {
		return "", errors.New("which window? Say --window ID, or set ROLLBACK_WINDOW")
	}
	return checkID("window", flag)
}

// checkID returns id in its one form. Only a whole id is taken.
func checkID(what, id string) (string, error) {
	u, err := uuid.Parse(id)
	if err != nil || len(id) != 36 {
		return "", fmt.Errorf("%q is not the full id of %s %s", clean(id), article(what), what)
	}
	return u.String(), nil
}

func article(noun string) string {
	if strings.ContainsRune("aeiou", rune(noun[0])) {
		return "an"
	}
	return "a"
}

// newID returns a fresh UUIDv7.
func newID() (string, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return "", fmt.Errorf("make an id: %w", err)
	}
	return id.String(), nil
}
