#!/usr/bin/env bash
# Runs the image and the chart on two real nodes of this machine: test-node.sh PROGRAM [FLAGS of e2e/src/bin/node.rs]
# PROGRAM is target/goldenpath-static, which is built here, or any other build of the operator, which brings its libraries.
# Packages that are missing are installed and stay, and what is built stays; all else is as before when it ends, which it
# checks itself.
set -euo pipefail
cd "$(dirname "$0")/.."
program=$1
shift

skip() {
  echo "test-node: skipped: $1"
  exit 0
}
[ "$(uname)" = Linux ] || skip "a kubelet runs on Linux only"
[ "$(id -u)" = 0 ] || skip "containers and networks are made by root only"
unshare --mount --net true 2>/dev/null || skip "this root may make no mounts and networks, as in a container without privileges"
missing=()
for needed in containerd=/usr/bin/containerd runc=/usr/sbin/runc containernetworking-plugins=/usr/lib/cni/bridge \
  nftables=/usr/sbin/nft iptables=/usr/sbin/iptables iproute2=/sbin/ip; do
  [ -x "${needed#*=}" ] || missing+=("${needed%%=*}")
done
if [ "${#missing[@]}" -gt 0 ]; then
  command -v apt-get >/dev/null || skip "${missing[*]} are missing, and there is no apt-get to install them with"
  started=$SECONDS
  apt() { DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=200 "$@"; }
  # the lists of a fresh machine are empty, and those of an old one name files that are gone
  said=$({ apt update && apt install -y --no-remove --no-install-recommends "${missing[@]}"; } 2>&1) ||
    skip "apt-get cannot install ${missing[*]}: $(grep -m1 '^[EW]:' <<<"$said" || tail -1 <<<"$said")"
  echo "test-node: installed ${missing[*]} in $((SECONDS - started)) s"
fi

bash e2e/build-control-plane.sh node
if [ "$program" = target/goldenpath-static ]; then
  bash e2e/static-program.sh "$program"
fi
# with a test among them the features are those of `cargo test --workspace`, after which nothing is left to build
cargo build -q --workspace --bin control-plane --bin node --test cli
echo "test-node: everything is built after $SECONDS s"
exec "${CARGO_TARGET_DIR:-target}/debug/node" --program "$program" "$@"
