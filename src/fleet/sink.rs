//! What the watches of the fleet see, on its way into the table.

use serde_json::value::RawValue;

use super::Fleet;
use super::decode::Slim;
use super::errors::{Skipped, WatchError};
use super::health::Contact;
use super::kept::Kept;
use super::watch::Sink;

/// One resource of the fleet, with the contact of its watch.
pub(super) struct FleetSink {
    pub fleet: Fleet,
    pub contact: Contact,
}

impl Sink for FleetSink {
    type Object<'a> = Slim<'a>;

    fn name(&self) -> &str {
        self.contact.resource.plural()
    }

    fn url(&self) -> String {
        self.contact.resource.url()
    }

    fn heard(&self) {
        self.contact.heard();
    }

    fn failed(&self, error: &WatchError) {
        self.contact.lost(error);
        self.fleet.metrics().watch_failed(self.contact.resource.plural(), error.reason());
    }

    fn begin(&self) {
        self.fleet.metrics().listed(self.contact.resource.plural());
        self.fleet.begin(self.contact.resource);
    }

    fn see<'a>(&self, object: &Slim<'_>, raw: impl FnOnce() -> Option<&'a RawValue>) {
        self.fleet.see(self.contact.resource, object, || raw().map(Kept::new));
    }

    fn remove(&self, object: &Slim<'_>) {
        self.fleet.remove(self.contact.resource, object);
    }

    fn skip(&self, why: Skipped) {
        self.fleet.skip(self.contact.resource, why);
    }

    fn complete(&self, version: u64) {
        self.fleet.complete(self.contact.resource, version);
        self.contact.synced();
    }

    fn set_back(&self) {
        self.fleet.set_back(self.contact.resource);
    }
}
