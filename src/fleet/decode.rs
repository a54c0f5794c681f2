//! The few fields of an object that the fleet looks at, borrowed from the bytes that the API server sent.
//!
//! A typed `Deployment` costs 22 to 32 us and 50 kB; this costs a fraction of that and, for a workload without labels of
//! ours, no allocation but the list of its conditions. What stands in other fields is skipped without being understood, however deep it is.

use std::borrow::Cow;

use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::api::{GROUP, WorkloadKind};

/// One line of a watch.
#[derive(Deserialize, Debug)]
#[serde(bound(deserialize = "O: Deserialize<'de>"))]
pub struct Frame<'a, O = Slim<'a>> {
    /// `ADDED`, `MODIFIED`, `DELETED`, `BOOKMARK` or `ERROR`.
    #[serde(rename = "type", borrow)]
    pub event: Cow<'a, str>,
    /// What it is about.
    pub object: O,
}

/// The object of a frame, unread.
#[derive(Deserialize, Debug)]
pub struct RawFrame<'a> {
    /// The object.
    #[serde(borrow)]
    pub object: &'a RawValue,
}

/// A line that says why the watch ends: its object is a `Status`.
#[derive(Deserialize, Debug)]
pub struct ErrorFrame {
    /// `ERROR`.
    #[serde(rename = "type")]
    pub event: String,
    /// What is wrong.
    pub object: ErrorStatus,
}

/// The part of a `Status` that matters.
#[derive(Deserialize, Debug, Default)]
#[serde(default)]
pub struct ErrorStatus {
    /// As in HTTP.
    pub code: u16,
    /// For people.
    pub message: String,
}

/// One page of a list.
#[derive(Deserialize, Debug)]
pub struct Page<'a> {
    /// Where the list stands.
    pub metadata: PageMeta,
    /// Its objects, unread. Null where there is none.
    #[serde(borrow, default)]
    pub items: Option<Vec<&'a RawValue>>,
}

/// Where a list stands.
#[derive(Deserialize, Debug, Default)]
#[serde(rename_all = "camelCase", default)]
pub struct PageMeta {
    /// The version of the whole list.
    pub resource_version: String,
    /// The token of the next page, empty on the last one.
    #[serde(rename = "continue")]
    pub next: Option<String>,
}

/// An object of any resource: nothing but its metadata is looked at before it is known that it matters.
#[derive(Deserialize, Debug, Default)]
pub struct Head<'a> {
    /// Its metadata.
    #[serde(borrow, default, deserialize_with = "or_default")]
    pub metadata: Metadata<'a>,
}

/// What is read of an object of a watch, with the metadata that every watch needs.
pub trait Meta {
    /// The object's metadata.
    fn metadata(&self) -> &Metadata<'_>;
}

impl Meta for Head<'_> {
    fn metadata(&self) -> &Metadata<'_> {
        &self.metadata
    }
}

impl Meta for Slim<'_> {
    fn metadata(&self) -> &Metadata<'_> {
        &self.metadata
    }
}

/// A workload or a namespace.
#[derive(Deserialize, Debug, Default)]
pub struct Slim<'a> {
    /// Its metadata.
    #[serde(borrow, default, deserialize_with = "or_default")]
    pub metadata: Metadata<'a>,
    #[serde(default)]
    pub(super) spec: Option<Spec>,
    #[serde(borrow, default)]
    pub(super) status: Option<Status<'a>>,
}

/// Metadata of an object.
#[derive(Deserialize, Debug, Default)]
#[serde(rename_all = "camelCase")]
pub struct Metadata<'a> {
    /// Its name.
    #[serde(borrow, default, deserialize_with = "text")]
    pub name: Cow<'a, str>,
    /// Its namespace, empty for a namespace.
    #[serde(borrow, default, deserialize_with = "text")]
    pub namespace: Cow<'a, str>,
    /// Its version; versions of one resource are comparable numbers (KEP-5504).
    #[serde(borrow, default, deserialize_with = "text")]
    pub resource_version: Cow<'a, str>,
    #[serde(default)]
    labels: Option<Labels>,
    #[serde(default)]
    pub(super) generation: Option<i64>,
    #[serde(borrow, default)]
    pub(super) annotations: Option<Annotations<'a>>,
    #[serde(borrow, default)]
    owner_references: Option<Vec<Owner<'a>>>,
}

#[derive(Deserialize, Debug)]
struct Labels {
    #[serde(rename = "goldenpath.dev/team")]
    team: Option<String>,
    #[serde(rename = "goldenpath.dev/service")]
    service: Option<String>,
    #[serde(rename = "goldenpath.dev/template")]
    template: Option<String>,
}

#[derive(Deserialize, Debug)]
pub(super) struct Annotations<'a> {
    #[serde(rename = "k8s.io/initial-events-end")]
    initial_events_end: Option<String>,
    /// When what it runs was committed, as whoever deploys it says.
    #[serde(rename = "goldenpath.dev/commit-timestamp")]
    pub committed: Option<String>,
    /// Number of a Deployment's template.
    #[serde(borrow, default, rename = "deployment.kubernetes.io/revision", deserialize_with = "text")]
    pub revision: Cow<'a, str>,
    /// Number of a DaemonSet's template.
    #[serde(borrow, default, rename = "deprecated.daemonset.template.generation", deserialize_with = "text")]
    pub template_generation: Cow<'a, str>,
}

#[derive(Deserialize, Debug)]
#[serde(rename_all = "camelCase")]
struct Owner<'a> {
    #[serde(default)]
    controller: Option<bool>,
    #[serde(borrow, default, deserialize_with = "text")]
    kind: Cow<'a, str>,
    #[serde(borrow, default, deserialize_with = "text")]
    api_version: Cow<'a, str>,
}

impl Owner<'_> {
    /// A service that made the workload from a template: it is the team's like any other.
    fn is_service(&self) -> bool {
        let group = self.api_version.split_once('/').map_or("", |(group, _)| group);
        self.kind == "PlatformService" && group == GROUP
    }
}

#[derive(Deserialize, Debug)]
pub(super) struct Spec {
    #[serde(default)]
    replicas: Option<i32>,
    #[serde(default)]
    pub paused: Option<bool>,
}

/// Of whatever kind: each has some of these.
#[derive(Deserialize, Debug, Default)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Status<'a> {
    desired_number_scheduled: Option<i32>,
    pub current_number_scheduled: Option<i32>,
    pub updated_number_scheduled: Option<i32>,
    pub number_available: Option<i32>,
    pub observed_generation: Option<i64>,
    pub replicas: Option<i32>,
    pub updated_replicas: Option<i32>,
    pub available_replicas: Option<i32>,
    #[serde(borrow, deserialize_with = "text")]
    pub current_revision: Cow<'a, str>,
    #[serde(borrow, deserialize_with = "text")]
    pub update_revision: Cow<'a, str>,
    #[serde(borrow)]
    pub conditions: Option<Vec<Condition<'a>>>,
}

#[derive(Deserialize, Debug)]
#[serde(rename_all = "camelCase")]
pub(super) struct Condition<'a> {
    #[serde(borrow, default, rename = "type", deserialize_with = "text")]
    pub name: Cow<'a, str>,
    #[serde(borrow, default, deserialize_with = "text")]
    pub reason: Cow<'a, str>,
    #[serde(borrow, default, deserialize_with = "text")]
    pub last_update_time: Cow<'a, str>,
}

/// Null is as good as absent, as for the API server.
fn or_default<'de, T: Deserialize<'de> + Default, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
    Option::deserialize(deserializer).map(Option::unwrap_or_default)
}

fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Cow<'de, str>, D::Error> {
    /// By itself serde borrows only what stands in a field of its own.
    #[derive(Deserialize, Default)]
    struct Text<'a>(#[serde(borrow)] Cow<'a, str>);
    or_default(deserializer).map(|Text(text)| text)
}

impl Metadata<'_> {
    /// The bookmark after the last object of a streaming list.
    #[must_use]
    pub fn ends_initial_events(&self) -> bool {
        self.annotations.as_ref().is_some_and(|a| a.initial_events_end.as_deref() == Some("true"))
    }
}

impl Slim<'_> {
    /// The version as a number. Nothing where the server sent something else.
    #[must_use]
    pub fn version(&self) -> Option<u64> {
        self.metadata.resource_version.parse().ok()
    }

    /// The label that names the team.
    #[must_use]
    pub fn team(&self) -> Option<&str> {
        self.metadata.labels.as_ref()?.team.as_deref().filter(|team| !team.is_empty())
    }

    /// The label that names the service which adopted it.
    #[must_use]
    pub fn service(&self) -> Option<&str> {
        self.metadata.labels.as_ref()?.service.as_deref()
    }

    /// Whether a controller owns it, other than the service that it was made for.
    #[must_use]
    pub fn is_managed(&self) -> bool {
        self.controllers().any(|owner| !owner.is_service())
    }

    /// The service that made it from a template and owns it.
    #[must_use]
    pub fn made_for(&self) -> Option<&str> {
        let owned = self.controllers().any(Owner::is_service);
        self.metadata.labels.as_ref()?.template.as_deref().filter(|_| owned)
    }

    fn controllers(&self) -> impl Iterator<Item = &Owner<'_>> {
        self.metadata.owner_references.iter().flatten().filter(|owner| owner.controller == Some(true))
    }

    /// Pods that a workload asks for. A CronJob asks for none by itself.
    #[must_use]
    pub fn replicas(&self, kind: WorkloadKind) -> u32 {
        let wanted = match kind {
            WorkloadKind::Deployment | WorkloadKind::StatefulSet => {
                Some(self.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1))
            }
            WorkloadKind::DaemonSet => self.status.as_ref().and_then(|status| status.desired_number_scheduled),
            WorkloadKind::CronJob => None,
        };
        wanted.and_then(|wanted| u32::try_from(wanted).ok()).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn slim(json: &str) -> Slim<'_> {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn what_the_fleet_looks_at_is_read() {
        let object = slim(
            r#"{"kind": "Deployment", "metadata": {"name": "web", "namespace": "shop", "resourceVersion": "7", "labels":
            {"app": "web", "goldenpath.dev/team": "payments", "goldenpath.dev/service": "checkout"}, "ownerReferences":
            [{"kind": "App", "controller": true}]}, "spec": {"replicas": 3, "template": {}}, "status": {"replicas": 1}}"#,
        );
        assert_eq!((&*object.metadata.name, &*object.metadata.namespace), ("web", "shop"));
        assert!(matches!(object.metadata.name, Cow::Borrowed(_)), "names are borrowed");
        assert_eq!((object.version(), object.team(), object.service()), (Some(7), Some("payments"), Some("checkout")));
        assert!(object.is_managed());
        assert_eq!(object.replicas(WorkloadKind::Deployment), 3);
    }

    #[rstest]
    #[case::a_service("goldenpath.dev/v1alpha1", "PlatformService", false, Some("cart"))]
    #[case::one_of_another_group("example.com/v1", "PlatformService", true, None)]
    #[case::another_controller("apps/v1", "ReplicaSet", true, None)]
    fn what_a_service_made_is_not_managed(
        #[case] version: &str,
        #[case] kind: &str,
        #[case] managed: bool,
        #[case] made_for: Option<&str>,
    ) {
        let json = format!(
            r#"{{"metadata": {{"labels": {{"goldenpath.dev/template": "cart"}}, "ownerReferences":
            [{{"apiVersion": "{version}", "kind": "{kind}", "controller": true}}]}}}}"#
        );
        let object = slim(&json);
        assert_eq!((object.is_managed(), object.made_for(), object.service()), (managed, made_for, None));
    }

    #[rstest]
    #[case::nothing_at_all("{}", 1)]
    #[case::nulls(
        r#"{"metadata": {"labels": null, "annotations": null, "ownerReferences": null}, "spec": null, "status": null}"#,
        1
    )]
    #[case::no_replicas(r#"{"spec": {}}"#, 1)]
    #[case::scaled_to_nothing(r#"{"spec": {"replicas": 0}}"#, 0)]
    #[case::less_than_nothing(r#"{"spec": {"replicas": -1}}"#, 0)]
    fn missing_fields_have_the_api_servers_meaning(#[case] json: &str, #[case] replicas: u32) {
        let object = slim(json);
        assert_eq!((object.version(), object.team(), object.service()), (None, None, None));
        assert_eq!((object.replicas(WorkloadKind::Deployment), object.is_managed()), (replicas, false));
    }

    #[test]
    fn a_daemon_set_asks_for_a_pod_a_node() {
        let object = slim(r#"{"status": {"desiredNumberScheduled": 5}}"#);
        assert_eq!(object.replicas(WorkloadKind::DaemonSet), 5);
        assert_eq!((object.replicas(WorkloadKind::CronJob), slim("{}").replicas(WorkloadKind::DaemonSet)), (0, 0));
    }

    #[test]
    fn depth_and_size_elsewhere_do_not_matter() {
        let deep = format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000));
        let json = format!(r#"{{"type": "ADDED", "object": {{"metadata": {{"name": "a"}}, "other": {deep}}}}}"#);
        let frame: Frame<'_> = serde_json::from_str(&json).unwrap();
        assert_eq!((&*frame.event, &*frame.object.metadata.name), ("ADDED", "a"));
    }

    #[test]
    fn the_end_of_the_initial_events_is_a_bookmark() {
        let json = r#"{"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": "9",
            "annotations": {"k8s.io/initial-events-end": "true"}}}}"#;
        let frame: Frame<'_> = serde_json::from_str(json).unwrap();
        assert!(frame.object.metadata.ends_initial_events());
        assert!(!slim("{}").metadata.ends_initial_events());
    }

    #[test]
    fn an_error_is_told_from_an_object() {
        let json = r#"{"type":"ERROR","object":{"kind":"Status","metadata":{},"status":"Failure","message":"too old","code":410}}"#;
        assert!(serde_json::from_str::<Frame<'_>>(json).is_err());
        let frame: ErrorFrame = serde_json::from_str(json).unwrap();
        assert_eq!((frame.event.as_str(), frame.object.code, frame.object.message.as_str()), ("ERROR", 410, "too old"));
    }

    #[test]
    fn a_page_is_split_without_reading_its_objects() {
        let json = r#"{"metadata": {"resourceVersion": "5", "continue": "x"}, "items": [{"a": 1}, {"b": [2]}]}"#;
        let page: Page<'_> = serde_json::from_str(json).unwrap();
        let items: Vec<&str> = page.items.iter().flatten().map(|item| item.get()).collect();
        assert_eq!(items, [r#"{"a": 1}"#, r#"{"b": [2]}"#]);
        assert_eq!((page.metadata.resource_version.as_str(), page.metadata.next.as_deref()), ("5", Some("x")));
        let empty: Page<'_> = serde_json::from_str(r#"{"metadata": {"resourceVersion": "5"}, "items": null}"#).unwrap();
        assert!(empty.items.is_none());
    }
}
