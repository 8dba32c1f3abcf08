//! What the user sees: text on standard output, progress on standard error, sizes and tables.

use std::io::{IsTerminal, Write};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use ds_core::{Backend, Config, Runtime};
use ds_tool::error::reason;
use ds_tool::{Error, Result};
use indicatif::{ProgressBar, ProgressStyle};
use signal_hook::consts::{SIGINT, SIGTERM};

/// Prints to standard output. A reader that went away (`ds … | head`) is no failure.
///
/// # Errors
/// The kernel's, if the text cannot be written.
pub(crate) fn print(text: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Error::plain("standard output", error))
        }
        _ => Ok(()),
    }
}

/// A line that is not an error.
pub(crate) fn warn(line: &str) {
    tell(&format!("warning: {line}"));
}

/// A line on standard error. If that is closed there is nobody left to tell.
pub(crate) fn tell(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// The configuration that the environment asks for, as far as a tool can follow: it has no decompressor of
/// its own to offer, and nobody to turn a simulation.
pub(crate) fn config() -> Config {
    let mut config = Config::default().overruled_by_environment();
    if config.application_decodes() {
        warn("decode_threads=-1 leaves decompression to a game; this tool lets the engine do it");
        config.decode_threads = 0;
    }
    if config.backend == Backend::Sim {
        warn("backend=sim is for tests of the engine; this tool takes auto");
        config.backend = Backend::Auto;
    }
    config
}

/// The engine with this configuration. From now on this tool reports failures itself, unless the user asked
/// for the engine's log.
///
/// # Errors
/// The engine's.
pub(crate) fn runtime(config: Config) -> Result<Runtime> {
    let runtime =
        Runtime::exactly(config).map_err(|error| Error::plain("start the engine", error))?;
    if std::env::var_os("DS_LOG").is_none() {
        log::set_max_level(log::LevelFilter::Off);
    }
    Ok(runtime)
}

/// How many threads the machine runs at once.
pub(crate) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// `1.50 GiB`, `12.0 KiB`, `7 B`: four characters that carry the size.
pub(crate) fn bytes(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut value = bytes as f64 / 1024.0;
    let mut unit = 0;
    while value >= 1023.5 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    let digits = match value {
        ..9.995 => 2,
        ..99.95 => 1,
        _ => 0,
    };
    format!("{value:.digits$} {}", UNITS[unit])
}

/// `850 ns`, `131 us`, `4.2 ms`, `33 ms`, `2.1 s`.
pub(crate) fn time(ns: u64) -> String {
    let (value, unit) = match ns {
        ..1_000 => return format!("{ns} ns"),
        1_000..1_000_000 => (ns as f64 / 1e3, "us"),
        1_000_000..1_000_000_000 => (ns as f64 / 1e6, "ms"),
        _ => (ns as f64 / 1e9, "s"),
    };
    let digits = usize::from(value < 9.95);
    format!("{value:.digits$} {unit}")
}

/// `3 files`, `1 file`.
pub(crate) fn count(count: u64, one: &str) -> String {
    format!("{count} {one}{}", if count == 1 { "" } else { "s" })
}

/// `3 entries`, `1 entry`.
pub(crate) fn entries(count: usize) -> String {
    format!("{count} {}", if count == 1 { "entry" } else { "entries" })
}

/// `a` as a share of `b`, in per cent.
pub(crate) fn per_cent(a: u64, b: u64) -> String {
    if b == 0 {
        return "100 %".to_owned();
    }
    format!("{:.1} %", a as f64 * 100.0 / b as f64)
}

/// Lines of cells with columns that line up; the first column to the left, `left` more too, the rest to the
/// right.
#[derive(Default)]
pub(crate) struct Table {
    lines: Vec<Vec<String>>,
    left: Vec<usize>,
}

impl Table {
    /// A table whose columns `left` are aligned to the left, like the first.
    pub(crate) fn new(left: &[usize]) -> Table {
        Table {
            lines: Vec::new(),
            left: left.to_vec(),
        }
    }

    /// Adds a line.
    pub(crate) fn line<S: Into<String>>(&mut self, cells: impl IntoIterator<Item = S>) {
        self.lines.push(cells.into_iter().map(Into::into).collect());
    }

    /// The text, two spaces between columns.
    pub(crate) fn text(&self) -> String {
        let columns = self.lines.iter().map(Vec::len).max().unwrap_or(0);
        let width = |column: usize| {
            let cells = self.lines.iter().filter_map(|line| line.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..columns).map(width).collect();
        let mut text = String::new();
        for line in &self.lines {
            let mut row = String::new();
            for (column, cell) in line.iter().enumerate() {
                let width = widths[column];
                if column == 0 || self.left.contains(&column) {
                    row.push_str(&format!("{cell:<width$}  "));
                } else {
                    row.push_str(&format!("{cell:>width$}  "));
                }
            }
            text.push_str(row.trim_end());
            text.push('\n');
        }
        text
    }
}

/// Progress in bytes: shown after a second, on a terminal only. Also where an interrupt is noticed.
pub(crate) struct Progress {
    started: Instant,
    total: u64,
    done: AtomicU64,
    bar: OnceLock<ProgressBar>,
    interrupt: Option<&'static AtomicBool>,
}

impl Progress {
    /// Progress towards `total` bytes. From now on an interrupt (Ctrl-C) ends the command in good order:
    /// temporary files go away. A second one ends it at once.
    pub(crate) fn new(total: u64) -> Progress {
        let mut progress = Progress::of_one_call(total);
        progress.interrupt = Some(interrupted());
        progress
    }

    /// Progress of work that cannot stop in the middle and leaves nothing behind: an interrupt ends the
    /// process.
    pub(crate) fn of_one_call(total: u64) -> Progress {
        Progress {
            started: Instant::now(),
            total,
            done: AtomicU64::new(0),
            bar: OnceLock::new(),
            interrupt: None,
        }
    }

    /// Counts bytes as done.
    ///
    /// # Errors
    /// If the user interrupted.
    pub(crate) fn add(&self, bytes: u64) -> Result<()> {
        let done = self.done.fetch_add(bytes, Ordering::Relaxed) + bytes;
        if self.started.elapsed() > Duration::from_secs(1) && std::io::stderr().is_terminal() {
            self.bar.get_or_init(|| bar(self.total)).set_position(done);
        }
        match self.interrupt {
            Some(flag) if flag.load(Ordering::Relaxed) => {
                Err(Error::plain("interrupted", "nothing was changed"))
            }
            _ => Ok(()),
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = self.bar.get() {
            bar.finish_and_clear();
        }
    }
}

fn bar(total: u64) -> ProgressBar {
    let style =
        "{wide_bar} {binary_bytes} of {binary_total_bytes}  {binary_bytes_per_sec}  {eta} left";
    let style = ProgressStyle::with_template(style).expect("a template that a test has parsed");
    ProgressBar::new(total).with_style(style)
}

/// Whether the user asked to stop; the first call installs the handlers.
fn interrupted() -> &'static AtomicBool {
    static FLAG: OnceLock<Arc<AtomicBool>> = OnceLock::new();
    FLAG.get_or_init(|| {
        let flag = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM] {
            // In this order: the first signal finds the flag down and raises it, the second finds it up and
            // exits. Without handlers the signal ends the process, as ever; only temporary files stay behind.
            let _ =
                signal_hook::flag::register_conditional_shutdown(signal, 130, Arc::clone(&flag));
            let _ = signal_hook::flag::register(signal, Arc::clone(&flag));
        }
        flag
    })
}

/// A temporary file beside `target`, to be renamed over it.
///
/// # Errors
/// The kernel's.
pub(crate) fn temporary_beside(what: &str, target: &Path) -> Result<tempfile::NamedTempFile> {
    use std::os::unix::fs::PermissionsExt;
    let folder = match target.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    if target.is_dir() {
        return Err(Error::new(what, target, "is a folder").cure("name a file"));
    }
    // Readable as the user's umask says, like any other new file.
    let permissions = std::fs::Permissions::from_mode(0o666);
    let mut builder = tempfile::Builder::new();
    let builder = builder.prefix(".ds-").permissions(permissions);
    builder.tempfile_in(folder).map_err(|error| {
        Error::new(what, folder, reason(&error)).cure("the folder must exist and be writable")
    })
}

/// Puts a temporary file in its place.
///
/// # Errors
/// The kernel's; the file that was there is untouched then.
pub(crate) fn persist(what: &str, file: tempfile::NamedTempFile, target: &Path) -> Result<()> {
    let renamed = file.persist(target);
    renamed
        .map(drop)
        .map_err(|error| Error::new(what, target, error.error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_keep_three_digits() {
        for (size, text) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.00 KiB"),
            (10 * 1024, "10.0 KiB"),
            (1_048_575, "1.00 MiB"),
            (64 << 20, "64.0 MiB"),
            (500 << 20, "500 MiB"),
            (u64::MAX, "16384 PiB"),
        ] {
            assert_eq!(bytes(size), text);
        }
    }

    #[test]
    fn times_keep_two_digits() {
        for (ns, text) in [
            (0, "0 ns"),
            (999, "999 ns"),
            (1_500, "1.5 us"),
            (131_071, "131 us"),
            (4_194_303, "4.2 ms"),
            (33_000_000, "33 ms"),
            (2_000_000_000, "2.0 s"),
        ] {
            assert_eq!(time(ns), text);
        }
    }

    #[test]
    fn columns_line_up_and_lines_do_not_trail() {
        let mut table = Table::new(&[2]);
        table.line(["name", "size", "why"]);
        table.line(["a", "10000", "x"]);
        assert_eq!(table.text(), "name   size  why\na     10000  x\n");
    }

    #[test]
    fn the_bar_s_template_parses() {
        drop(bar(1));
    }
}
