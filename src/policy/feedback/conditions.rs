//! When feedback is given, and who can silence it.

use serde_json::{Value, json};

use crate::api::{Exemption, Override, labels};
use crate::plan::revision::Rule;
use crate::policy::cel_text::string;
use crate::policy::metadata::{CREATES, annotation, fill_changes, label};
use crate::policy::requests::{Grant, is_granted, not_managed};

/// On which of the requests that create or change a workload a policy acts.
///
/// Replicas are not looked at: who scales by `kubectl edit` does what `kubectl scale` does, which no policy sees. What
/// another controller owns would be written again by it at once, its own source is the place to set something. And where
/// the operator asks for a fill, values come or leave by a decision that was made before.
pub fn match_conditions(operator: &str) -> Value {
    let unscaled = |object: &str| format!("dyn({object}.spec).transformMap(k, v, k != 'replicas', v)");
    json!([
        {
            "name": "spec-changes",
            "expression": format!("{CREATES} || {} != {}", unscaled("object"), unscaled("oldObject")),
        },
        {
            "name": "not-managed",
            "expression": not_managed(),
        },
        {
            "name": "not-the-operators-fill",
            "expression": format!(
                "request.userInfo.username != {} || {CREATES} || !{}", string(operator), fill_changes()),
        },
    ])
}

/// Each of these conditions silences the check of a default for a workload. What the path forbids is silenced by an
/// exemption alone: the labels and the annotation are the team's to write.
pub fn silences(rule: &Rule, path: &str, exemptions: &[Exemption]) -> Vec<String> {
    let object = "dyn(object)";
    let skipped = format!("{} == optional.of({})", annotation(object, labels::SKIP), string(labels::SKIP_ALL));
    let one_skipped = format!("{}.hasValue()", label(object, &labels::skip(&rule.name)));
    // its service has chosen another road
    let elsewhere = format!("{}.orValue({path}) != {path}", label(object, labels::PATH), path = string(path));
    let granted = exemptions.iter().filter(|exemption| exemption.defaults.contains(&rule.name)).map(granted);
    let mut all = if rule.permission == Override::Forbidden { Vec::new() } else { vec![skipped, one_skipped] };
    all.push(elsewhere);
    all.extend(granted);
    all
}

/// The exemption is meant for the workload, and has not ended.
fn granted(exemption: &Exemption) -> String {
    let grant = Grant {
        namespace: exemption.namespace.as_deref(),
        service: exemption.service.as_deref(),
        namespace_selector: exemption.namespace_selector.as_ref(),
        expires_at: exemption.expires_at.0,
    };
    is_granted(grant, &[labels::SERVICE])
}
