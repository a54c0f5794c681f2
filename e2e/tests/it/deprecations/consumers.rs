//! Who still uses what is old, as the status of a Deprecation counts it.

use anyhow::{Result, ensure};
use goldenpath_e2e::{audit, wait};
use serde_json::{Value, json};

use super::{Cluster, condition, ingress, legacy_ingress};

const LEGACY: Option<&str> = Some("legacy-nginx");

#[tokio::test]
async fn everybody_who_uses_what_is_old_is_counted_and_told() {
    story().await.unwrap();
}

async fn story() -> Result<()> {
    let cluster = Cluster::start().await?;
    let control_plane = &cluster.control_plane;
    let shop = control_plane.namespace_with("shop", &[("goldenpath.dev/team", "shops")]).await?;
    let bank = control_plane.namespace_with("bank", &[("env", "prod")]).await?;
    let old = [ingress(&shop, "checkout", LEGACY), ingress(&shop, "cart", LEGACY), ingress(&bank, "account", LEGACY)];
    cluster.apply_all(&old).await?;
    cluster.apply_all(&[ingress(&shop, "new", Some("shared-gateway")), ingress(&shop, "none", None)]).await?;
    cluster.apply_all(&[ingress("kube-system", "system", LEGACY)]).await?;
    what_cannot_be_read_is_named_and_picked_up(&cluster).await?;
    cluster.counts("legacy-ingress", &json!({"objects": 3, "remaining": 3, "teams": 2, "unevaluable": 0})).await?;
    the_lists_say_whose_they_are(&cluster, &shop, &bank).await?;
    a_service_is_told(&cluster, &shop).await?;
    what_changes_is_followed(&cluster, &shop, &bank).await?;
    an_exemption_is_asked_for_and_ends(&cluster, &shop).await?;
    a_kind_that_comes_later_is_picked_up(&cluster).await?;
    an_expression_that_fails_is_named(&cluster).await?;
    the_api_version_of_a_writer_is_seen(&cluster, &shop).await?;
    a_storm_is_few_writes(&cluster).await?;
    a_restart_writes_nothing(cluster).await
}

async fn what_cannot_be_read_is_named_and_picked_up(cluster: &Cluster) -> Result<()> {
    cluster.apply(&legacy_ingress("legacy-ingress", &json!({}))).await?;
    let message = cluster.condition("legacy-ingress", "Ready", "ResourceForbidden").await?;
    let rule = r#"{apiGroups: ["networking.k8s.io"], resources: [ingresses], verbs: [list, watch]}"#;
    ensure!(message.contains(rule), "{message}");
    let status = cluster.object("depr legacy-ingress").await?["status"].clone();
    ensure!(status.get("consumers").is_none(), "nothing is counted that nobody has seen: {status}");
    ensure!(status["stage"] == "Announced", "{status}");
    cluster.ingresses_can_be_read().await?;
    cluster.condition("legacy-ingress", "Ready", "Ready").await.map(drop)
}

async fn the_lists_say_whose_they_are(cluster: &Cluster, shop: &str, bank: &str) -> Result<()> {
    let status = cluster.object("depr legacy-ingress").await?["status"].clone();
    let stragglers: Vec<(Option<&str>, Option<&str>)> = status["stragglers"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|straggler| (straggler["object"].as_str(), straggler["team"].as_str()))
        .collect();
    let object = |namespace: &str, name: &str| format!("ingress/{namespace}/{name}");
    let (account, cart, checkout) = (object(bank, "account"), object(shop, "cart"), object(shop, "checkout"));
    let expected = [
        (Some(account.as_str()), Some("unowned")),
        (Some(cart.as_str()), Some("shops")),
        (Some(checkout.as_str()), Some("shops")),
    ];
    ensure!(stragglers == expected, "{stragglers:?}");
    let teams = json!([{"name": "shops", "remaining": 2}, {"name": "unowned", "remaining": 1}]);
    ensure!(status["teams"] == teams, "{}", status["teams"]);
    Ok(())
}

/// A service has the name of its ingress; its team goes before that of the namespace.
async fn a_service_is_told(cluster: &Cluster, shop: &str) -> Result<()> {
    let service = json!({
        "apiVersion": "goldenpath.dev/v1alpha1",
        "kind": "PlatformService",
        "metadata": {"name": "checkout", "namespace": shop},
        "spec": {"team": "payments", "workloads": [{"name": "main", "ref": {"kind": "Deployment", "name": "checkout"}}]},
    });
    cluster.apply(&service).await?;
    a_fix_that_does_not_apply_is_named(cluster, shop).await?;
    let service = service_is(cluster, shop, "UsesDeprecated").await?;
    let told = &service["status"]["deprecations"][0];
    let command = format!(
        "kubectl patch ingresses.networking.k8s.io checkout -n {shop} --type merge -p \
         '{{\"spec\":{{\"ingressClassName\":\"shared-gateway\"}}}}'"
    );
    let expected =
        json!({"name": "legacy-ingress", "stage": "Announced", "object": "ingress/checkout", "fix": command});
    ensure!(*told == expected, "{told}");
    cluster
        .until("legacy-ingress", "the team that the service declares", |object| {
            object["status"]["teams"].as_array().is_some_and(|all| all.iter().any(|team| team["name"] == "payments"))
        })
        .await?;
    // the late adopter pastes what it was told
    let output = cluster.control_plane.shell(&command).await?;
    ensure!(output.status.success(), "{command}: {}", output.stderr);
    service_is(cluster, shop, "NothingDeprecated").await?;
    let counts = cluster.counts("legacy-ingress", &json!({"objects": 2, "migrated": 1})).await?;
    ensure!(counts["status"]["stragglersTotal"] == 2, "{}", counts["status"]);
    Ok(())
}

/// A fix that makes no new object of an old one is no command that anybody is told; the right one is, without what the object
/// has already.
async fn a_fix_that_does_not_apply_is_named(cluster: &Cluster, shop: &str) -> Result<()> {
    cluster.kubectl(&format!("annotate ingress checkout -n {shop} example.com/moved=yes")).await?;
    let fix = |spec: Value| json!({"replacement": {"fix": {"patch": {"metadata": {"annotations": {"example.com/moved": "yes"}}, "spec": spec}}}});
    cluster.patch("legacy-ingress", &fix(json!({"ingressClassName": "legacy-nginx"}))).await?;
    let message = cluster.condition("legacy-ingress", "Ready", "FixDoesNotApply").await?;
    println!("{message}");
    ensure!(message.contains("to 3 of the objects that are left, such as ingress/"), "{message}");
    ensure!(message.contains("match class holds with it as well"), "{message}");
    cluster.counts("legacy-ingress", &json!({"objects": 3, "unfixable": 3})).await?;
    told(
        cluster,
        shop,
        "see https://docs.example.com/migrate-ingress; spec.replacement.fix of Deprecation legacy-ingress does not",
    )
    .await?;
    cluster.patch("legacy-ingress", &fix(json!({"ingressClassName": "shared-gateway"}))).await?;
    cluster.condition("legacy-ingress", "Ready", "Ready").await?;
    told(cluster, shop, "kubectl patch").await
}

/// Waits until the service is told so.
async fn told(cluster: &Cluster, namespace: &str, words: &str) -> Result<()> {
    wait::until(&format!("service checkout to be told: {words}"), super::PATIENCE, async || {
        let service = cluster.object(&format!("psvc checkout -n {namespace}")).await?;
        let fix = service["status"]["deprecations"][0]["fix"].as_str().unwrap_or_default();
        ensure!(fix.starts_with(words), "{}", service["status"]["deprecations"]);
        Ok(Some(()))
    })
    .await
}

async fn service_is(cluster: &Cluster, namespace: &str, reason: &str) -> Result<Value> {
    wait::until(&format!("service checkout to be {reason}"), super::PATIENCE, async || {
        let service = cluster.object(&format!("psvc checkout -n {namespace}")).await?;
        ensure!(condition(&service, "UsesDeprecated")["reason"] == reason, "{}", service["status"]);
        Ok(Some(service))
    })
    .await
}

async fn what_changes_is_followed(cluster: &Cluster, shop: &str, bank: &str) -> Result<()> {
    cluster.apply(&ingress(shop, "new", LEGACY)).await?;
    cluster.counts("legacy-ingress", &json!({"objects": 3, "migrated": 0})).await?;
    cluster.kubectl(&format!("delete ingress new -n {shop}")).await?;
    cluster.counts("legacy-ingress", &json!({"objects": 2, "migrated": 1})).await?;
    // a selector that holds no more, without an event of any ingress
    let mut matches = legacy_ingress("x", &json!({}))["spec"]["matches"].clone();
    matches[0]["namespaceSelector"] =
        json!({"matchExpressions": [{"key": "env", "operator": "NotIn", "values": ["sandbox"]}]});
    cluster.patch("legacy-ingress", &json!({"matches": matches})).await?;
    cluster.counts("legacy-ingress", &json!({"objects": 2, "migrated": 0})).await?;
    cluster.kubectl(&format!("label namespace {bank} env=sandbox --overwrite")).await?;
    cluster.counts("legacy-ingress", &json!({"objects": 1})).await?;
    cluster.kubectl(&format!("label namespace {bank} env=prod --overwrite")).await?;
    cluster.counts("legacy-ingress", &json!({"objects": 2})).await.map(drop)
}

/// A team asks, the platform team grants more than it meant to, and the exemption ends by itself.
async fn an_exemption_is_asked_for_and_ends(cluster: &Cluster, shop: &str) -> Result<()> {
    let request =
        json!([{"name": "ip", "for": {"kind": "Deprecation", "name": "legacy-ingress"}, "reason": "vendor IP list"}]);
    let service = json!({
        "apiVersion": "goldenpath.dev/v1alpha1",
        "kind": "PlatformService",
        "metadata": {"name": "cart", "namespace": shop},
        "spec": {"workloads": [{"name": "main", "ref": {"kind": "Deployment", "name": "cart"}}], "exemptionRequests": request},
    });
    cluster.apply(&service).await?;
    let asked = exemption_is(cluster, shop, "Requested").await?;
    ensure!(asked["message"].as_str().is_some_and(|m| m.contains("platform at #paved-road grants it")), "{asked}");
    let metric = |state: &str| {
        format!("goldenpath_deprecation_exemptions{{deprecation=\"legacy-ingress\",state=\"{state}\"}} 1")
    };
    let text = cluster.operator.metrics().await?;
    ensure!(text.contains(&metric("Requested")), "{text}");
    let exemption = json!([{"name": "shop", "namespace": shop, "reason": "RISK-91", "approvedBy": "ana",
        "expiresAt": super::in_seconds(20)}]);
    cluster.patch("legacy-ingress", &json!({"exemptions": exemption, "maxExemptPercent": 20})).await?;
    let counted = cluster.counts("legacy-ingress", &json!({"objects": 2, "exempt": 1, "remaining": 1})).await?;
    let used = json!([{"name": "shop", "state": "Expiring", "objects": 1}]);
    ensure!(counted["status"]["exemptions"] == used, "{}", counted["status"]);
    let granted = exemption_is(cluster, shop, "Expiring").await?;
    ensure!(granted["exemption"] == "shop" && granted["for"]["name"] == "legacy-ingress", "{granted}");
    let message = cluster.condition("legacy-ingress", "Degraded", "TooManyExemptions").await?;
    ensure!(message.starts_with("exemptions: 1 of 2 objects are exempt, and maxExemptPercent is 20"), "{message}");
    let text = cluster.operator.metrics().await?;
    ensure!(text.contains(&metric("Expiring")) && !text.contains(&metric("Requested")), "{text}");
    cluster.counts("legacy-ingress", &json!({"objects": 2, "exempt": 0, "remaining": 2})).await?;
    exemption_is(cluster, shop, "Expired").await?;
    cluster.condition("legacy-ingress", "Degraded", "ExemptionExpired").await?;
    let events = cluster.kubectl("get events -n default -o jsonpath={.items[*].reason}").await?;
    ensure!(events.contains("TooManyExemptions") && events.contains("ExemptionExpired"), "{events}");
    cluster.patch("legacy-ingress", &json!({"exemptions": null, "maxExemptPercent": null})).await?;
    cluster.condition("legacy-ingress", "Degraded", "Healthy").await?;
    exemption_is(cluster, shop, "Requested").await?;
    cluster.kubectl(&format!("delete psvc cart -n {shop}")).await.map(drop)
}

/// What the status of service cart says of its one request.
async fn exemption_is(cluster: &Cluster, namespace: &str, state: &str) -> Result<Value> {
    wait::until(&format!("the request of service cart to be {state}"), super::PATIENCE, async || {
        let service = cluster.object(&format!("psvc cart -n {namespace}")).await?;
        let exemptions = &service["status"]["exemptions"];
        ensure!(exemptions[0]["name"] == "ip" && exemptions[0]["state"] == state, "{exemptions}");
        Ok(Some(exemptions[0].clone()))
    })
    .await
}

async fn a_kind_that_comes_later_is_picked_up(cluster: &Cluster) -> Result<()> {
    let matches =
        json!([{"name": "widget", "resourceRules": [{"apiGroups": ["example.com"], "resources": ["widgets"]}]}]);
    cluster.apply(&legacy_ingress("widgets", &json!({"matches": matches}))).await?;
    let message = cluster.condition("widgets", "Ready", "ResourceNotServed").await?;
    ensure!(message.contains("does not serve widgets of example.com"), "{message}");
    cluster
        .apply(&json!({
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRole",
            "metadata": {"name": "read-widgets", "labels": {"goldenpath.dev/aggregate-to-reader": "true"}},
            "rules": [{"apiGroups": ["example.com"], "resources": ["widgets"], "verbs": ["list", "watch"]}],
        }))
        .await?;
    cluster
        .apply(&json!({
            "apiVersion": "apiextensions.k8s.io/v1",
            "kind": "CustomResourceDefinition",
            "metadata": {"name": "widgets.example.com"},
            "spec": {
                "group": "example.com",
                "names": {"kind": "Widget", "plural": "widgets"},
                "scope": "Cluster",
                "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": {
                    "type": "object", "x-kubernetes-preserve-unknown-fields": true}}}],
            },
        }))
        .await?;
    cluster.condition("widgets", "Ready", "Ready").await?;
    cluster.apply(&json!({"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": "a"}})).await?;
    cluster.counts("widgets", &json!({"objects": 1})).await?;
    cluster.kubectl("delete crd widgets.example.com").await?;
    cluster.condition("widgets", "Ready", "ResourceNotServed").await?;
    cluster.kubectl("delete depr widgets").await.map(drop)
}

async fn an_expression_that_fails_is_named(cluster: &Cluster) -> Result<()> {
    let mut careless = legacy_ingress("careless", &json!({}));
    careless["spec"]["matches"][0]["expression"] = json!("object.spec.ingressClassName == 'legacy-nginx'");
    cluster.apply(&careless).await?;
    let message = cluster.condition("careless", "Ready", "Unevaluable").await?;
    ensure!(message.contains("matches[class].expression") && message.contains("ingress/"), "{message}");
    cluster.counts("careless", &json!({"objects": 2, "unevaluable": 1})).await?;
    careless["spec"]["matches"][0]["expression"] = json!("object.spec.ingressClassName ==");
    cluster.apply(&careless).await?;
    let message = cluster.condition("careless", "Ready", "InvalidMatch").await?;
    ensure!(message.contains("what was matched before is matched still"), "{message}");
    cluster.counts("careless", &json!({"objects": 2, "unevaluable": 1})).await?;
    cluster.kubectl("delete depr careless").await.map(drop)
}

async fn the_api_version_of_a_writer_is_seen(cluster: &Cluster, shop: &str) -> Result<()> {
    let matches = json!([{"name": "v1", "writtenAs": ["autoscaling/v1"],
        "resourceRules": [{"apiGroups": ["autoscaling"], "resources": ["horizontalpodautoscalers"]}]}]);
    cluster.apply(&legacy_ingress("hpa-v1", &json!({"matches": matches}))).await?;
    let scaler = |name: &str, version: &str| {
        json!({
            "apiVersion": version,
            "kind": "HorizontalPodAutoscaler",
            "metadata": {"name": name, "namespace": shop},
            "spec": {"maxReplicas": 3, "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "no"}},
        })
    };
    cluster.apply_all(&[scaler("old", "autoscaling/v1"), scaler("new", "autoscaling/v2")]).await?;
    let object = cluster.counts("hpa-v1", &json!({"objects": 1})).await?;
    let straggler = &object["status"]["stragglers"][0];
    let expected = json!({"object": format!("horizontalpodautoscaler/{shop}/old"), "team": "shops", "match": "v1",
        "manager": "kubectl-client-side-apply"});
    ensure!(*straggler == expected, "{straggler}");
    cluster.kubectl("delete depr hpa-v1").await.map(drop)
}

/// Two thousand matching objects at once: few writes while they come, and the exact count at the end.
async fn a_storm_is_few_writes(cluster: &Cluster) -> Result<()> {
    let storm = cluster.control_plane.namespace("storm").await?;
    let (mark, started) = (cluster.control_plane.audit_mark()?, std::time::Instant::now());
    for part in 0..10 {
        let objects: Vec<Value> = (0..200).map(|n| ingress(&storm, &format!("s{part}-{n:03}"), LEGACY)).collect();
        let list = json!({"apiVersion": "v1", "kind": "List", "items": objects}).to_string();
        cluster.control_plane.kubectl_stdin(["create", "-f", "-"], &list).await?;
    }
    let object = cluster.counts("legacy-ingress", &json!({"objects": 2002, "remaining": 2002})).await?;
    ensure!(object["status"]["stragglers"].as_array().is_some_and(|all| all.len() == 50), "the list is capped");
    let events = cluster.control_plane.audit_since(mark)?;
    let user = audit::account("goldenpath-system", "goldenpath");
    let written = audit::writes(&events, &user).of("patch", "deprecations/status");
    let most = usize::try_from(started.elapsed().as_secs() / 5)? + 2;
    println!("storm: 2000 objects in {:?}, {written} writes, at most {most}", started.elapsed());
    ensure!(written <= most, "{written} writes in {:?}", started.elapsed());
    cluster.kubectl(&format!("delete namespace {storm}")).await?;
    cluster.counts("legacy-ingress", &json!({"objects": 2, "migrated": 2000})).await.map(drop)
}

async fn a_restart_writes_nothing(mut cluster: Cluster) -> Result<()> {
    cluster.dies().await?;
    cluster.comes_back_in_silence().await
}
