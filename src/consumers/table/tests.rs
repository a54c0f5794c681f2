use super::*;

fn ingresses() -> Served {
    let (group, version, plural) = ("networking.k8s.io".to_owned(), "v1".to_owned(), "ingresses".to_owned());
    Served { group, version, plural, kind: "Ingress".into(), watchable: true, preferred: true }
}

fn started() -> Table {
    let mut table = Table::default();
    table.start(&ingresses(), 1);
    table.begin(&ingresses(), 1);
    table
}

fn seen(name: &str, sights: Vec<(EntryId, Sight)>) -> Seen<'_> {
    Seen { namespace: "shop", name, sights, ..Seen::default() }
}

fn matched() -> Sight {
    Sight::Matched { manager: None }
}

fn names(table: &Table) -> Vec<String> {
    let rows = &table.of(&ingresses()).unwrap().namespaces;
    let mut names: Vec<String> = rows.values().flat_map(HashMap::keys).map(ToString::to_string).collect();
    names.sort();
    names
}

#[test]
fn only_what_matters_is_remembered() {
    let mut table = started();
    assert!(table.see(&ingresses(), 1, seen("a", vec![(7, matched()), (8, Sight::NotMatched)])));
    assert!(!table.see(&ingresses(), 1, seen("b", vec![(7, Sight::NotMatched)])));
    assert_eq!((names(&table), table.len()), (vec!["a".to_owned()], 1));
    let hit = &table.of(&ingresses()).unwrap().namespaces["shop"]["a"].hits;
    assert_eq!(**hit, [Hit { entry: 7, unevaluable: false, manager: None, remedy: Remedy::None }]);
    assert!(!table.see(&ingresses(), 1, seen("a", vec![(7, matched())])), "the same is no news");
    assert!(table.see(&ingresses(), 1, seen("a", vec![(7, Sight::NotMatched)])), "it has migrated");
    assert!(table.is_empty() && table.of(&ingresses()).unwrap().namespaces.is_empty());
}

#[test]
fn what_a_list_does_not_show_is_gone() {
    let mut table = started();
    for name in ["a", "b"] {
        table.see(&ingresses(), 1, seen(name, vec![(7, matched())]));
    }
    assert!(!table.of(&ingresses()).unwrap().has_listed(7), "the list is not complete");
    table.complete(&ingresses(), 1, [7]);
    assert!(table.of(&ingresses()).unwrap().has_listed(7));
    table.begin(&ingresses(), 1);
    table.see(&ingresses(), 1, seen("b", vec![(7, matched())]));
    assert_eq!(names(&table), ["a", "b"], "half a list takes nothing away");
    table.complete(&ingresses(), 1, [7]);
    assert_eq!(names(&table), ["b"]);
}

#[test]
fn lines_of_an_earlier_watch_count_no_more() {
    let mut table = started();
    table.see(&ingresses(), 1, seen("a", vec![(7, matched())]));
    table.complete(&ingresses(), 1, [7]);
    table.start(&ingresses(), 2);
    assert!(!table.see(&ingresses(), 1, seen("late", vec![(7, matched())])));
    assert!(!table.remove(&ingresses(), 1, "shop", "a"));
    table.complete(&ingresses(), 1, []);
    assert!(
        table.of(&ingresses()).unwrap().has_listed(7),
        "an entry that stays is in sight while the list is made anew"
    );
    assert_eq!(names(&table), ["a"]);
}

#[test]
fn one_error_is_kept_in_its_words() {
    let mut table = started();
    for name in ["a", "b"] {
        table.see(&ingresses(), 1, seen(name, vec![(7, Sight::Unevaluable(format!("no such key in {name}")))]));
    }
    let error = ("ingress/shop/a".to_owned(), "no such key in a".to_owned());
    assert_eq!((table.error(7), table.len()), (Some(&error), 2));
    table.keep_errors(&BTreeSet::new());
    assert_eq!(table.error(7), None);
}

#[test]
fn a_watch_that_fails_says_why_until_it_is_heard() {
    let mut table = started();
    let blind = Blind { forbidden: true, message: "no".into() };
    assert!(table.heard(&ingresses(), 1, Some(blind.clone())));
    assert!(!table.heard(&ingresses(), 1, Some(blind)));
    assert!(table.of(&ingresses()).unwrap().blind.is_some());
    assert!(table.heard(&ingresses(), 1, None));
}

#[test]
fn an_object_costs_less_than_400_bytes() {
    // the row with its hits for two match-sets, a name of 40 bytes, and what the map adds (a seventh is left free)
    let of_row = (size_of::<Row>() + size_of::<Box<str>>() + 1) * 8 / 7 + 40 + 2 * size_of::<Hit>();
    assert!(of_row < 400, "{of_row}");
}
