//! Configuration: one table of options, the same from Rust, C, the environment and a file.
//!
//! `DS_CONFIG=key=value,key=value` beats the file named by `DS_CONFIG_FILE` (a `key = value` a
//! line, `#` comments), which beats what the program sets, so that a person can overrule a game. A
//! value that makes no sense is logged and ignored: a typo must not keep a game from starting.

#![forbid(unsafe_code)]

use std::sync::OnceLock;

use crate::backend::{Backend, GpuDecode};
use crate::gdeflate;
use crate::open_file::FileMode;
use crate::staging::STAGING_BYTES_DEFAULT;

/// The options of a runtime. `Config::default()` is what most programs want.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Config {
    /// How requests are carried out.
    pub backend: Backend,
    /// Threads that read and write; 0 chooses by the number of cores: with io_uring half as many, between 4
    /// (or one a core) and 16; otherwise twice as many, between 4 and 16. At most [`THREADS_MAX`].
    pub io_threads: u32,
    /// Threads that decompress; 0 chooses; -1 for none: the application takes every compressed
    /// request from the custom decompression queue.
    pub decode_threads: i32,
    /// The path of the GDeflate decoder in the whole process; `None` for the best this machine can take,
    /// which is taken as well if it cannot take this one.
    pub decoder: Option<gdeflate::Path>,
    /// The size of the staging buffer in bytes, as `SetStagingBufferSize`.
    pub staging_bytes: u32,
    /// How many bytes all staging may have, whatever `staging_bytes` becomes; 0 for no such limit. One half
    /// is for memory destinations, the other for those of each GPU.
    pub staging_bytes_max: u64,
    /// Who decompresses GDeflate whose destination is a GPU's.
    pub gpu_decode: GpuDecode,
    /// The GPU of [`Backend::Vulkan`]: its number among the machine's, or a part of its name; empty for
    /// the best.
    pub gpu_device: String,
    /// How files are read.
    pub file_mode: FileMode,
    /// Never past the page cache, whatever `file_mode` says; `ForceFileBuffering`.
    pub force_file_buffering: bool,
    /// Whether a thread that waits for a status or a fence reads meanwhile what is in the page cache.
    pub waiters_help: bool,
    /// Refuse every request above the staging size, as Microsoft's runtime does.
    pub exact_limits: bool,
    /// Everything as Microsoft's runtime does it: `exact_limits`, and a host of Windows programs ends the
    /// process for requests that make no sense.
    pub exact: bool,
    /// What is left of a Windows program's configuration.
    pub windows: WindowsConfig,
    /// For [`Backend::Sim`], and for the others if `io_faults` says so.
    pub sim: SimConfig,
    /// Seeded trouble between the engine and whatever carries out its reads and writes; for tests.
    pub io_faults: bool,
}

/// The fields of `DSTORAGE_CONFIGURATION` that nothing here corresponds to: about Windows' storage stack, and
/// about decompression by a D3D12 device, which the host of a Windows program does. Kept for a host of
/// Windows programs, and for a person who overrules one.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct WindowsConfig {
    /// `NumSubmitThreads`: threads of a design that is not ours; `io_threads` is what counts.
    pub submit_threads: u32,
    /// `ForceMappingLayer`: how Windows is asked to read.
    pub force_mapping_layer: bool,
    /// `DisableBypassIO`: a short cut in Windows' storage stack.
    pub disable_bypass_io: bool,
    /// `DisableTelemetry`: there is none.
    pub disable_telemetry: bool,
    /// `DisableGpuDecompressionMetacommand`: the GPU decompresses without its driver's help.
    pub disable_gpu_metacommand: bool,
    /// `DisableGpuDecompression`: the CPU decompresses for GPU destinations, too.
    pub disable_gpu_decompression: bool,
}

/// The faults of the simulation, each in a thousand operations.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SimConfig {
    /// Where the pseudo-random numbers start: the same seed and the same calls give the same run.
    pub seed: u64,
    /// Reads and writes that do only a part.
    pub short_per_mille: u32,
    /// EINTR.
    pub eintr_per_mille: u32,
    /// EAGAIN.
    pub eagain_per_mille: u32,
    /// EIO.
    pub eio_per_mille: u32,
    /// EFAULT for reads past the page cache, as of memory that the kernel cannot hold for a disk.
    pub direct_efault_per_mille: u32,
    /// Operations that take many turns.
    pub delay_per_mille: u32,
}

impl Default for SimConfig {
    fn default() -> SimConfig {
        SimConfig {
            seed: 1,
            short_per_mille: 200,
            eintr_per_mille: 50,
            eagain_per_mille: 50,
            eio_per_mille: 0,
            direct_efault_per_mille: 0,
            delay_per_mille: 200,
        }
    }
}

/// More threads than this help nobody.
pub const THREADS_MAX: u32 = 64;

impl Default for Config {
    fn default() -> Config {
        Config {
            backend: Backend::Auto,
            io_threads: 0,
            decode_threads: 0,
            decoder: None,
            staging_bytes: STAGING_BYTES_DEFAULT,
            staging_bytes_max: 0,
            gpu_decode: GpuDecode::Auto,
            gpu_device: String::new(),
            file_mode: FileMode::Auto,
            force_file_buffering: false,
            waiters_help: true,
            exact_limits: false,
            exact: false,
            windows: WindowsConfig::default(),
            sim: SimConfig::default(),
            io_faults: false,
        }
    }
}

/// One option: its name, its meaning, and how it is read and written.
#[derive(Clone, Copy, Debug)]
pub struct OptionSpec {
    /// The key.
    pub key: &'static str,
    /// The values it takes.
    pub values: &'static str,
    /// What it does.
    pub help: &'static str,
    get: fn(&Config) -> String,
    set: fn(&mut Config, &str) -> Option<()>,
}

/// Every option there is.
pub const OPTIONS: &[OptionSpec] = &[
    OptionSpec {
        key: "backend",
        values: "auto, cpu, io_uring, vulkan, sim",
        help: "how requests are carried out; what is not available falls back to cpu",
        get: |config| config.backend.name().to_owned(),
        set: |config, value| Backend::from_name(value).map(|backend| config.backend = backend),
    },
    OptionSpec {
        key: "io_threads",
        values: "0 to 64",
        help: "threads that read and write; 0 chooses by the number of cores",
        get: |config| config.io_threads.to_string(),
        set: |config, value| {
            value
                .parse()
                .ok()
                .map(|threads: u32| config.io_threads = threads.min(THREADS_MAX))
        },
    },
    OptionSpec {
        key: "decode_threads",
        values: "-1 to 64",
        help: "threads that decompress; 0 is one a core; -1 leaves decompression to the application",
        get: |config| config.decode_threads.to_string(),
        set: |config, value| {
            let threads: i32 = value.parse().ok()?;
            config.decode_threads = threads.clamp(-1, THREADS_MAX as i32);
            Some(())
        },
    },
    OptionSpec {
        key: "decoder",
        values: "auto, portable, avx2, avx512",
        help: "the GDeflate decoder of the process; what the machine cannot take falls back to auto",
        get: |config| {
            config
                .decoder
                .map_or("auto", gdeflate::Path::name)
                .to_owned()
        },
        set: |config, value| {
            config.decoder = match value {
                "auto" => None,
                name => Some(gdeflate::Path::from_name(name)?),
            };
            Some(())
        },
    },
    OptionSpec {
        key: "staging_mib",
        values: "0 to 4095",
        help: "size of the staging buffer for compressed file requests, in MiB",
        get: |config| (config.staging_bytes >> 20).to_string(),
        set: |config, value| {
            let mib: u32 = value.parse().ok().filter(|&mib| mib < 4096)?;
            config.staging_bytes = mib << 20;
            Some(())
        },
    },
    OptionSpec {
        key: "staging_mib_max",
        values: "0 to 1048576",
        help: "cap of all staging in MiB, whatever a program asks for, half of it for a GPU; 0 is none",
        get: |config| (config.staging_bytes_max >> 20).to_string(),
        set: |config, value| {
            let mib: u64 = value.parse().ok().filter(|&mib| mib <= 1 << 20)?;
            config.staging_bytes_max = mib << 20;
            Some(())
        },
    },
    OptionSpec {
        key: "gpu_decode",
        values: "auto, gpu, cpu",
        help: "who decompresses GDeflate for GPU destinations; auto is the GPU for many tiles at once, \
               and the CPU under Wine",
        get: |config| config.gpu_decode.name().to_owned(),
        set: |config, value| GpuDecode::from_name(value).map(|who| config.gpu_decode = who),
    },
    OptionSpec {
        key: "gpu_device",
        values: "a number, or part of a name; empty for the best",
        help: "the GPU of backend=vulkan; `ds info` lists them",
        get: |config| config.gpu_device.clone(),
        set: |config, value| {
            config.gpu_device = value.to_owned();
            Some(())
        },
    },
    OptionSpec {
        key: "file_mode",
        values: "auto, buffered, direct, dontcache",
        help: "how files are read; what a file system refuses falls back to buffered",
        get: |config| config.file_mode.name().to_owned(),
        set: |config, value| FileMode::from_name(value).map(|mode| config.file_mode = mode),
    },
    OptionSpec {
        key: "force_file_buffering",
        values: "0, 1",
        help: "1 reads every file through the page cache, as DirectStorage's ForceFileBuffering",
        get: |config| u8::from(config.force_file_buffering).to_string(),
        set: |config, value| parse_flag(value).map(|flag| config.force_file_buffering = flag),
    },
    OptionSpec {
        key: "waiters_help",
        values: "0, 1",
        help: "what a thread that waits for a status or fence does: 1 reads cached files, 0 sleeps",
        get: |config| u8::from(config.waiters_help).to_string(),
        set: |config, value| parse_flag(value).map(|flag| config.waiters_help = flag),
    },
    OptionSpec {
        key: "exact_limits",
        values: "0, 1",
        help: "1 refuses every request above the staging size, as Microsoft's runtime does",
        get: |config| u8::from(config.exact_limits).to_string(),
        set: |config, value| parse_flag(value).map(|flag| config.exact_limits = flag),
    },
    OptionSpec {
        key: "exact",
        values: "0, 1",
        help: "1 does as Microsoft's runtime does: its limits, and where it ends the process, that too",
        get: |config| u8::from(config.exact).to_string(),
        set: |config, value| parse_flag(value).map(|flag| config.exact = flag),
    },
    OptionSpec {
        key: "submit_threads",
        values: "0 to 2^32-1",
        help: "DirectStorage's NumSubmitThreads: noted, without effect; see io_threads",
        get: |config| config.windows.submit_threads.to_string(),
        set: |config, value| {
            let threads = value.parse().ok()?;
            config.windows.submit_threads = threads;
            Some(())
        },
    },
    OptionSpec {
        key: "force_mapping_layer",
        values: "0, 1",
        help: "DirectStorage's ForceMappingLayer: noted, without effect",
        get: |config| u8::from(config.windows.force_mapping_layer).to_string(),
        set: |config, value| {
            parse_flag(value).map(|flag| config.windows.force_mapping_layer = flag)
        },
    },
    OptionSpec {
        key: "disable_bypass_io",
        values: "0, 1",
        help: "DirectStorage's DisableBypassIO: noted, without effect",
        get: |config| u8::from(config.windows.disable_bypass_io).to_string(),
        set: |config, value| parse_flag(value).map(|flag| config.windows.disable_bypass_io = flag),
    },
    OptionSpec {
        key: "disable_telemetry",
        values: "0, 1",
        help: "DirectStorage's DisableTelemetry: noted, without effect; there is no telemetry",
        get: |config| u8::from(config.windows.disable_telemetry).to_string(),
        set: |config, value| parse_flag(value).map(|flag| config.windows.disable_telemetry = flag),
    },
    OptionSpec {
        key: "disable_gpu_metacommand",
        values: "0, 1",
        help: "DirectStorage's DisableGpuDecompressionMetacommand: 1 keeps GDeflate on the CPU, under Wine",
        get: |config| u8::from(config.windows.disable_gpu_metacommand).to_string(),
        set: |config, value| {
            parse_flag(value).map(|flag| config.windows.disable_gpu_metacommand = flag)
        },
    },
    OptionSpec {
        key: "disable_gpu_decompression",
        values: "0, 1",
        help: "DirectStorage's DisableGpuDecompression: 1 keeps GDeflate on the CPU, under Wine",
        get: |config| u8::from(config.windows.disable_gpu_decompression).to_string(),
        set: |config, value| {
            parse_flag(value).map(|flag| config.windows.disable_gpu_decompression = flag)
        },
    },
    OptionSpec {
        key: "io_faults",
        values: "0, 1",
        help: "for tests: 1 brings the simulation's faults to every backend",
        get: |config| u8::from(config.io_faults).to_string(),
        set: |config, value| parse_flag(value).map(|flag| config.io_faults = flag),
    },
    OptionSpec {
        key: "sim_seed",
        values: "0 to 2^64-1",
        help: "seed of the simulation's faults",
        get: |config| config.sim.seed.to_string(),
        set: |config, value| value.parse().ok().map(|seed| config.sim.seed = seed),
    },
    OptionSpec {
        key: "sim_eio_per_mille",
        values: "0 to 1000",
        help: "how many of a thousand operations of the simulation fail",
        get: |config| config.sim.eio_per_mille.to_string(),
        set: |config, value| {
            let rate: u32 = value.parse().ok().filter(|&rate| rate <= 1000)?;
            config.sim.eio_per_mille = rate;
            Some(())
        },
    },
];

fn parse_flag(value: &str) -> Option<bool> {
    match value {
        "0" | "false" | "no" | "off" => Some(false),
        "1" | "true" | "yes" | "on" => Some(true),
        _ => None,
    }
}

impl OptionSpec {
    /// The option's value in `config`, as text.
    pub fn value(&self, config: &Config) -> String {
        (self.get)(config)
    }
}

impl Config {
    /// Sets one option from text.
    ///
    /// # Errors
    /// A sentence for a person, if there is no such option or the value makes no sense.
    pub fn set(&mut self, key: &str, value: &str) -> Result<(), String> {
        let (key, value) = (key.trim(), value.trim());
        let Some(option) = OPTIONS.iter().find(|option| option.key == key) else {
            let known: Vec<_> = OPTIONS.iter().map(|option| option.key).collect();
            return Err(format!(
                "no option is called {key:?}; there are {}",
                known.join(", ")
            ));
        };
        (option.set)(self, value)
            .ok_or_else(|| format!("{key} cannot be {value:?}; it takes {}", option.values))
    }

    /// Sets options from a `key=value,key=value` list; answers a complaint for each that was
    /// ignored.
    pub fn set_list(&mut self, list: &str) -> Vec<String> {
        let items = list
            .split([',', '\n'])
            .map(str::trim)
            .filter(|item| !item.is_empty() && !item.starts_with('#'));
        let mut complaints = Vec::new();
        for item in items {
            let result = match item.split_once('=') {
                Some((key, value)) => self.set(key, value),
                None => Err(format!("{item:?} is not of the form key=value")),
            };
            complaints.extend(result.err());
        }
        complaints
    }

    /// This configuration, overruled by `DS_CONFIG_FILE` and then by `DS_CONFIG`. Complaints go to
    /// the log.
    #[must_use]
    pub fn overruled_by_environment(mut self) -> Config {
        let mut complaints = Vec::new();
        if let Some(path) = std::env::var_os("DS_CONFIG_FILE") {
            match std::fs::read_to_string(&path) {
                Ok(text) => complaints.extend(self.set_list(&text)),
                Err(error) => {
                    complaints.push(format!("DS_CONFIG_FILE {}: {error}", path.display()))
                }
            }
        }
        if let Ok(list) = std::env::var("DS_CONFIG") {
            complaints.extend(self.set_list(&list));
        }
        for complaint in complaints {
            log::warn!(target: "ds", "configuration ignored: {complaint}");
        }
        self
    }

    /// The most that one pool of staging may have.
    pub(crate) fn staging_room_max(&self) -> Option<usize> {
        let max = usize::try_from(self.staging_bytes_max / 2).unwrap_or(usize::MAX);
        (max > 0).then_some(max)
    }

    /// Whether requests above the staging size are refused.
    pub fn has_exact_limits(&self) -> bool {
        self.exact || self.exact_limits
    }

    /// How files are read in the end.
    pub fn effective_file_mode(&self) -> FileMode {
        if self.force_file_buffering {
            FileMode::Buffered
        } else {
            self.file_mode
        }
    }

    /// How many I/O threads that makes with `backend` (one that was chosen, see [`crate::choose`]).
    pub fn io_thread_count(&self, backend: Backend) -> usize {
        match (self.io_threads, backend) {
            (0, Backend::IoUring) => ring_count(cores()),
            // The same where there is a ring under it.
            (0, Backend::Vulkan) if Backend::IoUring.unavailable().is_none() => ring_count(cores()),
            // Reads of cold files wait more than they work, so there are more threads than cores.
            (0, _) => (2 * cores()).clamp(4, 16),
            (threads, _) => threads.min(THREADS_MAX) as usize,
        }
    }

    /// How many workers decompress; 0 if the application does.
    pub fn decode_thread_count(&self) -> usize {
        match self.decode_threads {
            0 => cores().min(THREADS_MAX as usize),
            threads => usize::try_from(threads)
                .unwrap_or(0)
                .min(THREADS_MAX as usize),
        }
    }

    /// Whether compressed requests of built-in formats are the application's to decompress.
    pub fn application_decodes(&self) -> bool {
        self.decode_threads < 0
    }
}

/// How many rings on so many cores. One is deep enough for any disk; more let cached files be copied by
/// several cores, 5 to 10 GB/s each, and sleep when there is little to do. On 16 cores 8 copy twice what 4
/// do, and 12 a tenth more than 8, at a fifth more CPU time (bench/gpu); the rest is for who decodes and who
/// asks.
fn ring_count(cores: usize) -> usize {
    const ANYWAY: usize = 4;
    const ENOUGH: usize = 16;
    (cores / 2).clamp(ANYWAY.min(cores), ENOUGH)
}

/// How many cores this process may use; asked once.
pub(crate) fn cores() -> usize {
    static CORES: OnceLock<usize> = OnceLock::new();
    *CORES.get_or_init(|| std::thread::available_parallelism().map_or(1, usize::from))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_option_takes_its_own_value_back() {
        let config = Config::default();
        for option in OPTIONS {
            let mut copy = config.clone();
            copy.set(option.key, &option.value(&config)).unwrap();
            assert_eq!(copy, config, "{}", option.key);
        }
    }

    #[test]
    fn bad_options_are_named_and_leave_the_rest_alone() {
        let mut config = Config::default();
        let complaints = config
            .set_list("backend=cpu, speed=11,staging_mib=4096,io_threads,decode_threads=-1\n# no");
        assert_eq!((config.backend, config.decode_threads), (Backend::Cpu, -1));
        assert_eq!(config.staging_bytes, STAGING_BYTES_DEFAULT);
        assert_eq!(complaints.len(), 3, "{complaints:?}");
        assert!(
            complaints[0].contains("speed") && complaints[0].contains("backend"),
            "names what there is"
        );
        assert!(complaints[1].contains("0 to 4095"));
    }

    #[test]
    fn thread_counts_are_bounded() {
        let mut config = Config::default();
        assert!((4..=16).contains(&config.io_thread_count(Backend::Cpu)));
        assert_eq!(
            config.io_thread_count(Backend::IoUring),
            ring_count(cores())
        );
        for (cores, rings) in [(1, 1), (2, 2), (4, 4), (8, 4), (12, 6), (16, 8), (128, 16)] {
            assert_eq!(ring_count(cores), rings, "{cores} cores");
        }
        assert!(config.decode_thread_count() >= 1);
        assert!(
            config
                .set_list("io_threads=1000,decode_threads=1000")
                .is_empty(),
            "O-07: clamped, not refused"
        );
        assert_eq!(
            (
                config.io_thread_count(Backend::IoUring),
                config.decode_thread_count()
            ),
            (64, 64)
        );
        config.decode_threads = -2;
        assert_eq!(
            (config.decode_thread_count(), config.application_decodes()),
            (0, true)
        );
    }
}
