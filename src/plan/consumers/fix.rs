//! What the fix of a Deprecation does to one object: what of it the object does not have yet, or why it is no way out.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::matcher::{Matcher, Sight};

/// Fields of an object that no patch of it can change.
const IDENTITY: [&str; 5] = ["/apiVersion", "/kind", "/metadata/name", "/metadata/namespace", "/metadata/uid"];

/// Why a fix is no way out for an object.
#[derive(thiserror::Error, Clone, Debug, PartialEq, Eq)]
pub enum Unfit {
    /// The API server would refuse it.
    #[error("it changes {0}, which no patch can change")]
    Identity(&'static str),
    /// The object is old with it as well.
    #[error("match {0} holds with it as well")]
    StillOld(String),
    /// Nobody can tell.
    #[error("the expression of match {0} fails with it")]
    Unevaluable(String),
}

/// Whether a patch is about a field that none can change.
#[must_use]
pub fn names_identity(patch: &Map<String, Value>) -> bool {
    let of_the_object = patch.contains_key("apiVersion") || patch.contains_key("kind");
    let named = |metadata: &Value| ["name", "namespace", "uid"].iter().any(|field| metadata.get(field).is_some());
    of_the_object || patch.get("metadata").is_some_and(named)
}

/// What is remembered of that for each object.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Remedy {
    /// There is no fix.
    #[default]
    None,
    /// This merge patch, as JSON, makes it a new one.
    Patch(Arc<str>),
    /// The fix does not, with the reason.
    Unfit(Arc<str>),
}

/// The merge patch that makes an old object a new one: `fix` without what the object has already. `entries` are those that
/// look at the object, each with its name; `namespace` is null for an object that is in none.
pub fn remedy<'a>(
    fix: &Map<String, Value>,
    object: &Value,
    namespace: &Value,
    entries: impl IntoIterator<Item = (&'a str, &'a Matcher)>,
) -> Result<Map<String, Value>, Unfit> {
    let patch = missing(fix, object);
    let mut fixed = object.clone();
    json_patch::merge(&mut fixed, &Value::Object(patch.clone()));
    if let Some(field) = IDENTITY.into_iter().find(|field| fixed.pointer(field) != object.pointer(field)) {
        return Err(Unfit::Identity(field.trim_start_matches('/')));
    }
    for (name, matcher) in entries {
        match matcher.look(&fixed, namespace) {
            Sight::NotMatched => {}
            Sight::Matched { .. } => return Err(Unfit::StillOld(name.to_owned())),
            Sight::Unevaluable(_) => return Err(Unfit::Unevaluable(name.to_owned())),
        }
    }
    Ok(patch)
}

/// The part of a merge patch that changes something.
fn missing(patch: &Map<String, Value>, object: &Value) -> Map<String, Value> {
    let needed = |(key, wanted): (&String, &Value)| {
        let there = object.get(key);
        let part = match (wanted, there) {
            (Value::Null, there) => there.map(|_| Value::Null),
            (Value::Object(wanted), Some(there @ Value::Object(_))) => {
                Some(missing(wanted, there)).filter(|part| !part.is_empty()).map(Value::Object)
            }
            // where nothing is, an empty object is something
            (Value::Object(wanted), _) => Some(Value::Object(missing(wanted, &Value::Null))),
            (wanted, there) => (there != Some(wanted)).then(|| wanted.clone()),
        };
        part.map(|part| (key.clone(), part))
    };
    patch.iter().filter_map(needed).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;
    use serde_json::json;

    use super::*;
    use crate::api::DeprecationMatch;

    fn map(value: &Value) -> Map<String, Value> {
        value.as_object().unwrap().clone()
    }

    fn matcher(fields: &Value) -> Matcher {
        let mut entry =
            json!({"name": "old", "resourceRules": [{"apiGroups": ["apps"], "resources": ["deployments"]}]});
        entry.as_object_mut().unwrap().extend(map(fields));
        Matcher::compile(&serde_json::from_value::<DeprecationMatch>(entry).unwrap()).unwrap()
    }

    fn object() -> Value {
        json!({
            "apiVersion": "networking.k8s.io/v1", "kind": "Ingress",
            "metadata": {"name": "web", "namespace": "shop", "annotations": {"kind": "old"},
                "managedFields": [{"manager": "helm", "apiVersion": "extensions/v1beta1"}]},
            "spec": {"ingressClassName": "legacy", "tls": [{"secretName": "a"}]},
        })
    }

    #[rstest]
    #[case::as_written(json!({"spec": {"ingressClassName": "new"}}), json!({"spec": {"ingressClassName": "new"}}))]
    #[case::what_is_there_stays_out(
        json!({"metadata": {"annotations": {"kind": "old"}}, "spec": {"ingressClassName": "new", "tls": [{"secretName": "a"}]}}),
        json!({"spec": {"ingressClassName": "new"}})
    )]
    #[case::what_is_not_there_need_not_go(
        json!({"metadata": {"annotations": {"gone": null}}, "spec": {"ingressClassName": null, "nothing": null}}),
        json!({"spec": {"ingressClassName": null}})
    )]
    #[case::new_branches(
        json!({"metadata": {"labels": {"a": "b", "c": null}}, "spec": {"ingressClassName": "new"}}),
        json!({"metadata": {"labels": {"a": "b"}}, "spec": {"ingressClassName": "new"}})
    )]
    #[case::lists_are_whole(
        json!({"spec": {"ingressClassName": "new", "tls": [{"secretName": "b"}]}}),
        json!({"spec": {"ingressClassName": "new", "tls": [{"secretName": "b"}]}})
    )]
    fn the_patch_is_what_the_object_does_not_have_yet(#[case] fix: Value, #[case] expected: Value) {
        let old = matcher(&json!({"expression": "object.spec.?ingressClassName.orValue('') == 'legacy'"}));
        assert_eq!(remedy(&map(&fix), &object(), &Value::Null, [("old", &old)]), Ok(map(&expected)));
    }

    #[rstest]
    #[case::misses(json!({"spec": {"className": "new"}}), json!({"expression": "object.spec.ingressClassName == 'legacy'"}),
        Unfit::StillOld("old".into()))]
    #[case::is_there_already(json!({"spec": {"ingressClassName": "legacy"}}), json!({"expression": "true"}),
        Unfit::StillOld("old".into()))]
    #[case::takes_away_what_is_asked(json!({"spec": {"ingressClassName": null}}),
        json!({"expression": "object.spec.ingressClassName == 'legacy'"}), Unfit::Unevaluable("old".into()))]
    #[case::renames(json!({"metadata": {"name": "other"}}), json!({"expression": "object.metadata.name == 'web'"}),
        Unfit::Identity("metadata/name"))]
    #[case::who_writes_goes_on(json!({"spec": {"ingressClassName": "new"}}), json!({"writtenAs": ["extensions/v1beta1"]}),
        Unfit::StillOld("old".into()))]
    fn a_fix_that_is_no_way_out_is_noticed(#[case] fix: Value, #[case] entry: Value, #[case] expected: Unfit) {
        assert_eq!(remedy(&map(&fix), &object(), &Value::Null, [("old", &matcher(&entry))]), Err(expected));
    }

    #[test]
    fn an_object_must_be_old_by_no_entry() {
        let (first, second) = (
            matcher(&json!({"expression": "object.spec.ingressClassName == 'legacy'"})),
            matcher(&json!({"expression": "object.spec.ingressClassName == 'new'"})),
        );
        let fix = map(&json!({"spec": {"ingressClassName": "new"}}));
        let out = remedy(&fix, &object(), &Value::Null, [("first", &first), ("second", &second)]);
        assert_eq!(out, Err(Unfit::StillOld("second".into())));
    }

    fn value(depth: u32) -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![Just(Value::Null), (0..3).prop_map(|n| json!(n)), Just(json!([1])), Just(json!({}))];
        leaf.prop_recursive(depth, 20, 3, |inner| {
            prop::collection::btree_map("[abc]", inner, 0..3).prop_map(|all| json!(all))
        })
    }

    proptest! {
        /// What is left out changes nothing: the object comes out as with the whole patch.
        #[test]
        fn the_part_does_what_the_whole_does(object in value(3), patch in prop::collection::btree_map("[abc]", value(3), 0..4)) {
            let patch = map(&json!(patch));
            let (mut whole, mut part) = (object.clone(), object.clone());
            json_patch::merge(&mut whole, &Value::Object(patch.clone()));
            let missing = missing(&patch, &object);
            json_patch::merge(&mut part, &Value::Object(missing.clone()));
            // an object of an API server is always a map
            prop_assume!(object.is_object());
            prop_assert_eq!(&part, &whole);
            prop_assert!(super::missing(&patch, &part).is_empty(), "{:?} is missing still", missing);
        }
    }
}
