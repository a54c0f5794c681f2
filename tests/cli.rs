//! The program as it is called. That this test is here also makes `cargo test` build the program that the stories run.
#![allow(clippy::unwrap_used)]

use std::process::{Command, Output};

fn goldenpath(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_goldenpath")).args(arguments).env_remove("KUBECONFIG").output().unwrap()
}

#[test]
fn help_names_what_can_be_done() {
    let help = String::from_utf8(goldenpath(&["run", "--help"]).stdout).unwrap();
    for word in ["--listen", "GOLDENPATH_LISTEN", "POD_NAMESPACE", "/readyz"] {
        assert!(help.contains(word), "{word} is missing:\n{help}");
    }
}

#[test]
fn a_wrong_flag_is_refused_with_the_usage() {
    let output = goldenpath(&["run", "--lisen", "x"]);
    assert!(!output.status.success());
    assert!(String::from_utf8(output.stderr).unwrap().contains("--listen"));
}

#[test]
fn the_version_is_that_of_the_package() {
    let version = String::from_utf8(goldenpath(&["--version"]).stdout).unwrap();
    assert_eq!(version.trim(), concat!("goldenpath ", env!("CARGO_PKG_VERSION")));
}

#[test]
fn paths_to_install_are_read_before_a_cluster_is_asked_for() {
    let nowhere = goldenpath(&["install-paths", "--from", "nowhere"]);
    assert!(!nowhere.status.success());
    assert!(String::from_utf8(nowhere.stderr).unwrap().starts_with("goldenpath: read nowhere: "));
    // the definitions are no GoldenPaths, and say so by their name
    let other = goldenpath(&["install-paths", "--from", concat!(env!("CARGO_MANIFEST_DIR"), "/crds")]);
    let error = String::from_utf8(other.stderr).unwrap();
    assert!(error.contains("goldenpath.dev_deprecations.yaml is no GoldenPath: "), "{error}");
}
