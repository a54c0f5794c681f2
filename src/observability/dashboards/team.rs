//! For an application team: where its services stand, and what is left to do.

use super::closing;
use super::panel::{Color, Dashboard, Kind, MUCH_IS_GOOD, NOTHING_IS_GOOD, Panel, Query, Row, STATES, Table, Variable};
use super::queries::{Scope, sum_by, total};
use crate::observability::catalogue::{
    ELIGIBLE_WORKLOADS, MANAGED_WORKLOADS, SCORE, SERVICES, UNCLAIMED_REPLICAS, UNCLAIMED_WORKLOADS,
};

const SCOPE: Scope = Scope { labels: &["team"] };

pub(super) fn dashboard() -> Dashboard {
    Dashboard {
        uid: "goldenpath-team",
        title: "Goldenpath / Team",
        description: "Where the services of one team stand. Which ones they are: `kubectl get psvc`.",
        from: "now-30d",
        variables: vec![Variable { name: "team", label: "Team", metric: ELIGIBLE_WORKLOADS.name, many: false }],
        rows: vec![
            Row { title: "Now", height: 5, panels: now() },
            Row { title: "Our services", height: 9, panels: services() },
            Row { title: "What is due", height: 7, panels: closing::for_a_team(SCOPE) },
            Row { title: "What is left", height: 8, panels: left() },
        ],
    }
}

fn now() -> Vec<Panel> {
    let (adopted, eligible) = (total(&SCOPE.adopted()), format!("sum({})", SCOPE.eligible()));
    let state = |state: &str| format!("state=\"{state}\"");
    vec![
        Panel::new(
            6,
            Kind::Stat,
            "Workloads on the road",
            "Adopted workloads of the team over all that could be.",
            vec![Query::over_time("on the road", format!("{adopted} / {eligible}"))],
        )
        .unit("percentunit")
        .steps(MUCH_IS_GOOD),
        Panel::new(
            6,
            Kind::Stat,
            "Workloads to go",
            "Workloads that could be on the road and are not.",
            vec![Query::over_time("to go", format!("{eligible} - {adopted}"))],
        ),
        Panel::new(
            6,
            Kind::Stat,
            "Score",
            "Weight of the defaults that are in place over the weight of those that apply, the mean of the team's paths.",
            vec![Query::over_time("score", format!("avg({})", SCOPE.gauge(&SCORE, "")))],
        )
        .unit("percentunit")
        .steps(MUCH_IS_GOOD)
        .empty("no service yet"),
        Panel::new(
            6,
            Kind::Stat,
            "Services that drifted",
            "Services that were adopted and are not any more.",
            vec![Query::over_time("drifted", total(&SCOPE.gauge(&SERVICES, &state("Drifted"))))],
        )
        .steps(NOTHING_IS_GOOD),
    ]
}

fn services() -> Vec<Panel> {
    let (adopted, eligible) = (sum_by("path", &SCOPE.adopted()), sum_by("path", &SCOPE.eligible()));
    let adopted = format!("({adopted} or 0 * {eligible})");
    let score = format!("max by (path) ({})", SCOPE.gauge(&SCORE, ""));
    let table = Table::Columns { key: "path", name: "Path", sort: "To go", link: "goldenpath-path" };
    vec![
        Panel::new(
            10,
            Kind::Lines,
            "Workloads by state",
            "Workloads that a service of the team names. Migrating ones wait for the team's own next deploy.",
            vec![Query::over_time("{{state}}", sum_by("state", &SCOPE.named()))],
        )
        .colors(STATES)
        .empty("no service yet"),
        Panel::new(
            14,
            Kind::Table(table),
            "By path",
            "The team's workloads by the path that they could be on.",
            vec![
                Query::now("Workloads", eligible.clone()),
                Query::now("On the road", adopted.clone()),
                Query::now("To go", format!("{eligible} - {adopted}")),
                Query::now("Share", format!("{adopted} / {eligible}")).unit("percentunit"),
                Query::now("Score", score).unit("percentunit"),
            ],
        ),
    ]
}

fn left() -> Vec<Panel> {
    let by_kind = |metric| sum_by("kind", &SCOPE.gauge(metric, ""));
    vec![
        Panel::new(
            6,
            Kind::Bars,
            "Services by state",
            "Services of the team. Which: `kubectl get psvc -A`.",
            vec![Query::now("{{state}}", sum_by("state", &SCOPE.gauge(&SERVICES, "")))],
        )
        .colors(STATES)
        .empty("no service yet"),
        Panel::new(
            6,
            Kind::Bars,
            "Workloads that no service names",
            "Name them in a PlatformService to bring them onto the road; nothing restarts by that.",
            vec![Query::now("{{kind}}", by_kind(&UNCLAIMED_WORKLOADS))],
        )
        .steps(&[(0.0, Color::Orange)])
        .empty("none: all are named"),
        Panel::new(
            6,
            Kind::Bars,
            "Their pods",
            "Pods that these workloads ask for: how much of what the team runs is off the road.",
            vec![Query::now("{{kind}}", by_kind(&UNCLAIMED_REPLICAS))],
        )
        .steps(&[(0.0, Color::Orange)])
        .empty("none: all are named"),
        Panel::new(
            6,
            Kind::Bars,
            "Owned by other operators",
            "Workloads that another controller owns. They are never touched and count nowhere else.",
            vec![Query::now("{{kind}}", by_kind(&MANAGED_WORKLOADS))],
        )
        .steps(&[(0.0, Color::Grey)])
        .empty("none"),
    ]
}
