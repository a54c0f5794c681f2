#!/usr/bin/env bash
# Builds the operator as one static program without a path of this machine in it: static-program.sh OUT [TARGET]
# Another TARGET, such as aarch64-unknown-linux-gnu, needs `rustup target add` and a linker for it, for example Debian's
# gcc-aarch64-linux-gnu with CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc.
set -euo pipefail
cd "$(dirname "$0")/.."
out=$1
target=${2:-$(rustc -vV | sed -n 's/^host: //p')}
crates=${CARGO_HOME:-$HOME/.cargo}
built=${CARGO_TARGET_DIR:-$PWD/target}
# What is resident is mostly the program: tables for backtraces, which a stripped program cannot name, and 24 bytes for each
# pointer that is moved at the start were 2 of 16.5 MiB.
export RUSTFLAGS="-C target-feature=+crt-static -C force-unwind-tables=no -C link-arg=-Wl,-z,pack-relative-relocs \
  --remap-path-prefix=$crates=/cargo --remap-path-prefix=$PWD=/goldenpath"
# the allocator is C: its assertions name their files
export CFLAGS="-ffile-prefix-map=$crates=/cargo -ffile-prefix-map=$built=/target -ffile-prefix-map=$PWD=/goldenpath"
# kernels for arm64 have pages of 4, 16 or 64 KiB, and the allocator ends at once where they are larger than it was built for
case $target in aarch64*) export JEMALLOC_SYS_WITH_LG_PAGE=16 ;; esac
# `goldenpath_build_info` tells it; a source archive has no commit
GOLDENPATH_COMMIT=${GOLDENPATH_COMMIT:-$(git rev-parse HEAD 2>/dev/null || echo unknown)}
export GOLDENPATH_COMMIT
cargo build --release --locked -p goldenpath --bin goldenpath --target "$target"
mkdir -p "$(dirname "$out")"
cp "$built/$target/release/goldenpath" "$out"
# a C library older than 2.36 does not relocate itself by packed relocations, which nothing but a start shows
[ "$target" != "$(rustc -vV | sed -n 's/^host: //p')" ] || "$out" --version
