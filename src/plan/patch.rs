//! `template.patch`: a merge patch of the generated workload, in which lists of named things are merged by name.
//!
//! JSON merge patch (RFC 7386) as everybody knows it, but for lists: one that replaced `containers` would have to repeat
//! the whole container to add a mount. Kubernetes' own strategic merge needs a schema for each list; names need none, and
//! the lists that people patch (containers, volumes, environment variables, ports) have them.

use serde_json::{Map, Value};

/// Merges `patch` into `target`. A null takes a field out.
pub fn merge(target: &mut Value, patch: &Value) {
    match (target, patch) {
        (Value::Object(target), Value::Object(patch)) => {
            for (name, value) in patch {
                if value.is_null() {
                    target.remove(name);
                } else {
                    merge(target.entry(name.clone()).or_insert(Value::Null), value);
                }
            }
        }
        (Value::Array(target), Value::Array(patch)) if are_named(target) && are_named(patch) => {
            for entry in patch {
                match target.iter_mut().find(|t| t["name"] == entry["name"]) {
                    Some(found) => merge(found, entry),
                    None => target.push(without_nulls(entry)),
                }
            }
        }
        (target, patch) => *target = without_nulls(patch),
    }
}

fn are_named(list: &[Value]) -> bool {
    !list.is_empty() && list.iter().all(|entry| entry.get("name").is_some_and(Value::is_string))
}

/// The same value without fields that are null: those say that nothing stands there.
#[must_use]
pub fn without_nulls(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let kept = fields.iter().filter(|(_, value)| !value.is_null());
            Value::Object(kept.map(|(name, value)| (name.clone(), without_nulls(value))).collect::<Map<_, _>>())
        }
        Value::Array(items) => Value::Array(items.iter().map(without_nulls).collect()),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    #[rstest]
    #[case::a_field_is_added(json!({"a": 1}), json!({"b": {"c": 2}}), json!({"a": 1, "b": {"c": 2}}))]
    #[case::a_field_is_replaced(json!({"a": {"b": 1, "c": 2}}), json!({"a": {"b": 3}}), json!({"a": {"b": 3, "c": 2}}))]
    #[case::null_takes_out(json!({"a": {"b": 1, "c": 2}}), json!({"a": {"b": null}}), json!({"a": {"c": 2}}))]
    #[case::null_of_nothing(json!({}), json!({"a": {"b": null}}), json!({"a": {}}))]
    #[case::named_entries_are_merged(
        json!({"containers": [{"name": "a", "image": "1"}, {"name": "b"}]}),
        json!({"containers": [{"name": "a", "tty": true}, {"name": "c", "tty": null}]}),
        json!({"containers": [{"name": "a", "image": "1", "tty": true}, {"name": "b"}, {"name": "c"}]})
    )]
    #[case::other_lists_are_replaced(json!({"args": ["a", "b"]}), json!({"args": ["c"]}), json!({"args": ["c"]}))]
    #[case::half_named_lists_are_replaced(json!({"l": [{"name": "a"}]}), json!({"l": [{"b": 1}]}), json!({"l": [{"b": 1}]}))]
    #[case::an_empty_list_replaces(json!({"l": [{"name": "a"}]}), json!({"l": []}), json!({"l": []}))]
    #[case::another_type_replaces(json!({"a": {"b": 1}}), json!({"a": "x"}), json!({"a": "x"}))]
    fn patches_are_merged(#[case] mut target: Value, #[case] patch: Value, #[case] expected: Value) {
        merge(&mut target, &patch);
        assert_eq!(target, expected);
    }
}
