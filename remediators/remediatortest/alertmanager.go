package remediatortest

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// StartAlertmanager starts a real Alertmanager, alone and on a free port of loopback, and returns its address.
// It ends with the test.
func StartAlertmanager(t testing.TB) (url string) {
	t.Helper()
	bin, err := exec.LookPath("prometheus-alertmanager")
	if err != nil {
		t.Fatalf("prometheus-alertmanager is needed on this machine: %v", err)
	}
	dir, address := t.TempDir(), freeAddress(t)
	file := filepath.Join(dir, "am.yml")
	if err := os.WriteFile(file, []byte("route: {receiver: none}\nreceivers: [{name: none}]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(bin, "--config.file="+file, "--storage.path="+filepath.Join(dir, "data"),
		"--web.listen-address="+address, "--cluster.listen-address=")
	cmd.Env = []string{"HOME=" + dir, "PATH=" + os.Getenv("PATH")}
	serve(t, cmd, "http://"+address+"/-/ready")
	return "http://" + address
}
