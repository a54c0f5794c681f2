//! Waves: which services a changed path has reached, and what the next wave waits for.

use std::str::FromStr;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::{SignedDuration, Timestamp};

use super::members::Member;
use crate::api::conditions::whole_second;
use crate::api::{Approval, Rollout, RolloutPhase, RolloutStatus, Wave};

/// What the wave of those is called that are in no other.
pub const REST: &str = "rest";

/// A rollout that goes on.
#[derive(Clone, Copy)]
pub struct Ongoing<'a> {
    /// What the path says.
    pub spec: &'a Rollout,
    /// The revision that rolls out.
    pub revision: &'a str,
    /// The revision that was in force before, if there was one.
    pub before: Option<&'a str>,
}

/// Whether a wave has begun, when `last` is the last one that has.
#[must_use]
pub fn has_begun(spec: &Rollout, last: Option<&str>, wave: usize) -> bool {
    number_of(spec, last).is_some_and(|at| wave <= at)
}

fn number_of(spec: &Rollout, name: Option<&str>) -> Option<usize> {
    let name = name?;
    let named = spec.waves.iter().position(|wave| wave.name == name);
    named.or_else(|| (name == REST).then_some(spec.waves.len()))
}

fn name_of(spec: &Rollout, wave: usize) -> String {
    spec.waves.get(wave).map_or_else(|| REST.to_owned(), |wave| wave.name.clone())
}

/// Where a rollout stands after a look at its members. When it is over, nobody looks at them.
#[must_use]
pub fn advance(
    rollout: Ongoing<'_>,
    last: Option<&RolloutStatus>,
    members: impl Iterator<Item = Member>,
    now: Timestamp,
) -> RolloutStatus {
    let mut status = begin(rollout, last);
    // it is over: who comes later comes to what is proved, and a count that goes on would be a write for nothing
    if status.phase == RolloutPhase::Complete {
        return status;
    }
    let members: Vec<Member> = members.collect();
    let count = |of: fn(&Member) -> bool| i64::try_from(members.iter().filter(|m| of(m)).count()).unwrap_or(i64::MAX);
    status.moved = count(|m| m.moved);
    status.exercised = count(|m| m.moved && m.exercised);
    status.failed = count(|m| m.failed);
    status.pending = count(|m| !m.moved);
    status.waiting_for = None;
    if let Some(cause) = aborts(rollout, &status) {
        status.phase = RolloutPhase::Aborted;
        status.waiting_for = Some(cause);
        return status;
    }
    // an abort stands until the path has another revision, even when its cause is gone
    if status.phase == RolloutPhase::Aborted {
        status.waiting_for = last.and_then(|last| last.waiting_for.clone());
        return status;
    }
    if rollout.spec.paused {
        status.phase = RolloutPhase::Paused;
        status.waiting_for = Some("rollout.paused is true; set it to false to go on".to_owned());
        return status;
    }
    while let Some(wait) = waits(rollout, &status, &members, now) {
        match wait {
            Wait::For(phase, text, soaking_since) => {
                status.phase = phase;
                status.soaking_since = soaking_since;
                status.waiting_for = Some(text);
                return status;
            }
            Wait::Begin(wave) => {
                status.wave = Some(name_of(rollout.spec, wave));
                status.wave_started_at = Some(whole_second(now));
                status.soaking_since = None;
            }
        }
    }
    RolloutStatus {
        phase: RolloutPhase::Complete,
        stable_revision: Some(rollout.revision.to_owned()),
        wave: None,
        wave_started_at: None,
        soaking_since: None,
        ..status
    }
}

/// The status of a rollout before anything is looked at: that of the last look, or that of a new revision.
fn begin(rollout: Ongoing<'_>, last: Option<&RolloutStatus>) -> RolloutStatus {
    if let Some(last) = last.filter(|last| last.revision == rollout.revision) {
        return last.clone();
    }
    let stable = match last {
        Some(last) if last.phase == RolloutPhase::Complete => Some(last.revision.clone()),
        Some(last) => last.stable_revision.clone(),
        None => rollout.before.map(ToOwned::to_owned),
    };
    // the first revision of a path: whoever comes, comes to it
    let is_first = stable.as_deref().is_none_or(|stable| stable == rollout.revision);
    RolloutStatus {
        phase: if is_first { RolloutPhase::Complete } else { RolloutPhase::Exercising },
        revision: rollout.revision.to_owned(),
        stable_revision: if is_first { Some(rollout.revision.to_owned()) } else { stable },
        ..RolloutStatus::default()
    }
}

/// Why a rollout is taken back, if it is.
fn aborts(rollout: Ongoing<'_>, status: &RolloutStatus) -> Option<String> {
    if let Some(abort) = rollout.spec.abort.as_ref().filter(|abort| abort.revision == rollout.revision) {
        return Some(format!("taken back by rollout.abort: {}; the next revision begins anew", abort.reason));
    }
    let limit = i64::from(rollout.spec.abort_on_failure_percent?);
    (status.failed > 0 && status.failed * 100 > limit * status.moved).then(|| {
        format!(
            "{} of {} services that moved were well before and are not any more, and abortOnFailurePercent is {limit}; \
             the next revision begins anew",
            status.failed, status.moved
        )
    })
}

enum Wait {
    For(RolloutPhase, String, Option<Time>),
    Begin(usize),
}

/// What the rollout waits for, or the wave that begins; nothing when the last wave has passed.
fn waits(rollout: Ongoing<'_>, status: &RolloutStatus, members: &[Member], now: Timestamp) -> Option<Wait> {
    let spec = rollout.spec;
    let promoted = spec.promote.as_ref().filter(|promotion| promotion.revision == rollout.revision);
    let promoted = promoted.and_then(|promotion| number_of(spec, Some(&promotion.wave)));
    let is_promoted = |wave: usize| promoted.is_some_and(|to| wave <= to);
    let at = number_of(spec, status.wave.as_deref());
    let next = at.map_or(0, |at| at + 1);
    if let Some(wave) = at.filter(|_| !is_promoted(next))
        && let Some(wait) = holds(rollout, wave, status, members, now)
    {
        return Some(wait);
    }
    if next > spec.waves.len() {
        return None;
    }
    let needs_approval = spec.waves.get(next).is_some_and(|wave| wave.approval == Approval::Required);
    if needs_approval && !is_promoted(next) {
        let text = format!("{}: begins when it is promoted{}", name_of(spec, next), how(rollout, next));
        return Some(Wait::For(RolloutPhase::AwaitingApproval, text, status.soaking_since.clone()));
    }
    Some(Wait::Begin(next))
}

/// What a wave that has begun waits for.
fn holds(
    rollout: Ongoing<'_>,
    wave: usize,
    status: &RolloutStatus,
    members: &[Member],
    now: Timestamp,
) -> Option<Wait> {
    let spec = rollout.spec;
    let name = name_of(spec, wave);
    let ours = || members.iter().filter(|member| member.wave == wave);
    let all = ours().count();
    let waits = |phase, text| Some(Wait::For(phase, text, None));
    let Some(declared) = spec.waves.get(wave) else {
        // nothing comes after the rest: it has passed when everybody has moved
        let left = ours().filter(|member| !member.moved).count();
        let text = format!("{name}: {left} of {all} services have to move");
        return (left > 0).then_some(Wait::For(RolloutPhase::Exercising, text, None));
    };
    if all == 0 {
        let text = format!(
            "{name}: the wave selects no service; change its selector, or promote the next wave{}",
            how(rollout, wave + 1)
        );
        return waits(RolloutPhase::AwaitingApproval, text);
    }
    let exercised = ours().filter(|member| member.moved && member.exercised && !member.failed).count();
    let needed = needed(declared, all);
    if exercised < needed {
        let text = format!("{name}: {exercised} of {all} services have rolled out; needs {needed}");
        let started = status.wave_started_at.as_ref().map_or(now, |at| at.0);
        let end = length(declared.max_wait.as_deref()).and_then(|wait| started.checked_add(wait).ok());
        return match end {
            Some(end) if end <= now => waits(
                RolloutPhase::AwaitingApproval,
                format!("{text}, and maxWait is over; promote the next wave{}", how(rollout, wave + 1)),
            ),
            Some(end) => waits(RolloutPhase::Exercising, format!("{text} until {end}")),
            None => waits(RolloutPhase::Exercising, text),
        };
    }
    let since = status.soaking_since.clone().unwrap_or_else(|| whole_second(now));
    let end = since.0.checked_add(length(declared.soak.as_deref()).unwrap_or(SignedDuration::ZERO)).ok()?;
    (end > now).then(|| Wait::For(RolloutPhase::Soaking, format!("{name}: soaks until {end}"), Some(since)))
}

/// The words of a promotion, ready to be pasted.
fn how(rollout: Ongoing<'_>, wave: usize) -> String {
    let wave = name_of(rollout.spec, wave);
    format!(" (rollout.promote: {{revision: {}, wave: {wave}}})", rollout.revision)
}

fn needed(wave: &Wave, all: usize) -> usize {
    let declared = wave.min_exercised.and_then(|n| usize::try_from(n).ok());
    declared.unwrap_or_else(|| all.div_ceil(10).max(1)).min(all)
}

/// The length of a duration as the API writes it. The schema has seen to its form.
#[must_use]
pub fn length(text: Option<&str>) -> Option<SignedDuration> {
    let duration = kube::core::Duration::from_str(text.filter(|text| !text.is_empty())?).ok()?;
    SignedDuration::try_from(std::time::Duration::from(duration)).ok()
}

/// When a rollout goes on by itself.
#[must_use]
pub fn next_change(spec: &Rollout, status: &RolloutStatus) -> Option<Timestamp> {
    let wave = spec.waves.iter().find(|wave| Some(&wave.name) == status.wave.as_ref())?;
    let (since, wait) = match status.phase {
        RolloutPhase::Soaking => (status.soaking_since.as_ref()?, wave.soak.as_deref()),
        RolloutPhase::Exercising => (status.wave_started_at.as_ref()?, wave.max_wait.as_deref()),
        _ => return None,
    };
    since.0.checked_add(length(wait)?).ok()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::api::{Abort, NamespaceSelector, Promotion, Tier};

    const NEW: &str = "web-2";

    fn at(minutes: i64) -> Timestamp {
        Timestamp::from_second(minutes * 60).unwrap()
    }

    /// A canary that soaks, a quarter that needs a promotion, and the rest.
    fn spec() -> Rollout {
        let labels = [("env".to_owned(), "dev".to_owned())].into();
        let selector = NamespaceSelector { match_labels: labels, ..NamespaceSelector::default() };
        let canary = Wave {
            name: "canary".into(),
            namespace_selector: Some(selector),
            min_exercised: Some(2),
            soak: Some("10m".into()),
            max_wait: Some("60m".into()),
            ..Wave::default()
        };
        let critical = Wave {
            name: "critical".into(),
            tiers: vec![Tier::Critical],
            approval: Approval::Required,
            ..Wave::default()
        };
        Rollout { waves: vec![canary, critical], abort_on_failure_percent: Some(25), ..Rollout::default() }
    }

    fn members(wave: usize, all: usize, moved: usize, exercised: usize) -> Vec<Member> {
        let member = |n: usize| Member { wave, moved: n < moved, exercised: n < exercised, failed: false };
        (0..all).map(member).collect()
    }

    /// The status after looks at these members, each at its minute.
    fn after(spec: &Rollout, looks: &[(i64, Vec<Member>)]) -> RolloutStatus {
        let before = RolloutStatus { revision: "web-1".into(), ..RolloutStatus::default() };
        let ongoing = Ongoing { spec, revision: NEW, before: Some("web-1") };
        look_at(ongoing, before, looks)
    }

    fn look_at(ongoing: Ongoing<'_>, before: RolloutStatus, looks: &[(i64, Vec<Member>)]) -> RolloutStatus {
        let look = |last: RolloutStatus, (minute, members): &(i64, Vec<Member>)| {
            advance(ongoing, Some(&last), members.iter().copied(), at(*minute))
        };
        looks.iter().fold(before, look)
    }

    fn said(status: &RolloutStatus) -> (RolloutPhase, Option<&str>, &str) {
        (status.phase, status.wave.as_deref(), status.waiting_for.as_deref().unwrap_or_default())
    }

    #[test]
    fn a_rollout_goes_from_wave_to_wave_and_says_what_it_waits_for() {
        let mut spec = spec();
        let with_rest = |canary: Vec<Member>, rest: Vec<Member>| [canary, rest].concat();
        let mut looks = vec![(0, with_rest(members(0, 3, 0, 0), members(2, 5, 0, 0)))];
        let status = after(&spec, &looks);
        assert_eq!(said(&status).2, "canary: 0 of 3 services have rolled out; needs 2 until 1970-01-01T01:00:00Z");
        assert_eq!((status.phase, status.stable_revision.as_deref()), (RolloutPhase::Exercising, Some("web-1")));
        looks.push((5, with_rest(members(0, 3, 3, 2), members(2, 5, 0, 0))));
        let status = after(&spec, &looks);
        let soaks = (RolloutPhase::Soaking, Some("canary"), "canary: soaks until 1970-01-01T00:15:00Z");
        assert_eq!(said(&status), soaks);
        assert_eq!(next_change(&spec, &status), Some(at(15)));
        looks.push((15, with_rest(members(0, 3, 3, 2), members(2, 5, 0, 0))));
        let status = after(&spec, &looks);
        assert_eq!(status.phase, RolloutPhase::AwaitingApproval);
        let how = "critical: begins when it is promoted (rollout.promote: {revision: web-2, wave: critical})";
        assert_eq!(status.waiting_for.as_deref(), Some(how));
        // nobody is in the critical wave: it says so, and waits for a person again
        spec.promote = Some(Promotion { revision: NEW.into(), wave: "critical".into() });
        let status = after(&spec, &looks);
        assert!(said(&status).2.starts_with("critical: the wave selects no service"), "{status:?}");
        spec.promote = Some(Promotion { revision: NEW.into(), wave: REST.into() });
        let status = after(&spec, &looks);
        assert_eq!(said(&status), (RolloutPhase::Exercising, Some(REST), "rest: 5 of 5 services have to move"));
        looks.push((16, with_rest(members(0, 3, 3, 2), members(2, 5, 5, 0))));
        let status = after(&spec, &looks);
        assert_eq!((status.phase, status.stable_revision.as_deref()), (RolloutPhase::Complete, Some(NEW)));
    }

    #[rstest]
    #[case::nobody_failed(0, RolloutPhase::Soaking)]
    #[case::as_many_as_allowed(1, RolloutPhase::Soaking)]
    #[case::too_many(2, RolloutPhase::Aborted)]
    fn too_many_failures_take_a_revision_back(#[case] failed: usize, #[case] phase: RolloutPhase) {
        let mut all = members(0, 4, 4, 4);
        all.iter_mut().take(failed).for_each(|member| member.failed = true);
        let looks = [(0, all), (1, members(0, 4, 0, 0))];
        assert_eq!(after(&spec(), &looks[..1]).phase, phase);
        if phase == RolloutPhase::Aborted {
            let status = after(&spec(), &looks);
            assert_eq!(status.phase, RolloutPhase::Aborted, "also when all have gone back");
            let why = "2 of 4 services that moved were well before and are not any more";
            assert!(said(&status).2.starts_with(why), "{status:?}");
        }
    }

    #[test]
    fn an_idle_canary_does_not_block_for_ever() {
        let looks = [(0, members(0, 3, 0, 0)), (60, members(0, 3, 3, 1))];
        let status = after(&spec(), &looks);
        assert_eq!(status.phase, RolloutPhase::AwaitingApproval);
        assert!(said(&status).2.contains("maxWait is over; promote the next wave"), "{status:?}");
    }

    #[test]
    fn a_paused_rollout_keeps_its_place() {
        let mut spec = spec();
        let looks = [(0, members(0, 3, 3, 2)), (1, members(0, 3, 3, 2))];
        spec.paused = true;
        assert_eq!(after(&spec, &looks).phase, RolloutPhase::Paused);
        let paused = after(&spec, &looks);
        spec.paused = false;
        let ongoing = Ongoing { spec: &spec, revision: NEW, before: None };
        assert_eq!(look_at(ongoing, paused, &[(2, members(0, 3, 3, 2))]).phase, RolloutPhase::Soaking);
    }

    #[test]
    fn a_person_takes_a_revision_back_and_the_next_one_begins_anew() {
        let abort = Some(Abort { revision: NEW.into(), reason: "slow starts".into() });
        let spec = Rollout { abort, ..spec() };
        let aborted = after(&spec, &[(0, members(0, 3, 3, 2))]);
        assert_eq!(aborted.phase, RolloutPhase::Aborted);
        assert!(said(&aborted).2.contains("slow starts"), "{aborted:?}");
        let ongoing = Ongoing { spec: &spec, revision: "web-3", before: None };
        let next = look_at(ongoing, aborted, &[(1, members(0, 3, 0, 0))]);
        assert_eq!((next.phase, next.stable_revision.as_deref()), (RolloutPhase::Exercising, Some("web-1")));
    }

    #[test]
    fn what_was_taken_back_does_not_go_on_after_a_pause() {
        let abort = Some(Abort { revision: NEW.into(), reason: "slow starts".into() });
        let mut spec = Rollout { abort, ..spec() };
        let aborted = after(&spec, &[(0, members(0, 3, 3, 2))]);
        (spec.abort, spec.paused) = (None, true);
        let look = |spec: &Rollout, last| {
            look_at(Ongoing { spec, revision: NEW, before: None }, last, &[(1, members(0, 3, 0, 0))])
        };
        let paused = look(&spec, aborted);
        spec.paused = false;
        let status = look(&spec, paused);
        assert_eq!(status.phase, RolloutPhase::Aborted);
        assert!(said(&status).2.contains("slow starts"), "{status:?}");
    }

    #[rstest]
    #[case::the_first_revision(None)]
    #[case::no_other_revision(Some(NEW))]
    fn whoever_comes_to_a_path_that_never_changed_waits_for_nobody(#[case] before: Option<&str>) {
        let spec = spec();
        let ongoing = Ongoing { spec: &spec, revision: NEW, before };
        let status = advance(ongoing, None, members(0, 3, 0, 0).into_iter(), at(0));
        assert_eq!((status.phase, status.stable_revision.as_deref()), (RolloutPhase::Complete, Some(NEW)));
    }

    #[test]
    fn without_waves_everybody_moves_at_once() {
        let spec = Rollout::default();
        let status = after(&spec, &[(0, members(0, 3, 0, 0))]);
        assert_eq!(status.wave.as_deref(), Some(REST));
        assert!(has_begun(&spec, status.wave.as_deref(), 0));
        assert_eq!(after(&spec, &[(0, members(0, 3, 0, 0)), (1, members(0, 3, 3, 0))]).phase, RolloutPhase::Complete);
    }
}
