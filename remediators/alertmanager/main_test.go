package alertmanager

import (
	"os"
	"testing"

	"sideledger/remediators/remediatortest"
)

func TestMain(m *testing.M) {
	os.Exit(remediatortest.KeepProofs(m.Run())) //nolint:forbidigo // TestMain is a test's main
}
