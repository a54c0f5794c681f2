//! What a service is exempt from, of what is deprecated.

use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;
use serde_json::Value;

use super::context::Context;
use crate::api::{PlatformService, PlatformServiceStatus};
use crate::plan::deprecation::asked::{Asking, asked, is_of_deprecation, with_others};

/// The status with what became of the service's requests to Deprecations, and when that changes by itself. As it was where
/// nobody has counted yet.
pub fn with_exemptions(
    service: &PlatformService,
    namespace: &Value,
    status: PlatformServiceStatus,
    now: Timestamp,
    context: &Context,
) -> (PlatformServiceStatus, Option<Timestamp>) {
    let key = (service.namespace().unwrap_or_default(), service.name_any());
    let Some(granting) = context.deprecations.granting(&key) else { return (status, None) };
    let found = asked(Asking { service, namespace }, &granting, now);
    let of_path = status.exemptions.iter().filter(|exemption| !is_of_deprecation(exemption)).cloned().collect();
    (PlatformServiceStatus { exemptions: with_others(of_path, found.statuses), ..status }, found.next_change)
}
