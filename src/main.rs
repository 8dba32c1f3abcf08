//! The command-line tool `ds`.

#![forbid(unsafe_code)]

fn main() {}
