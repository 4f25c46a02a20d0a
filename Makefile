# `make help` lists what there is. The work itself is in scripts/.

SHELL := /bin/bash
SWIFT ?= swift
RELEASE := .build/release/penstock

.DEFAULT_GOAL := help
.PHONY: help demo test check build measure bench bench-flownat bench-sealing soak fuzz deps format lint clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: deps build ## curl through the tunnel between three network namespaces, shown to a person
	@scripts/as-root scripts/demo --penstock $(RELEASE)

test: deps ## everything: format, import rules, unit and simulation tests, benchmarks' counts, fuzzers, namespace tests
	@SWIFT="$(SWIFT)" scripts/test

check: lint ## format, import rules and the fast tests
	$(SWIFT) test --quiet --skip EngineTests

lint: ## format and import rules
	@scripts/lint

build: ## release build; the Swift runtime is inside, so that the program runs without a toolchain
	$(SWIFT) build -c release --product penstock --static-swift-stdlib

measure: deps build ## one iperf3 stream through the tunnel, and beside it
	@scripts/as-root scripts/measure --penstock $(RELEASE)

soak: deps ## FlowNAT for SECONDS=600 under load on a bad LAN, its whole matrix, thousands of simulated runs
	@SWIFT="$(SWIFT)" scripts/soak $(or $(SECONDS),600)

bench: deps build ## the same work without a tunnel, through Penstock and through others; BENCH="--rounds 1 --lines"
	@scripts/as-root Benchmarks/Tunnel/run --penstock $(RELEASE) $(BENCH)

bench-flownat: ## what FlowNAT costs: time, allocations and memory; BENCH="--quick", INSTRUCTIONS=1
	@SWIFT="$(SWIFT)" scripts/bench $(BENCH)
ifneq ($(INSTRUCTIONS),)
	@SWIFT="$(SWIFT)" scripts/bench-instructions
endif

bench-sealing: ## what the sealed layer costs: chunks, datagrams, key exchanges; BENCH="--filter seal-chunk"
	@SWIFT="$(SWIFT)" scripts/bench-sealing $(BENCH)

fuzz: ## look for inputs that bring the parsers or FlowNAT down; TARGET=flows, SECONDS=60
	@SWIFT="$(SWIFT)" scripts/fuzz $(or $(TARGET),all) $(or $(SECONDS),60)

deps: ## install the Debian packages that are missing, if any
	@scripts/install-deps

format: ## rewrite the sources in the committed format
	$(SWIFT) format -i -r Sources Tests Benchmarks Fuzz Package.swift

clean: ## remove what was built, and what the fuzzers have learnt
	rm -rf .build .build-test Benchmarks/.build Fuzz/.build demo-output
