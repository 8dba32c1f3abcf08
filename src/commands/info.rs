//! `ds info`: what this machine offers, which path the engine takes and why, and every option.

use std::fs;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

use clap::Args;
use ds_core::{Backend, CAPACITY_MAX, CAPACITY_MIN, Config, File, FileMode, OPTIONS, choose};
use ds_tool::error::Shown;
use ds_tool::{Error, Result};
use rustix::fs::{AtFlags, StatxFlags};
use serde_json::{Map, Value, json};

use crate::ui::{self, Table};

/// See the file's head.
#[derive(Args)]
pub(crate) struct Arguments {
    /// Also tell how this file would be read, and why
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Informs.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let config = Config::default().overruled_by_environment();
    let file = arguments.file.as_deref();
    let file = file.map(|path| file_facts(&config, path)).transpose()?;
    let text = if arguments.json {
        format!("{}\n", as_json(&config, file))
    } else {
        as_text(&config, file)
    };
    ui::print(&text)
}

/// CPU features that the codec can use, and whether they are there.
fn cpu_features() -> Vec<(&'static str, bool)> {
    #[cfg(target_arch = "x86_64")]
    return vec![
        ("avx2", is_x86_feature_detected!("avx2")),
        ("bmi2", is_x86_feature_detected!("bmi2")),
        ("avx512f", is_x86_feature_detected!("avx512f")),
        ("avx512bw", is_x86_feature_detected!("avx512bw")),
        ("avx512vbmi2", is_x86_feature_detected!("avx512vbmi2")),
    ];
    #[cfg(not(target_arch = "x86_64"))]
    Vec::new()
}

fn kernel() -> String {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease");
    release.map_or_else(
        |_| "unknown".to_owned(),
        |release| release.trim().to_owned(),
    )
}

fn availability(backend: Backend) -> String {
    match (backend, backend.unavailable()) {
        (_, Some(why)) => format!("no: {why}"),
        (Backend::Auto, None) => format!("yes, takes {}", choose(backend).backend),
        (Backend::Sim, None) => "yes, for tests".to_owned(),
        (_, None) => "yes".to_owned(),
    }
}

/// Names and values, in words.
fn limits(config: &Config) -> [(&'static str, String); 4] {
    [
        (
            "queue capacity",
            format!("{CAPACITY_MIN} to {CAPACITY_MAX} entries"),
        ),
        (
            "staging",
            format!(
                "{} for compressed file requests",
                ui::bytes(config.staging_bytes.into())
            ),
        ),
        (
            "I/O threads",
            config
                .io_thread_count(choose(config.backend).backend)
                .to_string(),
        ),
        ("decode threads", config.decode_thread_count().to_string()),
    ]
}

fn as_text(config: &Config, file: Option<Facts>) -> String {
    let mut sections = vec![
        (format!("ds {}", ds_core::VERSION), machine_table()),
        ("backends".to_owned(), backend_table(config)),
        ("GPUs".to_owned(), gpu_table()),
        ("limits".to_owned(), limit_table(config)),
        ("options".to_owned(), option_table(config)),
        (
            "environment (beats what a program asks for)".to_owned(),
            environment_table(),
        ),
    ];
    if let Some(file) = file {
        let mut table = Table::new(&[1]);
        for (name, value) in &file.facts {
            table.line([(*name).to_owned(), plain(value)]);
        }
        sections.push((format!("file {}", file.name), table));
    }
    let sections = sections.iter().map(|(title, table)| {
        let text = table.text();
        let lines = text.lines().map(|line| format!("  {line}\n"));
        format!("{title}\n{}", lines.collect::<String>())
    });
    sections.collect::<Vec<_>>().join("\n")
}

fn machine_table() -> Table {
    let features: Vec<_> = cpu_features()
        .into_iter()
        .map(|(name, there)| format!("{}{name}", if there { "" } else { "no " }))
        .collect();
    let mut table = Table::new(&[1]);
    table.line(["kernel".to_owned(), kernel()]);
    table.line(["cores".to_owned(), ui::cores().to_string()]);
    table.line(["CPU features".to_owned(), features.join(", ")]);
    table
}

fn backend_table(config: &Config) -> Table {
    let mut table = Table::new(&[1]);
    for backend in Backend::ALL {
        table.line([backend.name().to_owned(), availability(backend)]);
    }
    let choice = choose(config.backend);
    let in_use = format!("{}: {}", choice.backend, choice.reason);
    table.line(["in use".to_owned(), in_use]);
    table
}

fn gpu_table() -> Table {
    let mut table = Table::new(&[1]);
    for (name, value) in super::info_gpu::facts() {
        table.line([name, value]);
    }
    table
}

fn limit_table(config: &Config) -> Table {
    let mut table = Table::new(&[1]);
    for (name, value) in limits(config) {
        table.line([name.to_owned(), value]);
    }
    table
}

fn option_table(config: &Config) -> Table {
    let mut table = Table::new(&[1, 2, 3]);
    table.line(["option", "value", "takes", "what it does"]);
    for option in OPTIONS {
        let value = option.value(config);
        table.line([option.key, &value, option.values, option.help]);
    }
    table
}

fn environment_table() -> Table {
    let mut table = Table::new(&[1, 2]);
    for (name, value, help) in environment_facts() {
        table.line([name, value.as_deref().unwrap_or("not set"), help]);
    }
    table
}

fn plain(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}

fn environment_facts() -> [(&'static str, Option<String>, &'static str); 4] {
    let value = |name| std::env::var_os(name).map(|value| Shown(Path::new(&value)).to_string());
    [
        (
            "DS_CONFIG",
            value("DS_CONFIG"),
            "options: key=value,key=value",
        ),
        (
            "DS_CONFIG_FILE",
            value("DS_CONFIG_FILE"),
            "a file of options, one key = value a line",
        ),
        (
            "DS_LOG",
            value("DS_LOG"),
            "none, error, warn, info, debug or trace",
        ),
        (
            "DS_LOG_PATH",
            value("DS_LOG_PATH"),
            "a file for the log instead of standard error",
        ),
    ]
}

fn as_json(config: &Config, file: Option<Facts>) -> Value {
    let choice = choose(config.backend);
    let backends = Backend::ALL.into_iter().map(|backend| {
        let why = backend.unavailable();
        (
            backend.name().to_owned(),
            json!({ "available": why.is_none(), "reason": why }),
        )
    });
    let options = OPTIONS.iter().map(|option| {
        let value =
            json!({ "value": option.value(config), "takes": option.values, "help": option.help });
        (option.key.to_owned(), value)
    });
    let features = cpu_features()
        .into_iter()
        .map(|(name, there)| (name.to_owned(), there.into()));
    let environment = environment_facts().map(|(name, value, _)| (name.to_owned(), json!(value)));
    let file = file.map(|file| {
        let facts = file.facts.into_iter();
        Map::from_iter(facts.map(|(name, value)| (name.to_owned(), value)))
    });
    json!({
        "version": ds_core::VERSION,
        "kernel": kernel(),
        "cores": ui::cores(),
        "cpu_features": Map::from_iter(features),
        "backends": Map::from_iter(backends),
        "gpus": super::info_gpu::as_json(),
        "backend": choice.backend.name(),
        "backend_reason": choice.reason,
        "limits": {
            "queue_capacity_min": CAPACITY_MIN,
            "queue_capacity_max": CAPACITY_MAX,
            "staging_bytes": config.staging_bytes,
            "io_threads": config.io_thread_count(choice.backend),
            "decode_threads": config.decode_thread_count(),
        },
        "options": Map::from_iter(options),
        "environment": Map::from_iter(environment),
        "file": file,
    })
}

/// What is known of a file.
struct Facts {
    name: String,
    facts: Vec<(&'static str, Value)>,
}

fn file_facts(config: &Config, path: &Path) -> Result<Facts> {
    let failed = |error: std::io::Error| Error::new("info", path, error);
    // Before anything is opened: opening a pipe would wait for its other end.
    if !fs::metadata(path).map_err(failed)?.is_file() {
        return Err(Error::new("info", path, "not a regular file"));
    }
    let file = fs::File::open(path).map_err(failed)?;
    let bytes = file.metadata().map_err(failed)?.len();
    let (file_system, device) =
        mounted_from(&file).unwrap_or_else(|| ("unknown".into(), "unknown".into()));
    let alignment = direct_alignment(&file);
    let engine = |error: ds_core::Error| Error::new("info", path, error);
    let file = File::from_fd(file.into(), path, false).map_err(engine)?;
    let mode = config.effective_file_mode();
    let mut facts = vec![
        ("bytes", bytes.into()),
        ("file system", file_system.into()),
        ("device", device.into()),
        ("mode", mode.name().into()),
        ("read", file.explain_mode(mode).map_err(engine)?.into()),
    ];
    if let Some((offset, memory)) = alignment {
        facts.push(("direct offset alignment", offset.into()));
        facts.push(("direct memory alignment", memory.into()));
    }
    for mode in FileMode::ALL {
        let explained = file.explain_mode(mode).map_err(engine)?;
        facts.push((if_asked_for(mode), explained.into()));
    }
    Ok(Facts {
        name: Shown(path).to_string(),
        facts,
    })
}

/// What direct reads of the file must be aligned to, in bytes: offsets and memory. Where the kernel (6.1) and
/// the file system say so.
fn direct_alignment(file: &fs::File) -> Option<(u32, u32)> {
    let (flags, wanted) = (AtFlags::EMPTY_PATH, StatxFlags::DIOALIGN);
    let said = rustix::fs::statx(file, c"", flags, wanted).ok()?;
    let (offset, memory) = (said.stx_dio_offset_align, said.stx_dio_mem_align);
    let answered = said.stx_mask & wanted.bits() != 0 && offset > 0 && memory > 0;
    answered.then_some((offset, memory))
}

/// The name of the fact how a file would be read in that mode.
fn if_asked_for(mode: FileMode) -> &'static str {
    match mode {
        FileMode::Auto => "if auto",
        FileMode::Buffered => "if buffered",
        FileMode::Direct => "if direct",
        FileMode::DontCache => "if dontcache",
    }
}

/// File system type and source of the mount that the file was opened through, from the kernel's own lists.
///
/// By the number of the mount: that of the device is another one on file systems with subvolumes.
fn mounted_from(file: &fs::File) -> Option<(String, String)> {
    let opened = format!("/proc/self/fdinfo/{}", file.as_raw_fd());
    let opened = fs::read_to_string(opened).ok()?;
    let mount = opened
        .lines()
        .find_map(|line| line.strip_prefix("mnt_id:"))?
        .trim();
    let mounts = fs::read_to_string("/proc/self/mountinfo").ok()?;
    let mount = mounts
        .lines()
        .find(|line| line.split(' ').next() == Some(mount))?;
    let mut fields = mount.split_once(" - ")?.1.split(' ');
    Some((fields.next()?.to_owned(), fields.next()?.to_owned()))
}
