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
export RUSTFLAGS="-C target-feature=+crt-static --remap-path-prefix=$crates=/cargo --remap-path-prefix=$PWD=/goldenpath"
# the allocator is C: its assertions name their files
export CFLAGS="-ffile-prefix-map=$crates=/cargo -ffile-prefix-map=$built=/target -ffile-prefix-map=$PWD=/goldenpath"
cargo build --release --locked -p goldenpath --bin goldenpath --target "$target"
cp "$built/$target/release/goldenpath" "$out"
