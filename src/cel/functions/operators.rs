//! Operators, and `size`.

use std::cmp::Ordering;

use super::super::limits::Fault;
use super::super::signatures::Call;
use super::super::value::{List, Value};
use super::arguments;

type Answer<'a> = Result<Value<'a>, Fault>;

fn overflow() -> Fault {
    Fault::new("the result does not fit into an int")
}

fn arithmetic<'a>(call: &Call<'_, 'a>, ints: fn(i64, i64) -> Option<i64>, doubles: fn(f64, f64) -> f64) -> Answer<'a> {
    match call.args {
        [Value::Int(a), Value::Int(b)] => ints(*a, *b).map(Value::Int).ok_or_else(overflow),
        [Value::Double(a), Value::Double(b)] => Ok(Value::Double(doubles(*a, *b))),
        _ => Err(Fault::new("no such overload")),
    }
}

pub(super) fn add<'a>(call: &mut Call<'_, 'a>) -> Answer<'a> {
    arithmetic(call, i64::checked_add, |a, b| a + b)
}

pub(super) fn subtract<'a>(call: &mut Call<'_, 'a>) -> Answer<'a> {
    arithmetic(call, i64::checked_sub, |a, b| a - b)
}

pub(super) fn multiply<'a>(call: &mut Call<'_, 'a>) -> Answer<'a> {
    arithmetic(call, i64::checked_mul, |a, b| a * b)
}

pub(super) fn divide<'a>(call: &mut Call<'_, 'a>) -> Answer<'a> {
    if matches!(call.args, [_, Value::Int(0)]) {
        return Err(Fault::new("division by zero"));
    }
    arithmetic(call, i64::checked_div, |a, b| a / b)
}

pub(super) fn remainder<'a>(call: &mut Call<'_, 'a>) -> Answer<'a> {
    if matches!(call.args, [_, Value::Int(0)]) {
        return Err(Fault::new("modulus by zero"));
    }
    arithmetic(call, i64::checked_rem, |a, b| a % b)
}

pub(super) fn negate<'a>(call: &mut Call<'_, 'a>) -> Answer<'a> {
    match call.args {
        [Value::Int(a)] => a.checked_neg().map(Value::Int).ok_or_else(overflow),
        [Value::Double(a)] => Ok(Value::Double(-a)),
        _ => Err(Fault::new("no such overload")),
    }
}

pub(super) fn not<'a>(call: &mut Call<'_, 'a>) -> Answer<'a> {
    arguments!(call, Value::Bool(a));
    Ok(Value::Bool(!a))
}

pub(super) fn concat<'a>(call: &mut Call<'_, 'a>) -> Answer<'a> {
    arguments!(call, Value::Text(a), Value::Text(b));
    call.meter.charge_text(a.len() + b.len())?;
    Ok(Value::text([&**a, &**b].concat()))
}

pub(super) fn append<'a>(call: &mut Call<'_, 'a>) -> Answer<'a> {
    arguments!(call, Value::List(a), Value::List(b));
    call.meter.charge(a.len() + b.len())?;
    let items: Vec<_> = a.iter().chain(b.iter()).collect();
    Ok(Value::List(List::made(items, a.is_ordered() && b.is_ordered())))
}

pub(super) fn equal<'a>(call: &mut Call<'_, 'a>) -> Answer<'a> {
    arguments!(call, a, b);
    a.equals(b, call.meter).map(Value::Bool)
}

pub(super) fn unequal<'a>(call: &mut Call<'_, 'a>) -> Answer<'a> {
    arguments!(call, a, b);
    match a.equals(b, call.meter) {
        // cel-go: what cannot be compared with a quantity is not equal to it, though `==` is an error
        Err(Fault::Failed(_)) if matches!(a, Value::Quantity { .. }) => Ok(Value::Bool(true)),
        same => same.map(|same| Value::Bool(!same)),
    }
}

pub(super) fn in_list<'a>(call: &mut Call<'_, 'a>) -> Answer<'a> {
    arguments!(call, item, Value::List(list));
    list.contains(item, call.meter).map(Value::Bool)
}

pub(super) fn in_map<'a>(call: &mut Call<'_, 'a>) -> Answer<'a> {
    arguments!(call, key, Value::Map(map));
    map.find(key, call.meter).map(|found| Value::Bool(found.is_some()))
}

fn ordered<'a>(call: &mut Call<'_, 'a>, holds: fn(Ordering) -> bool) -> Answer<'a> {
    arguments!(call, a, b);
    a.order(b, call.meter).map(|order| Value::Bool(holds(order)))
}

pub(super) fn less<'a>(call: &mut Call<'_, 'a>) -> Answer<'a> {
    ordered(call, Ordering::is_lt)
}

pub(super) fn at_most<'a>(call: &mut Call<'_, 'a>) -> Answer<'a> {
    ordered(call, Ordering::is_le)
}

pub(super) fn greater<'a>(call: &mut Call<'_, 'a>) -> Answer<'a> {
    ordered(call, Ordering::is_gt)
}

pub(super) fn at_least<'a>(call: &mut Call<'_, 'a>) -> Answer<'a> {
    ordered(call, Ordering::is_ge)
}

/// Characters of a string, not bytes.
pub(super) fn size<'a>(call: &mut Call<'_, 'a>) -> Answer<'a> {
    let size = match call.args {
        [Value::Text(text)] => {
            call.meter.charge_text(text.len())?;
            text.chars().count()
        }
        [Value::List(list)] => list.len(),
        [Value::Map(map)] => map.len(),
        _ => return Err(Fault::new("no such overload")),
    };
    i64::try_from(size).map(Value::Int).map_err(|_| overflow())
}
