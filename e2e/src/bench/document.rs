//! `docs/benchmarks.md`: one section a fleet, written by the run that measured it and by nobody else. Pure.

use std::fmt::Write as _;

/// The document with the section of a fleet put in, or replaced. Sections stand in order of size behind the text. `shape` says
/// in what the fleet is not as usual, and is empty where it is.
#[must_use]
pub fn with_section(document: &str, workloads: usize, shape: &str, section: &str) -> String {
    let (text, mut sections) = parse(document);
    let fleet = (workloads, shape);
    sections.retain(|(other, _)| *other != fleet);
    sections.push((fleet, section.trim()));
    sections.sort_by_key(|(fleet, _)| *fleet);
    let mut whole = text.trim_end().to_owned();
    for ((workloads, shape), section) in sections {
        let (begin, end) = marks(&name(workloads, shape));
        let _ = write!(whole, "\n\n{begin}\n{section}\n{end}"); // writing to a String cannot fail
    }
    whole.push('\n');
    whole
}

fn name(workloads: usize, shape: &str) -> String {
    format!("{workloads} {shape}").trim_end().to_owned()
}

fn marks(name: &str) -> (String, String) {
    (format!("<!-- BEGIN make bench N={name} -->"), format!("<!-- END make bench N={name} -->"))
}

/// A fleet, by its size and its shape, and what was measured of it.
type Section<'a> = ((usize, &'a str), &'a str);

/// The text before the first section, and the sections.
fn parse(document: &str) -> (&str, Vec<Section<'_>>) {
    const BEGIN: &str = "<!-- BEGIN make bench N=";
    let text = document.find(BEGIN).map_or(document, |at| &document[..at]);
    let sections = document.split(BEGIN).skip(1).filter_map(|part| {
        let (name, rest) = part.split_once(" -->")?;
        let (size, shape) = name.split_once(' ').unwrap_or((name, ""));
        Some(((size.parse().ok()?, shape), rest.split(&marks(name).1).next()?.trim()))
    });
    (text, sections.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections_are_put_in_by_size_and_replaced() {
        let document = with_section("# Benchmarks\n\nText.\n", 10_000, "", "ten\n");
        let document = with_section(&document, 1_000, "", "one");
        let document = with_section(&document, 10_000, "--per-service 1", "small");
        let document = with_section(&document, 10_000, "", "ten again");
        let expected = "# Benchmarks\n\nText.\n\n\
            <!-- BEGIN make bench N=1000 -->\none\n<!-- END make bench N=1000 -->\n\n\
            <!-- BEGIN make bench N=10000 -->\nten again\n<!-- END make bench N=10000 -->\n\n\
            <!-- BEGIN make bench N=10000 --per-service 1 -->\nsmall\n<!-- END make bench N=10000 --per-service 1 -->\n";
        assert_eq!(document, expected);
    }
}
