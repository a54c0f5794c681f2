use serde_json::json;
use serde_json::value::to_raw_value;

use super::*;
use crate::api::{DeprecationMatch, DeprecationProgress};
use crate::consumers::sink::ConsumerSink;
use crate::fleet::decode::Head;
use crate::fleet::metrics::WatchMetrics;
use crate::fleet::{Fleet, Sink};
use crate::observability::Metrics;
use crate::plan::consumers::Problem;
use crate::status::consumption::progress;

const NOW: &str = "2026-11-26T12:00:00Z";

fn served(group: &str, plural: &str, kind: &str) -> Served {
    let (group, version, plural) = (group.to_owned(), "v1".to_owned(), plural.to_owned());
    Served { group, version, plural, kind: kind.into(), watchable: true, preferred: true }
}

fn ingresses() -> Served {
    served("networking.k8s.io", "ingresses", "Ingress")
}

fn consumers() -> Consumers {
    let metrics = WatchMetrics::new(&Metrics::new().unwrap()).unwrap();
    let (touched, _) = futures::channel::mpsc::unbounded();
    let fleet = Fleet::new("goldenpath-system", touched, metrics.clone());
    Consumers::new(fleet, "goldenpath-system", metrics)
}

fn entry(name: &str, resource: &Served, more: &Value) -> DeprecationMatch {
    let mut entry = json!({"name": name, "resourceRules": [
        {"apiGroups": [resource.group], "resources": [resource.plural]}]});
    entry.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    serde_json::from_value(entry).unwrap()
}

/// Shows objects to the watches that are running then, as a complete list.
fn list(consumers: &Consumers, resource: &Served, objects: &[Value]) {
    let wanted = consumers.arrange(consumers.entries().into_values().flatten(), std::slice::from_ref(resource));
    let entries = wanted.get(resource).cloned().unwrap_or_default();
    consumers.table().start(resource, 1);
    let sink = ConsumerSink { consumers: consumers.clone(), resource: resource.clone(), run: 1, entries };
    sink.begin();
    for object in objects {
        let raw = to_raw_value(object).unwrap();
        let head: Head<'_> = serde_json::from_str(raw.get()).unwrap();
        sink.see(&head, || Some(&raw));
    }
    sink.complete(9);
}

fn ingress(namespace: &str, name: &str, class: Option<&str>) -> Value {
    let mut spec = json!({});
    if let Some(class) = class {
        spec["ingressClassName"] = json!(class);
    }
    json!({"metadata": {"namespace": namespace, "name": name, "resourceVersion": "5"}, "spec": spec})
}

const LEGACY: &str = "object.spec.ingressClassName == 'legacy'";

fn home(team: Option<&str>, env: &str) -> Home {
    let object = json!({"metadata": {"labels": {"env": env}}});
    Home { object, team: team.map(Into::into), ..Home::default() }
}

fn shown(consumers: &Consumers, homes: &Homes, deprecation: &str) -> DeprecationProgress {
    let now = NOW.parse().unwrap();
    let count = consumers.count(homes, &BTreeMap::new(), now);
    progress(None, &count.tallies[deprecation], false, now)
}

fn objects(progress: &DeprecationProgress) -> Vec<(&str, &str, &str)> {
    progress.stragglers.iter().map(|s| (s.object.as_str(), s.team.as_str(), s.matched.as_str())).collect()
}

#[test]
fn what_matches_is_counted_and_what_fails_is_not() {
    let consumers = consumers();
    consumers.want("ing", &[entry("class", &ingresses(), &json!({"expression": LEGACY}))], None).unwrap();
    assert!(!consumers.in_sight("ing").complete);
    let seen = [
        ingress("shop", "a", Some("legacy")),
        ingress("shop", "b", Some("new")),
        ingress("shop", "c", None),
        ingress("kube-system", "d", Some("legacy")),
        ingress("goldenpath-system", "e", Some("legacy")),
    ];
    list(&consumers, &ingresses(), &seen);
    let homes = Homes::from([("shop".into(), home(Some("shops"), "prod"))]);
    let progress = shown(&consumers, &homes, "ing");
    assert_eq!(objects(&progress), [("ingress/shop/a", "shops", "class")]);
    assert_eq!(progress.consumers.unwrap().unevaluable, 1);
    assert!(consumers.in_sight("ing").complete);
    let failing = |consumers: &Consumers| -> Vec<String> {
        let count = consumers.count(&homes, &BTreeMap::new(), NOW.parse().unwrap());
        let object = |problem| match problem {
            Problem::Unevaluable { object, .. } => object,
            other => unreachable!("{other:?}"),
        };
        count.tallies["ing"].problems().map(object).collect()
    };
    assert_eq!(failing(&consumers), ["ingress/shop/c"]);
    let repaired = ingress("shop", "c", Some("new"));
    list(&consumers, &ingresses(), &[seen[0].clone(), repaired.clone(), ingress("shop", "d", None)]);
    assert_eq!(failing(&consumers), ["ingress/shop/d"], "one that was repaired is not named any more");
    list(&consumers, &ingresses(), &[seen[0].clone(), repaired]);
    assert_eq!(failing(&consumers), [""; 0], "the error went with its object");
}

#[test]
fn an_object_counts_once_and_for_each_deprecation() {
    let consumers = consumers();
    let both =
        [entry("first", &ingresses(), &json!({})), entry("second", &ingresses(), &json!({"expression": LEGACY}))];
    consumers.want("two", &both, None).unwrap();
    consumers.want("one", &[entry("only", &ingresses(), &json!({"expression": LEGACY}))], None).unwrap();
    list(&consumers, &ingresses(), &[ingress("shop", "a", Some("legacy")), ingress("shop", "b", None)]);
    let (two, one) = (shown(&consumers, &Homes::new(), "two"), shown(&consumers, &Homes::new(), "one"));
    assert_eq!(
        objects(&two),
        [("ingress/shop/a", "unowned", "first"), ("ingress/shop/b", "unowned", "first")],
        "a match goes before an expression that fails"
    );
    assert_eq!(objects(&one), [("ingress/shop/a", "unowned", "only")]);
}

#[test]
fn a_namespace_that_is_not_selected_any_more_needs_no_new_list() {
    let consumers = consumers();
    let selector = json!({"namespaceSelector": {"matchLabels": {"env": "prod"}}});
    consumers.want("ing", &[entry("class", &ingresses(), &selector)], None).unwrap();
    list(&consumers, &ingresses(), &[ingress("shop", "a", None)]);
    let count = |env: &str| {
        let homes = Homes::from([("shop".into(), home(None, env))]);
        shown(&consumers, &homes, "ing").consumers.unwrap().objects
    };
    assert_eq!((count("prod"), count("sandbox"), count("prod")), (1, 0, 1));
}

#[test]
fn what_is_in_no_namespace_is_selected_and_a_namespace_by_its_own_labels() {
    let (consumers, namespaces) = (consumers(), served("", "namespaces", "Namespace"));
    let classes = served("networking.k8s.io", "ingressclasses", "IngressClass");
    let selector = json!({"namespaceSelector": {"matchLabels": {"env": "prod"}}});
    consumers.want("ns", &[entry("a", &namespaces, &selector)], None).unwrap();
    consumers.want("classes", &[entry("a", &classes, &selector)], None).unwrap();
    let object = |name: &str| json!({"metadata": {"name": name, "resourceVersion": "5"}});
    list(&consumers, &namespaces, &[object("shop"), object("dev")]);
    list(&consumers, &classes, &[object("nginx")]);
    let homes = Homes::from([("shop".into(), home(Some("s"), "prod")), ("dev".into(), home(None, "dev"))]);
    assert_eq!(objects(&shown(&consumers, &homes, "ns")), [("namespace/shop", "s", "a")]);
    assert_eq!(objects(&shown(&consumers, &homes, "classes")), [("ingressclass/nginx", "unowned", "a")]);
    assert_eq!(consumers.namespaces().len(), 2);
}

#[test]
fn the_fix_of_a_namespace_is_asked_only_of_entries_that_mean_it() {
    let (consumers, namespaces) = (consumers(), served("", "namespaces", "Namespace"));
    let first = entry("label", &namespaces, &json!({"expression": "object.metadata.labels.?old.hasValue()"}));
    let sandboxes = entry("sandbox", &namespaces, &json!({"namespaceSelector": {"matchLabels": {"env": "sandbox"}}}));
    let fix = json!({"metadata": {"labels": {"old": null}}});
    consumers.want("ns", &[sandboxes, first], fix.as_object()).unwrap();
    let object = |name: &str, env: &str| json!({"metadata": {"name": name, "resourceVersion": "5", "labels": {"old": "yes", "env": env}}});
    list(&consumers, &namespaces, &[object("shop", "prod"), object("play", "sandbox")]);
    let homes = Homes::from([("shop".into(), home(None, "prod")), ("play".into(), home(None, "sandbox"))]);
    let progress = shown(&consumers, &homes, "ns");
    assert_eq!(progress.consumers.as_ref().map(|c| (c.remaining, c.unfixable)), Some((2, 1)), "{progress:?}");
}

#[test]
fn an_object_belongs_to_the_service_that_it_names_or_that_claims_it_or_has_its_name() {
    let (consumers, deployments) = (consumers(), served("apps", "deployments", "Deployment"));
    consumers.want("d", &[entry("a", &deployments, &json!({}))], None).unwrap();
    let mut labelled = json!({"metadata": {"namespace": "shop", "name": "labelled", "resourceVersion": "5"}});
    labelled["metadata"]["labels"] = json!({"goldenpath.dev/service": "checkout", "goldenpath.dev/team": "ignored"});
    let object = |name: &str| json!({"metadata": {"namespace": "shop", "name": name, "resourceVersion": "5"}});
    list(&consumers, &deployments, &[labelled, object("claimed"), object("cart"), object("nobodys")]);
    let mut home = home(Some("shops"), "prod");
    for (service, team) in [("checkout", Some("payments")), ("cart", None), ("claimer", None)] {
        home.services.insert(service.into(), team.map(Into::into));
    }
    home.claims.insert((WorkloadKind::Deployment, "claimed".into()), "claimer".into());
    let homes = Homes::from([("shop".into(), home)]);
    let progress = shown(&consumers, &homes, "d");
    let teams: Vec<(&str, i64)> = progress.teams.iter().map(|team| (team.name.as_str(), team.remaining)).collect();
    assert_eq!((teams, progress.consumers.unwrap().services), (vec![("shops", 3), ("payments", 1)], 3));
    let count = consumers.count(&homes, &BTreeMap::new(), NOW.parse().unwrap());
    let services: Vec<(&str, &str)> = count
        .of_services
        .iter()
        .flat_map(|((_, s), all)| all.some["d"].iter().map(move |o| (s.as_str(), o.name.as_str())))
        .collect();
    assert_eq!(services, [("cart", "cart"), ("checkout", "labelled"), ("claimer", "claimed")]);
}

#[test]
fn what_is_exempt_is_left_alone_until_the_end() {
    let consumers = consumers();
    consumers.want("ing", &[entry("class", &ingresses(), &json!({}))], None).unwrap();
    list(&consumers, &ingresses(), &[ingress("shop", "a", None), ingress("bank", "b", None)]);
    let exemption: DeprecationExemption = serde_json::from_value(json!({"name": "x", "namespace": "shop",
        "reason": "r", "approvedBy": "ana", "expiresAt": "2026-12-01T00:00:00Z"}))
    .unwrap();
    let exemptions = BTreeMap::from([("ing".to_owned(), vec![exemption])]);
    let remaining = |now: &str| {
        let now = now.parse().unwrap();
        let count = consumers.count(&Homes::new(), &exemptions, now);
        let consumers = progress(None, &count.tallies["ing"], false, now).consumers.unwrap();
        (consumers.objects, consumers.exempt, consumers.remaining)
    };
    assert_eq!((remaining(NOW), remaining("2026-12-01T00:00:00Z")), ((2, 1, 1), (2, 0, 2)));
}

#[test]
fn an_entry_that_stays_goes_on_and_one_that_changes_waits_for_its_list() {
    let consumers = consumers();
    let (stays, before) =
        (entry("stays", &ingresses(), &json!({})), entry("changes", &ingresses(), &json!({"images": ["a"]})));
    consumers.want("ing", &[stays.clone(), before], None).unwrap();
    list(&consumers, &ingresses(), &[ingress("shop", "a", None)]);
    let first = consumers.in_sight("ing");
    consumers.want("ing", &[stays.clone(), entry("changes", &ingresses(), &json!({"images": ["b"]}))], None).unwrap();
    let second = consumers.in_sight("ing");
    assert!(first.complete && !second.complete && first.version != second.version);
    assert_eq!(
        shown(&consumers, &Homes::new(), "ing").consumers.unwrap().objects,
        1,
        "what stays is counted meanwhile"
    );
    list(&consumers, &ingresses(), &[ingress("shop", "a", None)]);
    assert!(consumers.in_sight("ing").complete);
    let broken = entry("changes", &ingresses(), &json!({"expression": "object."}));
    assert!(consumers.want("ing", &[stays, broken], None).is_err());
    assert_eq!(consumers.in_sight("ing"), consumers.in_sight("ing"), "a typo changes nothing");
    assert!(consumers.in_sight("ing").complete);
    consumers.forget("ing");
    assert!(!consumers.in_sight("ing").complete && consumers.entries().is_empty());
}

#[test]
fn what_is_not_served_is_reported_and_does_not_hide_the_rest() {
    let consumers = consumers();
    let policies = served("kyverno.io", "clusterpolicies", "ClusterPolicy");
    consumers
        .want("x", &[entry("there", &ingresses(), &json!({})), entry("gone", &policies, &json!({}))], None)
        .unwrap();
    list(&consumers, &ingresses(), &[]);
    let sight = consumers.in_sight("x");
    assert!(sight.complete, "what is not served has no objects");
    assert!(
        matches!(&sight.problems[..], [Problem::Unresolved { entry, .. }] if entry == "gone"),
        "{:?}",
        sight.problems
    );
}

#[test]
fn what_another_controller_owns_is_not_counted() {
    let (consumers, jobs) = (consumers(), served("batch", "jobs", "Job"));
    consumers.want("jobs", &[entry("a", &jobs, &json!({}))], None).unwrap();
    let job = |name: &str, version: &str, controller: bool| {
        json!({"metadata": {"namespace": "shop", "name": name, "resourceVersion": "5",
            "ownerReferences": [{"apiVersion": version, "kind": "CronJob", "controller": controller}]}})
    };
    let seen =
        [job("child", "batch/v1", true), job("owned", "batch/v1", false), job("ours", "goldenpath.dev/v1alpha1", true)];
    list(&consumers, &jobs, &seen);
    let progress = shown(&consumers, &Homes::new(), "jobs");
    assert_eq!(objects(&progress), [("job/shop/ours", "unowned", "a"), ("job/shop/owned", "unowned", "a")]);
}

#[test]
fn namespaces_of_the_system_are_no_consumers_and_have_no_service() {
    let (consumers, namespaces) = (consumers(), served("", "namespaces", "Namespace"));
    consumers.want("ns", &[entry("a", &namespaces, &json!({}))], None).unwrap();
    let object = |name: &str| json!({"metadata": {"name": name, "resourceVersion": "5"}});
    list(&consumers, &namespaces, &[object("shop"), object("kube-system"), object("goldenpath-system")]);
    let mut home = home(None, "prod");
    home.services.insert("shop".into(), None);
    let homes = Homes::from([("shop".into(), home)]);
    assert_eq!(objects(&shown(&consumers, &homes, "ns")), [("namespace/shop", "unowned", "a")]);
    let count = consumers.count(&homes, &BTreeMap::new(), NOW.parse().unwrap());
    assert!(count.of_services.is_empty(), "{:?}", count.of_services);
}

#[test]
fn an_object_that_is_looked_at_in_two_versions_is_one() {
    let consumers = consumers();
    let (v1, v2) = (ingresses(), Served { version: "v2".into(), preferred: false, ..ingresses() });
    let in_v2 = json!({"resourceRules": [{"apiGroups": [v2.group], "apiVersions": ["v2"], "resources": [v2.plural]}]});
    consumers.want("ing", &[entry("first", &v1, &json!({})), entry("second", &v1, &in_v2)], None).unwrap();
    let wanted = consumers.arrange(consumers.entries().into_values().flatten(), &[v1.clone(), v2.clone()]);
    for (resource, entries) in wanted {
        consumers.table().start(&resource, 1);
        let sink = ConsumerSink { consumers: consumers.clone(), resource, run: 1, entries };
        let raw = to_raw_value(&ingress("shop", "a", None)).unwrap();
        sink.begin();
        sink.see(&serde_json::from_str(raw.get()).unwrap(), || Some(&raw));
        sink.complete(9);
    }
    assert_eq!(consumers.table().len(), 2);
    assert_eq!(shown(&consumers, &Homes::new(), "ing").consumers.unwrap().objects, 1);
}

#[test]
fn each_object_has_its_own_patch_and_one_that_the_fix_does_not_mend_is_named() {
    let consumers = consumers();
    let deployments = served("apps", "deployments", "Deployment");
    let class =
        entry("class", &ingresses(), &json!({"expression": "object.spec.?ingressClassName.orValue('') == 'legacy'"}));
    let both = [class, entry("image", &deployments, &json!({"images": ["java8*"]}))];
    let fix = json!({"metadata": {"annotations": {"new": "yes"}}, "spec": {"ingressClassName": "new"}});
    consumers.want("old", &both, fix.as_object()).unwrap();
    let mut half = ingress("shop", "half", Some("legacy"));
    half["metadata"]["annotations"] = json!({"new": "yes"});
    list(&consumers, &ingresses(), &[ingress("shop", "whole", Some("legacy")), half]);
    let pods = json!({"template": {"spec": {"containers": [{"image": "java8:1"}]}}});
    let deployment = json!({"metadata": {"namespace": "shop", "name": "app", "resourceVersion": "5"}, "spec": pods});
    list(&consumers, &deployments, &[deployment]);
    let mut home = home(None, "prod");
    home.services.extend(["whole", "half", "app"].map(|name| (name.to_owned(), None)));
    let count = consumers.count(&Homes::from([("shop".into(), home)]), &BTreeMap::new(), NOW.parse().unwrap());
    let objects = count.of_services.values().flat_map(|all| &all.some["old"]);
    let remedies: Vec<(&str, &Remedy)> = objects.map(|o| (o.name.as_str(), &o.remedy)).collect();
    let patch = |text: &str| Remedy::Patch(text.into());
    let expected = [
        ("app", &Remedy::Unfit("match image holds with it as well".into())),
        ("half", &patch(r#"{"spec":{"ingressClassName":"new"}}"#)),
        ("whole", &patch(&fix.to_string())),
    ];
    assert_eq!(remedies, expected);
    let tally = &count.tallies["old"];
    assert_eq!(progress(None, tally, false, NOW.parse().unwrap()).consumers.unwrap().unfixable, 1);
    let named = tally.problems().next().unwrap().to_string();
    assert!(
        named.contains("to 1 of the objects that are left, such as deployment/shop/app: match image holds"),
        "{named}"
    );
}

#[test]
fn another_fix_is_another_list_and_no_other_count() {
    let consumers = consumers();
    let (class, fix) = ([entry("class", &ingresses(), &json!({}))], json!({"spec": {"a": 1}}));
    consumers.want("ing", &class, None).unwrap();
    list(&consumers, &ingresses(), &[]);
    let before = consumers.in_sight("ing");
    consumers.want("ing", &class, fix.as_object()).unwrap();
    let after = consumers.in_sight("ing");
    assert!(before.complete && !after.complete && before.version == after.version, "{after:?}");
}
