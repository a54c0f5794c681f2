//! The services that take part in a rollout, and the wave of each.

use serde_json::Value;
use sha2::{Digest, Sha256};

use super::route::pin;
use super::selector::selects;
use crate::api::{PlatformService, Rollout, Wave};

/// A service that follows a path, and is neither pinned nor suspended.
#[derive(Clone, Copy, Debug)]
pub struct Member {
    /// Number of its wave; that of [`REST`] comes after the last one of the spec.
    pub wave: usize,
    /// It follows the revision that rolls out.
    pub moved: bool,
    /// It has rolled out with it.
    pub exercised: bool,
    /// It was well before that, and is not any more.
    pub failed: bool,
}

impl Member {
    /// A service as the waves of `revision` see it; nothing where it takes no part in them.
    #[must_use]
    pub fn of(
        spec: &Rollout,
        path: &str,
        revision: &str,
        service: &PlatformService,
        namespace: &Value,
    ) -> Option<Self> {
        if service.spec.suspend || pin(service).is_some() {
            return None;
        }
        let status = service.status.as_ref()?;
        let followed = status.golden_path.as_ref().filter(|followed| followed.name == path)?;
        let failed = followed.rolled_back.as_ref().is_some_and(|back| back.revision == revision);
        let workloads = &status.workloads;
        let labelled = !workloads.is_empty() && workloads.iter().all(|w| w.labelled_template.is_some());
        let moved = followed.revision == revision && labelled;
        Some(Self {
            wave: wave_of(spec, path, service, namespace),
            moved: moved || failed,
            exercised: failed || (moved && workloads.iter().all(|w| w.exercised)),
            failed,
        })
    }
}

/// The number of a service's wave.
#[must_use]
pub fn wave_of(spec: &Rollout, path: &str, service: &PlatformService, namespace: &Value) -> usize {
    let share = share_of(path, service.metadata.uid.as_deref().unwrap_or_default());
    let is_in = |wave: &Wave| {
        let selected = wave.namespace_selector.as_ref().is_none_or(|selector| selects(selector, namespace));
        let of_tier = wave.tiers.is_empty() || wave.tiers.contains(&service.spec.tier);
        selected && of_tier && wave.percent.is_none_or(|percent| share < percent)
    };
    spec.waves.iter().position(is_in).unwrap_or(spec.waves.len())
}

/// A number below 100 that stays the same for a service on a path.
fn share_of(path: &str, uid: &str) -> i32 {
    let digest = Sha256::digest(format!("{path}/{uid}").as_bytes());
    i32::from(u16::from_be_bytes([digest[0], digest[1]]) % 100)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::api::{NamespaceSelector, PlatformServiceSpec, Tier};

    fn spec() -> Rollout {
        let labels = [("env".to_owned(), "dev".to_owned())].into();
        let selector = NamespaceSelector { match_labels: labels, ..NamespaceSelector::default() };
        let canary = Wave { name: "canary".into(), namespace_selector: Some(selector), ..Wave::default() };
        let critical = Wave { name: "critical".into(), tiers: vec![Tier::Critical], ..Wave::default() };
        Rollout { waves: vec![canary, critical], ..Rollout::default() }
    }

    #[test]
    fn waves_select_by_namespace_tier_and_a_share_that_stays() {
        let mut spec = spec();
        let service = |uid: &str, tier: Tier| {
            let mut service = PlatformService::new("s", PlatformServiceSpec { tier, ..PlatformServiceSpec::default() });
            service.metadata.uid = Some(uid.to_owned());
            service
        };
        let dev = json!({"metadata": {"labels": {"env": "dev"}}});
        let wave = |spec: &Rollout, tier, namespace: &Value| wave_of(spec, "web", &service("a", tier), namespace);
        assert_eq!(wave(&spec, Tier::Critical, &dev), 0);
        assert_eq!(wave(&spec, Tier::Critical, &Value::Null), 1);
        assert_eq!(wave(&spec, Tier::Standard, &Value::Null), 2);
        spec.waves = vec![Wave { name: "quarter".into(), percent: Some(25), ..Wave::default() }];
        let of = |n: usize| wave_of(&spec, "web", &service(&n.to_string(), Tier::Standard), &Value::Null);
        let first = (0..1000).filter(|n| of(*n) == 0).count();
        assert!((200..300).contains(&first), "{first} of 1000 are in the first quarter");
        assert!((0..1000).all(|n| of(n) == of(n)), "a service stays in its wave");
    }
}
