//! The slim decoder against k8s-openapi's, on anything at all: `cargo fuzz run decode --features libfuzzer`.
//!
//! Without the feature it replays files, such as those that a run has left in `fuzz/artifacts/decode`.
#![cfg_attr(feature = "libfuzzer", no_main)]
#![allow(clippy::panic)] // a finding is a panic

use goldenpath::api::WorkloadKind;
use goldenpath::fleet::decode::{Frame, Page, Slim};

#[path = "../../src/fleet/tests/compare.rs"]
mod compare;

fn examine(bytes: &[u8]) {
    let _ = serde_json::from_slice::<Frame<'_>>(bytes);
    let _ = serde_json::from_slice::<Page<'_>>(bytes);
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Err(difference) = compare::compare(text) {
        panic!("{difference}");
    }
}

#[cfg(feature = "libfuzzer")]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| examine(bytes));

#[cfg(not(feature = "libfuzzer"))]
fn main() -> std::io::Result<()> {
    for file in std::env::args_os().skip(1) {
        examine(&std::fs::read(file)?);
    }
    Ok(())
}
