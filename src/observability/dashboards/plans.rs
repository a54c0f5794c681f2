//! What comes first of all that is planned, paths and Deprecations alike, and what could go wrong with it.

use super::panel::{Color, Kind, Panel, Query, Table};
use super::queries::{Scope, or_zero};
use crate::observability::catalogue::{OPEN_RISKS, WSJF};

/// A ranking of what one has chosen would be no ranking.
const SCOPE: Scope = Scope { labels: &[] };

/// For those who answer for the program.
pub fn for_the_program() -> Vec<Panel> {
    let risks = SCOPE.gauge(&OPEN_RISKS, "");
    let overdue = SCOPE.gauge(&OPEN_RISKS, r#"overdue="true""#);
    let ranked = format!("round({}, 0.1)", named("max", &SCOPE.gauge(&WSJF, "")));
    // what is ranked and has no risk has none, which is not unknown
    let of_work = |risks: &str| format!("({} or 0 * {ranked})", named("sum", risks));
    let table = Table::Columns { key: "work", name: "Work", sort: "WSJF", link: "" };
    vec![
        Panel::new(
            14,
            Kind::Table(table),
            "Ranking",
            "GoldenPaths and Deprecations by weighted shortest job first: what each is worth (business value, time \
             criticality, risk reduction) over how much work it is, as `spec.priority` says. The highest comes first.",
            vec![
                Query::now("WSJF", ranked.clone()),
                Query::now("Open risks", of_work(&risks)),
                Query::now("Overdue", of_work(&overdue)),
            ],
        )
        .unit("short") // as many digits as there are: a risk has no half
        .empty("nothing has a priority"),
        Panel::new(
            5,
            Kind::Bars,
            "Open risks by severity",
            "What could go wrong with paths and Deprecations, as `spec.risks` says.",
            vec![Query::now("{{severity}}", format!("sum by (severity) ({risks})"))],
        )
        .colors(&[("High", Color::Vermillion), ("Medium", Color::Orange), ("Low", Color::Grey)])
        .empty("none"),
        Panel::new(
            5,
            Kind::Stat,
            "Risks past their date",
            "Open risks that nobody has seen to in time. `kubectl describe` of the object names them, and who owns them.",
            vec![Query::over_time("past their date", or_zero(&format!("sum({overdue})")))],
        )
        .steps(super::panel::NOTHING_IS_GOOD),
    ]
}

/// By kind and name as one word, since a path and a Deprecation may share a name.
fn named(operator: &str, expr: &str) -> String {
    format!(r#"{operator} by (work) (label_join({expr}, "work", " ", "kind", "name"))"#)
}
