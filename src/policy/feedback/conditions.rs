//! When feedback is given, and who can silence it.

use serde_json::{Value, json};

use crate::api::{GROUP, labels};
use crate::plan::revision::Rule;
use crate::policy::cel_text::string;
use crate::policy::metadata::{CREATES, annotation, fill_changes, label};

/// On which of the requests that create or change a workload a policy acts.
///
/// Replicas are not looked at: who scales by `kubectl edit` does what `kubectl scale` does, which no policy sees. What
/// another controller owns would be written again by it at once, its own source is the place to set something. And where
/// the operator asks for a fill, values come or leave by a decision that was made before.
pub fn match_conditions(operator: &str) -> Value {
    let unscaled = |object: &str| format!("dyn({object}.spec).transformMap(k, v, k != 'replicas', v)");
    let foreign = format!(
        "dyn(o)[?'controller'].orValue(false) && !dyn(o).apiVersion.startsWith({})",
        string(&format!("{GROUP}/"))
    );
    json!([
        {
            "name": "spec-changes",
            "expression": format!("{CREATES} || {} != {}", unscaled("object"), unscaled("oldObject")),
        },
        {
            "name": "not-managed",
            "expression": format!("!object.metadata[?'ownerReferences'].orValue([]).exists(o, {foreign})"),
        },
        {
            "name": "not-the-operators-fill",
            "expression": format!(
                "request.userInfo.username != {} || {CREATES} || !{}", string(operator), fill_changes()),
        },
    ])
}

/// Each of these conditions silences the check of a default for a workload.
pub fn silences(rule: &Rule, path: &str) -> Vec<String> {
    let object = "dyn(object)";
    let skipped = format!("{} == optional.of({})", annotation(object, labels::SKIP), string(labels::SKIP_ALL));
    let one_skipped = format!("{}.hasValue()", label(object, &format!("{}{}", labels::SKIP_DEFAULT, rule.name)));
    // its service has chosen another road
    let elsewhere = format!("{}.orValue({path}) != {path}", label(object, labels::PATH), path = string(path));
    vec![skipped, one_skipped, elsewhere]
}
