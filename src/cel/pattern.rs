//! Regular expressions as an API server reads them.
//!
//! cel-go uses Go's RE2 syntax, Rust's `regex` is close but not the same: `\d` is Unicode there and ASCII in Go, `[[a]`
//! is a nested class, `\<` a word boundary, `a**` a repetition. So a pattern is translated piece by piece, and what has
//! no certain counterpart is refused. Both engines run in time linear in the text, with leftmost-first matches
//! (<https://github.com/google/re2/wiki/Syntax>).

use std::fmt::Write;
use std::iter::Peekable;
use std::str::Chars;

use regex::{Regex, RegexBuilder};

use super::limits::{Fault, Meter};

/// Go refuses counted repetitions beyond this, nested ones multiplied.
const MAX_REPEAT: usize = 1000;
/// Bytes of a compiled pattern.
const MAX_COMPILED: usize = 256 * 1024;

/// A compiled pattern.
#[derive(Debug)]
pub(super) struct Pattern {
    regex: Regex,
    /// States, roughly: what one byte of text costs.
    weight: usize,
}

impl Pattern {
    /// Compiles a pattern in Go's syntax.
    pub(super) fn new(pattern: &str) -> Result<Self, String> {
        let mut translation =
            Translation { rest: pattern.chars().peekable(), out: String::new(), groups: vec![1], weight: 0 };
        translation.all()?;
        let weight = translation.weight;
        RegexBuilder::new(&translation.out)
            .size_limit(MAX_COMPILED)
            .dfa_size_limit(MAX_COMPILED)
            .build()
            .map(|regex| Self { regex, weight })
            .map_err(|error| match error {
                regex::Error::CompiledTooBig(_) => "it is too large once its repetitions are written out".into(),
                other => other.to_string().lines().last().unwrap_or_default().trim().to_owned(),
            })
    }

    /// The regex, after paying for a search of `text`.
    pub(super) fn search(&self, text: &str, meter: &mut Meter) -> Result<&Regex, Fault> {
        meter.charge((text.len() + 1).saturating_mul(self.weight).div_ceil(10))?;
        Ok(&self.regex)
    }
}

struct Translation<'a> {
    rest: Peekable<Chars<'a>>,
    out: String,
    /// For each open group the largest product of counted repetitions in it.
    groups: Vec<usize>,
    weight: usize,
}

impl Translation<'_> {
    fn all(&mut self) -> Result<(), String> {
        // the repetitions inside of the last atom; `None` where nothing can be repeated
        let mut atom: Option<usize> = None;
        while let Some(c) = self.rest.next() {
            self.weight += 1;
            atom = match c {
                '(' => {
                    self.group()?;
                    None
                }
                ')' => {
                    self.out.push(')');
                    let inner = self.groups.pop().unwrap_or(1);
                    if self.groups.is_empty() {
                        return Err("`)` closes nothing".into());
                    }
                    self.repeated(inner);
                    Some(inner)
                }
                '[' => {
                    self.class()?;
                    Some(1)
                }
                '|' => {
                    self.out.push('|');
                    None
                }
                '*' | '+' | '?' | '{' => {
                    self.repetition(c, atom)?;
                    None
                }
                '.' | '^' | '$' => {
                    self.out.push(c);
                    Some(1)
                }
                '\\' => {
                    self.escape()?;
                    Some(1)
                }
                literal => {
                    self.literal(literal);
                    Some(1)
                }
            };
        }
        Ok(())
    }

    fn literal(&mut self, c: char) {
        self.out.push_str(&regex::escape(c.encode_utf8(&mut [0; 4])));
    }

    fn repeated(&mut self, times: usize) {
        if let Some(group) = self.groups.last_mut() {
            *group = (*group).max(times);
        }
    }

    /// `(`, `(?:`, `(?P<name>`, `(?<name>`, or flags.
    fn group(&mut self) -> Result<(), String> {
        self.groups.push(1);
        if self.rest.next_if_eq(&'?').is_none() {
            self.out.push('(');
            return Ok(());
        }
        self.out.push_str("(?");
        if self.rest.peek() == Some(&'P') || self.rest.peek() == Some(&'<') {
            self.rest.next_if_eq(&'P');
            self.rest.next_if_eq(&'<').ok_or("after `(?P` a group's name in `<>` is expected")?;
            self.out.push_str("P<");
            while let Some(c) = self.rest.next_if(|c| c.is_ascii_alphanumeric() || *c == '_') {
                self.out.push(c);
            }
            self.rest.next_if_eq(&'>').ok_or("a group's name has letters, digits and `_` only")?;
            self.out.push('>');
            return Ok(());
        }
        while let Some(c) = self.rest.next_if(|c| matches!(c, 'i' | 'm' | 's' | '-')) {
            self.out.push(c);
        }
        match self.rest.next() {
            Some(':') => self.out.push(':'),
            Some(')') => {
                self.out.push(')');
                self.groups.pop();
            }
            _ => return Err("after `(?` only `:`, `P<name>`, `<name>` and the flags i, m, s are understood".into()),
        }
        Ok(())
    }

    /// `*`, `+`, `?` or `{n,m}`, each perhaps lazy. Go refuses a second one, Rust would nest them.
    fn repetition(&mut self, c: char, atom: Option<usize>) -> Result<(), String> {
        let Some(inner) = atom else {
            return Err(format!("`{c}` has nothing to repeat"));
        };
        self.out.push(c);
        if c == '{' {
            let mut bounds = String::new();
            while let Some(c) = self.rest.next_if(|c| c.is_ascii_digit() || *c == ',') {
                bounds.push(c);
            }
            self.rest.next_if_eq(&'}').ok_or(r"`{` starts a repetition such as {2,3}; write \{ for the character")?;
            let times = count(&bounds).ok_or("a repetition is {n}, {n,} or {n,m} with n <= m <= 1000")?;
            let product = inner.saturating_mul(times.max(1));
            if product > MAX_REPEAT {
                return Err("repetitions may not exceed 1000, nested ones multiplied".into());
            }
            self.weight += product;
            self.repeated(product);
            self.out.push_str(&bounds);
            self.out.push('}');
        }
        if self.rest.next_if_eq(&'?').is_some() {
            self.out.push('?');
        }
        Ok(())
    }

    /// An escape outside of a class.
    fn escape(&mut self) -> Result<(), String> {
        match self.rest.next() {
            Some('d') => self.out.push_str("[0-9]"),
            Some('D') => self.out.push_str("[^0-9]"),
            Some('w') => self.out.push_str("[0-9A-Za-z_]"),
            Some('W') => self.out.push_str("[^0-9A-Za-z_]"),
            Some('s') => self.out.push_str(r"[\t\n\f\r ]"),
            Some('S') => self.out.push_str(r"[^\t\n\f\r ]"),
            Some('b') => self.out.push_str(r"(?-u:\b)"),
            Some('A') => self.out.push_str(r"\A"),
            Some('z') => self.out.push_str(r"\z"),
            other => {
                let c = self.escaped(other)?;
                self.literal(c);
            }
        }
        Ok(())
    }

    /// The character an escape stands for.
    fn escaped(&mut self, c: Option<char>) -> Result<char, String> {
        match c {
            Some('t') => Ok('\t'),
            Some('n') => Ok('\n'),
            Some('r') => Ok('\r'),
            Some('f') => Ok('\u{c}'),
            Some('v') => Ok('\u{b}'),
            Some('a') => Ok('\u{7}'),
            Some('x') => {
                let digits: String = (0..2).filter_map(|_| self.rest.next_if(char::is_ascii_hexdigit)).collect();
                u8::from_str_radix(&digits, 16)
                    .ok()
                    .filter(|_| digits.len() == 2)
                    .map(char::from)
                    .ok_or_else(|| r"after \x two hexadecimal digits are expected".into())
            }
            Some(c) if c.is_ascii_punctuation() => Ok(c),
            Some(c) => Err(format!(r"\{c} is not supported")),
            None => Err(r"it ends with a \".into()),
        }
    }

    /// `[..]`, with every member written as a number so that none is taken for syntax.
    fn class(&mut self) -> Result<(), String> {
        self.out.push('[');
        if self.rest.next_if_eq(&'^').is_some() {
            self.out.push('^');
        }
        let mut first = true;
        loop {
            let c = self.rest.next().ok_or("`[` is never closed")?;
            match c {
                ']' if !first => break,
                '[' if self.rest.peek() == Some(&':') => self.named_class()?,
                '\\' if self.rest.peek().is_some_and(|c| "dDwWsS".contains(*c)) => self.escape()?,
                c => {
                    let low = if c == '\\' {
                        let next = self.rest.next();
                        self.escaped(next)?
                    } else {
                        c
                    };
                    self.member(low);
                    self.range()?;
                }
            }
            first = false;
        }
        self.out.push(']');
        Ok(())
    }

    fn member(&mut self, c: char) {
        // writing to a String cannot fail
        let _ = write!(self.out, r"\x{{{:x}}}", u32::from(c));
    }

    /// The `-b` of `a-b`, if there is one; a `-` before `]` is a member.
    fn range(&mut self) -> Result<(), String> {
        let mut ahead = self.rest.clone();
        if ahead.next() != Some('-') || matches!(ahead.next(), Some(']') | None) {
            return Ok(());
        }
        self.rest.next();
        let high = match self.rest.next() {
            Some('\\') => {
                let next = self.rest.next();
                self.escaped(next)?
            }
            Some(c) => c,
            None => return Err("`[` is never closed".into()),
        };
        self.out.push('-');
        self.member(high);
        Ok(())
    }

    /// `[:alpha:]`, which is ASCII in both.
    fn named_class(&mut self) -> Result<(), String> {
        const NAMES: &[&str] = &[
            "alnum", "alpha", "ascii", "blank", "cntrl", "digit", "graph", "lower", "print", "punct", "space", "upper",
            "word", "xdigit",
        ];
        self.rest.next();
        let negated = if self.rest.next_if_eq(&'^').is_some() { "^" } else { "" };
        let mut name = String::new();
        while let Some(c) = self.rest.next_if(char::is_ascii_lowercase) {
            name.push(c);
        }
        let closed = self.rest.next_if_eq(&':').is_some() && self.rest.next_if_eq(&']').is_some();
        if !closed || !NAMES.contains(&name.as_str()) {
            return Err(format!("[:{name}:] is no class of characters"));
        }
        let _ = write!(self.out, "[:{negated}{name}:]");
        Ok(())
    }
}

/// How often `n`, `n,` or `n,m` repeats at most.
fn count(bounds: &str) -> Option<usize> {
    let number = |text: &str| text.parse::<usize>().ok().filter(|n| *n <= MAX_REPEAT && text.len() < 5);
    match bounds.split_once(',') {
        None => number(bounds),
        Some((low, "")) => number(low),
        Some((low, high)) => number(high).filter(|high| number(low).is_some_and(|low| low <= *high)),
    }
}

#[cfg(test)]
mod tests {
    use super::{Meter, Pattern};

    fn matches(pattern: &str, text: &str) -> bool {
        Pattern::new(pattern).unwrap().search(text, &mut Meter::new()).unwrap().is_match(text)
    }

    #[test]
    fn classes_are_ascii_as_in_go() {
        for (pattern, text) in [(r"\d", "٣"), (r"\w", "é"), (r"\s", "\u{a0}"), (r"[\d]", "٣"), ("[[:alpha:]]", "é")]
        {
            assert!(!matches(pattern, text), "{pattern} {text}");
        }
        assert!(matches(r"^\D\W\S$", "éé€"));
        assert!(matches(r"é\b", "éa"), "é is no word character in Go");
    }

    #[test]
    fn brackets_in_a_class_are_plain_characters() {
        for (pattern, text) in
            [("^[[a]$", "["), ("^[]a]$", "]"), ("^[a&&b]$", "&"), ("^[a~~b]$", "~"), (r"^[\-a]$", "-"), ("^[a-]$", "-")]
        {
            assert!(matches(pattern, text), "{pattern} {text}");
        }
        assert!(matches(r"\<a", "<a"), "no word boundary in Go");
    }

    #[test]
    fn patterns_go_refuses_or_reads_otherwise_are_refused() {
        for pattern in [
            "(",
            ")",
            "a)",
            "[a",
            "a**",
            "a{2}{3}",
            "*a",
            "a{1001}",
            "(a{40}){40}",
            "a{3,2}",
            "{",
            "a{,2}",
            r"\q",
            r"\B",
            r"\pL",
            r"\Qa",
            "(?x)a",
            "(?<!a)b",
            "(?=a)",
            "(?P=n)",
            r"\1",
            r"a\",
            "[b-a]",
            "[[:word]",
            "[[:nope:]]",
            r"\u0041",
            r"\x4",
            "(?P<n",
        ] {
            assert!(Pattern::new(pattern).is_err(), "{pattern}");
        }
    }

    #[test]
    fn what_go_accepts_is_translated() {
        for (pattern, text) in [
            ("^a{2,3}?$", "aaa"),
            ("(?i)ABC", "xabcx"),
            ("^(?:a|b)+$", "abba"),
            ("^(?P<n>a)(?<m>b)$", "ab"),
            ("(?s)a.b", "a\nb"),
            (r"^\x41\.\/$", "A./"),
            ("^[^0-9]$", "é"),
            ("^[[:^digit:]x]$", "é"),
            (r"\Aa\z", "a"),
            ("}]", "}]"),
            ("(?-i:a)", "a"),
            ("^$", ""),
        ] {
            assert!(matches(pattern, text), "{pattern} {text}");
        }
    }
}
