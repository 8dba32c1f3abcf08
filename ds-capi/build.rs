//! Gives the shared library its name: what a program linked against it will look for at run time.
//!
//! The number is the ABI's, the major version: it changes exactly when old programs could not run any more.
#![forbid(unsafe_code)]

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let major =
        std::env::var("CARGO_PKG_VERSION_MAJOR").expect("Cargo sets the version for build scripts");
    println!("cargo::rustc-cdylib-link-arg=-Wl,-soname,libds_runtime.so.{major}");
}
