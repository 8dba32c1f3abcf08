//! Any bytes as a request: validation answers, and what it lets through keeps the rules.

#![forbid(unsafe_code)]

use ds_core::{
    Buffer, Compression, Destination, Error, File, Request, Source, SourceType, validate,
};

/// Takes numbers off the front of the input; zeros when it has ended.
struct Numbers<'a>(&'a [u8]);

impl Numbers<'_> {
    fn bytes<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        let count = self.0.len().min(N);
        bytes[..count].copy_from_slice(&self.0[..count]);
        self.0 = &self.0[count..];
        bytes
    }

    fn u8(&mut self) -> u8 {
        self.bytes::<1>()[0]
    }

    fn u32(&mut self) -> u32 {
        u32::from_le_bytes(self.bytes())
    }

    fn u64(&mut self) -> u64 {
        u64::from_le_bytes(self.bytes())
    }
}

fn this_file() -> Option<File> {
    File::open(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")).ok()
}

/// Memory of at most 64 KiB: what is allocated must not depend on what the input claims.
fn buffer(numbers: &mut Numbers<'_>) -> Buffer {
    Buffer::new(usize::from(numbers.u32() as u16))
}

/// Makes a request of the input, validates it, and checks what was let through.
pub fn target(data: &[u8]) {
    let mut numbers = Numbers(data);
    let kinds = numbers.u8();
    let file = |present: bool| if present { this_file() } else { None };
    let source = if kinds & 1 == 0 {
        Source::File {
            file: file(kinds & 2 == 0),
            offset: numbers.u64(),
            bytes: numbers.u32(),
        }
    } else {
        let shared = buffer(&mut numbers)
            .into_source()
            .expect("a new buffer is not lent");
        Source::Memory(shared.part(0, shared.len()).expect("the whole"))
    };
    let mut memory = buffer(&mut numbers);
    let destination = match kinds >> 2 & 3 {
        0 | 1 => Destination::Memory(memory.lend().expect("a new buffer is not lent")),
        2 => Destination::Other(numbers.u8()),
        _ => Destination::File {
            file: file(kinds & 16 == 0),
            offset: numbers.u64(),
            bytes: numbers.u32(),
        },
    };
    let request = Request {
        compression: Compression(numbers.u8()),
        uncompressed_bytes: numbers.u32(),
        cancellation_tag: numbers.u64(),
        ..Request::new(source, destination)
    };
    let source_type = if kinds & 32 == 0 {
        SourceType::File
    } else {
        SourceType::Memory
    };
    let staging_bytes = numbers.u32() as usize;
    let exact = kinds & 64 != 0;
    assert!(!request.info().to_string().is_empty());
    match validate(&request, source_type, staging_bytes, exact) {
        Ok(()) => check_valid(&request, source_type, staging_bytes),
        Err(error) => assert!(error.hresult() < 0 && error != Error::Cancelled),
    }
}

fn check_valid(request: &Request, source_type: SourceType, staging_bytes: usize) {
    let compressed = request.compression != Compression::NONE;
    let uncompressed = request.uncompressed_bytes as usize;
    if compressed {
        assert_eq!(uncompressed, request.destination_bytes());
    } else {
        assert_eq!(request.source_bytes(), request.destination_bytes());
    }
    match &request.source {
        Source::File {
            offset,
            bytes,
            file,
        } => {
            assert!(file.is_some() && source_type == SourceType::File);
            assert!(offset.checked_add(u64::from(*bytes)).is_some());
            assert!(!compressed || request.source_bytes() <= staging_bytes);
        }
        Source::Memory(_) | Source::Gpu(_) => assert_eq!(source_type, SourceType::Memory),
    }
    assert!(
        matches!(request.destination, Destination::Memory(_)),
        "the file is read-only"
    );
}
