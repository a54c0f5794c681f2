//! Strings, counted in characters: <https://kubernetes.io/docs/reference/using-api/cel/#cel-options-language-features-and-libraries>.

use regex::Regex;

use super::super::limits::Fault;
use super::super::signatures::Call;
use super::super::value::{Text, Value};
use super::arguments;

type Answer<'a> = Result<Value<'a>, Fault>;

fn index(position: usize) -> Value<'static> {
    Value::Int(i64::try_from(position).unwrap_or(i64::MAX))
}

/// Where the character number `index` starts, the end counting as one more character.
fn offset(text: &str, index: i64) -> Result<usize, Fault> {
    usize::try_from(index)
        .ok()
        .and_then(|index| text.char_indices().map(|(at, _)| at).chain([text.len()]).nth(index))
        .ok_or_else(|| Fault::new(format!("index {index} is outside of a string of {}", text.chars().count())))
}

/// A part of a text, without a copy where the whole is borrowed.
fn part<'a>(text: &Text<'a>, from: usize, to: usize) -> Value<'a> {
    match text {
        Text::Borrowed(s) => Value::Text(Text::Borrowed(s.get(from..to).unwrap_or_default())),
        Text::Made(s) => Value::text(s.get(from..to).unwrap_or_default()),
    }
}

pub(super) fn contains<'a>(call: &mut Call<'_, 'a>) -> Answer<'a> {
    arguments!(call, Value::Text(text), Value::Text(needle));
    call.meter.charge_text(text.len() + needle.len())?;
    Ok(Value::Bool(text.contains(&**needle)))
}

pub(super) fn starts_with<'a>(call: &mut Call<'_, 'a>) -> Answer<'a> {
    arguments!(call, Value::Text(text), Value::Text(needle));
    call.meter.charge_text(needle.len())?;
    Ok(Value::Bool(text.starts_with(&**needle)))
}

pub(super) fn ends_with<'a>(call: &mut Call<'_, 'a>) -> Answer<'a> {
    arguments!(call, Value::Text(text), Value::Text(needle));
    call.meter.charge_text(needle.len())?;
    Ok(Value::Bool(text.ends_with(&**needle)))
}

pub(super) fn char_at<'a>(call: &mut Call<'_, 'a>) -> Answer<'a> {
    arguments!(call, Value::Text(text), Value::Int(index));
    call.meter.charge_text(text.len())?;
    let from = offset(text, *index)?;
    let width = text.get(from..).and_then(|rest| rest.chars().next()).map_or(0, char::len_utf8);
    Ok(part(text, from, from + width))
}

fn found<'a>(text: &str, at: Option<usize>) -> Value<'a> {
    match at.and_then(|at| text.get(..at)) {
        Some(before) => index(before.chars().count()),
        None => Value::Int(-1),
    }
}

pub(super) fn index_of<'a>(call: &mut Call<'_, 'a>) -> Answer<'a> {
    arguments!(call, Value::Text(text), Value::Text(needle));
    call.meter.charge_text(text.len() + needle.len())?;
    Ok(found(text, text.find(&**needle)))
}

pub(super) fn last_index_of<'a>(call: &mut Call<'_, 'a>) -> Answer<'a> {
    arguments!(call, Value::Text(text), Value::Text(needle));
    call.meter.charge_text(text.len() + needle.len())?;
    Ok(found(text, text.rfind(&**needle)))
}

pub(super) fn lower<'a>(call: &mut Call<'_, 'a>) -> Answer<'a> {
    arguments!(call, Value::Text(text));
    call.meter.charge_text(text.len())?;
    Ok(Value::text(text.to_ascii_lowercase()))
}

pub(super) fn upper<'a>(call: &mut Call<'_, 'a>) -> Answer<'a> {
    arguments!(call, Value::Text(text));
    call.meter.charge_text(text.len())?;
    Ok(Value::text(text.to_ascii_uppercase()))
}

pub(super) fn trim<'a>(call: &mut Call<'_, 'a>) -> Answer<'a> {
    arguments!(call, Value::Text(text));
    call.meter.charge_text(text.len())?;
    let from = text.len() - text.trim_start().len();
    Ok(part(text, from, from + text.trim().len()))
}

/// `None` for "all", which a negative number asks for.
fn limit(arg: Option<&Value<'_>>) -> Option<usize> {
    match arg {
        Some(Value::Int(n)) => usize::try_from(*n).ok(),
        _ => None,
    }
}

/// The length of the result is known, and paid for, before it is written.
pub(super) fn replace<'a>(call: &mut Call<'_, 'a>) -> Answer<'a> {
    let (Value::Text(text), Value::Text(old), Value::Text(new), limit) = (match call.args {
        [text, old, new] => (text, old, new, None),
        [text, old, new, n] => (text, old, new, limit(Some(n))),
        _ => return Err(Fault::new("no such overload")),
    }) else {
        return Err(Fault::new("no such overload"));
    };
    call.meter.charge_text(text.len() + old.len())?;
    let times = text.matches(&**old).count().min(limit.unwrap_or(usize::MAX));
    call.meter.charge_text(text.len().saturating_add(times.saturating_mul(new.len())))?;
    Ok(Value::text(text.replacen(&**old, new, times)))
}

/// An empty separator splits into characters.
pub(super) fn split<'a>(call: &mut Call<'_, 'a>) -> Answer<'a> {
    let (Some(Value::Text(text)), Some(Value::Text(by))) = (call.args.first(), call.args.get(1)) else {
        return Err(Fault::new("no such overload"));
    };
    let most = limit(call.args.get(2)).unwrap_or(usize::MAX);
    call.meter.charge_text(text.len())?;
    let pieces = if by.is_empty() { text.chars().count() } else { text.matches(&**by).count() + 1 };
    call.meter.charge(pieces.min(most))?;
    let mut parts = Vec::with_capacity(pieces.min(most));
    let mut from = 0;
    while parts.len() + 1 < pieces.min(most) {
        let rest = text.get(from..).unwrap_or_default();
        let to =
            if by.is_empty() { rest.chars().next().map_or(0, char::len_utf8) } else { rest.find(&**by).unwrap_or(0) };
        parts.push(part(text, from, from + to));
        from += to + by.len();
    }
    if pieces.min(most) > 0 {
        parts.push(part(text, from, text.len()));
    }
    Ok(Value::list(parts))
}

pub(super) fn substring<'a>(call: &mut Call<'_, 'a>) -> Answer<'a> {
    let (text, from, to) = match call.args {
        [Value::Text(text), Value::Int(from)] => (text, *from, None),
        [Value::Text(text), Value::Int(from), Value::Int(to)] => (text, *from, Some(*to)),
        _ => return Err(Fault::new("no such overload")),
    };
    call.meter.charge_text(text.len())?;
    let start = offset(text, from)?;
    let end = to.map_or(Ok(text.len()), |to| offset(text, to))?;
    if end < start {
        return Err(Fault::new(format!("a substring cannot start at {from} and end before it")));
    }
    Ok(part(text, start, end))
}

pub(super) fn join<'a>(call: &mut Call<'_, 'a>) -> Answer<'a> {
    let (list, by) = match call.args {
        [Value::List(list)] => (list, ""),
        [Value::List(list), Value::Text(by)] => (list, &**by),
        _ => return Err(Fault::new("no such overload")),
    };
    let mut joined = String::new();
    for (i, item) in list.in_order()?.iter().enumerate() {
        let Value::Text(item) = item else {
            return Err(Fault::new(format!("join needs a list of strings and found a {}", item.type_name())));
        };
        call.meter.charge_text(by.len() + item.len() + 1)?;
        if i > 0 {
            joined.push_str(by);
        }
        joined.push_str(&item);
    }
    Ok(Value::text(joined))
}

/// Patterns are literals, compiled with the check: see `lower`.
fn searched<'c, 'a>(call: &mut Call<'c, 'a>) -> Result<(&'c Text<'a>, &'c Regex), Fault> {
    match (call.args.first(), call.pattern) {
        (Some(Value::Text(text)), Some(pattern)) => Ok((text, pattern.search(text, call.meter)?)),
        _ => Err(Fault::new("no such overload")),
    }
}

pub(super) fn matches<'a>(call: &mut Call<'_, 'a>) -> Answer<'a> {
    let (text, regex) = searched(call)?;
    Ok(Value::Bool(regex.is_match(text)))
}

pub(super) fn find<'a>(call: &mut Call<'_, 'a>) -> Answer<'a> {
    let (text, regex) = searched(call)?;
    let found = regex.find(text).map(|m| m.range()).unwrap_or_default();
    Ok(part(text, found.start, found.end))
}

pub(super) fn find_all<'a>(call: &mut Call<'_, 'a>) -> Answer<'a> {
    let (text, regex) = searched(call)?;
    let most = limit(call.args.get(2)).unwrap_or(usize::MAX);
    let mut parts = Vec::new();
    for found in regex.find_iter(text).take(most) {
        call.meter.charge(1)?;
        parts.push(part(text, found.start(), found.end()));
    }
    Ok(Value::list(parts))
}
