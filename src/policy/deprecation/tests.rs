//! Golden files of whole policies, and what must hold for all of them.

use super::*;
use crate::plan::deprecation::{Facts, advance};

fn operator() -> Operator {
    Operator {
        username: "system:serviceaccount:goldenpath-system:goldenpath".into(),
        namespace: "goldenpath-system".into(),
    }
}

/// The Deprecation of the design, with everything that is compiled.
fn spec() -> DeprecationSpec {
    serde_json::from_value(json!({
        "title": "Shared nginx ingress",
        "owner": {"team": "platform", "contact": "#paved-road"},
        "matches": [
            {
                "name": "class",
                "resourceRules": [{"apiGroups": ["networking.k8s.io"], "resources": ["ingresses"]}],
                "namespaceSelector": {"matchExpressions": [{"key": "env", "operator": "NotIn", "values": ["sandbox"]}]},
                "expression": "has(object.spec.ingressClassName) && object.spec.ingressClassName == 'legacy-nginx'",
            },
            {
                "name": "old-base-image",
                "resourceRules": [{"apiGroups": ["apps"], "resources": ["deployments", "statefulsets"]}],
                "images": ["registry.example.com/base/java8*", "java8", "*/java8:*"],
            },
            {
                "name": "old-version",
                "resourceRules": [{"apiGroups": ["autoscaling"], "resources": ["horizontalpodautoscalers"]}],
                "writtenAs": ["autoscaling/v1"],
            },
            {
                "name": "annotation",
                "resourceRules": [{"apiGroups": [""], "resources": ["services"]}],
                "expression": "has(object.metadata.annotations) && 'old.example.com/lb' in object.metadata.annotations",
            },
        ],
        "replacement": {
            "goldenPathRef": {"name": "web-service"},
            "guideURL": "https://docs.example.com/migrate-ingress",
            "fix": {"type": "MergePatch", "patch": {"spec": {"ingressClassName": "shared-gateway"}}},
        },
        "timeline": {
            "announceAt": "2026-12-01T00:00:00Z",
            "warnAt": "2027-01-15T00:00:00Z",
            "blockCreateAt": "2027-03-01T00:00:00Z",
            "blockUpdateAt": "2027-05-15T00:00:00Z",
            "removeAt": "2027-06-30T00:00:00Z",
        },
        "brownouts": [{"name": "first", "startAt": "2027-05-01T10:00:00Z", "duration": "1h", "action": "DenyUpdate"}],
        "exemptions": [
            {"name": "checkout", "namespace": "shop", "service": "checkout", "reason": "RISK-91", "approvedBy": "ana", "expiresAt": "2027-08-01T00:00:00Z"},
            {"name": "ml", "namespaceSelector": {"matchLabels": {"team": "ml"}}, "reason": "RISK-92", "approvedBy": "ana", "expiresAt": "2027-04-01T00:00:00Z"},
        ],
    }))
    .unwrap()
}

fn targets() -> Targets {
    let served = |group: &str, version: &str, plural: &str| Served {
        group: group.into(),
        version: version.into(),
        plural: plural.into(),
        ..Served::default()
    };
    Targets::from([
        ("class".into(), vec![served("networking.k8s.io", "v1", "ingresses")]),
        ("old-base-image".into(), vec![served("apps", "v1", "deployments"), served("apps", "v1", "statefulsets")]),
        ("old-version".into(), vec![served("autoscaling", "v2", "horizontalpodautoscalers")]),
        ("annotation".into(), vec![served("", "v1", "services")]),
    ])
}

fn step(stage: DeprecationStage) -> Step {
    let noticed = spec().matches.into_iter().map(|entry| entry.name).collect();
    let step = advance(&spec(), at("2026-12-01T00:00:00Z"), None, &Facts::default(), at("2026-12-01T00:00:00Z"));
    Step { stage, noticed, ..step }
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn compiled(spec: &DeprecationSpec, step: &Step, now: &str) -> Vec<Feedback> {
    deprecation("legacy-ingress", spec, step, &targets(), &operator(), at(now)).unwrap()
}

fn names(policies: &[Feedback]) -> Vec<String> {
    let short = |name: &str| name.rsplit_once('-').unwrap().0.replace("goldenpath-depr-legacy-ingress-", "");
    policies.iter().map(|policy| short(policy.name())).collect()
}

fn of<'a>(policies: &'a [Feedback], name: &str) -> &'a Feedback {
    &policies[names(policies).iter().position(|short| short == name).unwrap()]
}

#[test]
fn a_stage_is_one_policy_an_entry_and_two_where_what_exists_is_warned_of() {
    let names = |stage| {
        let all = names(&compiled(&spec(), &step(stage), "2027-03-02T00:00:00Z"));
        all.into_iter().filter(|name| name.starts_with("class")).collect::<Vec<_>>()
    };
    assert_eq!(names(DeprecationStage::Announced), [""; 0]);
    assert_eq!(names(DeprecationStage::Warning), ["class-warn"]);
    assert_eq!(names(DeprecationStage::CreateBlocked), ["class-deny", "class-warn"]);
    assert_eq!(names(DeprecationStage::UpdateBlocked), ["class-deny"]);
    assert_eq!(names(DeprecationStage::Removed), ["class-deny"]);
}

#[test]
fn policies_are_literal() {
    let warning = compiled(&spec(), &step(DeprecationStage::Warning), "2027-02-01T00:00:00Z");
    insta::assert_yaml_snapshot!("warn", of(&warning, "class-warn").policy);
    insta::assert_yaml_snapshot!("warn_binding", of(&warning, "class-warn").binding);
    let blocked = compiled(&spec(), &step(DeprecationStage::CreateBlocked), "2027-03-02T00:00:00Z");
    insta::assert_yaml_snapshot!("deny_create", of(&blocked, "class-deny").policy);
    insta::assert_yaml_snapshot!("warn_of_what_stays", of(&blocked, "class-warn").policy);
    let blocked = compiled(&spec(), &step(DeprecationStage::UpdateBlocked), "2027-05-16T00:00:00Z");
    insta::assert_yaml_snapshot!("deny_images", of(&blocked, "old-base-image-deny").policy);
    insta::assert_yaml_snapshot!("deny_version", of(&blocked, "old-version-deny").policy);
    insta::assert_yaml_snapshot!("deny_annotation", of(&blocked, "annotation-deny").policy);
    let step = Step { brownouts: vec!["first".into()], ..step(DeprecationStage::CreateBlocked) };
    let brownout = compiled(&spec(), &step, "2027-05-01T10:00:00Z");
    insta::assert_yaml_snapshot!("brownout", of(&brownout, "class-brownout-first").policy);
}

#[test]
fn nothing_ever_fails_closed_or_acts_in_the_namespaces_of_the_system() {
    for stage in [DeprecationStage::Warning, DeprecationStage::CreateBlocked, DeprecationStage::UpdateBlocked] {
        for Feedback { policy, binding } in compiled(&spec(), &step(stage), "2027-03-02T00:00:00Z") {
            assert_eq!(policy.spec.unwrap().failure_policy.as_deref(), Some("Ignore"));
            assert_eq!(policy.metadata, binding.metadata);
            assert_eq!(policy.metadata.labels.unwrap()[labels::DEPRECATION], "legacy-ingress");
            let text = serde_json::to_string(&binding.spec).unwrap();
            assert!(text.contains("goldenpath-system") && text.contains("kube-system"), "{text}");
        }
    }
}

#[test]
fn an_entry_that_is_owed_notice_only_warns_and_says_until_when() {
    let mut step = step(DeprecationStage::UpdateBlocked);
    step.noticed.retain(|name| name != "class");
    step.brownouts = vec!["first".into()];
    let policies = compiled(&spec(), &step, "2027-05-16T00:00:00Z");
    assert!(names(&policies).iter().filter(|name| name.starts_with("class")).eq(["class-warn"]));
    let text = serde_json::to_string(&of(&policies, "class-warn").policy).unwrap();
    assert!(text.contains("refused from 2026-12-31T00:00:00Z on"), "{text}");
}

#[test]
fn an_exemption_that_has_ended_is_taken_out() {
    let names = |now: &str| compiled(&spec(), &step(DeprecationStage::Warning), now)[0].name().to_owned();
    assert_eq!(names("2027-03-01T00:00:00Z"), names("2027-03-31T23:59:59Z"));
    assert_ne!(names("2027-03-31T23:59:59Z"), names("2027-04-01T00:00:00Z"), "the name is the content");
    let text =
        |now: &str| serde_json::to_string(&compiled(&spec(), &step(DeprecationStage::Warning), now)[0].policy).unwrap();
    assert!(text("2027-03-01T00:00:00Z").contains("'ml'") && !text("2027-04-01T00:00:00Z").contains("'ml'"));
}

#[test]
fn what_is_not_served_has_no_policy() {
    let step = step(DeprecationStage::Warning);
    let none = deprecation("x", &spec(), &step, &Targets::new(), &operator(), at("2027-03-01T00:00:00Z")).unwrap();
    assert_eq!(none, []);
}

#[test]
fn who_only_removes_refuses_nothing() {
    let mut spec = spec();
    spec.timeline.block_create_at = None;
    spec.timeline.block_update_at = None;
    let names = names(&compiled(&spec, &step(DeprecationStage::Removed), "2027-07-01T00:00:00Z"));
    assert!(names.iter().all(|name| name.ends_with("-warn")), "{names:?}");
}

#[test]
fn warnings_name_the_brownouts_that_come_and_every_block() {
    let text = |spec: &DeprecationSpec, now: &str| {
        let policies = compiled(spec, &step(DeprecationStage::Warning), now);
        serde_json::to_string(&policies[0].policy).unwrap()
    };
    let coming = "it is refused from 2027-05-01T10:00:00Z to 2027-05-01T11:00:00Z (brownout first)";
    assert!(text(&spec(), "2027-05-01T10:59:59Z").contains(coming));
    assert!(!text(&spec(), "2027-05-01T11:00:00Z").contains(coming));
    let mut spec = spec();
    spec.timeline.block_update_at = None;
    let told = "it goes at 2027-06-30T00:00:00Z, and changes that leave it old are refused then";
    assert!(text(&spec, "2027-03-01T00:00:00Z").contains(told));
}

#[test]
fn a_date_that_has_passed_while_it_is_held_is_not_said_to_be_in_force() {
    let text = |now: &str| {
        let policies = compiled(&spec(), &step(DeprecationStage::Warning), now);
        serde_json::to_string(&policies[0].policy).unwrap()
    };
    let (to_come, held) = (
        "new ones are refused from 2027-03-01T00:00:00Z on, changes that leave it old are refused from 2027-05-15T00:00:00Z on",
        "new ones are refused as soon as nothing holds that (due since 2027-03-01T00:00:00Z), changes that leave it old are \
         refused from 2027-05-15T00:00:00Z on",
    );
    assert!(text("2027-02-28T23:59:59Z").contains(to_come));
    assert!(text("2027-03-01T00:00:00Z").contains(held), "{}", text("2027-03-01T00:00:00Z"));
}

#[test]
fn a_removal_that_is_held_is_not_said_to_come_on_a_day_that_is_over() {
    let all = |stage, now: &str| {
        let policies = compiled(&spec(), &step(stage), now);
        policies.iter().map(|policy| serde_json::to_string(&policy.policy).unwrap()).collect::<String>()
    };
    let held = "it goes as soon as nothing holds that (due since 2027-06-30T00:00:00Z)";
    for stage in [DeprecationStage::Warning, DeprecationStage::CreateBlocked, DeprecationStage::UpdateBlocked] {
        let before = all(stage, "2027-06-29T23:59:59Z");
        assert!(before.contains("it goes at 2027-06-30T00:00:00Z") && !before.contains(held), "{stage:?} {before}");
        let after = all(stage, "2027-06-30T00:00:00Z");
        assert!(after.contains(held) && !after.contains("it goes at"), "{stage:?} {after}");
    }
}

#[test]
fn words_cannot_become_code() {
    let mut spec = spec();
    let hostile = "x' + string(object) + '\\";
    spec.title = Some(hostile.into());
    spec.owner.as_mut().unwrap().contact = Some("a\nb'".into());
    spec.replacement.as_mut().unwrap().fix.as_mut().unwrap().patch =
        serde_json::from_value(json!({"a'": "b'\\''$(c)"})).unwrap();
    let policies = compiled(&spec, &step(DeprecationStage::Warning), "2027-02-01T00:00:00Z");
    let validation = &policies[0].policy.spec.as_ref().unwrap().validations.as_ref().unwrap()[0];
    let expression = validation.message_expression.as_ref().unwrap();
    assert!(expression.contains(r"x\' + string(object) + \'\\"), "{expression}");
    assert!(validation.message.as_ref().unwrap().ends_with("; ask platform at a b'"), "{validation:?}");
    insta::assert_snapshot!("hostile_words", expression);
}

#[test]
fn a_long_fix_is_named_and_not_printed() {
    let mut spec = spec();
    let patch = json!({"data": {"a": "x".repeat(2000)}});
    spec.replacement.as_mut().unwrap().fix.as_mut().unwrap().patch = serde_json::from_value(patch).unwrap();
    let policies = compiled(&spec, &step(DeprecationStage::Warning), "2027-03-01T00:00:00Z");
    let text = serde_json::to_string(&policies[0].policy).unwrap();
    assert!(
        text.contains("fix: see spec.replacement.fix of Deprecation legacy-ingress") && text.len() < 6000,
        "{text}"
    );
}

#[test]
fn an_entry_that_cannot_be_compiled_is_in_no_policy_of_another() {
    let mut spec = spec();
    let mut broken = spec.matches[0].clone();
    (broken.name, broken.expression) = ("broken".into(), Some("variables.template == 1".into()));
    spec.matches.push(broken);
    let text = |targets: &Targets| {
        let step = step(DeprecationStage::UpdateBlocked);
        let policies = deprecation("x", &spec, &step, targets, &operator(), at("2027-05-16T00:00:00Z")).unwrap();
        serde_json::to_string(&of_entry(&policies, "class").policy).unwrap()
    };
    assert!(!text(&targets()).contains("variables.template"));
    // one that is understood is asked whether the fix leaves an object old by it
    let mut all = targets();
    all.insert("broken".into(), all["class"].clone());
    assert!(text(&all).contains("variables.template"));
}

fn of_entry<'a>(policies: &'a [Feedback], entry: &str) -> &'a Feedback {
    policies.iter().find(|policy| policy.policy.metadata.labels.as_ref().unwrap()[labels::MATCH] == entry).unwrap()
}

#[test]
fn our_own_definitions_stay_ours() {
    let served = Served {
        group: "apiextensions.k8s.io".into(),
        version: "v1".into(),
        plural: "customresourcedefinitions".into(),
        ..Served::default()
    };
    let targets = Targets::from([("class".into(), vec![served])]);
    let policies = deprecation(
        "x",
        &spec(),
        &step(DeprecationStage::UpdateBlocked),
        &targets,
        &operator(),
        at("2027-05-16T00:00:00Z"),
    );
    let text = serde_json::to_string(&policies.unwrap()[0].policy).unwrap();
    assert!(text.contains("!object.metadata.name.endsWith('.goldenpath.dev')"), "{text}");
}
