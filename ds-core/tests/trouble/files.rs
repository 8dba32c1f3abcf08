//! Files that go, shrink, or are none.

#![forbid(unsafe_code)]

use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::Command;

use ds_core::{Error, File, S_OK};

use crate::rig::{Each, Known, Part, Rig, code, over_all};
use crate::support::contents::assert_same;
use crate::support::kernel::forget_cached;

const STORM: u32 = 500;

fn storm(rig: &mut Rig, known: &Known) -> Vec<Part> {
    (0..STORM)
        .map(|_| Part::random(&mut rig.random, known.contents.len(), 150_000))
        .collect()
}

#[test]
fn an_unlinked_file_is_read_on() {
    over_all("files::an_unlinked_file_is_read_on", |rig| {
        let known = Known::new("unlinked", 6_000_000);
        forget_cached(&known.path);
        let (file, queue) = (known.open(), rig.queue(8192));
        let (mut parts, mut each) = (storm(rig, &known), Each::new(STORM));
        for (index, part) in parts.iter_mut().enumerate() {
            each.enqueue(&queue, part.request(&file));
            queue.submit();
            if index == STORM as usize / 3 {
                fs::remove_file(&known.path).unwrap();
            }
        }
        for (result, part) in each.results().into_iter().zip(&mut parts) {
            assert_eq!(result, S_OK, "{}", rig.what);
            part.expect(&known.contents, &rig.what);
        }
    });
}

/// Steps by which the file of the next test shrinks while it is read.
const SHRINKS: [u64; 4] = [5_000_123, 2_097_152, 700_001, 0];

#[test]
fn a_file_that_shrinks_ends_requests_or_serves_them() {
    over_all(
        "files::a_file_that_shrinks_ends_requests_or_serves_them",
        |rig| {
            for to in SHRINKS {
                shrink(rig, to);
            }
        },
    );
}

fn shrink(rig: &mut Rig, to: u64) {
    let known = Known::new("shrinks", 6_000_000);
    let what = format!("{} to {to}", rig.what);
    forget_cached(&known.path);
    let (file, queue) = (known.open(), rig.queue(8192));
    let (mut parts, mut each) = (storm(rig, &known), Each::new(STORM));
    for (index, part) in parts.iter_mut().enumerate() {
        each.enqueue(&queue, part.request(&file));
        queue.submit();
        if index == STORM as usize / 3 {
            let other = fs::OpenOptions::new().write(true).open(&known.path);
            other.unwrap().set_len(to).unwrap();
        }
    }
    for (result, part) in each.results().into_iter().zip(&mut parts) {
        let (start, end) = (part.offset, part.offset + part.bytes);
        let kept = (to as usize).clamp(start, end);
        if end <= to as usize {
            assert_eq!(result, S_OK, "{what}: nothing was taken from it");
        }
        if result != S_OK {
            assert_eq!(result, code(Error::EndOfFile), "{what}");
            part.buffer.bytes();
            continue;
        }
        let found = part.buffer.bytes();
        assert_same(&found[..kept - start], &known.contents[start..kept], &what);
        // Behind the new end the kernel may have zeroed a page while it was being copied.
        let rest = found[kept - start..].iter().zip(&known.contents[kept..end]);
        for (found, known) in rest {
            assert!(found == known || *found == 0, "{what}: invented bytes");
        }
    }
}

#[test]
fn what_is_no_file_is_refused() {
    let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR"));
    let pipe = folder.join(format!("trouble-pipe-{}", std::process::id()));
    let made = Command::new("mkfifo").arg(&pipe).status();
    assert!(made.is_ok_and(|status| status.success()), "mkfifo");
    let socket = folder.join(format!("trouble-socket-{}", std::process::id()));
    let listener = std::os::unix::net::UnixListener::bind(&socket);
    for path in [folder, &pipe, "/dev/null".as_ref(), "/dev/zero".as_ref()] {
        let error = File::open(path).map(drop).unwrap_err();
        assert_eq!(error, Error::NotAFile, "{}", path.display());
    }
    if listener.is_ok() {
        assert!(File::open(&socket).is_err(), "a socket");
        fs::remove_file(&socket).unwrap();
    }
    fs::remove_file(&pipe).unwrap();
    let (reader, writer) = std::io::pipe().unwrap();
    let (one, other) = UnixStream::pair().unwrap();
    let folder: OwnedFd = fs::File::open("/proc").unwrap().into();
    let none: [OwnedFd; 5] = [
        reader.into(),
        writer.into(),
        one.into(),
        other.into(),
        folder,
    ];
    for fd in none {
        let error = File::from_fd(fd, "none", true).map(drop).unwrap_err();
        assert_eq!(error, Error::NotAFile);
    }
}

/// Descriptors that do not allow what requests want of them.
#[test]
fn descriptors_without_the_right_to_read_fail_their_requests() {
    over_all(
        "files::descriptors_without_the_right_to_read_fail_their_requests",
        |rig| {
            let known = Known::new("rights", 10_000);
            let open = fs::OpenOptions::new().append(true).open(&known.path);
            let file = File::from_fd(open.unwrap().into(), &known.path, true).unwrap();
            let (queue, fine) = (rig.queue(128), known.open());
            let (mut refused, mut good) = (storm(rig, &known), storm(rig, &known));
            for (a, b) in refused.iter_mut().zip(&mut good).take(40) {
                let mut each = Each::new(2);
                each.enqueue(&queue, a.request(&file));
                each.enqueue(&queue, b.request(&fine));
                queue.submit();
                let results = each.results();
                // A direct descriptor is opened anew, with the rights of the process.
                if results[0] == S_OK {
                    a.expect(&known.contents, &rig.what);
                } else {
                    assert_eq!(results[0], code(Error::InvalidFileHandle), "{}", rig.what);
                }
                assert_eq!(results[1], S_OK, "{}", rig.what);
                b.expect(&known.contents, &rig.what);
            }
        },
    );
}
