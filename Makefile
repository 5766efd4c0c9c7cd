# Targets carry their help after two hashes; `make help` prints it.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

GOLANGCI_VERSION := v2.15.0
VULNCHECK_VERSION := v1.9.0
TOOLS := $(CURDIR)/.cache/bin
LINT := $(TOOLS)/golangci-lint
VULNCHECK := $(TOOLS)/govulncheck
VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo devel)
LDFLAGS := -s -w -X main.version=$(VERSION)

.PHONY: help demo test check build bench sim machine fuzz powercut large mutants acceptance tools lint format generate proofs clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

demo: ## the whole job against a real Caddy in ./.demo; no root. A minute; the first time some minutes
	@docs/examples/demo.sh

test: ## all tests; first installs what they need (apt-get, as root or with sudo)
	@.ci/install
	@.ci/test

check: ## format, vet, lint, tests with the race detector, generated files unchanged
	@.ci/check

build: ## both commands, static, into bin/
	CGO_ENABLED=0 go build -trimpath -ldflags '$(LDFLAGS)' -o bin/ ./cmd/rollback ./cmd/ledgerd

bench: ## the benchmarks, as ratios against what the machine can do, and how long a failover takes
	go test -run '^$$' -bench . -benchtime 1x -timeout 30m ./cmd/ledgerd
	@echo 'failover, of a replica (killed, stopped) and of the database (promoted, noticed):'
	@go test -count 1 -v -timeout 30m ./cmd/ledgerd -run 'TestReplicaDies|TestSynchronousStandby|TestAsynchronousStandby' | \
		grep -E '_test.go:[0-9]+: (killed|stopped|promot)|^(FAIL|ok)' | sed -E 's/^ *[a-z_]+\.go:[0-9]+: /  /'

SEEDS ?= 20000
sim: ## simulated weekends, SEEDS of them (20000), on both databases, in hours; `make test` runs 500 on both
	go test -run 'TestSimulation|TestOnPostgres/Simulation' -count 1 -timeout 12h ./cmd/ledgerd -sim.seeds $(SEEDS)

CHECKS ?= 1000
machine: ## random operations beside a model, CHECKS examples of them (1000), on both databases; `make test` draws 30
	go test -run 'TestMachine|TestOnPostgres/Machine' -count 1 -timeout 3h ./cmd/ledgerd -rapid.checks $(CHECKS) -rapid.seed $$(date +%s%N)

FUZZTIME ?= 20s
fuzz: ## every fuzz target for FUZZTIME (20s); what breaks one is kept in testdata/fuzz
	@FUZZTIME=$(FUZZTIME) .ci/fuzz

POWER ?= 200
powercut: ## POWER power cuts (200) while recording and again while rolling back; `make test` has 20. Root, /dev/fuse
	go test -run 'TestPowerCut|TestFailedSync' -count 1 -timeout 60m -v ./cmd/ledgerd -power.rounds $(POWER)

ENTRIES ?= 1000000
large: ## a window of ENTRIES entries (1000000) on both databases, and the memory it takes; four hours. `make test` has 400
	go test -run TestLargeWindow -count 1 -timeout 6h -v ./cmd/ledgerd -large.entries $(ENTRIES)

mutants: ## put known faults back into a copy of the code; a named test must catch each. Root, /dev/fuse
	@.ci/mutate

acceptance: ## the tests from outside, where ../shared/acceptance is there
	@.ci/acceptance

lint: $(LINT) ## golangci-lint alone
	$(LINT) run ./...

format: $(LINT) ## write the code in its one format
	$(LINT) fmt ./...

generate: ## write what is generated from the code (docs/states.md, docs/metrics.md, docs/scaling.md, the pages of profiles)
	go test ./ledger -run TestStatesPage -count 1 -update
	go test ./remediators/httpapi -run TestPages -count 1 -update
	go test ./remediators/remediatortest -run TestServersPage -count 1 -update
	go test ./cmd/ledgerd -run 'TestMetricsAreNamedAsOthers|TestScalingPage' -count 1 -update

proofs: ## what the tests proved at real servers, anew, for the table in docs/remediators; minutes
	PROOFS=write go test -p 1 -count 1 $$(go list ./remediators/... | grep -E 'alertmanager|command|etcd|httpapi|powerdns|unleash')
	go test ./remediators/remediatortest -run TestServersPage -count 1 -update

tools: $(LINT) $(VULNCHECK) ## install golangci-lint and govulncheck into .cache/bin (takes minutes)

$(LINT):
	GOBIN=$(TOOLS) go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI_VERSION)

$(VULNCHECK):
	GOBIN=$(TOOLS) go install golang.org/x/vuln/cmd/govulncheck@$(VULNCHECK_VERSION)

clean: ## remove what was built, and ./.demo
	rm -rf bin .demo
