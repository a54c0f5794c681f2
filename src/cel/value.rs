//! Values at run time. JSON and literals are borrowed, what an expression builds is shared: copying a value is cheap
//! whatever its size, which is what keeps memory in bounds.

use std::cmp::Ordering;
use std::ops::Deref;
use std::rc::Rc;

use serde_json::Value as Json;

use super::limits::{Fault, Meter};
use super::quantity::Quantity;
use super::types::Type;

/// A value. `'a` is the subject and the check, whichever goes first.
#[derive(Clone, Debug)]
pub(super) enum Value<'a> {
    Null,
    Bool(bool),
    Int(i64),
    Double(f64),
    Text(Text<'a>),
    List(List<'a>),
    Map(Map<'a>),
    Optional(Option<Rc<Value<'a>>>),
    Quantity {
        amount: Rc<Quantity>,
        /// The result of `add` or `sub`.
        computed: bool,
    },
    Type(&'static str),
}

/// A string of the subject or the check, or one made on the way.
#[derive(Clone, Debug)]
pub(super) enum Text<'a> {
    Borrowed(&'a str),
    Made(Rc<str>),
}

impl Deref for Text<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        match self {
            Self::Borrowed(s) => s,
            Self::Made(s) => s,
        }
    }
}

/// A list of the subject, or one made on the way.
#[derive(Clone, Debug)]
pub(super) enum List<'a> {
    Json(&'a [Json]),
    Made(Rc<[Value<'a>]>),
    /// Made from the keys of a map, which an API server visits in random order.
    Unordered(Rc<[Value<'a>]>),
}

impl<'a> List<'a> {
    pub(super) fn made(items: impl Into<Rc<[Value<'a>]>>, ordered: bool) -> Self {
        if ordered { Self::Made(items.into()) } else { Self::Unordered(items.into()) }
    }

    pub(super) fn len(&self) -> usize {
        match self {
            Self::Json(items) => items.len(),
            Self::Made(items) | Self::Unordered(items) => items.len(),
        }
    }

    pub(super) fn get(&self, index: usize) -> Option<Value<'a>> {
        match self {
            Self::Json(items) => items.get(index).map(Value::from),
            Self::Made(items) | Self::Unordered(items) => items.get(index).cloned(),
        }
    }

    pub(super) fn is_ordered(&self) -> bool {
        !matches!(self, Self::Unordered(_)) || self.len() < 2
    }

    /// The list, where the place of an item matters.
    pub(super) fn in_order(&self) -> Result<&Self, Fault> {
        if self.is_ordered() {
            return Ok(self);
        }
        Err(Fault::new("the keys of a map have no order; do not index, join or compare a list made from them"))
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = Value<'a>> {
        (0..self.len()).filter_map(|i| self.get(i))
    }

    /// Whether an item equals `value`.
    pub(super) fn contains(&self, value: &Value<'a>, meter: &mut Meter) -> Result<bool, Fault> {
        self.position(value, meter).map(|found| found.is_some())
    }

    /// The first item that equals `value`.
    pub(super) fn position(&self, value: &Value<'a>, meter: &mut Meter) -> Result<Option<usize>, Fault> {
        for (i, item) in self.iter().enumerate() {
            if item.equals(value, meter)? {
                return Ok(Some(i));
            }
        }
        Ok(None)
    }
}

/// An object of the subject, or a map made on the way: few entries, searched one by one.
#[derive(Clone, Debug)]
pub(super) enum Map<'a> {
    Json(&'a serde_json::Map<String, Json>),
    Made(Rc<[(Value<'a>, Value<'a>)]>),
}

impl<'a> Map<'a> {
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Json(fields) => fields.len(),
            Self::Made(entries) => entries.len(),
        }
    }

    /// The value of a field or string key.
    pub(super) fn field(&self, name: &str) -> Option<Value<'a>> {
        match self {
            Self::Json(fields) => fields.get(name).map(Value::from),
            Self::Made(entries) => {
                entries.iter().find(|(k, _)| matches!(k, Value::Text(k) if **k == *name)).map(|(_, v)| v.clone())
            }
        }
    }

    /// The value of a key of any kind; a key the map cannot hold is not there.
    pub(super) fn find(&self, key: &Value<'a>, meter: &mut Meter) -> Result<Option<Value<'a>>, Fault> {
        match (self, key) {
            (_, Value::Text(name)) => {
                meter.charge_text(name.len())?;
                Ok(self.field(name))
            }
            (Self::Made(entries), Value::Int(_) | Value::Bool(_) | Value::Double(_)) => {
                for (k, v) in entries.iter() {
                    if k.equals(key, meter)? {
                        return Ok(Some(v.clone()));
                    }
                }
                Ok(None)
            }
            _ => Ok(None),
        }
    }

    /// The entries, in the order of the JSON object or the literal. An API server promises no order.
    pub(super) fn entries(&self) -> Vec<(Value<'a>, Value<'a>)> {
        match self {
            Self::Json(fields) => {
                fields.iter().map(|(k, v)| (Value::Text(Text::Borrowed(k)), Value::from(v))).collect()
            }
            Self::Made(entries) => entries.to_vec(),
        }
    }
}

impl<'a> Value<'a> {
    pub(super) fn text(text: impl Into<Rc<str>>) -> Self {
        Self::Text(Text::Made(text.into()))
    }

    pub(super) fn list(items: Vec<Value<'a>>) -> Self {
        Self::List(List::made(items, true))
    }

    pub(super) fn some(self) -> Self {
        Self::Optional(Some(Rc::new(self)))
    }

    /// Whether this value fits a parameter. Of a list only the first item is looked at, as in cel-go.
    pub(super) fn is(&self, param: &Type) -> bool {
        match (self, param) {
            (_, Type::Dyn | Type::Free | Type::Param(_))
            | (Self::Null, Type::Null)
            | (Self::Bool(_), Type::Bool)
            | (Self::Int(_), Type::Int)
            | (Self::Double(_), Type::Double)
            | (Self::Text(_), Type::String)
            | (Self::Map(_), Type::Map(..) | Type::Namespace(_))
            | (Self::Optional(_), Type::Optional(_))
            | (Self::Quantity { .. }, Type::Quantity)
            | (Self::Type(_), Type::Meta) => true,
            (Self::List(list), Type::List(of)) => list.get(0).is_none_or(|first| first.is(of)),
            _ => false,
        }
    }

    /// The name `type(value)` prints.
    pub(super) const fn type_name(&self) -> &'static str {
        match self {
            Self::Null => "null_type",
            Self::Bool(_) => "bool",
            Self::Int(_) => "int",
            Self::Double(_) => "double",
            Self::Text(_) => "string",
            Self::List(_) => "list",
            Self::Map(_) => "map",
            Self::Optional(_) => "optional_type",
            Self::Quantity { .. } => "kubernetes.Quantity",
            Self::Type(_) => "type",
        }
    }

    /// CEL's equality: numbers by value whatever their type, other types never equal one another, NaN not itself.
    pub(super) fn equals(&self, other: &Self, meter: &mut Meter) -> Result<bool, Fault> {
        meter.deeper(|meter| self.equals_at_depth(other, meter))
    }

    fn equals_at_depth(&self, other: &Self, meter: &mut Meter) -> Result<bool, Fault> {
        meter.charge(1)?;
        Ok(match (self, other) {
            (Self::Null, Self::Null) | (Self::Optional(None), Self::Optional(None)) => true,
            (Self::Null, _) | (_, Self::Null) => false,
            (Self::Bool(a), Self::Bool(b)) => a == b,
            (Self::Text(a), Self::Text(b)) => {
                meter.charge_text(a.len().min(b.len()))?;
                **a == **b
            }
            (Self::List(a), Self::List(b)) => {
                if a.len() != b.len() {
                    return Ok(false);
                }
                for (a, b) in a.in_order()?.iter().zip(b.in_order()?.iter()) {
                    if !a.equals(&b, meter)? {
                        return Ok(false);
                    }
                }
                true
            }
            (Self::Map(a), Self::Map(b)) => return equal_maps(a, b, meter),
            (Self::Optional(Some(a)), Self::Optional(Some(b))) => return a.equals(b, meter),
            (Self::Type(a), Self::Type(b)) => a == b,
            // cel-go's `Equal` knows a quantity by value, and not the pointers that add and sub return
            (Self::Quantity { .. }, Self::Quantity { computed: true, .. }) => {
                return Err(Fault::new(
                    "an API server cannot compare with a sum on the right of `==`; write a.compareTo(b) == 0",
                ));
            }
            (Self::Quantity { amount: a, .. }, Self::Quantity { amount: b, .. }) => a == b,
            (Self::Quantity { .. }, b) => {
                return Err(Fault::new(format!("a quantity cannot be compared with a {}", b.type_name())));
            }
            (a, b) => matches!(a.number_order(b), NumberOrder::Is(Ordering::Equal)),
        })
    }

    /// CEL's order. Numbers compare whatever their type; values of different types, and NaN, do not.
    pub(super) fn order(&self, other: &Self, meter: &mut Meter) -> Result<Ordering, Fault> {
        meter.charge(1)?;
        match (self, other) {
            (Self::Bool(a), Self::Bool(b)) => Ok(a.cmp(b)),
            (Self::Text(a), Self::Text(b)) => {
                meter.charge_text(a.len().min(b.len()))?;
                Ok((**a).cmp(&**b))
            }
            (a, b) => match a.number_order(b) {
                NumberOrder::Is(order) => Ok(order),
                NumberOrder::NotANumber => Err(Fault::new("NaN cannot be ordered")),
                NumberOrder::OtherTypes => {
                    Err(Fault::new(format!("a {} and a {} have no order", a.type_name(), b.type_name())))
                }
            },
        }
    }

    fn number_order(&self, other: &Self) -> NumberOrder {
        let doubles = |a: f64, b: f64| a.partial_cmp(&b).map_or(NumberOrder::NotANumber, NumberOrder::Is);
        // an int is rounded to the nearest double, as in cel-go
        #[expect(clippy::cast_precision_loss)]
        match (self, other) {
            (Self::Int(a), Self::Int(b)) => NumberOrder::Is(a.cmp(b)),
            (Self::Int(a), Self::Double(b)) => doubles(*a as f64, *b),
            (Self::Double(a), Self::Int(b)) => doubles(*a, *b as f64),
            (Self::Double(a), Self::Double(b)) => doubles(*a, *b),
            _ => NumberOrder::OtherTypes,
        }
    }
}

/// How two values compare as numbers.
enum NumberOrder {
    Is(Ordering),
    /// One is NaN.
    NotANumber,
    /// One is of no number type.
    OtherTypes,
}

fn equal_maps<'a>(a: &Map<'a>, b: &Map<'a>, meter: &mut Meter) -> Result<bool, Fault> {
    if a.len() != b.len() {
        return Ok(false);
    }
    meter.charge(a.len())?;
    for (key, value) in a.entries() {
        match b.find(&key, meter)? {
            Some(other) if value.equals(&other, meter)? => {}
            _ => return Ok(false),
        }
    }
    Ok(true)
}
