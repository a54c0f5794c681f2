//! `docs/benchmarks.md`: one section a fleet size, written by the run that measured it and by nobody else. Pure.

use std::fmt::Write as _;

/// The document with the section of a size put in, or replaced; `part` names what was measured alone, or is empty. Sections
/// stand in order of size behind the text.
#[must_use]
pub fn with_section(document: &str, workloads: usize, part: &str, section: &str) -> String {
    let (text, mut sections) = parse(document);
    let key = (workloads, part.to_owned());
    sections.retain(|(of, _)| *of != key);
    sections.push((key, section.trim().to_owned()));
    sections.sort();
    let mut whole = text.trim_end().to_owned();
    for ((size, part), section) in sections {
        let (begin, end) = marks(size, &part);
        let _ = write!(whole, "\n\n{begin}\n{section}\n{end}"); // writing to a String cannot fail
    }
    whole.push('\n');
    whole
}

fn marks(workloads: usize, part: &str) -> (String, String) {
    let of = format!("{workloads} {part}");
    let of = of.trim_end();
    (format!("<!-- BEGIN make bench N={of} -->"), format!("<!-- END make bench N={of} -->"))
}

/// Size of the fleet, and what was measured alone.
type Key = (usize, String);

/// The text before the first section, and the sections.
fn parse(document: &str) -> (&str, Vec<(Key, String)>) {
    const BEGIN: &str = "<!-- BEGIN make bench N=";
    let text = document.find(BEGIN).map_or(document, |at| &document[..at]);
    let sections = document.split(BEGIN).skip(1).filter_map(|part| {
        let (of, rest) = part.split_once(" -->")?;
        let (size, part) = of.split_once(' ').unwrap_or((of, ""));
        let size = size.parse().ok()?;
        Some(((size, part.to_owned()), rest.split(&marks(size, part).1).next()?.trim().to_owned()))
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
        let document = with_section(&document, 10_000, "", "ten again");
        let document = with_section(&document, 1_000, "deprecations", "old");
        let document = with_section(&document, 1_000, "deprecations", "old again");
        let expected = "# Benchmarks\n\nText.\n\n\
            <!-- BEGIN make bench N=1000 -->\none\n<!-- END make bench N=1000 -->\n\n\
            <!-- BEGIN make bench N=1000 deprecations -->\nold again\n<!-- END make bench N=1000 deprecations -->\n\n\
            <!-- BEGIN make bench N=10000 -->\nten again\n<!-- END make bench N=10000 -->\n";
        assert_eq!(document, expected);
    }
}
