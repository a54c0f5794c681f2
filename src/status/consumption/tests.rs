use std::collections::BTreeSet;

use rstest::rstest;
use serde_json::json;

use super::*;

fn at(time: &str) -> Timestamp {
    time.parse().unwrap()
}

fn consumer<'a>(object: &'a str, team: &str, service: Option<&str>, exempt: bool) -> Consumer<'a> {
    Consumer {
        object,
        team: team.into(),
        service: service.map(|name| ("shop".into(), name.into())),
        matched: "class".into(),
        manager: None,
        exempt: exempt.then(|| "one".into()),
        unfit: None,
    }
}

fn tally(objects: u64) -> Tally {
    let mut tally = Tally::default();
    (0..objects).for_each(|n| tally.add(consumer(&format!("ingress/shop/{n:05}"), "a", None, false)));
    tally
}

fn weeks(of: &[(&str, i64)]) -> Vec<DeprecationWeek> {
    of.iter().map(|(date, remaining)| DeprecationWeek { date: (*date).to_owned(), remaining: *remaining }).collect()
}

const NOW: &str = "2026-11-25T10:00:00Z";

#[test]
fn everything_is_counted_once() {
    let mut tally = Tally::default();
    tally.add(consumer("ingress/shop/a", "payments", Some("checkout"), false));
    tally.add(consumer("ingress/shop/b", "payments", Some("checkout"), false));
    tally.add(consumer("ingress/shop/c", "search", None, false));
    tally.add(consumer("ingress/shop/d", "ml", Some("train"), true));
    tally.add_unevaluable(&"class".into(), "ingress/shop/e", &"no such key".into());
    let progress = progress(None, &tally, false, at(NOW));
    let consumers = Consumers {
        objects: 4,
        services: 2,
        teams: 3,
        migrated: 0,
        remaining: 3,
        exempt: 1,
        unevaluable: 1,
        unfixable: 0,
    };
    assert_eq!(progress.consumers, Some(consumers));
    let teams: Vec<(&str, i64)> = progress.teams.iter().map(|team| (team.name.as_str(), team.remaining)).collect();
    assert_eq!((teams, progress.teams_total), (vec![("payments", 2), ("search", 1)], Some(2)), "ml has nothing left");
    let objects: Vec<&str> = progress.stragglers.iter().map(|straggler| straggler.object.as_str()).collect();
    assert_eq!(objects, ["ingress/shop/a", "ingress/shop/b", "ingress/shop/c"], "the exempt one is no straggler");
    assert_eq!(progress.history, weeks(&[("2026-11-23", 3)]));
    assert_eq!(progress.forecast, None, "two days say nothing");
}

#[test]
fn lists_are_capped_and_do_not_depend_on_the_order() {
    let (mut forth, mut back) = (Tally::default(), Tally::default());
    let add = |tally: &mut Tally, n: u8| {
        tally.add(consumer(&format!("o/{n:03}"), &format!("team-{n:03}"), None, false));
    };
    (0..200).for_each(|n| add(&mut forth, n));
    (0..200).rev().for_each(|n| add(&mut back, n));
    let (forth, back) = [forth, back].map(|tally| progress(None, &tally, false, at(NOW))).into();
    assert_eq!(forth, back);
    assert_eq!((forth.teams.len(), forth.teams_total), (MAX_TEAMS, Some(200)));
    assert_eq!((forth.stragglers.len(), forth.stragglers_total), (MAX_STRAGGLERS, Some(200)));
    assert_eq!(forth.stragglers[MAX_STRAGGLERS - 1].object, "o/049");
}

#[test]
fn the_status_of_a_hundred_thousand_matches_is_small() {
    let (name, team) = ("n".repeat(253), "t".repeat(58));
    let grants: Vec<DeprecationExemption> = (0..64)
        .map(|n| {
            let grant = json!({"name": format!("{n:063}"), "namespace": "shop", "reason": "r", "approvedBy": "ana", "expiresAt": "2027-01-01T00:00:00Z"});
            serde_json::from_value(grant).unwrap()
        })
        .collect();
    let mut tally = Tally::of(&grants);
    for n in 0..100_000_u32 {
        let (object, team) =
            (format!("horizontalpodautoscaler/{:063}/{name}{n:05}", n % 1_000), format!("{team}{:05}", n % 2_000));
        let manager = Some("m".repeat(300).into());
        tally.add(Consumer { manager, ..consumer(&object, &team, Some(&format!("s{}", n % 500)), n % 10 == 0) });
    }
    let weeks: Vec<_> =
        (0..60).map(|n| DeprecationWeek { date: format!("20{n:02}-01-01"), remaining: 100_000 }).collect();
    let before = DeprecationProgress { history: weeks, ..DeprecationProgress::default() };
    let progress = progress(Some(&before), &tally, false, at(NOW));
    assert_eq!((progress.consumers.as_ref().unwrap().objects, progress.stragglers_total), (100_000, Some(90_000)));
    assert_eq!((progress.stragglers.len(), progress.teams.len(), progress.history.len()), (50, 100, 60));
    // etcd takes 1.5 MiB, and kubectl shows it to a person
    let bytes = serde_json::to_vec(&progress).unwrap().len();
    assert!(bytes < 64 * 1024, "{bytes}");
    // what is held for it: the lists, five objects of each team, and who has any
    let held = (tally.stragglers.len(), tally.examples.values().map(BTreeSet::len).max(), tally.services.len());
    assert_eq!(held, (MAX_STRAGGLERS, Some(MAX_EXAMPLES), 500));
}

#[test]
fn migrated_is_counted_from_the_peak() {
    let counts = |progress: &DeprecationProgress| {
        let consumers = progress.consumers.clone().unwrap();
        (consumers.objects, consumers.migrated)
    };
    let first = progress(None, &tally(10), false, at(NOW));
    assert_eq!(counts(&first), (10, 0));
    let fewer = progress(Some(&first), &tally(4), false, at(NOW));
    assert_eq!(counts(&fewer), (4, 6));
    let more = progress(Some(&fewer), &tally(7), false, at(NOW));
    assert_eq!(counts(&more), (7, 3), "new ones are no progress");
    let peak = progress(Some(&more), &tally(20), false, at(NOW));
    assert_eq!(counts(&peak), (20, 0));
    let anew = progress(Some(&fewer), &tally(2), true, at(NOW));
    assert_eq!(counts(&anew), (2, 0), "nobody has migrated because a match was narrowed");
    let none = progress(Some(&first), &tally(0), false, at(NOW));
    assert_eq!(counts(&none), (0, 10));
}

#[test]
fn an_object_on_which_an_expression_fails_is_left() {
    let mut tally = tally(3);
    tally.add_unevaluable(&"class".into(), "ingress/shop/e", &"no such key".into());
    let before = progress(None, &self::tally(9), false, at(NOW));
    let progress = progress(Some(&before), &tally, false, at(NOW));
    let seen = InSight { complete: true, ..InSight::default() };
    assert_eq!(left(&progress, &seen, false), Some(Left { remaining: 4, ever: 10 }));
    assert_eq!(left(&progress, &InSight::default(), false), None, "half a list tells nothing");
    assert_eq!(left(&DeprecationProgress::default(), &seen, false), None);
    let mut spec = DeprecationSpec { removed: true, ..DeprecationSpec::default() };
    spec.timeline.remove_at = Some(Time(at("2026-11-01T00:00:00Z")));
    let consumers = Some(Consumers { unevaluable: 1, ..Consumers::default() });
    let nobody = DeprecationProgress { consumers, ..DeprecationProgress::default() };
    let finding = on_track(&spec, DeprecationStage::Removed, &nobody, at(NOW));
    assert_eq!((finding.good, finding.reason), (None, Reason::Unevaluable));
}

#[test]
fn the_same_count_is_the_same_progress() {
    let first = progress(None, &tally(3), false, at(NOW));
    assert_eq!(progress(Some(&first), &tally(3), false, at("2026-11-25T23:00:00Z")), first);
    let next_week = progress(Some(&first), &tally(3), false, at("2026-12-01T00:00:00Z"));
    assert_eq!(next_week.history, weeks(&[("2026-11-23", 3), ("2026-11-30", 3)]));
}

#[rstest]
#[case::too_early(&[("2026-11-23", 30)], 20, None)]
#[case::ten_a_week(&[("2026-11-09", 40)], 20, Some(("8.7", Some("2026-12-11T00:00:00Z"))))]
#[case::what_is_long_ago_does_not_count(&[("2026-05-04", 900), ("2026-11-16", 29)], 20, Some(("7.0", Some("2026-12-15T00:00:00Z"))))]
#[case::nobody_leaves(&[("2026-11-16", 20)], 20, Some(("0.0", None)))]
#[case::more_come(&[("2026-11-16", 11)], 20, Some(("-7.0", None)))]
#[case::nobody_is_left(&[("2026-11-16", 9)], 0, Some(("7.0", None)))]
#[case::nothing_is_remembered(&[], 20, None)]
#[case::what_is_no_date(&[("soon", 20)], 20, None)]
fn the_forecast_goes_on_as_in_the_last_eight_weeks(
    #[case] history: &[(&str, i64)],
    #[case] remaining: i64,
    #[case] expected: Option<(&str, Option<&str>)>,
) {
    let expected = expected
        .map(|(per_week, by)| Forecast { per_week: per_week.to_owned(), complete_by: by.map(|by| Time(at(by))) });
    assert_eq!(forecast(&weeks(history), remaining, at(NOW)), expected);
}

#[rstest]
#[case::no_date(None, 5, None, false, Some(true), Reason::NoDate)]
#[case::no_history(Some("2027-01-01T00:00:00Z"), 5, None, false, None, Reason::ForecastUnknown)]
#[case::in_time(Some("2027-01-01T00:00:00Z"), 5, Some("2026-12-20T00:00:00Z"), false, Some(true), Reason::OnTrack)]
#[case::too_late(
    Some("2027-01-01T00:00:00Z"),
    5,
    Some("2027-01-02T00:00:00Z"),
    false,
    Some(false),
    Reason::ForecastLate
)]
#[case::nobody_left(Some("2027-01-01T00:00:00Z"), 0, None, false, Some(true), Reason::NobodyLeft)]
#[case::passed_with_stragglers(Some("2026-11-01T00:00:00Z"), 5, None, true, Some(false), Reason::StragglersLeft)]
#[case::passed_with_none_and_not_removed(Some("2026-11-01T00:00:00Z"), 0, None, false, Some(false), Reason::NotRemoved)]
#[case::passed_and_removed(Some("2026-11-01T00:00:00Z"), 0, None, true, Some(true), Reason::NobodyLeft)]
fn on_track_says_whether_the_date_holds(
    #[case] remove_at: Option<&str>,
    #[case] remaining: i64,
    #[case] complete_by: Option<&str>,
    #[case] removed: bool,
    #[case] good: Option<bool>,
    #[case] reason: Reason,
) {
    let mut spec = DeprecationSpec { removed, ..DeprecationSpec::default() };
    spec.timeline.remove_at = remove_at.map(|time| Time(at(time)));
    let forecast = complete_by.map(|by| Forecast { per_week: "3.0".into(), complete_by: Some(Time(at(by))) });
    let consumers = Some(Consumers { objects: remaining, remaining, ..Consumers::default() });
    let progress = DeprecationProgress { consumers, forecast, ..DeprecationProgress::default() };
    let finding = on_track(&spec, DeprecationStage::Warning, &progress, at(NOW));
    assert_eq!((finding.good, finding.reason), (good, reason), "{}", finding.message);
    let uncounted = on_track(&spec, DeprecationStage::Warning, &DeprecationProgress::default(), at(NOW));
    assert_eq!(uncounted.good, remove_at.is_none().then_some(true), "nothing is claimed before it is counted");
    let completed = on_track(&spec, DeprecationStage::Completed, &progress, at(NOW));
    assert_eq!(completed.good, Some(true));
}

#[test]
fn a_forecast_of_nobody_leaving_misses_every_date() {
    let mut spec = DeprecationSpec::default();
    spec.timeline.remove_at = Some(Time(at("2030-01-01T00:00:00Z")));
    let progress = DeprecationProgress {
        consumers: Some(Consumers { remaining: 4, ..Consumers::default() }),
        forecast: Some(Forecast { per_week: "0.0".into(), complete_by: None }),
        ..DeprecationProgress::default()
    };
    let finding = on_track(&spec, DeprecationStage::Warning, &progress, at(NOW));
    assert_eq!((finding.good, finding.reason), (Some(false), Reason::ForecastLate));
}
