//! The CPU time of this process's threads, by name.
//!
//! Owns nothing. The kernel's own threads that read for a ring count under their name (`iou-wrk`); what a
//! thread took that ended between two looks is lost.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

/// CPU time since each thread began, summed over threads of one name.
pub(super) fn cpu_by_name() -> BTreeMap<String, Duration> {
    let mut sums = BTreeMap::new();
    let tasks = fs::read_dir("/proc/self/task").into_iter().flatten();
    for task in tasks.flatten() {
        let text = |name: &str| fs::read_to_string(task.path().join(name)).unwrap_or_default();
        // A kernel without the file says nothing of any thread.
        let schedstat = text("schedstat");
        let nanoseconds = schedstat.split(' ').next().and_then(|ns| ns.parse().ok());
        if let Some(nanoseconds) = nanoseconds {
            *sums.entry(group(text("comm").trim())).or_default() +=
                Duration::from_nanos(nanoseconds);
        }
    }
    sums
}

/// The name without the number that some end in.
fn group(name: &str) -> String {
    let name = name.trim_end_matches(|c: char| c.is_ascii_digit());
    name.trim_end_matches('-').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_busy_thread_is_counted_under_its_name() {
        assert_eq!(group("iou-wrk-1234"), "iou-wrk");
        assert_eq!(group("ds-io"), "ds-io");
        let (sender, receiver) = std::sync::mpsc::channel::<()>();
        let begun = std::time::Instant::now();
        let busy = std::thread::Builder::new().name("busy-7".to_owned());
        let busy = busy.spawn(move || {
            while begun.elapsed() < Duration::from_millis(20) {
                std::hint::black_box(begun);
            }
            receiver.recv()
        });
        while begun.elapsed() < Duration::from_millis(40) {
            std::thread::sleep(Duration::from_millis(5));
        }
        let seen = cpu_by_name();
        drop(sender);
        let _ = busy.expect("a thread").join();
        if seen.is_empty() {
            println!("SKIPPED: this kernel keeps no schedstat");
            return;
        }
        assert!(seen["busy"] > Duration::ZERO, "{seen:?}");
    }
}
