# Every command sets up what it needs; `make help` lists them.
#
# Recipes are single programs without a shell in between, so that a signal to
# make reaches the program, which ends its children.

.DEFAULT_GOAL := help
.PHONY: help setup build pack tools dev serve test check apply key token bench bench-tokens bench-limits deploy fmt lint
MAKEFLAGS += --no-print-directory --no-builtin-rules

NODE := node_modules/.bin/node
TOLLGATE := target/tools/tollgate
export CONFIG TENANTS STATE REAL

help: ## this list
	@awk -F':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' Makefile

setup: ## install what is missing
	@scripts/setup

build: ## the Worker's bundle, dist/edge
	@scripts/build edge

pack: ## the npm package, dist/tollgate-VERSION.tgz
	@scripts/build-client pack

tools: # the command line tool
	@scripts/tools tollgate-cli

dev: PORT ?= 8787
dev: build ## the gateway on 127.0.0.1:8787 before an emulated provider (REAL=1: the real one)
	@scripts/dev --port $(PORT)

serve: PORT ?= 8787
serve: build tools ## the bundle on workerd: CONFIG=FILE TENANTS=FILE PORT=N [STATE=DIR]
	@$(NODE) tests/serve/main.mjs --port $(PORT) $(if $(CONFIG),--config $(CONFIG)) $(if $(TENANTS),--tenants $(TENANTS)) $(if $(STATE),--state $(STATE))

test: ## every test
	@scripts/test

check: tools ## wrangler.toml and, with TENANTS=FILE, the tenants' file
	@$(TOLLGATE) check $(if $(CONFIG),--config $(CONFIG)) $(if $(TENANTS),--tenants $(TENANTS))

GATE ?= http://127.0.0.1:8787
apply: tools ## bring FILE=tenants.toml in force: [GATE=URL] [PRUNE=1] [DRY_RUN=1]
	@$(TOLLGATE) apply $(or $(FILE),$(error FILE=tenants.toml is needed)) --gate $(GATE) $(if $(PRUNE),--prune) $(if $(DRY_RUN),--dry-run)

key: tools ## a new key, printed once: TENANT=NAME [KIND=publishable] [SCOPE=account] [GATE=URL]
	@$(TOLLGATE) key --tenant $(or $(TENANT),$(error TENANT=NAME is needed)) --gate $(GATE) $(if $(KIND),--kind $(KIND)) $(if $(SCOPE),--scope $(SCOPE))

token: tools ## an admin token, signed offline: [ROLE=owner]
	@$(TOLLGATE) token --role $(or $(ROLE),owner)

bench: build tools ## side by side with a bare Worker and a peer; prints ratios
	@$(NODE) benches/bench.mjs

bench-tokens: setup ## our counter beside others, in Node and Chromium; prints ratios
	@$(NODE) benches/tokens/bench.mjs
	@bash -c 'scripts/build-client >/dev/null && source scripts/env && $(NODE) benches/tokens/huggingface.mjs'

bench-limits: tools ## the Gate beside its rivals in virtual time; writes the tables and pictures of docs/limits.md
	@$(TOLLGATE) simulate --seeds 3 --docs docs

deploy: build check ## to Cloudflare, as wrangler.toml says
	@scripts/deploy

fmt: ## format the Rust code
	@cargo fmt --all

lint: ## what make test checks before it tests
	@scripts/test lint
