# The habits of the project; the work itself is in scripts/. `make help` prints this list.
.DEFAULT_GOAL := all
PREFIX ?= /usr/local
SYSCONFDIR ?= /etc
FUZZ_SECONDS ?= 60
SIM_SEEDS ?= 20000

.PHONY: all run test test-all lint fuzz sim bench coverage install clean deps help

all: ## build/postrider, optimised, with symbols
	@scripts/deps build
	@scripts/build release

run: ## build it, start it on loopback ports, show a message on its way, stay up
	@scripts/deps build
	@scripts/build release
	@scripts/run

test: ## everything that proves a change; under ten minutes on two cores
	@scripts/deps build test
	@scripts/test

test-all: ## lint, the tests at full length, every fuzz target
	@scripts/deps build test lint fuzz
	@scripts/lint
	@scripts/test --full
	@FUZZ_SECONDS=$(FUZZ_SECONDS) scripts/fuzz

lint: ## format, floors, headers that compile alone, clang's warnings
	@scripts/deps build test lint
	@scripts/lint

fuzz: ## every fuzz target for FUZZ_SECONDS
	@scripts/deps build fuzz
	@FUZZ_SECONDS=$(FUZZ_SECONDS) scripts/fuzz

sim: ## SIM_SEEDS simulated lives of the whole engine
	@scripts/deps build
	@scripts/build release
	@build/sim --seeds $(SIM_SEEDS)

bench: ## beside Postfix in the same run, as ratios
	@scripts/deps build test
	@scripts/build release
	@bench/run.py

coverage: ## lines reached by the tests, in build-cov/coverage.txt
	@scripts/deps build test coverage
	@scripts/test --coverage

install: all ## a service, its configuration and manual into PREFIX and SYSCONFDIR (DESTDIR is obeyed)
	@meson configure build -Dprefix=$(PREFIX) -Dsysconfdir=$(SYSCONFDIR)
	@meson install -C build

clean: ## remove what the build made
	rm -rf build build-*

deps: ## every Debian package of every target
	@scripts/deps build test lint fuzz coverage

help:
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1|\2/p' Makefile | column -t -s'|'
