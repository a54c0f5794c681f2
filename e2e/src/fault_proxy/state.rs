//! What the connections and the test share: the plan, the trace, and the answers that are under way.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::body::Disturbance;
use super::plan::{Action, Fault, Plan, Target};
use super::request::RequestInfo;
use super::trace::Exchange;

/// Clones share the same state.
#[derive(Clone, Debug, Default)]
pub(super) struct Shared(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    plan: Plan,
    trace: Vec<Exchange>,
    /// By position in the trace.
    under_way: BTreeMap<usize, UnboundedSender<Disturbance>>,
}

impl Shared {
    /// What a thread that panicked left behind is still whole: each method changes it in one go.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn add(&self, fault: Fault) -> usize {
        self.lock().plan.add(fault)
    }

    pub fn remove(&self, fault: usize) {
        self.lock().plan.remove(fault);
    }

    pub fn met(&self, fault: usize) -> usize {
        self.lock().plan.met(fault)
    }

    pub fn trace(&self) -> Vec<Exchange> {
        self.lock().trace.clone()
    }

    /// Notes a request and asks the plan about it.
    pub fn begin(&self, request: RequestInfo) -> (Option<Action>, Record) {
        let mut state = self.lock();
        let action = state.plan.meet(&request);
        state.trace.push(Exchange::new(request, action.clone()));
        (action, Record { shared: self.clone(), id: state.trace.len() - 1 })
    }

    /// Does something to every answer that is under way; says to how many.
    pub fn disturb(&self, target: &Target, disturbance: &Disturbance) -> usize {
        let state = self.lock();
        let meant = state.under_way.iter().filter(|(id, _)| target.matches(&state.trace[**id].request));
        meant.filter(|(_, orders)| orders.send(disturbance.clone()).is_ok()).count()
    }
}

/// The entry of one request. The exchange has ended when this value has.
#[derive(Debug)]
pub(super) struct Record {
    shared: Shared,
    id: usize,
}

impl Record {
    pub fn answered(&self, code: u16) {
        self.change(|exchange| exchange.code = Some(code));
    }

    pub fn received(&self, bytes: usize) {
        self.change(|exchange| exchange.received += bytes as u64);
    }

    pub fn sent(&self, bytes: usize) {
        self.change(|exchange| exchange.sent += bytes as u64);
    }

    /// From now on the answer can be disturbed.
    pub fn under_way(&self) -> UnboundedReceiver<Disturbance> {
        let (orders, receiver) = unbounded_channel();
        self.shared.lock().under_way.insert(self.id, orders);
        receiver
    }

    fn change(&self, change: impl FnOnce(&mut Exchange)) {
        change(&mut self.shared.lock().trace[self.id]);
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.under_way.remove(&self.id);
        state.trace[self.id].ended = Some(Instant::now());
    }
}
