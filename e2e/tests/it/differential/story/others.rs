//! What the operator does to a workload, and people who are in a hurry.

use anyhow::{Result, ensure};
use goldenpath::api::labels;
use serde_json::{Value, json};

use super::super::checks::{annotation, differences};
use super::super::defaults::DEFAULTS;
use super::super::random::Random;
use super::super::requests::{Call, Verb, Who, send};
use super::super::workloads::template;
use super::{Pair, Story};

impl Story<'_> {
    /// What the operator does: labels, nothing else.
    pub(super) async fn relabel(&mut self, revision: &str) -> Result<()> {
        self.log.push(format!("relabel {revision}"));
        let body = json!({"metadata": {"labels": {labels::REVISION: revision, labels::PATH: self.path.name}}});
        let call = Call { verb: Verb::Merge, manager: labels::FIELD_MANAGER, body };
        let before = template(self.kind, &self.live).clone();
        self.live = self.really(&self.target.clone(), &call, Who::Operator).await?;
        let differing = differences(&before, template(self.kind, &self.live));
        ensure!(differing.is_empty(), "labelling changed the template: {differing:?}");
        Ok(())
    }

    /// The operator says by labels that the workload does without a default, or that values are replaced on it; or it
    /// takes that back.
    pub(super) async fn exceptions(&mut self, random: &mut Random) -> Result<()> {
        let label =
            if random.chance(40) { labels::MODE.to_owned() } else { labels::skip(random.pick::<&str>(&DEFAULTS)) };
        let value = if label == labels::MODE { json!("Enforce") } else { json!("") };
        let stands = self.live["metadata"]["labels"].get(&label).is_some();
        // what was replaced is the team's from then on, and the twin's is another
        self.blurred |= label == labels::MODE;
        let value = if stands { Value::Null } else { value };
        self.log.push(format!("label {label}: {value}"));
        let call = Call {
            verb: Verb::Merge,
            manager: labels::FIELD_MANAGER,
            body: json!({"metadata": {"labels": {label: value}}}),
        };
        self.live = self.really(&self.target.clone(), &call, Who::Operator).await?;
        if self.blurred {
            self.second.parts(self.counts); // nothing is enforced there
        }
        self.second.sends(self.client, &call, self.counts).await?;
        self.second.is_as_it_should_be();
        Ok(())
    }

    /// The operator asks the API server to fill now.
    pub(super) async fn fill(&mut self, random: &mut Random) -> Result<()> {
        let patch = json!({"metadata": {"annotations": {labels::FILL: random.next().to_string()}}});
        let mut inert = patch.clone();
        inert["metadata"]["labels"] = json!({labels::REVISION: "inert"});
        let of = |body: Value| Call { verb: Verb::Merge, manager: labels::FIELD_MANAGER, body };
        let call = of(patch);
        self.log.push("fill".to_owned());
        let seen = send(self.client, &self.target, &of(inert), Who::Operator, true).await?;
        let made = send(self.client, &self.target, &call, Who::Operator, true).await?;
        let pair = Pair { seen, made, without: None };
        self.check(&pair, false)?;
        if pair.made.accepted().is_some() {
            let revision = self.revision();
            self.live = self.really(&self.target.clone(), &call, Who::Operator).await?;
            let (road, leaves) = (self.path.road(&revision), revision == self.path.release());
            self.second.follows(self.client, &self.live, road.as_ref(), leaves, self.counts).await?;
        }
        Ok(())
    }

    /// A person breaks the glass, or mends it.
    pub(super) async fn skip(&mut self) -> Result<()> {
        let value = if annotation(&self.live, labels::SKIP).is_some() { Value::Null } else { json!(labels::SKIP_ALL) };
        self.log.push(format!("skip {value}"));
        let body = json!({"metadata": {"annotations": {labels::SKIP: value}}});
        let call = Call { verb: Verb::Merge, manager: "kubectl-annotate", body };
        let seen = send(self.client, &self.target, &call, Who::Operator, true).await?;
        let made = send(self.client, &self.target, &call, Who::Team, true).await?;
        let pair = Pair { seen, made, without: None };
        self.check(&pair, false)?;
        let revision = self.revision();
        self.live = self.really(&self.target.clone(), &call, Who::Team).await?;
        self.second.sends(self.client, &call, self.counts).await?;
        let road = self.path.road(&revision).filter(|_| annotation(&self.live, labels::SKIP).is_some());
        self.second.follows(self.client, &self.live, road.as_ref(), revision == self.path.release(), self.counts).await
    }
}
