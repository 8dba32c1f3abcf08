//! What `cargo xtask wine bench` measures: programs of `bench/wine`, and what is asked of their numbers.
#![forbid(unsafe_code)]

/// A program, and its measurements.
pub(crate) struct Suite {
    /// `bench/wine/NAME.c`.
    pub(crate) program: &'static str,
    pub(crate) goals: &'static [Goal],
    /// Where `--record` writes.
    pub(crate) record: &'static str,
    /// Whether it asks for Direct3D 12, and so for a display.
    pub(crate) needs_display: bool,
}

/// A measurement's name, whether more of it is better, and what is asked of it or, where the program has
/// nothing to compare with by itself, of the ratio to the oracle's.
pub(crate) struct Goal {
    pub(crate) name: &'static str,
    pub(crate) what: &'static str,
    pub(crate) more_is_better: bool,
    pub(crate) asked: &'static str,
}

const fn more(name: &'static str, what: &'static str, asked: &'static str) -> Goal {
    Goal {
        name,
        what,
        more_is_better: true,
        asked,
    }
}

const fn less(name: &'static str, what: &'static str, asked: &'static str) -> Goal {
    Goal {
        name,
        what,
        more_is_better: false,
        asked,
    }
}

/// Files and memory into memory.
pub(crate) const MEMORY: Suite = Suite {
    program: "speed",
    record: "bench/wine/ratios.json",
    needs_display: false,
    goals: &[
        more("read_4k_mb_s", "4 KiB requests, MB/s", "x 20, goal x 40"),
        more("read_64k_mb_s", "64 KiB requests, MB/s", "x 4, goal x 6"),
        more("read_1m_mb_s", "1 MiB requests, MB/s", ""),
        less("read_4k_cpu_ns", "CPU time of a 4 KiB request, ns", "1/10"),
        less("read_64k_cpu_ns", "CPU time of a 64 KiB request, ns", ""),
        less("read_4k_server_cpu_ns", "of it in Wine's server, ns", ""),
        less(
            "submit_to_status_p50_ns",
            "submit to status, depth 1, ns",
            "1/2",
        ),
        less(
            "submit_to_status_p99_ns",
            "the same, 99th percentile, ns",
            "",
        ),
        less("enqueue_p50_ns", "EnqueueRequest, median, ns", "200 ns"),
        more("gdeflate_mb_s", "GDeflate to memory, MB/s", "x 4"),
        less("load_ms", "DLL and factory, ms", "20 ms"),
        less("idle_cpu_ms_per_s", "CPU time when idle, ms a second", "0"),
    ],
};

/// Files into D3D12 buffers. "By hand" is a loop of reads into upload memory with one copy behind it, which
/// the program has beside the queue.
pub(crate) const D3D12: Suite = Suite {
    program: "speed_d3d12",
    record: "bench/wine/d3d12.json",
    needs_display: true,
    goals: &[
        more("read_64k_mb_s", "64 KiB requests, MB/s", ""),
        more("read_64k_by_hand_mb_s", "the same by hand, MB/s", ""),
        more("read_64k_ratio", "ratio of the two", "0.8"),
        more("read_1m_mb_s", "1 MiB requests, MB/s", ""),
        more("read_1m_by_hand_mb_s", "the same by hand, MB/s", ""),
        more("read_1m_ratio", "ratio of the two", "0.8"),
        less(
            "latency_p50_ns",
            "one 64 KiB request until its fence, ns",
            "",
        ),
        less(
            "latency_status_p50_ns",
            "the same with a status before it, ns",
            "",
        ),
        less("latency_by_hand_p50_ns", "one by hand, ns", ""),
        less("latency_ratio", "ratio of the first to that", ""),
        less("latency_p99_ns", "the first, 99th percentile, ns", ""),
        less("latency_by_hand_p99_ns", "by hand, 99th percentile, ns", ""),
        more("gdeflate_mb_s", "GDeflate in 1 MiB requests, MB/s", "x 4"),
        more("decode_mb_s", "decoding alone x cores, MB/s", ""),
        more("gdeflate_ratio", "ratio of the two", "0.85"),
        more(
            "gdeflate_software_gpu_ratio",
            "ratio, the cores copying, too",
            "",
        ),
        more("small_requests_per_s", "4 KiB requests a second", ""),
        less("staging_mib", "staging at its peak, MiB", ""),
        less("growth_mib", "growth over 100,000 requests, MiB", "0"),
        less("growth_handles", "the same, handles", "0"),
    ],
};
