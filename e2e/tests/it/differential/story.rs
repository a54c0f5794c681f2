//! One workload from creation to the end of its story, beside a twin that knows nothing of Goldenpath.

use anyhow::{Result, ensure};
use goldenpath::api::{WorkloadKind, labels};
use goldenpath::plan::gaps::{Gap, Label, Whose, filled, gaps};
use goldenpath::plan::leaf::Road;
use kube::Client;
use serde_json::{Value, json};

use super::catalogue::{fillable, teams_only};
use super::checks::{
    acting, changed_effects, differences, distinguishable, expected, is_leaned_on, team_view, with_lost_labels,
};
use super::random::Random;
use super::requests::{Answer, Call, Target, Verb, Who, by_hand_or_update, send};
use super::second::Second;
use super::workloads::{Edit, bare, containers_of, edit, set, template};
use super::{Counts, strategic};

mod others;

const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// The policies of one path.
pub struct Path {
    pub name: String,
    pub first: Road,
    /// The next revision, which remembers the first.
    pub second: Road,
}

impl Path {
    pub fn revision(&self, n: u8) -> String {
        format!("{}-r{n}", self.name)
    }

    pub fn release(&self) -> String {
        labels::release_revision(&self.name)
    }

    fn road(&self, revision: &str) -> Option<Road> {
        if revision == self.revision(1) {
            Some(self.first.clone())
        } else if revision == self.revision(2) {
            Some(self.second.clone())
        } else if revision == self.release() {
            Some(self.second.release())
        } else {
            None
        }
    }
}

/// How a team deploys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// Server-side apply.
    Apply,
    /// `kubectl apply`.
    ClientSide,
    /// `kubectl replace`: the manifest instead of the object.
    Replace,
    /// What controllers and `kubectl edit` do: the object with a change.
    Update,
}

pub struct Story<'a> {
    pub client: &'a Client,
    pub path: &'a Path,
    pub kind: WorkloadKind,
    pub style: Style,
    /// The workload, and its twin in another namespace.
    pub target: Target,
    pub twin: Target,
    pub counts: &'a Counts,
    manifest: Value,
    live: Value,
    /// None when the two had to part.
    twin_live: Option<Value>,
    blurred: bool,
    pub log: Vec<String>,
    /// The same workload under the fallback engine.
    second: Second,
}

/// A request, and the same request for the twin.
struct Pair {
    seen: Answer,
    made: Answer,
    without: Option<Answer>,
}

impl<'a> Story<'a> {
    pub fn new(
        client: &'a Client,
        path: &'a Path,
        counts: &'a Counts,
        spaces: [&str; 3],
        name: &str,
        random: &mut Random,
    ) -> Self {
        let kind = *random.pick(&[
            WorkloadKind::Deployment,
            WorkloadKind::Deployment,
            WorkloadKind::StatefulSet,
            WorkloadKind::DaemonSet,
            WorkloadKind::CronJob,
        ]);
        let style = *random.pick(&[
            Style::Apply,
            Style::Apply,
            Style::ClientSide,
            Style::ClientSide,
            Style::Replace,
            Style::Update,
        ]);
        let target = |namespace: &str| Target { kind, namespace: namespace.to_owned(), name: name.to_owned() };
        Self {
            client,
            path,
            kind,
            style,
            target: target(spaces[0]),
            twin: target(spaces[1]),
            counts,
            manifest: Value::Null,
            live: Value::Null,
            twin_live: None,
            blurred: false,
            log: vec![format!("{kind} {style:?}")],
            second: Second::new(target(spaces[2])),
        }
    }

    /// Creates it, and lets so many things happen.
    pub async fn run(&mut self, random: &mut Random, steps: usize) -> Result<()> {
        if self.create(random).await? {
            for _ in 0..steps {
                self.step(random).await?;
            }
        }
        Ok(())
    }

    /// Creates it and its twin. False where no valid workload was found.
    async fn create(&mut self, random: &mut Random) -> Result<bool> {
        let mut manifest = bare(self.kind, &self.target.name, random);
        let mut choice = fillable();
        choice.extend(teams_only());
        for _ in 0..random.below(8) {
            let mut next = manifest.clone();
            let names = containers_of(template(self.kind, &next));
            let edit = if random.chance(50) {
                edit(&next, self.kind, &self.path.first, random)
            } else {
                set(&choice, &names, random)
            };
            edit.apply(self.kind, &mut next);
            let call = self.creation(&next, None);
            if send(self.client, &self.twin, &call, Who::Team, true).await?.accepted().is_some() {
                manifest = next;
            }
        }
        let revision = self.path.revision(1);
        let (inert, labelled) = (self.creation(&manifest, Some("inert")), self.creation(&manifest, Some(&revision)));
        let pair = Pair {
            seen: send(self.client, &self.target, &inert, Who::Team, true).await?,
            made: send(self.client, &self.target, &labelled, Who::Team, true).await?,
            without: Some(send(self.client, &self.twin, &self.creation(&manifest, None), Who::Team, true).await?),
        };
        self.log.push(format!("create {}", template(self.kind, &manifest)["spec"]));
        self.check(&pair, true)?;
        let Some(Answer::Accepted(_)) = pair.without else {
            return Ok(false);
        };
        let born_labelled = random.chance(40);
        let call = self.creation(&manifest, born_labelled.then_some(revision.as_str()));
        self.live = self.really(&self.target.clone(), &call, Who::Team).await?;
        self.twin_live = Some(self.really(&self.twin.clone(), &self.creation(&manifest, None), Who::Team).await?);
        // what is applied on the server is only reported there
        if self.style != Style::Apply {
            self.second.begins(self.client, &self.creation(&manifest, None)).await?;
            let road = born_labelled.then_some(&self.path.first);
            self.second.follows(self.client, &self.live, road, false, self.counts).await?;
        }
        self.manifest = manifest;
        self.log.push(format!("created, labelled: {born_labelled}"));
        if !born_labelled {
            self.relabel(&revision).await?;
        }
        Ok(true)
    }

    fn creation(&self, manifest: &Value, revision: Option<&str>) -> Call {
        let mut body = manifest.clone();
        if let Some(revision) = revision {
            body["metadata"]["labels"] = json!({labels::REVISION: revision, labels::PATH: self.path.name});
        }
        match self.style {
            Style::Apply => Call { verb: Verb::Apply, manager: "team", body },
            Style::ClientSide => {
                body["metadata"]["annotations"] = json!({LAST_APPLIED: manifest.to_string()});
                Call { verb: Verb::Create, manager: "kubectl-client-side-apply", body }
            }
            _ => Call { verb: Verb::Create, manager: "team", body },
        }
    }

    async fn really(&self, target: &Target, call: &Call, who: Who) -> Result<Value> {
        match send(self.client, target, call, who, false).await? {
            Answer::Accepted(object) => Ok(object),
            Answer::Refused(why) => anyhow::bail!("the dry run was accepted, the request itself is not: {why}"),
        }
    }

    fn revision(&self) -> String {
        let labels = &self.live["metadata"]["labels"];
        labels.get(labels::REVISION).and_then(Value::as_str).unwrap_or_default().to_owned()
    }

    /// One thing that happens.
    async fn step(&mut self, random: &mut Random) -> Result<()> {
        match random.below(100) {
            0..=59 => self.team_edits(random, false).await,
            60..=63 => self.exceptions(random).await,
            64..=71 => self.fill(random).await,
            72..=76 => self.skip().await,
            77..=82 => self.team_edits(random, true).await,
            83..=94 => self.relabel(&self.path.revision(2)).await,
            _ => self.relabel(&self.path.release()).await,
        }
    }

    /// The team, or somebody with `kubectl edit`, changes something.
    async fn team_edits(&mut self, random: &mut Random, undo: bool) -> Result<()> {
        let by_hand = undo || random.chance(15);
        let base = if by_hand || self.style == Style::Update {
            self.twin_live.as_ref().unwrap_or(&self.live)
        } else {
            &self.manifest
        };
        let mut edits = vec![edit(base, self.kind, &self.path.second, random)];
        if random.chance(30) {
            edits.push(edit(base, self.kind, &self.path.second, random));
        }
        if undo || random.chance(40) {
            edits.push(Edit::Deploy(random.next() % 1000));
        }
        let mut next = self.manifest.clone();
        let live_based = by_hand || self.style == Style::Update;
        if edits.iter().any(|edit| edit.is_unclear(live_based, self.style == Style::ClientSide || by_hand)) {
            return Ok(());
        }
        let done = |object: &mut Value| edits.iter().filter(|e| !e.apply(self.kind, object)).count() == 0;
        let on_manifest = done(&mut next);
        let calls = |live: &Value| {
            let mut changed = live.clone();
            let applied = done(&mut changed);
            if undo {
                changed["metadata"]["annotations"] = json!({"deployment.kubernetes.io/revision": "1"});
            }
            if by_hand || self.style == Style::Update {
                applied.then(|| by_hand_or_update(by_hand, live, changed))
            } else {
                on_manifest.then(|| self.deploy(&next, live))
            }
        };
        let Some(call) = calls(&self.live) else { return Ok(()) };
        let twin = self.twin_live.as_ref().map(calls);
        if matches!(twin, Some(None)) {
            return Ok(());
        }
        let second = self.second.live().map(calls);
        self.log.push(format!("{:?} by {} undo: {undo} {edits:?}\n      body {}", call.verb, call.manager, call.body));
        let seen = send(self.client, &self.target, &call, Who::Operator, true).await?;
        let made = send(self.client, &self.target, &call, Who::Team, true).await?;
        let without = match twin.flatten() {
            Some(twin) => Some((send(self.client, &self.twin, &twin, Who::Team, true).await?, twin)),
            None => None,
        };
        let (without, twin) = without.unzip();
        let (before, revision) = (self.live.clone(), self.revision());
        let pair = Pair { seen, made, without };
        let done = self.settle(&pair, &call, twin.as_ref(), random).await?;
        if done {
            self.second_too(second.flatten(), &pair, &before, &revision).await?;
        }
        if done && !by_hand && self.style != Style::Update {
            self.manifest = next;
        }
        Ok(())
    }

    /// The team does the same to the other workload, and the fallback engine follows where the policy has acted.
    async fn second_too(&mut self, call: Option<Call>, pair: &Pair, before: &Value, revision: &str) -> Result<()> {
        let Some(call) = call else {
            self.second.parts(self.counts);
            return Ok(());
        };
        self.second.sends(self.client, &call, self.counts).await?;
        let seen = pair.seen.accepted().or(pair.made.accepted()).unwrap_or(before);
        let road = self.path.road(revision);
        let acts = acting(self.kind, &with_lost_labels(seen, Some(before)), Some(before), road.as_ref()).is_some();
        let road = road.filter(|_| acts);
        self.second.follows(self.client, &self.live, road.as_ref(), revision == self.path.release(), self.counts).await
    }

    fn deploy(&self, manifest: &Value, live: &Value) -> Call {
        let body = manifest.clone();
        match self.style {
            Style::Apply => Call { verb: Verb::Apply, manager: "team", body },
            Style::ClientSide => {
                let mut modified = body;
                modified["metadata"]["annotations"] = json!({LAST_APPLIED: manifest.to_string()});
                let body = strategic::patch(&self.manifest, &modified, live);
                Call { verb: Verb::Strategic, manager: "kubectl-client-side-apply", body }
            }
            _ => Call { verb: Verb::Put, manager: "team", body },
        }
    }

    /// Checks the answers to dry runs and sends the request itself. False where it was refused.
    async fn settle(&mut self, pair: &Pair, call: &Call, twin: Option<&Call>, random: &mut Random) -> Result<bool> {
        self.check(pair, false)?;
        let made = match (&pair.made, &pair.without) {
            (Answer::Accepted(made), None | Some(Answer::Accepted(_))) => made,
            // what only works thanks to the road, such as a mount of its volume: the twin cannot follow
            (Answer::Accepted(made), Some(Answer::Refused(_))) if random.chance(30) => {
                self.twin_live = None;
                made
            }
            _ => {
                Counts::add(&self.counts.refused);
                return Ok(false);
            }
        };
        self.live = self.really(&self.target.clone(), call, Who::Team).await?;
        let differing = differences(template(self.kind, made), template(self.kind, &self.live));
        ensure!(differing.is_empty(), "the request made another template than its dry run: {differing:?}");
        if let (Some(twin), true) = (twin, self.twin_live.is_some()) {
            self.twin_live = Some(self.really(&self.twin.clone(), twin, Who::Team).await?);
        }
        Ok(true)
    }

    fn check(&mut self, pair: &Pair, creates: bool) -> Result<()> {
        Counts::add(&self.counts.steps);
        let (old, road) = if creates {
            (None, Some(self.path.first.clone()))
        } else {
            (Some(&self.live), self.path.road(&self.revision()))
        };
        let kind = self.kind;
        if let (Answer::Refused(why), Some(Answer::Accepted(_))) = (&pair.made, &pair.without) {
            anyhow::bail!("WORSE: accepted without Goldenpath, refused with it: {why}");
        }
        let twin_refused = matches!(pair.without, Some(Answer::Refused(_)));
        if let (Answer::Refused(why), Answer::Accepted(_), false) = (&pair.made, &pair.seen, twin_refused) {
            anyhow::bail!("REFUSED: accepted when the policy does not act, refused when it does: {why}");
        }
        let Answer::Accepted(made) = &pair.made else { return Ok(()) };
        let seen = &with_lost_labels(pair.seen.accepted().unwrap_or(made), old);
        let road = acting(kind, seen, old, road.as_ref());
        if pair.seen.accepted().is_some() {
            let differing = differences(&expected(kind, seen, road.as_ref()), template(kind, made));
            ensure!(differing.is_empty(), "UNEQUAL: pure function | API server: {differing:#?}\nseen: {seen}");
        } else {
            Counts::add(&self.counts.rescued);
        }
        if let Some(road) = &road {
            self.settles(made, road)?;
        }
        let current = self.twin_live.clone();
        let ((Some(Answer::Accepted(without)), _) | (None, Some(without))) = (&pair.without, &current) else {
            return Ok(());
        };
        self.blurred |= [seen, made].iter().any(|object| !distinguishable(kind, object, without, &self.path.second));
        if self.blurred || is_leaned_on(kind, made, &self.path.second) {
            return Ok(());
        }
        Counts::add(&self.counts.twins);
        let view = team_view(kind, made, &self.path.second);
        let mut differing = differences(&view, template(kind, without));
        // an empty struct says what no struct says
        differing.retain(|d| !["{} | -", "[] | -", "- | {}", "- | []"].iter().any(|empty| d.ends_with(empty)));
        ensure!(differing.is_empty(), "TWIN: without the road's values | never adopted: {differing:#?}\nmade: {made}");
        if old.is_some_and(|old| template(kind, old) == template(kind, made)) {
            // A team that sets what stands there already, by the road, changes no template and rolls nothing out: the
            // policy acts, and what now contradicts the team's value yields, with its next change.
            return Ok(());
        }
        let changed = changed_effects(kind, without, made);
        ensure!(changed.is_empty(), "EFFECT: {changed:#?}");
        Ok(())
    }

    /// A second acting request changes nothing: no two values of the road drive each other out in turns.
    fn settles(&self, made: &Value, road: &Road) -> Result<()> {
        let gaps = gaps(self.kind, made, road);
        // a limit may have to rise before a request can
        if gaps.iter().any(|gap| gap.label == Label::Enforces) {
            return Ok(());
        }
        let differing = differences(template(self.kind, made), &filled(self.kind, made, &gaps));
        ensure!(differing.is_empty(), "UNSETTLED: after one acting request | after two: {differing:#?}\nmade: {made}");
        let teams = || gaps.iter().filter(|gap| gap.whose == Whose::Teams);
        let unsure = |gap: &Gap<'_>| {
            gap.managers.is_empty() && gap.current.as_ref().is_some_and(|value| gap.road.formerly.contains(value))
        };
        if teams().any(unsure) {
            Counts::add(&self.counts.unsure);
        }
        if teams().any(|gap| gap.current.is_none()) {
            Counts::add(&self.counts.emptied);
        }
        Ok(())
    }
}
