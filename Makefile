# Few targets, each used by the README or by CI. What runs is in the recipes; the environment (KUBECONFIG, RUST_LOG,
# CARGO_TARGET_DIR, GOLDENPATH_CACHE) reaches them unchanged, also when written behind `make`.
SHELL := bash
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help control-plane demo dashboards image test test-node bench failover instructions licenses verify generate generate-install generate-pod-schema clean

help: ## Print this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-20s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

control-plane: ## Build the API server, etcd and the other programs that tests and demo run on (once per version)
	@bash e2e/build-control-plane.sh

# Only a KUBECONFIG that is written behind `make demo` names a cluster to run on; one of the environment is not meant.
demo: control-plane ## Show the operator at work, no cluster is needed; make demo KUBECONFIG=... runs it on yours
	cargo build --workspace --bins
	cargo run -q -p goldenpath-e2e --bin demo -- $(if $(findstring command line,$(origin KUBECONFIG)),--kubeconfig $(KUBECONFIG))

# Not part of `test`: the libraries of the page are large, and a browser is nothing that everybody has.
dashboards: ## Draw every Grafana dashboard over a migration on a real control plane, and check each panel
	@bash e2e/build-control-plane.sh prometheus
	cd tools/dashboards && { [ node_modules/.package-lock.json -nt package-lock.json ] || npm ci; } && node build.mjs
	cargo build --workspace --bins
	cargo run -q -p goldenpath-e2e --bin dashboards -- $(FLAGS)
	cd tools/dashboards-strict && go run . ../../manifests/dashboards/*.json

# ARCHITECTURE=arm64 needs a cross compiler: see e2e/static-program.sh. The commit is in the image, so commit first.
image: ARCHITECTURE ?= amd64
image: REPOSITORY ?= goldenpath
image: VERSION = $(shell sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -1)
image: ## Make the image as an OCI archive, target/goldenpath-<version>-<architecture>.tar; no Docker is needed
	bash e2e/static-program.sh target/goldenpath-static $(if $(filter arm64,$(ARCHITECTURE)),aarch64-unknown-linux-gnu)
	cargo run -q -p goldenpath-e2e --bin image -- --program target/goldenpath-static \
	  --reference $(REPOSITORY):$(VERSION) --architecture $(ARCHITECTURE) --revision $$(git rev-parse HEAD) \
	  --created $$(TZ=UTC git log -1 --format=%cd --date=format-local:%Y-%m-%dT%H:%M:%SZ) \
	  --out target/goldenpath-$(VERSION)-$(ARCHITECTURE).tar

# Go and Rust build side by side: most of a cold start is waiting for one long link on each side. The control plane gets
# a process group of its own (set -m), since killing only its script would leave `go build` running and holding its lock.
# The operator of an older commit is built behind the tests, whose dependencies it shares.
# --no-fail-fast: one run shows every failure. Two threads a processor: a story that waits makes room for another, see
# e2e/src/concurrency.rs.
test: ## Run all tests; the first run builds two control planes, which takes about 25 minutes on two cores
	@set -euo pipefail; mkdir -p target; \
	set -m; bash e2e/build-control-plane.sh kubernetes-1.35 prometheus & control_plane=$$!; set +m; \
	trap 'kill -- -$$control_plane 2>/dev/null || true' EXIT; trap 'exit 130' INT TERM; \
	echo "test: building the tests, and the control plane beside them"; \
	cargo test --workspace --no-run; \
	bash e2e/build-previous.sh; \
	echo "test: the tests are built after $$SECONDS s, waiting for the control plane"; \
	wait $$control_plane || { echo "test: FAILED, the control plane could not be built" >&2; exit 1; }; \
	echo "test: the control plane is there after $$SECONDS s, running the tests"; \
	status=0; RUST_TEST_THREADS=$${RUST_TEST_THREADS:-$$((2 * $$(nproc)))} \
	  cargo test --workspace --no-fail-fast | tee target/test.log || status=$$?; \
	awk -f e2e/test-summary.awk target/test.log; \
	[ $$status = 0 ] || exit $$status; \
	echo "test: done after $$SECONDS s"

# Not part of `test`: a real kubelet needs root. FLAGS="--minutes 5" kills leaders for so long, --short is what CI runs.
test-node: PROGRAM ?= target/goldenpath-static
test-node: ## Run the image and the chart on two real nodes of this machine: kubelets, containerd and runc (Linux, root)
	@bash e2e/test-node.sh $(PROGRAM) $(FLAGS)

# FLAGS: see `cargo run -p goldenpath-e2e --bin bench -- --help`; --strict makes a missed promise a failure.
bench: N ?= 10000
bench: ## Measure the operator at scale and write docs/benchmarks.md; make bench N=100000 takes more than an hour
	@bash e2e/build-control-plane.sh kube-state-metrics
	cargo build --release -p goldenpath -p goldenpath-e2e --bin goldenpath --bin control-plane --bin bench
	cargo run --release -q -p goldenpath-e2e --bin bench -- --workloads $(N) --report docs/benchmarks.md $(FLAGS)

# FLAGS: --runs N; --strict makes a missed promise a failure.
failover: control-plane ## End the leader of two replicas 40 times, and print how long nobody led
	cargo build --release -p goldenpath -p goldenpath-e2e --bin goldenpath --bin control-plane --bin failover
	cargo run --release -q -p goldenpath-e2e --bin failover -- $(FLAGS)

instructions: ## Count the instructions of decoding and evaluating one workload with valgrind, against e2e/instructions.txt
	@bash e2e/instructions.sh

licenses: ## Check licences and sources of all crates, write THIRD-PARTY-NOTICES.txt and the bill of materials
	@bash e2e/licenses.sh target/goldenpath-$$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -1).cdx.json

verify: ## Check generated files, format, lints, the law of imports, file sizes and the README
	@bash e2e/verify.sh

generate: ## Write everything derived from the Rust types: crds/ and what of charts/ is generated
	cargo run -q --bin goldenpath -- generate

# Not part of `generate`, which needs no helm; a test compares the file with the chart at each run.
generate-install: control-plane ## Write manifests/install.yaml: the chart as helm renders it, for those who do not use Helm
	GOLDENPATH_UPDATE=1 cargo test -p goldenpath-e2e --test it the_install_manifest_is_the_chart

# Not part of `generate`, which needs no control plane; a test compares the file with the server at each run.
generate-pod-schema: control-plane ## Write src/plan/pod_schema.json: the pod fields, as a running API server has them
	GOLDENPATH_UPDATE=1 cargo test -p goldenpath-e2e --test it the_pod_schema_is_what_the_api_server_says

clean: ## Remove build output; the control plane stays, it is shared by all checkouts
	cargo clean
