use super::*;

fn claim(namespace: &str) -> Claim {
    Claim { namespace: namespace.to_owned(), identity: "pod_0123".to_owned(), term: "42".to_owned() }
}

fn lease(holder: &str, seconds: i32, transitions: i32) -> LeaseSpec {
    LeaseSpec {
        holder_identity: Some(holder.to_owned()),
        lease_duration_seconds: Some(seconds),
        lease_transitions: Some(transitions),
        ..LeaseSpec::default()
    }
}

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn a_claim_is_read_as_it_was_written() {
    let claim = claim("goldenpath-system");
    assert_eq!(Claim::parse(&claim.value()), Some(claim.clone()));
    let annotations = claim.policy().metadata.annotations.unwrap();
    assert_eq!(annotations[labels::LEADER], "goldenpath-system/pod_0123/42");
    // of an operator of before, and of a replica with an odd name
    let older = Claim { term: String::new(), ..claim.clone() };
    assert_eq!(Claim::parse("goldenpath-system/pod_0123"), Some(older));
    let odd = Claim { identity: "a/b c_0123".to_owned(), ..claim };
    assert_eq!(Claim::parse(&odd.value()), Some(odd));
}

#[rstest::rstest]
#[case::nothing("")]
#[case::no_namespace("/pod/1")]
#[case::nobody("goldenpath-system//1")]
#[case::one_word("somebody")]
#[case::no_name_of_a_namespace("Golden Path/pod/1")]
#[case::another_path("../pod/1")]
#[case::too_long(&format!("{}/pod/1", "a".repeat(64)))]
fn what_is_no_claim_is_none(#[case] value: &str) {
    assert_eq!(Claim::parse(value), None);
}

#[test]
fn the_refusal_names_who_leads_and_the_fix() {
    let text = claim("first").refusal();
    assert!(text.starts_with("goldenpath is led by pod_0123 of the installation in namespace first,"), "{text}");
    assert!(text.contains("uninstall one of the two") && text.contains("gone for 5s"), "{text}");
}

#[test]
fn a_rival_whose_lease_is_renewed_is_never_gone() {
    let now = Instant::now();
    let (mut rival, mut left) = Rival::look(None, claim("first"), Some(lease("a", 5, 0)), now);
    for renewal in 1..20_u8 {
        assert_eq!(left, seconds(5));
        let renewed = Some(lease("a", 5, renewal.into()));
        (rival, left) = Rival::look(Some(rival), claim("first"), renewed, now + seconds(4) * renewal.into());
    }
}

#[test]
fn whatever_its_lease_says_a_rival_is_gone_only_when_that_stands_still() {
    let now = Instant::now();
    for lease in [None, Some(lease("", 1, 0)), Some(lease("a", 5, 0)), Some(lease("a", -1, 0))] {
        let (rival, left) = Rival::look(None, claim("first"), lease.clone(), now);
        assert_eq!(left, seconds(5), "{lease:?}");
        let (rival, left) = Rival::look(Some(rival), claim("first"), lease.clone(), now + seconds(4));
        assert_eq!(left, seconds(1), "{lease:?}");
        assert_eq!(Rival::look(Some(rival), claim("first"), lease, now + seconds(5)).1, Duration::ZERO);
    }
}

#[test]
fn a_change_of_any_kind_begins_the_wait_anew() {
    let now = Instant::now();
    let (rival, _) = Rival::look(None, claim("first"), Some(lease("a", 5, 0)), now);
    // deleted, with its namespace or by hand
    let (rival, left) = Rival::look(Some(rival), claim("first"), None, now + seconds(4));
    assert_eq!(left, seconds(5));
    // a third installation, which has no Lease either
    let (rival, left) = Rival::look(Some(rival), claim("third"), None, now + seconds(8));
    assert_eq!(left, seconds(5));
    // an absurd duration is believed up to a minute
    let (_, left) = Rival::look(Some(rival), claim("third"), Some(lease("a", i32::MAX, 0)), now + seconds(9));
    assert_eq!(left, seconds(60));
}
