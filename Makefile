# `make` prints what there is to do. Every target can be repeated, and installs what it lacks: into
# .tools/ (Envoy, Node.js, the MCP SDKs, an authorization server), and, where Rust for the module is
# missing on Debian, packages with apt-get.

.DEFAULT_GOAL := help
.PHONY: help build package reproducible demo test compose providers matrix chaos bench lint audit clean

python := .tools/venv/bin/python

help: ## this list
	@sed -n 's/^\([a-z]*\):[^#]*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 20

build: ## dist/mcp_auth_filter.wasm and its SHA-256
	@scripts/build

package: build ## what a release has beside it in dist/: OCI image, SBOM, SHA256SUMS
	@scripts/package

reproducible: ## makes the package of HEAD twice, in two folders, and compares every byte
	@scripts/reproducible

demo: tools build ## the whole story on real parts; KEEP=1 leaves them running for your own client
	@$(python) examples/demo/demo.py

test: tools build browser package-tools prometheus servers ## native tests, then everything on a real Envoy, and much of it on the oldest
	scripts/cargo test --locked
	@# The properties once more, on other cases. A failure is a bug: this seed repeats it.
	@seed=$$(od -An -N4 -tu4 /dev/urandom | tr -d ' '); echo "PROPTEST_RNG_SEED=$$seed"; \
	  PROPTEST_RNG_SEED=$$seed scripts/cargo test --locked --lib -q
	scripts/rmcp-client
	$(python) -m pytest tests -n 2 -q
	@# What takes long or says the same on any Envoy is left out; `make matrix` has that too.
	scripts/envoy-matrix "" tests/e2e tests/test_examples.py -n 2 -q $(patsubst %,--ignore=tests/e2e/test_%.py,browser clients configuration real_parts)

compose: tools build ## envoy/docker-compose.yaml on a real engine, step by step; ONLY=first-login for one scenario
	@scripts/compose $(ONLY)

providers: tools build ## real authorization servers, each through a login and the filter; ONLY=keycloak for one
	@scripts/providers $(ONLY)

matrix: tools build browser ## the end-to-end tests on the oldest Envoy, and bodies on six; ENVOY=1.38.3 for another alone
	@$(if $(ENVOY),,scripts/envoy-bodies)
	@scripts/envoy-matrix $(ENVOY)

chaos: tools build ## keys under load: rotations, outages, storms, a soak; ONLY=rotation for one scenario
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

audit: ## licences, sources and known vulnerabilities of the crates, with cargo-deny
	@scripts/audit

clean: ## removes what was built, but not .tools/
	rm -rf target dist

.PHONY: browser package-tools prometheus tools
browser:
	@scripts/browser

package-tools: tools
	@scripts/package-tools
	@scripts/old-v8 >/dev/null

prometheus:
	@scripts/prometheus

.PHONY: servers
servers: tools
	@scripts/servers

tools:
	@[ -e .tools/setup.stamp ] || echo "First run: about 290 MB of tools go into .tools/, and the crates into cargo's own cache."
	@scripts/setup
