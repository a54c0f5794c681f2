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

impl<T: Clone> Stored<T> {
    fn write(&mut self, over: u64, value: T) -> bool {
        let written = self.version == over;
        if written {
            *self = Self { version: over + 1, value: Some(value) };
        }
        written
    }
}

#[derive(Default)]
struct Server {
    leases: BTreeMap<&'static str, Stored<LeaseSpec>>,
    claim: Stored<Claim>,
    writes: i32,
}

impl Server {
    fn lease(&mut self, namespace: &'static str) -> &mut Stored<LeaseSpec> {
        self.leases.entry(namespace).or_default()
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

/// What a replica does next: one request each.
#[derive(Clone, Debug)]
enum Next {
    Look,
    ReadClaim { lease: u64 },
    ReadRival { lease: u64, claim: u64, of: Claim },
    TakeLease { lease: u64, claim: u64 },
    TakeClaim { lease: u64, claim: u64, began: Instant },
    Renew { lease: u64, end: Instant },
    CheckClaim { lease: u64, end: Instant },
}

struct Replica {
    namespace: &'static str,
    identity: String,
    candidate: Candidate,
    rival: Option<Rival>,
    next: Next,
}

impl Replica {
    fn new(namespace: &'static str, number: u64) -> Self {
        let identity = format!("{namespace}-{number}");
        Self { namespace, identity, candidate: Candidate::default(), rival: None, next: Next::Look }
    }

    fn leads(&self, now: Instant) -> bool {
        matches!(self.next, Next::Renew { end, .. } | Next::CheckClaim { end, .. } if now < end)
    }

    fn mine(&self) -> Claim {
        Claim { namespace: self.namespace.to_owned(), identity: self.identity.clone() }
    }

    /// One request. Nothing when the process ends, as a leader does that may write no more.
    fn step(&mut self, server: &mut Server, now: Instant, leaves: bool) -> Option<Next> {
        match self.next.clone() {
            Next::Look => {
                let lease = server.lease(self.namespace).clone();
                Some(match self.candidate.look(lease.value.as_ref(), now) {
                    Turn::Wait(_) => Next::Look,
                    Turn::Create | Turn::Take => Next::ReadClaim { lease: lease.version },
                })
            }
            Next::ReadClaim { lease } => {
                let claim = server.claim.version;
                let other = server.claim.value.clone().filter(|claim| claim.namespace != self.namespace);
                let Some(of) = other else {
                    self.rival = None;
                    return Some(Next::TakeLease { lease, claim });
                };
                Some(Next::ReadRival { lease, claim, of })
            }
            Next::ReadRival { lease, claim, of } => {
                let namespace = if of.namespace == "one" { "one" } else { "two" };
                let seen = server.lease(namespace).value.clone();
                let (rival, left) = Rival::look(self.rival.take(), of, seen, now);
                self.rival = Some(rival);
                Some(if left.is_zero() { Next::TakeLease { lease, claim } } else { Next::Look })
            }
            Next::TakeLease { lease, claim } => {
                let spec = server.held(&self.identity, 5);
                let taken = server.lease(self.namespace).write(lease, spec);
                Some(if taken { Next::TakeClaim { lease: lease + 1, claim, began: now } } else { Next::Look })
            }
            Next::TakeClaim { lease, claim, began } => {
                let taken = server.claim.write(claim, self.mine());
                Some(if taken { Next::Renew { lease, end: began + MAY_WRITE } } else { Next::Look })
            }
            Next::Renew { end, .. } | Next::CheckClaim { end, .. } if now >= end => None,
            Next::Renew { lease, .. } if leaves => {
                let spec = server.held("", RELEASED);
                server.lease(self.namespace).write(lease, spec);
                None
            }
            Next::Renew { lease, end } => {
                let spec = server.held(&self.identity, 5);
                let stored = server.lease(self.namespace);
                if stored.write(lease, spec) {
                    return Some(Next::CheckClaim { lease: lease + 1, end: now + MAY_WRITE });
                }
                let is_mine = stored.value.as_ref().and_then(holder) == Some(&self.identity);
                is_mine.then_some(Next::Renew { lease: stored.version, end })
            }
            Next::CheckClaim { lease, end } => {
                let other = server.claim.value.as_ref().is_some_and(|claim| claim.namespace != self.namespace);
                (!other).then_some(Next::Renew { lease, end })
            }
        }
    }
}

/// Numbers that are the same in every run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }
}

#[test]
fn in_no_order_of_requests_do_two_lead() {
    let (mut terms, mut handed_over) = (0_u32, 0_u32);
    for seed in 0..400 {
        let (mut dice, mut server, mut now) = (Dice(seed), Server::default(), Instant::now());
        let mut replicas: Vec<Replica> =
            (0..4).map(|number| Replica::new(["one", "two"][usize::from(number % 2 == 1)], number)).collect();
        let mut last = None;
        for number in 4..1_500 {
            now += Duration::from_millis([0, 0, 10, 200, 900, 2_500][usize::try_from(dice.roll(6)).unwrap()]);
            // a machine that stood still, now and then
            if dice.roll(60) == 0 {
                now += DURATION;
            }
            let at = usize::try_from(dice.roll(4)).unwrap();
            let led = replicas[at].leads(now);
            let leaves = dice.roll(20) == 0;
            match replicas[at].step(&mut server, now, leaves) {
                Some(next) => replicas[at].next = next,
                None => replicas[at] = Replica::new(replicas[at].namespace, number),
            }
            let leaders: Vec<&Replica> = replicas.iter().filter(|replica| replica.leads(now)).collect();
            assert!(
                leaders.len() < 2,
                "seed {seed}, request {number}: {:?}",
                leaders.iter().map(|l| &l.identity).collect::<Vec<_>>()
            );
            if !led && replicas[at].leads(now) {
                terms += 1;
                handed_over +=
                    u32::from(last.replace(replicas[at].namespace).is_some_and(|was| was != replicas[at].namespace));
            }
        }
    }
    assert!(terms > 1_000 && handed_over > 100, "{terms} terms, {handed_over} of them after another installation");
}
