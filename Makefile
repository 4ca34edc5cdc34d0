# `make` prints what there is to do. Every target can be repeated, and installs what it lacks: into
# .tools/ (Envoy, Node.js, the MCP SDKs, an authorization server), and, where Rust for the module is
# missing on Debian, packages with apt-get.

.DEFAULT_GOAL := help
.PHONY: help check lint native properties test e2e oldest build tool package reproducible demo compose providers agentmemory conformance clients kubernetes matrix chaos bench audit clean
# Each target uses all cores by itself.
.NOTPARALLEL:

python := .tools/venv/bin/python

help: ## this list
	@sed -n 's/^\([a-z0-9]*\):[^#]*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 20

check: lint native ## for every edit: formatting, lints and native tests

lint: ## formatting, clippy with warnings as errors, ruff
	scripts/cargo fmt --check
	scripts/cargo fmt --check --manifest-path tests/support/rmcp_client/Cargo.toml
	scripts/cargo fmt --check --manifest-path tests/conformance/servers/rust/Cargo.toml
	scripts/cargo fmt --check $(trim-exports-manifest)
	scripts/cargo fmt --check $(fuzz-manifest)
	scripts/cargo clippy --locked --all-targets -- --deny warnings
	$(trim-exports) clippy --locked --all-targets $(trim-exports-manifest) -- --deny warnings
	CUSTOM_LIBFUZZER_PATH=/none/libfuzzer.a $(trim-exports) clippy --locked $(fuzz-manifest) -- --deny warnings
	scripts/ruff check --quiet --config tests/ruff.toml tests examples scripts

# A workspace of its own, so that its crates are not in the module's lock file.
trim-exports := CARGO_TARGET_DIR=$${CARGO_TARGET_DIR:-target}/tools scripts/cargo
trim-exports-manifest := --manifest-path tools/trim-exports/Cargo.toml
# Looked at without libFuzzer itself, which takes a compiler of C++.
fuzz-manifest := --manifest-path fuzz/Cargo.toml

test: native properties e2e oldest ## all tests: native, then everything on a real Envoy, and much of it on the oldest

native: ## the native tests alone
	scripts/cargo test --locked
	$(trim-exports) test --locked $(trim-exports-manifest)

properties: ## the properties once more, on other cases; a failure is a bug, and its seed repeats it
	@seed=$$(od -An -N4 -tu4 /dev/urandom | tr -d ' '); echo "PROPTEST_RNG_SEED=$$seed"; \
	  PROPTEST_RNG_SEED=$$seed scripts/cargo test --locked --lib -q

e2e: tools build browser package-tools prometheus servers probed ## all tests that need an Envoy, on the newest
	scripts/rmcp-client
	$(python) -m pytest tests -n 2 -q

oldest: tools build browser ## most of them on the oldest; `make matrix` has those too that say the same on any Envoy
	scripts/envoy-matrix "" tests/e2e tests/test_examples.py -n 2 -q $(patsubst %,--ignore=tests/e2e/test_%.py,browser clients configuration probe_servers real_parts)

build: ## dist/mcp_auth_filter.wasm and its SHA-256
	@scripts/build

tool: ## target/tool/mcp-auth, the command-line tool for Linux on x86-64: one static file
	@scripts/tool

package: build tool ## all that a release has, in dist/: OCI image, the tool packed, SBOMs, SHA256SUMS
	@scripts/package

reproducible: ## makes the package of HEAD twice, in two folders, and compares every byte
	@scripts/reproducible

demo: tools build ## the whole story on real parts; KEEP=1 leaves them running for your own client
	@$(python) examples/demo/demo.py

compose: tools build ## envoy/docker-compose.yaml on a real engine, step by step; ONLY=first-login for one scenario
	@scripts/compose $(ONLY)

providers: tools build ## real authorization servers, each through a login and the filter; ONLY=keycloak for one
	@scripts/providers $(ONLY)

agentmemory: tools build ## agent-memory-server with a login before it: examples/agent-memory-server
	@scripts/agent-memory-server
	$(python) -m pytest tests/e2e/test_agent_memory.py -q

matrix: tools build browser ## the end-to-end tests on the oldest Envoy, and bodies on six; ENVOY=1.38.3 for another alone
	@$(if $(ENVOY),,scripts/envoy-bodies)
	@scripts/envoy-matrix $(ENVOY)

conformance: tools build ## servers behind the filter, and the official suite on them, direct and through it; ONLY=everything for one
	@scripts/conformance $(ONLY)

clients: tools build ## MCP clients that people use, each through a login and the filter; ONLY=fastmcp for one
	@scripts/clients $(ONLY)

kubernetes: tools build ## Istio's and Envoy Gateway's own control planes on envoy/'s manifests; ONLY=manifests for one part
	@scripts/kubernetes $(ONLY)

chaos: tools build ## keys under load: rotations, outages, storms, a soak; ONLY=rotation for one scenario
	@cd tests && ../$(python) -m chaos $(ONLY)

bench: tools $(if $(MODULE),,build) ## beside Envoy's jwt_authn; ONLY=foreign for one scenario, ROUNDS=9, MODULE=a.wasm, REPORT=1
	@scripts/bench $(if $(ROUNDS),--rounds $(ROUNDS)) $(if $(MODULE),--module $(abspath $(MODULE))) \
	  $(if $(REPORT),--report) $(ONLY)

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

# Servers that the probe asks (tests/e2e/test_probe_servers.py).
.PHONY: probed
probed: tools
	@scripts/clients --install fastmcp
	@scripts/conformance --install everything

tools:
	@[ -e .tools/setup.stamp ] || echo "First run: about 290 MB of tools go into .tools/, and the crates into cargo's own cache."
	@scripts/setup
