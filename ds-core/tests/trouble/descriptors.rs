//! Descriptors that somebody else closes: a file's, and the ring's own.

#![forbid(unsafe_code)]

use ds_core::{Error, FileMode, S_OK};

use crate::rig::{Each, Known, Part, Rig, code, over_all};
use crate::support::contents::finish_well;
use crate::support::kernel::{close_foreign, descriptors_of, forget_cached, put_back, rings};

/// Reads enough that some are in flight whenever somebody looks.
const STORM: u32 = 600;

fn storm(rig: &mut Rig, known: &Known) -> Vec<Part> {
    (0..STORM)
        .map(|_| Part::random(&mut rig.random, known.contents.len(), 200_000))
        .collect()
}

#[test]
fn a_file_closed_by_somebody_else_fails_alone() {
    over_all(
        "descriptors::a_file_closed_by_somebody_else_fails_alone",
        |rig| {
            let (victim, other) = (
                Known::new("victim", 3_000_000),
                Known::new("other", 3_000_000),
            );
            let (file, fine) = (victim.open(), other.open());
            // Opens whatever will be opened: nothing must get the number that is closed.
            for mode in FileMode::ALL {
                file.explain_mode(mode).unwrap();
                fine.explain_mode(mode).unwrap();
            }
            let queue = rig.queue(8192);
            let mut each = Each::new(2 * STORM);
            let (mut lost, mut kept) = (storm(rig, &victim), storm(rig, &other));
            let mut numbers = Vec::new();
            for (index, (a, b)) in lost.iter_mut().zip(&mut kept).enumerate() {
                each.enqueue(&queue, a.request(&file));
                each.enqueue(&queue, b.request(&fine));
                queue.submit();
                if index == STORM as usize / 2 {
                    numbers = descriptors_of(&victim.path);
                    assert!(!numbers.is_empty(), "the file is open");
                    numbers.iter().for_each(|&number| close_foreign(number));
                }
            }
            let results = each.results();
            for (pair, (a, b)) in results.chunks(2).zip(lost.iter_mut().zip(&mut kept)) {
                match pair[0] {
                    S_OK => a.expect(&victim.contents, &rig.what),
                    result => {
                        assert_eq!(result, code(Error::InvalidFileHandle), "{}", rig.what);
                        a.buffer.bytes();
                    }
                }
                assert_eq!(pair[1], S_OK, "{}: another file", rig.what);
                b.expect(&other.contents, &rig.what);
            }
            numbers.iter().for_each(|&number| put_back(number));
        },
    );
}

#[test]
fn without_its_ring_a_thread_reads_on() {
    over_all("descriptors::without_its_ring_a_thread_reads_on", |rig| {
        let known = Known::new("ring", 20_000_000);
        forget_cached(&known.path);
        let (file, queue) = (known.open(), rig.queue(8192));
        let mut parts = storm(rig, &known);
        let mut each = Each::new(STORM);
        let mut numbers = Vec::new();
        for (index, part) in parts.iter_mut().enumerate() {
            each.enqueue(&queue, part.request(&file));
            queue.submit();
            if index == STORM as usize / 2 {
                numbers = rings();
                numbers.iter().for_each(|&number| close_foreign(number));
            }
        }
        for (result, part) in each.results().into_iter().zip(&mut parts) {
            assert_eq!(result, S_OK, "{}", rig.what);
            part.expect(&known.contents, &rig.what);
        }
        for mut part in storm(rig, &known) {
            queue.enqueue_request(part.request(&file));
            finish_well(&queue, &rig.what);
            part.expect(&known.contents, &rig.what);
        }
        assert_eq!(rings(), [], "{}: no ring is made anew", rig.what);
        println!("{}: {} rings closed", rig.what, numbers.len());
    });
}
