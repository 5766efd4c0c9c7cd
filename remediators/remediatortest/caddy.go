package remediatortest

import (
	"bytes"
	"encoding/json"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// StartCaddy starts a real Caddy on free ports of loopback, with one server srv0 and one route @id base,
// and returns the address of its admin API. It ends with the test.
func StartCaddy(t testing.TB) (adminURL string) {
	t.Helper()
	bin, err := exec.LookPath("caddy")
	if err != nil {
		t.Fatalf("caddy is needed on this machine: %v", err)
	}
	dir, admin := t.TempDir(), freeAddress(t)
	config, err := json.Marshal(map[string]any{
		"admin": map[string]any{"listen": admin},
		"apps": map[string]any{"http": map[string]any{"servers": map[string]any{"srv0": map[string]any{
			"listen": []string{freeAddress(t)}, "automatic_https": map[string]any{"disable": true},
			"routes": []any{map[string]any{
				"@id": "base", "match": []any{map[string]any{"path": []string{"/base"}}},
				"handle": []any{map[string]any{"handler": "static_response", "body": "v1"}},
			}},
		}}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "caddy.json")
	if err := os.WriteFile(file, config, 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(bin, "run", "--config", file)
	cmd.Env = []string{"HOME=" + dir, "XDG_CONFIG_HOME=" + dir, "XDG_DATA_HOME=" + dir, "PATH=" + os.Getenv("PATH")}
	adminURL = "http://" + admin
	serve(t, cmd, adminURL+"/config/")
	return adminURL
}

// freeAddress returns a loopback address that was free a moment ago.
func freeAddress(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// awaitReady asks until the server answers 200.
func awaitReady(t testing.TB, url string, gone <-chan struct{}, log *bytes.Buffer) {
	t.Helper()
	client := &http.Client{Timeout: 2 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	late := time.After(30 * time.Second)
	for {
		if resp, err := client.Get(url); err == nil {
			_ = resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return
			}
		}
		select {
		case <-gone:
			t.Fatalf("it ended before it was ready: %s", log.String())
		case <-late:
			t.Fatalf("not ready within 30 s")
		case <-tick.C:
		}
	}
}
