//! One text read by both decoders. The fuzz target uses this file too.

use std::collections::HashSet;

use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, StatefulSet};

use super::{Slim, WorkloadKind};

/// What the fleet reads of an object.
#[derive(Debug, PartialEq, Eq)]
struct Read {
    name: String,
    namespace: String,
    version: Option<u64>,
    team: Option<String>,
    service: Option<String>,
    managed: bool,
    replicas: u32,
    scheduled: Option<u32>,
}

/// An error where the slim decoder reads a Deployment otherwise than the typed one, or not at all.
pub fn compare(text: &str) -> Result<(), String> {
    let Ok(typed) = serde_json::from_str::<Deployment>(text) else { return Ok(()) };
    if serde_json::from_str::<Unique>(text).is_err() {
        return Ok(());
    }
    // a field that only other kinds have may be anything in a Deployment
    let daemon_set = serde_json::from_str::<DaemonSet>(&text.replace("\"Deployment\"", "\"DaemonSet\"")).ok();
    let stateful = serde_json::from_str::<StatefulSet>(&text.replace("\"Deployment\"", "\"StatefulSet\"")).is_ok();
    let Ok(slim) = serde_json::from_str::<Slim<'_>>(text) else {
        let others = daemon_set.filter(|_| stateful);
        return others.map_or(Ok(()), |_| Err(format!("only k8s-openapi reads {text}")));
    };
    let scheduled = daemon_set.as_ref().map(|_| slim.replicas(WorkloadKind::DaemonSet));
    let ours = Read {
        name: slim.metadata.name.to_string(),
        namespace: slim.metadata.namespace.to_string(),
        version: slim.version(),
        team: slim.team().map(ToOwned::to_owned),
        service: slim.service().map(ToOwned::to_owned),
        managed: slim.is_managed(),
        replicas: slim.replicas(WorkloadKind::Deployment),
        scheduled,
    };
    let theirs = read(typed, daemon_set);
    if ours == theirs { Ok(()) } else { Err(format!("{ours:?} against {theirs:?} in {text}")) }
}

fn read(typed: Deployment, daemon_set: Option<DaemonSet>) -> Read {
    let metadata = typed.metadata;
    let label = |name: &str| metadata.labels.as_ref().and_then(|labels| labels.get(name)).cloned();
    let count = |wanted: i32| u32::try_from(wanted).unwrap_or(0);
    Read {
        team: label("goldenpath.dev/team").filter(|team| !team.is_empty()),
        service: label("goldenpath.dev/service"),
        version: metadata.resource_version.as_ref().and_then(|version| version.parse().ok()),
        managed: metadata.owner_references.iter().flatten().any(|owner| owner.controller == Some(true)),
        replicas: count(typed.spec.and_then(|spec| spec.replicas).unwrap_or(1)),
        scheduled: daemon_set.map(|set| count(set.status.map_or(0, |status| status.desired_number_scheduled))),
        name: metadata.name.unwrap_or_default(),
        namespace: metadata.namespace.unwrap_or_default(),
    }
}

/// Fails on two members of one name, at any depth: no API server sends that, and the decoders need not agree on it.
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
                let mut names = HashSet::new();
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
