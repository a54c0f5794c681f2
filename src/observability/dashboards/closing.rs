//! What is deprecated: how much is left, until when, and of whom.

use super::panel::{Kind, Panel, Query, Table};
use super::queries::{Scope, sum_by, total};
use crate::observability::catalogue::DEPRECATED_OBJECTS;

/// Nothing of it belongs to a path.
const SCOPE: Scope = Scope { labels: &[] };
const DAYS: &str = "Days left";

/// What is left of all that was deprecated, of the most that there was within 90 days.
pub fn share_left() -> String {
    let left = total(&SCOPE.gauge(&DEPRECATED_OBJECTS, r#"state="Remaining""#));
    format!("{left} / (max_over_time(({left})[90d:1d]) > 0)")
}

/// For those who answer for the program.
pub fn for_the_program() -> Vec<Panel> {
    let exempt = SCOPE.gauge(&DEPRECATED_OBJECTS, r#"state="Exempt""#);
    let table = Table::Columns { key: "deprecation", name: "Deprecation", sort: "Left", link: "" };
    let who = Table::Matrix { row: "team", column: "deprecation", order: &[] };
    vec![
        Panel::new(
            12,
            Kind::Table(table),
            "Deprecations",
            "What is closing: objects that have to be moved, those that are exempt, the days until the old way is to go \
             (less than nothing: it should be gone), and the days until nobody is left if it goes on as in the last eight \
             weeks. A forecast beyond the date is an alert.",
            vec![
                Query::now("Left", SCOPE.old_by_deprecation()),
                Query::now("Exempt", sum_by("deprecation", &exempt)),
                Query::now(DAYS, SCOPE.days_left()),
                Query::now("Days by forecast", SCOPE.days_by_forecast()),
            ],
        )
        .empty("nothing is deprecated"),
        Panel::new(
            7,
            Kind::Lines,
            "Burn-down",
            "Objects that have to be moved still, of each Deprecation. Exempt ones do not count.",
            vec![Query::over_time("{{deprecation}}", SCOPE.old_by_deprecation())],
        )
        .empty("nothing is deprecated"),
        Panel::new(
            5,
            Kind::Table(who),
            "Who still uses it",
            "Objects that have to be moved, of each team.",
            vec![Query::now("", format!("{} > 0", SCOPE.old("team, deprecation")))],
        )
        .empty("nobody"),
    ]
}

/// For a team.
pub fn for_a_team(scope: Scope) -> Vec<Panel> {
    let left = scope.old("deprecation");
    let of_ours = |expr: &str| format!("({expr}) and on (deprecation) {left} > 0");
    let table = Table::Columns { key: "deprecation", name: "Deprecation", sort: "Ours", link: "" };
    vec![
        Panel::new(
            14,
            Kind::Table(table),
            "Due",
            "What the team has that is deprecated: how many of its objects, the days until the old way is to go, and the \
             days until nobody at all is left as it goes now. Which objects, and what to do: `kubectl describe psvc`.",
            vec![
                Query::now("Ours", format!("{left} > 0")),
                Query::now(DAYS, of_ours(&scope.days_left())),
                Query::now("Days by forecast, all teams", of_ours(&scope.days_by_forecast())),
            ],
        )
        .empty("nothing is due"),
        Panel::new(
            10,
            Kind::Lines,
            "Deprecated objects of the team",
            "What has to be moved still.",
            vec![Query::over_time("{{deprecation}}", left)],
        )
        .empty("nothing is due"),
    ]
}
