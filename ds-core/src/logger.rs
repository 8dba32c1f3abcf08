//! A logger for programs that have none: lines on standard error, or in a file.
//!
//! `DS_LOG=none|error|warn|info|debug|trace` sets the level (quiet but for warnings by default),
//! `DS_LOG_PATH=FILE` appends to a file instead of standard error. A Rust program with a logger of
//! its own does not call this; the C library calls it when its first runtime is created.

#![forbid(unsafe_code)]

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::sync::OnceLock;
use std::time::{SystemTime, UNIX_EPOCH};

use log::{LevelFilter, Log, Metadata, Record};
use parking_lot::Mutex;

#[derive(Debug)]
struct Logger {
    level: LevelFilter,
    file: Option<Mutex<File>>,
}

impl Log for Logger {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= self.level
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let level = record.level().as_str().to_lowercase();
        let line = format!(
            "{}.{:03} ds {level}: {}\n",
            now.as_secs(),
            now.subsec_millis(),
            record.args()
        );
        // A log that cannot be written has nobody left to be told.
        let _ = match &self.file {
            Some(file) => file.lock().write_all(line.as_bytes()),
            None => std::io::stderr().write_all(line.as_bytes()),
        };
    }

    fn flush(&self) {}
}

/// The level of that name; `warn` for names that mean nothing.
fn level_from(name: Option<&str>) -> LevelFilter {
    match name.map(str::to_lowercase).as_deref() {
        Some("none" | "off" | "0") => LevelFilter::Off,
        Some("error") => LevelFilter::Error,
        Some("info") => LevelFilter::Info,
        Some("debug") => LevelFilter::Debug,
        Some("trace") => LevelFilter::Trace,
        _ => LevelFilter::Warn,
    }
}

/// Installs the logger that the environment asks for, once, unless the program already has one.
pub fn init_from_environment() {
    static LOGGER: OnceLock<Logger> = OnceLock::new();
    let mut complaint = None;
    let logger = LOGGER.get_or_init(|| {
        let level = level_from(std::env::var("DS_LOG").ok().as_deref());
        let file = std::env::var_os("DS_LOG_PATH").and_then(|path| {
            let file = OpenOptions::new().create(true).append(true).open(&path);
            file.map_err(|error| {
                complaint = Some(format!("DS_LOG_PATH {}: {error}", path.display()))
            })
            .ok()
        });
        Logger {
            level,
            file: file.map(Mutex::new),
        }
    });
    if log::set_logger(logger).is_ok() {
        log::set_max_level(logger.level);
    }
    if let Some(complaint) = complaint {
        log::warn!(target: "ds", "logging to standard error: {complaint}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_have_the_names_that_users_know() {
        assert_eq!(level_from(None), LevelFilter::Warn);
        assert_eq!(level_from(Some("none")), LevelFilter::Off);
        assert_eq!(level_from(Some("TRACE")), LevelFilter::Trace);
        assert_eq!(level_from(Some("loud")), LevelFilter::Warn);
    }
}
