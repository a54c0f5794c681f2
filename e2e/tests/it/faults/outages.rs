//! A watch that fails is noticed, the others go on, and afterwards the counts are right.

use std::time::Duration;

use goldenpath::api::WorkloadKind::Deployment;
use goldenpath_e2e::fault_proxy::{Action, Disturbance, Fault, Refusal, Target};
use goldenpath_e2e::wait;
use rstest::rstest;

use super::{BROKEN, Fleet, NOTICED, PATIENCE, same};

/// What must be true while the watch of Deployments is down and there is one Deployment that nobody could see.
async fn blind_for_one_kind_alone(fleet: &Fleet, counted: usize) {
    fleet.create(Deployment, "unseen").await;
    fleet.others_go_on().await;
    assert!(same(fleet.counted(Deployment).await.unwrap(), counted), "the watch was not down");
}

#[rstest]
#[case::expired(Action::Refuse(Refusal::EXPIRED), "Expired")]
#[case::too_many_requests(Action::Refuse(Refusal::TOO_MANY_REQUESTS), "TooManyRequests")]
#[case::come_again_later(Action::Refuse(Refusal::TOO_MANY_REQUESTS.retry_after(1)), "TooManyRequests")]
#[case::internal_error(Action::Refuse(Refusal::INTERNAL_ERROR), "ServerError")]
#[case::unavailable(Action::Refuse(Refusal::SERVICE_UNAVAILABLE), "ServerError")]
#[case::no_connection(Action::Close, "Connection")]
#[tokio::test]
async fn a_watch_that_is_refused_is_noticed_while_the_others_go_on(#[case] action: Action, #[case] reason: &str) {
    let fleet = Fleet::new().await;
    fleet.with_deployments(&["one", "two"]).await;
    let fault = fleet.proxy.fault(Fault::new(Target::any(BROKEN), action));
    fleet.disturb(BROKEN, Disturbance::End).await;
    let took = fleet.notices(BROKEN, reason).await;
    println!("{reason} noticed after {took:?}");
    blind_for_one_kind_alone(&fleet, 2).await;
    assert!(fleet.blind(BROKEN).await > 0.0);

    drop(fault);
    fleet.counts(Deployment, 3).await;
    fleet.equals_a_recount().await;
}

#[tokio::test]
async fn a_half_open_watch_is_noticed_while_the_others_go_on() {
    let fleet = Fleet::new().await;
    fleet.with_deployments(&["one", "two"]).await;
    fleet.disturb(BROKEN, Disturbance::Hang).await;
    blind_for_one_kind_alone(&fleet, 2).await;
    let took = fleet.notices(BROKEN, "Timeout").await;
    println!("a half-open watch noticed after {took:?}");
    fleet.counts(Deployment, 3).await;
    fleet.equals_a_recount().await;
}

#[tokio::test]
async fn a_watch_request_without_any_answer_is_noticed_while_the_others_go_on() {
    let fleet = Fleet::new().await;
    fleet.with_deployments(&["one", "two"]).await;
    let _fault = fleet.proxy.fault(Fault::new(Target::any(BROKEN), Action::Hang).nth(1));
    fleet.disturb(BROKEN, Disturbance::End).await;
    blind_for_one_kind_alone(&fleet, 2).await;
    let took = fleet.notices(BROKEN, "Timeout").await;
    println!("a request without an answer noticed after {took:?}");
    fleet.counts(Deployment, 3).await;
    fleet.equals_a_recount().await;
}

/// The faster one lets a whole line through now and then: it is never silent, and ever further behind.
#[rstest]
#[case::without_a_line(1)]
#[case::with_a_line_now_and_then(100)]
#[tokio::test]
async fn a_watch_that_drips_is_noticed_while_the_others_go_on(#[case] bytes_a_second: usize) {
    let fleet = Fleet::new().await;
    fleet.with_deployments(&["one", "two"]).await;
    let drip = Action::Drip { bytes: bytes_a_second, pause: Duration::from_secs(1) };
    let _fault = fleet.proxy.fault(Fault::new(Target::any(BROKEN), drip).nth(1));
    fleet.disturb(BROKEN, Disturbance::End).await;
    blind_for_one_kind_alone(&fleet, 2).await;
    // More than it lets through before its time is over.
    for name in ["three", "four", "five", "six"] {
        fleet.create(Deployment, name).await;
    }
    let took = fleet.notices(BROKEN, "Timeout").await;
    println!("a watch of {bytes_a_second} bytes a second noticed after {took:?}");
    fleet.counts(Deployment, 7).await;
    fleet.equals_a_recount().await;
}

#[tokio::test]
async fn a_watch_that_is_cut_in_the_middle_of_a_frame_is_noticed_while_the_others_go_on() {
    let fleet = Fleet::new().await;
    fleet.with_deployments(&["one", "two"]).await;
    // Whoever comes again gets the same frame, and again not the whole of it.
    let cut = fleet.proxy.fault(Fault::new(Target::any(BROKEN), Action::Cut { after: 100 }));
    fleet.disturb(BROKEN, Disturbance::Cut { after: 100 }).await;
    blind_for_one_kind_alone(&fleet, 2).await;
    let failed = async || Ok((fleet.failures(BROKEN, None).await? > 0.0).then_some(()));
    wait::until("the cut to be noticed", NOTICED, failed).await.unwrap();

    drop(cut);
    fleet.counts(Deployment, 3).await;
    fleet.equals_a_recount().await;
}

#[tokio::test]
async fn an_error_event_inside_a_watch_leads_to_a_new_list() {
    let fleet = Fleet::new().await;
    fleet.with_deployments(&["one"]).await;
    let lists = || fleet.proxy.exchanges(&Target::any(BROKEN)).iter().filter(|e| e.request.is_full_list()).count();
    let before = lists();
    fleet.tell(BROKEN, Refusal::EXPIRED.event()).await;
    fleet.disturb(BROKEN, Disturbance::End).await;
    fleet.notices(BROKEN, "Expired").await;
    let listed = async || Ok((lists() > before).then_some(()));
    wait::until("a new list", PATIENCE, listed).await.unwrap();
    fleet.create(Deployment, "two").await;
    fleet.counts(Deployment, 2).await;
    fleet.equals_a_recount().await;
}

/// Four lists is what the budget allows for; without a lost version there is no reason for any.
#[tokio::test]
async fn an_api_server_that_goes_and_comes_back_is_asked_for_at_most_four_full_lists() {
    let fleet = Fleet::new().await;
    fleet.with_deployments(&["one"]).await;
    let before = fleet.proxy.trace().len();
    let fault = fleet.proxy.fault(Fault::new(Target::all(), Action::Close));
    assert!(fleet.proxy.disturb(&Target::all(), &Disturbance::Cut { after: 0 }) > 0);
    for resource in ["deployments", "statefulsets", "daemonsets", "cronjobs", "namespaces"] {
        fleet.notices(resource, "Connection").await;
    }
    fleet.create(Deployment, "two").await;
    drop(fault);
    fleet.counts(Deployment, 2).await;
    fleet.equals_a_recount().await;
    let sighted = async || Ok((fleet.metric("goldenpath_fleet_blind_seconds", &[]).await? <= 0.0).then_some(()));
    wait::until("every watch to be back", PATIENCE, sighted).await.unwrap();
    let lists: Vec<String> = fleet.proxy.trace()[before..]
        .iter()
        .filter(|exchange| exchange.request.is_full_list())
        .map(ToString::to_string)
        .collect();
    assert!(lists.len() <= 4, "{lists:#?}");
}
