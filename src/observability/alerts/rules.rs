//! Which rules there are.

use std::time::Duration;

use super::{Alert, Clock, Recording, Severity};
use crate::observability::catalogue::{
    BUILD_INFO, DEPRECATED_OBJECTS, DEPRECATION_DUE, DEPRECATION_FORECAST, DEPRECATION_STAGE, EXEMPTIONS, FLEET_BLIND,
    LEADER, OBJECTIVES, OPEN_RISKS, RECONCILES, ROLLOUT_PHASE, ROLLOUT_WAVE_STARTED, TEAM_ADOPTION, VERDICTS,
    WORKLOAD_ADOPTION,
};
use crate::observability::promql::{gauge, gauge_by, rate};

const MINUTE: Duration = Duration::from_mins(1);
const HOUR: Duration = Duration::from_hours(1);
const DAY: Duration = Duration::from_hours(24);

/// Adoption that does not depend on how many replicas export it: `max_over_time` cannot look at an expression.
const ADOPTION_BY_PATH: &str = "cluster_path:goldenpath_workload_adoption_ratio:max";

/// Every recording rule.
#[must_use]
pub fn recordings() -> Vec<Recording> {
    vec![
        Recording {
            name: ADOPTION_BY_PATH,
            holds: "Adopted workloads over eligible ones, of each path.",
            expr: gauge(&WORKLOAD_ADOPTION, ""),
        },
        Recording {
            name: "cluster_path:goldenpath_team_adoption_ratio:max",
            holds: "Teams that are all the way there over teams with eligible workloads, of each path.",
            expr: gauge(&TEAM_ADOPTION, ""),
        },
    ]
}

/// Every alert.
#[must_use]
pub fn alerts(clock: Clock) -> Vec<Alert> {
    let mut all = of_rollouts(clock);
    all.extend(of_adoption(clock));
    all.extend(of_deprecations(clock));
    all.push(of_risks());
    all.extend(of_the_operator(clock));
    all
}

fn of_rollouts(clock: Clock) -> Vec<Alert> {
    vec![
        Alert {
            name: "GoldenpathWaveAborted",
            severity: Severity::Warning,
            when: "The rollout of a path's current revision was taken back, by its health gate or by a person.",
            expr: format!("{} == 1", gauge(&ROLLOUT_PHASE, r#"phase="Aborted""#)),
            wait: None,
            summary: "The rollout of GoldenPath {{ $labels.path }} was taken back",
            description: "Its services are on the revision before, and stay there until the path changes. \
                          `kubectl describe goldenpath {{ $labels.path }}` says which services failed.",
        },
        Alert {
            name: "GoldenpathRolloutStuck",
            severity: Severity::Warning,
            when: "A wave began more than a week ago and still waits for services to roll out.",
            expr: format!(
                "time() - {} > {} and on (cluster, path) {} == 1",
                gauge(&ROLLOUT_WAVE_STARTED, ""),
                clock.seconds(7 * DAY),
                gauge(&ROLLOUT_PHASE, r#"phase="Exercising""#)
            ),
            wait: Some(clock.wait(15 * MINUTE)),
            summary: "A wave of GoldenPath {{ $labels.path }} has been on its way for {{ $value | humanizeDuration }}",
            description: "Too few of its services have rolled out since they were moved, so nothing is known about the new \
                          revision. `kubectl describe goldenpath {{ $labels.path }}` says how many more are needed.",
        },
        Alert {
            name: "GoldenpathRolloutWaitsForAPerson",
            severity: Severity::Info,
            when: "A rollout has been paused, or has waited for an approval, for a day.",
            expr: format!("{} == 1", gauge(&ROLLOUT_PHASE, r#"phase=~"AwaitingApproval|Paused""#)),
            wait: Some(clock.wait(DAY)),
            summary: "The rollout of GoldenPath {{ $labels.path }} waits for a person ({{ $labels.phase }})",
            description: "Nothing moves on until somebody approves the next wave or ends the pause in the GoldenPath.",
        },
    ]
}

fn of_adoption(clock: Clock) -> Vec<Alert> {
    vec![
        Alert {
            name: "GoldenpathConflict",
            severity: Severity::Warning,
            when: "Workloads have had a value that their path does not permit for an hour.",
            expr: format!("{} > 0", gauge(&VERDICTS, r#"state="Conflict""#)),
            wait: Some(clock.wait(HOUR)),
            summary: "Conflicts with default {{ $labels.default }} of GoldenPath {{ $labels.path }}: {{ $value }} workloads",
            description: "Teams have set a value of their own where the path permits none. \
                          `kubectl get psvc -A` shows the services, and the condition Conflicted of each says which value.",
        },
        Alert {
            name: "GoldenpathExemptionExpiring",
            severity: Severity::Info,
            when: "An exemption ends within two weeks.",
            expr: format!("{} > 0", gauge(&EXEMPTIONS, r#"state="Expiring""#)),
            wait: None,
            summary: "GoldenPath {{ $labels.path }}: exemptions that end within two weeks: {{ $value }}",
            description: "When they end, the defaults apply again with the next rollout of the services that have them. \
                          `kubectl get goldenpath {{ $labels.path }} -o yaml` names them.",
        },
        Alert {
            name: "GoldenpathAdoptionFalling",
            severity: Severity::Warning,
            when: "Adoption of a path has been five points below the best of the last day for an hour.",
            expr: format!("{ADOPTION_BY_PATH} < max_over_time({ADOPTION_BY_PATH}[{}]) - 0.05", clock.window(DAY)),
            wait: Some(clock.wait(HOUR)),
            summary: "Adoption of GoldenPath {{ $labels.path }} has fallen to {{ $value | humanizePercentage }}",
            description: "Teams have left the path, workloads have drifted from it, or many new ones came that no service \
                          names. The dashboard Program shows which teams.",
        },
        Alert {
            name: "GoldenpathObjectiveMissed",
            severity: Severity::Warning,
            when: "Services of a path have missed their objective for an hour.",
            expr: format!("{} > 0", gauge(&OBJECTIVES, r#"met="False""#)),
            wait: Some(clock.wait(HOUR)),
            summary: "GoldenPath {{ $labels.path }}: services that miss their objective: {{ $value }}",
            description: "They were less available in the last 30 days than they promise. The condition ObjectiveMet of \
                          each says by how much: `kubectl get psvc -A -o yaml`.",
        },
    ]
}

fn of_deprecations(clock: Clock) -> Vec<Alert> {
    let due = gauge_by(&DEPRECATION_DUE, r#"stage="Removed""#, &["deprecation"]);
    let left = format!("sum by (cluster, deprecation) ({})", gauge(&DEPRECATED_OBJECTS, r#"state="Remaining""#));
    let forecast = gauge(&DEPRECATION_FORECAST, "");
    let completed = gauge_by(&DEPRECATION_STAGE, r#"stage="Completed""#, &["deprecation"]);
    vec![
        Alert {
            name: "GoldenpathDeprecationAtRisk",
            severity: Severity::Warning,
            when: "At the speed of the last weeks something old will be left when it is to go; or its date is less than four \
                   weeks away, and nobody moves.",
            expr: format!(
                "({forecast} > {due} or ({left} > 0 unless {forecast} and {due} - time() < {})) \
                 and {left} > 0 and {due} > time()",
                clock.seconds(28 * DAY)
            ),
            wait: Some(clock.wait(HOUR)),
            summary: "Deprecation {{ $labels.deprecation }} will not be over at its date",
            description: "More is old than will move until then. `kubectl describe depr {{ $labels.deprecation }}` says \
                          which teams and objects are left, and when it would end as it goes now.",
        },
        Alert {
            name: "GoldenpathDeprecationStragglers",
            severity: Severity::Warning,
            when: "The date at which the old way was to go has passed, and for an hour somebody who is not exempt has \
                   still used it.",
            expr: format!("{left} > 0 and {due} < time()"),
            wait: Some(clock.wait(HOUR)),
            summary: "Deprecation {{ $labels.deprecation }} is past its date: objects that are old still: {{ $value }}",
            description: "They break on the day the old way is taken away. \
                          `kubectl get depr {{ $labels.deprecation }} -o jsonpath='{.status.stragglers}'` names them.",
        },
        Alert {
            name: "GoldenpathDeprecationNotRemoved",
            severity: Severity::Info,
            when: "The date at which the old way was to go has passed a week ago, nobody is counted who uses it, and the \
                   Deprecation is not completed.",
            expr: format!("{due} < time() - {} unless {left} > 0 unless {completed} == 1", clock.seconds(7 * DAY)),
            wait: Some(clock.wait(15 * MINUTE)),
            summary: "Deprecation {{ $labels.deprecation }}: nobody has removed what nobody uses",
            description: "Its date was {{ $value | humanizeTimestamp }}. Remove the old way itself, and then set \
                          `removed: true` in the Deprecation.",
        },
    ]
}

fn of_risks() -> Alert {
    let overdue = gauge(&OPEN_RISKS, r#"overdue="true""#);
    Alert {
        name: "GoldenpathRiskOverdue",
        severity: Severity::Warning,
        when: "A risk of a GoldenPath or a Deprecation is open past its date.",
        expr: format!("sum by (cluster, kind, name) ({overdue}) > 0"),
        wait: None,
        summary: "{{ $labels.kind }} {{ $labels.name }}: open risks that are past their date: {{ $value }}",
        description: "Nobody has seen to them, or nobody has said so. The condition Degraded names the worst of them and its \
                      owner, unless something worse is to tell: `kubectl describe {{ $labels.kind }} {{ $labels.name }}`.",
    }
}

fn of_the_operator(clock: Clock) -> Vec<Alert> {
    vec![
        Alert {
            name: "GoldenpathOperatorDown",
            severity: Severity::Critical,
            when: "No operator has been scraped for five minutes: of a cluster that had one within the last day, or at all.",
            expr: format!(
                "(max by (cluster) (max_over_time({BUILD_INFO}[{day}])) unless max by (cluster) ({BUILD_INFO})) \
                 or absent_over_time({BUILD_INFO}[{day}])",
                day = clock.window(DAY)
            ),
            wait: Some(clock.wait(5 * MINUTE)),
            summary: "Goldenpath does not run{{ with $labels.cluster }} in cluster {{ . }}{{ end }}",
            description: "Teams deploy as ever and the API server goes on filling defaults, but no wave moves, none is \
                          taken back when it fails, and no status is true any more. \
                          `kubectl get pods -n goldenpath-system` is where to begin.",
        },
        Alert {
            name: "GoldenpathNobodyLeads",
            severity: Severity::Critical,
            when: "There are replicas, and for five minutes none of them has led.",
            expr: format!("{} == 0", gauge(&LEADER, "")),
            wait: Some(clock.wait(5 * MINUTE)),
            summary: "No replica of Goldenpath leads{{ with $labels.cluster }} in cluster {{ . }}{{ end }}",
            description: "Only the one that leads writes, so it is as if none ran. The log says what a replica waits for, \
                          definitions or the Lease: `kubectl logs -n goldenpath-system deployment/goldenpath`.",
        },
        Alert {
            name: "GoldenpathOperatorBlind",
            severity: Severity::Warning,
            when: "The operator has not heard the API server about a resource for a minute, and that for five minutes.",
            expr: format!("{} > {}", gauge(&FLEET_BLIND, ""), clock.seconds(MINUTE)),
            wait: Some(clock.wait(5 * MINUTE)),
            summary: "Goldenpath has not heard of {{ $labels.resource }} for {{ $value | humanizeDuration }}",
            description: "What it counts is as old as that, and it is not ready meanwhile. Its log says why the watch \
                          fails: `kubectl logs -n goldenpath-system deployment/goldenpath`.",
        },
        Alert {
            name: "GoldenpathReconcileErrors",
            severity: Severity::Warning,
            when: "Passes over a kind of object have failed again and again for a quarter of an hour.",
            // an object that fails is tried every five minutes at least
            expr: format!(
                "{} > 0",
                rate(&RECONCILES, r#"outcome!="ok""#, &["kind", "outcome"], &clock.window(10 * MINUTE))
            ),
            wait: Some(clock.wait(15 * MINUTE)),
            summary: "Goldenpath fails to reconcile objects of kind {{ $labels.kind }} ({{ $labels.outcome }})",
            description: "The objects have an Event with this reason, and their status is as old as the last pass that \
                          succeeded: `kubectl get events -A --field-selector type=Warning`.",
        },
    ]
}
