//! Both engines say the same of a fix: a command or a merge is printed where our own engine finds that it helps, and else
//! that it does not.

use goldenpath::api::DeprecationStage::Warning;
use goldenpath::plan::consumers::fix::remedy;
use goldenpath::plan::consumers::matcher::Matcher;

use super::*;

/// A fix, and the expression of what is old.
fn cases() -> Vec<(Value, &'static str)> {
    let legacy = "object.spec.?ingressClassName.orValue('') == 'legacy'";
    vec![
        (json!({"spec": {"ingressClassName": "shared"}}), legacy),
        (json!({"spec": {"ingressClassName": null}}), legacy),
        (json!({"spec": {"ingressClassName": null}}), "object.spec.ingressClassName == 'legacy'"),
        (json!({"spec": {"className": "shared"}}), legacy),
        (json!({"spec": {"ingressClassName": "legacy"}}), legacy),
        (json!({"metadata": {"labels": {"moved": "it's", "a/b": null}}}), "!has(object.metadata.labels)"),
        (json!({"metadata": {"annotations": {"old": null}}}), "'old' in object.metadata.annotations"),
        (
            json!({"metadata": {"annotations": {"new": "yes"}}, "spec": {"tls": [{"hosts": ["a"]}]}}),
            "!('new' in object.metadata.annotations && has(object.spec.tls) && object.spec.tls[0].hosts == ['a'] && \
             'old' in object.metadata.annotations)",
        ),
        (
            json!({"spec": {"defaultBackend": {"service": {"port": {"number": 81, "name": null}}}}}),
            "object.spec.defaultBackend.service.port.number == 80 && object.spec.defaultBackend.service.name == 'web'",
        ),
        // what is no object gives way to one
        (json!({"spec": {"ingressClassName": {"a": 1}}}), "type(object.spec.ingressClassName) == string"),
        (json!({"spec": {"ingressClassName": "shared"}}), "true"),
    ]
}

#[tokio::test]
async fn a_fix_is_printed_where_it_helps_and_nowhere_else() {
    let timeline = json!({"warnAt": "2026-01-15T00:00:00Z"});
    let spec = |(fix, expression): &(Value, &str)| {
        json!({
            "matches": [{"expression": expression}],
            "replacement": {"fix": {"patch": fix}},
            "timeline": timeline,
        })
    };
    let cases = cases();
    let mut old = Old::new("fixes", &["ingresses.v1.networking.k8s.io"], spec(&cases[0])).await;
    let selector = old.spec.matches[0].namespace_selector.clone();
    for (n, case) in cases.iter().enumerate() {
        let mut spec = spec(case);
        spec["matches"][0]["name"] = json!("m");
        spec["matches"][0]["resourceRules"] = json!([]);
        old.spec = serde_json::from_value(spec).unwrap();
        old.spec.matches[0].namespace_selector.clone_from(&selector);
        let compiled = old.compiled(&format!("fixes-{n}"), Warning, &[]);
        old.puts(compiled).await;
    }
    let mut object = ingress("web", "legacy");
    object["metadata"]["annotations"] = json!({"old": "x"});
    object["metadata"]["namespace"] = json!(old.namespace);
    let said = wait::until("all of them to be in force", TIMEOUT, async || {
        let said = old.dry_run("create", &object).await;
        ensure!(said.lines.len() == cases.len(), "{said:?}");
        Ok(Some(said))
    });
    let said = said.await.unwrap();
    let mut helped = 0;
    for (n, (fix, expression)) in cases.iter().enumerate() {
        let entry = json!({"name": "m", "resourceRules": [], "expression": expression});
        let matcher = Matcher::compile(&serde_json::from_value(entry).unwrap()).unwrap();
        let ours = remedy(fix.as_object().unwrap(), &object, &Value::Null, [("m", &matcher)]);
        let line = said.lines.iter().find(|line| line.contains(&format!("(Deprecation fixes-{n},"))).unwrap();
        let printed = line.contains(&format!("; fix: merge {fix} into it"));
        let missed = line.ends_with(&format!("; spec.replacement.fix of Deprecation fixes-{n} does not apply to it"));
        let unknown = line.ends_with(&format!("; fix: see spec.replacement.fix of Deprecation fixes-{n}"));
        assert_eq!(printed, ours.is_ok(), "{n}: {ours:?}, {line}");
        assert!(printed || missed || unknown, "{line}");
        helped += usize::from(printed);
    }
    assert_eq!(helped, 7, "{said:?}");
    old.ends().await;
}
