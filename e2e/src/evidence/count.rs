//! How many workloads of the corpus have, gain or lack a default, and how many would break under it.

use std::cmp::Ordering;
use std::collections::BTreeSet;

use anyhow::{Context, Result, bail};
use goldenpath::api::{
    Companion, GoldenPath, GoldenPathSpec, PathDefault, PlatformService, VerdictState, WorkloadKind, WorkloadRef,
    labels,
};
use goldenpath::cel::compare_quantities;
use goldenpath::cli::generate::how;
use goldenpath::plan::companions::{Allowed, Beside, Companionship, Other, decide, reach};
use goldenpath::plan::exceptions::Exceptions;
use goldenpath::plan::gaps::{Gap, Whose, gaps};
use goldenpath::plan::revision::{InvalidPath, Revision};
use goldenpath::plan::service::template;
use goldenpath::plan::verdict::{Standing, Subjected, verdicts};
use serde_json::{Value, json};

use super::{Decision, Evidence, Fact, Image, User};
use crate::corpus::CorpusFile;

/// The workloads of the corpus that the operator would adopt.
pub struct Corpus {
    workloads: Vec<(WorkloadKind, Value)>,
    autoscaled: BTreeSet<(String, String, String)>,
    /// Everything that is no workload.
    others: Vec<Value>,
}

/// What the corpus says of one default.
#[derive(Debug)]
pub struct Row {
    /// Name of the default.
    pub default: String,
    /// It fills, or makes something beside the workload; otherwise it only checks.
    pub fills: bool,
    /// The same in a word.
    pub how: &'static str,
    /// Workloads that do it already.
    pub have: usize,
    /// Workloads that it is filled in.
    pub gain: usize,
    /// Workloads in which it is left open.
    pub yields: usize,
    /// Workloads with another value of their own, or of which the check does not hold.
    pub lack: usize,
    /// What filling it would break.
    pub breaks: Breaks,
}

/// What filling a default would break.
#[derive(Debug, PartialEq, Eq)]
pub enum Breaks {
    /// So many workloads of the corpus, and so many images that are known.
    Known {
        /// Workloads.
        workloads: usize,
        /// Images.
        images: usize,
    },
    /// Of so many containers that declare a limit, so many need more.
    TooLow {
        /// Containers that declare one.
        declared: usize,
        /// Those whose limit is higher.
        higher: usize,
    },
    /// A path that fills it is refused.
    Refused,
    /// There is nothing that could be filled for everybody.
    Nothing,
}

impl Corpus {
    /// Takes the workloads out of files. Jobs and excluded namespaces are nobody's to adopt.
    #[must_use]
    pub fn of(files: &[CorpusFile]) -> Self {
        let documents = || files.iter().flat_map(|file| &file.documents);
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let namespace = |document: &Value| text(&document["metadata"]["namespace"]);
        let excluded = |document: &&Value| !labels::EXCLUDED_NAMESPACES.contains(&namespace(document).as_str());
        let workload = |document: &Value| {
            let kind = serde_json::from_value(document["kind"].clone()).ok()?;
            Some((kind, completed(kind, document)))
        };
        let by_utilisation = |hpa: &&Value| {
            let targets = hpa["spec"]["metrics"].as_array();
            !hpa["spec"]["targetCPUUtilizationPercentage"].is_null()
                || targets.is_some_and(|all| all.iter().any(|m| m["resource"]["target"]["type"] == "Utilization"))
        };
        let target = |hpa: &Value| {
            let of = &hpa["spec"]["scaleTargetRef"];
            (namespace(hpa), text(&of["kind"]), text(&of["name"]))
        };
        let hpas = documents().filter(|d| d["kind"] == "HorizontalPodAutoscaler");
        Self {
            workloads: documents().filter(excluded).filter_map(workload).collect(),
            autoscaled: hpas.filter(by_utilisation).map(target).collect(),
            others: documents().filter(|document| workload(document).is_none()).cloned().collect(),
        }
    }

    /// What would become of a companion of one workload, with what its team has in the same namespace.
    fn beside(&self, kind: WorkloadKind, object: &Value, default: &str, companion: &Companion) -> Companionship {
        let of = |document: &Value| document["metadata"]["namespace"].as_str().unwrap_or_default().to_owned();
        let here = |document: &&Value| document["kind"] == *companion.kind && of(document) == of(object);
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let other = |document: &Value| Other {
            name: text(&document["metadata"]["name"]),
            reach: reach(&companion.kind, document),
            companion_since: None,
        };
        let others: Vec<Other> = self.others.iter().filter(here).map(other).collect();
        let (allowed, service) = (Allowed::new(Vec::new()), PlatformService::default());
        let target = WorkloadRef { api_version: None, kind, name: text(&object["metadata"]["name"]) };
        let beside = Beside { service: &service, entry: "main", target: &target, object };
        match allowed.find(companion) {
            Some(kind) => decide(beside, default, companion, kind, (&others, &[]), None),
            None => Companionship::Impossible(companion.kind.clone()),
        }
    }

    /// How many workloads of these kinds there are.
    #[must_use]
    pub fn count(&self, kinds: &[WorkloadKind]) -> usize {
        self.of_kinds(kinds).count()
    }

    fn of_kinds<'a>(&'a self, kinds: &'a [WorkloadKind]) -> impl Iterator<Item = &'a (WorkloadKind, Value)> {
        self.workloads.iter().filter(|(kind, _)| kinds.contains(kind))
    }

    /// What containers of these kinds declare in `resources`, in order of size.
    #[must_use]
    pub fn declared(&self, kinds: &[WorkloadKind], map: &str, name: &str) -> Vec<String> {
        let containers = self.of_kinds(kinds).flat_map(|(kind, object)| containers(*kind, object, "containers"));
        let quantity = |c: &Value| match &c["resources"][map][name] {
            Value::String(text) => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        };
        let mut found: Vec<String> = containers.filter_map(quantity).collect();
        found.sort_by(|a, b| compare_quantities(a, b).unwrap_or(Ordering::Equal));
        found
    }
}

/// A manifest with what the API server adds to it and checks look at.
fn completed(kind: WorkloadKind, document: &Value) -> Value {
    let mut object = document.clone();
    if matches!(kind, WorkloadKind::Deployment | WorkloadKind::StatefulSet) && object["spec"]["replicas"].is_null() {
        object["spec"]["replicas"] = json!(1);
    }
    object
}

fn containers<'a>(kind: WorkloadKind, object: &'a Value, list: &str) -> impl Iterator<Item = &'a Value> {
    template(kind, object)["spec"][list].as_array().map(Vec::as_slice).unwrap_or_default().iter()
}

/// Counts each default of a path over the workloads that take it by default.
///
/// Everything in a manifest counts as the team's own: that is what a deploy with it would say.
///
/// # Errors
/// When a default has no decision, or a path cannot be compiled.
pub fn count(path: &GoldenPath, evidence: &Evidence, corpus: &Corpus) -> Result<Vec<Row>> {
    let revision = Revision::draft(path)?;
    let nothing = json!({});
    let mut rows = Vec::new();
    for default in &path.spec.defaults {
        let decision = evidence.decisions.get(&default.name);
        let decision = decision.with_context(|| format!("e2e/evidence.yaml decides nothing on {}", default.name))?;
        let breaks = breaks(path, default, decision, evidence, corpus)?;
        let fills = default.pod_template.is_some() || !default.resources.is_empty();
        let (default_name, how) = (default.name.clone(), how(default));
        let mut row = Row { default: default_name, fills, how, have: 0, gain: 0, yields: 0, lack: 0, breaks };
        for (kind, object) in corpus.of_kinds(&path.spec.default_for) {
            if let Some(companion) = default.resources.first() {
                match corpus.beside(*kind, object, &default.name, companion) {
                    Companionship::Wanted(_) => row.gain += 1,
                    Companionship::Covered(_) => row.have += 1,
                    Companionship::Moot(_) => row.yields += 1,
                    Companionship::Impossible(_) => row.lack += 1,
                }
                continue;
            }
            let subject = Subjected { kind: *kind, object, namespace: &nothing };
            let verdicts = verdicts(subject, &revision, &Standing::Adopted, &Exceptions::default());
            let verdict = verdicts.iter().find(|v| v.default == default.name).context("no verdict")?;
            let left_open = || {
                let gaps = gaps(*kind, object, &revision.road);
                let mine = |g: &&Gap<'_>| g.wish.is_some_and(|w| w.default == default.name);
                gaps.iter().filter(mine).any(|g| g.yields && g.whose == Whose::Nobodys)
            };
            match verdict.state {
                VerdictState::PendingRollout => row.gain += 1,
                VerdictState::SatisfiedByTeam if left_open() => row.yields += 1,
                VerdictState::SatisfiedByTeam => row.have += 1,
                VerdictState::Missing | VerdictState::Overridden | VerdictState::Conflict => row.lack += 1,
                VerdictState::Applied | VerdictState::Exempt | VerdictState::RolledBack => {
                    bail!("{}: nothing is applied in a manifest, nobody is exempt, and nothing went back", default.name)
                }
            }
        }
        rows.push(row);
    }
    Ok(rows)
}

fn breaks(
    path: &GoldenPath,
    default: &PathDefault,
    decision: &Decision,
    evidence: &Evidence,
    corpus: &Corpus,
) -> Result<Breaks> {
    let Some(tried) = default.pod_template.as_ref().or(decision.candidate.as_ref()) else {
        let beside = !default.resources.is_empty();
        return Ok(if beside { Breaks::Known { workloads: 0, images: 0 } } else { Breaks::Nothing });
    };
    let alone = PathDefault { pod_template: Some(tried.clone()), check: None, ..default.clone() };
    let spec = GoldenPathSpec { defaults: vec![alone], ..GoldenPathSpec::default() };
    let revision = match Revision::draft(&GoldenPath::new("tried", spec)) {
        Ok(revision) => revision,
        Err(InvalidPath::InvalidDefault(_)) => return Ok(Breaks::Refused),
        Err(error) => return Err(error.into()),
    };
    let kinds = &path.spec.default_for;
    if let Some(limit) = tried["spec"].pointer("/containers/0/resources/limits/memory").and_then(Value::as_str) {
        let declared = corpus.declared(kinds, "limits", "memory");
        let higher = declared.iter().filter(|own| compare_quantities(own, limit) == Some(Ordering::Greater)).count();
        return Ok(Breaks::TooLow { declared: declared.len(), higher });
    }
    let workloads = corpus.of_kinds(kinds).filter(|(kind, object)| {
        let gaps = gaps(*kind, object, &revision.road);
        let gained = gaps.iter().filter(|g| g.adds().is_some());
        let mut touched = gained.flat_map(|gap| match &gap.container {
            Some((index, _)) => containers(*kind, object, "containers").skip(*index).take(1).collect::<Vec<_>>(),
            None => ["containers", "initContainers"].into_iter().flat_map(|l| containers(*kind, object, l)).collect(),
        });
        touched.any(|container| {
            let image = evidence.image(container["image"].as_str().unwrap_or_default());
            let placed = Placed { container, pod: &template(*kind, object)["spec"] };
            let computed = || is_autoscaled(corpus, object);
            decision.breaks.iter().any(|fact| match fact {
                Fact::UtilisationAutoscaler => computed(),
                fact => image.is_some_and(|image| placed.disturbs(*fact, image)),
            })
        })
    });
    let bare = Placed { container: &Value::Null, pod: &Value::Null };
    let images = evidence.images.iter().filter(|image| {
        let runs = image.kinds.is_empty() || image.kinds.iter().any(|kind| kinds.contains(kind));
        runs && decision.breaks.iter().any(|fact| bare.disturbs(*fact, image))
    });
    Ok(Breaks::Known { workloads: workloads.count(), images: images.map(|image| image.names.len()).sum() })
}

fn is_autoscaled(corpus: &Corpus, object: &Value) -> bool {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let metadata = &object["metadata"];
    corpus.autoscaled.contains(&(text(&metadata["namespace"]), text(&object["kind"]), text(&metadata["name"])))
}

/// A container in its pod; null where there is none, and an image would run as it is.
struct Placed<'a> {
    container: &'a Value,
    pod: &'a Value,
}

impl Placed<'_> {
    /// Whether what an image does comes to bear here.
    fn disturbs(&self, fact: Fact, image: &Image) -> bool {
        let own_user =
            [self.container, self.pod].into_iter().find_map(|of| of["securityContext"]["runAsUser"].as_i64());
        let text = || format!("{}{}", self.container["command"], self.container["args"]);
        match fact {
            Fact::RootUser => image.user == Some(User::Root) && own_user.is_none(),
            Fact::NamedUser => image.user == Some(User::Name) && own_user.is_none(),
            Fact::DropsPrivileges => {
                image.does.contains(&fact) && self.container["command"].is_null() && own_user.unwrap_or(0) == 0
            }
            Fact::InstallsPackages => {
                image.does.contains(&fact) && (self.container.is_null() || text().contains("apt"))
            }
            Fact::Writes => image.writes.iter().any(|folder| !self.mounts(folder)),
            fact => image.does.contains(&fact),
        }
    }

    fn mounts(&self, folder: &str) -> bool {
        let mounts = self.container["volumeMounts"].as_array();
        mounts.is_some_and(|all| {
            all.iter().filter_map(|m| m["mountPath"].as_str()).any(|path| {
                folder
                    .strip_prefix(path.trim_end_matches('/'))
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            })
        })
    }
}
