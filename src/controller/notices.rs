//! Telling people: Events on their services, digests to receivers. A pass only says what is due; all of it is sent from here,
//! however long a receiver takes.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::channel::mpsc::{UnboundedReceiver, UnboundedSender};
use futures::{FutureExt, StreamExt};
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;
use kube::runtime::events::EventType;
use kube::runtime::reflector::ObjectRef;
use prometheus::IntCounterVec;
use tokio::time::Instant;

use super::context::Context;
use super::events::say;
use super::receivers::Receiver;
use crate::api::{Deprecation, Notified, Reason};
use crate::clock;
use crate::observability::catalogue;
use crate::observability::metrics::{Metrics, MetricsError, counter};
use crate::plan::deprecation::Step;
use crate::plan::deprecation::notify::{Cause, Digest, News, OfTeam, digests, due, next_reminder, reminder};
use crate::status::whole_second;

/// What is due at the same time comes in one digest.
const SETTLES: Duration = Duration::from_secs(1);
/// So long one receiver is tried in all, for everything that is due at one time.
const PATIENCE: Duration = Duration::from_mins(5);
/// And so much longer with each digest that it takes: one that takes them is not given up because there are many.
const EACH: Duration = Duration::from_secs(1);

/// Whom to tell, and what is to be told.
pub struct Notices {
    receivers: BTreeMap<String, Receiver>,
    queue: UnboundedSender<News>,
    sent: IntCounterVec,
}

impl Notices {
    /// Nothing told yet.
    pub fn new(
        receivers: BTreeMap<String, Receiver>,
        queue: UnboundedSender<News>,
        metrics: &Metrics,
    ) -> Result<Self, MetricsError> {
        let sent = counter(&catalogue::NOTIFICATIONS)?;
        metrics.register(sent.clone())?;
        Ok(Self { receivers, queue, sent })
    }

    /// Names of the receivers.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.receivers.keys().map(String::as_str)
    }

    /// Has something told.
    pub fn tell(&self, news: News) {
        // the receiver lives as long as the process
        let _ = self.queue.unbounded_send(news);
    }
}

/// What is to be told of a Deprecation now. Nothing before everything that it matches has been counted.
pub fn news(deprecation: &Deprecation, step: &Step, now: Timestamp, context: &Context) -> Option<News> {
    deprecation.spec.notify.as_ref()?;
    let (_, tally) = context.deprecations.counted(&deprecation.name_any());
    let tally = tally?;
    let left = tally.remaining_by_team();
    let last = deprecation.status.as_ref().and_then(|status| status.notified.as_ref());
    let cause = due(&deprecation.spec, step.stage, last, !left.is_empty(), now)?;
    let of_team = |(team, remaining): (&Arc<str>, u64)| OfTeam {
        team: team.to_string(),
        remaining,
        objects: tally.examples(team).cloned().collect(),
    };
    let (deprecation, teams) = (deprecation.clone(), left.into_iter().map(of_team).collect());
    Some(News { cause, deprecation, stage: step.stage, next: step.next.clone(), teams })
}

/// For the status: when people were told last, once `news` has been told.
pub fn notified(deprecation: &Deprecation, news: Option<&News>, now: Timestamp) -> Option<Notified> {
    deprecation.spec.notify.as_ref()?;
    let before = || deprecation.status.as_ref().and_then(|status| status.notified.clone());
    news.map_or_else(before, |news| Some(Notified { at: whole_second(now), stage: news.stage }))
}

/// Until the next reminder.
pub fn until_reminder(deprecation: &Deprecation, now: Timestamp) -> Option<Duration> {
    let next = next_reminder(&deprecation.spec, now)?;
    Duration::try_from(next.duration_since(now)).ok()
}

/// Tells what is due, for ever.
pub async fn deliver(mut queue: UnboundedReceiver<News>, context: &Context) {
    while let Some(first) = queue.next().await {
        tokio::time::sleep(SETTLES).await;
        let mut all = BTreeMap::from([(first.deprecation.name_any(), first)]);
        while let Some(Some(mut more)) = queue.next().now_or_never() {
            let name = more.deprecation.name_any();
            // that the stage has changed is more than a reminder a moment later
            if all.get(&name).is_some_and(|known| known.cause == Cause::StageChanged) {
                more.cause = Cause::StageChanged;
            }
            all.insert(name, more);
        }
        let all: Vec<News> = all.into_values().collect();
        for news in &all {
            say_to_services(news, context).await;
        }
        let digests = digests(&all, clock::now());
        let sendings = digests.iter().filter_map(|(name, digests)| {
            let receiver = context.notices.receivers.get(name)?; // the status names the others
            Some(send(name, receiver, digests, &all, context))
        });
        futures::future::join_all(sendings).await;
    }
}

/// An Event on each service that has something old.
async fn say_to_services(news: &News, context: &Context) {
    let News { cause, deprecation, stage, .. } = news;
    if !deprecation.spec.notify.as_ref().is_some_and(|notify| notify.events) {
        return;
    }
    let action = match cause {
        Cause::StageChanged => "ChangeStage",
        Cause::Reminder => "Remind",
    };
    for (service, object, total) in context.deprecations.old_of_services(&deprecation.name_any()) {
        let Some(guarded) = context.services.get(&ObjectRef::new(&service.1).within(&service.0)) else { continue };
        let Ok(service) = &guarded.0 else { continue };
        let note = reminder(deprecation, *stage, &object, total);
        let reason = Reason::UsesDeprecated.to_string();
        say(service, EventType::Warning, &reason, action, note, context).await;
    }
}

/// Digests to one receiver, one after the other.
async fn send(name: &str, receiver: &Receiver, digests: &[Digest], all: &[News], context: &Context) {
    let mut failures: BTreeMap<&str, (usize, String)> = BTreeMap::new();
    let sendings = one_by_one(digests, async |digest, until| {
        let json = serde_json::to_vec(digest).map_err(|error| error.to_string())?;
        let sent = receiver.deliver(&json, until, &context.leadership).await.map_err(|undelivered| undelivered.message);
        if let Err(message) = &sent {
            tracing::warn!(receiver = name, team = digest.team, message, "a digest could not be delivered");
        }
        sent
    });
    let (sent, given_up) = sendings.await;
    if given_up > 0 {
        tracing::warn!(receiver = name, digests = given_up, "it took too long, so the last digests were not sent");
    }
    for (digest, sent) in digests.iter().zip(sent) {
        let outcome = if sent.is_ok() { "delivered" } else { "failed" };
        context.notices.sent.with_label_values(&[name, outcome]).inc();
        if let Err(message) = sent {
            for deprecation in digest.deprecations() {
                let (n, first) = failures.entry(deprecation).or_default();
                *n += 1;
                if first.is_empty() {
                    first.clone_from(&message);
                }
            }
        }
    }
    for news in all {
        let Some((n, message)) = failures.get(news.deprecation.name_any().as_str()) else { continue };
        let note = format!("receiver {name} did not get {n} of {} digests: {message}", digests.len());
        // those of one reason and action become one Event, which would hide every receiver but the first
        let action = format!("Notify {name}");
        say(&news.deprecation, EventType::Warning, "NotifyFailed", &action, note, context).await;
    }
}

/// What became of each, and how many of the last were not tried any more: a receiver that answers nothing would hold what is due
/// to all of them for hours.
async fn one_by_one<T>(
    all: &[T],
    deliver: impl AsyncFn(&T, Instant) -> Result<(), String>,
) -> (Vec<Result<(), String>>, usize) {
    let (mut until, mut sent) = (Instant::now() + PATIENCE, Vec::with_capacity(all.len()));
    for one in all {
        if Instant::now() >= until {
            break;
        }
        let outcome = deliver(one, until).await;
        if outcome.is_ok() {
            until += EACH;
        }
        sent.push(outcome);
    }
    let given_up = all.len() - sent.len();
    let why = format!("those before took more than {} minutes", PATIENCE.as_secs() / 60);
    sent.resize_with(all.len(), || Err(why.clone()));
    (sent, given_up)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What each of so many takes; the answer is how many were delivered and given up, and after which time.
    async fn those(number: usize, takes: Duration, outcome: Result<(), String>) -> (usize, usize, Duration) {
        let (all, started) = (vec![(); number], Instant::now());
        let deliver = async |(): &(), _| {
            tokio::time::sleep(takes).await;
            outcome.clone()
        };
        let (sent, given_up) = one_by_one(&all, deliver).await;
        assert_eq!(sent.len(), number, "each counts");
        (sent.iter().filter(|sent| sent.is_ok()).count(), given_up, started.elapsed())
    }

    #[tokio::test(start_paused = true)]
    async fn a_receiver_that_hangs_is_given_up_and_the_rest_has_failed() {
        let (delivered, given_up, took) = those(5000, Duration::from_secs(10), Err("no answer".into())).await;
        assert_eq!((delivered, given_up), (0, 4970));
        assert!(took < PATIENCE + Duration::from_secs(11), "{took:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_takes_them_gets_them_all_however_many_there_are() {
        assert_eq!(those(5000, Duration::from_millis(500), Ok(())).await.0, 5000);
        let (delivered, given_up, took) = those(5000, Duration::from_secs(9), Ok(())).await;
        assert!(delivered < 50 && given_up > 4900 && took < PATIENCE * 2, "one that is slow is no better: {took:?}");
    }
}
