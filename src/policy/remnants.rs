//! Remnants as CEL: see `plan::remnant`.

use super::cel_text::{any, literal, optional, string};
use super::leaves::{Variable, each_place, managers, operation, value};
use super::lists::index_of;
use super::names::Names;
use crate::plan::leaf::{Leaf, Place};
use crate::plan::metadata::pointer;
use crate::plan::remnant::{Part, Union};

/// Every part of every literal of a place, with the number of its leaf.
fn parts<'a>(place: Place, names: &'a Names<'_>) -> impl Iterator<Item = (usize, &'a Part)> {
    names.in_place(place).flat_map(move |n| names.leaves[n].parts.iter().map(move |part| (n, part)))
}

/// Variables that say of each part whether it is a remnant.
pub fn variables(names: &Names<'_>) -> Vec<Variable> {
    let mut variables = each_place("remnants", "variables.tracked", &|place| {
        parts(place, names).map(|(n, part)| is_remnant(n, part, names)).collect()
    });
    let found = any(variables.iter().map(|v| {
        let inner = if v.name.ends_with("Pod") { "exists(x, x)" } else { "exists(c, c.exists(x, x))" };
        format!("variables.{}.{inner}", v.name)
    }));
    if !variables.is_empty() {
        variables.push(Variable { name: "anyRemnants".to_owned(), expression: found });
    }
    variables
}

fn is_remnant(n: usize, part: &Part, names: &Names<'_>) -> String {
    let leaf = &names.leaves[n].leaf;
    let here = optional(&value(leaf), part.path.iter().map(String::as_str));
    let (owners, at) = managers("owners", leaf);
    let fields: Vec<String> = part.path.iter().map(|name| format!("f:{name}")).collect();
    let below = |depth: usize| optional(&at, fields[..depth].iter().map(String::as_str));
    let whole = (0..fields.len()).map(|depth| format!("{} == optional.of(dyn({{}}))", below(depth)));
    let owned = any(whole.chain([format!("{}.hasValue()", below(fields.len()))]));
    let leaves = match Union::with(leaf, part) {
        Some((union, member)) => format!("{owners}.exists(o, {})", owns_rival(&at, union, member)),
        None => format!(
            "{owners}.exists(o, {}.hasValue()) && !{}.exists(o, {at}.hasValue()) && !variables.lastApplied.contains({})",
            below(fields.len() - 1),
            managers("editors", leaf).0,
            string(&part.token())
        ),
    };
    format!(
        "(!{} && {here} == optional.of(dyn({})) && !{owners}.exists(o, {owned}) && {leaves})",
        names.roads(n),
        literal(&part.value)
    )
}

fn owns_rival(at: &str, union: Union, member: &str) -> String {
    let rival = match union {
        Union::Of(members) => {
            let others: Vec<String> =
                members.iter().filter(|m| **m != member).map(|m| string(&format!("f:{m}"))).collect();
            format!("k in [{}]", others.join(", "))
        }
        Union::AllBut(other) => {
            format!("!(k in ['.', {}, {}])", string(&format!("f:{other}")), string(&format!("f:{member}")))
        }
    };
    format!("{at}.orValue(dyn({{}})).exists(k, {rival})")
}

/// The operations that take remnants out. No index has shifted yet.
pub fn changes(names: &Names<'_>) -> Vec<String> {
    let mut operations = Vec::new();
    for place in Place::ALL {
        let all: Vec<(&Leaf, &Part)> = parts(place, names).map(|(n, part)| (&names.leaves[n].leaf, part)).collect();
        let variable = |n: usize| {
            let container = if place == Place::Pod { "" } else { "[i]" };
            format!("variables.remnants{place:?}{container}[{n}]")
        };
        for (n, (leaf, part)) in all.iter().enumerate() {
            let above = all[..n].iter().enumerate().filter(|(_, (l, p))| l == leaf && part.path.starts_with(&p.path));
            let inside = any(above.map(|(m, _)| variable(m)));
            let condition = if inside == "false" { variable(n) } else { format!("{} && !({inside})", variable(n)) };
            let inner = pointer(part.path.iter().map(String::as_str));
            let suffix = match &leaf.entry {
                None => string(&inner),
                Some(_) => format!("'/' + string({}) + {}", index_of(leaf), string(&inner)),
            };
            operations.push(operation(place, &condition, "remove", &leaf.path, &suffix, None));
        }
    }
    operations
}
