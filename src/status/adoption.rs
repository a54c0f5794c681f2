//! How far everyone has come on one path: fractions whose denominator is every workload that could be on it.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::jiff::civil::Date;
use k8s_openapi::jiff::tz::TimeZone;
use k8s_openapi::jiff::{Span, Timestamp};

use super::counts::{Bucket, Class, Counts, ServiceBucket};
use crate::api::{AdoptionWeek, Origin, PathAdoption, ServiceCounts, State, TeamCounts, WorkloadCounts, WorkloadKind};

/// Weeks that a path remembers: a year, and two months to compare with.
const MAX_WEEKS: usize = 60;

/// How the workloads of one team stand to one path.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TeamShare {
    /// Workloads that are adopted.
    pub adopted: u64,
    /// Workloads that a service has put on the path, adopted or not.
    pub claimed: u64,
    /// Workloads that could be on the path.
    pub eligible: u64,
}

/// The share of each team. A workload is eligible when its kind is in `default_for`, claimed or not, whoever claims it;
/// one of another kind counts where a service has put it on the path by name. Managed and excluded ones never count.
#[must_use]
pub fn team_shares(counts: &Counts, path: &str, default_for: &[WorkloadKind]) -> BTreeMap<Arc<str>, TeamShare> {
    let mut shares: BTreeMap<Arc<str>, TeamShare> = BTreeMap::new();
    for (Bucket { kind, team, class }, sum) in &counts.workloads {
        let (claimed, adopted) = match class {
            Class::Excluded | Class::Managed => continue,
            Class::Unclaimed => (false, false),
            Class::Claimed { path: on, state, .. } => {
                let claimed = on.as_deref() == Some(path);
                (claimed, claimed && *state == State::Adopted)
            }
        };
        if !claimed && !default_for.contains(kind) {
            continue;
        }
        let share = shares.entry(team.clone()).or_default();
        share.eligible += sum.workloads;
        share.claimed += if claimed { sum.workloads } else { 0 };
        share.adopted += if adopted { sum.workloads } else { 0 };
    }
    shares
}

/// The adoption of a path, with its history up to the week of `now`.
#[must_use]
pub fn path_adoption(
    counts: &Counts,
    path: &str,
    default_for: &[WorkloadKind],
    before: Option<&PathAdoption>,
    now: Timestamp,
) -> PathAdoption {
    let shares = team_shares(counts, path, default_for);
    let sum = |of: fn(&TeamShare) -> u64| shares.values().map(of).sum::<u64>();
    let (adopted, claimed, eligible) = (sum(|s| s.adopted), sum(|s| s.claimed), sum(|s| s.eligible));
    let teams = |of: fn(&TeamShare) -> bool| shares.values().filter(|s| of(s)).count() as u64;
    let (on_the_road, started) = (teams(is_on_the_road), teams(|s| s.claimed > 0));
    let services = |of: fn(&ServiceBucket) -> bool| -> u64 {
        let of_path = counts.services.iter().filter(|(s, _)| s.path.as_deref() == Some(path));
        of_path.filter(|(s, _)| of(s)).map(|(_, n)| *n).sum()
    };
    let total = shares.len() as u64;
    PathAdoption {
        workloads: WorkloadCounts {
            adopted: int(adopted),
            claimed: int(claimed),
            eligible: int(eligible),
            percent: percent(adopted, eligible),
        },
        teams: TeamCounts {
            adopted: int(on_the_road),
            claimed: int(started),
            total: int(total),
            percent: percent(on_the_road, total),
        },
        services: ServiceCounts {
            adopted: int(services(|s| s.state == State::Adopted)),
            total: int(services(|_| true)),
            voluntary: int(services(|s| {
                s.state == State::Adopted && matches!(s.origin, Origin::Voluntary | Origin::Greenfield)
            })),
        },
        history: with_week(before.map(|b| b.history.as_slice()).unwrap_or_default(), adopted, eligible, now),
    }
}

/// A team is on the road when all of its workloads are that could be.
#[must_use]
pub fn is_on_the_road(share: &TeamShare) -> bool {
    share.adopted == share.eligible
}

/// The history with one entry for each week that was seen: the counts at its first look. The weeks in which nobody
/// looked stay out, nothing is known about them.
fn with_week(before: &[AdoptionWeek], adopted: u64, eligible: u64, now: Timestamp) -> Vec<AdoptionWeek> {
    let date = monday(now).to_string();
    let mut history = before.to_vec();
    if history.last().is_none_or(|last| last.date < date) {
        history.push(AdoptionWeek { date, adopted: int(adopted), eligible: int(eligible) });
    }
    history.split_off(history.len().saturating_sub(MAX_WEEKS))
}

/// The first day of the week.
pub(super) fn monday(now: Timestamp) -> Date {
    let today = now.to_zoned(TimeZone::UTC).date();
    let since = i64::from(today.weekday().to_monday_zero_offset());
    today.checked_sub(Span::new().days(since)).unwrap_or(today)
}

/// One decimal, rounded down: 99.96 is not 100.0. Nothing of nothing is 0.0.
#[must_use]
pub fn percent(part: u64, whole: u64) -> String {
    let tenths = (part * 1000).checked_div(whole).unwrap_or(0);
    format!("{}.{}", tenths / 10, tenths % 10)
}

pub(super) fn int(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::api::Mode;
    use crate::plan::score::Weights;
    use crate::status::counts::Counted;

    fn at(time: &str) -> Timestamp {
        time.parse().unwrap()
    }

    fn counts(workloads: &[(WorkloadKind, &str, Class)]) -> Counts {
        let mut counts = Counts::default();
        for (kind, team, class) in workloads {
            let bucket = Bucket { kind: *kind, team: (*team).into(), class: class.clone() };
            counts.add(&Counted {
                bucket,
                replicas: 1,
                up: None,
                lead: None,
                weights: Weights::default(),
                verdicts: Vec::new(),
            });
        }
        counts
    }

    fn claimed(path: &str, state: State) -> Class {
        Class::Claimed { path: Some(path.into()), state, mode: Mode::Default }
    }

    #[test]
    fn the_denominator_is_everything_that_could_be_on_the_road() {
        use WorkloadKind::{CronJob, Deployment};
        let counts = counts(&[
            (Deployment, "a", claimed("web", State::Adopted)),
            (Deployment, "a", claimed("web", State::Migrating)),
            (Deployment, "b", claimed("web", State::Adopted)),
            (Deployment, "b", claimed("other", State::Adopted)),
            (Deployment, "c", Class::Unclaimed),
            (Deployment, "c", Class::Managed),
            (Deployment, "c", Class::Excluded),
            (CronJob, "d", claimed("web", State::Adopted)),
            (CronJob, "d", Class::Unclaimed),
        ]);
        let adoption = path_adoption(&counts, "web", &[Deployment], None, at("2026-11-24T10:00:00Z"));
        assert_eq!(adoption.workloads, WorkloadCounts { adopted: 3, claimed: 4, eligible: 6, percent: "50.0".into() });
        // d has one eligible workload, the one that it put on the path by name
        assert_eq!(adoption.teams, TeamCounts { adopted: 1, claimed: 3, total: 4, percent: "25.0".into() });
        assert_eq!(adoption.history, [AdoptionWeek { date: "2026-11-23".into(), adopted: 3, eligible: 6 }]);
    }

    #[rstest]
    #[case::same_week("2026-11-29T23:59:59Z", &["2026-11-23"])]
    #[case::next_week("2026-11-30T00:00:00Z", &["2026-11-23", "2026-11-30"])]
    #[case::after_a_pause("2026-12-20T00:00:00Z", &["2026-11-23", "2026-12-14"])]
    #[case::a_clock_that_went_back("2026-11-01T00:00:00Z", &["2026-11-23"])]
    fn each_week_is_remembered_once(#[case] now: &str, #[case] expected: &[&str]) {
        let first = with_week(&[], 1, 2, at("2026-11-24T10:00:00Z"));
        let dates: Vec<String> = with_week(&first, 5, 6, at(now)).into_iter().map(|w| w.date).collect();
        assert_eq!(dates, expected);
    }

    #[test]
    fn the_history_is_capped() {
        let mut history = Vec::new();
        let mut now = at("2026-01-05T00:00:00Z");
        for _ in 0..100 {
            history = with_week(&history, 1, 2, now);
            now += Span::new().hours(7 * 24);
        }
        assert_eq!(history.len(), MAX_WEEKS);
        assert_eq!(history.last().unwrap().date, "2027-11-29");
    }

    #[test]
    fn percent_never_flatters() {
        assert_eq!(
            (percent(41, 96), percent(9996, 10_000), percent(0, 0)),
            ("42.7".into(), "99.9".into(), "0.0".into())
        );
    }
}
