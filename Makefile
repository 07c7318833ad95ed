.DEFAULT_GOAL := help
GOLANGCI := go run github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
VULNCHECK := go run golang.org/x/vuln/cmd/govulncheck@v1.9.0

.PHONY: help
help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: run
run: ## start a server on http://127.0.0.1:8080
	go run ./cmd/keyflow serve

.PHONY: demo
demo: ## see it work, nothing to set up
	go run ./cmd/keyflow demo

.PHONY: build
build: ## build ./keyflow
	go build -o keyflow ./cmd/keyflow

.PHONY: test
test: ## all tests: Go with races, page, browser (installs what is missing on Debian)
	scripts/test

.PHONY: race
race: ## the Go tests alone, with the race detector
	scripts/with-postgres scripts/race -shuffle=on ./...

.PHONY: fuzz
fuzz: ## each fuzz target for 20 seconds
	scripts/fuzz 20s

.PHONY: bench
bench: ## throughput against the floor, on this machine (needs wrk)
	go run ./bench $(BENCH)

.PHONY: growth
growth: ## curves: what grows and what must not (BENCH="-largest 1000" is quick)
	go run ./bench growth $(BENCH)

.PHONY: faults
faults: ## break it for half an hour and check its promises (docs/explanation/faults.md; as root)
	scripts/setup faults
	go run ./faults -duration 30m

.PHONY: lint
lint: ## golangci-lint, with a reason beside each linter in .golangci.yml
	$(GOLANGCI) run ./...

.PHONY: vuln
vuln: ## known vulnerabilities in what we call
	$(VULNCHECK) ./...

.PHONY: fmt
fmt: ## format the Go files
	gofmt -w $$(git ls-files '*.go')

.PHONY: generate
generate: ui ## make what is generated and committed: the page

.PHONY: verify
verify: generate ## fail when something generated is stale
	git diff --exit-code -- web/ui/dist go.mod go.sum

.PHONY: ui
ui: ## build the page into web/ui/dist
	cd web/ui && npm ci --no-audit --no-fund && npm run build

.PHONY: check
check: test lint vuln ## all that a change must pass
