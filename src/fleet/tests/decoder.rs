//! The slim decoder against k8s-openapi's: on whatever both can read, they read the same.

use proptest::prelude::*;

use super::compare::compare;

/// JSON that looks like a Deployment, with anything in any place.
fn json_like() -> impl Strategy<Value = String> {
    let scalar = prop_oneof![
        Just("null".to_owned()),
        Just("true".to_owned()),
        any::<i32>().prop_map(|n| n.to_string()),
        Just("1e99".to_owned()),
        Just(r#""\u00e4\n\"\\""#.to_owned()),
        "\"[a-z]{0,8}\"",
        Just("\"7\"".to_owned()),
    ];
    let key = prop_oneof![
        Just("metadata"),
        Just("spec"),
        Just("status"),
        Just("name"),
        Just("namespace"),
        Just("resourceVersion"),
        Just("labels"),
        Just("annotations"),
        Just("ownerReferences"),
        Just("controller"),
        Just("replicas"),
        Just("goldenpath.dev/team"),
        Just("goldenpath.dev/service"),
        Just("desiredNumberScheduled"),
        Just("other"),
    ];
    scalar.prop_recursive(5, 48, 6, move |inner| {
        let member = (key.clone(), inner.clone()).prop_map(|(key, value)| format!("\"{key}\":{value}"));
        prop_oneof![
            3 => prop::collection::vec(member, 0..6).prop_map(|members| format!("{{{}}}", members.join(","))),
            1 => prop::collection::vec(inner, 0..4).prop_map(|items| format!("[{}]", items.join(","))),
        ]
    })
}

/// A plausible Deployment with one part replaced by something else, or cut off.
fn nearly() -> impl Strategy<Value = String> {
    (json_like(), 0..8usize, any::<prop::sample::Index>(), any::<bool>()).prop_map(|(part, place, cut, whole)| {
        let at = |n: usize, usual: &str| if n == place { part.clone() } else { usual.to_owned() };
        let text = format!(
            r#"{{"apiVersion":"apps/v1","kind":"Deployment","metadata":{{"name":{},"namespace":{},"resourceVersion":{},"labels":{},
            "ownerReferences":{},"managedFields":[{{"fieldsV1":{}}}]}},"spec":{{"replicas":{},"selector":{{}},"template":{{}}}},"status":{}}}"#,
            at(0, "\"web\""), at(1, "\"shop\""), at(2, "\"17\""),
            at(3, r#"{"a":"b","goldenpath.dev/team":"t","goldenpath.dev/service":"s"}"#),
            at(4, r#"[{"apiVersion":"v1","kind":"K","name":"n","uid":"u","controller":true}]"#),
            at(5, r#"{"f:spec":{}}"#), at(6, "3"), at(7, r#"{"replicas":1}"#),
        );
        let end = text.char_indices().nth(cut.index(text.chars().count())).map_or(0, |(end, _)| end);
        if whole { text } else { text[..end].to_owned() }
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    #[test]
    fn both_decoders_read_the_same(text in prop_oneof![1 => json_like(), 3 => nearly()]) {
        compare(&text).map_err(TestCaseError::fail)?;
    }
}
