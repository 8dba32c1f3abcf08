//! fio, the yardstick: how it is asked, so that it is as fast as it can be at the same work, and how its
//! answer is read.

#![forbid(unsafe_code)]

use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt;
use std::process::{Command, Stdio};

use serde_json::Value;

use super::load::Shape;
use super::subject::Subject;
use super::{Round, Temperature};

/// Time that is not measured, for memory to be touched and the disk to get going, in milliseconds.
const RAMP_MS: u32 = 100;

/// What fio is to do.
#[derive(Clone, Copy)]
pub(super) struct Job<'a> {
    pub(super) subject: &'a Subject,
    pub(super) shape: Shape,
    pub(super) temperature: Temperature,
    /// Threads that each have their part of the depth.
    pub(super) threads: u32,
    /// Whether the destinations are registered with the ring, too.
    pub(super) fixed_buffers: bool,
}

/// Until when it works.
#[derive(Clone, Copy)]
pub(super) enum Until {
    /// So many milliseconds after the ramp.
    Milliseconds(u64),
    /// So many requests of each thread, ramp and all.
    Requests(u64),
}

/// Its version, or why there is none.
pub(super) fn version() -> Result<String, String> {
    match Command::new("fio").arg("--version").output() {
        Ok(output) => Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned()),
        Err(error) if error.kind() == ErrorKind::NotFound => Err(
            "fio is not installed; `apt install fio` (or your distribution's way) brings it".into(),
        ),
        Err(error) => Err(format!("fio does not start: {error}")),
    }
}

impl Job<'_> {
    /// Runs it and reads its answer.
    pub(super) fn run(&self, until: Until) -> Result<Round, String> {
        let output = self.command(until).output();
        let output = output.map_err(|error| format!("fio does not start: {error}"))?;
        let complaint = String::from_utf8_lossy(&output.stderr);
        if !output.status.success() {
            let why = complaint.lines().find(|line| !line.trim().is_empty());
            return Err(format!(
                "fio failed: {}",
                why.unwrap_or("it did not say why")
            ));
        }
        parse(&String::from_utf8_lossy(&output.stdout), self.threads)
    }

    /// The command line. What is not said here is fio's default.
    pub(super) fn command(&self, until: Until) -> Command {
        let depth = self.shape.depth.div_ceil(self.threads).max(1);
        // A quarter of the depth at a time, as our own statuses have it. fio's default of one by one makes
        // a system call of each request, and a third of the speed of small ones goes with that.
        let batch = depth.div_ceil(4);
        let mut command = Command::new("fio");
        command.stdin(Stdio::null());
        command.args([
            "--name=ds",
            "--readonly",
            "--rw=randread",
            "--ioengine=io_uring",
        ]);
        command.arg(file_name(self.subject));
        command.args([
            format!("--size={}", self.subject.span_bytes()),
            format!("--bs={}", self.shape.request_bytes),
            format!("--numjobs={}", self.threads),
            format!("--iodepth={depth}"),
            format!("--iodepth_batch_submit={batch}"),
            format!("--iodepth_batch_complete_min={batch}"),
            format!("--iodepth_batch_complete_max={depth}"),
            format!(
                "--direct={}",
                u32::from(self.temperature == Temperature::Cold)
            ),
            format!("--fixedbufs={}", u32::from(self.fixed_buffers)),
        ]);
        command.args([
            // The descriptor is looked up once, not for each request.
            "--registerfiles=1",
            // No process of its own, no shared memory.
            "--thread=1",
            "--group_reporting=1",
            // Any offset at any time: no map of what was read already to keep and search.
            "--norandommap=1",
            "--randrepeat=0",
            // One look at the clock for the run, none for each request.
            "--gtod_reduce=1",
            // The cache is as we made it.
            "--invalidate=0",
            // No looks at the disk's counters, no progress on the terminal.
            "--disk_util=0",
            "--eta=never",
            "--output-format=json",
        ]);
        match until {
            Until::Milliseconds(ms) => {
                command.args(["--time_based=1".into(), format!("--runtime={ms}ms")]);
                command.arg(format!("--ramp_time={RAMP_MS}ms"));
            }
            Until::Requests(count) => {
                let bytes = count * u64::from(self.shape.request_bytes);
                command.arg(format!("--io_size={bytes}"));
            }
        }
        command
    }
}

/// fio takes a colon for the end of a name.
fn file_name(subject: &Subject) -> std::ffi::OsString {
    let mut argument = b"--filename=".to_vec();
    for &byte in subject.path().as_os_str().as_bytes() {
        if matches!(byte, b':' | b'\\') {
            argument.push(b'\\');
        }
        argument.push(byte);
    }
    std::os::unix::ffi::OsStringExt::from_vec(argument)
}

/// What `--output-format=json` says of the one group of `threads` jobs.
fn parse(text: &str, threads: u32) -> Result<Round, String> {
    // Notes may stand before it.
    let start = text.find('{').ok_or("fio answered no JSON")?;
    let mut values = serde_json::Deserializer::from_str(&text[start..]).into_iter::<Value>();
    let value = values.next().and_then(Result::ok);
    let value = value.ok_or("fio's answer is no JSON that can be read")?;
    let job = &value["jobs"][0];
    let number = |value: &Value, name: &str| {
        let number = value[name]
            .as_f64()
            .filter(|number| number.is_finite() && *number >= 0.0);
        number.ok_or_else(|| format!("fio's answer has no {name}"))
    };
    if number(job, "error")? != 0.0 {
        return Err(format!("fio says error {}", job["error"]));
    }
    let read = &job["read"];
    let (requests, seconds) = (number(read, "total_ios")?, number(read, "runtime")? / 1e3);
    if requests == 0.0 || seconds == 0.0 {
        return Err("fio read nothing".into());
    }
    // Shares of one thread's time, in per cent, the mean over the threads. Start and ramp are not in it.
    let busy = (number(job, "usr_cpu")? + number(job, "sys_cpu")?) / 100.0;
    Ok(Round {
        requests,
        seconds,
        cpu_seconds: busy * seconds * f64::from(threads),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An answer of two jobs, cut to what is read and a little more.
    const ANSWER: &str = r#"note: something about depths
{
  "fio version": "fio-9.9",
  "jobs": [ {
      "jobname": "ds", "error": 0,
      "read": { "io_bytes": 8192000, "iops": 4000.0, "runtime": 500, "total_ios": 2000 },
      "usr_cpu": 10.0, "sys_cpu": 30.5, "ctx": 3
  } ]
}
"#;

    #[test]
    fn an_answer_is_read() {
        let round = parse(ANSWER, 2).unwrap();
        let near = |value: f64, expected: f64| (value - expected).abs() < 1e-9;
        assert!(near(round.requests, 2000.0) && near(round.seconds, 0.5));
        assert!(near(round.cpu_seconds, 0.405), "{}", round.cpu_seconds);
    }

    #[test]
    fn an_answer_that_says_too_little_is_an_error() {
        for (text, why) in [
            ("", "no JSON"),
            ("{\"jobs\": [", "no JSON"),
            ("{}", "error"),
            (&ANSWER.replace("\"error\": 0", "\"error\": 22"), "error 22"),
            (&ANSWER.replace("total_ios", "x"), "no total_ios"),
            (&ANSWER.replace("2000 }", "0 }"), "nothing"),
            (&ANSWER.replace("30.5", "-1"), "no sys_cpu"),
        ] {
            let error = parse(text, 1).expect_err(text);
            assert!(error.contains(why), "{error}");
        }
    }

    #[test]
    fn names_with_colons_are_one_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a:b");
        std::fs::write(&path, [0; 4096]).unwrap();
        let subject = Subject::open(Some(&path), None).unwrap();
        let argument = file_name(&subject).into_string().unwrap();
        assert!(argument.ends_with("a\\:b"), "{argument}");
    }
}
