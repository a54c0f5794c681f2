//! What policies that warn and refuse ask about a request, whatever they are about.

use k8s_openapi::jiff::Timestamp;

use super::cel_text::string;
use super::metadata::label;
use crate::api::{GROUP, NamespaceSelector, SelectorOperator, SelectorRequirement};

/// The object belongs to no controller but our own: what another controller owns would be written again by it at once, its
/// own source is the place to set something.
pub fn not_managed() -> String {
    let foreign = format!(
        "dyn(o)[?'controller'].orValue(false) && !dyn(o).apiVersion.startsWith({})",
        string(&format!("{GROUP}/"))
    );
    format!("!object.metadata[?'ownerReferences'].orValue([]).exists(o, {foreign})")
}

/// For whom something is granted, and until when.
#[derive(Clone, Copy)]
pub struct Grant<'a> {
    /// The namespace.
    pub namespace: Option<&'a str>,
    /// The service.
    pub service: Option<&'a str>,
    /// What is selected by the labels of its namespace.
    pub namespace_selector: Option<&'a NamespaceSelector>,
    /// The end.
    pub expires_at: Timestamp,
}

/// The grant is meant for the object, and has not ended. Each of `service_labels` names the service that an object
/// belongs to.
pub fn is_granted(grant: Grant<'_>, service_labels: &[&str]) -> String {
    let namespace = grant.namespace.map(|name| format!("dyn(object).metadata.namespace == {}", string(name)));
    let service = grant.service.map(|name| {
        let is = |at: &&str| format!("{} == optional.of({})", label("dyn(object)", at), string(name));
        match service_labels {
            [one] => is(one),
            many => format!("({})", many.iter().map(is).collect::<Vec<_>>().join(" || ")),
        }
    });
    let selected = grant.namespace_selector.map(selects).unwrap_or_default();
    let terms = namespace.into_iter().chain(service).chain(selected).chain([is_before(grant.expires_at)]);
    format!("({})", terms.collect::<Vec<_>>().join(" && "))
}

/// The request comes before a time: its own time is the newest in `managedFields`, which a client can forge for others and
/// not for itself. One that only takes fields away has no time of its own: the newest is that of the write before it.
fn is_before(end: Timestamp) -> String {
    format!(
        "dyn(object).metadata[?'managedFields'].orValue([]).all(m, \
         !has(m.time) || timestamp(string(m.time)) < timestamp({}))",
        string(&end.to_string())
    )
}

/// The request comes within a time, which so ends by itself.
pub fn is_within((start, end): (Timestamp, Timestamp)) -> String {
    format!(
        "dyn(object).metadata[?'managedFields'].orValue([]).exists(m, \
         has(m.time) && timestamp(string(m.time)) >= timestamp({})) && {}",
        string(&start.to_string()),
        is_before(end)
    )
}

/// A selector of namespaces, as CEL.
pub fn selects(selector: &NamespaceSelector) -> Vec<String> {
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
