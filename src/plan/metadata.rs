//! What an object's metadata says, and the conditions of its status.

use std::collections::BTreeMap;

use json_patch::jsonptr::PointerBuf;
use k8s_openapi::jiff::Timestamp;
use serde_json::Value;

/// A label of an object.
#[must_use]
pub fn label<'a>(object: &'a Value, name: &str) -> Option<&'a str> {
    object.pointer("/metadata/labels")?.get(name)?.as_str()
}

/// All labels of an object.
#[must_use]
pub fn labels(object: &Value) -> BTreeMap<String, String> {
    let labels = object.pointer("/metadata/labels").and_then(Value::as_object);
    let text = |(name, value): (&String, &Value)| Some((name.clone(), value.as_str()?.to_owned()));
    labels.into_iter().flatten().filter_map(text).collect()
}

/// An annotation of an object.
#[must_use]
pub fn annotation<'a>(object: &'a Value, name: &str) -> Option<&'a str> {
    object.pointer("/metadata/annotations")?.get(name)?.as_str()
}

/// A JSON pointer to `path`, escaped, beginning with '/'. Source: RFC 6901.
#[must_use]
pub fn pointer<'a>(path: impl IntoIterator<Item = &'a str>) -> String {
    PointerBuf::from_tokens(path).to_string()
}

/// Whether an object was deleted and waits for its finalizers.
#[must_use]
pub fn is_ending(object: &Value) -> bool {
    object.pointer("/metadata/deletionTimestamp").is_some()
}

/// The UID of an object; empty for one that was never stored.
#[must_use]
pub fn uid(object: &Value) -> &str {
    object.pointer("/metadata/uid").and_then(Value::as_str).unwrap_or_default()
}

/// The records of who wrote what: the entries of `managedFields`, in their order.
pub fn records(object: &Value) -> impl Iterator<Item = &Value> {
    object.pointer("/metadata/managedFields").and_then(Value::as_array).into_iter().flatten()
}

/// When the newest of some records was written. The API server renews the time of one with each change of a value, and not
/// with a write that changes none.
pub fn newest<'a>(records: impl Iterator<Item = &'a Value>) -> Option<Timestamp> {
    records.filter_map(|record| record.get("time")?.as_str()?.parse().ok()).max()
}

/// The condition of a type in an object's status, if it has this status.
#[must_use]
pub fn condition<'a>(object: &'a Value, type_: &str, status: &str) -> Option<&'a Value> {
    let is = |condition: &Value, field: &str, value: &str| condition.get(field).and_then(Value::as_str) == Some(value);
    let all = object.pointer("/status/conditions").and_then(Value::as_array)?;
    all.iter().find(|condition| is(condition, "type", type_) && is(condition, "status", status))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pointer_is_escaped() {
        assert_eq!(pointer(["limits", "nvidia.com/gpu", "a~b"]), "/limits/nvidia.com~1gpu/a~0b");
    }
}
