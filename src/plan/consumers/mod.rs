//! Who still uses what is old: which resources a Deprecation looks at, and whether an object of them matches.
//!
//! ```text
//!  matches ── resolve(served resources) ──> what to watch, and what cannot be
//!  object ─── Matcher::look ──────────────> matched (by whom), not matched, or unevaluable
//!  object ─── remedy(fix) ────────────────> the patch that makes it a new one, or why the fix does not
//! ```
//!
//! The compiled policies of a stage ask the same of an object in the API server: what is counted here is what is warned
//! of there.

pub mod exempt;
pub mod fix;
pub mod images;
pub mod matcher;
pub mod resolve;
pub mod sight;

pub use fix::{Remedy, Unfit};
pub use matcher::{InvalidMatch, Matcher, Sight};
pub use resolve::{Resolved, Served, Unresolved, resolve};
pub use sight::{InSight, Problem};
