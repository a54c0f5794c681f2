#!/usr/bin/env bash
# Checks the licence and the source of every crate, and writes what goes with the operator: THIRD-PARTY-NOTICES.txt, kept in
# the repository and in the image, and the software bill of materials of a release, CycloneDX 1.5: licenses.sh SBOM
# The three tools are built once per version into the cache; the first run takes about ten minutes on two cores, later ones
# two, since every file of every crate is read.
set -euo pipefail
cd "$(dirname "$0")/.."
tools=${GOLDENPATH_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/goldenpath}/cargo-tools

install() { # NAME VERSION [FLAG...]
  [ -e "$tools/$1-$2" ] && return
  echo "licenses: building $1 $2"
  CARGO_TARGET_DIR=$PWD/target/cargo-tools cargo install --quiet --locked --force --root "$tools" "${@:3}" "$1@$2"
  touch "$tools/$1-$2"
}

install cargo-deny 0.20.2
install cargo-about 0.9.3 --features cli
install cargo-cyclonedx 0.5.9
export PATH=$tools/bin:$PATH

cargo deny check licenses bans sources
cargo about generate --fail --locked --offline about.hbs -o THIRD-PARTY-NOTICES.txt
# one file beside the manifest of each package; only that of the operator is of use, and where it was built is nobody's business
SOURCE_DATE_EPOCH=$(git log -1 --format=%ct) cargo cyclonedx --quiet --format json --spec-version 1.5 --no-build-deps \
  --target x86_64-unknown-linux-gnu --override-filename sbom
rm -f e2e/sbom.json fuzz/sbom.json
mkdir -p "$(dirname "$1")"
sed "s|file://$PWD#|file:///goldenpath#|g" sbom.json >"$1"
rm sbom.json
echo "licenses: THIRD-PARTY-NOTICES.txt, and $1 with $(grep -c '"purl": "pkg:cargo/' "$1") crates"
