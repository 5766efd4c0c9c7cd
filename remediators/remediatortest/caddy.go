package remediatortest

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
)

// StartCaddy starts a real Caddy on free ports of loopback, with one server srv0 and one route @id base,
// and returns the address of its admin API. It ends with the test.
func StartCaddy(t testing.TB) (adminURL string) {
	t.Helper()
	dir, admin := t.TempDir(), FreeAddress(t)
	config, err := json.Marshal(map[string]any{
		"admin": map[string]any{"listen": admin},
		"apps": map[string]any{"http": map[string]any{"servers": map[string]any{"srv0": map[string]any{
			"listen": []string{FreeAddress(t)}, "automatic_https": map[string]any{"disable": true},
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
	adminURL = "http://" + admin
	Start(t, Program{Name: "caddy", Args: []string{"run", "--config", file}, Dir: dir, Env: []string{"XDG_CONFIG_HOME=" + dir, "XDG_DATA_HOME=" + dir}, ReadyFunc: Answers(adminURL + "/config/")})
	return adminURL
}
