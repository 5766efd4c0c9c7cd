package remediators

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestCredentialSchemes(t *testing.T) {
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte(canary+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var got *http.Request
	url := serve(t, func(_ http.ResponseWriter, r *http.Request) { got = r })
	for _, c := range []struct {
		ref, header, want string
		auth              AuthConfig
	}{
		{"env:TOKEN", "Authorization", "Bearer " + canary, AuthConfig{}},
		{"file:" + file, "Authorization", "Bearer " + canary, AuthConfig{Scheme: "bearer"}},
		{"env:PAIR", "Authorization", "Basic " + base64.StdEncoding.EncodeToString([]byte("user:"+canary)), AuthConfig{Scheme: "basic"}},
		{"env:TOKEN", "X-Token", canary, AuthConfig{Scheme: "header", Name: "X-Token"}},
		{"env:TOKEN", "Authorization", "GenieKey " + canary, AuthConfig{Scheme: "header", Name: "Authorization", Prefix: "GenieKey "}},
	} {
		client := newTestClient(t, SystemConfig{URL: url, AllowPrivate: true, Credential: c.ref, Auth: c.auth})
		if _, err := client.Do(t.Context(), Call{Method: "GET", Path: "/"}); err != nil {
			t.Fatal(err)
		}
		if v := got.Header.Get(c.header); v != c.want {
			t.Errorf("%+v: %s: %q, want %q", c.auth, c.header, v, c.want)
		}
		if got.UserAgent() != "sideledger" {
			t.Errorf("User-Agent %q", got.UserAgent())
		}
	}
	client := newTestClient(t, SystemConfig{URL: url, AllowPrivate: true, Credential: "env:TOKEN", Auth: AuthConfig{Scheme: "hmac"}})
	if _, err := client.Do(t.Context(), Call{Method: "PUT", Path: "/a", Query: "b=1", Body: []byte("{}")}); err != nil {
		t.Fatal(err)
	}
	if sig := got.Header.Get("X-Signature"); !strings.HasPrefix(sig, "t=") || !strings.Contains(sig, ",v1=") || strings.Contains(sig, canary) {
		t.Errorf("signature %q", sig)
	}
}

func TestCredentialIsReadAtTheMomentOfUse(t *testing.T) {
	var got string
	url := serve(t, func(_ http.ResponseWriter, r *http.Request) { got = r.Header.Get("Authorization") })
	file := filepath.Join(t.TempDir(), "token")
	client := newTestClient(t, SystemConfig{URL: url, AllowPrivate: true, Credential: "file:" + file})
	if _, err := client.Do(t.Context(), Call{Method: "GET", Path: "/"}); class(err) != "denied" || got != "" {
		t.Errorf("without the file: %v, sent %q", err, got)
	}
	for _, secret := range []string{"one", "two"} {
		if err := os.WriteFile(file, []byte(secret), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := client.Do(t.Context(), Call{Method: "GET", Path: "/"}); err != nil || got != "Bearer "+secret {
			t.Errorf("%v, sent %q", err, got)
		}
	}
	if err := os.WriteFile(file, []byte("a\r\nX: "+canary), 0o600); err != nil {
		t.Fatal(err)
	}
	got = ""
	if _, err := client.Do(t.Context(), Call{Method: "GET", Path: "/"}); class(err) != "denied" || got != "" || strings.Contains(err.Error(), canary) {
		t.Errorf("a credential with a line break: %v, sent %q", err, got)
	}
}

func TestSecretsAreSaidNowhere(t *testing.T) {
	var log bytes.Buffer
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/drop":
			panic(http.ErrAbortHandler)
		case "/garbage":
			conn, _, err := http.NewResponseController(w).Hijack()
			if err == nil {
				_, _ = io.WriteString(conn, "HTTP/1.1 "+r.Header.Get("Authorization")+"\r\n\r\n")
				_ = conn.Close()
			}
		case "/auth":
			w.WriteHeader(401)
			_, _ = io.WriteString(w, r.Header.Get("Authorization"))
		}
	})
	for _, base := range []string{url, "http://127.0.0.1:1", "http://name.invalid", "http://169.254.169.254", "https" + url[4:]} {
		_, client := newRegistry(t, SystemConfig{URL: base, AllowPrivate: true, Credential: "env:TOKEN"}, time.Now, &log)
		for _, path := range []string{"/drop", "/garbage", "/auth", "/../x", "/a b"} {
			for range 2 {
				_, err := client.Do(t.Context(), Call{Method: "PUT", Path: path, Query: "token=" + canary, Body: []byte(canary)})
				if err == nil {
					t.Errorf("%s%s: no error", base, path)
				}
				if said := fmt.Sprintf("%v %+v", err, err); strings.Contains(said, "canary") {
					t.Errorf("%s%s: %s", base, path, said)
				}
			}
		}
	}
	if strings.Contains(log.String(), "canary") || !strings.Contains(log.String(), "breaker open") {
		t.Errorf("log: %s", log.String())
	}
}
