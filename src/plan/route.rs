//! Which revision of its path a service follows.

use std::borrow::Cow;
use std::sync::Arc;

use k8s_openapi::jiff::Timestamp;
use serde_json::Value;

use super::exceptions::Terms;
use super::members::wave_of;
use super::revision::Revision;
use super::waves::has_begun;
use crate::api::{Mode, PlatformService, Rollout, RolloutPhase, RolloutStatus};

/// How far a revision may go: what of a rollout's status decides about a service.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Reach {
    /// What the path says about its rollout.
    pub spec: Rollout,
    /// What the rollout is doing.
    pub phase: RolloutPhase,
    /// The last wave that has begun.
    pub wave: Option<String>,
    /// The last revision that went through every wave.
    pub stable: Option<String>,
}

impl Reach {
    /// Of a rollout.
    #[must_use]
    pub fn of(spec: &Rollout, status: &RolloutStatus) -> Self {
        // counts and times decide nothing, and change all the time
        let going = !matches!(status.phase, RolloutPhase::Soaking | RolloutPhase::AwaitingApproval);
        Self {
            spec: Rollout { promote: None, abort: None, ..spec.clone() },
            phase: if going { status.phase } else { RolloutPhase::Exercising },
            wave: status.wave.clone(),
            stable: status.stable_revision.clone(),
        }
    }

    /// Whether a service that does not follow the revision yet may move to it.
    fn lets(&self, path: &str, service: &PlatformService, namespace: &Value) -> bool {
        match self.phase {
            RolloutPhase::Complete => true,
            RolloutPhase::Paused | RolloutPhase::Aborted => false,
            _ => has_begun(&self.spec, self.wave.as_deref(), wave_of(&self.spec, path, service, namespace)),
        }
    }
}

/// Who fills what teams left open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Engine {
    /// The API server, in the team's own request, by policies.
    #[default]
    Policies,
    /// The operator, right behind the team's rollout: see [`super::fallback`].
    Fallback,
}

impl Engine {
    /// The farthest mode: what a team has set is replaced in its own request, or it would be a fight.
    #[must_use]
    pub fn max_mode(self) -> Mode {
        match self {
            Self::Policies => Mode::Enforce,
            Self::Fallback => Mode::Default,
        }
    }
}

/// A path whose policies are in force.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct InForce {
    /// Who fills.
    pub engine: Engine,
    /// The revision of its spec.
    pub current: Arc<Revision>,
    /// Other revisions that services follow, are pinned to, or may go back to.
    pub others: Vec<Arc<Revision>>,
    /// How far the current revision may go.
    pub reach: Reach,
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
        [&self.current].into_iter().chain(&self.others)
    }

    /// The path as a person has ordered since it was put in force: an abort or a pause holds for every pass from the moment
    /// it is seen. The path's own pass, which asks the API server about all its policies before it tells the services, takes
    /// seconds on a busy one, and nobody restarts meanwhile.
    #[must_use]
    pub fn obeying(&self, orders: Option<&Rollout>) -> Cow<'_, Self> {
        let Some(orders) = orders else { return Cow::Borrowed(self) };
        let aborted = orders.abort.as_ref().is_some_and(|abort| abort.revision == self.current.name);
        let phase = match self.reach.phase {
            phase @ (RolloutPhase::Complete | RolloutPhase::Aborted) => phase,
            _ if aborted => RolloutPhase::Aborted,
            _ if orders.paused => RolloutPhase::Paused,
            phase => phase,
        };
        if phase == self.reach.phase {
            return Cow::Borrowed(self);
        }
        Cow::Owned(Self { reach: Reach { phase, ..self.reach.clone() }, ..self.clone() })
    }

    /// The revision that a service follows which is not pinned.
    fn followed_by(&self, service: &PlatformService, namespace: &Value) -> &Arc<Revision> {
        let find = |name: Option<&String>| self.revisions().find(|revision| Some(&revision.name) == name);
        let path = &self.current.path;
        let status = service.status.as_ref().and_then(|status| status.golden_path.as_ref());
        let status = status.filter(|followed| followed.name == *path);
        let stable = || find(self.reach.stable.as_ref()).unwrap_or(&self.current);
        let now = || status.and_then(|followed| find(Some(&followed.revision)));
        let is_here = status.is_some_and(|followed| followed.revision == self.current.name);
        let rolled_back = status.and_then(|followed| followed.rolled_back.as_ref());
        if let Some(back) = rolled_back.filter(|back| back.revision == self.current.name) {
            return find(Some(&back.to)).unwrap_or_else(stable);
        }
        if is_here && self.reach.phase == RolloutPhase::Aborted {
            let before = status.and_then(|followed| followed.previous_revision.as_ref());
            return find(before).unwrap_or_else(stable);
        }
        if is_here || self.reach.lets(path, service, namespace) {
            return &self.current;
        }
        now().unwrap_or_else(stable)
    }
}

/// A path, as far as one service goes on it.
#[derive(Clone, Debug, Default)]
pub struct Route {
    /// Who fills.
    pub engine: Engine,
    /// The revision that the service follows.
    pub revision: Arc<Revision>,
    /// The revision that the path has for it.
    pub current: Arc<Revision>,
    /// What the path says beside its revisions.
    pub terms: Arc<Terms>,
    /// How far the current revision has come on its way to the path's services.
    pub phase: RolloutPhase,
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
    pub fn of(path: &InForce, service: &PlatformService, namespace: &Value, now: Timestamp) -> Result<Self, Detour> {
        let on = |revision: &Arc<Revision>| Self {
            engine: path.engine,
            revision: revision.clone(),
            current: path.current.clone(),
            terms: path.terms.clone(),
            phase: path.reach.phase,
        };
        let Some(version) = pin(service) else { return Ok(on(path.followed_by(service, namespace))) };
        let is_pinned = |revision: &&Arc<Revision>| revision.version.as_deref() == Some(version);
        let ended = path.terms.end_of(version).is_some_and(|end| end <= now);
        if ended {
            return Ok(on(path.followed_by(service, namespace)));
        }
        match path.revisions().find(is_pinned) {
            Some(revision) => Ok(on(revision)),
            None if path.versions.iter().any(|kept| kept == version) => Err(Detour::NotInForce),
            None => Err(Detour::NotKept),
        }
    }

    /// Whether the current revision is on its way: what becomes of this service matters to others.
    #[must_use]
    pub fn rolls_out(&self) -> bool {
        self.phase != RolloutPhase::Complete
    }

    /// When the route changes by itself.
    #[must_use]
    pub fn changes_at(&self, now: Timestamp) -> Option<Timestamp> {
        self.terms.end_of(self.revision.version.as_deref()?).filter(|end| *end > now)
    }
}

/// The version that a service is pinned to.
#[must_use]
pub fn pin(service: &PlatformService) -> Option<&str> {
    service.spec.golden_path_ref.as_ref()?.version.as_deref()
}

/// What tests ask about.
#[cfg(test)]
#[allow(missing_docs, clippy::must_use_candidate, clippy::missing_panics_doc)] // only tests see it
pub mod examples {
    use super::*;
    use crate::api::{GoldenPathRef, PlatformServiceSpec};

    pub const NOW: &str = "2026-12-01T00:00:00Z";

    pub fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    pub fn revision(version: &str) -> Arc<Revision> {
        let (name, version) = (format!("web-{version}"), Some(version.to_owned()));
        Arc::new(Revision { name, path: "web".into(), version, ..Revision::default() })
    }

    pub fn service(version: Option<&str>) -> PlatformService {
        let reference = GoldenPathRef { name: "web".into(), version: version.map(Into::into) };
        PlatformService::new("cart", PlatformServiceSpec { golden_path_ref: Some(reference), ..Default::default() })
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
    use rstest::rstest;

    use super::examples::{NOW, at, revision, service};
    use super::*;
    use crate::api::{Abort, RetiredVersion};

    fn path(retired: Option<&str>) -> InForce {
        let retired_versions =
            retired.map(|end| RetiredVersion { version: "2".into(), retire_at: Time(at(end)) }).into_iter().collect();
        InForce {
            engine: Engine::default(),
            current: revision("3"),
            others: vec![revision("2")],
            reach: Reach::default(),
            versions: vec!["3".into(), "2".into(), "1".into()],
            defaults: Vec::new(),
            terms: Arc::new(Terms { retired_versions, ..Terms::default() }),
        }
    }

    #[rstest]
    #[case::nothing(RolloutPhase::Exercising, None, false, RolloutPhase::Exercising)]
    #[case::abort(RolloutPhase::Exercising, Some("web-3"), false, RolloutPhase::Aborted)]
    #[case::abort_of_another_revision(RolloutPhase::Exercising, Some("web-2"), false, RolloutPhase::Exercising)]
    #[case::abort_of_what_is_paused(RolloutPhase::Paused, Some("web-3"), true, RolloutPhase::Aborted)]
    #[case::pause(RolloutPhase::Exercising, None, true, RolloutPhase::Paused)]
    #[case::too_late(RolloutPhase::Complete, Some("web-3"), true, RolloutPhase::Complete)]
    fn an_order_holds_before_the_path_has_passed_it_on(
        #[case] phase: RolloutPhase,
        #[case] abort: Option<&str>,
        #[case] paused: bool,
        #[case] expected: RolloutPhase,
    ) {
        let abort = abort.map(|revision| Abort { revision: revision.into(), reason: "slow".into() });
        let path = InForce { reach: Reach { phase, ..Reach::default() }, ..path(None) };
        assert_eq!(path.obeying(Some(&Rollout { paused, abort, ..Rollout::default() })).reach.phase, expected);
    }

    #[rstest]
    #[case::follows(None, None, Ok("web-3"))]
    #[case::pinned_to_the_newest(Some("3"), None, Ok("web-3"))]
    #[case::pinned(Some("2"), None, Ok("web-2"))]
    #[case::ends(Some("2"), Some("2027-01-01T00:00:00Z"), Ok("web-2"))]
    #[case::has_ended(Some("2"), Some(NOW), Ok("web-3"))]
    #[case::not_in_force_yet(Some("1"), None, Err(Detour::NotInForce))]
    #[case::never_was(Some("9"), None, Err(Detour::NotKept))]
    fn a_service_follows_its_path_or_its_pin(
        #[case] pin: Option<&str>,
        #[case] retired: Option<&str>,
        #[case] expected: Result<&str, Detour>,
    ) {
        let service = service(pin);
        let route = Route::of(&path(retired), &service, &Value::Null, at(NOW));
        assert_eq!(route.as_ref().map(|r| r.revision.name.as_str()).map_err(|detour| *detour), expected);
        if let Ok(route) = route {
            assert_eq!(route.changes_at(at(NOW)), retired.map(at).filter(|end| *end > at(NOW)));
        }
    }
}
