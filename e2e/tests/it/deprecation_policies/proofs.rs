//! What an API server answers to the proof of an entry: that it sees objects as they are counted, or which one it does not.

use goldenpath::plan::probe::{feedback_probes, to_prove};
use goldenpath::policy::{MatchProof, Operator, Sample, Verdict};

use super::*;

#[tokio::test]
async fn an_api_server_that_sees_an_object_otherwise_than_it_is_counted_is_noticed() {
    let expression = "object.spec.ingressClassName == 'legacy' && object.metadata.name.startsWith('we')";
    let old = Old::new("proofs", &[], json!({"matches": [{"expression": expression}]})).await;
    let sample =
        |class: &str, is_old| Sample { what: format!("Ingress {class}"), object: ingress("web", class), is_old };
    let right = [sample("legacy", true), sample("shared", false)];
    let missed = [sample("legacy", true), sample("shared", true)];
    let added = [sample("legacy", false), sample("shared", false)];
    let mut careless = sample("legacy", true);
    careless.object["spec"] = json!({});
    assert_eq!(verdict(&old, &right).await, Verdict::Proved);
    assert_eq!(verdict(&old, &[]).await, Verdict::Proved, "nothing is there yet");
    let plainer = "say it in plainer words";
    let not =
        Verdict::Wrong(format!("Ingress shared is counted as old, and the API server says that it is not; {plainer}"));
    assert_eq!(verdict(&old, &missed).await, not);
    let so =
        Verdict::Wrong(format!("Ingress legacy is counted as not old, and the API server says that it is; {plainer}"));
    assert_eq!(verdict(&old, &added).await, so);
    let failed = "it cannot evaluate it: no such key: ingressClassName; ask with has() first, and for less";
    assert_eq!(verdict(&old, &[careless]).await, Verdict::Wrong(failed.into()));
}

/// What becomes of a proof with these samples, in a namespace that plays the operator's.
async fn verdict(old: &Old, samples: &[Sample]) -> Verdict {
    let operator = Operator { namespace: old.namespace.clone(), ..road::operator() };
    let proof = MatchProof::of(&old.namespace, &old.spec.matches[0], samples, &operator).unwrap();
    let name = proof.feedback.name();
    let policies = Api::<ValidatingAdmissionPolicy>::all(old.client.clone());
    let bindings = Api::<ValidatingAdmissionPolicyBinding>::all(old.client.clone());
    policies.create(&PostParams::default(), &proof.feedback.policy).await.unwrap();
    bindings.create(&PostParams::default(), &proof.feedback.binding).await.unwrap();
    let probe = to_prove(&feedback_probes(&[goldenpath::api::WorkloadKind::Deployment])[0].object, &proof.probe);
    let probe: k8s_openapi::api::apps::v1::Deployment = serde_json::from_value(probe).unwrap();
    let deployments = Api::namespaced(old.client.clone(), &old.namespace);
    let verdict = wait::until("the proof to be in force", TIMEOUT, async || {
        let params = PostParams { dry_run: true, ..PostParams::default() };
        let verdict = match deployments.create(&params, &probe).await {
            Ok(_) => Verdict::NotAsked,
            Err(kube::Error::Api(status)) => proof.verdict(&status.message),
            Err(error) => return Err(error.into()),
        };
        ensure!(verdict != Verdict::NotAsked, "it is not asked");
        Ok(Some(verdict))
    });
    let verdict = verdict.await.unwrap();
    bindings.delete(name, &DeleteParams::default()).await.unwrap();
    policies.delete(name, &DeleteParams::default()).await.unwrap();
    verdict
}
