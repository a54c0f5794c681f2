//! When feedback is given, and who can silence it.

use serde_json::{Value, json};

use crate::api::{Exemption, GROUP, NamespaceSelector, Override, SelectorOperator, SelectorRequirement, labels};
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

/// Each of these conditions silences the check of a default for a workload. What the path forbids is silenced by an
/// exemption alone: the labels and the annotation are the team's to write.
pub fn silences(rule: &Rule, path: &str, exemptions: &[Exemption]) -> Vec<String> {
    let object = "dyn(object)";
    let skipped = format!("{} == optional.of({})", annotation(object, labels::SKIP), string(labels::SKIP_ALL));
    let one_skipped = format!("{}.hasValue()", label(object, &labels::skip(&rule.name)));
    // its service has chosen another road
    let elsewhere = format!("{}.orValue({path}) != {path}", label(object, labels::PATH), path = string(path));
    let granted = exemptions.iter().filter(|exemption| exemption.defaults.contains(&rule.name)).map(is_granted);
    let mut all = if rule.permission == Override::Forbidden { Vec::new() } else { vec![skipped, one_skipped] };
    all.push(elsewhere);
    all.extend(granted);
    all
}

/// The exemption is meant for the workload, and has not ended: the time of the request is the newest in `managedFields`,
/// which a client can forge for others and not for itself.
fn is_granted(exemption: &Exemption) -> String {
    let end = string(&exemption.expires_at.0.to_string());
    let in_time = format!(
        "dyn(object).metadata[?'managedFields'].orValue([]).all(m, \
         !has(m.time) || timestamp(string(m.time)) < timestamp({end}))"
    );
    let namespace =
        exemption.namespace.as_ref().map(|name| format!("dyn(object).metadata.namespace == {}", string(name)));
    let service = exemption
        .service
        .as_ref()
        .map(|name| format!("{} == optional.of({})", label("dyn(object)", labels::SERVICE), string(name)));
    let selected = exemption.namespace_selector.as_ref().map(selects).unwrap_or_default();
    let terms: Vec<String> = namespace.into_iter().chain(service).chain(selected).chain([in_time]).collect();
    format!("({})", terms.join(" && "))
}

/// A selector of namespaces, as CEL.
fn selects(selector: &NamespaceSelector) -> Vec<String> {
    let labels = "dyn(namespaceObject).metadata[?'labels'].orValue(dyn({}))";
    let is =
        |(name, value): (&String, &String)| format!("{labels}[?{}] == optional.of({})", string(name), string(value));
    let requirement = |requirement: &SelectorRequirement| {
        let key = string(&requirement.key);
        let values: Vec<String> = requirement.values.iter().map(|value| string(value)).collect();
        let has = format!("{labels}[?{key}].hasValue()");
        let is_one = format!("({has} && {labels}[?{key}].value() in [{}])", values.join(", "));
        match requirement.operator {
            // from before the API server asked for values
            SelectorOperator::In | SelectorOperator::NotIn if values.is_empty() => "false".to_owned(),
            SelectorOperator::In => is_one,
            SelectorOperator::NotIn => format!("!{is_one}"),
            SelectorOperator::Exists => has,
            SelectorOperator::DoesNotExist => format!("!{has}"),
        }
    };
    let all = selector.match_labels.iter().map(is);
    all.chain(selector.match_expressions.iter().map(requirement)).collect()
}
