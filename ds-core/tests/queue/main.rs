//! The queue's semantics: one body a rule, run over every backend.
//!
//! `Cpu` runs each body once, with real threads. `Sim` runs it with many seeds, each a different
//! run of faults, delays and reorderings; a failing seed is printed and replayed by `DS_SEED=n
//! cargo test -p ds-core --test queue`. `DS_SEEDS=n` sets how many there are.
//!
//! Ids such as O-45 are those of the list of observed behaviour of Microsoft's runtime.

mod cancel;
mod completion;
mod custom;
mod errors;
mod foreign;
mod foreign_places;
mod foreign_pool;
mod foreign_signals;
mod mix;
mod requests;
mod rig;
mod slots;
mod staging;
mod threads;
mod warm;
