//! What a warning and a refusal say: what is old, since when or from when on, what to do, where to read on, whom to ask.

use k8s_openapi::jiff::Timestamp;
use serde_json::{Map, Value};

use crate::api::{
    Brownout, BrownoutAction, DeprecationMatch, DeprecationOwner, DeprecationSpec, Replacement, Timeline,
};
use crate::plan::deprecation::Level;
use crate::plan::deprecation::stage::window;
use crate::policy::cel_text::string;

/// Longest fix that is printed. The API server drops a message of more than 5 KiB, and cuts warnings that have more than 4
/// KiB together.
const MAX_FIX: usize = 1024;

/// Brownouts that a warning names.
const MAX_BROWNOUTS: usize = 3;

/// Which dates a message names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum When {
    /// These are to come, or have come.
    Dates(String),
    /// The entry is new, and refuses when its notice is over.
    Owed(Timestamp),
    /// It is refused for a while.
    Brownout {
        /// Its name.
        name: String,
        /// When it is over.
        end: Timestamp,
    },
}

impl When {
    /// What is to come after a warning.
    pub fn ahead(spec: &DeprecationSpec, now: Timestamp) -> Self {
        let create = spec.timeline.block_create_at.as_ref().map(|at| refused("new ones", at.0, now));
        let coming = brownouts(spec, BrownoutAction::DenyCreate, now);
        Self::Dates(join(coming.chain(create).chain(changes(&spec.timeline, now)).chain(goes(&spec.timeline, now))))
    }

    /// What is to come for an object that is old.
    pub fn ahead_of_changes(spec: &DeprecationSpec, now: Timestamp) -> Self {
        let coming = brownouts(spec, BrownoutAction::DenyUpdate, now);
        Self::Dates(join(coming.chain(changes(&spec.timeline, now)).chain(goes(&spec.timeline, now))))
    }

    /// Since when it is refused.
    pub fn since(timeline: &Timeline, level: Level, now: Timestamp) -> Self {
        let (what, date) = match level {
            Level::DenyUpdate => ("new ones and changes that leave it old are refused", &timeline.block_update_at),
            _ => ("new ones are refused", &timeline.block_create_at),
        };
        let since = date.as_ref().map_or_else(|| what.to_owned(), |at| format!("{what} since {}", at.0));
        Self::Dates(join([since].into_iter().chain(goes(timeline, now))))
    }

    /// It is gone.
    pub fn gone(timeline: &Timeline) -> Self {
        let gone = timeline.remove_at.as_ref().map(|at| format!("it is gone since {}", at.0));
        Self::Dates(join(gone))
    }
}

/// The next brownouts that refuse as much as `least`, those in their time among them.
fn brownouts(spec: &DeprecationSpec, least: BrownoutAction, now: Timestamp) -> impl Iterator<Item = String> {
    let ahead = |brownout: &Brownout| {
        let (start, end) = window(brownout);
        (brownout.action >= least && end > now).then(|| (start, end, brownout.name.clone()))
    };
    let mut coming: Vec<_> = spec.brownouts.iter().filter_map(ahead).collect();
    coming.sort();
    let text = |(start, end, name)| format!("it is refused from {start} to {end} (brownout {name})");
    coming.into_iter().take(MAX_BROWNOUTS).map(text)
}

fn changes(timeline: &Timeline, now: Timestamp) -> Option<String> {
    timeline.block_update_at.as_ref().map(|at| refused("changes that leave it old", at.0, now))
}

/// A date that has passed in a stage before it is held by something, which may end at any time.
fn refused(what: &str, at: Timestamp, now: Timestamp) -> String {
    let when =
        if at > now { format!("from {at} on") } else { format!("as soon as nothing holds that (due since {at})") };
    format!("{what} are refused {when}")
}

/// As with what is refused, a date that has passed before the stage is held by something.
fn goes(timeline: &Timeline, now: Timestamp) -> Option<String> {
    let at = timeline.remove_at.as_ref()?.0;
    // nobody announced a block of changes, and yet there is one from then on
    let refuses = timeline.block_create_at.is_some() && timeline.block_update_at.is_none();
    let and = if refuses { ", and changes that leave it old are refused then" } else { "" };
    let when = if at > now { format!("at {at}") } else { format!("as soon as nothing holds that (due since {at})") };
    Some(format!("it goes {when}{and}"))
}

fn join(parts: impl IntoIterator<Item = String>) -> String {
    parts.into_iter().collect::<Vec<_>>().join(", ")
}

/// The words of one policy.
pub struct Words {
    /// ` is deprecated: Shared nginx ingress (Deprecation legacy-ingress, match class); it goes at ...; take ...`
    says: String,
    fix: Option<Fix>,
    /// `; guide: https://...; ask platform at #road`
    help: String,
}

impl Words {
    /// The words about an entry of a Deprecation. A `command` is printed where variable `fits` says that it helps.
    pub fn of(name: &str, spec: &DeprecationSpec, entry: &DeprecationMatch, when: &When, command: bool) -> Self {
        let title = spec.title.as_deref().unwrap_or(name);
        let when = match when {
            When::Dates(dates) if dates.is_empty() => String::new(),
            When::Dates(dates) => format!("; {dates}"),
            When::Owed(end) => format!("; refused from {end} on"),
            When::Brownout { name, end } => format!("; refused until {end} (brownout {name})"),
        };
        let replacement = spec.replacement.as_ref();
        let path = replacement.and_then(|replacement| replacement.golden_path_ref.as_ref());
        let take = path.map(|path| format!("; take GoldenPath {}", path.name)).unwrap_or_default();
        let says = format!(" is deprecated: {title} (Deprecation {name}, match {}){when}{take}", entry.name);
        let guide = replacement.and_then(|replacement| replacement.guide_url.as_ref());
        let guide = guide.map(|url| format!("; guide: {url}"));
        let ask = spec.owner.as_ref().and_then(ask).map(|ask| format!("; {ask}"));
        let fix = replacement.and_then(|replacement| fix(name, replacement, command));
        let help: String = guide.into_iter().chain(ask).collect();
        Self { says: one_line(&says), fix, help: one_line(&help) }
    }

    /// What is said where nothing can be computed.
    pub fn at_least(&self) -> String {
        let fix = self.fix.as_ref().map(Fix::elsewhere).unwrap_or_default();
        format!("it{}{fix}{}", self.says, self.help)
    }

    /// The CEL that prints the message, with the names of the object of the request. Who creates something changes what
    /// is sent; what exists can be patched.
    pub fn cel(&self) -> String {
        let fix = self.fix.as_ref().map(|fix| format!(" + {}", fix.cel()));
        format!("variables.subject + {}{} + {}", string(&self.says), fix.unwrap_or_default(), string(&self.help))
    }
}

/// The variables that messages print.
pub fn variables() -> [(&'static str, String); 2] {
    let metadata = "dyn(object).metadata";
    let name = format!("{metadata}[?'name'].or({metadata}[?'generateName']).orValue('')");
    let namespace = format!("{metadata}[?'namespace']");
    let subject =
        format!("request.kind.kind + ' ' + {namespace}.optMap(n, string(n) + '/').orValue('') + string({name})");
    let group = "(request.resource.group == '' ? '' : '.' + request.resource.group)";
    let place = format!(
        "request.resource.resource + {group} + ' ' + string({name}) \
         + {namespace}.optMap(n, ' -n ' + string(n)).orValue('')"
    );
    [("subject", subject), ("place", place)]
}

fn ask(owner: &DeprecationOwner) -> Option<String> {
    match (&owner.team, &owner.contact) {
        (Some(team), Some(contact)) => Some(format!("ask {team} at {contact}")),
        (Some(one), None) | (None, Some(one)) => Some(format!("ask {one}")),
        (None, None) => None,
    }
}

/// What makes an old object a new one.
struct Fix {
    /// The Deprecation in which it stands.
    deprecation: String,
    form: Form,
}

/// How it is told.
enum Form {
    /// A merge patch as JSON, without spaces: as a command where the object exists, and only where it helps.
    Command(String),
    /// The same, which only changes what is sent.
    Manifest(String),
    /// It is too long.
    Elsewhere,
}

impl Fix {
    /// Where it stands.
    fn elsewhere(&self) -> String {
        format!("; fix: see spec.replacement.fix of Deprecation {}", self.deprecation)
    }

    /// The CEL of what is said about an object that is sent, or exists.
    fn cel(&self) -> String {
        let merge = |patch: &String| string(&format!("; fix: merge {patch} into it"));
        match &self.form {
            Form::Elsewhere => string(&self.elsewhere()),
            Form::Manifest(patch) => merge(patch),
            Form::Command(patch) => {
                // as one word of a shell, whatever the values are
                let word = format!("'{}'", patch.replace('\'', r"'\''"));
                let command = "'; fix: kubectl patch ' + variables.place + ' --type=merge -p ' + ";
                let misses = format!("; spec.replacement.fix of Deprecation {} does not apply to it", self.deprecation);
                format!(
                    "(!variables.fits ? {} : !variables.was ? {} : {command}{})",
                    string(&misses),
                    merge(patch),
                    string(&word)
                )
            }
        }
    }
}

fn fix(name: &str, replacement: &Replacement, command: bool) -> Option<Fix> {
    let patch = &replacement.fix.as_ref()?.patch;
    let text = Value::Object(patch.clone()).to_string();
    let form = match command {
        true => Form::Command(text),
        false if is_printed(patch) => Form::Manifest(text),
        false => Form::Elsewhere,
    };
    Some(Fix { deprecation: name.to_owned(), form })
}

/// Whether a patch is short enough to be printed.
pub fn is_printed(patch: &Map<String, Value>) -> bool {
    Value::Object(patch.clone()).to_string().len() <= MAX_FIX
}

/// A message with a line break is dropped by the API server.
fn one_line(text: &str) -> String {
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if text.starts_with(' ') { format!(" {words}") } else { words }
}
