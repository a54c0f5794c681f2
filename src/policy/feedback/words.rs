//! What a warning and a refusal say, as text and as the CEL that prints the same text in the API server.

use crate::api::{PathOwner, labels};
use crate::plan::feedback::checked;
use crate::plan::revision::{Revision, Rule};
use crate::plan::verdict::advice;
use crate::policy::cel_text::string;
use crate::policy::metadata::label;

/// Longest list in which each default says what to do and why, in characters.
const MAX_TOLD: usize = 800;
/// Longest list in which each default says what to do. Beyond it only the first one does, the others are named: the API
/// server drops a message of more than 5 KiB, and a person does not read it.
const MAX_HINTS: usize = 1500;

/// Before the names of the defaults that a path would fill.
const FILLS: &str = "; the path fills by itself, once a PlatformService names it: ";

/// The words of one revision's feedback.
pub struct Words {
    /// ` does not keep to GoldenPath web: `
    keeps: String,
    /// `; docs: https://...; ask platform at #road`, empty where the path names nobody.
    help: String,
    /// `default requests: Set resources.requests on every container; why: ...`, one a checked default.
    told: Vec<String>,
    /// The same without a reason.
    hints: Vec<String>,
    /// The name of the default, if its values can be filled.
    fills: Vec<Option<String>>,
}

impl Words {
    /// The words of a revision.
    pub fn of(revision: &Revision) -> Self {
        let told = |rule: &Rule| {
            one_line(&format!("default {}: {}", rule.name, advice(rule, None))).trim_end_matches('.').to_owned()
        };
        let hint = |rule: &Rule| {
            let mut rule = rule.clone();
            rule.reason = None;
            told(&rule)
        };
        let fills = |rule: &Rule| {
            let mut wishes = revision.road.0.iter().flat_map(|line| line.wishes.iter());
            wishes.any(|wish| wish.default == rule.name).then(|| rule.name.clone())
        };
        let help = revision.owner.as_ref().and_then(PathOwner::help);
        Self {
            keeps: format!(" does not keep to GoldenPath {}: ", revision.path),
            help: help.map(|help| one_line(&format!("; {help}"))).unwrap_or_default(),
            told: checked(revision).map(told).collect(),
            hints: checked(revision).map(hint).collect(),
            fills: checked(revision).map(fills).collect(),
        }
    }

    /// What is said of `subject`, such as `Deployment web`, when the checks at these positions do not hold and it is refused.
    pub fn refusal(&self, subject: &str, failing: &[usize]) -> String {
        let list = |of: &[String]| failing.iter().filter_map(|n| of.get(*n)).cloned().collect::<Vec<_>>();
        let (told, hints) = (list(&self.told).join("; "), list(&self.hints));
        let all = hints.join("; ");
        let body = match hints.split_first() {
            _ if told.chars().count() <= MAX_TOLD => told,
            Some((first, others)) if all.chars().count() > MAX_HINTS => {
                let names: Vec<&str> = others.iter().map(|told| told.split(": ").next().unwrap_or_default()).collect();
                format!("{first}; and {} more: {}", others.len(), names.join(", "))
            }
            _ => all,
        };
        format!("{subject}{}{body}{}", self.keeps, self.help)
    }

    /// The same as a warning of a workload that nobody has adopted.
    pub fn warning(&self, subject: &str, failing: &[usize]) -> String {
        let fills: Vec<&str> = failing.iter().filter_map(|n| self.fills.get(*n)?.as_deref()).collect();
        let fills = if fills.is_empty() { String::new() } else { format!("{FILLS}{}", fills.join(", ")) };
        format!("{}{fills}", self.refusal(subject, failing))
    }

    /// The CEL of [`Self::refusal`], over the [`Self::lists`].
    pub fn refusal_cel(&self) -> String {
        let [told, hints] = ["variables.told.join('; ')", "variables.hints.join('; ')"];
        let names = "variables.hints.filter(h, h != variables.hints[0]).map(h, h.split(': ')[0]).join(', ')";
        format!(
            "variables.subject + {} + ({told}.size() <= {MAX_TOLD} ? {told} : {hints}.size() <= {MAX_HINTS} ? {hints} \
             : variables.hints[0] + '; and ' + string(variables.hints.size() - 1) + ' more: ' + {names}) + {}",
            string(&self.keeps),
            string(&self.help)
        )
    }

    /// The CEL of [`Self::warning`].
    pub fn warning_cel(&self) -> String {
        let adopted = label("dyn(object)", labels::PATH);
        format!(
            "{} + (variables.fills.size() == 0 || {adopted}.hasValue() ? '' : {} + variables.fills.join(', '))",
            self.refusal_cel(),
            string(FILLS)
        )
    }

    /// The variables that these messages print: lists with an item for each check for which `<prefix><number>` is true.
    pub fn lists(&self, prefix: &str) -> [(&'static str, String); 3] {
        let list = |items: &mut dyn Iterator<Item = (usize, &String)>| {
            let line = |(n, item): (usize, &String)| format!("({prefix}{n} ? [{}] : [])", string(item));
            let lines: Vec<String> = items.map(line).collect();
            // `[]` alone would be a list of nothing that is known
            if lines.is_empty() { "[''].filter(none, false)".to_owned() } else { lines.join("\n + ") }
        };
        let mut fills = self.fills.iter().enumerate().filter_map(|(n, name)| Some((n, name.as_ref()?)));
        [
            ("told", list(&mut self.told.iter().enumerate())),
            ("hints", list(&mut self.hints.iter().enumerate())),
            ("fills", list(&mut fills)),
        ]
    }

    /// What is said of one check where nothing can be computed.
    pub fn alone(&self, n: usize) -> String {
        self.refusal("it", &[n])
    }

    /// What is said where not even a list could be printed.
    pub fn at_least(&self) -> String {
        format!("it{}some checks do not hold{}", self.keeps, self.help)
    }
}

/// A message with a line break is dropped by the API server.
fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::api::{GoldenPath, GoldenPathSpec, PathDefault};

    /// The words of a path whose defaults `d0`, `d1`, .. have these hints and a reason. The first one fills something.
    fn words(hints: &[&str], reason: &str) -> Words {
        let fill = json!({"spec": {"automountServiceAccountToken": false}}).as_object().cloned();
        let default = |(n, hint): (usize, &&str)| PathDefault {
            name: format!("d{n}"),
            check: Some("true".into()),
            hint: Some((*hint).into()),
            reason: Some(reason.into()),
            pod_template: fill.clone().filter(|_| n == 0),
            ..PathDefault::default()
        };
        let defaults = hints.iter().enumerate().map(default).collect();
        let owner = PathOwner { docs_url: Some("https://d".into()), ..PathOwner::default() };
        let spec = GoldenPathSpec { owner: Some(owner), defaults, ..GoldenPathSpec::default() };
        Words::of(&Revision::draft(&GoldenPath::new("web", spec)).unwrap())
    }

    #[test]
    fn everything_is_said_at_once_and_where_to_read_on() {
        let words = words(&["Do it.", "Do\nthis  too.", "Not this."], "It breaks.");
        assert_eq!(
            words.refusal("Deployment shop", &[0, 1]),
            "Deployment shop does not keep to GoldenPath web: default d0: Do it; why: It breaks; \
             default d1: Do this too; why: It breaks; docs: https://d"
        );
    }

    #[test]
    fn a_warning_says_what_comes_by_itself_after_adoption() {
        let words = words(&["Do it.", "Do this."], "It breaks.");
        let fills = "; the path fills by itself, once a PlatformService names it: d0";
        assert_eq!(words.warning("it", &[0, 1]), format!("{}{fills}", words.refusal("it", &[0, 1])));
        assert_eq!(words.warning("it", &[1]), words.refusal("it", &[1]));
    }

    #[test]
    fn reasons_are_left_out_first_and_hints_then() {
        let many: Vec<&str> = std::iter::repeat_n("Do it.", 10).collect();
        let told = words(&many, &"r".repeat(200)).refusal("it", &[0, 1, 2, 3, 4]);
        assert!(told.contains("default d4: Do it") && !told.contains("why"), "{told}");
        let long = "x".repeat(500);
        let told = words(&[&long, "b", &long, &long], "r").refusal("it", &[0, 1, 2, 3]);
        assert!(told.ends_with("; and 3 more: default d1, default d2, default d3; docs: https://d"), "{told}");
        assert!(told.contains(&long) && told.chars().count() < MAX_TOLD);
    }
}
