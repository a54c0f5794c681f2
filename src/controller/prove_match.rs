//! The proof of what a Deprecation matches, before a policy of it is put in force.

use std::time::Duration;

use k8s_openapi::api::admissionregistration::v1::{
    ValidatingAdmissionPolicy as Policy, ValidatingAdmissionPolicyBinding as Binding,
};
use kube::ResourceExt;
use serde_json::Value;

use super::context::Context;
use super::errors::Error;
use super::policies::{IN_FORCE, api, dry_run};
use crate::api::{Deprecation, DeprecationMatch, WorkloadKind};
use crate::plan::consumers::{Matcher, Served, Sight};
use crate::plan::probe::{self, feedback_probes, to_prove};
use crate::policy::{MatchProof, Sample, Verdict, refused, seen_by};

/// Objects of a resource that are looked at for samples.
const PAGE: u32 = 20;
/// Objects that a proof asks about, of those that are old and of those that are not.
const MOST: usize = 2;
/// A larger object would be too long for an expression.
const MAX_SAMPLE: usize = 20_000;
const AGAIN: Duration = Duration::from_millis(200);

/// What went wrong, or nothing. The copy refuses each probe, so one that passes only says that it is not in force yet.
pub async fn prove(
    deprecation: &Deprecation,
    entry: &DeprecationMatch,
    targets: &[Served],
    context: &Context,
) -> Result<Option<String>, Error> {
    let Ok(matcher) = Matcher::compile(entry) else { return Ok(None) }; // it is said elsewhere
    let name = deprecation.name_any();
    let samples = samples(deprecation, entry, &matcher, targets, context).await?;
    let serialisation = |source| Error::Serialisation { what: format!("the proof of Deprecation {name}"), source };
    let proof = MatchProof::of(&name, entry, &samples, &context.operator).map_err(serialisation)?;
    let tried = try_probe(&proof, context).await;
    // the copy goes in any case, and first the binding: a policy without one acts on nothing
    context.requests.delete(&api::<Binding>(context), proof.feedback.name()).await?;
    context.requests.delete(&api::<Policy>(context), proof.feedback.name()).await?;
    let wrong = tried?;
    tracing::debug!(deprecation = name, entry = entry.name, samples = samples.len(), ?wrong, "proved what is old");
    Ok(wrong)
}

async fn try_probe(proof: &MatchProof<'_>, context: &Context) -> Result<Option<String>, Error> {
    if let Err(error) = context.requests.create(&api(context), &proof.feedback.policy).await {
        let Some(refusal) = error.refusal() else { return Err(error) };
        return Ok(Some(refused(&refusal)));
    }
    context.requests.create(&api(context), &proof.feedback.binding).await?;
    let started = tokio::time::Instant::now();
    let probes = feedback_probes(&[WorkloadKind::Deployment]);
    let Some(object) = probes.first().map(|probe| to_prove(&probe.object, &proof.probe)) else { return Ok(None) };
    loop {
        let answer = match dry_run(WorkloadKind::Deployment, &object, context).await? {
            Ok(_) => "nothing".to_owned(),
            Err(answer) => match proof.verdict(&answer) {
                Verdict::Proved => return Ok(None),
                Verdict::Wrong(wrong) => return Ok(Some(wrong)),
                Verdict::NotAsked => answer,
            },
        };
        if started.elapsed() > IN_FORCE {
            return Ok(Some(format!(
                "for a minute it says {answer} of the probe {}, and not what it is asked",
                probe::NAME
            )));
        }
        tokio::time::sleep(AGAIN).await;
    }
}

/// Objects that are there, with what our own engine says of them. None where nothing can be listed: then it is proved that
/// the API server takes the expression.
async fn samples(
    deprecation: &Deprecation,
    entry: &DeprecationMatch,
    matcher: &Matcher,
    targets: &[Served],
    context: &Context,
) -> Result<Vec<Sample>, Error> {
    let home = context.fleet.table().namespace(&context.operator.namespace).unwrap_or_default();
    let (mut old, mut others) = (Vec::new(), Vec::new());
    for resource in targets {
        let straggler = straggler(deprecation, entry, resource);
        let mut objects = Vec::new();
        for (selector, limit) in straggler.iter().map(|selector| (selector.as_str(), 1)).chain([("", PAGE)]) {
            match context.requests.some(resource, selector, limit).await {
                Ok(some) => objects.extend(some),
                Err(error) if error.refusal().is_some() || error.is_status(403) || error.is_status(404) => {}
                Err(error) => return Err(error),
            }
        }
        for object in objects {
            let sample = sample(resource, &object, entry, matcher, &home);
            let Some(sample) = sample else { continue };
            let list = if sample.is_old { &mut old } else { &mut others };
            if list.len() < MOST && !list.contains(&sample) {
                list.push(sample);
            }
        }
    }
    Ok(old.into_iter().chain(others).collect())
}

/// A field selector of an object that is known to be old.
fn straggler(deprecation: &Deprecation, entry: &DeprecationMatch, resource: &Served) -> Option<String> {
    let stragglers = &deprecation.status.as_ref()?.progress.stragglers;
    let mut mine = stragglers.iter().filter(|straggler| straggler.matched == entry.name);
    mine.find_map(|straggler| {
        let parts: Vec<&str> = straggler.object.split('/').collect();
        match parts[..] {
            [kind, namespace, name] if kind == resource.kind.to_lowercase() => {
                Some(format!("metadata.namespace={namespace},metadata.name={name}"))
            }
            [kind, name] if kind == resource.kind.to_lowercase() => Some(format!("metadata.name={name}")),
            _ => None,
        }
    })
}

fn sample(
    resource: &Served,
    object: &Value,
    entry: &DeprecationMatch,
    matcher: &Matcher,
    home: &Value,
) -> Option<Sample> {
    let at = |field: &str| object["metadata"][field].as_str();
    let parts = [Some(resource.kind.to_lowercase()), at("namespace").map(str::to_owned), at("name").map(str::to_owned)];
    let what = parts.into_iter().flatten().collect::<Vec<_>>().join("/");
    let object = seen_by(entry, object);
    let is_old = match matcher.look(&object, home) {
        Sight::Matched { .. } => true,
        Sight::NotMatched => false,
        Sight::Unevaluable(_) => return None,
    };
    (object.to_string().len() <= MAX_SAMPLE).then_some(Sample { what, object, is_old })
}
