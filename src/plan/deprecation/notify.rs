//! Who is told what, and when.
//!
//! Times of reminders are counted from one fixed Monday, so that all Deprecations with the same `every` are due together and
//! make one digest a team.

use std::collections::BTreeMap;

use k8s_openapi::jiff::{SignedDuration, Timestamp};
use kube::ResourceExt;
use serde::Serialize;

use crate::api::{Deprecation, DeprecationSpec, DeprecationStage, NextStage, Notified};
use crate::plan::deprecation::deadline;
use crate::plan::waves::length;

/// Monday, 5 January 1970, 08:00 UTC: people read on a weekday.
const MONDAY: i64 = (4 * 24 + 8) * 3600;

/// Why people are told.
#[derive(Serialize, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The stage has changed, or nobody was told before.
    StageChanged,
    /// It is time to say it again.
    Reminder,
}

/// Why people are to be told at `now`, if they are. `left` says whether anybody has anything old.
#[must_use]
pub fn due(
    spec: &DeprecationSpec,
    stage: DeprecationStage,
    last: Option<&Notified>,
    left: bool,
    now: Timestamp,
) -> Option<Cause> {
    let notify = spec.notify.as_ref()?;
    if !left || matches!(stage, DeprecationStage::Planned | DeprecationStage::Completed) {
        return None;
    }
    let Some(last) = last.filter(|last| last.stage == stage) else { return Some(Cause::StageChanged) };
    let every = length(notify.every.as_deref())?;
    (slot(last.at.0, every) < slot(now, every)).then_some(Cause::Reminder)
}

/// When people are to be told again, if nothing changes until then.
#[must_use]
pub fn next_reminder(spec: &DeprecationSpec, now: Timestamp) -> Option<Timestamp> {
    let every = length(spec.notify.as_ref()?.every.as_deref())?;
    let seconds = slot(now, every).checked_add(1)?.checked_mul(whole(every))?.checked_add(MONDAY)?;
    Timestamp::from_second(seconds).ok()
}

/// How many times `every` has passed since the Monday.
fn slot(at: Timestamp, every: SignedDuration) -> i64 {
    (at.as_second() - MONDAY).div_euclid(whole(every))
}

fn whole(every: SignedDuration) -> i64 {
    every.as_secs().max(1)
}

/// Names in `notify.receivers` that are not among those that were configured: field, value and the fix.
#[must_use]
pub fn unknown_receiver<'a>(spec: &DeprecationSpec, known: impl Iterator<Item = &'a str>) -> Option<String> {
    let known: Vec<&str> = known.collect();
    let receivers = spec.notify.iter().flat_map(|notify| &notify.receivers);
    let unknown: Vec<&str> = receivers.map(String::as_str).filter(|name| !known.contains(name)).collect();
    let first = unknown.first()?;
    let there = match known.as_slice() {
        [] => "none is configured; add it to notify.receivers in the values of the chart".to_owned(),
        known => {
            format!("there are {}; write one of them, or add it where the operator is installed", known.join(", "))
        }
    };
    Some(format!("notify.receivers: there is no receiver {first}, {there}; the others are told"))
}

/// What one team still has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OfTeam {
    /// The team.
    pub team: String,
    /// How many objects it has to move.
    pub remaining: u64,
    /// Some of them, such as ingress/shop/checkout.
    pub objects: Vec<String>,
}

/// What is to be told of one Deprecation.
#[derive(Clone, Debug, PartialEq)]
pub struct News {
    /// Why.
    pub cause: Cause,
    /// The Deprecation.
    pub deprecation: Deprecation,
    /// Its stage now.
    pub stage: DeprecationStage,
    /// What comes next.
    pub next: Option<NextStage>,
    /// Who has something old.
    pub teams: Vec<OfTeam>,
}

/// What one team is told, as it is sent.
#[derive(Serialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Digest {
    api_version: &'static str,
    kind: &'static str,
    /// The team.
    pub team: String,
    sent_at: Timestamp,
    /// All of it in words, for receivers that show a text.
    text: String,
    deprecations: Vec<Item>,
}

/// One Deprecation in a digest.
#[derive(Serialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
struct Item {
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    title: Option<String>,
    cause: Cause,
    stage: DeprecationStage,
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<NextStage>,
    #[serde(skip_serializing_if = "Option::is_none")]
    deadline: Option<Timestamp>,
    remaining: u64,
    objects: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    golden_path: Option<String>,
    #[serde(rename = "guideURL", skip_serializing_if = "Option::is_none")]
    guide_url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    contact: Option<String>,
}

impl Digest {
    /// Names of the Deprecations that it is about.
    pub fn deprecations(&self) -> impl Iterator<Item = &str> {
        self.deprecations.iter().map(|item| item.name.as_str())
    }
}

/// The digests for each receiver: one for each team that has something old, with all that is told at the same time.
#[must_use]
pub fn digests(news: &[News], now: Timestamp) -> BTreeMap<String, Vec<Digest>> {
    let mut items: BTreeMap<(&str, &str), Vec<Item>> = BTreeMap::new();
    for one in news {
        for receiver in one.deprecation.spec.notify.iter().flat_map(|notify| &notify.receivers) {
            for of_team in &one.teams {
                items.entry((receiver, &of_team.team)).or_default().push(item(one, of_team));
            }
        }
    }
    let mut all: BTreeMap<String, Vec<Digest>> = BTreeMap::new();
    for ((receiver, team), deprecations) in items {
        let digest = Digest {
            api_version: "goldenpath.dev/v1alpha1",
            kind: "DeprecationDigest",
            team: team.to_owned(),
            sent_at: now,
            text: text(team, &deprecations),
            deprecations,
        };
        all.entry(receiver.to_owned()).or_default().push(digest);
    }
    all
}

fn item(news: &News, of_team: &OfTeam) -> Item {
    let spec = &news.deprecation.spec;
    let replacement = spec.replacement.clone().unwrap_or_default();
    let owner = spec.owner.clone().unwrap_or_default();
    let contact = match (owner.team, owner.contact) {
        (Some(team), Some(contact)) => Some(format!("{team} at {contact}")),
        (team, contact) => team.or(contact),
    };
    Item {
        name: news.deprecation.name_any(),
        title: spec.title.clone(),
        cause: news.cause,
        stage: news.stage,
        next: news.next.clone(),
        deadline: deadline(&spec.timeline),
        remaining: of_team.remaining,
        objects: of_team.objects.clone(),
        golden_path: replacement.golden_path_ref.map(|path| path.name),
        guide_url: replacement.guide_url,
        contact,
    }
}

fn text(team: &str, deprecations: &[Item]) -> String {
    let total: u64 = deprecations.iter().map(|item| item.remaining).sum();
    let objects = if total == 1 { "1 object that is" } else { &format!("{total} objects that are") };
    let mut lines = vec![format!("{team} has {objects} deprecated:")];
    lines.extend(deprecations.iter().map(line));
    lines.join("\n")
}

/// `- legacy-ingress (Shared nginx ingress), stage Warning: ingress/shop/checkout and 3 more, due at ...; take GoldenPath ...`
fn line(item: &Item) -> String {
    let title = item.title.as_ref().map(|title| format!(" ({title})")).unwrap_or_default();
    let more = item.remaining.saturating_sub(item.objects.len() as u64);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    let due = item.deadline.map(|at| format!(", due at {at}")).unwrap_or_default();
    let take = item.golden_path.as_ref().map(|path| format!("; take GoldenPath {path}")).unwrap_or_default();
    let guide = item.guide_url.as_ref().map(|url| format!("; guide: {url}")).unwrap_or_default();
    let ask = item.contact.as_ref().map(|contact| format!("; ask {contact}")).unwrap_or_default();
    let objects = item.objects.join(", ");
    format!("- {}{title}, stage {:?}: {objects}{more}{due}{take}{guide}{ask}", item.name, item.stage)
}

/// What a service is told, of `total` objects.
#[must_use]
pub fn reminder(deprecation: &Deprecation, stage: DeprecationStage, object: &str, total: u64) -> String {
    let title = deprecation.spec.title.as_ref().map(|title| format!(" ({title})")).unwrap_or_default();
    let due = deadline(&deprecation.spec.timeline).map(|at| format!(", due at {at}")).unwrap_or_default();
    let more = if total > 1 { format!(", and {} more", total - 1) } else { String::new() };
    let name = deprecation.name_any();
    format!("{object} is deprecated by {name}{title}, stage {stage:?}{due}{more}; status.deprecations says what to do")
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
    use rstest::rstest;
    use serde_json::{Value, json};

    use super::DeprecationStage::{Announced, Completed, Planned, Warning};
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn deprecation(name: &str, notify: &Value) -> Deprecation {
        let spec = json!({"title": "Shared nginx", "matches": [], "notify": notify,
            "owner": {"team": "platform", "contact": "#paved-road"},
            "replacement": {"goldenPathRef": {"name": "web"}, "guideURL": "https://d"},
            "timeline": {"blockUpdateAt": "2027-05-15T00:00:00Z"}});
        Deprecation::new(name, serde_json::from_value(spec).unwrap())
    }

    const SUNDAY: &str = "2026-11-29T12:00:00Z";
    const MONDAY_AT_7: &str = "2026-11-30T07:59:59Z";
    const MONDAY_AT_8: &str = "2026-11-30T08:00:00Z";

    #[rstest]
    #[case::nobody_asked(json!(null), Warning, None, true, MONDAY_AT_8, None)]
    #[case::nobody_is_left(json!({"every": "168h"}), Warning, None, false, MONDAY_AT_8, None)]
    #[case::not_announced(json!({"every": "168h"}), Planned, None, true, MONDAY_AT_8, None)]
    #[case::over(json!({"every": "168h"}), Completed, None, true, MONDAY_AT_8, None)]
    #[case::for_the_first_time(json!({}), Announced, None, true, SUNDAY, Some(Cause::StageChanged))]
    #[case::another_stage(json!({}), Warning, Some((SUNDAY, Announced)), true, SUNDAY, Some(Cause::StageChanged))]
    #[case::it_was_lifted(json!({}), Announced, Some((SUNDAY, Warning)), true, SUNDAY, Some(Cause::StageChanged))]
    #[case::said_already(json!({"every": "168h"}), Warning, Some((SUNDAY, Warning)), true, MONDAY_AT_7, None)]
    #[case::a_week_is_over(json!({"every": "168h"}), Warning, Some((SUNDAY, Warning)), true, MONDAY_AT_8, Some(Cause::Reminder))]
    #[case::said_this_week(json!({"every": "168h"}), Warning, Some((MONDAY_AT_8, Warning)), true, MONDAY_AT_8, None)]
    #[case::down_for_weeks(
        json!({"every": "168h"}), Warning, Some(("2026-10-01T00:00:00Z", Warning)), true, SUNDAY, Some(Cause::Reminder))]
    #[case::never_again(json!({}), Warning, Some(("2026-10-01T00:00:00Z", Warning)), true, SUNDAY, None)]
    fn people_are_told_when_it_is_time(
        #[case] notify: Value,
        #[case] stage: DeprecationStage,
        #[case] last: Option<(&str, DeprecationStage)>,
        #[case] left: bool,
        #[case] now: &str,
        #[case] expected: Option<Cause>,
    ) {
        let last = last.map(|(time, stage)| Notified { at: Time(at(time)), stage });
        let spec = deprecation("ing", &notify).spec;
        assert_eq!(due(&spec, stage, last.as_ref(), left, at(now)), expected);
    }

    #[rstest]
    #[case::weekly("168h", SUNDAY, MONDAY_AT_8)]
    #[case::just_said("168h", MONDAY_AT_8, "2026-12-07T08:00:00Z")]
    #[case::often("10s", "2026-11-29T12:00:03Z", "2026-11-29T12:00:10Z")]
    fn the_next_reminder_is_the_next_time_of_its_grid(#[case] every: &str, #[case] now: &str, #[case] next: &str) {
        let spec = deprecation("ing", &json!({"every": every})).spec;
        let found = next_reminder(&spec, at(now)).unwrap();
        assert_eq!(found, at(next));
        let last = Notified { at: Time(at(now)), stage: Warning };
        assert_eq!(due(&spec, Warning, Some(&last), true, found), Some(Cause::Reminder), "it is due then");
    }

    fn news(name: &str, receivers: &[&str], teams: &[(&str, u64)]) -> News {
        let team = |(team, remaining): &(&str, u64)| OfTeam {
            team: (*team).to_owned(),
            remaining: *remaining,
            objects: vec![format!("ingress/{team}/a")],
        };
        News {
            cause: Cause::Reminder,
            deprecation: deprecation(name, &json!({"receivers": receivers})),
            stage: Warning,
            next: None,
            teams: teams.iter().map(team).collect(),
        }
    }

    #[test]
    fn a_team_gets_one_digest_of_all_that_is_due() {
        let news = [
            news("ing", &["chat", "mail"], &[("payments", 4), ("search", 1)]),
            news("hpa", &["chat"], &[("payments", 1)]),
        ];
        let all = digests(&news, at(SUNDAY));
        let told = |receiver: &str| -> Vec<(&str, Vec<&str>)> {
            all[receiver].iter().map(|digest| (digest.team.as_str(), digest.deprecations().collect())).collect()
        };
        assert_eq!(told("chat"), [("payments", vec!["ing", "hpa"]), ("search", vec!["ing"])]);
        assert_eq!(told("mail"), [("payments", vec!["ing"]), ("search", vec!["ing"])]);
        let sent = serde_json::to_value(&all["mail"][0]).unwrap();
        let expected = json!({
            "apiVersion": "goldenpath.dev/v1alpha1",
            "kind": "DeprecationDigest",
            "team": "payments",
            "sentAt": SUNDAY,
            "text": "payments has 4 objects that are deprecated:\n- ing (Shared nginx), stage Warning: ingress/payments/a and 3 \
                more, due at 2027-05-15T00:00:00Z; take GoldenPath web; guide: https://d; ask platform at #paved-road",
            "deprecations": [{
                "name": "ing", "title": "Shared nginx", "cause": "Reminder", "stage": "Warning",
                "deadline": "2027-05-15T00:00:00Z", "remaining": 4, "objects": ["ingress/payments/a"], "goldenPath": "web",
                "guideURL": "https://d", "contact": "platform at #paved-road",
            }],
        });
        assert_eq!(sent, expected);
    }

    #[rstest]
    #[case::known(&["chat"], &["chat"], None)]
    #[case::misspelt(&["chta"], &["chat", "mail"], Some("there is no receiver chta, there are chat, mail; write one of them"))]
    #[case::none_at_all(&["chat"], &[], Some("there is no receiver chat, none is configured; add it to notify.receivers"))]
    fn an_unknown_receiver_is_named_with_those_there_are(
        #[case] receivers: &[&str],
        #[case] known: &[&str],
        #[case] words: Option<&str>,
    ) {
        let spec = deprecation("ing", &json!({"receivers": receivers})).spec;
        let found = unknown_receiver(&spec, known.iter().copied());
        assert_eq!(found.is_some(), words.is_some());
        assert!(found.unwrap_or_default().contains(words.unwrap_or_default()));
    }
}
