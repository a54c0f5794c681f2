#!/usr/bin/env bash
# Counts the instructions of the inner loops with callgrind and compares them with e2e/instructions.txt. Unlike
# seconds they hardly change from run to run or from machine to machine: 10 % more is a change of the program or of the
# compiler. With GOLDENPATH_UPDATE=1 the file is written anew.
set -euo pipefail
cd "$(dirname "$0")/.."
kept=e2e/instructions.txt
tolerance=10

command -v valgrind >/dev/null || { echo "instructions: NOT COUNTED, valgrind is not installed (apt-get install valgrind)" >&2; exit 1; }
bench=$(cargo build --release -p goldenpath-e2e --bin bench --message-format=json 2>/dev/null |
  sed -n 's/.*"executable":"\([^"]*\/bench\)".*/\1/p' | tail -1)
[ -x "$bench" ] || { echo "instructions: the benchmark does not build, see \`cargo build --release -p goldenpath-e2e\`" >&2; exit 1; }

# All instructions of the program for so many objects.
instructions() {
  local log
  log=$(valgrind --tool=callgrind --callgrind-out-file=/dev/null "$bench" micro "$1" "$2" 2>&1) || { echo "$log" >&2; return 1; }
  awk '/Collected/ { print $NF }' <<<"$log"
}

# What one object takes: the difference between many and few, so that starting the program does not count.
failed=0
found=""
for loop in decode check evaluate; do
  few=$(instructions $loop 1000)
  many=$(instructions $loop 2000)
  now=$(((many - few) / 1000))
  found+="$loop $now"$'\n'
  before=$(awk -v loop=$loop '$1 == loop { print $2 }' "$kept" 2>/dev/null || true)
  echo "instructions: $loop $now an object, kept: ${before:-none}"
  if [ -n "$before" ] && [ $((now * 100)) -gt $((before * (100 + tolerance))) ]; then
    echo "instructions: FAILED, $loop takes more than $tolerance % more than kept" >&2
    failed=1
  fi
done
[ -z "${GOLDENPATH_UPDATE:-}" ] || { printf '%s' "$found" >"$kept"; exit 0; }
exit $failed
