//! The condition UpToDate of a service: whether it follows what its path has for it, and for how long.

use k8s_openapi::jiff::Timestamp;

use super::Finding;
use crate::api::{ConditionType, PlatformService, Reason};
use crate::plan::revision::Revision;
use crate::plan::route::{Route, pin};

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
    let status = service.status.as_ref().and_then(|status| status.golden_path.as_ref());
    let back = status.and_then(|followed| followed.rolled_back.as_ref());
    if let Some(back) = back.filter(|back| back.revision == current.name && back.revision != revision.name) {
        let text = format!("went back from version {}: {}", version_of(current), back.cause);
        return bad(Reason::RolledBack, text);
    }
    if revision.name != current.name && pin(service).is_none() {
        let (here, target) = (version_of(revision), version_of(current));
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

fn version_of(revision: &Revision) -> &str {
    revision.version.as_deref().unwrap_or(&revision.name)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
    use rstest::rstest;

    use super::*;
    use crate::api::{
        GoldenPathRef, GoldenPathStatusRef, PathReference, PlatformServiceSpec, PlatformServiceStatus, RetiredVersion,
        Retirement, RolledBack,
    };
    use crate::plan::exceptions::Terms;
    use crate::plan::route::Engine;

    const NOW: &str = "2026-12-01T00:00:00Z";

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn revision(version: &str) -> Arc<Revision> {
        let (name, version) = (format!("web-{version}"), Some(version.to_owned()));
        Arc::new(Revision { name, path: "web".into(), version, ..Revision::default() })
    }

    fn route(follows: &str, terms: Terms) -> Route {
        Route {
            engine: Engine::default(),
            revision: revision(follows),
            current: revision("3"),
            terms: Arc::new(terms),
            rolls_out: false,
        }
    }

    fn service(version: Option<&str>) -> PlatformService {
        let reference = GoldenPathRef { name: "web".into(), version: version.map(Into::into) };
        PlatformService::new("cart", PlatformServiceSpec { golden_path_ref: Some(reference), ..Default::default() })
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
