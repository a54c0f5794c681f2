//! `docs/benchmarks.md`: one section a fleet size, written by the run that measured it and by nobody else. Pure.

use std::fmt::Write as _;

/// The document with the section of a size put in, or replaced. Sections stand in order of size behind the text.
#[must_use]
pub fn with_section(document: &str, workloads: usize, section: &str) -> String {
    let (text, mut sections) = parse(document);
    sections.retain(|(size, _)| *size != workloads);
    sections.push((workloads, section.trim().to_owned()));
    sections.sort_by_key(|(size, _)| *size);
    let mut whole = text.trim_end().to_owned();
    for (size, section) in sections {
        let (begin, end) = marks(size);
        let _ = write!(whole, "\n\n{begin}\n{section}\n{end}"); // writing to a String cannot fail
    }
    whole.push('\n');
    whole
}

fn marks(workloads: usize) -> (String, String) {
    (format!("<!-- BEGIN make bench N={workloads} -->"), format!("<!-- END make bench N={workloads} -->"))
}

/// The text before the first section, and the sections.
fn parse(document: &str) -> (&str, Vec<(usize, String)>) {
    const BEGIN: &str = "<!-- BEGIN make bench N=";
    let text = document.find(BEGIN).map_or(document, |at| &document[..at]);
    let sections = document.split(BEGIN).skip(1).filter_map(|part| {
        let (size, rest) = part.split_once(" -->")?;
        let size = size.parse().ok()?;
        Some((size, rest.split(&marks(size).1).next()?.trim().to_owned()))
    });
    (text, sections.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections_are_put_in_by_size_and_replaced() {
        let document = with_section("# Benchmarks\n\nText.\n", 10_000, "ten\n");
        let document = with_section(&document, 1_000, "one");
        let document = with_section(&document, 10_000, "ten again");
        let expected = "# Benchmarks\n\nText.\n\n\
            <!-- BEGIN make bench N=1000 -->\none\n<!-- END make bench N=1000 -->\n\n\
            <!-- BEGIN make bench N=10000 -->\nten again\n<!-- END make bench N=10000 -->\n";
        assert_eq!(document, expected);
    }
}
