//! What a dashboard is made of.

/// A dashboard.
#[derive(Clone, Debug)]
pub struct Dashboard {
    /// Its address in Grafana, and its file's name.
    pub uid: &'static str,
    /// Its title.
    pub title: &'static str,
    /// Whom it is for.
    pub description: &'static str,
    /// How far back it looks, as `now-30d`.
    pub from: &'static str,
    /// What one can choose, beside data source and cluster.
    pub variables: Vec<Variable>,
    /// Its rows.
    pub rows: Vec<Row>,
}

/// What one can choose at the top.
#[derive(Clone, Debug)]
pub struct Variable {
    /// Name, and the label whose values are offered.
    pub name: &'static str,
    /// How it is called.
    pub label: &'static str,
    /// The metric that has the label.
    pub metric: &'static str,
    /// Several at a time, or all.
    pub many: bool,
}

/// Panels side by side, under a heading.
#[derive(Clone, Debug)]
pub struct Row {
    /// The heading.
    pub title: &'static str,
    /// How high its panels are.
    pub height: u32,
    /// Panels, whose widths fill lines of 24.
    pub panels: Vec<Panel>,
}

/// A panel.
#[derive(Clone, Debug)]
pub struct Panel {
    /// Its title.
    pub title: &'static str,
    /// What it shows, and what to think of it.
    pub description: &'static str,
    /// Its part of 24.
    pub width: u32,
    /// How it is drawn.
    pub kind: Kind,
    /// What it asks Prometheus for.
    pub queries: Vec<Query>,
    /// The unit of its values, as Grafana calls it.
    pub unit: &'static str,
    /// Digits behind the point, where Grafana's own choice would hide what matters.
    pub decimals: Option<u8>,
    /// What it says when there is nothing to show.
    pub empty: &'static str,
    /// Colours of series, by their names.
    pub colors: &'static [(&'static str, Color)],
    /// From which value on which colour; the first one is for everything below.
    pub steps: &'static [(f64, Color)],
}

/// How a panel is drawn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// One large number, with its course behind it.
    Stat,
    /// Names in place of numbers.
    Name,
    /// Lines over time.
    Lines,
    /// A bar for each series.
    Bars,
    /// A table.
    Table(Table),
}

/// How a table is made of its queries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Table {
    /// One row a label value, one column a query, named by their legends; sorted by a column, the largest first.
    Columns {
        /// The label that names rows.
        key: &'static str,
        /// How its column is called.
        name: &'static str,
        /// Column to sort by.
        sort: &'static str,
        /// Dashboard that a row's name leads to; none where it is empty.
        link: &'static str,
    },
    /// One row for each value of a label, one column for each of another.
    Matrix {
        /// The label of rows.
        row: &'static str,
        /// The label of columns.
        column: &'static str,
        /// Columns from the left; others stand behind them.
        order: &'static [&'static str],
    },
}

/// A query.
#[derive(Clone, Debug)]
pub struct Query {
    /// In PromQL, with Grafana's variables.
    pub expr: String,
    /// Name of its series.
    pub legend: &'static str,
    /// Whether only the end of the time range counts.
    pub instant: bool,
    /// Unit of its column, where it is not the panel's.
    pub unit: Option<&'static str>,
}

/// Colours after Okabe and Ito, a little lighter where they would vanish on a dark ground.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Color {
    /// As it should be.
    Blue,
    /// On its way.
    Orange,
    /// Look at this.
    Vermillion,
    /// Also fine.
    Green,
    /// Watched only.
    Purple,
    /// Nothing yet.
    Grey,
}

impl Color {
    /// As Grafana takes it.
    #[must_use]
    pub fn hex(self) -> &'static str {
        match self {
            Self::Blue => "#3391D1",
            Self::Orange => "#E69F00",
            Self::Vermillion => "#D55E00",
            Self::Green => "#009E73",
            Self::Purple => "#CC79A7",
            Self::Grey => "#8E8E8E",
        }
    }
}

/// Good is much.
pub const MUCH_IS_GOOD: &[(f64, Color)] = &[(0.0, Color::Vermillion), (0.5, Color::Orange), (0.9, Color::Blue)];
/// Good is nothing.
pub const NOTHING_IS_GOOD: &[(f64, Color)] = &[(0.0, Color::Blue), (1.0, Color::Vermillion)];
/// A number that is neither good nor bad.
pub const PLAIN: &[(f64, Color)] = &[(0.0, Color::Blue)];
/// Colours of states of workloads and services, and of verdicts.
pub const STATES: &[(&str, Color)] = &[
    ("Adopted", Color::Blue),
    ("Applied", Color::Blue),
    ("SatisfiedByTeam", Color::Green),
    ("Migrating", Color::Orange),
    ("PendingRollout", Color::Orange),
    ("Observing", Color::Purple),
    ("Missing", Color::Orange),
    ("Drifted", Color::Vermillion),
    ("Conflict", Color::Vermillion),
    ("RolledBack", Color::Purple),
    ("Exempt", Color::Green),
    ("Overridden", Color::Grey),
    ("NotStarted", Color::Grey),
];

impl Panel {
    /// A panel with a plain number as unit.
    #[must_use]
    pub fn new(width: u32, kind: Kind, title: &'static str, description: &'static str, queries: Vec<Query>) -> Self {
        let (unit, empty) = ("short", if matches!(kind, Kind::Table(_)) { "–" } else { "nothing" });
        // what is counted has no half
        let decimals = Some(0);
        Self { title, description, width, kind, queries, unit, decimals, empty, colors: &[], steps: PLAIN }
    }

    /// With another unit.
    #[must_use]
    pub fn unit(mut self, unit: &'static str) -> Self {
        (self.unit, self.decimals) = (unit, None);
        self
    }

    /// With so many digits behind the point.
    #[must_use]
    pub fn decimals(mut self, decimals: u8) -> Self {
        self.decimals = Some(decimals);
        self
    }

    /// With a text for when there is nothing.
    #[must_use]
    pub fn empty(mut self, empty: &'static str) -> Self {
        self.empty = empty;
        self
    }

    /// With colours by the names of series.
    #[must_use]
    pub fn colors(mut self, colors: &'static [(&'static str, Color)]) -> Self {
        self.colors = colors;
        self
    }

    /// With colours by value.
    #[must_use]
    pub fn steps(mut self, steps: &'static [(f64, Color)]) -> Self {
        self.steps = steps;
        self
    }
}

impl Query {
    /// How it came to be.
    #[must_use]
    pub fn over_time(legend: &'static str, expr: impl Into<String>) -> Self {
        Self { expr: expr.into(), legend, instant: false, unit: None }
    }

    /// How it is.
    #[must_use]
    pub fn now(legend: &'static str, expr: impl Into<String>) -> Self {
        Self { expr: expr.into(), legend, instant: true, unit: None }
    }

    /// In another unit than its panel.
    #[must_use]
    pub fn unit(mut self, unit: &'static str) -> Self {
        self.unit = Some(unit);
        self
    }
}
