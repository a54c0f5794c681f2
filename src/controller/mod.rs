//! Effects: the drivers of both kinds and everything that talks to the API server.

mod adoption;
mod apply;
mod backoff;
mod beside;
mod children;
mod context;
mod errors;
mod events;
mod fallback;
mod feedback;
mod in_force;
mod kinds;
mod make;
mod observe;
mod orphans;
mod path;
mod policies;
mod put_backs;
mod requests;
mod restarts;
mod revisions;
pub mod run;
mod service;
mod slim;
mod write_status;
