//! The paths of `paths/` on a real API server: proved and in force for every kind, and harmless to what others run.

mod adoption;
mod corpus;

use std::collections::BTreeMap;

use goldenpath::api::WorkloadKind;
use goldenpath::cli::markdown::replace_between;
use goldenpath_e2e::evidence::{
    Breaks, Corpus, Evidence, corpus_tables, count, decision_table, image_table, shipped_paths,
};
use goldenpath_e2e::programs::repository;
use goldenpath_e2e::{ControlPlane, Options};

const PAGE: &str = "docs/shipped-paths.md";

/// With `GOLDENPATH_UPDATE` set it writes the page instead of comparing it.
#[test]
fn the_tables_of_the_page_are_what_the_corpus_says() {
    let files = goldenpath_e2e::corpus().unwrap();
    if files.is_empty() {
        println!("SKIPPED: there is no corpus here, so the tables of {PAGE} are not compared with it");
        return;
    }
    let (corpus, evidence) = (Corpus::of(&files), Evidence::read().unwrap());
    let page = std::fs::read_to_string(repository().join(PAGE)).unwrap();
    let paths = shipped_paths().unwrap();
    let said = replace_between(&page, "images", &image_table(&evidence)).unwrap();
    let mut said = replace_between(&said, "decisions", &decision_table(&evidence, &paths)).unwrap();
    for path in paths {
        let name = format!("{}-corpus", path.metadata.name.as_deref().unwrap());
        said = replace_between(&said, &name, &corpus_tables(&path, &evidence, &corpus).unwrap()).unwrap();
    }
    if std::env::var_os("GOLDENPATH_UPDATE").is_some() {
        std::fs::write(repository().join(PAGE), &said).unwrap();
    }
    let page = std::fs::read_to_string(repository().join(PAGE)).unwrap();
    let difference = said.lines().zip(page.lines()).find(|(said, page)| said != page);
    assert!(said == page, "{PAGE} is not what the corpus says, set GOLDENPATH_UPDATE=1: {difference:?}");
}

/// The rule of the page, in both directions: nothing that is known breaks under a fill, and what is only checked is so
/// because something would break, no value fits, or nothing can be filled.
#[test]
fn what_would_break_somebody_is_checked_and_not_filled() {
    let files = goldenpath_e2e::corpus().unwrap();
    println!("{} files of the corpus; the list of images is asked in any case", files.len());
    let (corpus, evidence) = (Corpus::of(&files), Evidence::read().unwrap());
    let mut decided: BTreeMap<String, bool> = evidence.decisions.keys().map(|name| (name.clone(), false)).collect();
    for path in shipped_paths().unwrap() {
        for row in count(&path, &evidence, &corpus).unwrap() {
            let harmless = row.breaks == Breaks::Known { workloads: 0, images: 0 };
            assert_eq!(row.fills, harmless, "{:?} {row:?}", path.metadata.name);
            decided.insert(row.default, true);
        }
    }
    assert!(decided.values().all(|used| *used), "e2e/evidence.yaml decides on what no path has: {decided:?}");
}

/// A control plane of its own: the paths claim every kind, which other stories leave to nobody.
#[tokio::test]
async fn shipped_paths_are_in_force_and_harmless() {
    let control_plane = ControlPlane::start(Options { nodes: 3, ..Options::default() }).await.unwrap();
    let kubeconfig = control_plane.install_goldenpath().await.unwrap();
    let _operator = control_plane.start_operator(kubeconfig).await.unwrap();
    let mut revisions = BTreeMap::new();
    for path in shipped_paths().unwrap() {
        let name = path.metadata.name.clone().unwrap();
        let file = std::fs::read_to_string(repository().join(format!("paths/{name}.yaml"))).unwrap();
        let revision = control_plane.golden_path(&file).await.unwrap();
        println!("{name}: {revision} is proved and in force");
        revisions.extend(path.spec.default_for.iter().map(|kind| (*kind, revision.clone())));
    }
    assert_eq!(revisions.keys().copied().collect::<Vec<_>>(), WorkloadKind::ALL);
    adoption::every_kind_takes_its_path_and_is_filled(&control_plane, &revisions).await;
    corpus::nothing_is_refused(&control_plane, &revisions).await;
}
