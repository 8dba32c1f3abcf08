//! Running other programs: says what it runs, how long it took, and ends what takes too long.
//!
//! Promises
//! - Standard input is always empty: nothing here may wait for a person.
//! - A program past its time limit is ended together with the children it started.
//! - Captured output goes to a file under the build tree first, so it survives for whoever must read it.
#![forbid(unsafe_code)]

use crate::paths;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// A program about to run.
pub(crate) struct Cmd {
    program: String,
    arguments: Vec<OsString>,
    environment: Vec<(String, OsString)>,
    directory: Option<std::path::PathBuf>,
    limit: Duration,
    quiet: bool,
}

/// How a program ended.
pub(crate) struct Ended {
    /// Its exit status, or `None` when a signal or the time limit ended it.
    pub(crate) code: Option<i32>,
    /// What went wrong, in words; empty when it exited with 0.
    pub(crate) why: String,
    /// Standard output and standard error together, if they were captured.
    pub(crate) text: String,
}

impl Ended {
    /// Nothing on exit status 0, otherwise what went wrong.
    pub(crate) fn ok(&self) -> Result<(), String> {
        if self.code == Some(0) {
            Ok(())
        } else {
            Err(self.why.clone())
        }
    }

    /// The captured text on exit status 0; otherwise prints the end of it and says what went wrong.
    pub(crate) fn text_or_shown(self) -> Result<String, String> {
        if self.code == Some(0) {
            return Ok(self.text);
        }
        self.show_tail(60);
        Err(self.why)
    }

    /// Prints the last lines of what was captured.
    pub(crate) fn show_tail(&self, lines_max: usize) {
        let lines: Vec<&str> = self.text.lines().collect();
        let from = lines.len().saturating_sub(lines_max);
        lines[from..].iter().for_each(|line| println!("  | {line}"));
    }
}

impl Cmd {
    /// A program to be looked up in PATH, or given by path; half an hour at most unless told otherwise.
    pub(crate) fn new(program: impl AsRef<OsStr>) -> Self {
        Self {
            program: program.as_ref().to_string_lossy().into_owned(),
            arguments: Vec::new(),
            environment: Vec::new(),
            directory: None,
            limit: Duration::from_secs(30 * 60),
            quiet: false,
        }
    }

    /// Cargo on the default toolchain.
    pub(crate) fn cargo() -> Self {
        Self::new("cargo")
    }

    /// Cargo on the nightly toolchain.
    pub(crate) fn cargo_nightly() -> Self {
        Self::new("cargo").arg("+nightly")
    }

    /// Adds an argument.
    pub(crate) fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.arguments.push(argument.as_ref().to_os_string());
        self
    }

    /// Adds arguments.
    pub(crate) fn args<A: AsRef<OsStr>>(mut self, arguments: impl IntoIterator<Item = A>) -> Self {
        self.arguments
            .extend(arguments.into_iter().map(|a| a.as_ref().to_os_string()));
        self
    }

    /// Sets an environment variable.
    pub(crate) fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.environment
            .push((name.to_string(), value.as_ref().to_os_string()));
        self
    }

    /// Runs in `directory` rather than in the repository root.
    pub(crate) fn directory(mut self, directory: &Path) -> Self {
        self.directory = Some(directory.to_path_buf());
        self
    }

    /// Ends the program after `seconds`.
    pub(crate) fn limit_s(mut self, seconds: u64) -> Self {
        self.limit = Duration::from_secs(seconds);
        self
    }

    /// Does not say what runs: for probes, and for loops whose caller says it better.
    pub(crate) fn quiet(mut self) -> Self {
        self.quiet = true;
        self
    }

    /// Runs with this process's own output.
    pub(crate) fn run(self) -> Result<(), String> {
        self.execute(None).ok()
    }

    /// Runs and keeps the output.
    pub(crate) fn capture(self) -> Ended {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = Path::new(&self.program)
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let log = match paths::scratch("log") {
            Ok(directory) => {
                directory.join(format!("{}-{number:03}-{name}.log", std::process::id()))
            }
            Err(why) => {
                return Ended {
                    code: None,
                    why,
                    text: String::new(),
                };
            }
        };
        let mut ended = self.execute(Some(&log));
        ended.text = match std::fs::read(&log) {
            Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            Err(e) => format!("(no output: {e})"),
        };
        // What went well needs no witness; what did not is kept for whoever must find out why.
        if ended.code == Some(0) {
            let _ = std::fs::remove_file(&log);
        }
        ended
    }

    fn execute(self, log: Option<&Path>) -> Ended {
        if !self.quiet {
            println!("$ {}", self.shown());
        }
        let started = Instant::now();
        let ended = match self.spawn(log) {
            Ok(child) => wait(child, self.limit),
            Err(e) => Err(format!("cannot run {}: {e}", self.program)),
        };
        if !self.quiet {
            println!("  {:.1} s", started.elapsed().as_secs_f64());
        }
        match ended {
            Ok(status) => Ended {
                code: status.code(),
                why: describe(status),
                text: String::new(),
            },
            Err(why) => Ended {
                code: None,
                why,
                text: String::new(),
            },
        }
    }

    fn spawn(&self, log: Option<&Path>) -> std::io::Result<Child> {
        let mut command = Command::new(&self.program);
        command
            .args(&self.arguments)
            .stdin(Stdio::null())
            .process_group(0);
        command.current_dir(self.directory.clone().unwrap_or_else(paths::root));
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        if let Some(path) = log {
            let file = File::create(path)?;
            command.stdout(file.try_clone()?).stderr(file);
        }
        command.spawn()
    }

    /// The command as one would type it, paths inside the repository shortened.
    fn shown(&self) -> String {
        let root = format!("{}/", paths::root().display());
        let mut words: Vec<String> = self
            .environment
            .iter()
            .map(|(n, v)| format!("{n}={}", quoted(&v.to_string_lossy())))
            .collect();
        words.push(self.program.clone());
        words.extend(self.arguments.iter().map(|a| quoted(&a.to_string_lossy())));
        words.join(" ").replace(&root, "")
    }
}

/// Whether a program can be found in PATH.
pub(crate) fn have(program: &str) -> bool {
    let Some(path) = std::env::var_os("PATH") else {
        return false;
    };
    std::env::split_paths(&path).any(|directory| directory.join(program).is_file())
}

/// Whether a toolchain whose name begins so is installed. Asking for it by name could install it.
pub(crate) fn have_toolchain(name: &str) -> bool {
    have("rustup") && {
        let list = Cmd::new("rustup")
            .args(["toolchain", "list"])
            .quiet()
            .limit_s(60);
        list.capture()
            .text
            .lines()
            .any(|line| line.starts_with(name))
    }
}

/// Whether the nightly toolchain is installed.
pub(crate) fn have_nightly() -> bool {
    have_toolchain("nightly-")
}

/// What `nightly` needs to rebuild the standard library; without it std stays uninstrumented.
pub(crate) fn have_rust_src() -> bool {
    let shown = Cmd::new("rustc")
        .args(["+nightly", "--print", "sysroot"])
        .quiet()
        .limit_s(60)
        .capture();
    Path::new(shown.text.trim())
        .join("lib/rustlib/src/rust/library/Cargo.lock")
        .is_file()
}

/// Whether nightly has Miri.
pub(crate) fn have_miri() -> bool {
    Cmd::cargo_nightly()
        .args(["miri", "--version"])
        .quiet()
        .limit_s(60)
        .capture()
        .code
        == Some(0)
}

fn wait(mut child: Child, limit: Duration) -> Result<ExitStatus, String> {
    let started = Instant::now();
    let mut pause = Duration::from_millis(2);
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return Ok(status),
            Ok(None) if started.elapsed() < limit => {
                sleep(pause);
                pause = (pause * 2).min(Duration::from_millis(50));
            }
            Ok(None) => {
                end_group(&mut child);
                return Err(format!("still running after {} s, ended", limit.as_secs()));
            }
            Err(e) => return Err(format!("cannot wait for it: {e}")),
        }
    }
}

/// Ends the child and the children it started: they share its process group, which we made for it.
fn end_group(child: &mut Child) {
    let group = format!("-{}", child.id());
    let _ = Command::new("kill")
        .args(["-KILL", "--", &group])
        .stderr(Stdio::null())
        .status();
    let _ = child.kill();
    let _ = child.wait();
}

fn describe(status: ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt;
    match (status.code(), status.signal()) {
        (Some(0), _) => String::new(),
        (Some(code), _) => format!("exit status {code}"),
        (None, Some(signal)) => format!("ended by signal {signal}"),
        (None, None) => status.to_string(),
    }
}

fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_=+./,:@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_string()
    } else {
        format!("'{word}'")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn output_and_status_are_captured() {
        let ended = Cmd::new("sh")
            .args(["-c", "echo out; echo err >&2; exit 3"])
            .quiet()
            .capture();
        assert_eq!(ended.code, Some(3));
        assert_eq!(ended.text, "out\nerr\n");
        assert_eq!(ended.why, "exit status 3");
    }

    #[test]
    fn the_time_limit_ends_grandchildren_too() {
        let started = Instant::now();
        let ended = Cmd::new("sh")
            .args(["-c", "sleep 30 & wait"])
            .quiet()
            .limit_s(1)
            .capture();
        assert_eq!(ended.code, None);
        assert!(ended.why.contains("still running"), "{}", ended.why);
        assert!(started.elapsed() < Duration::from_secs(20));
    }

    #[test]
    fn a_signal_is_named_and_a_missing_program_is_an_error() {
        let ended = Cmd::new("sh")
            .args(["-c", "kill -SEGV $$"])
            .quiet()
            .capture();
        assert_eq!(ended.why, "ended by signal 11");
        assert!(Cmd::new("no-such-program-here").quiet().run().is_err());
        assert!(!have("no-such-program-here"));
    }

    #[test]
    fn standard_input_is_empty() {
        let ended = Cmd::new("cat").quiet().limit_s(10).capture();
        assert_eq!((ended.code, ended.text.as_str()), (Some(0), ""));
    }
}
