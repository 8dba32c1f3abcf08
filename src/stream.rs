//! `Stream`: many reads through a DirectStorage-style queue, in bounded memory, results in order.
//!
//! Owns a queue, a status array and a window of buffers. Pieces (one request each) are put together in
//! batches; a batch has one buffer and one status. While the caller looks at the oldest batch the engine
//! works on all the others.
//!
//! Promises: memory is `batches * batch_bytes`, allocated as it is first needed; pieces come back in the
//! order they went in; an error names the piece; dropping a `Stream` cancels what is in flight.

use std::collections::VecDeque;

use ds_core::{
    Buffer, Compression, ErrorRecord, File, PlaceInfo, Queue, QueueDesc, QueueStats, Request,
    Runtime, S_OK, StatusArray,
};

/// The most pieces of a batch: with tiny pieces a status for so many costs nothing.
const BATCH_PIECES_MAX: usize = 64;
/// Entries of the queue: enough for the usual window, and never a reason to wait with larger ones.
const QUEUE_CAPACITY: u32 = 8192;

/// One request.
#[derive(Clone, Debug)]
pub struct Piece {
    /// Where it is read from.
    pub file: File,
    /// From which offset.
    pub offset: u64,
    /// How many bytes.
    pub stored_bytes: u32,
    /// How many bytes that becomes.
    pub bytes: u32,
    /// How it is compressed.
    pub compression: Compression,
    /// The caller's own number for it.
    pub tag: u64,
}

/// How much may be in flight.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Window {
    /// Bytes of a batch; no piece may be larger.
    pub batch_bytes: usize,
    /// The most pieces of a batch.
    pub batch_pieces: usize,
    /// Batches in flight.
    pub batches: usize,
}

impl Window {
    /// 64 MiB for pieces of at most `piece_bytes`: deep enough for any disk, small enough for any machine.
    pub fn for_pieces(piece_bytes: u32) -> Window {
        const WINDOW_BYTES: usize = 64 << 20;
        let batch_bytes = (piece_bytes as usize).max(1 << 20);
        Window {
            batch_bytes,
            batch_pieces: BATCH_PIECES_MAX,
            batches: (WINDOW_BYTES / batch_bytes).max(2),
        }
    }
}

/// Why a stream ended early.
#[derive(Clone, Debug)]
pub struct StreamError {
    /// The engine's reason.
    pub error: ds_core::Error,
    /// [`Piece::tag`] of the piece that failed, if the engine could tell.
    pub tag: Option<u64>,
}

/// Pieces in flight, or just read.
#[derive(Debug)]
pub struct Batch {
    buffer: Buffer,
    pieces: Vec<Piece>,
    status: u32,
}

impl Batch {
    /// The pieces and their bytes, once [`Stream::wait`] has given the batch back.
    pub fn pieces(&mut self) -> impl Iterator<Item = (&Piece, &[u8])> {
        let mut rest = self.buffer.bytes().expect("its requests are done");
        self.pieces.iter().map(move |piece| {
            let (bytes, behind) = rest.split_at(piece.bytes as usize);
            rest = behind;
            (piece, bytes)
        })
    }
}

/// See the file's head.
#[derive(Debug)]
pub struct Stream {
    // Dropped first: closing the queue gives the buffers back.
    queue: Queue,
    statuses: StatusArray,
    window: Window,
    in_flight: VecDeque<Batch>,
    free: Vec<Batch>,
    /// Batches that were made: in flight, free, or with the caller.
    batch_count: u32,
    /// A piece that did not fit the batch before.
    left_over: Option<Piece>,
}

impl Stream {
    /// A stream on `runtime` with nothing in flight.
    ///
    /// # Errors
    /// The engine's, if a queue cannot be made.
    pub fn new(runtime: &Runtime, window: Window) -> Result<Stream, ds_core::Error> {
        let batches = window.batches.max(1) as u32;
        Ok(Stream {
            queue: runtime.create_queue(QueueDesc::new(QUEUE_CAPACITY).named("ds"))?,
            statuses: StatusArray::new(batches, Some("ds")),
            window,
            in_flight: VecDeque::with_capacity(window.batches),
            free: Vec::new(),
            batch_count: 0,
            left_over: None,
        })
    }

    /// The queue's own counters.
    pub fn stats(&self) -> QueueStats {
        self.queue.stats()
    }

    /// Fills every free batch with pieces and submits them.
    pub fn start(&mut self, pieces: &mut impl Iterator<Item = Piece>) {
        self.start_with(pieces, Queue::enqueue_request);
    }

    /// The same, with `enqueue` called to enqueue each request, so that a benchmark can time it.
    pub fn start_with(
        &mut self,
        pieces: &mut impl Iterator<Item = Piece>,
        mut enqueue: impl FnMut(&Queue, Request),
    ) {
        let mut enqueued = false;
        while let Some(mut batch) = self.free_batch() {
            self.fill(&mut batch, pieces);
            if batch.pieces.is_empty() {
                self.free.push(batch);
                break;
            }
            self.enqueue(&mut batch, &mut enqueue);
            self.in_flight.push_back(batch);
            enqueued = true;
        }
        if enqueued {
            self.queue.submit();
        }
    }

    /// Waits for the oldest batch; `None` if none is in flight.
    ///
    /// # Errors
    /// The first failure of the batch.
    pub fn wait(&mut self) -> Option<Result<Batch, StreamError>> {
        let batch = self.in_flight.pop_front()?;
        let result = self.statuses.wait(batch.status, None);
        Some(if result == Some(S_OK) {
            Ok(batch)
        } else {
            Err(self.failure())
        })
    }

    /// Lets a batch that [`Stream::wait`] gave be used again.
    pub fn recycle(&mut self, batch: Batch) {
        self.free.push(batch);
    }

    /// Reads all pieces and calls `on_piece` with each, in order.
    ///
    /// # Errors
    /// The first failed read, or the first error of `on_piece`.
    pub fn run<E: From<StreamError>>(
        &mut self,
        pieces: impl Iterator<Item = Piece>,
        mut on_piece: impl FnMut(&Piece, &[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut pieces = pieces.fuse();
        self.start(&mut pieces);
        while let Some(batch) = self.wait() {
            let mut batch = batch?;
            batch
                .pieces()
                .try_for_each(|(piece, bytes)| on_piece(piece, bytes))?;
            self.recycle(batch);
            self.start(&mut pieces);
        }
        Ok(())
    }

    fn free_batch(&mut self) -> Option<Batch> {
        if let Some(batch) = self.free.pop() {
            return Some(batch);
        }
        if self.batch_count == self.statuses.capacity() {
            return None;
        }
        self.batch_count += 1;
        Some(Batch {
            buffer: Buffer::new(self.window.batch_bytes),
            pieces: Vec::new(),
            status: self.batch_count - 1,
        })
    }

    fn fill(&mut self, batch: &mut Batch, pieces: &mut impl Iterator<Item = Piece>) {
        batch.pieces.clear();
        let mut room = self.window.batch_bytes;
        while batch.pieces.len() < self.window.batch_pieces {
            let Some(piece) = self.left_over.take().or_else(|| pieces.next()) else {
                return;
            };
            let bytes = piece.bytes as usize;
            assert!(
                bytes <= self.window.batch_bytes,
                "a piece larger than a batch"
            );
            if bytes > room {
                self.left_over = Some(piece);
                return;
            }
            room -= bytes;
            batch.pieces.push(piece);
        }
    }

    fn enqueue(&self, batch: &mut Batch, enqueue: &mut impl FnMut(&Queue, Request)) {
        let sizes = batch.pieces.iter().map(|piece| piece.bytes as usize);
        let parts = batch
            .buffer
            .lend_parts(sizes)
            .expect("a free batch whose pieces fit");
        for (piece, part) in batch.pieces.iter().zip(parts) {
            let request = Request::read(&piece.file, piece.offset, piece.stored_bytes, part);
            let request = request
                .compressed(piece.compression, piece.bytes)
                .tagged(piece.tag);
            enqueue(&self.queue, request);
        }
        self.queue
            .enqueue_status(Some(&self.statuses), batch.status);
    }

    /// What the queue's error record says.
    fn failure(&self) -> StreamError {
        let ErrorRecord { first_failure, .. } = self.queue.retrieve_error_record();
        match first_failure.map(|failure| (failure.error, failure.command)) {
            Some((error, ds_core::FailedCommand::Request(request))) => StreamError {
                error,
                tag: matches!(request.source, PlaceInfo::File { .. })
                    .then_some(request.cancellation_tag),
            },
            Some((error, _)) => StreamError { error, tag: None },
            None => StreamError {
                error: ds_core::Error::QueueClosed,
                tag: None,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ds_core::{Backend, Config, Error};
    use std::io::Write;

    fn runtime() -> Runtime {
        let mut config = Config::default();
        config.backend = Backend::Cpu;
        Runtime::exactly(config).expect("threads can be made")
    }

    fn byte_at(offset: usize) -> u8 {
        ((offset * 31) >> 3) as u8
    }

    /// A file whose byte at `n` tells `n`, as far as a byte can.
    fn file(bytes: usize) -> (tempfile::NamedTempFile, File) {
        let mut named = tempfile::NamedTempFile::new().unwrap();
        let contents: Vec<u8> = (0..bytes).map(byte_at).collect();
        named.write_all(&contents).unwrap();
        let file = File::open(named.path()).unwrap();
        (named, file)
    }

    fn piece(file: &File, offset: u64, bytes: u32, tag: u64) -> Piece {
        Piece {
            file: file.clone(),
            offset,
            stored_bytes: bytes,
            bytes,
            compression: Compression::NONE,
            tag,
        }
    }

    const SMALL: Window = Window {
        batch_bytes: 1000,
        batch_pieces: 3,
        batches: 4,
    };

    #[test]
    fn pieces_of_all_sizes_come_back_in_order() {
        let (_named, file) = file(100_000);
        let runtime = runtime();
        let mut stream = Stream::new(&runtime, SMALL).unwrap();
        let pieces = (0..500u64).map(|tag| piece(&file, tag * 100, (tag * 7 % 1001) as u32, tag));
        let mut next = 0;
        let result = stream.run(pieces, |piece, bytes| {
            assert_eq!(piece.tag, next);
            next += 1;
            let expected = (0..piece.bytes as usize).map(|at| byte_at(at + piece.offset as usize));
            assert!(bytes.iter().copied().eq(expected));
            Ok::<(), StreamError>(())
        });
        result.unwrap();
        assert_eq!((next, stream.stats().requests_completed), (500, 500));
    }

    #[test]
    fn a_failure_names_its_piece() {
        let (_named, file) = file(10_000);
        let runtime = runtime();
        let mut stream = Stream::new(&runtime, SMALL).unwrap();
        let pieces = (0..20u64).map(|tag| piece(&file, tag * 600, 600, tag));
        let mut seen = 0;
        let result = stream.run(pieces, |_, _| {
            seen += 1;
            Ok::<(), StreamError>(())
        });
        let error = result.unwrap_err();
        assert_eq!(
            (error.error, error.tag, seen),
            (Error::EndOfFile, Some(16), 16)
        );
    }

    #[test]
    fn a_stream_may_be_dropped_with_everything_in_flight() {
        let (_named, file) = file(10_000);
        let runtime = runtime();
        let mut stream = Stream::new(&runtime, SMALL).unwrap();
        stream.start(&mut (0..9u64).map(|tag| piece(&file, tag, 900, tag)));
        drop(stream);
    }
}
