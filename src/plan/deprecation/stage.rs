//! Stages: one honest step at a time, never a block without its notice, and back where a gate closes again.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use sha2::{Digest, Sha256};

use super::gates::{Closed, Facts, closed, min_notice, notice_end};
use crate::api::conditions::whole_second;
use crate::api::{
    AnnouncedMatch, Brownout, BrownoutAction, DeprecationMatch, DeprecationSpec, DeprecationStage, DeprecationStatus,
    Gate, NextStage, StageEntry, Timeline,
};
use crate::plan::revision::hex;
use crate::plan::waves::length;

/// A policy takes about a second to be in force: that of a brownout is made so long before it begins.
const BROWNOUT_LEAD: SignedDuration = SignedDuration::from_secs(60);

/// Every stage, in order.
const ALL: [DeprecationStage; 7] = [
    DeprecationStage::Planned,
    DeprecationStage::Announced,
    DeprecationStage::Warning,
    DeprecationStage::CreateBlocked,
    DeprecationStage::UpdateBlocked,
    DeprecationStage::Removed,
    DeprecationStage::Completed,
];

/// Why a stage changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Why {
    /// Its time has come.
    Due,
    /// A gate has closed that must be open for it.
    GateClosed(Vec<Closed>),
    /// Its date was moved or taken out.
    DateMoved,
    /// It was completed, and somebody uses it again, or the old way is back.
    InUseAgain,
}

/// A stage that was entered or lifted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The stage before.
    pub from: DeprecationStage,
    /// The stage now.
    pub to: DeprecationStage,
    /// Why.
    pub why: Why,
}

/// What holds at one moment.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// The stage in force.
    pub stage: DeprecationStage,
    /// When it and those before it were entered.
    pub stages: Vec<StageEntry>,
    /// What comes next.
    pub next: Option<NextStage>,
    /// Why it does not come yet, with field and fix.
    pub held: Vec<Closed>,
    /// What has changed.
    pub change: Option<Change>,
    /// Since when each entry of `matches` has been announced.
    pub matches: Vec<AnnouncedMatch>,
    /// Names of the entries of `matches` that may refuse something: the notice is over for what they say.
    pub noticed: Vec<String>,
    /// Names of the brownouts whose policies are to be there.
    pub brownouts: Vec<String>,
    /// When something changes by itself. Not later than `now` where another step is due at once.
    pub next_change: Option<Timestamp>,
}

/// What the API server does in a stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Nothing.
    Silent,
    /// It warns.
    Warn,
    /// It refuses what becomes old.
    DenyCreate,
    /// It refuses changes of what is old as well.
    DenyUpdate,
}

/// What the API server does in a stage of a timeline.
#[must_use]
pub fn level(timeline: &Timeline, stage: DeprecationStage) -> Level {
    match stage {
        DeprecationStage::Planned | DeprecationStage::Announced => Level::Silent,
        DeprecationStage::Warning => Level::Warn,
        DeprecationStage::CreateBlocked => Level::DenyCreate,
        DeprecationStage::UpdateBlocked => Level::DenyUpdate,
        DeprecationStage::Removed | DeprecationStage::Completed => {
            // who never asked for a block did not ask for one at the end
            match (&timeline.block_create_at, &timeline.warn_at) {
                (Some(_), _) => Level::DenyUpdate,
                (None, Some(_)) => Level::Warn,
                (None, None) => Level::Silent,
            }
        }
    }
}

/// The date by which an object that is old has to move.
#[must_use]
pub fn deadline(timeline: &Timeline) -> Option<Timestamp> {
    timeline.block_update_at.as_ref().or(timeline.remove_at.as_ref()).map(|at| at.0)
}

/// A Deprecation and what was written about it last.
struct Clock<'a> {
    spec: &'a DeprecationSpec,
    created: Timestamp,
    facts: &'a Facts,
    now: Timestamp,
}

/// What holds at `now`, after at most one step from what `last` says.
///
/// The stage goes up by one step at a time, so that each is seen: a status, an Event and the time that the timeline has
/// for it, though no more than the notice that is owed. It goes down at once, to the last stage that may be.
#[must_use]
pub fn advance(
    spec: &DeprecationSpec,
    created: Timestamp,
    last: Option<&DeprecationStatus>,
    facts: &Facts,
    now: Timestamp,
) -> Step {
    let clock = Clock { spec, created, facts, now };
    let (from, mut stages) = last.map_or_else(Default::default, |last| (last.stage, last.stages.clone()));
    let change = clock.lifts(from, &stages).or_else(|| clock.enters(from, &stages));
    let stage = change.as_ref().map_or(from, |change| change.to);
    stages.retain(|entry| entry.stage <= stage);
    if stage != DeprecationStage::Planned && entered(&stages, stage).is_none() {
        stages.push(StageEntry { stage, entered_at: whole_second(now) });
    }
    let (next, held) = clock.next(stage, &stages);
    let matches = clock.matches(stage, &stages, last.map_or(&[], |last| &last.matches));
    let noticed = matches.iter().filter(|entry| entry.noticed).map(|entry| entry.name.clone()).collect();
    let due = next.as_ref().and_then(|next| clock.due(next.stage, stage, &stages));
    let next_change = if change.is_some() { Some(now) } else { clock.next_change(due, &matches) };
    Step {
        stage,
        next,
        held,
        change,
        noticed,
        brownouts: clock.brownouts(stage, &stages, last.map_or(&[], |last| &last.brownouts)),
        next_change,
        matches,
        stages,
    }
}

/// When a stage was entered.
fn entered(stages: &[StageEntry], stage: DeprecationStage) -> Option<Timestamp> {
    stages.iter().find(|entry| entry.stage == stage).map(|entry| entry.entered_at.0)
}

fn announced(stages: &[StageEntry]) -> Option<Timestamp> {
    entered(stages, DeprecationStage::Announced)
}

/// Whether a stage may be gone back to: one that refuses nothing, or that was in force before.
fn was(stage: DeprecationStage, stages: &[StageEntry]) -> bool {
    stage <= DeprecationStage::Warning || entered(stages, stage).is_some()
}

impl Clock<'_> {
    /// The date of a stage, if it has one.
    fn date(&self, stage: DeprecationStage) -> Option<Timestamp> {
        let timeline = &self.spec.timeline;
        let of = |at: &Option<Time>| at.as_ref().map(|at| at.0);
        match stage {
            DeprecationStage::Planned => Some(Timestamp::MIN),
            DeprecationStage::Announced => of(&timeline.announce_at).or(Some(self.created)),
            DeprecationStage::Warning => of(&timeline.warn_at),
            DeprecationStage::CreateBlocked => of(&timeline.block_create_at),
            DeprecationStage::UpdateBlocked => of(&timeline.block_update_at),
            DeprecationStage::Removed | DeprecationStage::Completed => of(&timeline.remove_at),
        }
    }

    fn is_dated(&self, stage: DeprecationStage) -> bool {
        self.date(stage).is_some_and(|date| date <= self.now)
    }

    /// The stage that comes after `stage`.
    fn after(&self, stage: DeprecationStage) -> Option<DeprecationStage> {
        ALL.into_iter().find(|next| *next > stage && self.date(*next).is_some())
    }

    /// The change to a lower stage, where the stage in force may not be.
    fn lifts(&self, from: DeprecationStage, stages: &[StageEntry]) -> Option<Change> {
        let closed = |stage| -> Vec<Closed> {
            let all = closed(self.spec, stage, announced(stages), self.facts, self.now);
            all.into_iter().filter(|closed| closed.known).collect()
        };
        let dated = self.is_dated(from);
        let gates = if dated { closed(from) } else { Vec::new() };
        if dated && gates.is_empty() {
            return None;
        }
        let why = match from {
            _ if !dated => Why::DateMoved,
            DeprecationStage::Completed => Why::InUseAgain,
            _ => Why::GateClosed(gates),
        };
        let mut lower = ALL.into_iter().rev().filter(|stage| *stage < from);
        let to = lower.find(|stage| self.is_dated(*stage) && closed(*stage).is_empty() && was(*stage, stages))?;
        Some(Change { from, to, why })
    }

    /// The change to the next stage, where it is due and nothing holds it.
    fn enters(&self, from: DeprecationStage, stages: &[StageEntry]) -> Option<Change> {
        let (next, held) = self.next(from, stages);
        let to = next?.stage;
        let is_due = self.due(to, from, stages).is_some_and(|due| due <= self.now);
        (is_due && held.is_empty()).then_some(Change { from, to, why: Why::Due })
    }

    /// When a stage can come at the earliest, as far as dates and the notice have a say.
    fn due(&self, stage: DeprecationStage, from: DeprecationStage, stages: &[StageEntry]) -> Option<Timestamp> {
        let date = self.date(stage)?;
        if matches!(stage, DeprecationStage::Announced | DeprecationStage::Warning | DeprecationStage::Completed) {
            return Some(date);
        }
        // a stage that came late lasts as long as it was meant to, though no longer than the notice
        let planned = self.date(from).map_or(SignedDuration::ZERO, |before| date.duration_since(before));
        let lasts = planned.clamp(SignedDuration::ZERO, min_notice(self.spec));
        let served = entered(stages, from).and_then(|at| at.checked_add(lasts).ok());
        let notice = announced(stages).map(|at| notice_end(self.spec, at));
        [Some(date), served, notice].into_iter().flatten().max()
    }

    /// What comes after a stage, and what holds it.
    fn next(&self, stage: DeprecationStage, stages: &[StageEntry]) -> (Option<NextStage>, Vec<Closed>) {
        let Some(next) = self.after(stage) else { return (None, Vec::new()) };
        let announced = announced(stages);
        let mut held = closed(self.spec, next, announced, self.facts, self.now);
        // notice that ends before the date of the stage holds nothing
        let ends_in_time = |at| self.date(next).is_some_and(|date| notice_end(self.spec, at) <= date);
        if announced.is_some_and(ends_in_time) {
            held.retain(|closed| closed.gate != Gate::MinNotice);
        }
        if self.spec.paused {
            let message = "paused: true; set it to false to go on".to_owned();
            held.insert(0, Closed { gate: Gate::Paused, known: true, message });
        }
        let at = self.due(next, stage, stages).map(Time);
        let at = at.filter(|_| next != DeprecationStage::Completed);
        let held_by = held.iter().map(|closed| closed.gate).collect();
        (Some(NextStage { stage: next, at, held_by }), held)
    }

    /// Since when each entry of `matches` has been announced. A changed one hits others than before: they are owed notice,
    /// and what holds the stage holds it.
    fn matches(&self, stage: DeprecationStage, stages: &[StageEntry], last: &[AnnouncedMatch]) -> Vec<AnnouncedMatch> {
        if stage == DeprecationStage::Planned {
            return Vec::new();
        }
        let of_stage = stage.min(DeprecationStage::Removed);
        let is_held =
            self.spec.paused || !closed(self.spec, of_stage, announced(stages), self.facts, self.now).is_empty();
        let announce = |entry: &DeprecationMatch| {
            let content = content(entry);
            let known = last.iter().find(|known| known.name == entry.name && known.content == content);
            let announced_at = known.map_or_else(|| whole_second(self.now), |known| known.announced_at.clone());
            let is_over = notice_end(self.spec, announced_at.0) <= self.now;
            let noticed = is_over && (known.is_some_and(|known| known.noticed) || !is_held);
            let proved_by = known.and_then(|known| known.proved_by);
            AnnouncedMatch { name: entry.name.clone(), content, announced_at, noticed, proved_by }
        };
        self.spec.matches.iter().map(announce).collect()
    }

    /// The brownouts whose policies are to be there: a block, so all that holds a block holds them.
    fn brownouts(&self, stage: DeprecationStage, stages: &[StageEntry], last: &[String]) -> Vec<String> {
        let is_there = |brownout: &&Brownout| {
            let (blocks, block) = match brownout.action {
                BrownoutAction::DenyCreate => (Level::DenyCreate, DeprecationStage::CreateBlocked),
                BrownoutAction::DenyUpdate => (Level::DenyUpdate, DeprecationStage::UpdateBlocked),
            };
            let (start, end) = window(brownout);
            let comes = start.checked_sub(BROWNOUT_LEAD).unwrap_or(start) <= self.now && self.now < end;
            let adds = self.was_warned(start, stages) && level(&self.spec.timeline, stage) < blocks;
            // what is not known lets none begin, and ends none
            let is_there = last.contains(&brownout.name);
            let holds = |gate: &Closed| gate.known || !is_there;
            let held = closed(self.spec, block, announced(stages), self.facts, self.now).iter().any(holds);
            comes && adds && !held && (is_there || !self.spec.paused)
        };
        self.spec.brownouts.iter().filter(is_there).map(|brownout| brownout.name.clone()).collect()
    }

    /// Whether people were warned for as long before a brownout as they were meant to be, though no longer than the notice.
    fn was_warned(&self, start: Timestamp, stages: &[StageEntry]) -> bool {
        let warned = entered(stages, DeprecationStage::Warning);
        let planned = self.date(DeprecationStage::Warning).map_or(SignedDuration::ZERO, |at| start.duration_since(at));
        let lasts = planned.clamp(SignedDuration::ZERO, min_notice(self.spec));
        // a warning that came some seconds late is no reason
        let latest = start.checked_add(BROWNOUT_LEAD).unwrap_or(start);
        warned.and_then(|at| at.checked_add(lasts).ok()).is_some_and(|served| served <= latest)
    }

    /// When something changes by itself.
    fn next_change(&self, due: Option<Timestamp>, matches: &[AnnouncedMatch]) -> Option<Timestamp> {
        let brownouts = self.spec.brownouts.iter().flat_map(|brownout| {
            let (start, end) = window(brownout);
            [start.checked_sub(BROWNOUT_LEAD).unwrap_or(start), end]
        });
        let exemptions = self.spec.exemptions.iter().map(|exemption| exemption.expires_at.0);
        let noticed = matches.iter().map(|entry| notice_end(self.spec, entry.announced_at.0));
        due.into_iter().chain(brownouts).chain(exemptions).chain(noticed).filter(|at| *at > self.now).min()
    }
}

/// When the notice of an entry of `matches` is over.
#[must_use]
pub fn notice_over(spec: &DeprecationSpec, matches: &[AnnouncedMatch], name: &str) -> Option<Timestamp> {
    let announced = matches.iter().find(|entry| entry.name == name)?;
    Some(notice_end(spec, announced.announced_at.0))
}

/// A hash of what an entry of `matches` says.
#[must_use]
pub fn content(entry: &DeprecationMatch) -> String {
    let text = serde_json::to_string(entry).unwrap_or_default();
    hex(&Sha256::digest(text.as_bytes())[..8])
}

/// From when to when a brownout lasts.
#[must_use]
pub fn window(brownout: &Brownout) -> (Timestamp, Timestamp) {
    let start = brownout.start_at.0;
    let lasts = length(Some(&brownout.duration)).unwrap_or(SignedDuration::ZERO);
    (start, start.checked_add(lasts).unwrap_or(start))
}
