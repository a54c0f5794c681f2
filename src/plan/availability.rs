//! Availability of a service, from what its workloads' own statuses say, in a window of 30 days.

use k8s_openapi::jiff::civil::Date;
use k8s_openapi::jiff::tz::TimeZone;
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::metadata::condition;
use super::rollout::Pods;
use crate::api::conditions::whole_second;
use crate::api::{DayOfOutage, Reliability, WorkloadKind};

/// How far back availability is looked at.
const WINDOW: SignedDuration = SignedDuration::from_hours(30 * 24);
/// An objective is judged as if at least so long had been watched: a minute of outage in the first hour says little.
pub const PROVES: SignedDuration = SignedDuration::from_hours(24);
/// How often an objective that was missed is looked at again: it is met again when the outage is long ago.
const RECOVERS: SignedDuration = SignedDuration::from_hours(1);

/// Whether a workload is available.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sight {
    /// At least one of its pods is. The condition `Available` of a Deployment asks for more: it is false while many pods are
    /// added, and nobody misses those.
    pub up: bool,
    /// It has been for so long at least, where the API server says so.
    pub since: Option<Timestamp>,
}

/// Whether a workload is available, if it is meant to be.
#[must_use]
pub fn sight(kind: WorkloadKind, object: &Value) -> Option<Sight> {
    let Pods { wanted, available, .. } = Pods::of(kind, object);
    let up = available > 0;
    (wanted > 0).then(|| Sight { up, since: if up { available_since(object) } else { None } })
}

fn available_since(object: &Value) -> Option<Timestamp> {
    condition(object, "Available", "True")?.get("lastTransitionTime")?.as_str()?.parse().ok()
}

/// Seconds since the first look that found everything available, at most those of the window, and those of outages. What
/// nobody saw, because no operator ran, counts as before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Watched {
    total: i64,
    down: i64,
}

impl Watched {
    /// What is known about a service at `now`.
    #[must_use]
    pub fn of(reliability: &Reliability, now: Timestamp) -> Self {
        let lasting = reliability.down_since.as_ref().map_or(0, |since| now.duration_since(since.0).as_secs().max(0));
        let total = now.duration_since(reliability.since.0).min(WINDOW).as_secs().max(0);
        let ended: i64 = reliability.outages.iter().map(|day| day.seconds).sum();
        Self { total, down: (ended + lasting).min(total) }
    }

    /// Several services as one.
    #[must_use]
    pub fn sum(all: impl Iterator<Item = Self>) -> Self {
        all.fold(Self::default(), |sum, one| Self { total: sum.total + one.total, down: sum.down + one.down })
    }

    /// Whether so much was watched.
    #[must_use]
    pub fn lasted(self, time: SignedDuration) -> bool {
        self.total >= time.as_secs()
    }

    /// Percent with two decimals, rounded down: 100 is said only of what was never down.
    #[must_use]
    pub fn percent(self) -> String {
        let hundredths = ((self.total - self.down) * 10_000).checked_div(self.total).unwrap_or(10_000);
        format!("{}.{:02}", hundredths / 100, hundredths % 100)
    }

    /// The part of the time in which they were available. Nothing of nothing is not known.
    #[must_use]
    #[allow(clippy::cast_precision_loss)] // seconds of thousands of months are far below 2^52
    pub fn ratio(self) -> Option<f64> {
        (self.total > 0).then(|| (self.total - self.down) as f64 / self.total as f64)
    }

    /// Whether an objective is met; nothing while too little was watched to say so.
    #[must_use]
    pub fn meets(self, objective: &str) -> Option<bool> {
        let total = self.total.max(PROVES.as_secs());
        if self.down * 100_000 > allowed(objective)? * total {
            return Some(false);
        }
        self.lasted(PROVES).then_some(true)
    }
}

/// How many of 100,000 seconds an objective lets a service be down.
fn allowed(objective: &str) -> Option<i64> {
    let (whole, decimals) = objective.split_once('.').unwrap_or((objective, ""));
    let thousandths: i64 = format!("{decimals:0<3}").get(..3)?.parse().ok()?;
    Some(100_000 - whole.parse::<i64>().ok()? * 1000 - thousandths)
}

/// The part of the time, from 0 to 1, in which an objective asks a service to be available.
#[must_use]
pub fn share(objective: &str) -> Option<f64> {
    let allowed = i32::try_from(allowed(objective)?).ok()?;
    Some(1.0 - f64::from(allowed) / 100_000.0)
}

/// The reliability of a service after a look at its workloads. Nothing before they were all available for the first time.
#[must_use]
pub fn look(
    before: Option<&Reliability>,
    sights: &[Sight],
    objective: Option<&str>,
    now: Timestamp,
) -> Option<Reliability> {
    // what is scaled to zero as a whole is neither up nor down
    let is_up =
        if sights.is_empty() { before.is_none_or(|b| b.down_since.is_none()) } else { sights.iter().all(|s| s.up) };
    let Some(before) = before else {
        let (since, availability30d) = (whole_second(now), "100.00".to_owned());
        let first = Reliability { availability30d, since, down_since: None, outages: Vec::new() };
        return (is_up && !sights.is_empty()).then_some(first);
    };
    let mut after = before.clone();
    match &before.down_since {
        Some(since) if is_up => {
            // it may have come back while nobody looked; a condition that held all the time says nothing about that
            let back = |sight: &Sight| Some(sight.since.unwrap_or(now)).filter(|at| *at > since.0);
            let back = sights.iter().filter_map(back).max().unwrap_or(now);
            add(&mut after.outages, since.0, back.min(now));
            after.down_since = None;
        }
        None if !is_up => after.down_since = Some(whole_second(now)),
        _ => {}
    }
    let first = date(now.checked_sub(WINDOW).unwrap_or(now)).to_string();
    after.outages.retain(|day| day.date > first);
    let is = Watched::of(&after, now);
    // the share changes all the time: it is written when something happens, or when it says another thing than before
    let says = |objective: &str| allowed(&before.availability30d) <= allowed(objective);
    let is_news = |objective: &str| is.meets(objective).is_some_and(|met| met != says(objective));
    if after != *before || objective.is_some_and(is_news) {
        after.availability30d = is.percent();
    }
    Some(after)
}

/// Adds an outage to the days that it touches.
fn add(days: &mut Vec<DayOfOutage>, from: Timestamp, to: Timestamp) {
    let mut at = from.max(to.checked_sub(WINDOW).unwrap_or(from));
    while at < to {
        let day = date(at);
        let midnight = day.tomorrow().ok().and_then(|next| next.to_zoned(TimeZone::UTC).ok());
        let end = midnight.map_or(to, |next| next.timestamp().min(to));
        let (text, seconds) = (day.to_string(), end.duration_since(at).as_secs());
        match days.iter_mut().find(|day| day.date == text) {
            Some(day) => day.seconds += seconds,
            None => days.push(DayOfOutage { date: text, seconds }),
        }
        at = end;
    }
}

fn date(at: Timestamp) -> Date {
    at.to_zoned(TimeZone::UTC).date()
}

/// When the judgement of an objective may change by itself.
#[must_use]
pub fn changes_at(reliability: &Reliability, objective: &str, now: Timestamp) -> Option<Timestamp> {
    let watched = Watched::of(reliability, now);
    let pause = match watched.meets(objective) {
        Some(false) => RECOVERS,
        _ if reliability.down_since.is_some() => {
            let left = allowed(objective)? * watched.total.max(PROVES.as_secs()) / 100_000 - watched.down;
            SignedDuration::from_secs(left.max(0) + 1)
        }
        None => PROVES.checked_sub(SignedDuration::from_secs(watched.total))?,
        Some(true) => return None,
    };
    now.checked_add(pause).ok()
}

#[cfg(test)]
#[path = "availability/tests.rs"]
mod tests;
