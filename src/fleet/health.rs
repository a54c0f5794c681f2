//! Whether a watch is in contact with the API server: it answers `/readyz` and the metric of blindness.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::errors::WatchError;
use super::resource::Resource;
use crate::observability::{Gate, Health};

/// A watch that has heard nothing for so long is blind, and the process is not ready.
const BLIND: Duration = Duration::from_mins(1);
/// How often that is looked at.
const LOOK: Duration = Duration::from_secs(1);

/// The contact of one watch. Clones share it.
#[derive(Clone, Debug)]
pub struct Contact {
    /// Whose.
    pub resource: Resource,
    gate: Gate,
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    synced: bool,
    heard: Instant,
    problem: Option<String>,
}

impl Contact {
    /// No contact yet; its gate is closed until the first list is complete.
    #[must_use]
    pub fn new(resource: Resource, health: &Health) -> Self {
        let gate = health.gate(format!("watch/{}", resource.plural()));
        gate.set_not_ready("not listed yet");
        let state = State { synced: false, heard: Instant::now(), problem: None };
        Self { resource, gate, state: Arc::new(Mutex::new(state)) }
    }

    /// The server said something.
    pub fn heard(&self) {
        let mut state = self.state();
        state.heard = Instant::now();
        state.problem = None;
    }

    /// A list is complete.
    pub fn synced(&self) {
        self.state().synced = true;
        self.gate.set_ready();
    }

    /// The connection failed.
    pub fn lost(&self, error: &WatchError) {
        self.state().problem = Some(error.to_string());
    }

    /// Whether a list was ever complete.
    #[must_use]
    pub fn is_synced(&self) -> bool {
        self.state().synced
    }

    /// Time since the server was heard, while there is no connection.
    #[must_use]
    pub fn blind(&self) -> Duration {
        let state = self.state();
        state.problem.as_ref().map_or(Duration::ZERO, |_| state.heard.elapsed())
    }

    /// Closes the gate of a blind watch, and opens it again.
    fn look(&self) {
        let state = self.state();
        let blind = state.heard.elapsed();
        if !state.synced {
            if let Some(problem) = &state.problem {
                self.gate.set_not_ready(format!("not listed yet: {problem}"));
            }
        } else if blind < BLIND {
            self.gate.set_ready();
        } else {
            let why = state.problem.as_deref().unwrap_or("the API server says nothing");
            self.gate.set_not_ready(format!("blind for over {} s: {why}", BLIND.as_secs()));
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Keeps the gates of all contacts true, for ever.
pub async fn watch_over(contacts: &[Contact]) {
    let mut ticks = tokio::time::interval(LOOK);
    loop {
        ticks.tick().await;
        contacts.iter().for_each(Contact::look);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_watch_is_ready_once_listed_and_not_while_it_is_blind() {
        let health = Health::default();
        let contact = Contact::new(Resource::Namespaces, &health);
        assert_eq!(health.not_ready(), "watch/namespaces: not listed yet\n");
        contact.synced();
        assert_eq!(health.not_ready(), "");
        contact.lost(&WatchError::Timeout(Duration::from_secs(30)));
        tokio::time::advance(Duration::from_secs(59)).await;
        contact.look();
        assert_eq!((health.not_ready().as_str(), contact.blind().as_secs()), ("", 59));
        tokio::time::advance(Duration::from_secs(2)).await;
        contact.look();
        let text = "watch/namespaces: blind for over 60 s: the API server said nothing for 30 s\n";
        assert_eq!(health.not_ready(), text);
        contact.heard();
        contact.look();
        assert_eq!((health.not_ready().as_str(), contact.blind()), ("", Duration::ZERO));
    }
}
