#!/usr/bin/env bash
# What test-node.sh runs within the namespaces: node-inside.sh FOLDER "STATE FOLDERS" "SETTINGS" COMMAND...
# It is their first process: with it everything ends, and it takes in processes whose parents have ended.
set -euo pipefail
folder=$1 states=$2 settings=$3
shift 3
trap 'exit 143' TERM
ip link set lo up
for state in $states; do
  mount -t tmpfs none "$state"
done
for setting in $settings; do
  copy=$folder/${setting//\//.}
  cat "/proc/sys/$setting" >"$copy"
  mount --bind "$copy" "/proc/sys/$setting"
done
"$@"
