#!/usr/bin/env bash
# Everything that can be checked without a control plane. Each check is one line, `ok <name>` or `FAIL <name>` followed
# by its findings; a failure does not hide the next one. With names as arguments only these checks run:
#   bash e2e/verify.sh imports sizes
set -u # no -e and no pipefail: what a check prints is its verdict, also the complaint of a broken tool
cd "$(dirname "$0")/.." || exit 2
git rev-parse --is-inside-work-tree >/dev/null || { echo "verify: must run in a git checkout" >&2; exit 2; }
export LC_ALL=C # one order for sort and comm
scratch=$(mktemp -d) || exit 2
trap 'rm -rf "$scratch"' EXIT

checks=(imports sizes leftovers readme format clippy compiled generated)
wanted=("${@:-${checks[@]}}")
max_lines=400 # of code in a file

# The law of imports: api <- cel <- plan <- policy/status/program/chart <- controller/cli. A folder may name itself and what
# stands behind the colon, nothing else of this crate; none of them may wait, ask a cluster, the clock or the system.
law='
api:
cel: api
plan: api cel
policy: api cel plan
status: api cel plan
program: api cel plan
chart: api cel plan rbac observability
observability/alerts: observability
observability/dashboards: observability
'

# Files of the next commit: tracked or not yet added, but not ignored and not deleted.
files() { git ls-files -co --exclude-standard -- "$@" | while IFS= read -r file; do [ -f "$file" ] && echo "$file"; done; }

# Runs a command whose exit status is the verdict; only a failure is worth its output.
verdict() { "$@" >"$scratch/output" 2>&1 || { cat "$scratch/output"; echo "failed: $*"; }; }

# Every `use` tree is unfolded into its paths and `super::` is resolved, else `use crate::{api, controller}` would pass.
# Comments, the contents of strings and #[cfg(test)] items are dropped. It relies on rustfmt: an item ends on a line
# that starts with its own indentation and a closing bracket.
unfold='
function report(text,   n, base, parts) {
  while (match(text, /(self::)?(super::)+/)) {
    n = split(substr(text, RSTART, RLENGTH), parts, "super::") - 1
    base = here
    while (n-- > 0) sub(/::[^:]*$/, "", base)
    text = substr(text, 1, RSTART - 1) base "::" substr(text, RSTART + RLENGTH)
  }
  printf "%s:%d\t %s \n", FILENAME, FNR, text
}
function unfold(tree,   i, c, depth, path, prefix) {
  sub(/^.*use /, "", tree); sub(/;.*$/, "", tree)
  prefix[0] = ""
  for (i = 1; i <= length(tree); i++) {
    c = substr(tree, i, 1)
    if (c == "{") { depth++; prefix[depth] = prefix[depth - 1] path; path = "" }
    else if (c == "," || c == "}") { if (path != "") report(prefix[depth + 0] path); path = ""; if (c == "}") depth-- }
    else if (c != " " || path != "") path = path c
  }
  if (path != "") report(path)
}
FNR == 1 {
  here = FILENAME; sub(/^src/, "crate", here); sub(/(\/mod)?\.rs$/, "", here); gsub(/\//, "::", here)
  block = test = skipping = 0; tree = ""
}
{
  line = $0
  gsub(/\047\\?"\047/, "", line); gsub(/"([^"\\]|\\.)*"/, "\"\"", line)
  if (block) { if (!sub(/^.*\*\//, "", line)) next; block = 0 }
  sub(/(^|[ \t])\/\/.*$/, "", line); gsub(/\/\*.*\*\//, "", line)
  if (sub(/\/\*.*$/, "", line)) block = 1
  sub(/[ \t]+$/, "", line)
  if (line == "") next
  match(line, /^ */); indent = substr(line, 1, RLENGTH); rest = substr(line, RLENGTH + 1)
  if (skipping) { if (indent == margin && rest ~ /^(}|[])]+;$)/) skipping = 0; next }
  if (rest ~ /^#\[cfg\((all\()?test[,)]/) { test = 1; next }
  if (test) {
    if (rest ~ /^#\[/) next
    test = 0
    if (rest !~ /[;,}]$/) { skipping = 1; margin = indent }
    next
  }
  if (tree != "" || rest ~ /^(pub(\([a-z: ]+\))? )?use /) {
    tree = tree rest " "
    if (tree ~ /;/) { unfold(tree); tree = "" }
    next
  }
  report(line)
}'

# Reads what `unfold` wrote. `folder` and `allowed` say whose law it is.
judge='
BEGIN {
  words = "kube::Client kube::client kube::Api kube::api::Api kube::runtime tokio async \\.await SystemTime Timestamp::now"
  words = words " Zoned::now Instant::now std::env std::fs std::net std::process"
  count = split(words, word, " ")
  split(allowed, names, " "); for (i in names) ok[names[i]] = 1
  ok[folder] = 1
}
{
  where = $1; text = $2
  for (i = 1; i <= count; i++) {
    if (text !~ ("[^A-Za-z0-9_]" word[i] "[^A-Za-z0-9_]")) continue
    shown = word[i]; sub(/\\/, "", shown)
    print where ": " folder " is pure, it must not use `" shown "`"
  }
  while (match(text, /[^A-Za-z0-9_]crate::[A-Za-z0-9_]+/)) {
    name = substr(text, RSTART + 8, RLENGTH - 8); text = substr(text, RSTART + RLENGTH)
    if (!(name in ok)) print where ": " folder " must not import crate::" name
  }
}'

# Files that only tests compile, `#[cfg(test)] mod name;`, given the module files as arguments.
test_only='
FNR == 1 { test = 0; base = FILENAME; if (!sub(/\/mod\.rs$/, "", base)) sub(/\.rs$/, "", base) }
/^#\[cfg\((all\()?test[,)]/ { test = 1; next }
test && /^#\[/ { next }
test && match($0, /mod [a-z0-9_]+;/) { name = substr($0, RSTART + 4, RLENGTH - 5); print base "/" name ".rs"; print base "/" name "/" }
{ test = 0 }'

check_imports() {
  local folder allowed pure
  while IFS=: read -r folder allowed; do
    [ -n "$folder" ] || continue
    files "src/$folder/*.rs" "src/$folder.rs" >"$scratch/all"
    [ -s "$scratch/all" ] || continue
    tr '\n' '\0' <"$scratch/all" | xargs -0 awk "$test_only" >"$scratch/test_only"
    mapfile -t pure < <(awk 'FILENAME == ARGV[1] { drop[++n] = $0; next }
      { for (i = 1; i <= n; i++) if (index($0, drop[i]) == 1) next; print }' "$scratch/test_only" "$scratch/all")
    [ ${#pure[@]} -gt 0 ] && awk "$unfold" "${pure[@]}" | awk -F '\t' -v folder="$folder" -v allowed="$allowed" "$judge"
  done <<<"$law"
}

check_sizes() {
  files '*.rs' | tr '\n' '\0' | xargs -0 awk -v max="$max_lines" '
    FNR == 1 { block = 0; names[++n] = FILENAME }
    block { if (/\*\//) block = 0; next }
    /^[ \t]*$/ || /^[ \t]*\/\// { next }
    /^[ \t]*\/\*/ { if (!/\*\//) block = 1; next }
    { lines[FILENAME]++ }
    END { for (i = 1; i <= n; i++) if (lines[names[i]] > max)
      print names[i] ": " lines[names[i]] " lines of code, at most " max ": split it by idea" }'
}

check_leftovers() {
  git grep --untracked -nIE '(^|[^A-Za-z0-9_.-])/(work|root|home)/' -- . | sed 's/^/a path of one machine: /'
  git grep --untracked -nE '(todo|unimplemented)!\(|#\[ignore|#\[cfg_attr\(.*[ (]ignore' -- '*.rs' |
    sed 's/^/unfinished or never run: /'
}

# Commands stand in code fences or between backticks; "make" in prose is an English word.
check_readme() {
  files '*.md' | tr '\n' '\0' | xargs -0 awk '
    function commands(text,   parts, words, n, m, i, j) {
      n = split(text, parts, /&&|\|\||[;|]/)
      for (i = 1; i <= n; i++) {
        sub(/^[ \t]*(\$ )?/, "", parts[i])
        while (sub(/^[A-Z_]+=[^ ]* +/, "", parts[i])) {}
        if (parts[i] !~ /^make( |$)/ || parts[i] ~ / -[Cf]/) continue
        m = split(parts[i], words, " ")
        for (j = 2; j <= m && words[j] !~ /^[#>]/; j++)
          if (words[j] ~ /^[a-z][a-z0-9_-]*$/ && !(words[j] in target))
            print FILENAME ":" FNR ": the Makefile has no target `" words[j] "`"
      }
    }
    BEGIN { while ((getline line < "Makefile") > 0) if (match(line, /^[a-z][a-z0-9-]*:/)) target[substr(line, 1, RLENGTH - 1)] }
    FNR == 1 { fence = 0 }
    /^[ \t]*(```|~~~)/ { fence = !fence; next }
    fence { commands($0); next }
    { text = $0; while (match(text, /`[^`]+`/)) { commands(substr(text, RSTART + 1, RLENGTH - 2)); text = substr(text, RSTART + RLENGTH) } }
  '
}

check_format() { verdict cargo fmt --all -- --check -l; }

check_clippy() { verdict cargo clippy --quiet --workspace --all-targets -- -D warnings; }

# A file that no `mod` names is never compiled and its tests never run. Only dep-info of the artifacts of this very build
# counts: target/ also holds that of older builds, from when the file may still have been named.
check_compiled() {
  cargo clippy --quiet --message-format=json --workspace --all-targets -- -D warnings >"$scratch/output" 2>/dev/null ||
    { echo "cannot tell, clippy fails"; return; }
  grep -o '"filenames":\[[^]]*\]' "$scratch/output" | grep -o '"/[^"]*\.rmeta"' | tr -d '"' | sort -u |
    sed 's|/lib\([^/]*\)\.rmeta$|/\1.d|' | while IFS= read -r info; do [ -f "$info" ] && cat "$info"; done |
    sed -n 's|\\ | |g; s|^\(.*\.rs\):$|\1|p' | sed "s|^$PWD/||" | sort -u >"$scratch/compiled"
  files '*.rs' | grep -vE '(^|/)build\.rs$' | sort | comm -23 - "$scratch/compiled" |
    sed 's/$/: no target compiles it, name it in a `mod` or delete it/'
}

# Compares contents before and after instead of asking git for a clean tree, so it works while one has changes, too.
# Sources are left out: nothing generates them, and an editor may save one meanwhile.
check_generated() {
  snapshot() { files . ':!*.rs' >"$scratch/list"; git hash-object --stdin-paths <"$scratch/list" | paste - "$scratch/list" | sort; }
  snapshot >"$scratch/before"
  verdict make --no-print-directory generate
  [ -n "$(files 'crds/*')" ] || echo "crds/ is empty, so make generate wrote nothing"
  snapshot >"$scratch/after"
  comm -3 "$scratch/before" "$scratch/after" | awk '{ print $NF }' | sort -u |
    sed 's/$/: was out of date and is regenerated now, commit it/'
}

failed=0
for name in "${wanted[@]}"; do
  if ! declare -F "check_$name" >/dev/null; then
    echo "verify: no check is called $name, there are: ${checks[*]}" >&2
    exit 2
  fi
  "check_$name" >"$scratch/findings" 2>&1
  if [ ! -s "$scratch/findings" ]; then
    echo "ok $name"
  else
    echo "FAIL $name"
    sed 's/^/  /' "$scratch/findings"
    failed=$((failed + 1))
  fi
done
[ "$failed" -eq 0 ] || { echo "verify: $failed of ${#wanted[@]} checks failed"; exit 1; }
echo "verify: ${#wanted[@]} checks passed"
