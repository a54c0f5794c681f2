//! The body of an answer on its way to the client: passed on as it comes, or disturbed.

use std::collections::VecDeque;
use std::io;
use std::time::Duration;

use futures::{Stream, stream};
use http_body_util::BodyExt;
use hyper::body::{Bytes, Frame};
use kube::client::Body;
use tokio::sync::mpsc::UnboundedReceiver;

use super::state::Record;

/// hyper writes out what it has when a body has nothing more for now. Before a cut it gets this long to do so, else the
/// bytes before the cut would be lost with the connection.
const FLUSH: Duration = Duration::from_millis(10);

/// What is done to an answer that is under way, such as to a running watch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Disturbance {
    /// A line is put in between the lines of the API server; the line break is added.
    Line(Vec<u8>),
    /// So many more bytes arrive, then the connection is closed without an end.
    Cut {
        /// Bytes that arrive.
        after: usize,
    },
    /// Nothing arrives any more, and the connection stays open: half-open.
    Hang,
    /// The answer ends as if it were complete.
    End,
}

/// How an answer goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Course {
    Pass,
    Hang,
    Cut { left: usize },
    Drip { bytes: usize, pause: Duration },
}

/// An answer under way.
pub(super) struct Answer {
    pub upstream: Body,
    pub orders: UnboundedReceiver<Disturbance>,
    pub record: Record,
    pub course: Course,
    lines: VecDeque<Vec<u8>>,
    rest: Bytes,
    at_line_start: bool,
}

/// What happens next.
enum Next {
    Order(Disturbance),
    Data(Bytes),
    End,
    Broken(kube::Error),
}

type Item = Result<Frame<Bytes>, io::Error>;

impl Answer {
    pub fn new(upstream: Body, orders: UnboundedReceiver<Disturbance>, record: Record, course: Course) -> Self {
        Self { upstream, orders, record, course, lines: VecDeque::new(), rest: Bytes::new(), at_line_start: true }
    }

    /// The body that the client gets.
    pub fn into_stream(self) -> impl Stream<Item = Item> + Send {
        stream::unfold(Some(self), async |answer| {
            let mut answer = answer?;
            let item = answer.next().await?;
            // After an error there is nothing more to ask for.
            let rest = item.is_ok().then_some(answer);
            Some((item, rest))
        })
    }

    async fn next(&mut self) -> Option<Item> {
        loop {
            if let Some(item) = self.ready().await {
                return Some(item);
            }
            match self.wait().await {
                Next::Order(Disturbance::Hang) => self.course = Course::Hang,
                Next::Order(Disturbance::Cut { after }) => self.course = Course::Cut { left: after },
                Next::Order(Disturbance::Line(mut line)) => {
                    line.push(b'\n');
                    self.lines.push_back(line);
                }
                Next::Data(data) => self.rest = data,
                Next::Broken(error) => return Some(Err(io::Error::other(error))),
                // Half-open means that the end does not arrive either.
                Next::End if self.course == Course::Hang => std::future::pending().await,
                Next::Order(Disturbance::End) | Next::End => return None,
            }
        }
    }

    /// What can be sent now.
    async fn ready(&mut self) -> Option<Item> {
        if self.rest.is_empty() && self.at_line_start && self.course != Course::Hang {
            self.rest = self.lines.pop_front().map(Bytes::from).unwrap_or_default();
        }
        let count = match &mut self.course {
            Course::Hang => {
                self.rest.clear();
                return None;
            }
            Course::Cut { left: 0 } => {
                tokio::time::sleep(FLUSH).await;
                return Some(Err(io::Error::new(io::ErrorKind::ConnectionAborted, "cut by the plan of faults")));
            }
            Course::Cut { left } => {
                let count = self.rest.len().min(*left);
                *left -= count;
                count
            }
            Course::Drip { bytes, pause } if !self.rest.is_empty() => {
                tokio::time::sleep(*pause).await;
                self.rest.len().min(*bytes)
            }
            Course::Drip { .. } | Course::Pass => self.rest.len(),
        };
        if count == 0 {
            return None;
        }
        let data = self.rest.split_to(count);
        self.at_line_start = data.ends_with(b"\n");
        self.record.sent(data.len());
        Some(Ok(Frame::data(data)))
    }

    async fn wait(&mut self) -> Next {
        loop {
            let frame = tokio::select! {
                biased;
                Some(order) = self.orders.recv() => return Next::Order(order),
                frame = self.upstream.frame() => frame,
            };
            match frame.map(|frame| frame.map(Frame::into_data)) {
                None => return Next::End,
                Some(Err(error)) => return Next::Broken(error),
                Some(Ok(Err(_trailers))) => (),
                Some(Ok(Ok(data))) => {
                    self.record.received(data.len());
                    return Next::Data(data);
                }
            }
        }
    }
}
