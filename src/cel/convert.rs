//! JSON as CEL values, the way an API server sees an object.
//!
//! `cel::to_value` turns positive integers into `uint`, so that `object.spec.replicas + 1` fails; and it copies the
//! whole object for each evaluation. Here an integer is an `int`, one beyond its range a `double`, a key a string, and
//! nothing is copied: lists and objects are read in place.

use serde_json::Value as Json;

use super::node::Literal;
use super::value::{List, Map, Text, Value};

impl<'a> From<&'a Json> for Value<'a> {
    fn from(json: &'a Json) -> Self {
        match json {
            Json::Null => Self::Null,
            Json::Bool(b) => Self::Bool(*b),
            Json::Number(n) => n.as_i64().map_or_else(|| Self::Double(n.as_f64().unwrap_or(f64::NAN)), Self::Int),
            Json::String(s) => Self::Text(Text::Borrowed(s)),
            Json::Array(items) => Self::List(List::Json(items)),
            Json::Object(fields) => Self::Map(Map::Json(fields)),
        }
    }
}

impl<'a> From<&'a Literal> for Value<'a> {
    fn from(literal: &'a Literal) -> Self {
        match literal {
            Literal::Null => Self::Null,
            Literal::Bool(b) => Self::Bool(*b),
            Literal::Int(i) => Self::Int(*i),
            Literal::Double(d) => Self::Double(*d),
            Literal::Text(text) => Self::Text(Text::Borrowed(text)),
        }
    }
}
