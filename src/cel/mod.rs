//! CEL checks: boolean expressions that platform engineers write about workloads, and that we do not trust.
//!
//! A check is compiled once and evaluated on every object of a fleet, and the same text goes into generated admission
//! policies. So it must mean here what it means in an API server
//! (<https://kubernetes.io/docs/reference/using-api/cel/>), and where that is not certain it is refused by name.
//!
//! ```text
//! source ── limits ──> parser of the `cel` crate ── lower ──> nodes ── eval(subject) ──> true | false | error
//!           length,    on a thread with a           types,             metered, borrows
//!           brackets   large stack                  names, depth       the JSON it reads
//! ```
//!
//! Only the parser of the `cel` crate is used. Its interpreter has no cost limit and copies values deeply: on a list of
//! 100, `l.map(x, l.map(y, object)).size() == 100` takes 10 s and 218 MB (debug build, cel 0.15.0), here 3 ms. It also
//! has no types, so that it accepts what an API server refuses, and panics that would abort a release build.

mod calls;
mod convert;
mod error;
mod eval;
mod functions;
#[cfg(test)]
mod hostile;
mod limits;
mod lower;
mod macros;
mod node;
mod pattern;
mod quantity;
mod signatures;
#[cfg(test)]
mod tests;
mod types;
mod value;

use std::sync::Arc;

use serde_json::Value as Json;

pub use error::CheckError;
use eval::Evaluation;
use limits::{Fault, MAX_COST};
use lower::Lowering;
use node::Node;
pub use quantity::compare_quantities;

/// Stack of the thread that parses. The worst sources found need 8 to 16 MiB in a debug build, 2,048 operators in a
/// row among them. Only what is used becomes real memory.
const PARSER_STACK: usize = 128 * 1024 * 1024;

/// A compiled check. Copies share one compilation.
#[derive(Clone, Debug)]
pub struct Check(Arc<Compiled>);

#[derive(Debug)]
struct Compiled {
    source: Box<str>,
    node: Node,
}

/// What a check is asked about; `null` where there is nothing.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// `object`: the workload.
    pub object: &'a Json,
    /// `namespaceObject`: its namespace.
    pub namespace_object: &'a Json,
    /// `variables.template`: its pod template, wherever the kind keeps it.
    pub template: &'a Json,
}

impl Check {
    /// Compiles an expression.
    ///
    /// Takes 0.1 to 0.5 ms, on a thread of its own. Nothing is evaluated but conversions of literals.
    pub fn compile(source: &str) -> Result<Self, CheckError> {
        let compiled = limits::check_source(source).and_then(|()| on_large_stack(source));
        let node = compiled.map_err(CheckError::shortened)?;
        Ok(Self(Arc::new(Compiled { source: source.into(), node })))
    }

    /// The expression as written.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.0.source
    }

    /// Whether the check holds for a subject. The same subject always gives the same answer.
    pub fn evaluate(&self, subject: &Subject<'_>) -> Result<bool, CheckError> {
        Evaluation::new(subject).truth(&self.0.node).map_err(|fault| match fault {
            Fault::TooCostly => CheckError::TooCostly { max: MAX_COST },
            Fault::Failed(message) => CheckError::Failed { message }.shortened(),
        })
    }
}

fn on_large_stack(source: &str) -> Result<Node, CheckError> {
    let owned = source.to_owned();
    let not_compiled = |message: &str| CheckError::DoesNotCompile { message: message.to_owned() };
    std::thread::Builder::new()
        .name("cel-parser".into())
        .stack_size(PARSER_STACK)
        .spawn(move || parse(&owned))
        .map_err(|error| not_compiled(&format!("no thread could be started for it ({error}); try again")))?
        .join()
        .unwrap_or_else(|_| Err(not_compiled("the parser failed on it; write it more simply")))
}

/// Parses and compiles; the syntax tree, which may be thousands deep, is also dropped here, on the large stack.
fn parse(source: &str) -> Result<Node, CheckError> {
    let parser = ::cel::Env::default().parser();
    let (expr, info) = parser.parse_with_source_info(source).map_err(|errors| syntax_error(&errors))?;
    Lowering::new(&info).check(&expr)
}

/// The first thing the grammar stumbled over; what else the parser reports follows from it.
fn syntax_error(errors: &::cel::ParseErrors) -> CheckError {
    let mut all = errors.errors.iter();
    let error = all.clone().find(|error| error.msg.starts_with("Syntax error")).or_else(|| all.next());
    let message = error.map_or_else(String::new, |error| {
        // the list of all tokens that could follow helps nobody
        let what = error.msg.split(" expecting ").next().unwrap_or_default();
        format!("{} (line {}, column {})", what.trim_end_matches('.'), error.pos.0, error.pos.1)
    });
    CheckError::DoesNotCompile { message }
}
