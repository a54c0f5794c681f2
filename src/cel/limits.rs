//! Bounds on hostile input: what a source may look like before a parser sees it, and what an evaluation may cost.
//!
//! An API server meters CEL at run time, one million units a call
//! (<https://kubernetes.io/docs/reference/using-api/cel/#resource-constraints>). We meter with the same number and
//! slightly higher prices, so that what fits here fits there, where running out may admit an object silently. And we
//! bound everything that recurses: a release build of the operator survives neither a stack overflow nor a panic.

use super::error::CheckError;

/// Characters in a source. The longest published Kubernetes policy rules have about 700.
pub(super) const MAX_LENGTH: usize = 4096;
/// Open brackets at any point of the source.
pub(super) const MAX_BRACKETS: usize = 64;
/// `?` in a source: a chain of conditionals recurses once for each.
pub(super) const MAX_CONDITIONALS: usize = 64;
/// Unary operators in a row: `!!x` is a double negation, a longer run is an attack on the parser.
pub(super) const MAX_UNARY: usize = 4;
/// Nodes on the longest path of the syntax tree. A debug build needs about 4 KiB of stack a level to evaluate.
pub(super) const MAX_DEPTH: usize = 96;
/// Loops (`all`, `exists`, `map`, ..) inside one another.
pub(super) const MAX_LOOPS: usize = 4;
/// Lists and maps inside one another that a comparison follows.
const MAX_VALUE_DEPTH: usize = 200;
/// Units an evaluation may use, as in an API server.
pub(super) const MAX_COST: u64 = 1_000_000;
/// Units for a list, and again for each element that `map` or `filter` appends: cel-go makes a list for each.
pub(super) const LIST_COST: usize = 10;
/// Units for a map.
pub(super) const MAP_COST: usize = 30;

/// Why an evaluation stopped.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Fault {
    /// The meter ran out. Unlike an error it is never absorbed by `||` or `&&`.
    TooCostly,
    /// An error of the expression on this object.
    Failed(String),
}

impl Fault {
    pub(super) fn new(message: impl Into<String>) -> Self {
        Self::Failed(message.into())
    }
}

/// Counts down the units of one evaluation.
///
/// A bound worked out beforehand, from the nesting of loops and the lengths of lists, was rejected: it does not see
/// `['aa'].map(x, x + x).map(x, x + x)..`, which doubles a string with every 14 characters, and it refuses loops over
/// the containers of a pod because of an unrelated long list. Running out takes about 0.1 s at worst (release build).
#[derive(Debug)]
pub(super) struct Meter {
    left: u64,
    depth: usize,
}

impl Meter {
    pub(super) const fn new() -> Self {
        Self { left: MAX_COST, depth: 0 }
    }

    /// Takes `units`, before the work is done or the memory is allocated.
    pub(super) fn charge(&mut self, units: usize) -> Result<(), Fault> {
        let units = u64::try_from(units).unwrap_or(u64::MAX);
        let left = self.left.checked_sub(units);
        self.left = left.unwrap_or(0);
        left.map(|_| ()).ok_or(Fault::TooCostly)
    }

    /// Runs a step of a comparison that recurses into lists and maps. JSON from an API server is at most 128 deep,
    /// while an expression can build values of a thousand levels.
    pub(super) fn deeper<T>(&mut self, step: impl FnOnce(&mut Self) -> Result<T, Fault>) -> Result<T, Fault> {
        if self.depth >= MAX_VALUE_DEPTH {
            return Err(Fault::TooCostly);
        }
        self.depth += 1;
        let done = step(self);
        self.depth -= 1;
        done
    }

    /// Takes what reading or writing `bytes` of text costs: an API server counts a tenth of a unit for each.
    pub(super) fn charge_text(&mut self, bytes: usize) -> Result<(), Fault> {
        self.charge(bytes.div_ceil(10))
    }
}

/// Refuses sources that are long, unbalanced, deeply nested or made of operators, in one pass and without recursion.
///
/// The generated parser recurses some twenty frames for each bracket, and its error recovery has taken gigabytes for
/// 125 unbalanced characters (<https://github.com/cel-rust/cel-rust/issues/306>) and panicked on others
/// (<https://github.com/cel-rust/cel-rust/issues/305>), so it is only given balanced, shallow input.
pub(super) fn check_source(source: &str) -> Result<(), CheckError> {
    let length = source.chars().count();
    if length > MAX_LENGTH {
        return Err(CheckError::TooLong { length, max: MAX_LENGTH });
    }
    let mut scan =
        Scan { rest: source.chars().peekable(), line: 1, column: 0, open: Vec::new(), conditionals: 0, unary: 0 };
    while let Some(c) = scan.next() {
        scan.token(c)?;
    }
    match scan.open.last() {
        Some((bracket, line, column)) => Err(wrong(*line, *column, &format!("`{bracket}` is never closed"))),
        None => Ok(()),
    }
}

fn wrong(line: usize, column: usize, what: &str) -> CheckError {
    CheckError::DoesNotCompile { message: format!("{what} (line {line}, column {column})") }
}

struct Scan<'a> {
    rest: std::iter::Peekable<std::str::Chars<'a>>,
    line: usize,
    column: usize,
    open: Vec<(char, usize, usize)>,
    conditionals: usize,
    unary: usize,
}

impl Scan<'_> {
    fn next(&mut self) -> Option<char> {
        let c = self.rest.next()?;
        if c == '\n' {
            self.line += 1;
            self.column = 0;
        } else {
            self.column += 1;
        }
        Some(c)
    }

    fn next_is(&mut self, c: char) -> bool {
        self.rest.peek() == Some(&c)
    }

    fn wrong(&self, what: &str) -> CheckError {
        wrong(self.line, self.column, what)
    }

    fn token(&mut self, c: char) -> Result<(), CheckError> {
        match c {
            '!' | '-' => self.unary += 1,
            c if c.is_whitespace() => {}
            _ => self.unary = 0,
        }
        if self.unary > MAX_UNARY {
            return Err(CheckError::TooDeep { what: "unary operators", depth: self.unary, max: MAX_UNARY });
        }
        match c {
            '(' | '[' | '{' => self.opened(c),
            ')' | ']' | '}' => self.closed(c),
            '?' => {
                self.conditionals += 1;
                if self.conditionals > MAX_CONDITIONALS {
                    let depth = self.conditionals;
                    return Err(CheckError::TooDeep { what: "conditionals", depth, max: MAX_CONDITIONALS });
                }
                Ok(())
            }
            '/' if self.next_is('/') => {
                while self.rest.peek().is_some_and(|c| *c != '\n') {
                    self.next();
                }
                Ok(())
            }
            '\'' | '"' => self.text(c, false),
            'a'..='z' | 'A'..='Z' | '_' | '0'..='9' => self.word(c),
            c if " \t\n\r\u{c}.,:+-*/%<>=!&|".contains(c) => Ok(()),
            _ => Err(self.wrong(&format!("{c:?} is not allowed outside of a string"))),
        }
    }

    fn opened(&mut self, c: char) -> Result<(), CheckError> {
        self.open.push((c, self.line, self.column));
        if self.open.len() > MAX_BRACKETS {
            return Err(CheckError::TooDeep { what: "brackets", depth: self.open.len(), max: MAX_BRACKETS });
        }
        Ok(())
    }

    fn closed(&mut self, c: char) -> Result<(), CheckError> {
        match (self.open.pop(), c) {
            (Some(('(', ..)), ')') | (Some(('[', ..)), ']') | (Some(('{', ..)), '}') => Ok(()),
            (Some((open, line, column)), _) => {
                Err(self.wrong(&format!("`{c}` does not close the `{open}` of line {line}, column {column}")))
            }
            (None, _) => Err(self.wrong(&format!("`{c}` closes nothing"))),
        }
    }

    /// An identifier, a number, or the prefix of a string: `r'..'` and `br'..'` know no escapes.
    fn word(&mut self, first: char) -> Result<(), CheckError> {
        let mut word = String::from(first);
        while let Some(c) = self.rest.peek().copied().filter(|c| c.is_ascii_alphanumeric() || *c == '_') {
            word.push(c);
            self.next();
        }
        let Some(quote) = self.rest.peek().copied().filter(|c| matches!(c, '\'' | '"')) else {
            return Ok(());
        };
        if first.is_ascii_digit() {
            return Err(self.wrong("a string cannot follow a number"));
        }
        self.next();
        self.text(quote, matches!(word.to_ascii_lowercase().as_str(), "r" | "br"))
    }

    /// The rest of a string. Escapes are checked, because the lexer, once it has refused a string, would go on to
    /// read its inside as code, brackets and all.
    fn text(&mut self, quote: char, raw: bool) -> Result<(), CheckError> {
        let (line, column) = (self.line, self.column);
        let mut triple = false;
        if self.next_is(quote) {
            self.next();
            if !self.next_is(quote) {
                return Ok(());
            }
            self.next();
            triple = true;
        }
        let mut run = 0;
        while let Some(c) = self.next() {
            match c {
                '\\' if !raw => {
                    self.escape()?;
                    run = 0;
                }
                '\n' | '\r' if !triple => break,
                c if c == quote => {
                    run += 1;
                    if !triple || run == 3 {
                        return Ok(());
                    }
                }
                _ => run = 0,
            }
        }
        Err(wrong(line, column, "this string is never closed"))
    }

    /// What follows a backslash: <https://github.com/google/cel-spec/blob/master/doc/langdef.md#string-and-bytes-values>.
    fn escape(&mut self) -> Result<(), CheckError> {
        let (digits, radix) = match self.next() {
            Some('a' | 'b' | 'f' | 'n' | 'r' | 't' | 'v' | '\\' | '\'' | '"' | '`' | '?') => (0, 10),
            Some('x' | 'X') => (2, 16),
            Some('u') => (4, 16),
            Some('U') => (8, 16),
            Some('0'..='3') => (2, 8),
            _ => return Err(self.wrong("unknown escape in a string; in a pattern, write r'..' or a double backslash")),
        };
        for _ in 0..digits {
            if !self.next().is_some_and(|c| c.is_digit(radix)) {
                return Err(self.wrong("this escape in a string needs more digits"));
            }
        }
        Ok(())
    }
}
