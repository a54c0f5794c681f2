//! The functions and operators a check may use: their signatures, and how a call finds one.
//!
//! Signatures are written as text, next to their implementation, in the notation of the Kubernetes documentation
//! (<https://kubernetes.io/docs/reference/using-api/cel/#kubernetes-cel-libraries>): what is declared is what runs,
//! and everything else is refused when a check is compiled.

use std::sync::LazyLock;

use super::functions;
use super::limits::{Fault, Meter};
use super::pattern::Pattern;
use super::types::{Bindings, Type};
use super::value::Value;

/// What an implementation is given besides its arguments.
pub(super) struct Call<'c, 'a> {
    /// The arguments, the receiver of a method first.
    pub(super) args: &'c [Value<'a>],
    /// The compiled pattern of `matches`, `find` and `findAll`.
    pub(super) pattern: Option<&'c Pattern>,
    pub(super) meter: &'c mut Meter,
}

/// An implementation.
pub(super) type Run = for<'c, 'a> fn(&mut Call<'c, 'a>) -> Result<Value<'a>, Fault>;

/// One signature of a function.
pub(super) struct Overload {
    pub(super) name: &'static str,
    pub(super) method: bool,
    params: Vec<Type>,
    result: Type,
    pub(super) run: Run,
}

impl Overload {
    /// Whether values fit at run time.
    pub(super) fn fits(&self, args: &[Value<'_>]) -> bool {
        self.params.len() == args.len() && self.params.iter().zip(args).all(|(param, arg)| arg.is(param))
    }
}

static OVERLOADS: LazyLock<Vec<Overload>> =
    LazyLock::new(|| functions::TABLE.iter().filter_map(|(text, run)| parse(text, *run)).collect());

/// All functions that have this name and call style.
pub(super) fn named(name: &str, method: bool) -> impl Iterator<Item = &'static Overload> {
    OVERLOADS.iter().filter(move |o| o.name == name && o.method == method)
}

/// The signatures that may fit these argument types, and the type of the result.
///
/// As in cel-go the result is `dyn` when several fit and their results differ.
pub(super) fn resolve(name: &str, method: bool, args: &[Type]) -> Option<(Vec<&'static Overload>, Type)> {
    let mut found = Vec::new();
    let mut result: Option<Type> = None;
    for overload in named(name, method).filter(|o| o.params.len() == args.len()) {
        let mut bound = Bindings::default();
        if overload.params.iter().zip(args).all(|(param, arg)| param.accepts(arg, &mut bound)) {
            let this = overload.result.bind(&bound);
            result = Some(match result {
                Some(other) if other != this => Type::Dyn,
                _ => this,
            });
            found.push(overload);
        }
    }
    // `[].sum()`, `a[?b].value() + 1`: cel-go decides by the order of its overloads; nobody should rely on that
    let ambiguous = found.len() > 1 && args.iter().any(Type::is_open);
    result.filter(|_| !ambiguous).map(|result| (found, result))
}

/// Up to three known names that look like `name`, for an error text.
pub(super) fn similar(name: &str) -> Vec<&'static str> {
    let mut close: Vec<(usize, &'static str)> = OVERLOADS
        .iter()
        .map(|o| o.name)
        .chain(["has", "all", "exists", "exists_one", "map", "filter", "optMap", "orValue"])
        .filter(|known| known.starts_with(|c: char| c.is_ascii_alphabetic()))
        .map(|known| (distance(&name.to_lowercase(), &known.to_lowercase()), known))
        .filter(|(distance, known)| *distance <= known.len().min(name.len()) / 3)
        .collect();
    close.sort_unstable();
    close.dedup();
    close.into_iter().map(|(_, known)| known).take(3).collect()
}

/// Levenshtein's distance.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, c) in a.chars().enumerate() {
        let mut last = i;
        let mut left = i + 1;
        for (j, d) in b.iter().enumerate() {
            let above = row.get(j + 1).copied().unwrap_or(usize::MAX);
            let cost = (last + usize::from(c != *d)).min(left + 1).min(above + 1);
            last = above;
            if let Some(cell) = row.get_mut(j) {
                *cell = left;
            }
            left = cost;
        }
        if let Some(cell) = row.last_mut() {
            *cell = left;
        }
    }
    row.last().copied().unwrap_or(usize::MAX)
}

/// Reads `list(T).indexOf(T) -> int`, `size(string) -> int` or `optional.none() -> optional(T)`.
fn parse(text: &'static str, run: Run) -> Option<Overload> {
    let (head, result) = text.split_once(" -> ")?;
    let result = whole(result)?;
    let mut params = Vec::new();
    let mut head = head;
    let method = match type_of(head) {
        Some((receiver, rest)) if rest.starts_with('.') => {
            params.push(receiver);
            head = rest.get(1..)?;
            true
        }
        _ => false,
    };
    let (name, args) = head.strip_suffix(')')?.split_once('(')?;
    let mut args = args;
    while !args.is_empty() {
        let (param, rest) = type_of(args)?;
        params.push(param);
        args = rest.strip_prefix(", ").unwrap_or(rest);
    }
    Some(Overload { name, method, params, result, run })
}

fn whole(text: &str) -> Option<Type> {
    type_of(text).filter(|(_, rest)| rest.is_empty()).map(|(t, _)| t)
}

/// The type at the start of a text, and the rest.
fn type_of(text: &str) -> Option<(Type, &str)> {
    let end = text.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(text.len());
    let (name, rest) = text.split_at(end);
    let simple = match name {
        "bool" => Type::Bool,
        "int" => Type::Int,
        "uint" => Type::Uint,
        "double" => Type::Double,
        "string" => Type::String,
        "quantity" => Type::Quantity,
        "type" => Type::Meta,
        "dyn" => Type::Dyn,
        "T" => Type::Param(0),
        "U" => Type::Param(1),
        "list" | "optional" | "map" => {
            let (first, rest) = type_of(rest.strip_prefix('(')?)?;
            return match name {
                "list" => Some((Type::List(Box::new(first)), rest.strip_prefix(')')?)),
                "optional" => Some((Type::Optional(Box::new(first)), rest.strip_prefix(')')?)),
                _ => {
                    let (second, rest) = type_of(rest.strip_prefix(", ")?)?;
                    Some((Type::Map(Box::new(first), Box::new(second)), rest.strip_prefix(')')?))
                }
            };
        }
        _ => return None,
    };
    Some((simple, rest))
}

#[cfg(test)]
mod tests {
    use super::{OVERLOADS, functions, resolve, similar};
    use crate::cel::types::Type;

    #[test]
    fn every_signature_can_be_read() {
        let read: Vec<_> = OVERLOADS.iter().map(|o| o.name).collect();
        assert_eq!(read.len(), functions::TABLE.len(), "{read:?}");
    }

    #[test]
    fn the_result_is_unknown_when_several_signatures_fit() {
        let result = |name: &str, args: &[Type]| resolve(name, false, args).map(|(_, result)| result);
        assert_eq!(result("_+_", &[Type::Int, Type::Int]), Some(Type::Int));
        assert_eq!(result("_+_", &[Type::Dyn, Type::Dyn]), Some(Type::Dyn));
        assert_eq!(result("_+_", &[Type::Dyn, Type::Int]), Some(Type::Int));
        assert_eq!(result("_+_", &[Type::String, Type::Int]), None);
        assert_eq!(result("size", &[Type::Dyn]), Some(Type::Int));
    }

    #[test]
    fn a_misspelt_name_finds_the_right_one() {
        assert_eq!(similar("startswith"), ["startsWith"]);
        assert_eq!(similar("isgreater"), Vec::<&str>::new());
        assert_eq!(similar("isGreaterThen"), ["isGreaterThan"]);
        assert_eq!(similar("existsOne"), ["exists_one"]);
    }
}
