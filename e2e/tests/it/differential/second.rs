//! The same workload where no policy acts, and the fallback engine follows the team: what comes of it must be the same.
//!
//! The engine's own question, when to act, is not asked here: it acts where the policy has acted.

use anyhow::{Result, bail, ensure};
use goldenpath::api::labels;
use goldenpath::plan::fallback::{Decision, Look, Seen, decide};
use goldenpath::plan::leaf::Road;
use goldenpath::plan::metadata::label;
use k8s_openapi::jiff::Timestamp;
use serde_json::{Value, json};

use super::Counts;
use super::checks::{annotation, differences};
use super::requests::{Answer, Call, Target, Verb, Who, read, send};
use super::workloads::template;

/// One workload.
pub struct Second {
    target: Target,
    /// None when it cannot go the same way any more.
    live: Option<Value>,
    /// Break-glass was set before the last request.
    braked: bool,
    /// The labels that the last request may have lost.
    skips: Vec<String>,
}

impl Second {
    /// Not there yet.
    pub fn new(target: Target) -> Self {
        Self { target, live: None, braked: false, skips: Vec::new() }
    }

    pub fn live(&self) -> Option<&Value> {
        self.live.as_ref()
    }

    /// The team creates it.
    pub async fn begins(&mut self, client: &kube::Client, call: &Call) -> Result<()> {
        match send(client, &self.target, call, Who::Team, false).await? {
            Answer::Accepted(object) => self.live = Some(object),
            Answer::Refused(why) => bail!("the twin was accepted, the second workload is not: {why}"),
        }
        Ok(())
    }

    /// From here on the two differ.
    pub fn parts(&mut self, counts: &Counts) {
        if self.live.take().is_some() {
            Counts::add(&counts.parted);
        }
    }

    /// A request of somebody. One that is refused is where a filled value could not yield in the request itself.
    pub async fn sends(&mut self, client: &kube::Client, call: &Call, counts: &Counts) -> Result<()> {
        if self.live.is_none() {
            return Ok(());
        }
        self.is_as_it_should_be();
        match send(client, &self.target, call, Who::Team, false).await? {
            Answer::Accepted(object) => self.live = Some(object),
            Answer::Refused(_) => self.parts(counts),
        }
        Ok(())
    }

    /// Nothing of what stands there now was lost by a request.
    pub fn is_as_it_should_be(&mut self) {
        let Some(live) = &self.live else { return };
        self.braked = annotation(live, labels::SKIP) == Some(labels::SKIP_ALL);
        let all = live["metadata"]["labels"].as_object().into_iter().flatten();
        self.skips = all.map(|(name, _)| name.clone()).filter(|name| name.starts_with(labels::SKIP_PREFIX)).collect();
    }

    /// The engine follows by a road, and then the workload must be what the policy has made of the other one.
    pub async fn follows(
        &mut self,
        client: &kube::Client,
        made: &Value,
        road: Option<&Road>,
        leaves: bool,
        counts: &Counts,
    ) -> Result<()> {
        if let Some(road) = road {
            self.labels_come_back(client).await?;
            self.acts(client, road, leaves).await?;
        }
        self.is_as_it_should_be();
        let Some(live) = &self.live else { return Ok(()) };
        let mut differing = differences(template(self.target.kind, made), template(self.target.kind, live));
        // an empty struct says what no struct says
        differing.retain(|d| !["{} | -", "[] | -", "- | {}", "- | []"].iter().any(|empty| d.ends_with(empty)));
        ensure!(differing.is_empty(), "SECOND: policy | fallback engine: {differing:#?}\nmade: {live}");
        Counts::add(&counts.seconds);
        Ok(())
    }

    async fn labels_come_back(&mut self, client: &kube::Client) -> Result<()> {
        let Some(live) = &self.live else { return Ok(()) };
        let lost: Vec<&String> = self.skips.iter().filter(|name| label(live, name).is_none()).collect();
        if lost.is_empty() {
            return Ok(());
        }
        let all: serde_json::Map<String, Value> = lost.into_iter().map(|name| (name.clone(), json!(""))).collect();
        let body = json!({"metadata": {"labels": all}});
        let call = Call { verb: Verb::Merge, manager: labels::FIELD_MANAGER, body };
        if let Answer::Accepted(object) = send(client, &self.target, &call, Who::Operator, false).await? {
            self.live = Some(object);
        }
        Ok(())
    }

    async fn acts(&mut self, client: &kube::Client, road: &Road, leaves: bool) -> Result<()> {
        let mut before = Seen { skipped: self.braked, ..Seen::default() };
        let mut now = Timestamp::now();
        let mut left = 4;
        while left > 0 {
            left -= 1;
            let Some(object) = &self.live else { return Ok(()) };
            let look = Look {
                kind: self.target.kind,
                object,
                road,
                leaves,
                asked: None,
                labelled: None,
                seen: Some(&before),
                now,
            };
            let decision = decide(&look);
            let (verb, manager, body) = match &decision {
                Decision::Apply { body, .. } => (Verb::Apply, labels::FALLBACK_MANAGER, body.clone()),
                Decision::Patch(body) => (Verb::Json, labels::FIELD_MANAGER, body.clone()),
                Decision::Settled(_) => return Ok(()),
                Decision::Wait(_) => bail!("nothing was written before"),
                Decision::Hold(pause) => {
                    before = Seen::holding(&look);
                    now += *pause;
                    continue;
                }
            };
            let call = Call { verb, manager, body };
            match send(client, &self.target, &call, Who::Operator, false).await? {
                Answer::Accepted(object) => self.live = Some(object),
                Answer::Refused(why) => {
                    // of another object than it is now, since a controller has written its status: the engine looks again, too
                    let live = read(client, &self.target).await?;
                    ensure!(
                        !decision.is_for(&live),
                        "SECOND: the engine's own request is refused: {why}\n{}",
                        call.body
                    );
                    self.live = Some(live);
                    left += 1; // that was no turn
                    continue;
                }
            }
            if leaves {
                return Ok(()); // the labels are gone, and with them the order to leave
            }
        }
        bail!("SECOND: the engine does not come to an end")
    }
}
