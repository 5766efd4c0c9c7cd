package remediatortest

import (
	"os"
	"path/filepath"
	"testing"
)

// StartAlertmanager starts a real Alertmanager, alone and on a free port of loopback, and returns its address.
// It ends with the test.
func StartAlertmanager(t testing.TB) (url string) {
	t.Helper()
	dir, address := t.TempDir(), FreeAddress(t)
	file := filepath.Join(dir, "am.yml")
	if err := os.WriteFile(file, []byte("route: {receiver: none}\nreceivers: [{name: none}]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	Start(t, Program{
		Name: "prometheus-alertmanager", Dir: dir, ReadyFunc: Answers("http://" + address + "/-/ready"),
		Args: []string{"--config.file=" + file, "--storage.path=" + filepath.Join(dir, "data"), "--web.listen-address=" + address, "--cluster.listen-address="},
	})
	return "http://" + address
}
