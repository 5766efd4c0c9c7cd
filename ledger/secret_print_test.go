package ledger_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"sideledger/ledger"
)

// A Secret shows nothing however it is printed.
func TestASecretPrintsNothing(t *testing.T) {
	v := struct {
		S ledger.Secret
		P *ledger.Secret
		L []ledger.Secret
	}{S: ledger.NewSecret("canary-alpha")}
	v.P, v.L = &v.S, []ledger.Secret{v.S}
	var b bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%p", "%T"} {
		fmt.Fprintf(&b, verb+verb+verb, v, v.S, v.L)
	}
	log := slog.New(slog.NewJSONHandler(&b, &slog.HandlerOptions{Level: slog.LevelDebug}))
	log.Debug("x", slog.Any("v", v), slog.Any("s", v.S), slog.Any("p", v.P))
	slog.New(slog.NewTextHandler(&b, nil)).Info("x", "v", v, "s", v.S)
	raw, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	b.Write(raw)
	for _, form := range []string{"canary", hex.EncodeToString([]byte("canary")), strings.ToUpper(hex.EncodeToString([]byte("canary")))} {
		if strings.Contains(b.String(), form) {
			t.Errorf("%s stands in %s", form, b.String())
		}
	}
	if v.S.Reveal() != "canary-alpha" {
		t.Error("it is gone")
	}
}
