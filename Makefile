# The only way in. `make demo` and `make test` need root and a current Rust toolchain; everything
# else that is missing comes from Debian, and is named before it is installed.

ARCH := $(shell uname -m)
TARGET := $(ARCH)-unknown-linux-gnu
BUILD := $(or $(CARGO_TARGET_DIR),target)
DIST := $(CURDIR)/target/dist
PREFIX ?= /usr/local
SUDO := $(shell [ "$$(id -u)" = 0 ] || echo sudo)

BUILD_PACKAGES := gcc libc6-dev libostree-dev libseccomp-dev pkg-config
TEST_PACKAGES := attr busybox-static conmon containerd e2fsprogs iproute2 libcap2-bin mandoc mmdebstrap openssl ostree podman procps \
	runc systemd-container uidmap util-linux
BENCH_PACKAGES := bubblewrap crun runc strace time

.PHONY: help build check unit soak fuzz crash failpoints e2e test demo bench-start deps build-deps cargo manual install clean

help: ## what there is to make
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

demo: cargo deps build ## etcd from a registry as a systemd service, step by step
	SYSC_BIN=$(DIST) cargo run --quiet -p sysc-tests --bin demo

test: cargo deps check unit e2e ## everything that is checked

build: build-deps cargo ## both programs, into target/dist
	cargo build --release -p sysc
	SYSC_COMMIT=$$(git rev-parse --short=12 HEAD) \
	RUSTFLAGS='-C target-feature=+crt-static -C relocation-model=static' LIBSECCOMP_LINK_TYPE=static LIBSECCOMP_LIB_PATH=/usr/lib/$(ARCH)-linux-gnu \
		cargo build --profile runtime -p sysc-runtime --target $(TARGET)
	install -D -t $(DIST) $(BUILD)/release/sysc $(BUILD)/$(TARGET)/runtime/sysc-runtime

check: deps cargo ## formatting and lints
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings
	cargo clippy -p sysc --features failpoints -- -D warnings

unit: deps cargo ## tests of the two crates; those that say so in their name need root
	cargo test -p sysc -p sysc-runtime

soak: deps build ## ten thousand starts, thousands of kills, thousands of services; some forty minutes
	SYSC_SOAK=34 cargo test -p sysc-runtime --test soak_root -- --nocapture --test-threads=1
	SYSC_SOAK=56 SYSC_BIN=$(DIST) cargo test -p sysc-tests --test handover_root no_result -- --nocapture --test-threads=1

fuzz: cargo ## five minutes for each target; needs a nightly toolchain and cargo-fuzz
	cd runtime && for target in config mount_options; do cargo +nightly fuzz run $$target -- -max_total_time=300 || exit 1; done

crash: deps build failpoints ## every changing command cut off everywhere; some twenty minutes
	SYSC_BIN=$(DIST) cargo run --quiet -p sysc-tests --bin crash

failpoints: build-deps cargo # a program that tests can cut off; not for shipping
	cargo build -p sysc --features failpoints
	install -D $(BUILD)/debug/sysc $(DIST)/sysc-failpoints

e2e: deps build failpoints ## real machines, a real registry
	SYSC_BIN=$(DIST) cargo test -p sysc-tests

bench-start: deps build ## how fast containers start, beside crun, runc and bubblewrap
	@$(call from-debian,$(BENCH_PACKAGES))
	SYSC_BIN=$(DIST) cargo run --quiet --release -p sysc-tests --bin bench-start -- --chart docs

manual: build-deps cargo ## manual pages and completions, into target/manual
	cargo run --quiet -p sysc --example sysc-manual -- target/manual
	cargo run --quiet -p sysc-runtime --example sysc-runtime-manual -- target/manual

install: build ## both programs into PREFIX/bin, the unit for recovery at boot into PREFIX/lib
	install -D -t $(DESTDIR)$(PREFIX)/bin $(DIST)/sysc $(DIST)/sysc-runtime
	install -d $(DESTDIR)$(PREFIX)/lib/systemd/system
	sed 's|/usr/bin/|$(PREFIX)/bin/|' unit-templates/sysc-recover.service > $(DESTDIR)$(PREFIX)/lib/systemd/system/sysc-recover.service

deps: ; @$(call from-debian,$(BUILD_PACKAGES) $(TEST_PACKAGES))
build-deps: ; @$(call from-debian,$(BUILD_PACKAGES))

# Names what is missing, then installs it.
from-debian = missing=$$(for p in $(1); do dpkg-query -W -f '$${Status}' $$p 2>/dev/null | grep -q 'ok installed' || echo $$p; done); \
	if [ -n "$$missing" ]; then echo "installing from Debian:" $$missing; \
	$(SUDO) apt-get update -q && DEBIAN_FRONTEND=noninteractive $(SUDO) apt-get install -q -y --no-install-recommends $$missing; fi

cargo:
	@cargo --version 2>/dev/null | awk -F'[ .]' '{ new = $$2 > 1 || $$3 >= 95 } END { exit !new }' || { \
	echo "sysc needs Rust 1.95 or newer, with cargo in PATH; Debian 12's and 13's own is older: see https://rustup.rs" >&2; exit 1; }

clean: ## what was built; the rigs' Debian trees too
	rm -rf target
