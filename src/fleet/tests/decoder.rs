//! The slim decoder against k8s-openapi's: on whatever both can read, they read the same.

use k8s_openapi::api::apps::v1::{DaemonSet, Deployment};
use proptest::prelude::*;

use super::*;

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

/// Only JSON that an API server can send: one value for each name.
fn has_duplicates(text: &str) -> bool {
    serde_json::from_str::<Unique>(text).is_err()
}

/// Fails on two members of one name, at any depth.
struct Unique;

impl<'de> serde::Deserialize<'de> for Unique {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> serde::de::Visitor<'de> for Visitor {
            type Value = Unique;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("JSON")
            }
            fn visit_unit<E>(self) -> Result<Unique, E> {
                Ok(Unique)
            }
            fn visit_bool<E>(self, _: bool) -> Result<Unique, E> {
                Ok(Unique)
            }
            fn visit_i64<E>(self, _: i64) -> Result<Unique, E> {
                Ok(Unique)
            }
            fn visit_u64<E>(self, _: u64) -> Result<Unique, E> {
                Ok(Unique)
            }
            fn visit_f64<E>(self, _: f64) -> Result<Unique, E> {
                Ok(Unique)
            }
            fn visit_str<E>(self, _: &str) -> Result<Unique, E> {
                Ok(Unique)
            }
            fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut items: A) -> Result<Unique, A::Error> {
                while items.next_element::<Unique>()?.is_some() {}
                Ok(Unique)
            }
            fn visit_map<A: serde::de::MapAccess<'de>>(self, mut members: A) -> Result<Unique, A::Error> {
                let mut names = std::collections::HashSet::new();
                while let Some((name, _)) = members.next_entry::<String, Unique>()? {
                    if !names.insert(name) {
                        return Err(serde::de::Error::custom("twice"));
                    }
                }
                Ok(Unique)
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

fn compare(text: &str) -> Result<(), TestCaseError> {
    let slim = serde_json::from_str::<Slim<'_>>(text);
    let Ok(typed) = serde_json::from_str::<Deployment>(text) else { return Ok(()) };
    if has_duplicates(text) {
        return Ok(());
    }
    // a field that only DaemonSets have may be anything in a Deployment
    let daemon_set = serde_json::from_str::<DaemonSet>(&text.replace("\"Deployment\"", "\"DaemonSet\""));
    let Ok(slim) = slim else {
        prop_assert!(daemon_set.is_err(), "only k8s-openapi reads {}", text);
        return Ok(());
    };
    let metadata = typed.metadata;
    let label = |name: &str| metadata.labels.as_ref().and_then(|labels| labels.get(name)).map(String::as_str);
    prop_assert_eq!(&*slim.metadata.name, metadata.name.as_deref().unwrap_or_default());
    prop_assert_eq!(&*slim.metadata.namespace, metadata.namespace.as_deref().unwrap_or_default());
    prop_assert_eq!(slim.version(), metadata.resource_version.as_ref().and_then(|version| version.parse().ok()));
    prop_assert_eq!(slim.team(), label("goldenpath.dev/team").filter(|team| !team.is_empty()));
    prop_assert_eq!(slim.service(), label("goldenpath.dev/service"));
    prop_assert_eq!(
        slim.is_managed(),
        metadata.owner_references.iter().flatten().any(|owner| owner.controller == Some(true))
    );
    let replicas = typed.spec.and_then(|spec| spec.replicas).unwrap_or(1);
    prop_assert_eq!(slim.replicas(DEPLOYMENT), u32::try_from(replicas).unwrap_or(0));
    if let Ok(daemon_set) = daemon_set {
        let wanted = daemon_set.status.map_or(0, |status| status.desired_number_scheduled);
        prop_assert_eq!(slim.replicas(WorkloadKind::DaemonSet), u32::try_from(wanted).unwrap_or(0));
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    #[test]
    fn both_decoders_read_the_same(text in prop_oneof![1 => json_like(), 3 => nearly()]) {
        compare(&text)?;
    }
}
