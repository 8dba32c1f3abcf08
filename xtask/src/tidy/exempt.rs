//! The exceptions to the rules, each with its reason.
//!
//! An entry that no longer excuses anything is reported, so the lists only hold what is true.

#![forbid(unsafe_code)]

/// Functions that may be longer than a screen: file, function, reason.
pub(crate) const LONG_FUNCTIONS: &[(&str, &str, &str)] = &[];

/// Files whose lines may be long: path prefix, reason.
pub(crate) const LONG_LINES: &[(&str, &str)] = &[(
    "include/ds_runtime.h",
    "generated; its prose is checked where it is written, in ds-capi/src",
)];

/// Rust files that no `mod` leads to, on purpose: path, reason.
pub(crate) const UNREACHED: &[(&str, &str)] = &[];

/// Files that must name what the rule about machines and registries looks for: path prefix, reason.
pub(crate) const MACHINE_NAMES: &[(&str, &str)] = &[
    ("xtask/src/tidy/text.rs", "the rule itself and its tests"),
    ("Cargo.lock", "Cargo writes where each package came from"),
    (
        "fuzz/Cargo.lock",
        "Cargo writes where each package came from",
    ),
];
