//! For platform engineers: what a path does to its services, and how its last change fares.

use super::delivery;
use super::panel::{Color, Dashboard, Kind, MUCH_IS_GOOD, NOTHING_IS_GOOD, Panel, Query, Row, STATES, Table, Variable};
use super::queries::{Scope, sum_by, total};
use crate::observability::catalogue::{
    AVAILABILITY, AVAILABILITY_OBJECTIVE, EXEMPTIONS, OBJECTIVES, ROLLOUT_PHASE, ROLLOUT_SERVICES,
    ROLLOUT_WAVE_STARTED, VERDICTS, WORKLOAD_ADOPTION,
};

const SCOPE: Scope = Scope { labels: &["path"] };
const ROLLOUT: &[(&str, Color)] =
    &[("Moved", Color::Orange), ("Exercised", Color::Blue), ("Failed", Color::Vermillion), ("Pending", Color::Grey)];

/// What somebody should look at is seen without scrolling.
const VERDICTS_FROM_BAD_TO_GOOD: &[&str] =
    &["Conflict", "RolledBack", "Missing", "PendingRollout", "Overridden", "Exempt", "SatisfiedByTeam", "Applied"];

pub(super) fn dashboard() -> Dashboard {
    Dashboard {
        uid: "goldenpath-path",
        title: "Goldenpath / Path",
        description: "What one path does to its services, and how its last change fares, for platform engineers.",
        from: "now-30d",
        variables: vec![Variable { name: "path", label: "Path", metric: WORKLOAD_ADOPTION.name, many: false }],
        rows: vec![
            Row { title: "Now", height: 5, panels: now() },
            Row { title: "Rollout of the current revision", height: 8, panels: rollout() },
            Row { title: "Defaults", height: 10, panels: defaults() },
            Row { title: "Workloads", height: 8, panels: workloads() },
            Row { title: "How teams fare with it", height: 6, panels: delivery::with_a_path() },
        ],
    }
}

fn now() -> Vec<Panel> {
    let phase = format!("max by (phase) ({})", SCOPE.gauge(&ROLLOUT_PHASE, ""));
    let age = format!("time() - min({})", SCOPE.gauge(&ROLLOUT_WAVE_STARTED, ""));
    let share = format!("max({})", SCOPE.gauge(&WORKLOAD_ADOPTION, ""));
    let missed = total(&SCOPE.gauge(&OBJECTIVES, r#"met="False""#));
    vec![
        Panel::new(
            5,
            Kind::Name,
            "Rollout",
            "Where the rollout of the current revision is: Complete and Aborted are its ends.",
            vec![Query::now("{{phase}}", phase)],
        )
        .colors(&[("Aborted", Color::Vermillion), ("AwaitingApproval", Color::Orange), ("Paused", Color::Orange)])
        .empty("no rollout yet"),
        Panel::new(
            5,
            Kind::Stat,
            "Wave began",
            "How long ago the last wave began, while a rollout is on its way.",
            vec![Query::now("ago", age)],
        )
        .unit("s")
        .empty("no wave on its way"),
        Panel::new(
            5,
            Kind::Stat,
            "Workloads on the road",
            "Adopted workloads over eligible ones.",
            vec![Query::over_time("on the road", share)],
        )
        .unit("percentunit")
        .steps(MUCH_IS_GOOD),
        Panel::new(
            5,
            Kind::Stat,
            "Availability",
            "Part of the last 30 days in which the services of the path were available, all of them together, and what \
             the path promises.",
            vec![
                Query::over_time("available", format!("min({})", SCOPE.gauge(&AVAILABILITY, ""))),
                Query::over_time("promised", format!("max({})", SCOPE.gauge(&AVAILABILITY_OBJECTIVE, ""))),
            ],
        )
        .unit("percentunit")
        .decimals(2)
        .steps(&[(0.0, Color::Vermillion), (0.99, Color::Orange), (0.999, Color::Blue)])
        .empty("not watched yet"),
        Panel::new(
            4,
            Kind::Stat,
            "Objectives missed",
            "Services that promise an availability and do not have it.",
            vec![Query::over_time("missed", missed)],
        )
        .steps(NOTHING_IS_GOOD),
    ]
}

fn rollout() -> Vec<Panel> {
    let services = sum_by("state", &SCOPE.gauge(&ROLLOUT_SERVICES, ""));
    vec![
        Panel::new(
            16,
            Kind::Lines,
            "Services in the rollout",
            "Moved have the new revision's label, Exercised have rolled out with it, Failed are not healthy since, Pending \
             wait for their wave.",
            vec![Query::over_time("{{state}}", services.clone())],
        )
        .colors(ROLLOUT)
        .empty("no rollout yet"),
        Panel::new(
            8,
            Kind::Bars,
            "Services now",
            "The same, as it is.",
            vec![Query::now("{{state}}", services)],
        )
        .colors(ROLLOUT)
        .empty("no rollout yet"),
    ]
}

fn defaults() -> Vec<Panel> {
    let verdicts = SCOPE.gauge(&VERDICTS, "");
    let of = |state: &str| total(&SCOPE.gauge(&VERDICTS, &format!("state=\"{state}\"")));
    vec![
        Panel::new(
            15,
            Kind::Table(Table::Matrix { row: "default", column: "state", order: VERDICTS_FROM_BAD_TO_GOOD }),
            "Verdicts by default",
            "How many workloads stand how to each default of the path. Many Overridden or Conflict mean that the default \
             does not fit its users.",
            vec![Query::now("", sum_by("default, state", &verdicts))],
        )
        .colors(STATES),
        Panel::new(
            9,
            Kind::Lines,
            "What is not as the path wants it",
            "Verdicts that somebody should look at, of all defaults together.",
            vec![
                Query::over_time("Conflict", of("Conflict")),
                Query::over_time("RolledBack", of("RolledBack")),
                Query::over_time("Overridden", of("Overridden")),
                Query::over_time("Missing", of("Missing")),
            ],
        )
        .colors(STATES),
    ]
}

fn workloads() -> Vec<Panel> {
    vec![
        Panel::new(
            16,
            Kind::Lines,
            "Workloads by state",
            "Workloads that a service has put on this path.",
            vec![Query::over_time("{{state}}", sum_by("state", &SCOPE.named()))],
        )
        .colors(STATES),
        Panel::new(
            8,
            Kind::Bars,
            "Exemptions",
            "Exemptions that the path grants. Expiring ends within two weeks, Expired is over and can be taken out.",
            vec![Query::now("{{state}}", sum_by("state", &SCOPE.gauge(&EXEMPTIONS, "")))],
        )
        .colors(&[
            ("Granted", Color::Blue),
            ("Expiring", Color::Orange),
            ("Expired", Color::Vermillion),
            ("Requested", Color::Purple),
        ])
        .empty("none"),
    ]
}
