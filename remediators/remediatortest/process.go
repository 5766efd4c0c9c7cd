package remediatortest

import (
	"bytes"
	"os"
	"os/exec"
	"testing"
	"time"
)

// serve runs a server until the test is over, and returns when readyURL answers 200. It is stopped by an
// interrupt, and killed if it does not end.
func serve(t testing.TB, cmd *exec.Cmd, readyURL string) {
	t.Helper()
	var log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	gone := make(chan struct{})
	go func() { _ = cmd.Wait(); close(gone) }()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt)
		select {
		case <-gone:
		case <-time.After(10 * time.Second):
			_ = cmd.Process.Kill()
			<-gone
		}
	})
	awaitReady(t, readyURL, gone, &log)
}
