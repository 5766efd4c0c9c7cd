package main

import (
	"encoding/base64"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	dto "github.com/prometheus/client_model/go"
	"gopkg.in/yaml.v3"
)

var update = flag.Bool("update", false, "write docs/metrics.md and the table of docs/scaling.md")

// meteredHouse is a ledger in which something of everything has happened: two windows, one rolled back, one stuck by a
// drift, an intent in doubt, and a system whose credential ends.
func meteredHouse(t *testing.T) *house {
	t.Helper()
	h := newHouse(t, true)
	claims := base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, `{"exp":%d}`, time.Now().Add(time.Hour).Unix()))
	t.Setenv("HOUSE_JWT", "eyJhbGciOiJub25lIn0."+claims+".c2ln")
	text, err := os.ReadFile(h.config())
	if err != nil {
		t.Fatal(err)
	}
	text = fmt.Appendf(text, "log: {level: debug}\n")
	more := strings.Replace(string(text), "systems:\n", fmt.Sprintf("systems:\n  dated: {remediator: http, url: %q, allow_private: true, credential: env:HOUSE_JWT}\n", h.web.URL), 1)
	if err := os.WriteFile(h.config(), []byte(more), 0o600); err != nil {
		t.Fatal(err)
	}
	h.serve()
	good, bad := h.window("good"), h.window("bad")
	h.effect(good.ID, "/secretpath/1")
	h.rollBack(good.ID)
	drifted := h.effect(bad.ID, "/secretpath/2")
	h.third.set("/secretpath/2", `{"v":"drifted"}`)
	h.rollBack(bad.ID)
	open := h.window("open")
	d := putDraft("/secretpath/3")
	d.State, d.PerformWithin, d.System = "intended", "1ms", "dated"
	if _, err := h.client.Record(t.Context(), open.ID, d); err != nil {
		t.Fatal(err)
	}
	if _, _, err := h.parts.vigil.Signed(t.Context()); err != nil {
		t.Fatal(err)
	}
	h.read("/v1/entries/" + drifted.ID)
	return h
}

// families are what /metrics shows, by name.
func (h *house) families() map[string]*dto.MetricFamily {
	h.Helper()
	list, err := h.parts.meters.registry.Gather()
	if err != nil {
		h.Fatal(err)
	}
	out := map[string]*dto.MetricFamily{}
	for _, f := range list {
		out[f.GetName()] = f
	}
	return out
}

// What happened is counted, under names and labels that are as the field has them; no label holds an id or a path.
func TestMetricsTellWhatHappened(t *testing.T) {
	h := meteredHouse(t)
	page := h.read("/metrics")
	for _, want := range []string{
		`sideledger_windows{state="open"} 1`, `sideledger_windows{state="rolled_back"} 1`, `sideledger_windows{state="stuck"} 1`,
		`sideledger_windows{state="kept"} 0`, `sideledger_rollbacks{state="running"} 0`, `sideledger_entries_stuck{reason="drifted"} 1`,
		`sideledger_entries_stuck{reason="failed"} 0`, `sideledger_entries_in_doubt 1`, `sideledger_second_words_waiting 0`,
		`sideledger_attempts_total{result="accepted",system="sys"} 1`, `sideledger_attempts_total{result="refused",system="sys"} 0`,
		`sideledger_call_duration_seconds_count{call="undo",system="sys"} 1`, `sideledger_call_duration_seconds_count{call="look",system="sys"} 2`,
		`sideledger_entries_settled_total{state="undone",system="sys"} 1`, `sideledger_entries_settled_total{state="stuck",system="sys"} 1`,
		`sideledger_rollbacks_ended_total{end="complete"} 1`, `sideledger_rollbacks_ended_total{end="incomplete"} 1`, `sideledger_leases_taken_total 2`,
		`sideledger_leases_lost_total 0`, `sideledger_store_up 1`, `sideledger_store_full 0`, `sideledger_safe_mode 0`, `sideledger_mirrors 1`,
		`sideledger_mirror_away 0`, `sideledger_unmirrored 0`, `sideledger_system_breaker_open{system="sys"} 0`, `sideledger_system_parked{system="sys"} 0`,
		`sideledger_system_credential_expiry_timestamp_seconds{system="dated"} `, `sideledger_entries_recorded_total{state="applied"} 2`,
	} {
		if !strings.Contains(page, want) {
			t.Errorf("no %s", want)
		}
	}
	if strings.Contains(page, "secretpath") {
		t.Error("a path became a label")
	}
	for name, f := range h.families() {
		if bad := regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-`).FindString(f.String()); bad != "" {
			t.Errorf("%s has an id in a label: %s", name, bad)
		}
		if len(f.GetMetric()) > 200 {
			t.Errorf("%s has %d series", name, len(f.GetMetric()))
		}
	}
	if t.Failed() {
		t.Log(page)
	}
}

func TestMetricsAreNamedAsOthers(t *testing.T) {
	h := meteredHouse(t)
	var list []*dto.MetricFamily
	for name, f := range h.families() {
		if strings.HasPrefix(name, metricPrefix) {
			list = append(list, f)
		}
	}
	problems, err := promlint.NewWithMetricFamilies(list).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
	h.metricsPage()
	h.metricsInUse()
}

const (
	pageFile      = "../../docs/metrics.md"
	rulesFile     = "../../docs/examples/monitoring/rules.yaml"
	dashboardFile = "../../docs/examples/monitoring/dashboard.json"
)

// metricsPage holds docs/metrics.md to what there is.
func (h *house) metricsPage() {
	h.Helper()
	families := h.families()
	var b strings.Builder
	b.WriteString("# Metrics\n\nWhat `GET /metrics` shows, beside the usual `go_` and `process_`. Written by `make generate`; what to do about them is in [operations.md](operations.md).\n\n")
	b.WriteString("| name | type | labels | means |\n| --- | --- | --- | --- |\n")
	names := make([]string, 0, len(families))
	for name := range families {
		if strings.HasPrefix(name, metricPrefix) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		f := families[name]
		var labels []string
		for _, l := range f.GetMetric()[0].GetLabel() {
			labels = append(labels, "`"+l.GetName()+"`")
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", name, strings.ToLower(f.GetType().String()), strings.Join(labels, ", "), f.GetHelp())
	}
	if *update {
		if err := os.WriteFile(pageFile, []byte(b.String()), 0o600); err != nil {
			h.Fatal(err)
		}
	}
	there, err := os.ReadFile(pageFile)
	if err != nil || string(there) != b.String() {
		h.Errorf("docs/metrics.md is not what `make generate` writes (%v)", err)
	}
}

// A ruleFile is a Prometheus rule file, as far as ours go.
type ruleFile struct {
	Groups []struct {
		Name  string `yaml:"name"`
		Rules []struct {
			Alert       string            `yaml:"alert"`
			Expr        string            `yaml:"expr"`
			For         string            `yaml:"for"`
			Labels      map[string]string `yaml:"labels"`
			Annotations map[string]string `yaml:"annotations"`
		} `yaml:"rules"`
	} `yaml:"groups"`
}

func readRules(t *testing.T) (out ruleFile) {
	t.Helper()
	raw, err := os.ReadFile(rulesFile)
	if err != nil {
		t.Fatal(err)
	}
	dec := yaml.NewDecoder(strings.NewReader(string(raw)))
	dec.KnownFields(true)
	if err := dec.Decode(&out); err != nil {
		t.Fatal(err)
	}
	return out
}

var metricWord = regexp.MustCompile(`\b(sideledger|process|go)_[a-z0-9_]+`)

// metricsInUse holds every expression of the rules and the dashboard to metrics that are there.
func (h *house) metricsInUse() {
	h.Helper()
	families, used := h.families(), map[string]bool{}
	check := func(where, expr string) {
		words := metricWord.FindAllString(expr, -1)
		if len(words) == 0 && !strings.Contains(expr, "up{") {
			h.Errorf("%s asks for none of our metrics: %s", where, expr)
		}
		for _, w := range words {
			base := w
			for _, suffix := range []string{"_bucket", "_sum", "_count"} {
				if f := families[strings.TrimSuffix(w, suffix)]; f != nil && f.GetType() == dto.MetricType_HISTOGRAM {
					base = strings.TrimSuffix(w, suffix)
				}
			}
			if used[base] = true; families[base] == nil {
				h.Errorf("%s asks for %s, which is not in /metrics", where, w)
			}
		}
		if strings.Count(expr, "(") != strings.Count(expr, ")") || strings.Count(expr, "{") != strings.Count(expr, "}") {
			h.Errorf("%s: a bracket is missing: %s", where, expr)
		}
	}
	for _, g := range readRules(h.T).Groups {
		for _, r := range g.Rules {
			check(r.Alert, r.Expr)
		}
	}
	raw, err := os.ReadFile(dashboardFile)
	if err != nil {
		h.Fatal(err)
	}
	var board struct {
		Panels []struct {
			Title   string                     `json:"title"`
			Targets []struct{ Expr string }    `json:"targets"`
			Grid    map[string]int             `json:"gridPos"`
			Options map[string]json.RawMessage `json:"options"`
		} `json:"panels"`
	}
	if err := json.Unmarshal(raw, &board); err != nil {
		h.Fatal(err)
	}
	for _, p := range board.Panels {
		for _, target := range p.Targets {
			check("panel "+p.Title, target.Expr)
		}
		if p.Grid["x"]+p.Grid["w"] > 24 {
			h.Errorf("panel %s does not fit", p.Title)
		}
	}
	for name := range families {
		if strings.HasPrefix(name, metricPrefix) && !used[name] {
			h.Errorf("%s stands on no panel and in no rule", name)
		}
	}
}

// Every rule says who is told, and docs/operations.md what to do about it.
func TestRulesSayWhoIsTold(t *testing.T) {
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "operations.md"))
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, g := range readRules(t).Groups {
		for _, r := range g.Rules {
			n++
			if s := r.Labels["severity"]; s != "page" && s != "ticket" {
				t.Errorf("%s: severity %q", r.Alert, s)
			}
			if team := r.Labels["team"]; "sideledger-"+team != g.Name {
				t.Errorf("%s: team %q in group %s", r.Alert, team, g.Name)
			}
			if _, err := time.ParseDuration(r.For); r.For != "" && err != nil {
				t.Errorf("%s: for %q", r.Alert, r.For)
			}
			if r.Annotations["summary"] == "" {
				t.Errorf("%s has no summary", r.Alert)
			}
			row := "| `" + strings.TrimPrefix(r.Alert, "Sideledger") + "` | " + r.Labels["severity"] + ", " + r.Labels["team"] + " |"
			if !strings.Contains(string(page), row) {
				t.Errorf("docs/operations.md has no row %s", row)
			}
		}
	}
	if n < 20 {
		t.Errorf("%d rules", n)
	}
}
