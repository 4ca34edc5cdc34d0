# `make` prints what there is to do. Every target can be repeated, and installs what it lacks: into
# .tools/ (Envoy, Node.js, the MCP SDKs, an authorization server), and, where Rust for the module is
# missing on Debian, packages with apt-get.

.DEFAULT_GOAL := help
.PHONY: help build demo test chaos bench lint clean

python := .tools/venv/bin/python

help: ## this list
	@sed -n 's/^\([a-z]*\):[^#]*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 16

build: ## dist/mcp_auth_filter.wasm and its SHA-256
	@scripts/build

demo: tools build ## the whole story on real parts; KEEP=1 leaves them running for your own client
	@$(python) examples/demo/demo.py

test: tools build browser prometheus ## native tests, then everything on a real Envoy
	scripts/cargo test --locked
	scripts/rmcp-client
	$(python) -m pytest tests -n 2 -q

chaos: tools build ## keys under load: rotations, outages, storms; ONLY=rotation for one scenario
	@cd tests && ../$(python) -m chaos $(ONLY)

bench: tools $(if $(MODULE),,build) ## beside Envoy's jwt_authn; ONLY=foreign for one scenario, ROUNDS=9, MODULE=a.wasm, REPORT=1
	@scripts/bench $(if $(ROUNDS),--rounds $(ROUNDS)) $(if $(MODULE),--module $(abspath $(MODULE))) \
	  $(if $(REPORT),--report) $(ONLY)

lint: ## formatting, and clippy with warnings as errors
	scripts/cargo fmt --check
	scripts/cargo fmt --check --manifest-path tests/support/rmcp_client/Cargo.toml
	scripts/cargo clippy --locked --all-targets -- --deny warnings
	@# src/filter is for wasm alone: this cfg lets a native clippy see it.
	RUSTFLAGS="--cfg lint_filter" CARGO_TARGET_DIR=$${CARGO_TARGET_DIR:-target}/lint \
	  scripts/cargo clippy --locked --lib -- --deny warnings

clean: ## removes what was built, but not .tools/
	rm -rf target dist

.PHONY: browser prometheus tools
browser:
	@scripts/browser

prometheus:
	@scripts/prometheus

tools:
	@[ -e .tools/setup.stamp ] || echo "First run: about 190 MB of tools go into .tools/, and the crates into cargo's own cache."
	@scripts/setup
