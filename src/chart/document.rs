//! `values.yaml`, its schema and its table, from the one type of the values.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use schemars::generate::SchemaSettings;
use serde_json::{Value, json};

use super::WriteError;
use super::values::Values;

/// The JSON schema of the values. Whatever it does not name is refused.
///
/// Draft 7, which Helm 3 reads as well; without references, so that an editor shows each text where the value stands.
pub fn schema(values: &Values) -> Result<Value, WriteError> {
    let mut settings = SchemaSettings::draft07();
    settings.inline_subschemas = true;
    let mut schema = serde_json::to_value(settings.into_generator().into_root_schema_for::<Values>())?;
    // the names of the shipped paths are known here and not in the type: a typo in one is refused like any other
    let paths = &mut schema["properties"]["paths"];
    let path = paths["additionalProperties"].take();
    paths["properties"] = values.paths.keys().map(|name| (name.clone(), path.clone())).collect();
    paths["additionalProperties"] = json!(false);
    schema["properties"]["paths"]["default"] = json!(values.paths);
    plain(&mut schema);
    Ok(schema)
}

/// What the derive writes for programs, in words for people: Helm quotes the schema when it refuses a value.
fn plain(schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            if let Some(Value::String(text)) = fields.get_mut("description") {
                *text = text.replace('\n', " ");
            }
            // absent says what null would say
            let present = |any_of: &Value| any_of.as_array()?.iter().find(|one| one["type"] != "null").cloned();
            let or_null = fields.get("anyOf").filter(|any_of| any_of[1]["type"] == "null");
            if let Some(Value::Object(present)) = or_null.and_then(present) {
                fields.remove("anyOf");
                for (name, value) in present {
                    fields.entry(name).or_insert(value);
                }
            }
            // a list of allowed texts
            let texts = |one_of: &Value| one_of.as_array()?.iter().map(|one| one.get("const").cloned()).collect();
            if let Some(allowed) = fields.get("oneOf").and_then(texts) {
                let allowed: Vec<Value> = allowed;
                fields.remove("oneOf");
                fields.extend([("enum".to_owned(), json!(allowed)), ("type".to_owned(), json!("string"))]);
            }
            if let Some(Value::Array(types)) = fields.get("type") {
                let first = types.first().cloned().unwrap_or_default();
                fields.insert("type".to_owned(), first);
            }
            fields.retain(|name, value| !(name == "default" && value.is_null()));
            fields.values_mut().for_each(plain);
        }
        Value::Array(items) => items.iter_mut().for_each(plain),
        _ => {}
    }
}

/// `values.yaml`: every value with its default, and its description above it.
pub fn yaml(values: &Values, schema: &Value) -> Result<String, WriteError> {
    let mut text = String::new();
    let mut path: Vec<String> = Vec::new();
    for line in serde_saphyr::to_string(values)?.lines() {
        let indent = line.len() - line.trim_start().len();
        if let Some((key, _)) = line.trim_start().split_once(':') {
            path.truncate(indent / 2);
            path.push(key.to_owned());
            let description = describe(schema, &path).unwrap_or_default();
            if path.len() == 1 && !text.is_empty() {
                text.push('\n');
            }
            comment(&mut text, description, indent);
        }
        text.push_str(line);
        text.push('\n');
    }
    Ok(text)
}

fn describe<'a>(schema: &'a Value, path: &[String]) -> Option<&'a str> {
    let found = path.iter().try_fold(schema, |schema, key| schema.get("properties")?.get(key))?;
    found.get("description")?.as_str()
}

/// Lines of at most 120 characters.
fn comment(text: &mut String, description: &str, indent: usize) {
    let mut line = String::new();
    for word in description.split(' ') {
        if indent + line.len() + word.len() + 2 > 119 {
            push_comment(text, &mut line, indent);
        }
        line.push(' ');
        line.push_str(word);
    }
    push_comment(text, &mut line, indent);
}

fn push_comment(text: &mut String, line: &mut String, indent: usize) {
    if !line.trim().is_empty() {
        // writing to a String cannot fail
        let _ = writeln!(text, "{:indent$}#{line}", "");
    }
    line.clear();
}

/// The values as rows of a Markdown table, by their full names.
#[must_use]
pub fn table(schema: &Value) -> String {
    let mut rows = BTreeMap::new();
    collect(schema, "", &mut rows);
    let mut text = String::from("| Value | Default | What it is |\n|---|---|---|\n");
    for (name, (default, description)) in rows {
        // a bar would end the cell
        let description = description.replace('|', "\\|");
        // writing to a String cannot fail
        let _ = writeln!(text, "| `{name}` | `{default}` | {description} |");
    }
    text
}

fn collect(schema: &Value, path: &str, rows: &mut BTreeMap<String, (String, String)>) {
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        let name = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        if property["properties"].is_object() {
            collect(property, &name, rows);
        } else if let Some(default) = property.get("default") {
            let description = property["description"].as_str().unwrap_or_default();
            rows.insert(name, (default.to_string(), description.to_owned()));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn values() -> (Values, Value) {
        let values = Values::of(["web-service", "cron"]);
        let schema = schema(&values).unwrap();
        (values, schema)
    }

    /// Calls `found` with the place and the value of every schema below `schema`.
    fn walk(schema: &Value, place: &str, found: &mut impl FnMut(&str, &Value)) {
        found(place, schema);
        for (name, property) in schema["properties"].as_object().into_iter().flatten() {
            walk(property, &format!("{place}.{name}"), found);
        }
        for below in ["items", "additionalProperties"] {
            if schema[below].is_object() {
                walk(&schema[below], &format!("{place}.{below}"), found);
            }
        }
    }

    #[test]
    fn every_object_is_closed_but_the_one_that_belongs_to_a_parent_chart() {
        let mut open = Vec::new();
        walk(&values().1, "", &mut |place, schema| {
            let object = schema["type"] == "object" || schema["properties"].is_object();
            if object && schema["additionalProperties"] != false && !schema["additionalProperties"].is_object() {
                open.push(place.to_owned());
            }
        });
        assert_eq!(open, [".global"]);
    }

    #[test]
    fn every_value_has_a_description_of_whole_sentences() {
        let mut bare = Vec::new();
        walk(&values().1, "", &mut |place, schema| {
            let named = place.rsplit('.').next().is_some_and(|name| !["items", "additionalProperties"].contains(&name));
            let described = schema["description"].as_str().is_some_and(|text| text.ends_with('.'));
            if named && !described {
                bare.push(place.to_owned());
            }
        });
        assert_eq!(bare, <[&str; 0]>::default());
    }

    #[test]
    fn choices_are_lists_of_texts_and_nothing_may_be_null() {
        let schema = values().1;
        assert_eq!(
            schema["properties"]["image"]["properties"]["pullPolicy"]["enum"],
            json!(["Always", "IfNotPresent", "Never"])
        );
        let toleration = &schema["properties"]["tolerations"]["items"]["properties"];
        assert_eq!(toleration["operator"]["enum"], json!(["Equal", "Exists"]));
        assert_eq!(toleration["operator"]["description"], "How the value is compared.");
        assert_eq!(toleration["tolerationSeconds"]["type"], "integer");
        assert!(!schema.to_string().contains("null"), "{schema:#}");
    }

    #[test]
    fn the_file_holds_the_defaults_of_the_schema_and_nothing_else() {
        let (values, schema) = values();
        let text = yaml(&values, &schema).unwrap();
        let read: Value = serde_saphyr::from_str(&text).unwrap();
        assert_eq!(read, serde_json::to_value(&values).unwrap());
        let keys = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<BTreeSet<_>>();
        let mut known = keys(&schema["properties"]);
        assert!(known.remove("global"), "Helm itself sets it");
        assert_eq!(keys(&read), known);
        assert_eq!(keys(&read["paths"]), keys(&schema["properties"]["paths"]["properties"]));
    }

    #[test]
    fn every_value_in_the_file_stands_below_its_description() {
        let (values, schema) = values();
        let text = yaml(&values, &schema).unwrap();
        assert!(text.lines().all(|line| line.len() <= 120), "{text}");
        assert!(text.contains("\n  # Tag of the image; empty means the chart's appVersion.\n  tag: "), "{text}");
        assert!(text.contains("  webService:\n    # Create the path when it is missing"), "{text}");
        let bare = text.lines().zip(text.lines().skip(1)).filter(|(above, line)| {
            let (above, line) = (above.trim_start(), line.trim_start());
            let entry = line.starts_with("- ");
            !line.is_empty() && !entry && !line.starts_with('#') && !above.starts_with('#') && !above.ends_with(':')
        });
        // amounts are not described one by one
        assert_eq!(bare.map(|(_, line)| line).collect::<Vec<_>>(), ["    memory: 32Mi"]);
    }

    #[test]
    fn the_table_has_a_row_for_every_leaf() {
        let table = table(&values().1);
        assert!(
            table.contains("| `image.pullPolicy` | `\"IfNotPresent\"` | When the node pulls the image. |"),
            "{table}"
        );
        assert!(table.contains("| `paths.webService.install` | `true` | "), "{table}");
        assert!(table.contains("| `resources.requests` | `{\"cpu\":\"20m\",\"memory\":\"32Mi\"}` | "), "{table}");
    }
}
