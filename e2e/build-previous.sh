#!/usr/bin/env bash
# Builds the operator of an older commit, and unpacks its chart: what users have who upgrade. Which one says
# e2e/previous-release.txt. Finished ones lie in <cache>/goldenpath-<commit>, in the cache of the control plane.
set -euo pipefail
cd "$(dirname "$0")/.."
cache=${GOLDENPATH_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/goldenpath}
commit=$(grep -v '^#' e2e/previous-release.txt)
out=$cache/goldenpath-$commit
[ -x "$out/goldenpath" ] && exit
mkdir -p "$cache"
exec 9>"$cache/previous.lock"
flock -n 9 || { echo "previous release: another build is running, waiting for it"; flock 9; }
[ -x "$out/goldenpath" ] && exit

if ! git cat-file -e "$commit^{commit}" 2>/dev/null; then
  echo "previous release: commit $commit of e2e/previous-release.txt is not in this checkout" >&2
  if [ "$(git rev-parse --is-shallow-repository 2>/dev/null)" = true ]; then
    echo "previous release: the clone is shallow; git fetch --unshallow brings the rest" >&2
  else
    echo "previous release: clone the repository with its history (git clone, no archive), or copy $out" >&2
    echo "previous release: from a machine that has it" >&2
  fi
  exit 1
fi

started=$SECONDS
echo "previous release: building the operator of ${commit:0:12} (about 2 minutes on two cores beside built tests)"
rm -rf "$out"
mkdir -p "$out/source"
git archive "$commit" | tar -x -C "$out/source"
# Dependencies are those of the present tests, wherever the versions are the same: one folder of intermediate results, the
# same features (of the whole workspace, tests included, for which a test has to be among what is built), but a program
# folder of its own, or this program would take the place of the present one.
build=${CARGO_BUILD_BUILD_DIR:-${CARGO_TARGET_DIR:-$PWD/target}}
mkdir -p "$build"
(
  build=$(cd "$build" && pwd)
  cd "$out/source"
  export CARGO_BUILD_BUILD_DIR=$build CARGO_TARGET_DIR=$out/target GOLDENPATH_COMMIT=$commit CARGO_INCREMENTAL=0
  cargo build --quiet --locked --workspace --bin goldenpath --test cli
)
mv "$out/source/charts/goldenpath" "$out/chart"
cp "$out/target/debug/goldenpath" "$out/goldenpath.partial"
rm -rf "$out/source" "$out/target"
mv "$out/goldenpath.partial" "$out/goldenpath"
echo "previous release: the operator of ${commit:0:12} is built after $((SECONDS - started)) s"
