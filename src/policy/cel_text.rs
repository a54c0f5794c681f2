//! Printing CEL: literals, optional access, JSON pointers. Everything that comes from a path goes through here, so no
//! value can end a string and go on as code.

use std::fmt::Write as _;

use serde_json::Value;

/// A CEL string literal.
#[must_use]
pub fn string(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('\'');
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\'' => out.push_str("\\'"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if (c as u32) < 0x20 || c == '\u{7f}' => {
                let _ = write!(out, "\\u{:04x}", c as u32);
            }
            c => out.push(c),
        }
    }
    out.push('\'');
    out
}

/// A CEL literal for a JSON value. Members are wrapped in `dyn`, since CEL lists and maps hold one type.
#[must_use]
pub fn literal(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(b) => b.to_string(),
        Value::Number(n) => n.to_string(),
        Value::String(s) => string(s),
        Value::Array(list) => {
            let members: Vec<String> = list.iter().map(|v| format!("dyn({})", literal(v))).collect();
            format!("[{}]", members.join(", "))
        }
        Value::Object(fields) => {
            let members: Vec<String> =
                fields.iter().map(|(k, v)| format!("{}: dyn({})", string(k), literal(v))).collect();
            format!("{{{}}}", members.join(", "))
        }
    }
}

/// `root[?'a'][?'b']`: an optional.
#[must_use]
pub fn optional<'a>(root: &str, path: impl IntoIterator<Item = &'a str>) -> String {
    path.into_iter().fold(root.to_owned(), |text, name| format!("{text}[?{}]", string(name)))
}

/// `a || b`, or `false` where there is nothing to hold.
#[must_use]
pub fn any(terms: impl IntoIterator<Item = String>) -> String {
    let terms: Vec<String> = terms.into_iter().filter(|t| t != "false").collect();
    match terms.as_slice() {
        [] => "false".to_owned(),
        [one] => one.clone(),
        many => format!("({})", many.join(" || ")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn no_value_ends_its_literal() {
        assert_eq!(string("a'b\\c\n"), r"'a\'b\\c\n'");
        assert_eq!(literal(&json!({"a'": ["x", 1, true]})), r"{'a\'': dyn([dyn('x'), dyn(1), dyn(true)])}");
    }
}
