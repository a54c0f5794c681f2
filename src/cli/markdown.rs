//! Tables in Markdown files that are generated, between markers that say by what.

/// A marker that is not in a file as it should be.
#[derive(thiserror::Error, Debug, PartialEq, Eq)]
#[error("the file needs one line `<!-- BEGIN {0} ... -->` and after it one line `<!-- END {0} -->`")]
pub struct NoMarkers(String);

/// The text with what stands between the markers of `name` replaced.
pub fn replace_between(text: &str, name: &str, content: &str) -> Result<String, NoMarkers> {
    let (begin, end) = (format!("<!-- BEGIN {name} "), format!("<!-- END {name} -->"));
    let missing = || NoMarkers(name.to_owned());
    let (before, rest) = text.split_once(&begin).ok_or_else(missing)?;
    let (marker, rest) = rest.split_once('\n').ok_or_else(missing)?;
    let (_, after) = rest.split_once(&end).ok_or_else(missing)?;
    Ok(format!("{before}{begin}{marker}\n\n{}\n\n{end}{after}", content.trim()))
}

/// A table; numbers stand on the right.
#[must_use]
pub fn table(header: &[&str], rows: &[Vec<String>]) -> String {
    let line = |cells: &[String]| format!("| {} |", cells.join(" | "));
    let number = |cell: &String| cell == "–" || cell.parse::<usize>().is_ok();
    let is_number = |column: usize| rows.iter().all(|r| r.get(column).is_some_and(number));
    let rule: Vec<String> =
        (0..header.len()).map(|column| if is_number(column) { "---:" } else { "---" }.to_owned()).collect();
    let header: Vec<String> = header.iter().map(|name| (*name).to_owned()).collect();
    let rows = rows.iter().map(|row| line(&row.iter().map(|cell| cell.replace('|', "\\|")).collect::<Vec<_>>()));
    [line(&header), line(&rule)].into_iter().chain(rows).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_stands_between_the_markers_changes() {
        let text = "a\n<!-- BEGIN t (make generate) -->\nold\n<!-- END t -->\nb\n";
        let new = replace_between(text, "t", "new").unwrap();
        assert_eq!(new, "a\n<!-- BEGIN t (make generate) -->\n\nnew\n\n<!-- END t -->\nb\n");
        assert_eq!(replace_between(&new, "t", "new").unwrap(), new);
        assert_eq!(replace_between(text, "u", "new"), Err(NoMarkers("u".into())));
    }

    #[test]
    fn numbers_stand_on_the_right() {
        let rows = [vec!["a".to_owned(), "1".to_owned()], vec!["b|c".to_owned(), "20".to_owned()]];
        assert_eq!(table(&["name", "count"], &rows), "| name | count |\n| --- | ---: |\n| a | 1 |\n| b\\|c | 20 |");
    }
}
