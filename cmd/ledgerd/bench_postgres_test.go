package main

import (
	"database/sql"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"

	_ "github.com/jackc/pgx/v5/stdlib"

	"sideledger/ledger/ledgertest"
)

// bareInsert is one row of an entry's size a transaction, as pgbench sends it.
const bareInsert = "INSERT INTO bare VALUES (gen_random_uuid(), decode(repeat('78', 600), 'hex'));\n"

// BenchmarkRecordPostgres sets records through the whole server, on a PostgreSQL that syncs, beside pgbench's own insert of one row on
// the same cluster: with one server, and with three of which each takes every third record of one window.
func BenchmarkRecordPostgres(b *testing.B) {
	for b.Loop() {
		cluster := &ledgertest.Postgres{Sync: true}
		url := cluster.Database(b)
		bare := map[int]float64{}
		for _, clients := range []int{1, 8, 64} {
			bare[clients] = pgbench(b, url, clients)
			b.ReportMetric(bare[clients], fmt.Sprintf("pgbench-tx/s-%d-clients", clients))
		}
		for _, replicas := range []int{1, 3} {
			database := cluster.Database(b)
			srv := newBenchServerOn(b, &ledgertest.Third{}, database)
			for range replicas - 1 {
				srv.load.more = append(srv.load.more, openBench(b, &ledgertest.Third{}, database).entries(srv.window))
			}
			for _, clients := range []int{1, 8, 64} {
				r := srv.load.run(b, clients, 300+clients*60)
				name := fmt.Sprintf("%d-clients-%d-servers", clients, replicas)
				b.ReportMetric(r.perSecond, "records/s-"+name)
				b.ReportMetric(r.perSecond/bare[clients], "x-pgbench-"+name)
				b.ReportMetric(ms(r.p99), "ms-p99-"+name)
			}
		}
		if err := cluster.Stop(); err != nil {
			b.Error(err)
		}
	}
}

// pgbench returns how many bare inserts a second it makes.
func pgbench(b *testing.B, url string, clients int) float64 {
	b.Helper()
	db, err := sql.Open("pgx", url)
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	if _, err := db.ExecContext(b.Context(), "CREATE TABLE IF NOT EXISTS bare (id uuid PRIMARY KEY, body bytea)"); err != nil {
		b.Fatal(err)
	}
	script := filepath.Join(b.TempDir(), "insert.sql")
	if err := os.WriteFile(script, []byte(bareInsert), 0o600); err != nil {
		b.Fatal(err)
	}
	n := strconv.Itoa(clients)
	out, err := exec.CommandContext(b.Context(), "pgbench", "-n", "-c", n, "-j", "2", "-T", "3", "-f", script, url).CombinedOutput()
	if err != nil {
		b.Fatalf("pgbench: %v\n%s", err, out)
	}
	found := regexp.MustCompile(`tps = ([0-9.]+)`).FindSubmatch(out)
	if found == nil {
		b.Fatalf("pgbench says no tps:\n%s", out)
	}
	perSecond, err := strconv.ParseFloat(string(found[1]), 64)
	if err != nil {
		b.Fatal(err)
	}
	return perSecond
}
