# The commands of the repository. Each finds what it needs or says what to install (compose/need) and
# uses the one native stack (compose/stack).
#
# How things are started, waited for and stopped is left to those two scripts.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory
# Two test runs side by side would measure each other.
.NOTPARALLEL:
.PHONY: help up down status wipe build demo test test-workspace test-postgres-15 check-birmingham bench bench-long
.PHONY: instructions instructions-accept docs fmt lint

# rustup's own place: a shell that was opened before Rust was installed does not have it yet.
export PATH := $(PATH):$(HOME)/.cargo/bin

# Always of the whole workspace, whatever is built of it: the features of a dependency are those that all selected packages want,
# and with others it would be built again.
BUILD := cargo build --release --locked --workspace

BUILT := $(or $(CARGO_TARGET_DIR),target)/release
MILLRACE := $(BUILT)/millrace
INSTRUCTIONS := $(BUILT)/millrace-instructions
BENCH := $(BUILT)/millrace-bench
POSTGRES_15 ?= /usr/lib/postgresql/15/bin

help: ## list the targets (the default)
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-20s %s\n", $$1, $$2 }' Makefile

up: ## start three Kafka nodes and PostgreSQL, and print what to set
	@compose/stack up

down: ## stop them; the data stays
	@compose/stack down

status: ## say what runs, and on which ports
	@compose/stack status

wipe: ## stop them and delete their data
	@compose/stack wipe

build: ## build the millrace binary
	@compose/need build
	$(BUILD) --bin millrace

demo: ## watch payment events become a ledger; EVENTS=FILE takes your own (NDJSON)
	@compose/need stack build
	@compose/stack up --any-port
	$(BUILD) --bin millrace
	@compose/stack run --stay $(MILLRACE) demo $(if $(EVENTS),--events '$(EVENTS)') $(if $(EXPECT),--expect '$(EXPECT)')

test: ## run every test, on the stack; it is taken down again if it was not up before
	@compose/need stack build java
	@compose/stack run $(MAKE) test-workspace test-postgres-15

# Named one by one, so that the features are those of the whole workspace here too.
DATABASE_TESTS := $(patsubst store/tests/%.rs,--test %,$(wildcard store/tests/*.rs))

# Within `compose/stack run`: the two passes of `make test`.
# The end-to-end tests run the binary itself, which cargo test does not build.
test-workspace:
	$(BUILD) --bin millrace
	cargo test --release --locked --workspace

test-postgres-15:
	@if [[ -x $(POSTGRES_15)/postgres ]]; then \
	    echo "The database tests once more, on PostgreSQL 15:"; \
	    compose/stack throwaway-postgres $(POSTGRES_15) cargo test --release --locked --workspace $(DATABASE_TESTS); \
	else \
	    echo "No PostgreSQL 15 in $(POSTGRES_15): the second pass of the database tests was left out."; \
	fi

check-birmingham: ## send ten years of a city's card payments through, and compare the totals
	@compose/need stack build python
	$(BUILD) --bin millrace
	@compose/stack run tests/check-birmingham

instructions: ## count the instructions of the pure path under callgrind; fail if one stage became slower
	@compose/need build callgrind
	$(BUILD) --bin millrace-instructions
	$(INSTRUCTIONS) check bench/instructions/baseline.json

instructions-accept: ## make the counts of this build the baseline; commit it with the reason
	@compose/need build callgrind
	$(BUILD) --bin millrace-instructions
	$(INSTRUCTIONS) accept bench/instructions/baseline.json

docs: ## write the tables of docs/scaling.md anew, from the committed costs
	@compose/need build
	MILLRACE_WRITE_DOCS=1 cargo test --release --locked --workspace --bin millrace plan_capacity::document
# The build that shows what exactly once costs, beside the one that people run.
define build_bench
	$(BUILD) --bin millrace --features millrace/unguarded
	cp $(BUILT)/millrace $(BUILT)/millrace-unguarded
	$(BUILD) --bin millrace --bin millrace-bench
endef

bench: ## measure everything in turn, in six to eight minutes, and write bench/BENCHMARKS.md; ARGS='--help' says what else
	@compose/need stack build java
	$(build_bench)
	@MILLRACE_BENCH_UNGUARDED=$(BUILT)/millrace-unguarded MILLRACE_BENCH_COMMAND="make bench$(if $(ARGS), ARGS='$(ARGS)')" compose/stack run $(BENCH) run $(ARGS)

bench-long: ## the same with twenty times the events, and the scaling curves; allow hours
	@compose/need stack build java
	$(build_bench)
	@MILLRACE_BENCH_UNGUARDED=$(BUILT)/millrace-unguarded MILLRACE_BENCH_COMMAND="make bench-long$(if $(ARGS), ARGS='$(ARGS)')" compose/stack run $(BENCH) run --long $(ARGS)

fmt: ## format the sources
	cargo fmt --all

lint: ## the checks of style: rustfmt and clippy, warnings are errors
	@compose/need build
	cargo fmt --all --check
	cargo clippy --release --locked --workspace --all-targets -- -D warnings
