//! What went through the proxy: one entry a request, in the order in which they came.

use std::fmt;
use std::time::Instant;

use super::plan::Action;
use super::request::RequestInfo;

/// One request and its answer, as far as it has come.
#[derive(Clone, Debug)]
pub struct Exchange {
    /// What was asked.
    pub request: RequestInfo,
    /// The fault that it met.
    pub fault: Option<Action>,
    /// When it came.
    pub started: Instant,
    /// HTTP status of the answer, once there is one.
    pub code: Option<u16>,
    /// Bytes of the answer's body that the API server sent.
    pub received: u64,
    /// Bytes of the answer's body that the client got.
    pub sent: u64,
    /// When the answer was complete, cut, or no longer wanted by the client.
    pub ended: Option<Instant>,
}

impl Exchange {
    pub(super) fn new(request: RequestInfo, fault: Option<Action>) -> Self {
        Self { request, fault, started: Instant::now(), code: None, received: 0, sent: 0, ended: None }
    }
}

impl fmt::Display for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} -> ", self.request)?;
        match self.code {
            Some(code) => write!(f, "{code}")?,
            None => f.write_str("no answer")?,
        }
        write!(f, ", {} of {} bytes", self.sent, self.received)?;
        match self.ended {
            Some(ended) => write!(f, " in {:?}", ended - self.started)?,
            None => write!(f, ", open for {:?}", self.started.elapsed())?,
        }
        self.fault.as_ref().map_or(Ok(()), |fault| write!(f, " [{fault:?}]"))
    }
}
