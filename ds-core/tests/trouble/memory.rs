//! Destinations that are taken away: before the request starts, while it waits, while the kernel fills it.
//!
//! Such a request fails alone, with the code for memory that cannot be accessed. What the kernel writes is
//! checked by the kernel at every moment; what workers write (decompressed bytes, and those of unaligned
//! direct reads) is checked just before, so there the memory is taken before they come to it.

#![forbid(unsafe_code)]

use ds_core::{Compression, Fence, File, Request, S_OK};

use crate::rig::{Each, Known, Rig, over_all};
use crate::support::contents::{UNTOUCHED, assert_same, stream_of};
use crate::support::kernel::{Access, PAGE_BYTES, Region};

/// The code of memory that cannot be accessed.
const DENIED: i32 = 0x8924_0009_u32.cast_signed();
/// Of each destination, which lie in one region with a page between them.
const BYTES: usize = 16 * PAGE_BYTES;
const PLACE_BYTES: usize = BYTES + PAGE_BYTES;
const PLACES: usize = 60;

/// How the victims lose their memory.
const LOSSES: [Access; 3] = [Access::Read, Access::Nothing, Access::Unmapped];

/// What the victims read, into which part of their place.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    Aligned,
    /// Through a bounce, if direct.
    Unaligned,
    Compressed,
}

const KINDS: [Kind; 3] = [Kind::Aligned, Kind::Unaligned, Kind::Compressed];

impl Kind {
    /// Offset in the file and the place, and length.
    fn part(self) -> (usize, usize) {
        match self {
            Kind::Aligned | Kind::Compressed => (0, BYTES),
            Kind::Unaligned => (5, BYTES - 5),
        }
    }

    /// Where in the file the bytes of a place begin. Aligned reads are neighbours, which may be read in one
    /// call; that must not make one answer for the other.
    fn start(self, place: usize) -> usize {
        match self {
            Kind::Compressed => 0,
            Kind::Aligned | Kind::Unaligned => place * BYTES,
        }
    }
}

struct Scene {
    known: Known,
    file: File,
    stream: Known,
    stream_file: File,
    region: Region,
}

impl Scene {
    fn new() -> Scene {
        let known = Known::new("memory", PLACES * BYTES);
        let mut stream = Known::new("stream", 1);
        stream.contents = stream_of(&known.contents[..BYTES]);
        std::fs::write(&stream.path, &stream.contents).unwrap();
        Scene {
            file: known.open(),
            stream_file: stream.open(),
            region: Region::new(PLACES * PLACE_BYTES, UNTOUCHED),
            known,
            stream,
        }
    }

    fn request(&self, kind: Kind, place: usize) -> Request {
        let (offset, bytes) = kind.part();
        let span = self.region.span(place * PLACE_BYTES + offset, bytes);
        if kind == Kind::Compressed {
            let request = Request::read(
                &self.stream_file,
                0,
                self.stream.contents.len() as u32,
                span,
            );
            return request.compressed(Compression::GDEFLATE, BYTES as u32);
        }
        let start = kind.start(place) + offset;
        Request::read(&self.file, start as u64, bytes as u32, span)
    }

    /// Takes part of a place away: all, or its last page.
    fn take(&self, place: usize, access: Access) {
        let (at, bytes) = match place % 4 {
            1 => (0, BYTES),
            _ => (BYTES - PAGE_BYTES, PAGE_BYTES),
        };
        self.region.allow(place * PLACE_BYTES + at, bytes, access);
    }

    /// Checks a place that was left alone, with what lies behind it.
    fn expect(&self, kind: Kind, place: usize, what: &str) {
        let (offset, bytes) = kind.part();
        let start = place * PLACE_BYTES;
        let found = self.region.bytes_at(start, PLACE_BYTES);
        let mut expected = vec![UNTOUCHED; PLACE_BYTES];
        let known = &self.known.contents[kind.start(place)..][offset..offset + bytes];
        expected[offset..offset + bytes].copy_from_slice(known);
        assert_same(&found, &expected, &format!("{what}: place {place}"));
    }
}

fn is_victim(place: usize) -> bool {
    !place.is_multiple_of(2)
}

#[test]
fn memory_taken_before_the_request_fails_it_alone() {
    over_all(
        "memory::memory_taken_before_the_request_fails_it_alone",
        |rig| each_loss(rig, false),
    );
}

#[test]
fn memory_taken_while_the_request_waits_fails_it_alone() {
    over_all(
        "memory::memory_taken_while_the_request_waits_fails_it_alone",
        |rig| each_loss(rig, true),
    );
}

fn each_loss(rig: &mut Rig, submitted: bool) {
    for access in LOSSES {
        for kind in KINDS {
            lose(rig, kind, access, submitted);
        }
    }
}

/// Requests for all places wait for a fence; every second place is taken away, before or after they are
/// submitted.
fn lose(rig: &mut Rig, kind: Kind, access: Access, submitted: bool) {
    let what = format!("{} {kind:?} {access:?}", rig.what);
    let scene = Scene::new();
    let (queue, fence) = (rig.queue(256), Fence::new(0));
    let mut each = Each::new(PLACES as u32);
    let take = || {
        (0..PLACES)
            .filter(|&place| is_victim(place))
            .for_each(|place| scene.take(place, access));
    };
    if !submitted {
        take();
    }
    for place in 0..PLACES {
        each.enqueue_behind(&queue, scene.request(kind, place), &fence);
    }
    queue.submit();
    if submitted {
        take();
    }
    fence.signal(1);
    for (place, result) in each.results().into_iter().enumerate() {
        if is_victim(place) {
            assert_eq!(result, DENIED, "{what}: place {place}");
        } else {
            assert_eq!(result, S_OK, "{what}: place {place}");
            scene.expect(kind, place, &what);
        }
    }
    assert_eq!(rig.runtime.staging_stats().bytes_in_use, 0, "{what}");
}

/// The kernel is filling large destinations when a page in their middle goes.
#[test]
fn memory_taken_from_under_the_kernel_fails_its_request_alone() {
    over_all(
        "memory::memory_taken_from_under_the_kernel_fails_its_request_alone",
        |rig| {
            for round in 0..6 {
                take_in_flight(rig, round);
            }
        },
    );
}

fn take_in_flight(rig: &mut Rig, round: usize) {
    const LARGE_BYTES: usize = 4 << 20;
    const LEN: usize = 6;
    let known = Known::new("large", LARGE_BYTES);
    crate::support::kernel::forget_cached(&known.path);
    let (file, queue) = (known.open(), rig.queue(128));
    let region = Region::new(LEN * LARGE_BYTES, UNTOUCHED);
    let mut each = Each::new(LEN as u32);
    for place in 0..LEN {
        let span = region.span(place * LARGE_BYTES, LARGE_BYTES);
        each.enqueue(&queue, Request::read(&file, 0, LARGE_BYTES as u32, span));
    }
    queue.submit();
    std::thread::sleep(std::time::Duration::from_micros(rig.random.below(4000)));
    let access = LOSSES[round % 2];
    for place in (1..LEN).step_by(2) {
        region.allow(place * LARGE_BYTES + LARGE_BYTES / 2, PAGE_BYTES, access);
    }
    for (place, result) in each.results().into_iter().enumerate() {
        let what = format!("{} round {round} place {place}", rig.what);
        // Whoever was done already, or holds the page (a direct read), has succeeded.
        assert!(
            result == S_OK || result == DENIED && place % 2 == 1,
            "{what}: {:#010X}",
            result.cast_unsigned()
        );
        if result == S_OK {
            let found = region.bytes_at(place * LARGE_BYTES, LARGE_BYTES);
            assert_same(&found, &known.contents, &what);
        }
    }
}

/// A source that cannot be read is the same error.
#[test]
fn sources_that_are_taken_fail_alone() {
    over_all("memory::sources_that_are_taken_fail_alone", |rig| {
        let region = Region::new(2 * PLACE_BYTES, 0);
        let path = Known::new("sink", 1);
        let file = File::create(&path.path).unwrap();
        let queue = rig
            .runtime
            .create_queue(ds_core::QueueDesc::new(128).memory())
            .unwrap();
        region.allow(PLACE_BYTES, PAGE_BYTES, Access::Nothing);
        let mut each = Each::new(3);
        let good = Region::new(BYTES, 7);
        each.enqueue(
            &queue,
            Request::write(region.span(PLACE_BYTES, BYTES), &file, 0),
        );
        each.enqueue(
            &queue,
            Request::copy(region.span(PLACE_BYTES, BYTES), good.span(0, BYTES)),
        );
        each.enqueue(&queue, Request::write(region.span(0, BYTES), &file, 0));
        queue.submit();
        assert_eq!(each.results(), [DENIED, DENIED, S_OK], "{}", rig.what);
        assert_same(&good.bytes_at(0, BYTES), &vec![7; BYTES], "untouched");
        assert_same(
            &std::fs::read(&path.path).unwrap()[..BYTES],
            &vec![0; BYTES],
            "written",
        );
    });
}
