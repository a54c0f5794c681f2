//! Whether teams fare better on the road than off it.

use super::panel::{Color, Kind, Panel, Query};
use super::queries::{Scope, on_road};
use crate::observability::catalogue::{
    DEPLOY_DURATION, DEPLOYS, FEEDBACK, FIRST_DEPLOY, LEAD_TIME, SATISFACTION, SERVING_WORKLOADS,
};

const SCOPE: Scope = Scope { labels: &["path"] };
const ROAD: &[(&str, Color)] = &[("On the road", Color::Blue), ("Off the road", Color::Orange)];
/// Deploys are few: a shorter window would say nothing.
const WINDOW: &str = "7d";

fn both(expr: impl Fn(&str) -> String) -> Vec<Query> {
    let of = |name, adopted| Query::over_time(name, expr(&on_road(adopted)));
    vec![of("On the road", true), of("Off the road", false)]
}

/// Lead time, deploys and availability, each on the road and off it.
pub fn on_and_off_the_road() -> Vec<Panel> {
    let failed = |road: &str| {
        let all = SCOPE.grown(&DEPLOYS, "", road, &["outcome"], WINDOW);
        let failed = SCOPE.grown(&DEPLOYS, "", &format!("{road}, outcome=\"Failed\""), &["outcome"], WINDOW);
        format!("sum({failed}) / (sum({all}) > 0)")
    };
    let took = |road: &str| {
        let buckets = SCOPE.grown(&DEPLOY_DURATION, "_bucket", road, &["le"], WINDOW);
        format!("histogram_quantile(0.5, sum by (le) ({buckets}))")
    };
    let serving = |road: &str| {
        let of = |more: &str| format!("sum({})", SCOPE.gauge(&SERVING_WORKLOADS, &format!("{road}{more}")));
        format!("{} / ({} > 0)", of(", available=\"true\""), of(""))
    };
    vec![
        Panel::new(
            6,
            Kind::Lines,
            "From commit to running",
            "Half of the workloads took no longer from the commit to the last pod of their last deploy. Who deploys says when \
             the commit was, by the annotation goldenpath.dev/commit-timestamp.",
            both(|road| SCOPE.median_now(&LEAD_TIME, road)),
        )
        .unit("s")
        .colors(ROAD)
        .empty("no workload has the annotation"),
        Panel::new(
            6,
            Kind::Lines,
            "Deploys that fail",
            "Of all deploys that ended within a week: given up by their controller, or far slower than ten minutes a pod.",
            both(failed),
        )
        .unit("percentunit")
        .colors(ROAD)
        .empty("no deploys"),
        Panel::new(
            6,
            Kind::Lines,
            "How long a deploy takes",
            "Half of the deploys within a week took no longer, from the new template to the last pod that runs it.",
            both(took),
        )
        .unit("s")
        .colors(ROAD)
        .empty("no deploys"),
        Panel::new(
            6,
            Kind::Lines,
            "Workloads that are available",
            "Of the workloads that ask for pods, those with at least one that is available.",
            both(serving),
        )
        .unit("percentunit")
        .colors(ROAD),
    ]
}

/// How teams fare with one path.
pub fn with_a_path() -> Vec<Panel> {
    let mean = format!("avg({})", SCOPE.gauge(&SATISFACTION, ""));
    let scores = format!("max by (score) ({})", SCOPE.gauge(&FEEDBACK, ""));
    vec![
        Panel::new(
            6,
            Kind::Stat,
            "Time to the first deploy",
            "Half of the services took no longer from their creation to their first running pods. One that adopts what runs \
             already is there at once.",
            vec![Query::over_time("first deploy", SCOPE.median_now(&FIRST_DEPLOY, ""))],
        )
        .unit("s")
        .empty("no service yet"),
        Panel::new(
            6,
            Kind::Stat,
            "Satisfaction",
            "Mean of the scores, from 1 to 5, that services give the path in `spec.feedback`.",
            vec![Query::over_time("of 5", mean)],
        )
        .decimals(1)
        .steps(&[(0.0, Color::Vermillion), (3.0, Color::Orange), (4.0, Color::Blue)])
        .empty("no feedback yet"),
        Panel::new(
            12,
            Kind::Bars,
            "Feedback",
            "Services by the score that they give. Why: `kubectl get psvc -A -o custom-columns=NAME:.metadata.name,\
             SCORE:.spec.feedback.score,WHY:.spec.feedback.comment`.",
            vec![Query::now("{{score}}", scores)],
        )
        .empty("no feedback yet"),
    ]
}
