# `make help` lists the targets. All build results and state go to bin/.
SHELL := /bin/bash
.DEFAULT_GOAL := help

TOOLS := $(CURDIR)/bin/tools
CONTROLLER_GEN := $(TOOLS)/controller-gen-v0.23.0
CRD_REF_DOCS := $(TOOLS)/crd-ref-docs-v0.3.0
LINT := $(TOOLS)/lint
PROMTOOL := $(TOOLS)/promtool
VALE := $(TOOLS)/vale
PROSE := $(TOOLS)/prose
export CGO_ENABLED ?= 0
# With -trimpath, a new clone uses what another one has compiled. Flags of the environment and of `go env -w` stay.
export GOFLAGS := $(strip $(filter-out -trimpath,$(shell go env GOFLAGS)) -trimpath)
# The race detector needs a C compiler; without one, the tests run without it.
RACE := $(if $(shell command -v $(or $(CC),cc)),-race)
NO_COMPILER := needs a C compiler (CC or cc)
# `make test` uses it for the packages that hold the product's concurrent code: the operator, and what imports sync, a package of
# golang.org/x/sync or a cache with a lock, in its tests too. The tests of internal/registry, internal/grant and internal/tokenserver
# make many requests at once. The other packages are pure, run the product as processes, or repeat these paths against an API server,
# with faults and with other rights; `make race` holds them. In both lists, the suites that take longest come first.
LOCKS := sync|sync/atomic|golang\.org/x/sync/[^"]*|github\.com/hashicorp/golang-lru/[^"]*
CONCURRENT = ./controllers/... $(addprefix ./,$(sort $(dir $(shell grep -rlE '^(import)?[[:space:]]+([[:alnum:]_.]+ )?"($(LOCKS))"' --include='*.go' internal))))
LONGEST := ./test/faults ./test/service ./test/plugin
# What needs no API server. The wildcard leaves out the tests of controllers itself.
PURE := ./api/... ./internal/... ./cmd/... ./test/framework/memory
UNIT := $(PURE) $(wildcard ./controllers/*/) ./test/contract ./test/docs ./test/framework/guide ./hack/depguard ./hack/gotest ./hack/mutants
# golangci-lint runs vet, with more checks. In their short form the tests assert the same of fewer keys and actions, and for a
# shorter time; `make race` runs the long form.
GO_TEST := go run ./hack/gotest
GO_TEST_FLAGS := -short -vet=off -timeout 20m
# Go's test cache does not know which files the programs read that a suite starts: go build, kubectl, Helm. The tests in PURE
# start none. `make unit` and `make test` use the same flags for them, so that one takes the results of the other. Both measure the
# coverage that has a floor, so .ci/run needs no `make unit`.
UNCACHED := -count=1
COVER := -cover
# Suites that share a cluster run one after another: the manager of one would reconcile the keys of another.
TURNS := $(if $(filter true,$(USE_EXISTING_CLUSTER)),-p 1)

##@ Start here (you need Go 1.26, make and git; all results go to bin/)

.PHONY: demo
demo: controlplane ## Watch a refresh key get a token, rotate and be revoked, on a real API server; ends by itself
	@go run ./hack/demo

.PHONY: up
up: ## Start a local cluster with the operator and leave it running
	@go run ./hack/local $(if $(LOCAL_DIR),--dir=$(LOCAL_DIR)) up

.PHONY: down
down: ## Stop the cluster that `make up` started
	@go run ./hack/local $(if $(LOCAL_DIR),--dir=$(LOCAL_DIR)) down

.PHONY: unit
unit: ## Run the tests that need no API server, with their coverage, which has a floor in hack/gotest: half a minute
	@$(GO_TEST) $(GO_TEST_FLAGS) $(COVER) $(UNIT)

.PHONY: test
test: controlplane ## Run the tests of the main module against a real API server, those of concurrent code with the race detector: 8 minutes, and 8 more for the first run
	@$(if $(RACE),,echo "skipped: the race detector: it $(NO_COMPILER)")
ifdef TURNS
	@$(GO_TEST) $(GO_TEST_FLAGS) $(UNCACHED) $(TURNS) $(RACE) ./...
else
	@set -o pipefail; concurrent=$$(go list $(CONCURRENT)) && \
	pure=$$(go list $(PURE) | grep -vxF "$$concurrent") && \
	suites=$$(go list $(LONGEST) ./... | grep -vxF "$$concurrent"$$'\n'"$$pure") && \
	$(GO_TEST) $(GO_TEST_FLAGS) $(UNCACHED) $(COVER) $(RACE) $$concurrent -- $(GO_TEST_FLAGS) $(UNCACHED) $$suites -- $(GO_TEST_FLAGS) $(COVER) -p 1 $$pure
endif

.PHONY: lint
lint: $(LINT) ## Check the style, the language, the Kubernetes API conventions, the import rules and the banned functions
	$(LINT) run ./...
	@$(MAKE) --no-print-directory prose

.PHONY: generate
generate: $(CONTROLLER_GEN) $(CRD_REF_DOCS) ## Generate deepcopy code, CRDs and docs/api.md from api/, the chart's files from config/, the import rules from docs/architecture.md, the console's guidance from docs/troubleshooting.md, and with npm its page
	$(CONTROLLER_GEN) object paths=./api/...
	$(CONTROLLER_GEN) crd paths=./api/... output:crd:dir=config/crd/bases
	$(CRD_REF_DOCS) --source-path=api --config=hack/docs/api.yaml --templates-dir=hack/docs/templates --renderer=markdown --output-path=docs/api.md --log-level=ERROR
	go run ./hack/docs
	hack/chart/files.sh
	go run ./hack/chart
	go run ./hack/depguard
	go run ./hack/guidance
	cd hack/console && GOWORK=off go run .

##@ Check a change (.ci/run makes test, lint with prose, and all of these)

.PHONY: verify
verify: ## Check that generated files and go.mod are up to date
	@hack/verify

.PHONY: prose
prose: ## Check the language of documentation, comments and messages with Vale, as lint does; needs a C compiler
ifeq ($(shell command -v $(or $(CC),cc)),)
	@echo "skipped: prose: Vale $(NO_COMPILER)"
else
	@$(MAKE) --no-print-directory $(VALE) $(PROSE)
	@cd hack/prose && GOWORK=off VALE=$(VALE) go test -count=1 .
	@$(PROSE)
endif

.PHONY: vulncheck
vulncheck: ## Look for known vulnerabilities that the programs call, in the database GOVULNDB or https://vuln.go.dev; says so where there is none
	@hack/vuln/run

.PHONY: actionlint
actionlint: ## Check the workflows of .github with actionlint, and their pins, rights and targets; verify does this too
	cd hack/workflows && GOWORK=off go test -count=1 .

.PHONY: interop
interop: controlplane ## Test with independent clients: x/oauth2, go-oidc, jwx, zitadel/oidc, openid-client, oidc-client-ts, Auth.js, kube-apiserver, kubectl, mod_auth_openidc; some in Chromium
	@hack/interop -v

.PHONY: console
console: controlplane ## Test the console in Chromium, with a real API server, manager and token service; BENCH=true measures, SHOTS=true makes the pictures, UP=true plays the story of make up
	@BENCH=$(BENCH) SHOTS=$(SHOTS) UP=$(UP) hack/console-test

.PHONY: chart-test
chart-test: controlplane ## Test the Helm chart: equal to config/, with many values, installed, upgraded and uninstalled on a real API server
	cd test/chart && GOWORK=off go test -count=1 -timeout 20m ./...

.PHONY: gitops
gitops: controlplane ## Test the health that Argo CD, Flux and Helm report for keys and issuers, with their own libraries
	cd test/gitops && GOWORK=off CGO_ENABLED=0 go test -count=1 -timeout 10m ./...

.PHONY: assets-test
assets-test: controlplane ## Test where the control plane comes from: a download with a right or a wrong checksum, an index that does not answer, a build
	cd hack/controlplane/envtest && GOWORK=off go test -count=1 -timeout 20m .

.PHONY: alerts
alerts: $(PROMTOOL) ## Test the alerts with promtool, and every query of the alerts and the dashboard
	cd hack/prometheus && GOWORK=off PROMTOOL=$(PROMTOOL) go test -count=1 -timeout 10m -tags remove_all_sd ./...

.PHONY: images-test
images-test: ## Test the content of the images and that builds are reproducible; FULL=true also from other paths with an empty cache
	cd hack/images && GOWORK=off go test -count=1 $(if $(FULL),,-short) -timeout 30m ./...

##@ Build

.PHONY: build
build: ## Build the binaries into bin/
	go build -o bin/ ./cmd/...

.PHONY: docs-site
docs-site: ## Build the documentation site into bin/site and test it; needs node and npm, and for all tests Chromium
	@hack/site/build.sh
	cd hack/site/envoy && GOWORK=off go test -count=1 ./...

.PHONY: images
images: ## Build the container images into bin/images, for linux/amd64 and arm64, with SBOMs; needs no registry
	@hack/images/build.sh bin/images

.PHONY: release
release: ## Make all files of a release: VERSION=v0.2.0, KEY=cosign.key or KEYLESS=true; see docs/releasing.md
	@hack/release/run build $(VERSION)

.PHONY: release-publish
release-publish: ## Push the images and the chart of a release, and their signatures, to REGISTRY
	@hack/release/run publish $(VERSION)

.PHONY: release-verify
release-verify: ## Check a downloaded release in RELEASE_DIR: VERSION=v0.2.0 KEY=refreshkeys.pub, with REGISTRY also its images and chart
	@hack/release/run verify $(VERSION)

##@ Slow proofs

.PHONY: release-test
release-test: controlplane ## Rehearse a release: build it twice, sign, push to a local registry, verify, install and upgrade from there
	cd test/release && GOWORK=off go test -count=1 -v -timeout 90m .

.PHONY: interop-proxy
interop-proxy: controlplane ## Test with oauth2-proxy, which takes some minutes to build without a cache
	cd test/interop && GOWORK=off INTEROP_PROXY=true go test -count=1 -timeout 30m -run '^TestOAuth2Proxy$$' .

.PHONY: race
race: controlplane ## Run the tests of test and gitops with the race detector, and without the cuts that -short makes in test: half an hour
	@$(if $(RACE),,echo "race: the race detector $(NO_COMPILER)" >&2; exit 1)
	@$(GO_TEST) -vet=off $(UNCACHED) -timeout 40m $(TURNS) $(RACE) ./...
	cd test/gitops && GOWORK=off CGO_ENABLED=1 go test $(UNCACHED) -timeout 20m $(RACE) ./...

.PHONY: e2e
e2e: ## Test with pods on an isolated node (root on Linux) that exchange during rotation, upgrade, crashes and revocation; 6 minutes
	@mkdir -p bin/e2e && go build -o bin/e2e/run ./test/e2e && bin/e2e/run

.PHONY: bench
bench: controlplane ## Measure the performance against the limits of the same machine; see docs/performance.md
	go run ./test/bench

.PHONY: mutants
mutants: controlplane ## Apply each stored mutation and check that its test fails; ONLY="I7 I9" selects some
	@go run ./hack/mutants $(ONLY)

.PHONY: fuzz
fuzz: ## Fuzz the parsers of untrusted input, FUZZTIME (30s) each
	@hack/fuzz $(or $(FUZZTIME),30s)

.PHONY: compat
compat: controlplane ## Test with the oldest supported version of Kubernetes (built on the first run, 9 minutes) and the newest, and the upgrade from the release before, and back
	@hack/controlplane/build.sh oldest
	@test/compat/run

.PHONY: soak
soak: controlplane ## Run longer fault tests: two crashes in a row, two managers for ten minutes, a longer outage, a flood of keys
	@SOAK=true $(GO_TEST) -vet=off $(UNCACHED) -timeout 60m $(TURNS) $(RACE) -run 'Soak|Outage|Fight' ./test/faults ./test/tenancy

.PHONY: flood
flood: controlplane ## Send 100,000 anonymous requests of all kinds to a replica of the token service: no write at the API server, bounded memory; 2 to 4 minutes
	@SOAK=true go test -v -vet=off $(UNCACHED) -timeout 20m -run SoakAnonymous ./test/service

##@ Other

.PHONY: controlplane
controlplane: ## Download etcd, kube-apiserver and kubectl as setup-envtest does and build kube-controller-manager, or build all of them (7 to 9 minutes), once
	@$(if $(filter true,$(USE_EXISTING_CLUSTER)),command -v kubectl >/dev/null || )hack/controlplane/build.sh

.PHONY: clean
clean: down ## Remove all build results, including the control plane
	rm -rf bin

.PHONY: help
help:
	@awk 'BEGIN {FS = ":.*## "} /^##@/ {printf "\n%s\n", substr($$0, 5)} /^[a-z0-9-]+:.*## / {printf "  make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# The name contains the version, so that make builds a new version and never uses an earlier one.
$(CONTROLLER_GEN):
	@echo "building controller-gen, once"
	@GOBIN=$(TOOLS) go install sigs.k8s.io/controller-tools/cmd/controller-gen@$(lastword $(subst -v, v,$(notdir $@)))
	@mv $(TOOLS)/controller-gen $@

$(CRD_REF_DOCS):
	@echo "building crd-ref-docs, once"
	@GOBIN=$(TOOLS) go install github.com/elastic/crd-ref-docs@$(lastword $(subst -v, v,$(notdir $@)))
	@mv $(TOOLS)/crd-ref-docs $@

# Without service discovery, which is most of Prometheus' code and is not needed here.
$(PROMTOOL): hack/prometheus/go.mod
	@echo "building promtool, once (2 to 4 minutes)"
	@cd hack/prometheus && GOWORK=off go build -tags remove_all_sd -o $@ github.com/prometheus/prometheus/cmd/promtool

$(LINT): hack/lint/go.mod hack/lint/main.go
	@echo "building golangci-lint with kube-api-linter, once"
	@cd hack/lint && go build -o $@ .

# The only tool that needs cgo, for its parsers of source code.
$(VALE): hack/prose/go.mod
	@echo "building Vale, once (1 to 3 minutes)"
	@cd hack/prose && GOWORK=off CGO_ENABLED=1 go build -o $@ github.com/vale-cli/vale/v3/cmd/vale
	@touch $@

$(PROSE): $(wildcard hack/prose/*.go hack/prose/styles/RefreshKeys/*.yml) hack/prose/go.mod
	@cd hack/prose && GOWORK=off go build -o $@ .
	@touch $@
