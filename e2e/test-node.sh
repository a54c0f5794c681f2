#!/usr/bin/env bash
# Runs the image and the chart on two real nodes of this machine: test-node.sh PROGRAM [FLAGS of e2e/src/bin/node.rs]
# PROGRAM is target/goldenpath-static, which is built here, or any other build of the operator, which brings its libraries.
#
# The nodes have mounts, networks and processes of their own (namespaces). What they leave ends with these, also when this is
# killed, and a containerd, a kubelet or a firewall of the machine is out of their reach. Only cgroups are shared: those of
# the ring bear its name, and go when it ends. That no trace is left is checked; when this script is killed by SIGKILL, empty
# folders stay. Packages that are missing are installed and stay, and what is built stays.
set -euo pipefail
cd "$(dirname "$0")/.."
program=$1
shift

target=$(realpath -m "${CARGO_TARGET_DIR:-target}")
ran=$target/ring.ran # CI looks for it: a skip is no failure
rm -f "$ran"

skip() {
  echo "test-node: SKIPPED, no node has run: $1"
  exit 0
}
own=(unshare --mount --net --pid --fork --kill-child --mount-proc)
[ "$(uname)" = Linux ] || skip "a kubelet runs on Linux only"
[ "$(id -u)" = 0 ] || skip "containers and networks are made by root only"
"${own[@]}" true 2>/dev/null || skip "this root may make no mounts and networks, as in a container without privileges"
missing=()
for needed in containerd=/usr/bin/containerd runc=/usr/sbin/runc containernetworking-plugins=/usr/lib/cni/bridge \
  nftables=/usr/sbin/nft iptables=/usr/sbin/iptables iproute2=/sbin/ip mount=/bin/mount binutils=/usr/bin/strip; do
  [ -x "${needed#*=}" ] || missing+=("${needed%%=*}")
done
if [ "${#missing[@]}" -gt 0 ]; then
  command -v apt-get >/dev/null || skip "${missing[*]} are missing, and there is no apt-get to install them with"
  echo "test-node: installs ${missing[*]}; Debian starts the service of containerd, which is not used"
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

# the lock of what is shared
exec 9</sys/fs/cgroup
flock -n 9 || { echo "test-node: FAILED: another ring runs on this machine" >&2; exit 1; }
folder=$target/ring
# where programs of a node write whatever folder they are given, and what a kubelet sets for the whole machine
states=(/run/containerd /run/netns /var/lib/cni /var/lib/kubelet /var/log/containers)
settings=(vm/overcommit_memory vm/panic_on_oom kernel/panic kernel/panic_on_oops kernel/keys/root_maxkeys kernel/keys/root_maxbytes)
made=()

# Kubelets ask for these of cgroup v2, where the root has to hand them on; of v1 they have all.
handed_on=()
subtree=/sys/fs/cgroup/cgroup.subtree_control
hand_on() {
  local controller
  [ -e "$subtree" ] || return 0
  for controller in cpu cpuset memory hugetlb pids; do
    grep -qw "$controller" /sys/fs/cgroup/cgroup.controllers || return 1
    grep -qw "$controller" "$subtree" && continue
    echo "+$controller" >"$subtree" || return 1
    handed_on+=("$controller")
  done
} 2>/dev/null

# What a ring could leave.
traces() {
  local setting
  [ ! -e "$subtree" ] || echo "controllers: $(<"$subtree")"
  ls -d /usr/libexec/kubernetes 2>/dev/null || true
  for setting in "${settings[@]}"; do echo "setting $setting = $(<"/proc/sys/$setting")"; done
  ls -d "${states[@]}" 2>/dev/null || true
  find /sys/fs/cgroup -type d -name 'goldenpath-node-*' 2>/dev/null || true
  grep -e " $folder/" -e " /run/netns/cni-" -e goldenpath0 /proc/mounts /proc/net/dev || true
}
# Takes away what is outside of the namespaces, also that of a ring that was killed: empty cgroups, and files.
clean() {
  local try controller
  for try in {1..50}; do
    find /sys/fs/cgroup -depth -type d -path '*/goldenpath-node-*' -exec rmdir {} + 2>/dev/null && break
    sleep 0.2
  done
  for controller in "${handed_on[@]}"; do echo "-$controller" >"$subtree" || true; done
  [ "${#made[@]}" = 0 ] || rmdir "${made[@]}" 2>/dev/null || true
}
clean
rm -rf "$folder"
before=$(traces)
hand_on || { clean; skip "the root cgroup does not hand on what kubelets ask for, as in a container"; }
for state in "${states[@]}"; do
  [ -d "$state" ] || { mkdir -p "$state" && made+=("$state"); }
done
mkdir -m 700 "$folder"

# its own group, for signals; and it does not outlive this
set -m
setpriv --pdeathsig KILL "${own[@]}" bash e2e/node-inside.sh "$folder" "${states[*]}" "${settings[*]}" \
  "$target/debug/node" --program "$program" --folder "$folder" "$@" </dev/null 9<&- &
ring=$!
set +m
trap 'echo "test-node: interrupted" >&2; kill -TERM -- "-$ring"' INT TERM HUP
status=0
while kill -0 "$ring" 2>/dev/null; do # a signal ends the waiting, and not yet the ring
  wait "$ring" && status=0 || status=$?
done
clean
if [ "$status" = 0 ]; then
  rm -rf "$folder"
  touch "$ran"
else
  find "$folder" ! -type d ! -name '*.log' -delete
  echo "test-node: the logs of programs and pods are kept in $folder" >&2
fi
if ! left=$(diff <(echo "$before") <(traces)); then
  printf 'test-node: FAILED: the machine is not as it was before:\n%s\n' "$left" >&2
  exit 1
fi
echo "test-node: no trace is left on the machine after $SECONDS s"
exit "$status"
