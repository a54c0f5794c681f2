//! What to do about a path that comes with the chart: it is ours to change for as long as nobody else has.

use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::revision::hex;
use crate::api::crds;
use crate::api::labels;

/// What to do about one shipped path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// It is not there.
    Create,
    /// It is as an earlier chart shipped it.
    Update,
    /// It is as this chart ships it.
    Nothing,
    /// Somebody has changed it: it is theirs now.
    KeepEdited,
    /// Somebody else has made it, or has taken our mark off.
    KeepForeign,
}

/// Decides by content: the annotation says what was shipped, so whatever differs from it was edited.
///
/// Field managers cannot tell: who takes a default out leaves no trace in them. Nor can the generation, which starts anew
/// when an object is deleted and applied again.
#[must_use]
pub fn step(live: Option<&Value>, shipped: &Value) -> Step {
    let Some(live) = live else { return Step::Create };
    let mark = live["metadata"]["annotations"][labels::SHIPPED].as_str();
    let Some(mark) = mark else { return Step::KeepForeign };
    let (is, wanted) = (self::mark(&live["spec"]), self::mark(&shipped["spec"]));
    match () {
        () if is == wanted && mark == wanted => Step::Nothing,
        // also when somebody has edited it into what is shipped now: from here on it follows the chart again
        () if is == wanted || is == mark => Step::Update,
        () => Step::KeepEdited,
    }
}

/// The value of [`labels::SHIPPED`] for a spec: a hash of what it says.
///
/// A field that holds its default says nothing. The API server adds the defaults to what it gives back, and a later
/// definition may have more of them: a path would look edited that nobody has touched.
#[must_use]
pub fn mark(spec: &Value) -> String {
    let definitions = serde_json::to_value(crds::all()).unwrap_or_default();
    let paths = definitions.as_array().into_iter().flatten().find(|crd| crd["spec"]["names"]["kind"] == "GoldenPath");
    let schema = paths.and_then(|crd| crd.pointer("/spec/versions/0/schema/openAPIV3Schema/properties/spec"));
    let said = without_defaults(schema.unwrap_or(&Value::Null), spec);
    hex(&Sha256::digest(said.to_string().as_bytes())[..8])
}

fn without_defaults(schema: &Value, value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let mut said = Map::new();
            for (name, value) in fields {
                let schema = &schema["properties"][name];
                let value = without_defaults(schema, value);
                if schema.get("default") != Some(&value) {
                    said.insert(name.clone(), value);
                }
            }
            Value::Object(said)
        }
        Value::Array(items) => items.iter().map(|item| without_defaults(&schema["items"], item)).collect(),
        value => value.clone(),
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    /// As it lies in the chart.
    fn shipped(version: &str) -> Value {
        let default = json!({"name": "token", "podTemplate": {"spec": {"automountServiceAccountToken": false}}});
        json!({"spec": {"version": version, "defaults": [default]}})
    }

    /// As the API server gives it back: with the defaults of the definition.
    fn live(version: &str, mark: Option<&str>) -> Value {
        let mut object = shipped(version);
        object["spec"]["stage"] = json!("Stable");
        object["spec"]["defaults"][0]["weight"] = json!(1);
        object["spec"]["defaults"][0]["timing"] = json!("OnNextRollout");
        if let Some(shipped_as) = mark {
            object["metadata"]["annotations"][labels::SHIPPED] = json!(super::mark(&shipped(shipped_as)["spec"]));
        }
        object
    }

    #[rstest]
    #[case::missing(None, Step::Create)]
    #[case::of_this_chart(Some(live("2", Some("2"))), Step::Nothing)]
    #[case::of_an_earlier_chart(Some(live("1", Some("1"))), Step::Update)]
    #[case::of_a_later_chart_before_a_rollback(Some(live("3", Some("3"))), Step::Update)]
    #[case::edited(Some(live("mine", Some("1"))), Step::KeepEdited)]
    #[case::edited_into_what_is_shipped_now(Some(live("2", Some("1"))), Step::Update)]
    #[case::made_by_somebody_else(Some(live("2", None)), Step::KeepForeign)]
    fn what_nobody_has_edited_follows_the_chart(#[case] live: Option<Value>, #[case] expected: Step) {
        assert_eq!(step(live.as_ref(), &shipped("2")), expected);
    }

    #[test]
    fn a_default_that_somebody_took_out_is_an_edit() {
        let mut object = live("1", Some("1"));
        object["spec"]["defaults"] = json!([]);
        assert_eq!(step(Some(&object), &shipped("2")), Step::KeepEdited);
    }

    #[test]
    fn a_value_that_happens_to_be_a_default_elsewhere_counts() {
        let spec = |value: Value| json!({"defaults": [{"name": "a", "podTemplate": {"spec": {"weight": value}}}]});
        assert_ne!(mark(&spec(json!(1))), mark(&json!({"defaults": [{"name": "a", "podTemplate": {"spec": {}}}]})));
    }
}
