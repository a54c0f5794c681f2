//! The leaves of a road as CEL: one variable a decision, one operation a change.

use super::cel_text::{any, literal, optional, string};
use super::guard_text::{entry_matches, parenthesised, print};
use super::lists;
use super::names::Names;
use crate::plan::guard::{Condition, Sight, held, refused, yields};
use crate::plan::leaf::{Leaf, Place, Road, Wish, Wishes};
use crate::plan::metadata::pointer;

/// A variable of the policy.
pub struct Variable {
    pub name: String,
    pub expression: String,
}

/// Variables that decide about every leaf of the road: a list of booleans a place, and for containers one by index.
///
/// Few variables and long lists, because the API server pays for each variable: one each a leaf took twice the time.
pub fn variables(road: &Road, names: &Names<'_>) -> Vec<Variable> {
    let each = |prefix: &str, only_if: &str, decide: &dyn Fn(usize) -> String| {
        each_place(prefix, only_if, &|place| names.in_place(place).map(decide).collect())
    };
    let mut variables = Vec::new();
    if names.forbid() {
        variables = each("enforced", "variables.enforcing && !variables.skipped", &|n| is_enforced(n, names));
        variables.extend(each("roads", "variables.earlier || variables.enforcing", &|n| {
            format!("({} || variables.earlier && {})", names.enforced(n), is_roads(n, names))
        }));
    } else {
        variables.extend(each("roads", "variables.earlier", &|n| is_roads(n, names)));
    }
    variables.extend(each("wanted", "!variables.skipped", &|n| is_wanted(n, road, names)));
    variables.extend(each("coming", "!variables.skipped", &|n| is_coming(n, names)));
    let gates = [
        ("anyComing", any_leaf(names, |place, i| format!("variables.coming{place:?}{i}[n]"))),
        ("anyChanges", any_leaf(names, changes_value)),
    ];
    variables.extend(gates.map(|(name, expression)| Variable { name: name.to_owned(), expression }));
    variables.extend(lists::variables(names));
    variables
}

/// A variable a place: its decisions, and for containers one list of them each. All are `false` unless `only_if`.
pub fn each_place(prefix: &str, only_if: &str, decide: &dyn Fn(Place) -> Vec<String>) -> Vec<Variable> {
    let of_place = |place: Place| {
        let decisions = decide(place);
        let none = vec!["false"; decisions.len()].join(", ");
        let list = format!("{only_if} ? [{}] : [{none}]", decisions.join(", "));
        let expression = match place.list() {
            _ if decisions.is_empty() => return None,
            None => list,
            Some(containers) => format!("variables.{containers}.transformList(i, c, {list})"),
        };
        Some(Variable { name: format!("{prefix}{place:?}"), expression })
    };
    Place::ALL.into_iter().filter_map(of_place).collect()
}

/// Whether something holds of some leaf of the road: `n` of its place, of the container with an index.
fn any_leaf(names: &Names<'_>, holds: impl Fn(Place, &str) -> String) -> String {
    let places = Place::ALL.into_iter().filter(|place| names.in_place(*place).next().is_some());
    any(places.map(|place| match place {
        Place::Pod => format!("variables.roadsPod.exists(n, x, {})", holds(place, "")),
        _ => format!("variables.roads{place:?}.exists(i, c, c.exists(n, x, {}))", holds(place, "[i]")),
    }))
}

/// A value of the road (`x`) leaves or is replaced. In most requests none is, and this is all that is looked at.
fn changes_value(place: Place, i: &str) -> String {
    format!("x && (!variables.wanted{place:?}{i}[n] || variables.coming{place:?}{i}[n])")
}

pub fn root(place: Place) -> &'static str {
    if place == Place::Pod { "variables.spec" } else { "c" }
}

/// The leaf's value as an optional.
pub fn value(leaf: &Leaf) -> String {
    let at = optional(root(leaf.place), leaf.path.iter().map(String::as_str));
    match &leaf.entry {
        None => at,
        // a list without the key is a list whose first match does not exist
        Some(key) => format!("{at}.orValue([]).filter(e, {})[?0]", entry_matches("e", key)),
    }
}

/// The managers (`owners` or `editors`) of the leaf's pod or container, and what manager `o` of them owns at the leaf.
pub fn managers(whose: &str, leaf: &Leaf) -> (String, String) {
    let fields: Vec<String> = leaf.path.iter().map(|name| format!("f:{name}")).collect();
    let element = leaf.entry.as_ref().map(super::super::plan::leaf::EntryKey::field_element);
    let path = fields.iter().map(String::as_str).chain(element.as_deref());
    let container = if leaf.place == Place::Pod { "" } else { "[i]" };
    (format!("variables.{whose}{:?}{container}", leaf.place), optional("o", path))
}

/// Whether some manager owns the field.
fn is_owned(leaf: &Leaf) -> String {
    let (owners, at) = managers("owners", leaf);
    format!("{owners}.exists(o, {at}.hasValue())")
}

/// A literal of the road that no manager owns. Written out at every use and no variable: few requests ask for it.
pub fn is_ownerless(n: usize, names: &Names<'_>) -> String {
    let line = &names.leaves[n];
    let value = value(&line.leaf);
    let literals = any(line.formerly.iter().map(|l| format!("{value} == optional.of(dyn({}))", literal(l))));
    format!("(variables.tracked && {literals} && !{})", is_owned(&line.leaf))
}

fn is_roads(n: usize, names: &Names<'_>) -> String {
    let line = &names.leaves[n];
    let value = value(&line.leaf);
    let token = string(&line.leaf.token());
    let applied = match line.leaf.quantities() {
        Some("requests") => "appliedRequests",
        Some(_) => "appliedLimits",
        None => "lastApplied",
    };
    let literals = any(line.formerly.iter().map(|l| {
        let refused = print(&refused(&line.leaf, l), Sight::BEFORE, line.leaf.place, names);
        let clear = any([format!("!variables.{applied}.contains({token})"), refused]);
        format!("({value} == optional.of(dyn({})) && {clear})", literal(l))
    }));
    format!("{literals} && !{}", is_owned(&line.leaf))
}

/// Another value stands where a default forbids it, and the API server would take the road's.
fn is_enforced(n: usize, names: &Names<'_>) -> String {
    let line = &names.leaves[n];
    let (leaf, value) = (&line.leaf, value(&line.leaf));
    by_name(&line.wishes, "false", |wish| {
        if !wish.forbidden {
            return "false".to_owned();
        }
        let stays = any([
            print(&Condition::Skips(wish.default.clone()), Sight::PLAIN, leaf.place, names),
            print(&refused(leaf, &wish.value), Sight::PLAIN, leaf.place, names),
        ]);
        format!("({value}.hasValue() && {value} != optional.of(dyn({})) && !{stays})", literal(&wish.value))
    })
}

/// In this order, since most requests find the road's values where they were.
fn is_wanted(n: usize, road: &Road, names: &Names<'_>) -> String {
    let line = &names.leaves[n];
    if line.wishes.iter().next().is_none() {
        return "false".to_owned();
    }
    let (leaf, place) = (&line.leaf, line.leaf.place);
    let yields = |wish: &Wish, sight| print(&yields(leaf, wish, road), sight, place, names);
    let stays = |wish: &Wish| {
        let refused = print(&refused(leaf, &wish.value), Sight::MAYBE, place, names);
        let replaced = match line.formerly.as_slice() {
            [_] => "false".to_owned(),
            _ if refused == "false" => refused,
            _ => format!("({} != optional.of(dyn({})) && {refused})", value(leaf), literal(&wish.value)),
        };
        any([yields(wish, Sight::SURELY), replaced])
    };
    let open = format!("!{}.hasValue() && !{}", value(leaf), is_owned(leaf));
    let coming = by_name(&line.wishes, "true", |wish| yields(wish, Sight::MAYBE));
    if line.wishes.iter().all(|wish| yields(wish, Sight::MAYBE) == yields(wish, Sight::SURELY)) {
        // nothing in it can be the road's, so there is nothing to be unsure about
        return or_enforced(n, names, format!("({} || {open}) && !{}", names.roads(n), parenthesised(&coming)));
    }
    let staying = by_name(&line.wishes, "true", stays);
    or_enforced(
        n,
        names,
        format!("({} ? !{} : {open} && !{})", names.roads(n), parenthesised(&staying), parenthesised(&coming)),
    )
}

/// What is enforced is decided already.
fn or_enforced(n: usize, names: &Names<'_>, otherwise: String) -> String {
    if names.leaves[n].wishes.iter().any(|wish| wish.forbidden) {
        format!("({} || {otherwise})", names.enforced(n))
    } else {
        otherwise
    }
}

/// What is to be said of the wish for container `c`, by name first: a container that is named does not get what every
/// container gets.
fn by_name(wishes: &Wishes, none: &str, say: impl Fn(&Wish) -> String) -> String {
    let fallback = wishes.any.as_ref().map_or(none.to_owned(), &say);
    wishes
        .named
        .iter()
        .rev()
        .fold(fallback, |rest, (name, wish)| format!("(c.name == {} ? {} : {rest})", string(name), say(wish)))
}

pub fn wish(wishes: &Wishes) -> String {
    by_name(wishes, "dyn(null)", |wish| format!("dyn({})", literal(&wish.value)))
}

fn has_wish(n: usize, names: &Names<'_>) -> bool {
    names.leaves[n].wishes.iter().next().is_some()
}

/// The road's value leaves.
pub fn leaves(n: usize, names: &Names<'_>) -> String {
    let leaf = &names.leaves[n].leaf;
    let hold = match held(leaf) {
        Condition::Any(none) if none.is_empty() => String::new(),
        condition => format!(" && !{}", parenthesised(&print(&condition, Sight::MAYBE, leaf.place, names))),
    };
    let wanted = if has_wish(n, names) { format!(" && !{}", names.wanted(n)) } else { String::new() };
    format!("({}{wanted}{hold})", names.roads(n))
}

/// The road's value comes where nothing stands, or replaces its own.
fn is_coming(n: usize, names: &Names<'_>) -> String {
    if !has_wish(n, names) {
        return "false".to_owned();
    }
    let line = &names.leaves[n];
    let (wanted, roads) = (names.wanted(n), names.roads(n));
    if line.formerly.len() == 1 {
        // there was never another literal: what stands there already is this one
        return or_enforced(n, names, format!("{wanted} && !{roads}"));
    }
    or_enforced(
        n,
        names,
        format!("{wanted} && (!{roads} || {} != optional.of({}))", value(&line.leaf), wish(&line.wishes)),
    )
}

/// The decision about leaf `n`, `false` where the road wants nothing.
pub fn comes(n: usize, names: &Names<'_>) -> String {
    if has_wish(n, names) { names.coming(n) } else { "false".to_owned() }
}

/// Nothing but leaving values is in the parent, nobody owns it, and nothing comes into it.
pub fn is_leaving(n: usize, names: &Names<'_>) -> String {
    let parent = &names.parents[n];
    let below = names.leaves_below(n);
    let coming = any(below.iter().map(|l| comes(*l, names)));
    let going = any(below.iter().map(|l| leaves(*l, names)));
    let value = optional(root(parent.place), parent.path.iter().map(String::as_str));
    let children = if parent.list {
        let terms = parent.leaves.iter().filter_map(|l| {
            let key = names.leaves[*l].leaf.entry.as_ref()?;
            Some(format!("({} && {})", entry_matches("e", key), leaves(*l, names)))
        });
        format!("{value}.orValue([]).all(e, {})", any(terms))
    } else {
        let own = parent.leaves.iter().filter_map(|l| {
            Some(format!("(k == {} && {})", string(names.leaves[*l].leaf.path.last()?), leaves(*l, names)))
        });
        let inner = parent.parents.iter().filter_map(|p| {
            let name = names.parents[*p].path.last()?;
            Some(format!("(k == {} && {})", string(name), is_leaving(*p, names)))
        });
        format!("{value}.orValue({{}}).all(k, {})", any(own.chain(inner)))
    };
    let owned = is_owned(&Leaf { place: parent.place, path: parent.path.to_vec(), entry: None });
    format!("{going} && !{} && {children} && !{owned}", parenthesised(&coming))
}

fn unless_leaving(parent: Option<usize>, names: &Names<'_>) -> String {
    parent.map(|p| format!(" && !{}", parenthesised(&is_leaving(p, names)))).unwrap_or_default()
}

/// The operations on values of the road, each a CEL list of JSONPatch, in the order in which they must be applied: what
/// leaves, from above, then entries of lists.
pub fn changes(names: &Names<'_>) -> Vec<String> {
    let mut operations = Vec::new();
    for (n, parent) in names.parents.iter().enumerate() {
        let condition = format!("{}{}", is_leaving(n, names), unless_leaving(parent.above, names));
        operations.push(operation(parent.place, &condition, "remove", parent.path, "", None));
    }
    for (n, line) in names.leaves.iter().enumerate().filter(|(_, l)| l.leaf.entry.is_none()) {
        let condition = format!("{}{}", leaves(n, names), unless_leaving(names.parent_of(n), names));
        operations.push(operation(line.leaf.place, &condition, "remove", &line.leaf.path, "", None));
    }
    operations.extend(lists::changes(names));
    operations
}

/// The operations that bring values: parents first.
pub fn additions(names: &Names<'_>) -> Vec<String> {
    let mut operations = Vec::new();
    for (n, parent) in names.parents.iter().enumerate() {
        let below = names.leaves_below(n);
        let coming = any(below.iter().map(|l| comes(*l, names)));
        if coming == "false" {
            continue;
        }
        let value = optional(root(parent.place), parent.path.iter().map(String::as_str));
        let empty = if parent.list { "dyn([])" } else { "dyn({})" };
        let condition = format!("!{value}.hasValue() && {coming}");
        operations.push(operation(parent.place, &condition, "add", parent.path, "", Some(empty)));
    }
    for (n, line) in names.leaves.iter().enumerate().filter(|(n, _)| has_wish(*n, names)) {
        let (suffix, condition) = match line.leaf.entry {
            None => ("", comes(n, names)),
            Some(_) => ("'/-'", format!("{} && !{}.hasValue()", comes(n, names), value(&line.leaf))),
        };
        operations.push(operation(
            line.leaf.place,
            &condition,
            "add",
            &line.leaf.path,
            suffix,
            Some(&wish(&line.wishes)),
        ));
    }
    operations
}

/// One operation on a path, which goes on with `suffix`, an expression.
pub fn operation(
    place: Place,
    condition: &str,
    op: &str,
    path: &[String],
    suffix: &str,
    value: Option<&str>,
) -> String {
    let path = string(&pointer(path.iter().map(String::as_str)));
    let path = if suffix.is_empty() { path } else { format!("{path} + {suffix}") };
    let value = value.map(|v| format!(", value: {v}")).unwrap_or_default();
    match place.list() {
        None => format!("({condition} ? [JSONPatch{{op: '{op}', path: variables.base + {path}{value}}}] : [])"),
        Some(list) => format!(
            "variables.{list}.transformList(i, c, {condition}, JSONPatch{{op: '{op}', path: variables.base + '/{list}/' + string(i) + {path}{value}}})"
        ),
    }
}
