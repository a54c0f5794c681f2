//! Which version of its path a service follows, and the condition UpToDate: whether that is what the path has for it, and
//! for how long.

use k8s_openapi::jiff::Timestamp;

use super::Finding;
use super::service::Evaluated;
use crate::api::{
    ConditionType, GoldenPathStatusRef, PlatformService, PlatformServiceStatus, Reason, RolledBack, RolloutPhase,
};
use crate::plan::revision::Revision;
use crate::plan::rolled_back::went_back_from;
use crate::plan::route::{Route, pin};
use crate::plan::verdict::MAX_MESSAGE;

/// Whether the service follows what the path has for it, and for how long.
#[must_use]
pub fn up_to_date(route: &Route, service: &PlatformService, now: Timestamp) -> Finding {
    let Route { revision, current, terms, .. } = route;
    let path = &revision.path;
    let bad = |reason, text: String| Finding::bad(ConditionType::UpToDate, reason, text);
    if let Some(version) = pin(service)
        && let Some(end) = terms.end_of(version)
    {
        return if end <= now {
            bad(
                Reason::VersionRetiring,
                format!(
                    "goldenPathRef.version: {version} of GoldenPath {path} ended at {end}, so the service follows \
                     the path again; remove the version"
                ),
            )
        } else {
            bad(
                Reason::VersionRetiring,
                format!(
                    "goldenPathRef.version: {version} of GoldenPath {path} ends at {end}; \
                     remove the version, or pin {}",
                    version_of(current)
                ),
            )
        };
    }
    if let Some((from, cause)) = went_back_from(service, route) {
        return bad(Reason::RolledBack, format!("went back from version {}: {cause}", version_of(from)));
    }
    if revision.name != current.name && pin(service).is_none() {
        let (here, target) = (version_of(revision), version_of(current));
        if route.phase == RolloutPhase::Aborted {
            let text =
                format!("follows version {here}; version {target} of GoldenPath {path} was taken back, see its status");
            return bad(Reason::RolloutAborted, text);
        }
        return bad(
            Reason::WaitingForWave,
            format!(
                "follows version {here}; version {target} of GoldenPath {path} comes with its wave, see its status"
            ),
        );
    }
    if revision.name != current.name {
        let (pinned, target) = (version_of(revision), version_of(current));
        return bad(
            Reason::Pinned,
            format!("pinned to version {pinned}; GoldenPath {path} is at {target}: remove goldenPathRef.version"),
        );
    }
    if let Some(retirement) = &terms.retirement {
        let when = retirement.retire_at.as_ref().map_or_else(String::new, |at| format!(" at {}", at.0));
        let next = retirement.replaced_by.as_ref();
        let fix = next.map_or_else(String::new, |next| format!("; set goldenPathRef.name: {}", next.name));
        return bad(Reason::PathRetiring, format!("GoldenPath {path} ends{when}{fix}"));
    }
    let text = format!("the service follows version {} of GoldenPath {path}", version_of(revision));
    Finding::good(ConditionType::UpToDate, Reason::UpToDate, text)
}

/// What a service follows now, where it came from, and what it went back from.
#[must_use]
pub fn followed(
    before: &PlatformServiceStatus,
    route: &Route,
    evaluated: &[&Evaluated],
    outage: Option<String>,
) -> GoldenPathStatusRef {
    let Route { revision, current, .. } = route;
    GoldenPathStatusRef {
        name: revision.path.clone(),
        version: revision.version.clone(),
        target_version: current.version.clone(),
        revision: revision.name.clone(),
        previous_revision: previous_revision(before, revision),
        rolled_back: rolled_back(before, route, evaluated, outage),
    }
}

/// The revision of the same path that the service followed before it followed this one.
fn previous_revision(before: &PlatformServiceStatus, revision: &Revision) -> Option<String> {
    let followed = before.golden_path.as_ref().filter(|followed| followed.name == revision.path)?;
    if followed.revision == revision.name {
        followed.previous_revision.clone()
    } else {
        Some(followed.revision.clone())
    }
}

/// What the service went back from: that stands for as long as the path is at that revision.
fn rolled_back(
    before: &PlatformServiceStatus,
    route: &Route,
    evaluated: &[&Evaluated],
    outage: Option<String>,
) -> Option<RolledBack> {
    let followed = before.golden_path.as_ref().filter(|followed| followed.name == route.current.path)?;
    if let Some(back) = followed.rolled_back.as_ref().filter(|back| back.revision == route.current.name) {
        return Some(back.clone());
    }
    let to = followed.previous_revision.clone().filter(|_| followed.revision == route.current.name)?;
    let failed = evaluated.iter().find_map(|e| Some(format!("{}: {}", e.status.name, e.failure.as_ref()?)));
    // an outage long after a rollout says nothing about it
    let cause = failed.or(outage.filter(|_| route.rolls_out()))?;
    let cause = cause.chars().take(MAX_MESSAGE).collect();
    Some(RolledBack { revision: route.current.name.clone(), to, cause })
}

fn version_of(revision: &Revision) -> &str {
    revision.version.as_deref().unwrap_or(&revision.name)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
    use rstest::rstest;

    use super::*;
    use crate::api::{PathReference, RetiredVersion, Retirement};
    use crate::plan::exceptions::Terms;
    use crate::plan::route::examples::{NOW, at, revision, service};

    fn route(follows: &str, terms: Terms) -> Route {
        Route {
            revision: revision(follows),
            current: revision("3"),
            terms: Arc::new(terms),
            phase: RolloutPhase::Soaking,
            ..Route::default()
        }
    }

    #[rstest]
    #[case::follows(None, "3", None, Reason::UpToDate)]
    #[case::pinned_to_the_newest(Some("3"), "3", None, Reason::UpToDate)]
    #[case::pinned(Some("2"), "2", None, Reason::Pinned)]
    #[case::ends(Some("2"), "2", Some("2027-01-01T00:00:00Z"), Reason::VersionRetiring)]
    #[case::has_ended(Some("2"), "3", Some(NOW), Reason::VersionRetiring)]
    #[case::its_wave_comes(None, "2", None, Reason::WaitingForWave)]
    fn a_service_says_what_it_follows(
        #[case] pin: Option<&str>,
        #[case] follows: &str,
        #[case] retired: Option<&str>,
        #[case] reason: Reason,
    ) {
        let retired_versions =
            retired.map(|end| RetiredVersion { version: "2".into(), retire_at: Time(at(end)) }).into_iter().collect();
        let route = route(follows, Terms { retired_versions, ..Terms::default() });
        assert_eq!(up_to_date(&route, &service(pin), at(NOW)).reason, reason);
    }

    #[test]
    fn a_service_that_went_back_says_why() {
        let mut service = service(None);
        let back = RolledBack { revision: "web-3".into(), to: "web-2".into(), cause: "app: stuck".into() };
        let followed = GoldenPathStatusRef { rolled_back: Some(back), ..GoldenPathStatusRef::default() };
        service.status =
            Some(PlatformServiceStatus { golden_path: Some(followed), ..PlatformServiceStatus::default() });
        let finding = up_to_date(&route("2", Terms::default()), &service, at(NOW));
        assert_eq!(
            (finding.reason, finding.message.as_str()),
            (Reason::RolledBack, "went back from version 3: app: stuck")
        );
    }

    #[test]
    fn the_end_of_a_path_says_where_to_go() {
        let retirement = Retirement {
            retire_at: Some(Time(at("2027-06-01T00:00:00Z"))),
            replaced_by: Some(PathReference { name: "web2".into() }),
        };
        let route = route("3", Terms { retirement: Some(retirement), ..Terms::default() });
        let finding = up_to_date(&route, &service(None), at(NOW));
        assert_eq!(finding.message, "GoldenPath web ends at 2027-06-01T00:00:00Z; set goldenPathRef.name: web2");
    }
}
