//! What the stores keep of our own objects: without what no pass looks at.

use std::hash::{DefaultHasher, Hash, Hasher};

use kube::ResourceExt;

use super::context::{GuardedPath, GuardedService};
use super::deprecations::GuardedDeprecation;
use crate::api::PlatformServiceStatus;

/// `managedFields` are not kept: of a service with 48 verdicts in its status they take ten times the memory of the rest.
pub fn path(path: &mut GuardedPath) {
    path.managed_fields_mut().clear();
}

/// As of paths.
pub fn deprecation(deprecation: &mut GuardedDeprecation) {
    deprecation.managed_fields_mut().clear();
}

/// Nor are the verdicts themselves, see [`folded`].
pub fn service(service: &mut GuardedService) {
    service.managed_fields_mut().clear();
    if let Ok(service) = &mut service.0
        && let Some(status) = service.status.take()
    {
        service.status = Some(folded(status));
    }
}

/// A status without its verdicts, in place of which stands a hash of them. They are written for people and compared with
/// those of the next pass, nothing else: 48 of them take 18 kB.
pub fn folded(mut status: PlatformServiceStatus) -> PlatformServiceStatus {
    if status.folded.is_none() {
        let mut hasher = DefaultHasher::new();
        std::mem::take(&mut status.defaults).hash(&mut hasher);
        status.folded = Some(hasher.finish());
    }
    status
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{DefaultStatus, VerdictState};

    fn status(state: VerdictState) -> PlatformServiceStatus {
        let default = DefaultStatus {
            name: "cpu".into(),
            workload: "api".into(),
            state,
            owner: None,
            field_managers: vec!["team".into()],
            message: None,
        };
        PlatformServiceStatus { defaults: vec![default], ..Default::default() }
    }

    #[test]
    fn folded_statuses_are_equal_when_their_verdicts_are() {
        let applied = folded(status(VerdictState::Applied));
        assert_eq!(applied, folded(status(VerdictState::Applied)));
        assert_ne!(applied, folded(status(VerdictState::Missing)));
        assert_ne!(applied, folded(PlatformServiceStatus::default()));
        assert_eq!(applied, folded(applied.clone()), "folding again changes nothing");
    }

    #[test]
    fn a_stored_service_keeps_the_rest_of_its_status() {
        let json = serde_json::json!({
            "metadata": {"name": "checkout", "managedFields": [{"manager": "kubectl"}]},
            "spec": {"workloads": [{"name": "api"}]},
            "status": {"team": "payments", "defaults": [{"name": "cpu", "workload": "api", "state": "Applied"}]}
        });
        let mut stored: GuardedService = serde_json::from_value(json).unwrap();
        service(&mut stored);
        let status = stored.0.unwrap().status.unwrap();
        assert!(status.defaults.is_empty() && status.folded.is_some());
        assert_eq!(status.team.as_deref(), Some("payments"));
        assert!(serde_json::to_value(&status).unwrap().get("folded").is_none(), "it is never written");
    }
}
