//! Tables that read well on a terminal and are Markdown at the same time. Pure.

use std::fmt;

/// Rows under a heading. The first column is text, the others are figures.
#[derive(Clone, Debug)]
pub struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    /// With column heads.
    #[must_use]
    pub fn new<const N: usize>(heads: [&str; N]) -> Self {
        Self { rows: vec![heads.map(ToOwned::to_owned).to_vec()] }
    }

    /// Adds a row; what it lacks stays empty.
    pub fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().collect());
    }
}

impl fmt::Display for Table {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let columns = self.rows[0].len();
        let cell = |row: &[String], column: usize| row.get(column).cloned().unwrap_or_default();
        let width = |column| self.rows.iter().map(|row| cell(row, column).chars().count()).max().unwrap_or(0).max(3);
        let widths: Vec<usize> = (0..columns).map(width).collect();
        for (index, row) in self.rows.iter().enumerate() {
            for (column, width) in widths.iter().enumerate() {
                let (text, width) = (cell(row, column), *width);
                if column == 0 {
                    write!(formatter, "| {text:<width$} ")?;
                } else {
                    write!(formatter, "| {text:>width$} ")?;
                }
            }
            writeln!(formatter, "|")?;
            if index == 0 {
                for (column, width) in widths.iter().enumerate() {
                    let line = "-".repeat(width + 1);
                    write!(formatter, "|{line}{}", if column == 0 { '-' } else { ':' })?;
                }
                writeln!(formatter, "|")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_the_text_is_markdown() {
        let mut table = Table::new(["What", "Median"]);
        table.row(["memory, MiB".to_owned(), "9.5".to_owned()]);
        let expected = "| What        | Median |\n|-------------|-------:|\n| memory, MiB |    9.5 |\n";
        assert_eq!(table.to_string(), expected);
    }
}
