//! Gauges and histograms of how teams deliver: deploys on the road and off it, and how teams fare with their path.

use prometheus::proto::MetricFamily;

use super::deploys::{Ended, Tally};
use super::metrics::{PathInfo, float};
use crate::api::Origin;
use crate::observability::catalogue;
use crate::observability::metrics::{gauge, histogram, total};
use crate::status::counts::Counts;
use crate::status::spread::{DEPLOY, FIRST, LEAD};

type Families = Result<Vec<MetricFamily>, prometheus::Error>;

/// Off the road and on it, in the order of the counts.
const ADOPTED: [&str; 2] = ["false", "true"];

/// Deploys of all workloads.
pub fn of_workloads(counts: &Counts, deploys: &[Tally; 2]) -> Families {
    let all = || ADOPTED.iter().map(|adopted| (*adopted).to_owned());
    let serving = all().zip(counts.serving).flat_map(|(adopted, [down, up])| {
        [("false", down), ("true", up)].map(|(available, n)| ([adopted.clone(), available.to_owned()], float(n)))
    });
    let ended = all().zip(deploys).flat_map(|(adopted, tally)| {
        Ended::ALL.into_iter().zip(tally.ended).map(move |(how, n)| ([adopted.clone(), format!("{how:?}")], n))
    });
    let durations = all().zip(deploys).map(|(adopted, tally)| ([adopted], tally.durations.shown(DEPLOY)));
    let leads = all().zip(&counts.leads).map(|(adopted, leads)| ([adopted], leads.shown(LEAD)));
    Ok([
        gauge(&catalogue::SERVING_WORKLOADS, serving)?,
        total(&catalogue::DEPLOYS, ended)?,
        histogram(&catalogue::DEPLOY_DURATION, durations),
        histogram(&catalogue::LEAD_TIME, leads),
    ]
    .concat())
}

/// How teams fare with their paths.
pub fn of_paths(paths: &[&PathInfo], services: impl Iterator<Item = (String, Origin, u64)>) -> Families {
    let objectives = paths.iter().filter_map(|path| Some(([path.name.clone()], path.objective?)));
    let means = paths.iter().filter_map(|path| Some(([path.name.clone()], path.experience.mean()?)));
    let scores = paths.iter().filter(|path| path.experience.mean().is_some()).flat_map(|path| {
        (1..)
            .zip(path.experience.scores)
            .map(|(score, n): (u8, u64)| ([path.name.clone(), score.to_string()], float(n)))
    });
    let first = paths.iter().flat_map(|path| {
        let origins = path.experience.first_deploys.iter();
        origins.map(|(origin, took)| ([path.name.clone(), format!("{origin:?}")], took.shown(FIRST)))
    });
    let origins = services.map(|(path, origin, n)| ([path, format!("{origin:?}")], float(n)));
    Ok([
        gauge(&catalogue::AVAILABILITY_OBJECTIVE, objectives)?,
        gauge(&catalogue::SATISFACTION, means)?,
        gauge(&catalogue::FEEDBACK, scores)?,
        histogram(&catalogue::FIRST_DEPLOY, first),
        gauge(&catalogue::SERVICE_ORIGINS, origins)?,
    ]
    .concat())
}
