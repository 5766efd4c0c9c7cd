package powerdns

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"sideledger/remediators/remediatortest"
)

const apiKey = "pdns-key"

// nameServer is where the shared PowerDNS takes updates.
var nameServer string

// server is the real PowerDNS that the tests of this package share; each has a zone of its own.
var server = &remediatortest.Shared{ProgramFunc: func(t testing.TB, dir string) (p remediatortest.Program, url string) {
	t.Helper()
	database := filepath.Join(dir, "pdns.db")
	schema, err := os.ReadFile("/usr/share/pdns-backend-sqlite3/schema/schema.sqlite3.sql")
	if err != nil {
		t.Fatal(err)
	}
	sqlite := exec.CommandContext(t.Context(), "sqlite3", database)
	sqlite.Stdin = strings.NewReader(string(schema))
	if out, err := sqlite.CombinedOutput(); err != nil {
		t.Fatalf("sqlite3: %v: %s", err, out)
	}
	api := remediatortest.FreeAddress(t)
	nameServer = remediatortest.FreeAddress(t)
	_, apiPort, _ := strings.Cut(api, ":")
	_, dnsPort, _ := strings.Cut(nameServer, ":")
	return remediatortest.Program{
		Name: "/usr/sbin/pdns_server", ReadyFunc: remediatortest.Answers("http://" + api + "/"), Args: []string{
			"--config-dir=" + dir, "--socket-dir=" + dir, "--daemon=no", "--guardian=no", "--disable-syslog", "--security-poll-suffix=",
			"--launch=gsqlite3", "--gsqlite3-database=" + database, "--gsqlite3-dnssec=yes", "--gsqlite3-pragma-synchronous=0", "--local-address=127.0.0.1", "--local-port=" + dnsPort,
			"--webserver=yes", "--webserver-address=127.0.0.1", "--webserver-port=" + apiPort, "--api=yes", "--api-key=" + apiKey,
			"--dnsupdate=yes", "--allow-dnsupdate-from=127.0.0.0/8",
		},
	}, "http://" + api
}}

func TestMain(m *testing.M) {
	os.Exit(server.Main(m)) //nolint:forbidigo // TestMain is a test's main
}
