//! Which revision of its path a service follows.

use std::sync::Arc;

use k8s_openapi::jiff::Timestamp;

use super::exceptions::Terms;
use super::revision::Revision;
use crate::api::{ConditionType, PlatformService, Reason};
use crate::status::Finding;

/// A path whose policies are in force.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct InForce {
    /// The revision of its spec.
    pub current: Arc<Revision>,
    /// Other revisions that services are pinned to.
    pub pinned: Vec<Arc<Revision>>,
    /// Every version that is kept, the newest first.
    pub versions: Vec<String>,
    /// The names of all defaults of all revisions that are kept.
    pub defaults: Vec<String>,
    /// What the path says beside its revisions.
    pub terms: Arc<Terms>,
}

impl InForce {
    /// Every revision that services may follow, the current one first.
    pub fn revisions(&self) -> impl Iterator<Item = &Arc<Revision>> {
        [&self.current].into_iter().chain(&self.pinned)
    }
}

/// A path, as far as one service goes on it.
#[derive(Clone, Debug)]
pub struct Route {
    /// The revision that the service follows.
    pub revision: Arc<Revision>,
    /// The revision that the path has for it.
    pub current: Arc<Revision>,
    /// What the path says beside its revisions.
    pub terms: Arc<Terms>,
}

/// Why a pinned service has no route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detour {
    /// The path does not keep the version.
    NotKept,
    /// It does, and its policies are not in force yet.
    NotInForce,
}

impl Route {
    /// The route of a service.
    pub fn of(path: &InForce, service: &PlatformService, now: Timestamp) -> Result<Self, Detour> {
        let on = |revision: &Arc<Revision>| Self {
            revision: revision.clone(),
            current: path.current.clone(),
            terms: path.terms.clone(),
        };
        let Some(version) = pin(service) else { return Ok(on(&path.current)) };
        let is_pinned = |revision: &&Arc<Revision>| revision.version.as_deref() == Some(version);
        let ended = path.terms.end_of(version).is_some_and(|end| end <= now);
        if ended || is_pinned(&&path.current) {
            return Ok(on(&path.current));
        }
        match path.pinned.iter().find(is_pinned) {
            Some(revision) => Ok(on(revision)),
            None if path.versions.iter().any(|kept| kept == version) => Err(Detour::NotInForce),
            None => Err(Detour::NotKept),
        }
    }

    /// When the route changes by itself.
    #[must_use]
    pub fn changes_at(&self, now: Timestamp) -> Option<Timestamp> {
        self.terms.end_of(self.revision.version.as_deref()?).filter(|end| *end > now)
    }

    /// Whether the service follows what the path has for it, and for how long.
    #[must_use]
    pub fn up_to_date(&self, service: &PlatformService, now: Timestamp) -> Finding {
        let Self { revision, current, terms } = self;
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
}

fn version_of(revision: &Revision) -> &str {
    revision.version.as_deref().unwrap_or(&revision.name)
}

/// The version that a service is pinned to.
#[must_use]
pub fn pin(service: &PlatformService) -> Option<&str> {
    service.spec.golden_path_ref.as_ref()?.version.as_deref()
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
    use rstest::rstest;

    use super::*;
    use crate::api::{GoldenPathRef, PathReference, PlatformServiceSpec, RetiredVersion, Retirement};

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn revision(version: &str) -> Arc<Revision> {
        let (name, version) = (format!("web-{version}"), Some(version.to_owned()));
        Arc::new(Revision { name, path: "web".into(), version, ..Revision::default() })
    }

    fn path(retired: Option<&str>) -> InForce {
        let retired_versions =
            retired.map(|end| RetiredVersion { version: "2".into(), retire_at: Time(at(end)) }).into_iter().collect();
        InForce {
            current: revision("3"),
            pinned: vec![revision("2")],
            versions: vec!["3".into(), "2".into(), "1".into()],
            defaults: Vec::new(),
            terms: Arc::new(Terms { retired_versions, ..Terms::default() }),
        }
    }

    fn service(version: Option<&str>) -> PlatformService {
        let reference = GoldenPathRef { name: "web".into(), version: version.map(Into::into) };
        PlatformService::new("cart", PlatformServiceSpec { golden_path_ref: Some(reference), ..Default::default() })
    }

    const NOW: &str = "2026-12-01T00:00:00Z";

    #[rstest]
    #[case::follows(None, None, Ok("web-3"), Reason::UpToDate)]
    #[case::pinned_to_the_newest(Some("3"), None, Ok("web-3"), Reason::UpToDate)]
    #[case::pinned(Some("2"), None, Ok("web-2"), Reason::Pinned)]
    #[case::ends(Some("2"), Some("2027-01-01T00:00:00Z"), Ok("web-2"), Reason::VersionRetiring)]
    #[case::has_ended(Some("2"), Some(NOW), Ok("web-3"), Reason::VersionRetiring)]
    #[case::not_in_force_yet(Some("1"), None, Err(Detour::NotInForce), Reason::Ready)]
    #[case::never_was(Some("9"), None, Err(Detour::NotKept), Reason::Ready)]
    fn a_service_follows_its_path_or_its_pin(
        #[case] pin: Option<&str>,
        #[case] retired: Option<&str>,
        #[case] expected: Result<&str, Detour>,
        #[case] reason: Reason,
    ) {
        let service = service(pin);
        let route = Route::of(&path(retired), &service, at(NOW));
        assert_eq!(route.as_ref().map(|r| r.revision.name.as_str()).map_err(|detour| *detour), expected);
        if let Ok(route) = route {
            assert_eq!(route.up_to_date(&service, at(NOW)).reason, reason);
            assert_eq!(route.changes_at(at(NOW)), retired.map(at).filter(|end| *end > at(NOW)));
        }
    }

    #[test]
    fn the_end_of_a_path_says_where_to_go() {
        let retirement = Retirement {
            retire_at: Some(Time(at("2027-06-01T00:00:00Z"))),
            replaced_by: Some(PathReference { name: "web2".into() }),
        };
        let terms = Arc::new(Terms { retirement: Some(retirement), ..Terms::default() });
        let route = Route::of(&InForce { terms, ..path(None) }, &service(None), at(NOW)).unwrap();
        let finding = route.up_to_date(&service(None), at(NOW));
        assert_eq!(finding.message, "GoldenPath web ends at 2027-06-01T00:00:00Z; set goldenPathRef.name: web2");
    }
}
