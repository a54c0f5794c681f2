//! For those who run the operator: whether it sees, whether it fails, how fast it is and what it costs.

use super::panel::{Color, Dashboard, Kind, NOTHING_IS_GOOD, Panel, Query, Row};
use super::queries::{Scope, or_zero, sum_by, total};
use crate::observability::catalogue::{
    API_REQUESTS, BUILD_INFO, FLEET_BLIND, FLEET_NAMESPACES, FLEET_RELISTS, FLEET_SKIPPED, FLEET_SYNCED,
    FLEET_WATCH_ERRORS, FLEET_WORKLOADS, MEMORY, Metric, RECONCILE_DURATION, RECONCILES,
};

const SCOPE: Scope = Scope { labels: &[] };
const VERBS: &[(&str, Color)] = &[
    ("get", Color::Blue),
    ("list", Color::Green),
    ("patch", Color::Orange),
    ("create", Color::Purple),
    ("delete", Color::Vermillion),
    ("dry_run", Color::Grey),
];
const KINDS: &[(&str, Color)] = &[
    ("PlatformService", Color::Blue),
    ("GoldenPath", Color::Orange),
    ("Workload", Color::Purple),
    ("Adoption", Color::Green),
];
const ALL: &[(&str, Color)] = &[("all", Color::Blue)];

pub(super) fn dashboard() -> Dashboard {
    Dashboard {
        uid: "goldenpath-operator",
        title: "Goldenpath / Operator",
        description: "Health, speed and cost of the operator itself, for those who run it.",
        from: "now-6h",
        variables: vec![],
        rows: vec![
            Row { title: "Now", height: 5, panels: now() },
            Row { title: "Passes", height: 8, panels: passes() },
            Row { title: "The API server", height: 8, panels: api_server() },
            Row { title: "The fleet", height: 8, panels: fleet() },
        ],
    }
}

fn matchers(more: &str, metric: &Metric) -> String {
    SCOPE.matchers(metric, more)
}

fn now() -> Vec<Panel> {
    let builds = format!("count by (version, commit) ({BUILD_INFO}{{{}}})", matchers("", &BUILD_INFO));
    let blind = format!("max({})", SCOPE.gauge(&FLEET_BLIND, ""));
    let unlisted = or_zero(&format!("count({} == 0)", SCOPE.gauge(&FLEET_SYNCED, "")));
    let failed = format!("increase({RECONCILES}{{{}}}[$__range])", matchers(r#"outcome!="ok""#, &RECONCILES));
    let memory = format!("max by (instance) ({MEMORY}{{{}}})", matchers("", &MEMORY));
    vec![
        Panel::new(
            5,
            Kind::Stat,
            "Replicas by build",
            "Operators that are scraped, by version and commit.",
            vec![Query::now("{{version}} {{commit}}", builds)],
        )
        .empty("none is scraped"),
        Panel::new(
            5,
            Kind::Stat,
            "Blind for",
            "The longest time since the API server was heard, of all watches without a connection. Beyond a minute the \
             operator is not ready.",
            vec![Query::over_time("blind", blind)],
        )
        .unit("s")
        .steps(&[(0.0, Color::Blue), (30.0, Color::Orange), (60.0, Color::Vermillion)]),
        Panel::new(
            4,
            Kind::Stat,
            "Not listed yet",
            "Resources that have not been listed in full: what is counted of them is too little.",
            vec![Query::over_time("resources", unlisted)],
        )
        .steps(NOTHING_IS_GOOD),
        Panel::new(
            5,
            Kind::Stat,
            "Failed passes",
            "Passes that failed within the time range. Each is tried again.",
            vec![Query::now("failed", total(&failed))],
        )
        .steps(NOTHING_IS_GOOD),
        Panel::new(
            5,
            Kind::Stat,
            "Memory",
            "Memory of the process that lies in RAM, of each replica.",
            vec![Query::over_time("{{instance}}", memory)],
        )
        .unit("bytes"),
    ]
}

fn passes() -> Vec<Panel> {
    let buckets = format!(
        "sum by (kind, le) (rate({RECONCILE_DURATION}_bucket{{{}}}[$__rate_interval]))",
        matchers("", &RECONCILE_DURATION)
    );
    let failed = SCOPE.rate(&RECONCILES, r#"outcome!="ok""#, &["kind", "outcome"]);
    vec![
        Panel::new(
            8,
            Kind::Lines,
            "Passes a second",
            "Finished passes over objects, by their kind.",
            vec![Query::over_time("{{kind}}", sum_by("kind", &SCOPE.rate(&RECONCILES, "", &["kind"])))],
        )
        .unit("ops")
        .colors(KINDS),
        Panel::new(
            8,
            Kind::Lines,
            "Duration of passes, 99th percentile",
            "One pass in a hundred takes longer. A gap means that there was no pass.",
            vec![Query::over_time("{{kind}}", format!("histogram_quantile(0.99, {buckets})"))],
        )
        .unit("s")
        .colors(KINDS),
        Panel::new(
            8,
            Kind::Lines,
            "Failed passes a second",
            "By kind and reason. The reason is also that of the object's Event.",
            vec![Query::over_time("all", total(&failed)), Query::over_time("{{kind}} {{outcome}}", failed)],
        )
        .unit("ops")
        .colors(ALL),
    ]
}

fn api_server() -> Vec<Panel> {
    let bad = SCOPE.rate(&API_REQUESTS, r#"outcome!~"ok|not_found""#, &["outcome"]);
    let errors = SCOPE.rate(&FLEET_WATCH_ERRORS, "", &["resource", "reason"]);
    vec![
        Panel::new(
            8,
            Kind::Lines,
            "Requests a second",
            "What the operator asks the API server for, by verb. A dry run is a question whether a write would be taken.",
            vec![Query::over_time("{{verb}}", sum_by("verb", &SCOPE.rate(&API_REQUESTS, "", &["verb"])))],
        )
        .unit("reqps")
        .colors(VERBS),
        Panel::new(
            8,
            Kind::Lines,
            "Requests that were not answered well",
            "By outcome. A conflict or two is usual: somebody else wrote in between.",
            vec![Query::over_time("all", total(&bad)), Query::over_time("{{outcome}}", sum_by("outcome", &bad))],
        )
        .unit("reqps")
        .colors(&[
            ("all", Color::Blue),
            ("conflict", Color::Grey),
            ("refused", Color::Orange),
            ("timeout", Color::Purple),
            ("error", Color::Vermillion),
        ]),
        Panel::new(
            8,
            Kind::Lines,
            "Watches that failed, a second",
            "By resource and reason. Each begins anew by itself, after a pause.",
            vec![Query::over_time("all", total(&errors)), Query::over_time("{{resource}} {{reason}}", errors)],
        )
        .unit("ops")
        .colors(ALL),
    ]
}

fn fleet() -> Vec<Panel> {
    let skipped = format!("increase({FLEET_SKIPPED}{{{}}}[1h])", matchers("", &FLEET_SKIPPED));
    let relists = format!("increase({FLEET_RELISTS}{{{}}}[1h])", matchers("", &FLEET_RELISTS));
    vec![
        Panel::new(
            8,
            Kind::Lines,
            "Workloads that are watched",
            "By kind. In how many namespaces: the last line.",
            vec![
                Query::over_time("{{kind}}", sum_by("kind", &SCOPE.gauge(&FLEET_WORKLOADS, ""))),
                Query::over_time("namespaces", format!("sum({})", SCOPE.gauge(&FLEET_NAMESPACES, ""))),
            ],
        )
        .colors(&[
            ("Deployment", Color::Blue),
            ("StatefulSet", Color::Orange),
            ("DaemonSet", Color::Purple),
            ("CronJob", Color::Green),
            ("namespaces", Color::Grey),
        ]),
        Panel::new(
            8,
            Kind::Bars,
            "Full lists within an hour",
            "One or two an hour and resource are usual. Many mean that a watch starts anew again and again.",
            vec![Query::now("{{resource}}", sum_by("resource", &relists))],
        )
        .steps(&[(0.0, Color::Blue), (10.0, Color::Vermillion)]),
        Panel::new(
            8,
            Kind::Stat,
            "Objects that could not be read within an hour",
            "They are not counted. The log names them.",
            vec![Query::now("skipped", total(&skipped))],
        )
        .steps(NOTHING_IS_GOOD),
    ]
}
