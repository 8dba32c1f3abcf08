//! The nightly engine: libFuzzer over the same targets. One program for all of them, so that the engine is
//! linked once; `DS_FUZZ_TARGET` says which.

#![no_main]
#![forbid(unsafe_code)]

use ds_fuzz::Target;
use libfuzzer_sys::fuzz_target;
use std::sync::OnceLock;

static TARGET: OnceLock<&'static Target> = OnceLock::new();

fn target() -> &'static Target {
    TARGET.get_or_init(|| {
        let name = std::env::var("DS_FUZZ_TARGET").unwrap_or_default();
        ds_fuzz::find(&name).unwrap_or_else(|| {
            eprintln!("DS_FUZZ_TARGET names no target: `{name}`");
            std::process::exit(2)
        })
    })
}

fuzz_target!(|data: &[u8]| (target().run)(data));
