//! Two installations of two replicas each, whose requests come in any order and after any pause: never do two lead at a time.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use k8s_openapi::api::coordination::v1::LeaseSpec;

use super::{Claim, Rival};
use crate::plan::lease::{Candidate, DURATION, MAY_WRITE, RELEASED, Turn, holder};

/// An object as the API server has it: whoever writes over another version is refused.
#[derive(Clone, Debug)]
struct Stored<T> {
    version: u64,
    value: Option<T>,
}

impl<T> Default for Stored<T> {
    fn default() -> Self {
        Self { version: 0, value: None }
    }
}

impl<T: Clone + PartialEq> Stored<T> {
    /// What changes nothing is answered like a write, and the object keeps its version.
    fn write(&mut self, over: u64, value: T) -> bool {
        let taken = self.version == over;
        if taken && self.value.as_ref() != Some(&value) {
            *self = Self { version: over + 1, value: Some(value) };
        }
        taken
    }
}

/// What becomes of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Answered,
    /// It is done, and nobody hears of it.
    Unheard,
    /// Nobody hears of it, and it comes to the server some time later.
    Late,
}

#[derive(Default)]
struct Server {
    leases: BTreeMap<&'static str, Stored<LeaseSpec>>,
    claim: Stored<Claim>,
    writes: i32,
    /// Claims that are on their way, each over a version.
    late: Vec<(u64, Claim)>,
}

impl Server {
    fn lease(&mut self, namespace: &'static str) -> &mut Stored<LeaseSpec> {
        self.leases.entry(namespace).or_default()
    }

    /// Whether whoever writes hears that it was done.
    fn claim(&mut self, over: u64, claim: Claim, fate: Fate) -> bool {
        match fate {
            Fate::Answered => self.claim.write(over, claim),
            Fate::Unheard => {
                self.claim.write(over, claim);
                false
            }
            Fate::Late => {
                self.late.push((over, claim));
                false
            }
        }
    }

    fn held(&mut self, holder: &str, seconds: i32) -> LeaseSpec {
        self.writes += 1;
        let (holder, seconds) = (Some(holder.to_owned()), Some(seconds));
        LeaseSpec {
            holder_identity: holder,
            lease_duration_seconds: seconds,
            lease_transitions: Some(self.writes),
            ..LeaseSpec::default()
        }
    }
}

/// The Lease that a replica has taken: its version, since when, and how often the claim was tried.
#[derive(Clone, Copy, Debug)]
struct Held {
    lease: u64,
    began: Instant,
    tries: u8,
}

/// What a replica does next: one request each. Before it has the Lease it looks whether it may lead, and again when the claim was
/// not to be had.
#[derive(Clone, Debug)]
enum Next {
    Look,
    ReadClaim { lease: u64, held: Option<Held> },
    ReadRival { lease: u64, held: Option<Held>, claim: u64, of: Claim },
    TakeLease { lease: u64, claim: u64 },
    TakeClaim { held: Held, claim: u64 },
    Leave { lease: u64 },
    Renew { lease: u64, end: Instant },
    CheckClaim { lease: u64, end: Instant },
}

struct Replica {
    namespace: &'static str,
    identity: String,
    candidate: Candidate,
    rival: Option<Rival>,
    next: Next,
    /// Whether its claim tells its terms apart.
    tells_terms: bool,
}

impl Replica {
    fn new(namespace: &'static str, number: u64, tells_terms: bool) -> Self {
        let identity = format!("{namespace}-{number}");
        Self { namespace, identity, candidate: Candidate::default(), rival: None, next: Next::Look, tells_terms }
    }

    fn leads(&self, now: Instant) -> bool {
        matches!(self.next, Next::Renew { end, .. } | Next::CheckClaim { end, .. } if now < end)
    }

    fn mine(&self, lease: u64) -> Claim {
        let term = if self.tells_terms { lease.to_string() } else { String::new() };
        Claim { namespace: self.namespace.to_owned(), identity: self.identity.clone(), term }
    }

    /// One request. Nothing when the process ends, as a leader does that may write no more.
    fn step(&mut self, server: &mut Server, now: Instant, leaves: bool, fate: Fate) -> Option<Next> {
        match self.next.clone() {
            Next::Renew { end, .. } | Next::CheckClaim { end, .. } if now >= end => None,
            Next::Renew { lease, end } => self.renew(server, now, leaves, lease, end),
            Next::CheckClaim { lease, end } => {
                let other = server.claim.value.as_ref().is_some_and(|claim| claim.namespace != self.namespace);
                (!other).then_some(Next::Renew { lease, end })
            }
            next => Some(self.follow(server, now, next, fate)),
        }
    }

    fn renew(&self, server: &mut Server, now: Instant, leaves: bool, lease: u64, end: Instant) -> Option<Next> {
        if leaves {
            let spec = server.held("", RELEASED);
            server.lease(self.namespace).write(lease, spec);
            return None;
        }
        let spec = server.held(&self.identity, 5);
        let stored = server.lease(self.namespace);
        if stored.write(lease, spec) {
            return Some(Next::CheckClaim { lease: lease + 1, end: now + MAY_WRITE });
        }
        let is_mine = stored.value.as_ref().and_then(holder) == Some(&self.identity);
        is_mine.then_some(Next::Renew { lease: stored.version, end })
    }

    fn follow(&mut self, server: &mut Server, now: Instant, next: Next, fate: Fate) -> Next {
        match next {
            Next::Look => {
                let lease = server.lease(self.namespace).clone();
                match self.candidate.look(lease.value.as_ref(), now) {
                    Turn::Wait(_) => Next::Look,
                    Turn::Create | Turn::Take => Next::ReadClaim { lease: lease.version, held: None },
                }
            }
            Next::ReadClaim { lease, held } => {
                let (claim, value) = (server.claim.version, server.claim.value.clone());
                match value {
                    Some(of) if of.namespace != self.namespace => Next::ReadRival { lease, held, claim, of },
                    // what nobody heard of was done
                    Some(of) if held.is_some_and(|held| of == self.mine(held.lease)) => {
                        held.map_or(Next::Look, |held| Next::Renew { lease, end: held.began + MAY_WRITE })
                    }
                    _ => {
                        self.rival = None;
                        take(lease, held, claim)
                    }
                }
            }
            Next::ReadRival { lease, held, claim, of } => {
                let namespace = if of.namespace == "one" { "one" } else { "two" };
                let seen = server.lease(namespace).value.clone();
                let (rival, left) = Rival::look(self.rival.take(), of, seen, now);
                self.rival = Some(rival);
                match (left.is_zero(), held) {
                    (true, held) => take(lease, held, claim),
                    (false, None) => Next::Look,
                    (false, Some(_)) => Next::Leave { lease },
                }
            }
            Next::TakeLease { lease, claim } => {
                let spec = server.held(&self.identity, 5);
                let taken = server.lease(self.namespace).write(lease, spec);
                let held = Held { lease: lease + 1, began: now, tries: 0 };
                if taken && fate == Fate::Answered { Next::TakeClaim { held, claim } } else { Next::Look }
            }
            Next::TakeClaim { mut held, claim } => {
                if server.claim(claim, self.mine(held.lease), fate) {
                    return Next::Renew { lease: held.lease, end: held.began + MAY_WRITE };
                }
                held.tries += 1;
                let lease = held.lease;
                if held.tries < 3 { Next::ReadClaim { lease, held: Some(held) } } else { Next::Leave { lease } }
            }
            Next::Leave { lease } => {
                let spec = server.held("", RELEASED);
                server.lease(self.namespace).write(lease, spec);
                Next::Look
            }
            Next::Renew { .. } | Next::CheckClaim { .. } => next,
        }
    }
}

/// The next request of one that may lead.
fn take(lease: u64, held: Option<Held>, claim: u64) -> Next {
    held.map_or(Next::TakeLease { lease, claim }, |held| Next::TakeClaim { held, claim })
}

/// Numbers that are the same in every run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }
}

/// How often somebody was elected, and how often after another installation.
#[derive(Default)]
struct Elections {
    terms: u32,
    handed_over: u32,
}

/// The requests of one seed. An error where two led at a time.
fn run(seed: u64, tells_terms: bool, elections: &mut Elections) -> Result<(), String> {
    let (mut dice, mut server, mut now) = (Dice(seed), Server::default(), Instant::now());
    let replica = |number: u64, namespace| Replica::new(namespace, number, tells_terms);
    let mut replicas: Vec<Replica> =
        (0..4).map(|number| replica(number, ["one", "two"][usize::from(number % 2 == 1)])).collect();
    let mut last = None;
    for number in 4..1_500 {
        now += Duration::from_millis([0, 0, 10, 200, 900, 2_500][usize::try_from(dice.roll(6)).unwrap()]);
        // a machine that stood still, now and then
        if dice.roll(60) == 0 {
            now += DURATION;
        }
        if !server.late.is_empty() && dice.roll(10) == 0 {
            let (over, claim) = server.late.remove(0);
            server.claim.write(over, claim);
        }
        let at = usize::try_from(dice.roll(4)).unwrap();
        let (led, leaves) = (replicas[at].leads(now), dice.roll(20) == 0);
        let fate = match dice.roll(12) {
            0 | 1 => Fate::Unheard,
            2 => Fate::Late,
            _ => Fate::Answered,
        };
        match replicas[at].step(&mut server, now, leaves, fate) {
            Some(next) => replicas[at].next = next,
            None => replicas[at] = replica(number, replicas[at].namespace),
        }
        let leaders: Vec<&str> = replicas.iter().filter(|r| r.leads(now)).map(|r| r.identity.as_str()).collect();
        if leaders.len() > 1 {
            return Err(format!("seed {seed}, request {number}: {leaders:?}"));
        }
        if !led && replicas[at].leads(now) {
            let namespace = replicas[at].namespace;
            elections.terms += 1;
            elections.handed_over += u32::from(last.replace(namespace).is_some_and(|was| was != namespace));
        }
    }
    Ok(())
}

#[test]
fn in_no_order_of_requests_do_two_lead() {
    let mut elections = Elections::default();
    for seed in 0..1_000 {
        run(seed, true, &mut elections).unwrap();
    }
    assert!(
        elections.terms > 1_000 && elections.handed_over > 100,
        "{} terms, {} handed over",
        elections.terms,
        elections.handed_over
    );
}

/// Why a claim names its term: one that was taken a second time without anybody's hearing of the first would keep its version,
/// and whoever has read it before would be let in beside.
#[test]
fn without_terms_two_would_lead() {
    let mut elections = Elections::default();
    let found = (0..1_000).find_map(|seed| run(seed, false, &mut elections).err());
    assert!(found.is_some(), "the orders that are tried show nothing");
}
