//! Who still uses what is old, for the status of a Deprecation: counts, the teams and objects that are left, what each week
//! began with, and when nobody will be left.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::civil::Date;
use k8s_openapi::jiff::tz::TimeZone;
use k8s_openapi::jiff::{Span, Timestamp};

use super::Finding;
use super::adoption::{int, monday};
use crate::api::{
    ConditionType, Consumers, DeprecationExemption, DeprecationProgress, DeprecationSpec, DeprecationStage,
    DeprecationTeam, DeprecationWeek, Forecast, Reason, Straggler,
};
use crate::plan::consumers::{InSight, Problem};
use crate::plan::deprecation::Left;

/// Teams that are listed.
const MAX_TEAMS: usize = 100;
/// Objects that are listed.
const MAX_STRAGGLERS: usize = 50;
/// Objects of each team that it is told of.
const MAX_EXAMPLES: usize = 5;
/// Weeks that are remembered.
const MAX_WEEKS: usize = 60;
/// A forecast looks back so many days at most: what was long ago says little about the speed of today.
const LOOKS_BACK: i32 = 56;
/// And so many at least: a day or two say nothing.
const LOOKS_BACK_AT_LEAST: i32 = 7;

/// One object that a Deprecation matches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Consumer<'a> {
    /// The object, such as ingress/shop/checkout.
    pub object: &'a str,
    /// Its team.
    pub team: Arc<str>,
    /// Namespace and name of its PlatformService.
    pub service: Option<(Arc<str>, Arc<str>)>,
    /// The first entry of `matches` that it matches.
    pub matched: Arc<str>,
    /// Who writes it through an old API version, where that is why it matches.
    pub manager: Option<Arc<str>>,
    /// The exemption that is in force for it.
    pub exempt: Option<Arc<str>>,
    /// Why the fix of the Deprecation does not apply to it.
    pub unfit: Option<Arc<str>>,
}

/// What one count found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    objects: u64,
    exempt: u64,
    /// By exemption: each that there was when this was counted.
    exemptions: BTreeMap<Arc<str>, u64>,
    unevaluable: u64,
    /// The first of these of each entry, with the words of the error.
    first_unevaluable: BTreeMap<Arc<str>, (String, Arc<str>)>,
    unfit: u64,
    /// The first of these, with the reason.
    first_unfit: Option<(String, Arc<str>)>,
    services: BTreeSet<(Arc<str>, Arc<str>)>,
    teams: BTreeMap<Arc<str>, u64>,
    stragglers: BTreeMap<String, Straggler>,
    /// The first objects of each team, for what it is told: those of most are not among the stragglers.
    examples: BTreeMap<Arc<str>, BTreeSet<String>>,
}

impl Tally {
    /// Nothing counted yet of a Deprecation with these exemptions.
    #[must_use]
    pub fn of(exemptions: &[DeprecationExemption]) -> Self {
        let exemptions = exemptions.iter().map(|exemption| (exemption.name.as_str().into(), 0)).collect();
        Self { exemptions, ..Self::default() }
    }

    /// Counts an object that matches.
    pub fn add(&mut self, consumer: Consumer<'_>) {
        self.objects += 1;
        self.services.extend(consumer.service);
        let remaining = self.teams.entry(consumer.team.clone()).or_default();
        if let Some(exemption) = consumer.exempt {
            self.exempt += 1;
            *self.exemptions.entry(exemption).or_default() += 1;
            return;
        }
        *remaining += 1;
        let examples = self.examples.entry(consumer.team.clone()).or_default();
        if examples.len() < MAX_EXAMPLES || examples.last().is_some_and(|last| last.as_str() > consumer.object) {
            examples.insert(consumer.object.to_owned());
        }
        if examples.len() > MAX_EXAMPLES {
            examples.pop_last();
        }
        if let Some(why) = consumer.unfit {
            self.unfit += 1;
            if self.first_unfit.as_ref().is_none_or(|(first, _)| consumer.object < first.as_str()) {
                self.first_unfit = Some((consumer.object.to_owned(), why));
            }
        }
        // of 100,000 only the first are kept; which ones does not depend on the order in which they were seen
        let beyond = self.stragglers.len() >= MAX_STRAGGLERS;
        if beyond && self.stragglers.last_key_value().is_some_and(|(last, _)| last.as_str() <= consumer.object) {
            return;
        }
        let straggler = Straggler {
            object: consumer.object.to_owned(),
            team: consumer.team.to_string(),
            matched: consumer.matched.to_string(),
            manager: consumer.manager.map(|manager| manager.chars().take(128).collect()),
        };
        self.stragglers.insert(consumer.object.to_owned(), straggler);
        if self.stragglers.len() > MAX_STRAGGLERS {
            self.stragglers.pop_last();
        }
    }

    /// Counts an object on which the expression of an entry fails, with these words.
    pub fn add_unevaluable(&mut self, entry: &Arc<str>, object: &str, words: &Arc<str>) {
        self.unevaluable += 1;
        let first = self.first_unevaluable.get(entry);
        if first.is_none_or(|(first, _)| object < first.as_str()) {
            self.first_unevaluable.insert(entry.clone(), (object.to_owned(), words.clone()));
        }
    }

    /// Objects that match and are not exempt, by team: the teams that have any, those with most first.
    #[must_use]
    pub fn remaining_by_team(&self) -> Vec<(&Arc<str>, u64)> {
        let mut teams: Vec<_> = self.teams.iter().map(|(team, n)| (team, *n)).filter(|(_, n)| *n > 0).collect();
        teams.sort_by(|(a, most), (b, more)| more.cmp(most).then(a.cmp(b)));
        teams
    }

    /// The first objects of a team that match and are not exempt.
    pub fn examples(&self, team: &str) -> impl Iterator<Item = &String> {
        self.examples.get(team).into_iter().flatten()
    }

    /// Objects that match and are exempt.
    #[must_use]
    pub fn exempt(&self) -> u64 {
        self.exempt
    }

    /// Entries whose expression fails on an object, and a fix that does not apply, each with an object.
    pub fn problems(&self) -> impl Iterator<Item = Problem> {
        let unevaluable = |(entry, (object, words)): (&Arc<str>, &(String, Arc<str>))| Problem::Unevaluable {
            entry: entry.to_string(),
            object: object.clone(),
            message: words.to_string(),
        };
        let unfit = |(object, why): &(String, Arc<str>)| Problem::FixDoesNotApply {
            count: self.unfit,
            object: object.clone(),
            why: why.to_string(),
        };
        self.first_unevaluable.iter().map(unevaluable).chain(self.first_unfit.as_ref().map(unfit))
    }

    /// Objects that lean on an exemption; nothing where it is newer than the count.
    #[must_use]
    pub fn leaning_on(&self, exemption: &str) -> Option<u64> {
        self.exemptions.get(exemption).copied()
    }

    /// Objects on which an expression fails.
    #[must_use]
    pub fn unevaluable(&self) -> u64 {
        self.unevaluable
    }
}

/// The progress after a count. `before` is nothing for a Deprecation that was never counted; `anew` says that it matches
/// something else than before, so that fewer objects do not mean that anybody has migrated.
#[must_use]
pub fn progress(
    before: Option<&DeprecationProgress>,
    tally: &Tally,
    anew: bool,
    now: Timestamp,
) -> DeprecationProgress {
    let objects = int(tally.objects);
    let counted = before.and_then(|before| before.consumers.as_ref()).filter(|_| !anew);
    let peak = counted.map_or(0, |before| before.objects + before.migrated).max(objects);
    let remaining = int(tally.objects - tally.exempt);
    let mut teams = tally.remaining_by_team();
    let teams_total = Some(int(teams.len() as u64));
    teams.truncate(MAX_TEAMS);
    let listed = |(name, n): (&Arc<str>, u64)| DeprecationTeam { name: name.to_string(), remaining: int(n) };
    let history = with_week(before.map(|b| b.history.as_slice()).unwrap_or_default(), remaining, now);
    DeprecationProgress {
        consumers: Some(Consumers {
            objects,
            services: int(tally.services.len() as u64),
            teams: int(tally.teams.len() as u64),
            migrated: peak - objects,
            remaining,
            exempt: int(tally.exempt),
            unevaluable: int(tally.unevaluable),
            unfixable: int(tally.unfit),
        }),
        teams: teams.into_iter().map(listed).collect(),
        teams_total,
        stragglers: tally.stragglers.values().cloned().collect(),
        stragglers_total: Some(remaining),
        exemptions: before.map(|before| before.exemptions.clone()).unwrap_or_default(),
        forecast: forecast(&history, remaining, now),
        history,
    }
}

/// What is left, for the gates. Objects on which an expression fails may be old, and so are left. Nothing where the count
/// does not tell all.
#[must_use]
pub fn left(progress: &DeprecationProgress, sight: &InSight, removed: bool) -> Option<Left> {
    let consumers = progress.consumers.as_ref().filter(|_| sight.tells_all(removed))?;
    let unevaluable = consumers.unevaluable;
    Some(Left {
        remaining: consumers.remaining + unevaluable,
        ever: consumers.objects + consumers.migrated + unevaluable,
    })
}

/// The history with what each week began with. The weeks in which nobody looked stay out.
fn with_week(before: &[DeprecationWeek], remaining: i64, now: Timestamp) -> Vec<DeprecationWeek> {
    let date = monday(now).to_string();
    let mut history = before.to_vec();
    if history.last().is_none_or(|last| last.date < date) {
        history.push(DeprecationWeek { date, remaining });
    }
    history.split_off(history.len().saturating_sub(MAX_WEEKS))
}

/// When nobody is left if it goes on as in the last eight weeks: what went since the oldest week of these, over the days
/// since then. Whole days, so that the answer changes once a day and not with each look. Nothing before a week has passed.
#[must_use]
pub fn forecast(history: &[DeprecationWeek], remaining: i64, now: Timestamp) -> Option<Forecast> {
    let today = now.to_zoned(TimeZone::UTC).date();
    let days_since = |week: &DeprecationWeek| {
        let date: Date = week.date.parse().ok()?;
        Some(today.since(date).ok()?.get_days()).filter(|days| *days <= LOOKS_BACK)
    };
    let (days, then) = history.iter().find_map(|week| Some((days_since(week)?, week.remaining)))?;
    if days < LOOKS_BACK_AT_LEAST {
        return None;
    }
    let (left, days) = (then - remaining, i64::from(days));
    let tenths = left * 70 / days;
    let sign = if tenths < 0 { "-" } else { "" };
    let per_week = format!("{sign}{}.{}", tenths.abs() / 10, tenths.abs() % 10);
    let needed = (left > 0 && remaining > 0).then(|| (remaining * days + left - 1) / left);
    let by = needed.and_then(|days| today.checked_add(Span::new().try_days(days).ok()?).ok());
    let complete_by = by.and_then(|date| date.to_zoned(TimeZone::UTC).ok()).map(|at| Time(at.timestamp()));
    Some(Forecast { per_week, complete_by })
}

/// Whether the old way will be gone at its date.
#[must_use]
pub fn on_track(
    spec: &DeprecationSpec,
    stage: DeprecationStage,
    progress: &DeprecationProgress,
    now: Timestamp,
) -> Finding {
    let good = |reason, text: String| Finding::good(ConditionType::OnTrack, reason, text);
    let bad = |reason, text: String| Finding::bad(ConditionType::OnTrack, reason, text);
    if stage == DeprecationStage::Completed {
        return good(Reason::Completed, "the old way is gone, and nobody uses it".to_owned());
    }
    let Some(date) = spec.timeline.remove_at.as_ref().map(|at| at.0) else {
        return good(Reason::NoDate, "timeline.removeAt is not set, so there is no date to miss".to_owned());
    };
    let Some(remaining) = progress.consumers.as_ref().map(|consumers| consumers.remaining) else {
        let text = "what is old has not been counted yet".to_owned();
        return Finding::unknown(ConditionType::OnTrack, Reason::NotCounted, text);
    };
    let unevaluable = progress.consumers.as_ref().map_or(0, |consumers| consumers.unevaluable);
    let day = date.to_zoned(TimeZone::UTC).date();
    match (remaining, now >= date) {
        (0, _) if unevaluable > 0 => Finding::unknown(
            ConditionType::OnTrack,
            Reason::Unevaluable,
            format!("whether {unevaluable} objects are old is not known: an expression fails on them"),
        ),
        (0, true) if !spec.removed => bad(
            Reason::NotRemoved,
            format!("nobody is left since removeAt ({day}); remove the old way, and set spec.removed: true"),
        ),
        (0, _) => good(Reason::NobodyLeft, "nobody uses the old way any more".to_owned()),
        (left, true) => bad(
            Reason::StragglersLeft,
            format!(
                "{left} objects are old still, and removeAt was {day}; move them, exempt them, or set a later date"
            ),
        ),
        (left, false) => match &progress.forecast {
            None => Finding::unknown(
                ConditionType::OnTrack,
                Reason::ForecastUnknown,
                format!("{left} objects are left; a forecast needs a week of history"),
            ),
            Some(Forecast { per_week, complete_by: None }) => bad(
                Reason::ForecastLate,
                format!("{left} objects are left and {per_week} a week leave: nobody will be gone by removeAt ({day})"),
            ),
            Some(Forecast { per_week, complete_by: Some(by) }) => {
                let end = by.0.to_zoned(TimeZone::UTC).date();
                let text = format!("{left} objects are left and {per_week} a week leave: the last one on {end}");
                if by.0 > date {
                    bad(
                        Reason::ForecastLate,
                        format!("{text}, after removeAt ({day}); help teams, or set a later date"),
                    )
                } else {
                    good(Reason::OnTrack, format!("{text}, before removeAt ({day})"))
                }
            }
        },
    }
}

#[cfg(test)]
mod tests;
