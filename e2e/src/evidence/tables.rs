//! The evidence as tables of `docs/shipped-paths.md`.

use anyhow::Result;
use goldenpath::api::GoldenPath;
use goldenpath::cli::generate::how;
use goldenpath::cli::markdown::table;

use super::count::{Breaks, Corpus, Row, count};
use super::{Decision, Evidence, Image, User};

/// What the corpus says of a path: its counts, and what its containers declare.
///
/// # Errors
/// When a default has no decision, or the path cannot be compiled.
pub fn corpus_tables(path: &GoldenPath, evidence: &Evidence, corpus: &Corpus) -> Result<String> {
    let kinds = &path.spec.default_for;
    let rows: Vec<Vec<String>> = count(path, evidence, corpus)?.iter().map(cells).collect();
    let header = ["default", "how", "have it", "gain it", "left open", "lack it", "would break if filled"];
    let names: Vec<String> = kinds.iter().map(|kind| format!("{kind}s")).collect();
    Ok(format!(
        "Over {} {}.\n\n{}\n\n{}",
        corpus.count(kinds),
        names.join(" and "),
        table(&header, &rows),
        declared(path, corpus)
    ))
}

fn cells(row: &Row) -> Vec<String> {
    let counted = |count: usize, noun: &str| format!("{count} {noun}{}", if count == 1 { "" } else { "s" });
    let breaks = match &row.breaks {
        Breaks::Known { workloads: 0, images: 0 } => "none known".to_owned(),
        Breaks::TooLow { declared, higher } => format!("{higher} of {declared} declared limits are higher"),
        Breaks::Known { workloads, images } => {
            format!("{}, {}", counted(*workloads, "workload"), counted(*images, "known image"))
        }
        Breaks::Refused => "cannot be filled".to_owned(),
        Breaks::Nothing => "nothing to fill".to_owned(),
    };
    let of_a_fill = |count: usize| if row.fills { count.to_string() } else { "–".to_owned() };
    vec![
        format!("`{}`", row.default),
        row.how.to_owned(),
        row.have.to_string(),
        of_a_fill(row.gain),
        of_a_fill(row.yields),
        row.lack.to_string(),
        breaks,
    ]
}

/// What the containers themselves say: what a made-up value would have to fit.
fn declared(path: &GoldenPath, corpus: &Corpus) -> String {
    let fields = [("requests", "cpu"), ("requests", "memory"), ("limits", "memory")];
    let lines: Vec<String> = fields
        .iter()
        .map(|(map, name)| {
            let found = corpus.declared(&path.spec.default_for, map, name);
            let at = |quarter: usize| found.get((found.len() * quarter / 4).min(found.len().saturating_sub(1)));
            let text = |quarter: usize| at(quarter).map_or("–", String::as_str);
            format!(
                "- `{map}.{name}`: {} containers declare it, the least {}, the lower quartile {}, the middle {}, the most {}",
                found.len(),
                text(0),
                text(1),
                text(2),
                text(4)
            )
        })
        .collect();
    format!("What containers declare:\n\n{}", lines.join("\n"))
}

/// Why each default is what it is.
#[must_use]
pub fn decision_table(evidence: &Evidence, paths: &[GoldenPath]) -> String {
    let row = |(name, decision): (&String, &Decision)| {
        let of_path = |path: &GoldenPath| {
            let default = path.spec.defaults.iter().find(|d| d.name == *name)?;
            Some(format!("{} in {}", how(default), path.metadata.name.as_deref()?))
        };
        let places: Vec<String> = paths.iter().filter_map(of_path).collect();
        vec![format!("`{name}`"), places.join(", "), decision.decided.clone()]
    };
    let rows: Vec<Vec<String>> = evidence.decisions.iter().map(row).collect();
    table(&["default", "how", "decided because"], &rows)
}

/// What is known of images.
#[must_use]
pub fn image_table(evidence: &Evidence) -> String {
    let row = |image: &Image| {
        let names: Vec<String> = image.names.iter().map(|name| format!("`{name}`")).collect();
        let user = match image.user {
            Some(User::Root) => "root",
            Some(User::Name) => "a name",
            None => "–",
        };
        let mut does: Vec<String> = image.does.iter().map(|fact| words(&format!("{fact:?}"))).collect();
        does.extend((!image.writes.is_empty()).then(|| format!("writes to {}", image.writes.join(", "))));
        vec![names.join(", "), user.to_owned(), does.join("; "), image.from.clone()]
    };
    let rows: Vec<Vec<String>> = evidence.images.iter().map(row).collect();
    table(&["image", "user", "does", "read in"], &rows)
}

/// `DropsPrivileges` as words.
fn words(name: &str) -> String {
    let mut text = String::new();
    for letter in name.chars() {
        if letter.is_uppercase() && !text.is_empty() {
            text.push(' ');
        }
        text.extend(letter.to_lowercase());
    }
    text
}
