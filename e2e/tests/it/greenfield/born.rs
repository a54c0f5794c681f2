//! A workload is made, born on the road, and follows its template.

use anyhow::{Result, ensure};
use goldenpath::api::labels;
use goldenpath_e2e::space::Space;
use goldenpath_e2e::{ControlPlane, wait};
use serde_json::{Value, json};

use super::{
    FIRST_CPU, PATIENCE, Shop, api, assert_filled, assert_has_fills, cart, is_owned, label, managers, path, pod_spec,
};

/// Waits until every endpoint of a Service is ready, and counts them.
async fn ready_endpoints(shop: &Shop<'_>, service: &str) -> Result<usize> {
    let query = format!("get endpointslices -l kubernetes.io/service-name={service} -o json");
    wait::until(&format!("endpoints of {service}"), PATIENCE, async || {
        let slices: Value = serde_json::from_str(&shop.kubectl(&query).await?)?;
        let all = slices["items"].as_array().into_iter().flatten();
        let endpoints: Vec<&Value> = all.filter_map(|slice| slice["endpoints"].as_array()).flatten().collect();
        let ready = endpoints.iter().filter(|e| e["conditions"]["ready"] == true).count();
        ensure!(ready > 0 && ready == endpoints.len(), "{endpoints:?}");
        ensure!(slices["items"][0]["ports"][0]["port"] == 8080, "{}", slices["items"][0]["ports"]);
        Ok(Some(ready))
    })
    .await
}

/// The path and the service are written in one step, as a GitOps tool does: the first pod is on the road all the same.
#[tokio::test]
async fn eight_lines_are_a_running_and_reachable_service_on_the_whole_road() -> Result<()> {
    let control_plane = ControlPlane::with_goldenpath().await?;
    let namespace = control_plane.namespace("eight-lines").await?;
    let shop = Shop { path: namespace.clone(), space: Space { control_plane, namespace } };
    let mark = control_plane.audit_mark()?;
    control_plane.apply(&path(&shop.path, FIRST_CPU)).await?;
    shop.asks_for(cart("1.0.0")).await?;

    let object = shop.runs("deployment/cart-api").await?;
    assert_filled(&object, FIRST_CPU)?;
    ensure!(is_owned(&object) && label(&object, labels::PATH) == Some(&shop.path), "{}", object["metadata"]);
    ensure!(shop.names("replicasets").await?.len() == 1, "more than one rollout");
    let set = shop.names("replicasets").await?.remove(0);
    assert_has_fills(&shop.object(&format!("replicaset/{set}")).await?, FIRST_CPU)?;
    ensure!(ready_endpoints(&shop, "cart-api").await? == 1, "one pod, one endpoint");

    let status = shop.object("psvc/cart").await?["status"].clone();
    ensure!(status["adoption"]["origin"] == "Greenfield" && status["adoption"]["score"] == "1.00", "{status}");
    ensure!(status["workloads"][0]["object"] == "cart-api", "{}", status["workloads"]);
    let writes = shop.operator_writes(mark)?;
    println!("eight lines: {writes}");
    ensure!(writes.of("patch", "deployments") == 1 && writes.of("patch", "services") == 1, "{writes}");
    Ok(())
}

#[tokio::test]
async fn a_schedule_is_a_cron_job_and_a_stateful_set_has_a_headless_service() -> Result<()> {
    let shop = Shop::open().await?;
    let entries = json!([
        {"name": "sweeper", "template": {"image": "example.com/sweeper:2.1.0", "schedule": "0 0 1 1 *"}},
        {"name": "ledger", "template": {"kind": "StatefulSet", "image": "example.com/ledger:1", "port": 8080, "replicas": 2}},
    ]);
    shop.asks(entries, json!({})).await?;
    let ledger = shop.runs("statefulset/cart-ledger").await?;
    assert_filled(&ledger, FIRST_CPU)?;
    ensure!(ledger["spec"]["serviceName"] == "cart-ledger" && ledger["spec"]["replicas"] == 2, "{}", ledger["spec"]);
    ensure!(ready_endpoints(&shop, "cart-ledger").await? == 2, "two pods");
    ensure!(shop.object("service/cart-ledger").await?["spec"]["clusterIP"] == "None", "the Service is headless");

    let sweeper = shop.object("cronjob/cart-sweeper").await?;
    assert_filled(&sweeper, FIRST_CPU)?;
    ensure!(sweeper["spec"]["schedule"] == "0 0 1 1 *", "{}", sweeper["spec"]);
    shop.kubectl("create job --from=cronjob/cart-sweeper now").await?;
    shop.until("job/now", "complete", |job| job["status"]["succeeded"] == 1).await?;
    Ok(())
}

#[tokio::test]
async fn every_field_of_a_template_reaches_the_workload() -> Result<()> {
    let shop = Shop::open().await?;
    let mut template = cart("1.0.0");
    let more = json!({
        "command": ["/cart"],
        "args": ["--verbose"],
        "env": [{"name": "MODE", "value": "fast"}],
        "envFrom": [{"configMapRef": {"name": "cart", "optional": true}}],
        "replicas": 2,
        "resources": {"requests": {"cpu": "0.1"}, "limits": {"memory": "64Mi"}},
        "probes": {"readiness": {"tcpSocket": {"port": 8080}}},
        "patch": {
            "metadata": {"annotations": {"example.com/runbook": "cart"}},
            "spec": {"template": {"spec": {
                "terminationGracePeriodSeconds": 60,
                "volumes": [{"name": "tmp", "emptyDir": {}}],
                "containers": [{"name": "api", "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}]}],
            }}},
        },
    });
    template.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    shop.asks_for(template).await?;
    let object = shop.runs("deployment/cart-api").await?;
    let container = &pod_spec(&object)["containers"][0];
    ensure!(container["command"][0] == "/cart" && container["args"][0] == "--verbose", "{container}");
    ensure!(
        container["env"][0]["value"] == "fast" && container["envFrom"][0]["configMapRef"]["name"] == "cart",
        "{container}"
    );
    // what the team said stays, and the road yields beside it: a request of memory is not filled below a limit
    ensure!(
        container["resources"] == json!({"requests": {"cpu": "100m"}, "limits": {"memory": "64Mi"}}),
        "{container}"
    );
    ensure!(container["readinessProbe"]["tcpSocket"]["port"] == 8080, "{container}");
    ensure!(container["volumeMounts"][0]["mountPath"] == "/tmp", "{container}");
    ensure!(pod_spec(&object)["terminationGracePeriodSeconds"] == 60, "{}", pod_spec(&object));
    ensure!(object["metadata"]["annotations"]["example.com/runbook"] == "cart", "{}", object["metadata"]);
    Ok(())
}

/// One rollout for one change, on the revision that the workload follows by then.
#[tokio::test]
async fn a_changed_template_is_one_rollout_and_takes_what_the_road_has_got_meanwhile() -> Result<()> {
    let control_plane = ControlPlane::with_goldenpath().await?;
    let namespace = control_plane.namespace("follows").await?;
    let shop = Shop { path: namespace.clone(), space: Space { control_plane, namespace } };
    control_plane.golden_path(&path(&shop.path, FIRST_CPU)).await?;
    shop.asks_for(cart("1.0.0")).await?;
    shop.runs("deployment/cart-api").await?;

    let revision = control_plane.golden_path(&path(&shop.path, "75m")).await?;
    let moved = |object: &Value| label(object, labels::REVISION) == Some(revision.as_str());
    let object = shop.until("deployment/cart-api", "moved", moved).await?;
    assert_filled(&object, FIRST_CPU)?;
    ensure!(shop.names("replicasets").await?.len() == 1, "moving restarts nothing");

    let mark = control_plane.audit_mark()?;
    let mut second = cart("1.1.0");
    second["env"] = json!([{"name": "MODE", "value": "fast"}]);
    shop.asks_for(second).await?;
    let object =
        shop.until("deployment/cart-api", "on 1.1.0", |o| o["spec"].to_string().contains("cart:1.1.0")).await?;
    assert_filled(&object, "75m")?;
    shop.runs("deployment/cart-api").await?;
    ensure!(shop.names("replicasets").await?.len() == 2, "one rollout");
    let writes = shop.operator_writes(mark)?;
    ensure!(writes.of("patch", "deployments") == 1 && writes.of("patch", "services") == 0, "{writes}");

    // what is taken out of the template leaves, and what the road filled stays
    shop.asks_for(cart("1.1.0")).await?;
    let object = shop.until("deployment/cart-api", "without env", |o| !o["spec"].to_string().contains("MODE")).await?;
    assert_filled(&object, "75m")
}

#[tokio::test]
async fn an_observed_service_is_made_without_the_road_and_a_suspended_one_is_not_made() -> Result<()> {
    let shop = Shop::open().await?;
    let mark = shop.control_plane.audit_mark()?;
    shop.asks(api(cart("1.0.0")), json!({"suspend": true})).await?;
    shop.ready("Suspended").await?;
    let writes = shop.operator_writes(mark)?;
    ensure!(writes.total() == writes.of("patch", "platformservices/status"), "{writes}");

    shop.asks(api(cart("1.0.0")), json!({"suspend": false, "mode": "Observe"})).await?;
    let object = shop.until("deployment/cart-api", "there", |_| true).await?;
    ensure!(labels::WORKLOAD_LABELS.iter().all(|name| label(&object, name).is_none()), "{}", object["metadata"]);
    ensure!(pod_spec(&object)["containers"][0]["resources"] == json!({}), "{}", pod_spec(&object));
    shop.until("psvc/cart", "observed", |s| s["status"]["adoption"]["state"] == "Observing").await?;

    // on the road by the team's own next change
    shop.asks(api(cart("1.0.0")), json!({"suspend": false, "mode": "Default"})).await?;
    shop.until("deployment/cart-api", "labelled", |o| label(o, labels::PATH) == Some(&shop.path)).await?;
    ensure!(shop.names("replicasets").await?.len() == 1, "labels restart nothing");
    shop.asks_for(cart("1.1.0")).await?;
    assert_filled(&shop.runs("deployment/cart-api").await?, FIRST_CPU)?;

    // and off it again: the road's values and labels go, what the template says stays the operator's
    shop.asks(api(cart("1.1.0")), json!({"mode": "Observe"})).await?;
    let leaving = labels::release_revision(&shop.path);
    shop.until("deployment/cart-api", "leaving", |o| label(o, labels::REVISION) == Some(&leaving)).await?;
    shop.asks(api(cart("1.2.0")), json!({"mode": "Observe"})).await?;
    let object =
        shop.until("deployment/cart-api", "on 1.2.0", |o| o["spec"].to_string().contains("cart:1.2.0")).await?;
    ensure!(labels::WORKLOAD_LABELS.iter().all(|name| label(&object, name).is_none()), "{}", object["metadata"]);
    ensure!(pod_spec(&object)["containers"][0]["resources"] == json!({}), "{}", pod_spec(&object));
    let applies = (labels::FIELD_MANAGER.to_owned(), "Apply".to_owned());
    ensure!(managers(&object) == [applies], "{:?}", managers(&object));
    shop.asks(api(cart("1.3.0")), json!({"mode": "Observe"})).await?;
    shop.until("deployment/cart-api", "on 1.3.0", |o| o["spec"].to_string().contains("cart:1.3.0")).await?;
    Ok(())
}

/// Three entries that cannot be made, each in its own way, beside one that can.
#[tokio::test]
async fn what_cannot_be_made_says_why_and_disturbs_nothing_else() -> Result<()> {
    let shop = Shop::open().await?;
    let broken = [
        (json!({"image": "a", "schedule": "every day"}), "ApiServerRefused", "spec.schedule: Invalid value"),
        (
            json!({"image": "a", "patch": {"spec": {"bananas": 3}}}),
            "ApiServerRefused",
            ".spec.bananas: field not declared",
        ),
        (
            json!({"image": "a", "resources": {"requests": {"cpu": "lots"}}}),
            "ApiServerRefused",
            "quantities must match",
        ),
        (
            json!({"image": "a", "patch": {"metadata": {"name": "b"}}}),
            "InvalidTemplate",
            "workloads[broken].template.patch.metadata.name",
        ),
        (
            json!({"image": "a", "kind": "StatefulSet", "patch": {"spec": {"serviceName": "b"}}}),
            "InvalidTemplate",
            "patch.spec.serviceName",
        ),
        (
            json!({"image": "a", "patch": {"metadata": {"labels": {"goldenpath.dev/revision": "x"}}}}),
            "InvalidTemplate",
            "labels[goldenpath.dev/revision]",
        ),
    ];
    for (template, reason, words) in broken {
        let entries = json!([{"name": "broken", "template": template}, {"name": "api", "template": cart("1.0.0")}]);
        shop.asks(entries, json!({})).await?;
        let message = shop.ready(reason).await?;
        ensure!(message.contains(words) && message.contains("workloads[broken]"), "{message}");
    }
    shop.kubectl("rollout status deployment/cart-api --timeout=60s").await?;
    assert_filled(&shop.object("deployment/cart-api").await?, FIRST_CPU)?;
    ensure!(shop.names("deployments,statefulsets,cronjobs").await? == ["cart-api"], "only what is valid is there");
    Ok(())
}

/// The API server takes the workload as the team wrote it, and would refuse it with the defaults: a policy of the
/// cluster's own admins says so. It is made as the team wrote it.
#[tokio::test]
async fn a_workload_that_the_server_refuses_with_the_defaults_is_made_without_them() -> Result<()> {
    let shop = Shop::open().await?;
    let namespace = &shop.namespace;
    let veto = json!([
        {
            "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicy", "metadata": {"name": namespace},
            "spec": {
                "failurePolicy": "Fail",
                "matchConstraints": {"resourceRules": [{
                    "apiGroups": ["apps"], "apiVersions": ["v1"], "operations": ["CREATE", "UPDATE"], "resources": ["deployments"],
                }]},
                "validations": [{
                    "expression": "!has(object.spec.template.spec.containers[0].lifecycle)", "message": "no hooks here",
                }],
            },
        },
        {
            "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicyBinding", "metadata": {"name": namespace},
            "spec": {
                "policyName": namespace, "validationActions": ["Deny"],
                "matchResources": {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}}},
            },
        },
    ]);
    shop.control_plane.apply(&json!({"apiVersion": "v1", "kind": "List", "items": veto}).to_string()).await?;
    let hooked = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "tried", "namespace": namespace},
        "spec": {"selector": {"matchLabels": {"a": "b"}}, "template": {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [
            {"name": "a", "image": "a", "lifecycle": {"preStop": {"sleep": {"seconds": 1}}}}]}}}});
    wait::until("the veto to be in force", PATIENCE, async || {
        let tried =
            shop.control_plane.kubectl_output(["apply", "--dry-run=server", "-f", "-"], &hooked.to_string()).await?;
        Ok(tried.stderr.contains("no hooks here").then_some(()))
    })
    .await?;
    shop.asks_for(cart("1.0.0")).await?;
    let message = shop.ready("ApiServerRefused").await?;
    ensure!(
        message.contains("refuses the workload with the defaults") && message.contains("no hooks here"),
        "{message}"
    );
    shop.kubectl("rollout status deployment/cart-api --timeout=60s").await?;
    let object = shop.object("deployment/cart-api").await?;
    ensure!(label(&object, labels::REVISION).is_none(), "{}", object["metadata"]);
    ensure!(ready_endpoints(&shop, "cart-api").await? == 1, "it runs and answers");
    Ok(())
}
