//! Every metric that the operator exports: collectors make them from here, and `docs/metrics.md` lists them from here.

use std::fmt;

/// What a metric is, for whoever asks for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Metric {
    /// Its name, with the unit at its end where it has one.
    pub name: &'static str,
    /// Its type.
    pub kind: Kind,
    /// The names of its labels.
    pub labels: &'static [&'static str],
    /// What it counts, as `/metrics` says.
    pub help: &'static str,
    /// A question that it answers, in words and in PromQL.
    pub example: (&'static str, &'static str),
}

/// The type of a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Grows, and begins at zero with the process.
    Counter,
    /// Is as it is at scrape time.
    Gauge,
    /// Counts by size.
    Histogram,
}

impl Kind {
    /// As Prometheus writes it.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

impl Metric {
    /// The unit, as the name ends.
    #[must_use]
    pub fn unit(&self) -> &'static str {
        match self.name.trim_end_matches("_total").rsplit('_').next() {
            Some("seconds") if self.name.ends_with("timestamp_seconds") => "seconds since 1970",
            Some("seconds") => "seconds",
            Some("ratio") => "0 to 1",
            Some("score") => "1 to 5",
            Some("bytes") => "bytes",
            _ => "",
        }
    }
}

/// Its name, so that a query with a constant of this catalogue cannot name a metric that is not there.
impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

macro_rules! catalogue {
    ($($constant:ident $kind:ident $name:literal [$($label:literal),*] $help:literal $question:literal $query:literal)*) => {
        $(
            #[doc = $help]
            pub const $constant: Metric = Metric {
                name: concat!("goldenpath_", $name),
                kind: Kind::$kind,
                labels: &[$($label),*],
                help: $help,
                example: ($question, $query),
            };
        )*
        /// All of them.
        pub const ALL: &[Metric] = &[$($constant),*];
    };
}

catalogue! {
    WORKLOAD_ADOPTION Gauge "workload_adoption_ratio" ["path"]
        "Adopted workloads over eligible ones."
        "How far is the migration?" "max by (path) (goldenpath_workload_adoption_ratio)"
    TEAM_ADOPTION Gauge "team_adoption_ratio" ["path"]
        "Teams with all of their eligible workloads adopted over all teams with eligible ones."
        "How many teams are all the way there?" "max by (path) (goldenpath_team_adoption_ratio)"
    ELIGIBLE_WORKLOADS Gauge "eligible_workloads" ["path", "team"]
        "Workloads that could be on the path, whether a service names them or not."
        "Which teams have most to move?" "topk(10, max by (path, team) (goldenpath_eligible_workloads))"
    TEAMS Gauge "teams" ["path", "state"]
        "Teams with all (Adopted), some (Claimed) or any (Eligible) of their workloads on the path."
        "How many teams have begun?" "max by (path) (goldenpath_teams{state=\"Claimed\"})"
    SERVICES Gauge "services" ["path", "team", "state", "mode"]
        "PlatformServices, by how far they are."
        "Which services have drifted?" "max by (path, team) (goldenpath_services{state=\"Drifted\"}) > 0"
    WORKLOADS Gauge "workloads" ["path", "team", "state", "mode"]
        "Workloads that a service names, by how far they are."
        "Who is not there yet?" "sum by (team) (max without (instance, pod) (goldenpath_workloads{state!~\"Adopted|Exempt\"}))"
    VERDICTS Gauge "verdicts" ["path", "default", "state"]
        "Verdicts on the workloads of a path, by default."
        "Which defaults do teams override?" "max by (path, default) (goldenpath_verdicts{state=\"Overridden\"})"
    SCORE Gauge "score_ratio" ["path", "team"]
        "Weight of the defaults that are in place over the weight of those that apply."
        "Whose services are farthest from the road?" "bottomk(10, max by (path, team) (goldenpath_score_ratio))"
    UNCLAIMED_WORKLOADS Gauge "unclaimed_workloads" ["team", "kind"]
        "Workloads that no service names."
        "What has nobody thought of?" "sum by (team) (max without (instance, pod) (goldenpath_unclaimed_workloads))"
    UNCLAIMED_REPLICAS Gauge "unclaimed_replicas" ["team", "kind"]
        "Pods that workloads ask for which no service names."
        "How much runs off the road?" "sum(max without (instance, pod) (goldenpath_unclaimed_replicas))"
    MANAGED_WORKLOADS Gauge "managed_workloads" ["team", "kind"]
        "Workloads that another controller owns; they are never touched."
        "What belongs to other operators?" "sum by (kind) (max without (instance, pod) (goldenpath_managed_workloads))"
    EXEMPTIONS Gauge "exemptions" ["path", "state"]
        "Exemptions that the path grants, by how they are used."
        "Are exemptions about to end?" "max by (path) (goldenpath_exemptions{state=\"Expiring\"}) > 0"
    ROLLOUT_PHASE Gauge "rollout_phase" ["path", "phase"]
        "1 for the phase in which the rollout of the path's current revision is."
        "Was a revision taken back?" "max by (path) (goldenpath_rollout_phase{phase=\"Aborted\"}) == 1"
    ROLLOUT_SERVICES Gauge "rollout_services" ["path", "state"]
        "Services in the rollout of the path's current revision: Moved, Exercised, Failed, Pending. It stands still when all is over."
        "How far is the rollout?" "max by (path) (goldenpath_rollout_services{state=\"Pending\"})"
    ROLLOUT_WAVE_STARTED Gauge "rollout_wave_started_timestamp_seconds" ["path"]
        "When the last wave began, while a rollout is on its way."
        "Does a wave take longer than a week?" "time() - max by (path) (goldenpath_rollout_wave_started_timestamp_seconds) > 604800"
    AVAILABILITY Gauge "availability_ratio" ["path"]
        "Part of the last 30 days in which the services of the path were available, all of them together."
        "Is the road itself reliable?" "min by (path) (goldenpath_availability_ratio)"
    AVAILABILITY_OBJECTIVE Gauge "availability_objective_ratio" ["path"]
        "The availability that a path promises."
        "Does a path keep its promise?" "max by (path) (goldenpath_availability_ratio) - on (path) max by (path) (goldenpath_availability_objective_ratio)"
    OBJECTIVES Gauge "service_objectives" ["path", "met"]
        "Services of the path that have an objective, by whether they meet it: True, False, Unknown."
        "Do services miss their objective?" "max by (path) (goldenpath_service_objectives{met=\"False\"}) > 0"
    SERVING_WORKLOADS Gauge "serving_workloads" ["adopted", "available"]
        "Workloads that ask for pods, on the road (adopted) and off it, by whether at least one of their pods is available."
        "Is what is on the road more available?" "avg_over_time((sum by (adopted) (max without (instance, pod) (goldenpath_serving_workloads{available=\"true\"})) / sum by (adopted) (max without (instance, pod) (goldenpath_serving_workloads)))[30d:1h])"
    DEPLOYS Counter "deploys_total" ["adopted", "outcome"]
        "Deploys that ended, of workloads with the operator's label (adopted) and without it: Complete, Failed, or Replaced by the next one before they ended. Every replica counts all of them."
        "How many deploys fail?" "max by (adopted) (increase(goldenpath_deploys_total{outcome=\"Failed\"}[30d])) / on (adopted) sum by (adopted) (max by (adopted, outcome) (increase(goldenpath_deploys_total[30d])))"
    DEPLOY_DURATION Histogram "deploy_duration_seconds" ["adopted"]
        "From the new template to the last pod that runs it, of complete deploys whose beginning was seen. Every replica counts all of them."
        "How long does a deploy take?" "histogram_quantile(0.5, max by (adopted, le) (increase(goldenpath_deploy_duration_seconds_bucket[30d])))"
    LEAD_TIME Histogram "lead_time_seconds" ["adopted"]
        "From the commit (annotation goldenpath.dev/commit-timestamp) to the end of the rollout, of the last deploy of each workload that has the annotation: of those on the road (adopted) and of those off it. It counts what is there now, so it can fall."
        "Are teams faster on the road?" "histogram_quantile(0.5, max by (adopted, le) (goldenpath_lead_time_seconds_bucket))"
    FIRST_DEPLOY Histogram "time_to_first_deploy_seconds" ["path", "origin"]
        "From the creation of a service to its first running pods, of all services that are there, by what brought them. It can fall."
        "How soon does a new service run?" "histogram_quantile(0.5, max by (path, le) (goldenpath_time_to_first_deploy_seconds_bucket{origin=\"Greenfield\"}))"
    SERVICE_ORIGINS Gauge "service_origins" ["path", "origin"]
        "PlatformServices by what brought them: Voluntary, Greenfield, or Mandated when a deadline was known before they were created."
        "How many come by themselves?" "sum(max by (path, origin) (goldenpath_service_origins{origin!=\"Mandated\"})) / sum(max by (path, origin) (goldenpath_service_origins))"
    SATISFACTION Gauge "satisfaction_score" ["path"]
        "Mean of the scores, from 1 to 5, that services give their path in feedback."
        "Do teams like the path?" "max by (path) (goldenpath_satisfaction_score)"
    FEEDBACK Gauge "feedback_services" ["path", "score"]
        "Services that give their path a score, by the score."
        "How many are unhappy?" "sum by (path) (max by (path, score) (goldenpath_feedback_services{score=~\"1|2\"}))"
    DEPRECATED_OBJECTS Gauge "deprecated_objects" ["deprecation", "team", "state"]
        "Objects that a Deprecation matches, by whether they have to be moved (Remaining) or are Exempt, and those on which its expression fails (Unevaluable)."
        "Who has most to move?" "topk(10, max by (deprecation, team) (goldenpath_deprecated_objects{state=\"Remaining\"}))"
    DEPRECATION_STAGE Gauge "deprecation_stage" ["deprecation", "stage"]
        "1 for the stage that is in force."
        "What is refused by now?" "max by (deprecation) (goldenpath_deprecation_stage{stage=~\"CreateBlocked|UpdateBlocked|Removed\"}) == 1"
    DEPRECATION_STAGE_ENTERED Gauge "deprecation_stage_entered_timestamp_seconds" ["deprecation", "stage"]
        "When each stage was entered."
        "Since when has it been announced?" "time() - max by (deprecation) (goldenpath_deprecation_stage_entered_timestamp_seconds{stage=\"Announced\"})"
    DEPRECATION_DUE Gauge "deprecation_due_timestamp_seconds" ["deprecation", "stage"]
        "When each stage is due by the timeline, passed or not."
        "How many days are left?" "(max by (deprecation) (goldenpath_deprecation_due_timestamp_seconds{stage=\"Removed\"}) - time()) / 86400"
    DEPRECATION_FORECAST Gauge "deprecation_forecast_timestamp_seconds" ["deprecation"]
        "When nobody will be left, if it goes on as in the last eight weeks."
        "Which dates will be missed?" "max by (deprecation) (goldenpath_deprecation_forecast_timestamp_seconds) > on (deprecation) max by (deprecation) (goldenpath_deprecation_due_timestamp_seconds{stage=\"Removed\"})"
    DEPRECATION_EXEMPTIONS Gauge "deprecation_exemptions" ["deprecation", "state"]
        "Exemptions that a Deprecation grants, by how they are used, and those that services have asked for and not got (Requested)."
        "Which exemptions can be taken out?" "max by (deprecation) (goldenpath_deprecation_exemptions{state=\"Expired\"}) > 0"
    DEPRECATION_MAX_EXEMPT Gauge "deprecation_max_exempt_ratio" ["deprecation"]
        "How much of what is old may be exempt, where the Deprecation says so."
        "Is more exempt than was agreed?" "max by (deprecation) (goldenpath_deprecated_objects{state=\"Exempt\"}) > on (deprecation) max by (deprecation) (goldenpath_deprecation_max_exempt_ratio) * on (deprecation) sum by (deprecation) (max without (instance, pod) (goldenpath_deprecated_objects{state!=\"Unevaluable\"}))"
    WSJF Gauge "wsjf" ["kind", "name"]
        "Weighted shortest job first of a GoldenPath or a Deprecation with a priority: what it is worth over how much work it is. The hundred highest have series."
        "What comes first?" "sort_desc(max by (kind, name) (goldenpath_wsjf))"
    OPEN_RISKS Gauge "open_risks" ["kind", "name", "severity", "overdue"]
        "Open risks of GoldenPaths and Deprecations, by severity and by whether they are past their date. The hundred objects with most have series of their own."
        "Which risks has nobody seen to?" "max by (kind, name, severity) (goldenpath_open_risks{overdue=\"true\"}) > 0"
    NOTIFICATIONS Counter "notifications_total" ["receiver", "outcome"]
        "Digests about deprecations, by receiver and whether they were delivered or failed for good."
        "Does a receiver not take its digests?" "sum by (receiver) (increase(goldenpath_notifications_total{outcome=\"failed\"}[1d])) > 0"
    FORBIDDEN Counter "forbidden_requests_total" ["verb", "resource"]
        "Requests that the API server refused because the operator's account lacks the right, by what it lacks."
        "Which rights are missing?" "sum by (verb, resource) (increase(goldenpath_forbidden_requests_total[15m])) > 0"
    LEADER Gauge "leader" []
        "1 on the replica that leads; the others keep watching, and export no metric of the cluster."
        "Does exactly one lead?" "sum(goldenpath_leader) == 1"
    LED_ELSEWHERE Gauge "led_elsewhere" []
        "1 on a replica that does not lead because another installation on the cluster does, in another namespace."
        "Are there two installations on one cluster?" "max(goldenpath_led_elsewhere) > 0"
    CLOCK_AHEAD Gauge "clock_ahead_seconds" []
        "How far the API server's clock is ahead of this replica's; dates count by the API server's. About 0 while the two agree."
        "Is a node's clock wrong?" "abs(goldenpath_clock_ahead_seconds) > 5"
    FLEET_WORKLOADS Gauge "fleet_workloads" ["kind"]
        "Workloads that are watched, by kind."
        "How much is watched?" "sum(max by (kind) (goldenpath_fleet_workloads))"
    FLEET_NAMESPACES Gauge "fleet_namespaces" []
        "Namespaces that are watched."
        "How many namespaces are there?" "max(goldenpath_fleet_namespaces)"
    FLEET_SYNCED Gauge "fleet_synced" ["resource"]
        "1 when all objects of the resource have been listed."
        "Has an operator seen everything?" "min by (resource) (goldenpath_fleet_synced) == 0"
    FLEET_BLIND Gauge "fleet_blind_seconds" ["resource"]
        "Seconds since the API server was heard, while a watch has no connection; else 0."
        "Is an operator blind?" "max by (resource) (goldenpath_fleet_blind_seconds) > 60"
    FLEET_RELISTS Counter "fleet_relists_total" ["resource"]
        "Full lists that were begun, by resource."
        "Does a watch start anew again and again?" "sum by (resource) (rate(goldenpath_fleet_relists_total[15m]))"
    FLEET_WATCH_ERRORS Counter "fleet_watch_errors_total" ["resource", "reason"]
        "Watches that failed, by resource and reason."
        "Why do watches fail?" "sum by (resource, reason) (increase(goldenpath_fleet_watch_errors_total[1h])) > 0"
    FLEET_SKIPPED Counter "fleet_skipped_objects_total" ["resource", "reason"]
        "Objects that could not be read, by resource and reason."
        "Is something not counted?" "sum by (resource, reason) (increase(goldenpath_fleet_skipped_objects_total[1d])) > 0"
    RECONCILES Counter "reconcile_total" ["kind", "outcome"]
        "Finished reconcile passes by kind and outcome."
        "Do passes fail?" "sum by (kind, outcome) (rate(goldenpath_reconcile_total{outcome!=\"ok\"}[5m])) > 0"
    RECONCILE_DURATION Histogram "reconcile_duration_seconds" ["kind"]
        "Duration of reconcile passes by kind."
        "How long do passes take?" "histogram_quantile(0.99, sum by (kind, le) (rate(goldenpath_reconcile_duration_seconds_bucket[5m])))"
    API_REQUESTS Counter "api_requests_total" ["verb", "outcome"]
        "Requests to the API server by verb and outcome."
        "What does the operator ask for?" "sum by (verb) (rate(goldenpath_api_requests_total[5m]))"
    MEMORY Gauge "resident_memory_bytes" []
        "Memory of the operator's process that lies in RAM."
        "Does its memory grow?" "max by (instance) (goldenpath_resident_memory_bytes)"
    BUILD_INFO Gauge "build_info" ["version", "commit"]
        "The running build, always 1."
        "Which builds run?" "count by (version, commit) (goldenpath_build_info)"
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn names_are_unique_and_follow_the_conventions_of_prometheus() {
        let names: HashSet<&str> = ALL.iter().map(|metric| metric.name).collect();
        assert_eq!(names.len(), ALL.len());
        for metric in ALL {
            assert_eq!(metric.name.ends_with("_total"), metric.kind == Kind::Counter, "{}", metric.name);
            let of_time = metric.name.ends_with("_seconds") && !metric.name.contains("timestamp");
            assert!(metric.kind != Kind::Histogram || of_time, "{}", metric.name);
            assert!(metric.help.ends_with('.') && metric.example.0.ends_with('?'), "{}", metric.name);
            assert!(metric.example.1.contains(metric.name), "{}", metric.name);
        }
    }
}
