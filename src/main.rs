//! The command-line tool `ds`.
fn main() {}
