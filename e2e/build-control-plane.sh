#!/usr/bin/env bash
# Builds the control plane that tests and the demo run on, from the Go modules in tools/, once per version.
# What is named behind it is built as well: kube-state-metrics, which only benchmarks run, the servers of an older
# Kubernetes, kubernetes-1.35 and kubernetes-1.36, prometheus, where the system has none, and node, what a real node runs.
# Finished programs lie in <cache>/<module>-<version>/<program>; the cache is shared by all checkouts of a user.
set -euo pipefail
cd "$(dirname "$0")/../tools"
cache=${GOLDENPATH_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/goldenpath}
mkdir -p "$cache"

if ! command -v go >/dev/null; then
  echo "control plane: Go 1.26 or newer is needed to build it (https://go.dev/dl); 'go' is not on the PATH" >&2
  exit 1
fi
# Go says of a full disk only which of a thousand files it could not write.
enough_space() {
  local needed=8 folder free # GB: 5.5 of build cache, 1.3 of modules, 0.5 of programs, measured with empty caches
  for folder in "$cache" "$(go env GOCACHE)" "$(go env GOMODCACHE)"; do
    mkdir -p "$folder"
    free=$(($(df -Pk "$folder" | awk 'NR == 2 { print $4 }') / 1000000))
    [ "$free" -ge "$needed" ] && continue
    echo "control plane: building it takes up to $needed GB, and $folder has $free GB left" >&2
    echo "control plane: make room, or set GOLDENPATH_CACHE, GOCACHE and GOMODCACHE to folders that have it" >&2
    exit 1
  done
}

# Two checkouts that build at the same time would do the same work twice on the same cores.
exec 9>"$cache/build.lock"
flock -n 9 || { echo "control plane: another build is running, waiting for it"; flock 9; }

# build <folder in tools/> <module> <package> <program> <seconds of a cold build on two cores> [build tags]
build() {
  local folder=$1 module=$2 package=$3 program=$4 estimate=$5 tags=${6:-} version out stamp="" started=$SECONDS
  version=$(cd "$folder" && go list -m -f '{{.Version}}' "$module")
  out=$cache/${folder%%-1.*}-$version/$program
  [ -x "$out" ] && return
  enough_space
  if [ "$module" = k8s.io/kubernetes ]; then # without the stamp clients see v0.0.0 and feature gates think of version 0
    local base=k8s.io/component-base/version minor=${version#v1.}
    stamp="-X $base.gitVersion=$version -X $base.gitMajor=1 -X $base.gitMinor=${minor%%.*} -X $base.gitTreeState=clean"
  fi
  echo "control plane: building $program $version (about $estimate s on two cores when nothing is cached)"
  mkdir -p "$(dirname "$out")"
  (cd "$folder" && CGO_ENABLED=0 go build -trimpath -tags "$tags" -ldflags "-s -w $stamp" -o "$out.partial" "$package")
  mv "$out.partial" "$out"
  echo "control plane: $program $version built in $((SECONDS - started)) s"
}

# kubernetes <folder in tools/>
kubernetes() {
  local module=k8s.io/kubernetes
  build "$1" $module $module/cmd/kube-apiserver kube-apiserver 420
  build "$1" $module $module/cmd/kube-controller-manager kube-controller-manager 120
  build "$1" $module $module/cmd/kube-scheduler kube-scheduler 15
}

# A Prometheus of the system does as well: Debian's package is called prometheus. Service discovery would bring the client
# libraries of twenty clouds.
prometheus() {
  local module=github.com/prometheus/prometheus program
  if command -v prometheus && command -v promtool; then return; fi >/dev/null
  for program in promtool prometheus; do
    build prometheus $module $module/cmd/$program $program 120 remove_all_sd
  done
}

# What a real node runs, beside containerd and runc of the system, which e2e/src/node installs.
node() {
  local module=k8s.io/kubernetes program
  for program in kubelet kube-proxy; do
    build kubernetes $module $module/cmd/$program $program 90
  done
  (cd pause && CGO_ENABLED=0 go build -trimpath -ldflags "-s -w" -o "$cache/pause.partial" .)
  mv "$cache/pause.partial" "$cache/pause"
}

kubernetes kubernetes
build kubernetes k8s.io/kubernetes k8s.io/kubernetes/cmd/kubectl kubectl 30
build etcd go.etcd.io/etcd/server/v3 go.etcd.io/etcd/server/v3 etcd 60
build kwok sigs.k8s.io/kwok sigs.k8s.io/kwok/cmd/kwok kwok 105
build helm helm.sh/helm/v4 helm.sh/helm/v4/cmd/helm helm 120
for also in "$@"; do
  case $also in
    kube-state-metrics) build "$also" k8s.io/kube-state-metrics/v2 k8s.io/kube-state-metrics/v2 "$also" 120 ;;
    kubernetes-*) kubernetes "$also" ;;
    node) node ;;
    prometheus) prometheus ;;
    *) echo "control plane: there is nothing called $also to build" >&2; exit 1 ;;
  esac
done

# KWOK exits without stages; they are files of its module.
stages=$cache/kwok-stages
version=$(cd kwok && go list -m -f '{{.Version}}' sigs.k8s.io/kwok)
if [ ! -s "$stages-$version.yaml" ]; then
  kustomize=$(cd kwok && go list -m -f '{{.Dir}}' sigs.k8s.io/kwok)/kustomize/stage
  for file in "$kustomize"/node/fast/*.yaml "$kustomize"/node/heartbeat-with-lease/*.yaml "$kustomize"/pod/fast/*.yaml; do
    case $file in */kustomization.yaml) ;; *) echo "---"; cat "$file" ;; esac
  done > "$stages.partial"
  mv "$stages.partial" "$stages-$version.yaml"
fi
