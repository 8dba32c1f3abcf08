//! The command-line tool `ds`: packs, unpacks, measures and explains, through the engine's own queues.
//!
//! A failure is one line, `error: what: path: why; cure`, and exit status 1; a wrong command line is status 2.

#![forbid(unsafe_code)]

mod commands;
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
    /// Pack files and folders into an archive
    Pack(commands::pack::Arguments),
    /// Unpack an archive through the engine
    Unpack(commands::unpack::Arguments),
    /// Read and decompress everything in an archive and compare checksums
    Verify(commands::verify::Arguments),
}

fn main() -> ExitCode {
    ds_core::logger::init_from_environment();
    let result = match Arguments::parse().command {
        None => ui::print(&Arguments::command().render_help().to_string()),
        Some(Command::Pack(arguments)) => commands::pack::run(&arguments),
        Some(Command::Unpack(arguments)) => commands::unpack::run(&arguments),
        Some(Command::Verify(arguments)) => commands::verify::run(&arguments),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
