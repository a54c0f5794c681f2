//! Golden files of whole policies, and what must hold for all of them.

use super::*;
use crate::api::{FailurePolicy, GoldenPath, NamespaceSelector, PathDefault, PathOwner, WorkloadKind, labels};

fn operator() -> Operator {
    Operator {
        username: "system:serviceaccount:goldenpath-system:goldenpath".into(),
        namespace: "goldenpath-system".into(),
    }
}

fn spec(level: AdmissionLevel) -> GoldenPathSpec {
    let default = |name: &str, check: Option<&str>, hint: Option<&str>| PathDefault {
        name: name.into(),
        check: check.map(Into::into),
        hint: hint.map(Into::into),
        ..PathDefault::default()
    };
    let requests = "variables.template.spec.containers.all(c, c.?resources.?requests.?memory.hasValue())";
    GoldenPathSpec {
        default_for: vec![WorkloadKind::CronJob, WorkloadKind::Deployment],
        owner: Some(PathOwner {
            team: Some("platform".into()),
            contact: Some("#paved-road".into()),
            docs_url: Some("https://docs.example.com/web".into()),
        }),
        defaults: vec![
            default("requests", Some(requests), Some("Set resources.requests.memory on every container.")),
            default("filled", None, None),
            default("replicas", Some("!has(object.spec.replicas) || object.spec.replicas != 1 // one"), None),
        ],
        admission: Some(Admission {
            level,
            namespace_selector: Some(NamespaceSelector {
                match_labels: [("goldenpath.dev/feedback".to_owned(), "on".to_owned())].into(),
                ..NamespaceSelector::default()
            }),
            ..Admission::default()
        }),
        ..GoldenPathSpec::default()
    }
}

fn compiled(spec: &GoldenPathSpec) -> Vec<Feedback> {
    let mut revision = Revision::draft(&GoldenPath::new("web", spec.clone())).unwrap();
    revision.name = "web-0123456789".into();
    feedback(spec, &revision, &operator()).unwrap()
}

fn proof(spec: &GoldenPathSpec) -> Proof {
    Proof::of(spec, &Revision::draft(&GoldenPath::new("web", spec.clone())).unwrap(), &operator()).unwrap()
}

#[test]
fn a_warning_is_one_policy_that_looks_at_what_is_written() {
    let [warn] = &compiled(&spec(AdmissionLevel::Warn))[..] else { panic!("one policy") };
    insta::assert_yaml_snapshot!("warn", warn.policy);
    insta::assert_yaml_snapshot!("warn_binding", warn.binding);
}

#[test]
fn a_refusal_looks_back_and_warns_of_what_it_lets_pass() {
    let [deny, warn] = &compiled(&spec(AdmissionLevel::Deny))[..] else { panic!("two policies") };
    insta::assert_yaml_snapshot!("deny", deny.policy);
    insta::assert_yaml_snapshot!("deny_binding", deny.binding);
    insta::assert_yaml_snapshot!("deny_warn", warn.policy);
}

#[test]
fn off_is_nothing() {
    assert_eq!(compiled(&spec(AdmissionLevel::Off)), []);
    assert_eq!(compiled(&GoldenPathSpec { admission: None, ..spec(AdmissionLevel::Warn) }), []);
}

#[test]
fn nothing_fails_closed_that_was_not_asked_to() {
    let failure = |spec: &GoldenPathSpec| -> Vec<Option<String>> {
        compiled(spec).into_iter().map(|f| f.policy.spec.unwrap().failure_policy).collect()
    };
    let mut asked_for = spec(AdmissionLevel::Deny);
    assert_eq!(failure(&asked_for), [Some("Ignore".to_owned()), Some("Ignore".to_owned())]);
    asked_for.admission.as_mut().unwrap().failure_policy = FailurePolicy::Fail;
    assert_eq!(failure(&asked_for), [Some("Fail".to_owned()), Some("Ignore".to_owned())]);
}

#[test]
fn the_name_is_the_content_and_the_namespaces() {
    let name = |spec: &GoldenPathSpec| compiled(spec)[0].name().to_owned();
    let before = spec(AdmissionLevel::Warn);
    let mut elsewhere = before.clone();
    elsewhere.admission.as_mut().unwrap().namespace_selector = None;
    let mut reworded = before.clone();
    reworded.defaults[0].hint = Some("Please.".into());
    assert_eq!(name(&before), name(&before));
    assert!(name(&before) != name(&elsewhere) && name(&before) != name(&reworded));
}

#[test]
fn without_a_selector_the_excluded_namespaces_still_are() {
    let mut everywhere = spec(AdmissionLevel::Warn);
    everywhere.admission.as_mut().unwrap().namespace_selector = None;
    let binding = serde_json::to_value(&compiled(&everywhere)[0].binding).unwrap();
    let excluded = ["kube-node-lease", "kube-public", "kube-system", "goldenpath-system"];
    let not_in = json!({"key": "kubernetes.io/metadata.name", "operator": "NotIn", "values": excluded});
    assert_eq!(binding["spec"]["matchResources"]["namespaceSelector"], json!({"matchExpressions": [not_in]}));
}

#[test]
fn a_proof_refuses_its_probes_alone() {
    let proof = proof(&spec(AdmissionLevel::Deny));
    let spec = proof.feedback.policy.spec.as_ref().unwrap();
    insta::assert_yaml_snapshot!("proof_validations", spec.validations);
    assert_eq!(spec.failure_policy.as_deref(), Some("Fail"));
    let constraints = serde_json::to_value(spec.match_constraints.as_ref().unwrap()).unwrap();
    assert!(constraints["objectSelector"]["matchLabels"].get(labels::PROOF).is_some());
    let binding = serde_json::to_value(&proof.feedback.binding.spec).unwrap();
    let home = &binding["matchResources"]["namespaceSelector"]["matchExpressions"][0];
    assert_eq!(*home, json!({"key": "kubernetes.io/metadata.name", "operator": "In", "values": ["goldenpath-system"]}));
}

#[test]
fn the_check_that_cannot_be_evaluated_is_found_in_the_answer() {
    let proof = proof(&spec(AdmissionLevel::Warn));
    let answer = |n: usize| format!("expression 'variables.held{n} ? true : true' resulted in error: too much");
    assert_eq!(proof.culprit(&answer(0)), Some("requests"));
    assert_eq!(proof.culprit(&answer(1)), Some("replicas"));
    assert_eq!(proof.culprit(&answer(10)), None);
}

#[test]
fn no_word_of_a_path_becomes_code() {
    let mut hostile = spec(AdmissionLevel::Deny);
    hostile.defaults[0].hint = Some("x'] + variables.secret + ['\\".into());
    let text = serde_json::to_string(&compiled(&hostile)[0].policy).unwrap();
    assert!(text.contains(r"x\\'] + variables.secret + [\\'\\\\"), "{text}");
}

#[test]
fn what_is_forbidden_is_silenced_by_an_exemption_alone() {
    let exemption: Exemption = serde_json::from_value(json!({
        "name": "batch", "namespace": "shop", "service": "cart", "defaults": ["requests"], "reason": "r",
        "approvedBy": "ana", "expiresAt": "2027-02-01T00:00:00Z",
        "namespaceSelector": {"matchLabels": {"team": "ml"}, "matchExpressions": [
            {"key": "env", "operator": "NotIn", "values": ["prod"]},
        ]},
    }))
    .unwrap();
    let silenced = |permission, exemptions: &[Exemption]| {
        let mut spec = spec(AdmissionLevel::Warn);
        spec.defaults[0].permission = permission;
        let revision = Revision::draft(&GoldenPath::new("web", spec)).unwrap();
        silences(&revision.rules[0], "web", exemptions)
    };
    assert_eq!(silenced(crate::api::Override::Allowed, &[]).len(), 3);
    assert_eq!(silenced(crate::api::Override::Forbidden, &[]).len(), 1);
    let granted = silenced(crate::api::Override::Forbidden, std::slice::from_ref(&exemption));
    insta::assert_snapshot!(granted.last().unwrap());
}
