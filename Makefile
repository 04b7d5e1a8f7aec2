# The words that developers and CI share. `make` alone lists them.
#
# Every Go build below uses the same flags (GOFLAGS and CGO_ENABLED, exported here), which are also those of ocb, so that build, test,
# lint, the end-to-end tests and ocb share one build cache: the third-party code is compiled once.

ifeq ($(filter oneshell,$(.FEATURES)),)
$(error GNU make 3.82 or newer is needed; on macOS: brew install make, then say gmake)
endif

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.ONESHELL:
MAKEFLAGS += --no-print-directory

MODULE  := github.com/phoenix-platform/phoenix
DIST    := distributions/phoenix-collector
MANIFEST := builder-config.yaml
TAGS    := grpcnotrace

export CGO_ENABLED ?= 0
# What the environment says (say -buildvcs=false) stays in force.
export GOFLAGS := $(strip $(filter-out -trimpath -tags=%,$(GOFLAGS)) -trimpath -tags=$(TAGS))

# 0.1.0-dev from the manifest, with the commit behind it, unless a tag v1.2.3 is checked out.
MANIFEST_VERSION = $(shell sed -n 's/^  version: *//p' $(MANIFEST))
VERSION ?= $(shell git describe --exact-match --tags --match 'v*' 2>/dev/null | sed 's/^v//' | grep . || \
	{ printf '%s' '$(MANIFEST_VERSION)'; git rev-parse --short=12 HEAD 2>/dev/null | sed 's/^/+/'; })
LDFLAGS = -s -w -X main.version=$(VERSION)

# Tools are built from internal/tools/go.mod (and golangci-lint from its own module) into a directory named by what decides their content.
TOOLS_KEY := $(shell { cat internal/tools/go.mod internal/tools/go.sum internal/tools/lint/go.mod internal/tools/lint/go.sum \
	internal/tools/proto/go.mod internal/tools/proto/go.sum internal/tools/proto/*.go; go version; } \
	| git hash-object --stdin | cut -c1-16)
TOOLS := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/phoenix/tools/$(TOOLS_KEY)

PROTO_TOOLS := $(TOOLS)/proto $(TOOLS)/protoc-gen-go $(TOOLS)/protoc-gen-go-grpc

FUZZTIME  ?= 30s
BENCH     ?= .
BENCH_OUT ?= benchmarks/results/local.txt
BASE      ?= benchmarks/results/base.txt

comma := ,

# Packages of this module that are not the distribution: what the race detector, coverage and benchmarks look at.
OWN = $$(go list ./... | grep -v '^$(MODULE)/distributions/')

# Tests of a CI run go through noskip, which fails when a test was skipped: a skipped test is a promise that nobody keeps.
gotest = $(if $(NOSKIP),go test -json $(1) | go run ./internal/testkit/noskip,go test $(1))

# What repairs a failed check.
cure = { echo; echo "$(1)"; echo "Repair it with: $(2)"; exit 1; } >&2

.PHONY: help
help: ## List the targets
	@awk 'BEGIN {FS = ":.*## "} /^##@ / {printf "\n%s\n", substr($$0, 5)} /^[a-zA-Z0-9_-]+:.*## / {printf "  %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

##@ Build and run

.PHONY: build
build: build-collector build-ctl ## Build bin/phoenix-collector and bin/phoenixctl

.PHONY: build-collector
build-collector:
	go build -ldflags '$(LDFLAGS)' -o bin/phoenix-collector ./$(DIST)

.PHONY: build-ctl
build-ctl:
	go build -ldflags '$(LDFLAGS)' -o bin/phoenixctl ./control/phoenixctl

.PHONY: run
run: build ## Build, then start the demonstration of examples/kube-apiserver
	PHOENIX_COLLECTOR='$(CURDIR)/bin/phoenix-collector' PHOENIXCTL='$(CURDIR)/bin/phoenixctl' examples/kube-apiserver/run.sh

.PHONY: clean
clean: ## Remove what make built in this checkout
	rm -rf bin _build dist coverage.out coverage.html

##@ Test

.PHONY: test
test: ## Run every test that needs only Go
	$(call gotest,./...)

.PHONY: test-race
test-race: export CGO_ENABLED = 1
test-race: ## Run our own packages under the race detector (needs a C compiler)
	$(call gotest,-race -timeout 20m $(OWN))

.PHONY: test-e2e
# Most of the time of these tests is waiting, so that more of them run at once than there are processors.
test-e2e: build prometheus ## Run the end-to-end tests against the binaries in bin/
	@export PHOENIX_COLLECTOR='$(CURDIR)/bin/phoenix-collector' PHOENIXCTL='$(CURDIR)/bin/phoenixctl'
	$(call gotest,-count=1 -timeout 10m -parallel 5 -tags $(TAGS)$(comma)e2e ./distributions/e2e ./internal/testkit/prometheus)

.PHONY: prometheus
prometheus: ## Build the Prometheus server that end-to-end tests query (minutes the first time, then kept)
	@go run ./internal/testkit/prometheus/install

.PHONY: fuzz
fuzz: ## Run each Fuzz target for FUZZTIME (30s)
	@files=$$(grep -rEl --include='*_test.go' --exclude-dir=_build '^func Fuzz' . || true)
	for file in $$files; do
		for name in $$(sed -nE 's/^func (Fuzz[A-Za-z0-9_]*).*/\1/p' "$$file"); do
			echo "fuzz $$(dirname "$$file") $$name for $(FUZZTIME)"
			go test -run '^$$' -fuzz "^$$name\$$" -fuzztime '$(FUZZTIME)' -fuzzminimizetime 10x "$$(dirname "$$file")"
		done
	done

.PHONY: fuzz-short
fuzz-short: ## Run each Fuzz target for three seconds
	@$(MAKE) fuzz FUZZTIME=3s

.PHONY: soak
soak: build prometheus ## Run the tests in their long form (PHOENIX_LONG=1), end-to-end tests too
	export PHOENIX_LONG=1 PHOENIX_COLLECTOR='$(CURDIR)/bin/phoenix-collector' PHOENIXCTL='$(CURDIR)/bin/phoenixctl'
	go test -count=1 -timeout 3h -tags $(TAGS)$(comma)e2e ./...

.PHONY: nightly
nightly: ci soak fuzz ## What a night is for: ci, then the long forms and the fuzz targets

.PHONY: cover
cover: ## Write coverage.out and coverage.html and print the total
	go test -coverprofile=coverage.out $(OWN)
	go tool cover -html=coverage.out -o coverage.html
	go tool cover -func=coverage.out | tail -n 1

.PHONY: bench
bench: ## Run the benchmarks six times into BENCH_OUT (BENCH=regexp, PKG=package pattern)
	@mkdir -p '$(dir $(BENCH_OUT))'
	go test -run '^$$' -bench '$(BENCH)' -benchmem -count=6 $(or $(PKG),$(OWN)) | tee '$(BENCH_OUT)'

.PHONY: bench-compare
bench-compare: $(TOOLS)/benchstat ## Compare BENCH_OUT with BASE by benchstat
	@test -f '$(BASE)' || $(call cure,There is no $(BASE) to compare with.,make bench BENCH_OUT=$(BASE)   # on the commit to compare with)
	'$(TOOLS)/benchstat' '$(BASE)' '$(BENCH_OUT)'

# What bench-peers measures: a collector with our processors and contrib's, from a manifest of its own, and vmagent. The sources of
# the collector are generated once for a manifest and a go.mod; compiling them again costs what has changed.
PEERS_MANIFEST := benchmarks/peers/builder-config.yaml
PEERS_KEY = $(shell { cat $(PEERS_MANIFEST) go.mod go.sum; go version; pwd; } | git hash-object --stdin | cut -c1-16)
PEERS = $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/phoenix/peers/$(PEERS_KEY)
VMAGENT := github.com/VictoriaMetrics/VictoriaMetrics/app/vmagent@v1.151.0

.PHONY: bench-peers
bench-peers: $(TOOLS)/builder ## Measure whole processes, ours and its peers' (BENCH_PEERS=flags of benchmarks/peers)
	@if [ ! -f '$(PEERS)/src/go.sum' ]; then
		mkdir -p '$(PEERS)'
		sed 's|^  output_path:.*|  output_path: $(PEERS)/src|' $(PEERS_MANIFEST) > '$(PEERS)/builder-config.yaml'
		'$(TOOLS)/builder' --config '$(PEERS)/builder-config.yaml' --skip-compilation
	fi
	go build -C '$(PEERS)/src' -ldflags '-s -w' -o ../collector .
	GOBIN='$(PEERS)' go install -ldflags "-s -w -X github.com/VictoriaMetrics/VictoriaMetrics/lib/buildinfo.Version=$(notdir $(VMAGENT))" $(VMAGENT)
	PHOENIX_PEERS_COLLECTOR='$(PEERS)/collector' PHOENIX_PEERS_VMAGENT='$(PEERS)/vmagent' go run ./benchmarks/peers $(BENCH_PEERS)

##@ Generate and check

.PHONY: generate
generate: $(TOOLS)/builder $(TOOLS)/mdatagen $(PROTO_TOOLS) ## Generate code: the API (proto), component metadata (mdatagen), the main package (ocb)
	@echo "proto control/api/proto"
	'$(TOOLS)/proto' -plugins '$(TOOLS)' -in control/api/proto -go control/api/phoenixv1 -openapi control/api/openapi
	find . -name metadata.yaml -not -path './_build/*' -not -path '*/node_modules/*' | sort | while read -r file; do
		echo "mdatagen $$file"
		(cd "$$(dirname "$$file")" && '$(TOOLS)/mdatagen' metadata.yaml)
	done
	manifest=$$(mktemp)
	trap 'rm -f "$$manifest"' EXIT
	sed 's|^  output_path:.*|  output_path: $(DIST)|' $(MANIFEST) > "$$manifest"
	echo "ocb $(MANIFEST)"
	'$(TOOLS)/builder' --config "$$manifest" --skip-get-modules --skip-compilation 2>/dev/null \
		|| '$(TOOLS)/builder' --config "$$manifest" --skip-get-modules --skip-compilation
	rm -f $(DIST)/go.mod
	sed -i.bak -E 's|^(\t\tVersion: +)".*",$$|\1version,|' $(DIST)/main.go
	rm $(DIST)/main.go.bak
	gofmt -w $(DIST)/*.go
	echo "apidoc docs/api-reference.md"
	go run -C internal/tools/proto ./apidoc -root ../../..

.PHONY: fmt
fmt: $(TOOLS)/golangci-lint ## Format the code (gofumpt, goimports)
	'$(TOOLS)/golangci-lint' fmt

.PHONY: fmt-check
fmt-check: $(TOOLS)/golangci-lint ## Check the format of the code
	@'$(TOOLS)/golangci-lint' fmt --diff || $(call cure,The code above is not formatted.,make fmt)

# The linters look into every dependency: without the generated main package they see a quarter of them and need a tenth of the time.
# go vet looks at it instead.
.PHONY: lint
lint: $(TOOLS)/golangci-lint ## Run the linters of .golangci.yml
	go vet ./$(DIST)
	'$(TOOLS)/golangci-lint' run --allow-serial-runners $$(go list -tags $(TAGS)$(comma)e2e -f '{{.Dir}}' ./... \
		| grep -v '/$(DIST)$$' | sed 's|^$(CURDIR)|.|')

.PHONY: vuln
vuln: $(TOOLS)/govulncheck ## Look up known vulnerabilities (needs the vulnerability database; not part of ci)
	'$(TOOLS)/govulncheck' -tags $(TAGS) ./...

.PHONY: check-generated
check-generated: $(TOOLS)/builder $(TOOLS)/mdatagen ## Check that generated files are current
	@copy=$$(mktemp -d)
	trap 'rm -rf "$$copy"' EXIT
	git ls-files -z --cached --others --exclude-standard | while IFS= read -r -d '' file; do
		if [ -e "$$file" ]; then printf '%s\0' "$$file"; fi
	done | tar -cf - --null -T - | tar -xf - -C "$$copy"
	cd "$$copy"
	git init -q
	git add -A
	$(MAKE) generate > /dev/null
	git add -A -N
	git --no-pager diff --exit-code || $(call cure,The generated files above are not current.,make generate)

.PHONY: check-tidy
check-tidy: ## Check that every go.mod and go.sum is tidy
	@for dir in . internal/tools internal/tools/lint internal/tools/proto internal/testkit/prometheus/server; do
		(cd "$$dir" && go mod tidy -e -diff) || $(call cure,$$dir/go.mod or go.sum is not tidy.,(cd $$dir && go mod tidy -e))
	done

.PHONY: check-docs
check-docs: ## Check the documents: links, make targets, component tables
	@go test -run '^TestDocs' ./internal/archtest || $(call cure,A document no longer says what the code does.,edit the document that the test names)

.PHONY: ocb
ocb: $(TOOLS)/builder ## Build the collector from builder-config.yaml alone, as a stranger would, into _build/
	rm -rf _build
	'$(TOOLS)/builder' --config $(MANIFEST)
	_build/phoenix-collector components > _build/components.yaml
	_build/phoenix-collector validate --config $(DIST)/config.yaml

##@ CI

CI_STEPS := tools prometheus fmt-check lint check-generated check-tidy test test-race fuzz-short test-e2e ocb

.PHONY: ci
ci: cc postgres ## Everything that a change must pass, with the time that each step took; a skipped test fails it
	@failed=''
	times=''
	for step in $(CI_STEPS); do
		echo "==> make $$step"
		start=$$SECONDS
		result=ok
		$(MAKE) $$step NOSKIP=1 || { result=FAILED; failed="$$failed $$step"; }
		times+=$$(printf '%-16s %5d s  %s' $$step $$((SECONDS - start)) $$result)$$'\n'
	done
	printf '\n%s%-16s %5d s\n' "$$times" total $$SECONDS
	if [ -n "$$failed" ]; then
		echo "Failed:$$failed" >&2
		exit 1
	fi

# The race detector is the one thing here that needs C. A CI machine without it gets it, a developer is told.
.PHONY: cc
cc:
	@if command -v "$${CC:-cc}" > /dev/null || command -v gcc > /dev/null; then
		exit 0
	fi
	if [ "$$(id -u)" = 0 ] && command -v apt-get > /dev/null; then
		apt-get update -q && apt-get install -qy --no-install-recommends gcc libc6-dev
	else
		$(call cure,The race detector needs a C compiler.,install gcc or clang)
	fi

# The tests of control/store/postgres want a real server. A CI machine without one gets it, a developer is told.
.PHONY: postgres
postgres:
	@if command -v initdb > /dev/null || compgen -G '/usr/lib/postgresql/*/bin/initdb' > /dev/null; then
		exit 0
	fi
	if [ "$$(id -u)" = 0 ] && command -v apt-get > /dev/null; then
		apt-get update -q && apt-get install -qy --no-install-recommends postgresql
	else
		$(call cure,The PostgreSQL store is tested against a real server.,install PostgreSQL 15 or newer)
	fi

##@ Tools

.PHONY: tools
tools: $(TOOLS)/builder $(TOOLS)/mdatagen $(TOOLS)/golangci-lint $(PROTO_TOOLS) ## Build the tools that ci needs (cached outside of the checkout)

$(TOOLS)/builder:  TOOL = go.opentelemetry.io/collector/cmd/builder
$(TOOLS)/mdatagen: TOOL = go.opentelemetry.io/collector/cmd/mdatagen
$(TOOLS)/benchstat: TOOL = golang.org/x/perf/cmd/benchstat
$(TOOLS)/govulncheck: TOOL = golang.org/x/vuln/cmd/govulncheck
$(TOOLS)/builder $(TOOLS)/mdatagen $(TOOLS)/benchstat $(TOOLS)/govulncheck:
	@mkdir -p '$(@D)'
	echo "building $(TOOL)"
	go build -C internal/tools -o '$@' $(TOOL)

$(TOOLS)/proto: TOOL = .
$(TOOLS)/protoc-gen-go: TOOL = google.golang.org/protobuf/cmd/protoc-gen-go
$(TOOLS)/protoc-gen-go-grpc: TOOL = google.golang.org/grpc/cmd/protoc-gen-go-grpc
$(PROTO_TOOLS):
	@mkdir -p '$(@D)'
	echo "building $(@F)"
	go build -C internal/tools/proto -o '$@' $(TOOL)

$(TOOLS)/golangci-lint:
	@mkdir -p '$(@D)'
	echo "building golangci-lint"
	go build -C internal/tools/lint -o '$@' github.com/golangci/golangci-lint/v2/cmd/golangci-lint
