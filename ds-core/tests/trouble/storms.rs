//! As many requests at once as a queue holds, cancelled and closed in their midst.

#![forbid(unsafe_code)]

use std::time::Duration;

use ds_core::{Error, FileMode, Request, S_OK};

use crate::rig::{Each, Known, Part, Rig, code, over_all};
use crate::support::contents::finish_well;

const FILE_BYTES: usize = 2_000_000;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Midst {
    Nothing,
    Cancel,
    Close,
}

/// A status a request would halve what fits, so one status speaks for so many.
const REQUESTS_PER_STATUS: usize = 64;

#[test]
fn full_queues_complete() {
    over_all("storms::full_queues_complete", |rig| {
        fill_each(rig, Midst::Nothing);
    });
}

#[test]
fn full_queues_are_cancelled() {
    over_all("storms::full_queues_are_cancelled", |rig| {
        fill_each(rig, Midst::Cancel);
    });
}

#[test]
fn full_queues_are_closed() {
    over_all("storms::full_queues_are_closed", |rig| {
        fill_each(rig, Midst::Close);
    });
}

/// The documented capacity under every setting, the largest of all under one a backend.
fn fill_each(rig: &mut Rig, midst: Midst) {
    fill(rig, 8192, midst);
    let config = rig.runtime.config();
    if config.file_mode == FileMode::Auto && !config.io_faults {
        fill(rig, 32_768, midst);
    }
}

fn fill(rig: &mut Rig, capacity: u32, midst: Midst) {
    let what = format!("{} {capacity} {midst:?}", rig.what);
    let known = Known::new("full", FILE_BYTES);
    let (file, queue) = (known.open(), rig.queue(capacity));
    // So many entries fit without a wait: one slot is always kept.
    let requests = (capacity as usize - 1) * REQUESTS_PER_STATUS / (REQUESTS_PER_STATUS + 1) - 1;
    let mut parts: Vec<_> = (0..requests)
        .map(|_| Part::random(&mut rig.random, FILE_BYTES, 3000))
        .collect();
    let mut each = Each::new(capacity);
    for (index, part) in parts.iter_mut().enumerate() {
        let request: Request = part.request(&file).tagged(index as u64 % 2);
        if (index + 1).is_multiple_of(REQUESTS_PER_STATUS) {
            each.enqueue(&queue, request);
        } else {
            queue.enqueue_request(request);
        }
    }
    queue.submit();
    std::thread::sleep(Duration::from_micros(rig.random.below(3000)));
    match midst {
        Midst::Nothing => finish_well(&queue, &what),
        Midst::Cancel => queue.cancel_requests_with_tag(1, 1),
        Midst::Close => queue.close(),
    }
    if midst == Midst::Close {
        assert!(
            !parts.iter_mut().any(|part| part.buffer.is_lent()),
            "{what}"
        );
    }
    let results = each.results();
    if midst == Midst::Cancel {
        wait_for_all(&mut parts, &what);
    }
    check(&known, &mut parts, &results, midst, &what);
    let stats = queue.stats();
    let ended = stats.requests_completed + stats.requests_cancelled + stats.requests_failed;
    assert_eq!((ended, stats.depth), (requests as u64, 0), "{what}");
    assert_eq!(stats.requests_failed, 0, "{what}");
    if midst == Midst::Nothing {
        assert_eq!(stats.requests_cancelled, 0, "{what}");
    } else {
        println!(
            "{what}: {} of {requests} were cancelled",
            stats.requests_cancelled
        );
    }
}

fn wait_for_all(parts: &mut [Part], what: &str) {
    for part in parts {
        crate::support::contents::wait_until(what, || !part.buffer.is_lent());
    }
}

/// A status says that its requests went well only if they did; a request that was cancelled has written
/// nothing but the file's bytes, or nothing at all.
fn check(known: &Known, parts: &mut [Part], results: &[i32], midst: Midst, what: &str) {
    for (index, part) in parts.iter_mut().enumerate() {
        let status = results.get(index / REQUESTS_PER_STATUS);
        let kept = midst == Midst::Cancel && index % 2 == 0;
        if status == Some(&S_OK) || midst == Midst::Nothing || kept {
            part.expect(&known.contents, what);
        } else {
            let cancelled = code(Error::Cancelled);
            assert!(
                status.is_none_or(|&result| result == cancelled),
                "{what}: {status:?}"
            );
            part.expect_or_untouched(&known.contents, what);
        }
    }
}
