#!/usr/bin/env bash
# Counts adoption from scratch with kubectl and jq. It shares no code with the operator and reads neither its metrics nor
# GoldenPath.status, so that it can check both:
#   e2e/recount.sh <path> [<namespace of the operator>]
# prints workloads and teams as JSON. KUBECONFIG says which cluster, KUBECTL which program.
set -euo pipefail
path=$1 operator=${2:-goldenpath-system} kubectl=${KUBECTL:-kubectl}
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
get() { "$kubectl" get "$@" -o json; }
get deployments,statefulsets,daemonsets,cronjobs -A > "$scratch/workloads"
get namespaces > "$scratch/namespaces"
get platformservices -A > "$scratch/services"
get goldenpath "$path" > "$scratch/path"

jq -n --arg path "$path" --arg operator "$operator" --slurpfile workloads "$scratch/workloads" \
  --slurpfile namespaces "$scratch/namespaces" --slurpfile services "$scratch/services" --slurpfile path_object "$scratch/path" '
  def percent($part; $whole): if $whole == 0 then 0 else ($part * 1000 / $whole | floor) / 10 end;
  ($namespaces[0].items | map({key: .metadata.name, value: .metadata.labels["goldenpath.dev/team"]}) | from_entries) as $team_of_namespace
  | ($path_object[0].spec.defaultFor // []) as $kinds
  # one entry for each workload that a service on this path has put there, with its state as the service tells it
  | ([ $services[0].items[] | select(.status.goldenPath.name == $path) | . as $service
       | .spec.workloads[] as $entry
       | ($service.status.workloads // [] | map(select(.name == $entry.name)) | first) as $status | select($status != null)
       | {key: "\($status.kind)/\($service.metadata.namespace)/\($status.object // $entry.ref.name)", value: {state: $status.state, team: $service.spec.team}}
     ] | from_entries) as $claimed
  | [ $workloads[0].items[]
      | select([.metadata.namespace] | inside(["kube-system", "kube-public", "kube-node-lease", $operator]) | not)
      | select((.metadata.ownerReferences // []) | any(.controller == true) | not)
      | . as $workload
      | $claimed["\(.kind)/\(.metadata.namespace)/\(.metadata.name)"] as $claim
      | select($claim != null or ([.kind] | inside($kinds)))
      | {team: ($claim.team // $workload.metadata.labels["goldenpath.dev/team"] // $team_of_namespace[$workload.metadata.namespace] // "unowned"),
         claimed: ($claim != null), adopted: ($claim.state == "Adopted")} ] as $eligible
  | ($eligible | group_by(.team) | map({adopted: all(.adopted), claimed: any(.claimed)})) as $teams
  | {workloads: {adopted: ($eligible | map(select(.adopted)) | length), claimed: ($eligible | map(select(.claimed)) | length),
                 eligible: ($eligible | length)},
     teams: {adopted: ($teams | map(select(.adopted)) | length), claimed: ($teams | map(select(.claimed)) | length),
             total: ($teams | length)}}
  | .workloads.percent = percent(.workloads.adopted; .workloads.eligible)
  | .teams.percent = percent(.teams.adopted; .teams.total)'
