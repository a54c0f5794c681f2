//! How many stories run at a time: as many as there are processors, more while these idle and no story minds, and whoever
//! measures time alone.
//!
//! Many stories wait for a minute to pass, others keep both processors busy: a number of threads suits one of them. So there
//! are threads enough, and a story is let in as `make --load-average` begins a job.

use std::cell::RefCell;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::anyhow;
use tokio::sync::{Mutex, MutexGuard, Notify, OnceCell};
use tokio::time::timeout;

/// So long the processors are looked at. What was let in last is under way by then.
const LOOK: Duration = Duration::from_secs(2);
/// Such a share of their time they have to idle.
const IDLE: f64 = 0.5;

static RUNNING: AtomicUsize = AtomicUsize::new(0);
/// Those of them that run among few.
static AMONG_FEW: AtomicUsize = AtomicUsize::new(0);
/// For who stands at the door.
static ENDED: Notify = Notify::const_new();
/// One at a time is let in. Whoever runs alone keeps it shut.
static DOOR: Mutex<()> = Mutex::const_new(());

thread_local! {
    /// The story of this thread: the test harness gives each its own.
    static STORY: RefCell<Option<Story>> = const { RefCell::new(None) };
}

/// What a story can bear beside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Others {
    Many,
    Few,
    None,
}

/// Ends with its thread, also when it panics.
struct Story {
    others: Others,
    _door: Option<MutexGuard<'static, ()>>,
}

impl Drop for Story {
    fn drop(&mut self) {
        if self.others == Others::Few {
            AMONG_FEW.fetch_sub(1, Ordering::Relaxed);
        }
        RUNNING.fetch_sub(1, Ordering::Relaxed);
        ENDED.notify_one();
    }
}

/// Waits until there is room for the story of this thread; does nothing when it has begun already.
///
/// One that reckons with the time begins before it looks at the clock.
pub async fn begin() {
    enter(Others::Many).await;
}

/// As [`begin`], for a story that has to be served within seconds: until it has ended, no more stories begin than there are
/// processors.
///
/// To be called before anything else.
pub async fn among_few() {
    enter(Others::Few).await;
}

/// Waits until no other story runs, and lets none begin until the story of this thread has ended.
///
/// To be called before anything else.
pub async fn alone() {
    enter(Others::None).await;
}

async fn enter(others: Others) {
    if let Some(begun) = STORY.with_borrow(|story| story.as_ref().map(|story| story.others)) {
        assert!(
            others == Others::Many || others == begun,
            "the story has begun {begun:?}, it is too late for {others:?}"
        );
        return;
    }
    let door = DOOR.lock().await;
    let most = if others == Others::None { 1 } else { processors() };
    while RUNNING.load(Ordering::Relaxed) >= most {
        let before = times();
        let ended = timeout(LOOK, ENDED.notified()).await.is_ok();
        let may_be_many = others == Others::Many && AMONG_FEW.load(Ordering::Relaxed) == 0;
        if !ended && may_be_many && idled(before, times()) {
            break;
        }
    }
    RUNNING.fetch_add(1, Ordering::Relaxed);
    if others == Others::Few {
        AMONG_FEW.fetch_add(1, Ordering::Relaxed);
    }
    STORY.set(Some(Story { others, _door: (others == Others::None).then_some(door) }));
}

/// What some stories share, started by the first of them; a failure is remembered, so that not each waits for its own.
///
/// A story begins before it waits for another one's start: whoever holds what it waits for has begun as well, and stands at no
/// door.
///
/// # Errors
/// As `start`.
pub async fn shared<T>(
    cell: &OnceCell<Result<T, String>>,
    start: impl AsyncFnOnce() -> anyhow::Result<T>,
) -> anyhow::Result<&T> {
    begin().await;
    let started = cell.get_or_init(async || start().await.map_err(|error| format!("{error:#}"))).await;
    started.as_ref().map_err(|error| anyhow!("{error}"))
}

fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Whether the processors have idled between two looks. Where nobody tells, they have not.
fn idled(before: Option<(f64, f64)>, after: Option<(f64, f64)>) -> bool {
    before
        .zip(after)
        .is_some_and(|((idle_before, all_before), (idle, all))| idle - idle_before > (all - all_before) * IDLE)
}

/// How long the processors have idled since the system has begun, and all of their time, in ticks ([proc_stat(5)]).
///
/// [proc_stat(5)]: https://man7.org/linux/man-pages/man5/proc_stat.5.html
fn times() -> Option<(f64, f64)> {
    let text = std::fs::read_to_string("/proc/stat").ok()?;
    // user, nice, system, idle, iowait, irq, softirq, steal; guests are in the first two
    let ticks: Vec<f64> = text.lines().next()?.split_whitespace().skip(1).take(8).flat_map(str::parse).collect();
    Some((ticks.get(3)? + ticks.get(4)?, ticks.iter().sum()))
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, Sender, channel};
    use std::thread::JoinHandle;

    use super::*;

    /// These tests are of one door.
    static TURN: std::sync::Mutex<()> = std::sync::Mutex::new(());

    /// A story with a thread of its own. It says its name when it has begun, and ends when it is told.
    struct Told {
        end: Sender<()>,
        thread: JoinHandle<()>,
    }

    impl Told {
        fn new<Begins: Future<Output = ()>>(
            name: &'static str,
            begun: &Sender<&'static str>,
            begins: impl FnOnce() -> Begins + Send + 'static,
        ) -> Self {
            let (begun, (end, ends)) = (begun.clone(), channel());
            let story = move |ends: Receiver<()>| {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
                runtime.block_on(begins());
                begun.send(name).unwrap();
                ends.recv().unwrap();
            };
            Self { end, thread: std::thread::spawn(move || story(ends)) }
        }

        fn ends(self) {
            self.end.send(()).unwrap();
            self.thread.join().unwrap();
        }
    }

    #[test]
    fn who_runs_alone_waits_for_the_others_and_lets_nobody_begin() {
        let _turn = TURN.lock();
        let (begun, names) = channel();
        let twice = async || {
            begin().await;
            begin().await;
        };
        let first = Told::new("first", &begun, twice);
        assert_eq!(names.recv().unwrap(), "first");
        let alone = Told::new("alone", &begun, alone);
        // long enough to come to the door
        let after = names.recv_timeout(LOOK);
        assert!(after.is_err(), "{after:?}");
        let last = Told::new("last", &begun, begin);
        let after = names.recv_timeout(LOOK * 2);
        assert!(after.is_err(), "{after:?}");
        first.ends();
        assert_eq!(names.recv().unwrap(), "alone");
        let after = names.recv_timeout(LOOK * 2);
        assert!(after.is_err(), "{after:?}");
        alone.ends();
        assert_eq!(names.recv().unwrap(), "last");
        last.ends();
        assert_eq!(RUNNING.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn among_few_there_are_no_more_than_processors() {
        let _turn = TURN.lock();
        let (begun, names) = channel();
        let others: Vec<Told> = (0..processors()).map(|_| Told::new("other", &begun, begin)).collect();
        for _ in &others {
            assert_eq!(names.recv().unwrap(), "other");
        }
        let few = Told::new("few", &begun, among_few);
        let after = names.recv_timeout(LOOK * 2);
        assert!(after.is_err(), "{after:?}");
        others.into_iter().for_each(Told::ends);
        assert_eq!(names.recv().unwrap(), "few");
        let others: Vec<Told> = (0..processors()).map(|_| Told::new("other", &begun, begin)).collect();
        for _ in others.iter().skip(1) {
            assert_eq!(names.recv().unwrap(), "other");
        }
        let after = names.recv_timeout(LOOK * 2);
        assert!(after.is_err(), "{after:?}");
        few.ends();
        assert_eq!(names.recv().unwrap(), "other");
        others.into_iter().for_each(Told::ends);
        assert_eq!((RUNNING.load(Ordering::Relaxed), AMONG_FEW.load(Ordering::Relaxed)), (0, 0));
    }

    #[test]
    fn processors_have_idled_for_some_of_their_time() {
        let (idle, all) = times().unwrap();
        assert!(0.0 < idle && idle < all, "{idle} of {all}");
        assert!(idled(Some((idle, all)), Some((idle + 3.0, all + 4.0))));
        assert!(!idled(Some((idle, all)), Some((idle + 1.0, all + 4.0))));
    }
}
