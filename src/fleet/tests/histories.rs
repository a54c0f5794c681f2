//! Random histories of a cluster, told to the table in a random way: it ends with what is the case.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

/// What happens on the API server.
#[derive(Clone, Copy, Debug)]
enum Happens {
    Write { workload: u8, team: u8 },
    Delete { workload: u8 },
}

/// How the table hears of it. Events are told in the order of `Tell`'s choices: late, twice, out of turn.
#[derive(Clone, Copy, Debug)]
enum Told {
    Event(prop::sample::Index),
    List(prop::sample::Index),
    Claim(u8),
    Disclaim(u8),
    Evaluate(u8, u8),
    NamespaceTeam(u8),
}

#[derive(Clone, Debug)]
struct Event {
    version: u64,
    workload: u8,
    team: Option<u8>,
}

fn names(workload: u8) -> (String, String) {
    (format!("ns{}", workload % 2), format!("w{}", workload / 2))
}

fn key_of(workload: u8) -> WorkloadKey {
    let (namespace, name) = names(workload);
    key(&namespace, &name)
}

fn live(event: &Event) -> Option<Value> {
    let (namespace, name) = names(event.workload);
    event.team.map(|team| object(&namespace, &name, event.version, Some(&format!("t{team}"))))
}

fn tell(table: &mut Table, event: &Event) {
    match live(event) {
        Some(object) => {
            see(table, &object);
        }
        None => {
            table.remove(key_of(event.workload), event.version);
        }
    }
}

/// What is there after the events up to a version.
fn truth(events: &[Event], version: u64) -> BTreeMap<u8, &Event> {
    let mut truth = BTreeMap::new();
    for event in events.iter().filter(|event| event.version <= version) {
        match event.team {
            Some(_) => truth.insert(event.workload, event),
            None => truth.remove(&event.workload),
        };
    }
    truth
}

fn list(table: &mut Table, events: &[Event], version: u64) {
    table.begin(DEPLOYMENT);
    for event in truth(events, version).values() {
        tell(table, event);
    }
    table.sweep(DEPLOYMENT, version);
}

fn service(number: u8) -> ServiceKey {
    (format!("ns{}", number % 2), format!("s{}", number % 3))
}

fn apply(table: &mut Table, told: Told, events: &[Event], newest_list: &mut u64) {
    match told {
        Told::Event(index) if !events.is_empty() => tell(table, index.get(events)),
        Told::List(index) if !events.is_empty() => {
            // a watch refuses lists that are older than what it has seen
            let version = index.get(events).version;
            if version >= *newest_list {
                *newest_list = version;
                list(table, events, version);
            }
        }
        Told::Event(_) | Told::List(_) => {}
        Told::Claim(n) => {
            let of_namespace: Vec<WorkloadKey> =
                (0..8).filter(|w| w % 2 == n % 2 && (w ^ n) & 2 == 0).map(key_of).collect();
            table.claim(&service(n), &of_namespace);
        }
        Told::Disclaim(n) => {
            table.claim(&service(n), &[]);
        }
        Told::Evaluate(n, state) => {
            let state = [State::Adopted, State::Migrating, State::Observing][usize::from(state % 3)];
            let (of, name) = (service(n), service(n).1);
            let found = (0..8).map(key_of).filter(|key| table.claiming(key).contains(&name) && key.namespace == of.0);
            let found = found.map(|key| (key, evaluation(&name, None, state))).collect();
            table.evaluated(&of, service_bucket("t", state), found);
        }
        Told::NamespaceTeam(n) => {
            let team = format!("of-namespace-{n}");
            see_namespace(
                table,
                &format!("ns{}", n % 2),
                u64::from(n),
                Some(&team).filter(|_| n > 3).map(String::as_str),
            );
        }
    }
}

fn happens() -> impl Strategy<Value = Happens> {
    prop_oneof![
        3 => (0..8u8, 0..4u8).prop_map(|(workload, team)| Happens::Write { workload, team }),
        1 => (0..8u8).prop_map(|workload| Happens::Delete { workload }),
    ]
}

fn told() -> impl Strategy<Value = Told> {
    prop_oneof![
        8 => any::<prop::sample::Index>().prop_map(Told::Event),
        2 => any::<prop::sample::Index>().prop_map(Told::List),
        1 => (0..6u8).prop_map(Told::Claim),
        1 => (0..6u8).prop_map(Told::Disclaim),
        2 => (0..6u8, 0..3u8).prop_map(|(n, state)| Told::Evaluate(n, state)),
        1 => (0..8u8).prop_map(Told::NamespaceTeam),
    ]
}

/// The events of a history. A deletion is one only of what is there.
fn events_of(history: &[Happens]) -> Vec<Event> {
    let mut events: Vec<Event> = Vec::new();
    for (happens, version) in history.iter().zip(1..) {
        let event = match *happens {
            Happens::Write { workload, team } => Event { version, workload, team: Some(team) },
            Happens::Delete { workload } if truth(&events, version).contains_key(&workload) => {
                Event { version, workload, team: None }
            }
            Happens::Delete { .. } => continue,
        };
        events.push(event);
    }
    events
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn counts_are_exact_after_any_telling_of_any_history(
        history in prop::collection::vec(happens(), 0..40),
        telling in prop::collection::vec(told(), 0..80),
        at_last in any::<prop::sample::Index>(),
    ) {
        let events = events_of(&history);
        let (mut table, mut newest_list) = (Table::new("goldenpath-system"), 0);
        for told in telling {
            apply(&mut table, told, &events, &mut newest_list);
            prop_assert_eq!(table.counts().clone(), table.recounted());
        }
        // in the end everything was told: what a last list did not show came as an event
        if !events.is_empty() {
            let listed = at_last.get(&events).version.max(newest_list);
            list(&mut table, &events, listed);
            for event in events.iter().rev().filter(|event| event.version > listed) {
                tell(&mut table, event);
            }
        }
        let truth = truth(&events, u64::MAX);
        for workload in 0..8 {
            prop_assert_eq!(table.version(&key_of(workload)).is_some(), truth.contains_key(&workload), "workload {}", workload);
        }
        // teams of what nobody claims are those of the newest write
        for number in 0..6 {
            table.claim(&service(number), &[]);
        }
        let mut expected: BTreeMap<String, u64> = BTreeMap::new();
        for event in truth.values() {
            *expected.entry(format!("t{}", event.team.unwrap_or_default())).or_default() += 1;
        }
        let counts: &Counts = table.counts();
        let teams: BTreeMap<String, u64> =
            counts.workloads.iter().map(|(bucket, sum)| (bucket.team.to_string(), sum.workloads)).collect();
        prop_assert_eq!(teams, expected);
    }
}
