//! The stages of one Deprecation, in its order, with the words that people read.

use goldenpath::api::DeprecationStage::{CreateBlocked, Removed, UpdateBlocked, Warning};

use super::*;

fn legacy() -> Value {
    json!({
        "title": "Shared nginx ingress",
        "owner": {"team": "platform", "contact": "#paved-road"},
        "matches": [{"expression": "has(object.spec.ingressClassName) && object.spec.ingressClassName == 'legacy' // old"}],
        "replacement": {
            "goldenPathRef": {"name": "web-service"},
            "guideURL": "https://docs.example.com/ingress",
            "fix": {"type": "MergePatch", "patch": {"spec": {"ingressClassName": "shared"}}},
        },
        "timeline": {
            "warnAt": "2027-01-15T00:00:00Z",
            "blockCreateAt": "2027-03-01T00:00:00Z",
            "blockUpdateAt": "2027-05-15T00:00:00Z",
            "removeAt": "2027-06-30T00:00:00Z",
        },
    })
}

#[tokio::test]
#[allow(clippy::too_many_lines)] // one life, read from its beginning to its end
async fn each_stage_warns_and_refuses_as_it_should_and_the_printed_patch_helps() {
    let mut old = Old::new("stages", &["ingresses.v1.networking.k8s.io"], legacy()).await;
    let namespace = old.namespace.clone();
    let probe = ingress("probe", "legacy");
    assert!(old.creates(&ingress("before", "legacy")).await.is_silent());
    assert!(old.creates(&ingress("good", "shared")).await.is_silent());
    let about = |name: &str| {
        format!("Ingress {namespace}/{name} is deprecated: Shared nginx ingress (Deprecation {namespace}, match m)")
    };
    let take = "take GoldenPath web-service";
    let merge = r#"fix: merge {"spec":{"ingressClassName":"shared"}} into it"#;
    let patch = format!(
        "kubectl patch ingresses.networking.k8s.io before -n {namespace} --type=merge -p '{{\"spec\":{{\"ingressClassName\":\"shared\"}}}}'"
    );
    let help = "guide: https://docs.example.com/ingress; ask platform at #paved-road";
    let port = |port: u16| json!({"spec": {"defaultBackend": {"service": {"port": {"number": port}}}}});
    let becomes_old = json!({"spec": {"ingressClassName": "legacy"}});

    old.is_in(Warning, &[], &probe).await;
    let dates = "new ones are refused from 2027-03-01T00:00:00Z on, changes that leave it old are refused from \
                 2027-05-15T00:00:00Z on, it goes at 2027-06-30T00:00:00Z";
    says!(
        old.dry_run("create", &probe).await,
        warning,
        format!("{}; {dates}; {take}; {merge}; {help}", about("probe"))
    );
    says!(
        old.patches("ingress/before", &port(81)).await,
        warning,
        format!("{}; {dates}; {take}; fix: {patch}; {help}", about("before"))
    );
    assert!(old.patches("ingress/good", &port(81)).await.is_silent());
    assert!(old.does("label ingress before touched=1").await.is_silent(), "who labels it does not use it");

    old.is_in(CreateBlocked, &[], &probe).await;
    old.warns_of(&ingress("before", "legacy")).await;
    let refused = "new ones are refused since 2027-03-01T00:00:00Z, it goes at 2027-06-30T00:00:00Z";
    says!(
        old.creates(&ingress("new", "legacy")).await,
        refusal,
        format!("{}; {refused}; {take}; {merge}; {help}", about("new"))
    );
    let said = old.patches("ingress/good", &becomes_old).await;
    assert!(said.refusal().unwrap().starts_with(&about("good")), "a good one is made old: {said:?}");
    let dates = "changes that leave it old are refused from 2027-05-15T00:00:00Z on, it goes at 2027-06-30T00:00:00Z";
    says!(
        old.patches("ingress/before", &port(82)).await,
        warning,
        format!("{}; {dates}; {take}; fix: {patch}; {help}", about("before"))
    );
    assert!(old.creates(&ingress("new", "shared")).await.is_silent());

    old.is_in(UpdateBlocked, &[], &probe).await;
    let refused = "new ones and changes that leave it old are refused since 2027-05-15T00:00:00Z, it goes at 2027-06-30T00:00:00Z";
    let text = format!("{}; {refused}; {take}; fix: {patch}; {help}", about("before"));
    says!(old.patches("ingress/before", &port(83)).await, refusal, text);
    assert!(old.dry_run("create", &probe).await.refusal().is_some());
    for words in ["label ingress before touched=2 --overwrite", "annotate ingress before note=x"] {
        assert!(old.does(words).await.is_silent(), "{words}");
    }
    assert!(
        old.patches("ingress/before", &json!({"metadata": {"finalizers": ["example.com/held"]}})).await.is_silent()
    );

    old.is_in(Removed, &[], &probe).await;
    let said = old.patches("ingress/before", &port(84)).await;
    let gone = format!("{}; it is gone since 2027-06-30T00:00:00Z; {take}", about("before"));
    assert!(said.refusal().unwrap().starts_with(&gone), "{said:?}");
    // the late adopter does what was printed
    let output = old.control_plane.shell(&patch).await.unwrap();
    assert!(output.status.success(), "{}", output.stderr);
    assert!(old.patches("ingress/before", &port(85)).await.is_silent());

    assert!(old.patches("ingress/good", &becomes_old).await.refusal().is_some());
    old.lifts(&probe).await;
    assert!(old.patches("ingress/good", &becomes_old).await.is_silent());
    old.is_in(UpdateBlocked, &[], &probe).await;
    // what is old can be deleted, and what is deleted can end
    assert!(old.does("delete ingress good --wait=false").await.is_silent());
    assert!(old.does("delete ingress before --wait=false").await.is_silent());
    assert!(old.patches("ingress/before", &json!({"metadata": {"finalizers": null}})).await.is_silent());
    old.ends().await;
}
