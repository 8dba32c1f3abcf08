//! The command-line tool `ds`: packs, unpacks, measures and explains, through the engine's own queues.
//!
//! A failure is one line, `error: what: path: why; cure`, and exit status 1; a wrong command line is status
//! 2.

#![forbid(unsafe_code)]

mod commands;
mod sample;
mod ui;

use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

/// DirectStorage for Linux: pack, stream, measure.
#[derive(Parser)]
#[command(name = "ds", version, max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Show what it does: pack a sample, stream it through every backend, compare every byte
    Demo(commands::demo::Arguments),
    /// Pack files and folders into an archive
    Pack(commands::pack::Arguments),
    /// Unpack an archive through the engine
    Unpack(commands::unpack::Arguments),
    /// Read and decompress everything in an archive and compare checksums
    Verify(commands::verify::Arguments),
    /// List what is in an archive, or describe a GDeflate tile stream
    Inspect(commands::inspect::Arguments),
    /// Compress a file to a GDeflate tile stream that DirectStorage reads
    Compress(commands::codec::CompressArguments),
    /// Decompress a GDeflate tile stream
    Decompress(commands::codec::DecompressArguments),
    /// Measure the engine beside a bare loop of pread, or of the decoder
    Bench(commands::bench::Arguments),
    /// Tell what this machine offers, which path is taken and why, and all options
    Info(commands::info::Arguments),
}

fn main() -> ExitCode {
    ds_core::logger::init_from_environment();
    let result = match Arguments::parse().command {
        None => ui::print(&Arguments::command().render_help().to_string()),
        Some(Command::Pack(arguments)) => commands::pack::run(&arguments),
        Some(Command::Unpack(arguments)) => commands::unpack::run(&arguments),
        Some(Command::Verify(arguments)) => commands::verify::run(&arguments),
        Some(Command::Demo(arguments)) => commands::demo::run(&arguments),
        Some(Command::Inspect(arguments)) => commands::inspect::run(&arguments),
        Some(Command::Compress(arguments)) => commands::codec::compress(&arguments),
        Some(Command::Decompress(arguments)) => commands::codec::decompress(&arguments),
        Some(Command::Bench(arguments)) => commands::bench::run(&arguments),
        Some(Command::Info(arguments)) => commands::info::run(&arguments),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            ui::tell(&format!("error: {error}"));
            ExitCode::FAILURE
        }
    }
}
