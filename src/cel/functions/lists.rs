//! Lists as Kubernetes extends them, and `sets`, which are lists read as sets.

use std::cmp::Ordering;

use super::super::limits::{Fault, Meter};
use super::super::signatures::Call;
use super::super::value::{List, Value};
use super::arguments;

type Answer<'a> = Result<Value<'a>, Fault>;

pub(super) fn sum_ints<'a>(call: &mut Call<'_, 'a>) -> Answer<'a> {
    arguments!(call, Value::List(list));
    call.meter.charge(list.len())?;
    let mut sum = 0_i64;
    for item in list.iter() {
        let Value::Int(item) = item else {
            return Err(Fault::new(format!("sum needs a list of ints and found a {}", item.type_name())));
        };
        sum = sum.checked_add(item).ok_or_else(|| Fault::new("the sum does not fit into an int"))?;
    }
    Ok(Value::Int(sum))
}

pub(super) fn sum_doubles<'a>(call: &mut Call<'_, 'a>) -> Answer<'a> {
    arguments!(call, Value::List(list));
    call.meter.charge(list.len())?;
    let mut sum = 0.0;
    for item in list.iter() {
        let Value::Double(item) = item else {
            return Err(Fault::new(format!("sum needs a list of doubles and found a {}", item.type_name())));
        };
        sum += item;
    }
    Ok(Value::Double(sum))
}

fn extreme<'a>(call: &mut Call<'_, 'a>, wanted: Ordering) -> Answer<'a> {
    arguments!(call, Value::List(list));
    let mut best: Option<Value<'a>> = None;
    for item in list.iter() {
        let better = match &best {
            Some(best) => item.order(best, call.meter)? == wanted,
            None => true,
        };
        if better {
            best = Some(item);
        }
    }
    best.ok_or_else(|| Fault::new("an empty list has no smallest or largest item; check its size() first"))
}

pub(super) fn min<'a>(call: &mut Call<'_, 'a>) -> Answer<'a> {
    extreme(call, Ordering::Less)
}

pub(super) fn max<'a>(call: &mut Call<'_, 'a>) -> Answer<'a> {
    extreme(call, Ordering::Greater)
}

pub(super) fn is_sorted<'a>(call: &mut Call<'_, 'a>) -> Answer<'a> {
    arguments!(call, Value::List(list));
    let list = list.in_order()?;
    for (item, next) in list.iter().zip(list.iter().skip(1)) {
        if item.order(&next, call.meter)?.is_gt() {
            return Ok(Value::Bool(false));
        }
    }
    Ok(Value::Bool(true))
}

fn position<'a>(found: Option<usize>) -> Value<'a> {
    Value::Int(found.and_then(|i| i64::try_from(i).ok()).unwrap_or(-1))
}

pub(super) fn index_of<'a>(call: &mut Call<'_, 'a>) -> Answer<'a> {
    arguments!(call, Value::List(list), item);
    list.in_order()?.position(item, call.meter).map(position)
}

pub(super) fn last_index_of<'a>(call: &mut Call<'_, 'a>) -> Answer<'a> {
    arguments!(call, Value::List(list), item);
    let list = list.in_order()?;
    for i in (0..list.len()).rev() {
        if let Some(other) = list.get(i)
            && other.equals(item, call.meter)?
        {
            return Ok(position(Some(i)));
        }
    }
    Ok(position(None))
}

fn includes<'a>(list: &List<'a>, all_of: &List<'a>, meter: &mut Meter) -> Result<bool, Fault> {
    for item in all_of.iter() {
        if !list.contains(&item, meter)? {
            return Ok(false);
        }
    }
    Ok(true)
}

pub(super) fn set_contains<'a>(call: &mut Call<'_, 'a>) -> Answer<'a> {
    arguments!(call, Value::List(a), Value::List(b));
    includes(a, b, call.meter).map(Value::Bool)
}

pub(super) fn set_equivalent<'a>(call: &mut Call<'_, 'a>) -> Answer<'a> {
    arguments!(call, Value::List(a), Value::List(b));
    Ok(Value::Bool(includes(a, b, call.meter)? && includes(b, a, call.meter)?))
}

pub(super) fn set_intersects<'a>(call: &mut Call<'_, 'a>) -> Answer<'a> {
    arguments!(call, Value::List(a), Value::List(b));
    for item in a.iter() {
        if b.contains(&item, call.meter)? {
            return Ok(Value::Bool(true));
        }
    }
    Ok(Value::Bool(false))
}
