# The two commands: `make run` starts the exporter, `make test` proves it.
SHELL       := /bin/bash
.SHELLFLAGS := -o pipefail -ec
.DEFAULT_GOAL := build
.DELETE_ON_ERROR:
.PHONY: release deb sbom vuln mutate proof catalogue run build test vet lint bench fuzz rules docs tools setup dashboards dashview clean demo soak fleet

VERSION  ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
REVISION ?= $(shell git rev-parse HEAD 2>/dev/null || echo unknown)
COMMON   := github.com/prometheus/common/version
LDFLAGS  := -s -w -X $(COMMON).Version=$(VERSION) -X $(COMMON).Revision=$(REVISION)
BIN      := $(CURDIR)/.tools/bin
LISTEN   ?= 127.0.0.1:9847
PACKAGES ?= ./...
FUZZ     ?= 100000
SOAK     ?= 1h
# The race detector needs cgo; VULCAN_REQUIRE_ALL=1 (CI) makes a missing gcc a failure.
RACE     := $(if $(shell command -v gcc),-race)

export PATH := $(BIN):$(PATH)
export GOFLAGS += -buildvcs=false
# What neither the race detector nor the fuzzers instrument is compiled as the release is: once.
PLAIN := CGO_ENABLED=0 GOFLAGS='$(GOFLAGS) -trimpath'

run: build ## Run on the embedded default configuration: whatever this machine has.
	@echo "vulcan_exporter: http://$(LISTEN)/"
	@mkdir -p .run && ./vulcan_exporter run --storage.path=.run --web.listen-address=$(LISTEN)

build: ## The static binary ./vulcan_exporter.
	CGO_ENABLED=0 go build -trimpath -ldflags '$(LDFLAGS)' -o vulcan_exporter ./cmd/vulcan_exporter

test: setup tools vet ## Everything: unit, end-to-end and rule tests on real software.
	@if [[ -z "$(RACE)" && -n "$$VULCAN_REQUIRE_ALL" ]]; then echo "no gcc: -race is required"; exit 1; fi
	go test $(RACE) -timeout 30m -parallel 4 $(PACKAGES)
	@# -count=1: what these two read lies outside of their module, where go's cache does not look.
	$(PLAIN) go -C test/rules test -count=1 -timeout 10m ./...
	$(PLAIN) go -C dashboards/gen test -count=1 ./...
	$(PLAIN) go -C test/mutate test -timeout 20m ./...
	@# Each target on its seeds and some thousand inputs more; make fuzz goes on.
	test/fuzz.sh 3000x

vet:
	$(PLAIN) go vet $(PACKAGES)
	$(PLAIN) go -C test/rules vet ./...
	$(PLAIN) go -C dashboards/gen vet ./...
	$(PLAIN) go -C test/mutate vet ./...

rules: .tools/built/prometheus ## Only the alerting rules: syntax, unit tests, contract.
	go test ./alerts/...
	go -C test/rules test -count=1 ./...

# Every mutant; `make test` runs a sample of 90 s. ONLY=Redis for some alerts or files.
mutate: .tools/built/prometheus ## Mistakes in the rules that no unit test notices, and the score.
	go -C test/mutate run . -only '$(ONLY)'

# PROOF_RUN=TestZFS makes only those faults again, PROOF_RUN='^$$' none; the other lines are kept.
proof: setup tools ## Prove every alert anew (an hour on 2 cores) and write docs/proof.md.
	test/mutate/proof.sh '$(PROOF_RUN)'

catalogue: setup tools ## Scrape the real exporters and show where alerts/catalogue/ differs.
	go test ./alerts -count 1 -v -run TestCatalogueDrift

lint: .tools/built/lint ## gofmt, golangci-lint, generated files are fresh.
	@files=$$(gofmt -l $$(git ls-files '*.go')); if [[ -n "$$files" ]]; then echo "gofmt: $$files"; exit 1; fi
	$(PLAIN) golangci-lint run $(PACKAGES)

bench: ## Costs as ratios, into docs/performance.md; PACKAGES=./collectors/zfs for some.
	go test -run '^$$' -bench . -p 1 -timeout 2h $(PACKAGES) | go run ./test/bench/table docs/performance.md

demo: setup tools ## A whole host on loopback with a page to break it; as root on Debian.
	VULCAN_REQUIRE_ALL=1 go test ./test/demo -count 1 -v -timeout 0 -args -demo.open=24h

soak: setup tools ## An hour of random faults over all collectors; SOAK=3m for less.
	VULCAN_REQUIRE_ALL=1 go test ./test/soak -count 1 -v -timeout 0 -args -soak.duration=$(SOAK)

fleet: setup tools ## What 100, 300 and 1,000 hosts cost Prometheus and VictoriaMetrics; see docs/scale.md.
	VULCAN_REQUIRE_ALL=1 go test ./test/fleet -count 1 -v -timeout 1h -args -fleet.hosts=100,300,1000 -fleet.while=2m

fuzz: ## FUZZ inputs for every fuzz target.
	test/fuzz.sh $(FUZZ)x

docs: ## Regenerate docs/collectors/*.md from the metric declarations.
	@mkdir -p docs/collectors
	go run ./cmd/vulcan_exporter docs docs/collectors
	go test ./deploy/nixos ./deploy/prometheus -run 'TestOptions|TestGenerated' -update
	go run ./cmd/vulcan_exporter docs --runbooks >docs/runbooks.md

dashboards: ## Write dashboards/*.json anew from dashboards/gen and alerts/*.yml.
	go -C dashboards/gen run .

dashview: ## Pictures of the dashboards in test/dashview/out (needs Node.js and Chromium).
	cd test/dashview && npm ci --ignore-scripts --no-audit --no-fund && node build.mjs
	VULCAN_DASHVIEW=$(CURDIR)/test/dashview/out/answers go test -count=1 -run 'Executed|Logs' ./dashboards
	cd test/dashview && node shoot.mjs

# dist is emptied of what is made anew: dpkg -i dist/*.deb and SHA256SUMS are of one version.
EPOCH = SOURCE_DATE_EPOCH=$${SOURCE_DATE_EPOCH:-$$(git log -1 --format=%ct)}

deb: build .tools/built/nfpm ## The Debian package dist/*.deb, the same bytes for the same commit.
	@mkdir -p dist && rm -f dist/*.deb
	@# With GOARCH of another machine its pages still have to be printed here.
	host=vulcan_exporter; if [[ $$(go env GOARCH) != $$(go env GOHOSTARCH) ]]; then \
		host=$$(mktemp); trap 'rm -f "$$host"' EXIT; GOARCH= CGO_ENABLED=0 go build -o $$host ./cmd/vulcan_exporter; fi; \
	$(EPOCH) test/release/deb.sh vulcan_exporter "$$(go env GOARCH)" '$(VERSION)' dist/ "$$host"

sbom: build ## What the binary is made of, CycloneDX, into dist/vulcan_exporter.cdx.json.
	@mkdir -p dist
	go run ./test/release/sbom vulcan_exporter >dist/vulcan_exporter.cdx.json

release: build .tools/built/nfpm ## Archives and packages for two architectures, the SBOM and their checksums, into dist/.
	rm -rf dist && mkdir dist
	go run ./test/release/sbom vulcan_exporter >dist/vulcan_exporter.cdx.json
	set -e; export $(EPOCH); for arch in amd64 arm64; do \
		CGO_ENABLED=0 GOARCH=$$arch go build -trimpath -ldflags '$(LDFLAGS)' -o dist/vulcan_exporter.$$arch ./cmd/vulcan_exporter; \
		for format in archive deb; do \
			test/release/$$format.sh dist/vulcan_exporter.$$arch $$arch '$(VERSION)' dist/ vulcan_exporter; done; \
		rm dist/vulcan_exporter.$$arch; done
	cd dist && sha256sum *.tar.gz *.deb *.cdx.json >SHA256SUMS

vuln: .tools/built/vuln ## Known vulnerabilities in what is called.
	test/release/vuln.sh $(PACKAGES)

setup: ## The Debian packages that the tests need (root on Debian; elsewhere named).
	test/setup.sh

# Tools are pinned in modules of their own, tools/*, and built once for each version of the pin.
tools: $(addprefix .tools/built/,prometheus alertmanager loki nfpm quadlet)

.tools/built/%: tools/%/go.mod
	cd $(<D) && GOGC=400 $(PLAIN) go build -ldflags '-s -w' $(if $(filter prometheus,$*),-tags remove_all_sd) -o $(BIN)/ tool
	@mkdir -p $(@D) && touch $@

clean:
	rm -rf .tools .run dist vulcan_exporter
