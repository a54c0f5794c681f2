//! What of an object goes into a proof. The objects are other people's, and a policy can be read by others than they can: what
//! an entry does not name stays where it is.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use crate::api::DeprecationMatch;

/// Names in the way to an image.
const OF_IMAGES: [&str; 7] =
    ["spec", "template", "jobTemplate", "containers", "initContainers", "ephemeralContainers", "image"];
/// Names in what a field manager leaves.
const OF_MANAGERS: [&str; 7] =
    ["metadata", "managedFields", "manager", "operation", "apiVersion", "subresource", "time"];

/// The part of an object that an entry looks at: the fields that it names. Where it names none of a map, since it goes through
/// all of them, their names stay, with empty texts.
#[must_use]
pub fn seen_by(entry: &DeprecationMatch, object: &Value) -> Value {
    let text = entry.expression.as_deref().unwrap_or_default();
    let mut names: BTreeSet<&str> = text.split(|c: char| !c.is_alphanumeric() && c != '_').collect();
    if !entry.images.is_empty() {
        names.extend(OF_IMAGES);
    }
    if !entry.written_as.is_empty() {
        names.extend(OF_MANAGERS);
    }
    Names { text, names }.of(object)
}

struct Names<'a> {
    text: &'a str,
    names: BTreeSet<&'a str>,
}

impl Names<'_> {
    fn has(&self, name: &str) -> bool {
        let is_plain = name.chars().all(|c| c.is_alphanumeric() || c == '_');
        if is_plain { self.names.contains(name) } else { self.text.contains(name) }
    }

    fn of(&self, value: &Value) -> Value {
        match value {
            Value::Array(list) => list.iter().map(|member| self.of(member)).collect(),
            Value::Object(fields) => {
                let named: Map<String, Value> =
                    fields.iter().filter(|(k, _)| self.has(k)).map(|(k, v)| (k.clone(), self.of(v))).collect();
                Value::Object(if named.is_empty() { empty(fields) } else { named })
            }
            other => other.clone(),
        }
    }
}

/// A map in which nothing is named: what is in its maps and lists is not looked at either.
fn empty(fields: &Map<String, Value>) -> Map<String, Value> {
    let emptied = |value: &Value| match value {
        Value::String(_) => Value::String(String::new()),
        Value::Array(_) => Value::Array(Vec::new()),
        Value::Object(_) => Value::Object(Map::new()),
        other => other.clone(),
    };
    fields.iter().map(|(k, v)| (k.clone(), emptied(v))).collect()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    #[rstest]
    #[case::a_field(
        json!({"expression": "object.spec.?ingressClassName.orValue('') == 'legacy'"}),
        json!({"spec": {"ingressClassName": "legacy"}})
    )]
    #[case::an_annotation(
        json!({"expression": "'acme.com/old' in object.metadata.annotations"}),
        json!({"metadata": {"annotations": {"acme.com/old": "yes"}}})
    )]
    #[case::any_annotation(
        json!({"expression": "object.metadata.annotations.exists(k, k.startsWith('acme'))"}),
        json!({"metadata": {"annotations": {"acme.com/old": "", "secret": ""}}})
    )]
    #[case::images(
        json!({"images": ["java8*"]}),
        json!({"spec": {"template": {"spec": {"containers": [{"image": "java8:1"}]}}}})
    )]
    #[case::writers(
        json!({"writtenAs": ["apps/v1beta1"]}),
        json!({"metadata": {"managedFields": [{"manager": "helm", "apiVersion": "apps/v1beta1", "time": "t"}]}})
    )]
    fn what_an_entry_does_not_name_stays_out(#[case] says: Value, #[case] expected: Value) {
        let mut entry = json!({"name": "m", "resourceRules": []});
        entry.as_object_mut().unwrap().extend(says.as_object().unwrap().clone());
        let entry: DeprecationMatch = serde_json::from_value(entry).unwrap();
        let container = json!({"name": "app", "image": "java8:1", "env": [{"name": "PASSWORD", "value": "hunter2"}]});
        let object = json!({
            "metadata": {
                "name": "web",
                "annotations": {"acme.com/old": "yes", "secret": "hunter2"},
                "managedFields": [{"manager": "helm", "apiVersion": "apps/v1beta1", "time": "t", "fieldsV1": {"f:spec": {}}}],
            },
            "spec": {"ingressClassName": "legacy", "template": {"spec": {"containers": [container]}}},
            "data": {"password": "hunter2"},
        });
        assert_eq!(seen_by(&entry, &object), expected);
    }
}
