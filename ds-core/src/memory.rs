//! Memory that requests read and write: `Span`, a promise about raw bytes, and `Buffer`, an owned
//! alternative.
//!
//! A request outlives the call that enqueues it, so the engine works on addresses, not on borrows.
//! `Span` carries the caller's promise from the one unsafe constructor to the places that touch the
//! bytes; `Buffer` makes the same promise by ownership, so that Rust programs need no unsafe code.
//! One of the few files that hold `unsafe`.

use std::fmt;
use std::io;
use std::mem::MaybeUninit;
use std::sync::Arc;
use std::sync::atomic::AtomicI32;

use crate::error::Error;
use crate::sys;

/// A range of memory that a request may use until it completes.
///
/// Copyable like the pointer it is. The promise is made once, to [`Span::new`]. Laid out as `struct
/// iovec`, so that spans are the parts of a vectored read as they lie.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub struct Span {
    start: *mut u8,
    bytes: usize,
}

const _: () = {
    assert!(size_of::<Span>() == size_of::<libc::iovec>());
    assert!(std::mem::offset_of!(Span, start) == std::mem::offset_of!(libc::iovec, iov_base));
    assert!(std::mem::offset_of!(Span, bytes) == std::mem::offset_of!(libc::iovec, iov_len));
};

// SAFETY: the promise made to `Span::new` holds for whichever thread touches the bytes.
unsafe impl Send for Span {}
// SAFETY: as above; a shared `Span` offers no more than a copied one.
unsafe impl Sync for Span {}

impl Span {
    /// Names `bytes` bytes from `start`.
    ///
    /// Nothing is read or written here. Unmapped or protected memory is found out when the request
    /// runs and becomes [`Error::AccessViolation`], as far as the kernel can tell.
    ///
    /// # Safety
    /// From the moment a request with this span is enqueued until that request has completed (or
    /// been cancelled, or its queue closed), the memory must stay valid, and nobody else may write
    /// it or, if it is a destination, read it. Memory for a [`crate::ForeignPool`] must stay valid, and
    /// nobody else may write it, until the block's cookie is back.
    pub const unsafe fn new(start: *mut u8, bytes: usize) -> Span {
        Span { start, bytes }
    }

    /// The first byte.
    pub fn as_ptr(self) -> *mut u8 {
        self.start
    }

    /// The first byte's address.
    pub fn address(self) -> usize {
        self.start.addr()
    }

    /// The length in bytes.
    pub fn bytes(self) -> usize {
        self.bytes
    }

    /// Whether the address is NULL.
    pub fn is_null(self) -> bool {
        self.start.is_null()
    }

    /// Whether the range runs past the end of the address space.
    pub(crate) fn wraps(self) -> bool {
        self.address()
            .checked_add(self.bytes)
            .is_none_or(|end| end > usize::MAX - sys::PAGE_BYTES)
    }

    /// The part `offset..offset + bytes`, which must lie inside.
    pub(crate) fn part(self, offset: usize, bytes: usize) -> Span {
        assert!(
            offset
                .checked_add(bytes)
                .is_some_and(|end| end <= self.bytes),
            "part outside its span"
        );
        Span {
            start: self.start.wrapping_add(offset),
            bytes,
        }
    }

    /// Whether all of `other` lies inside.
    pub(crate) fn contains(self, other: Span) -> bool {
        other
            .address()
            .checked_sub(self.address())
            .and_then(|offset| offset.checked_add(other.bytes))
            .is_some_and(|end| end <= self.bytes)
    }

    /// Fails where the kernel says that the bytes cannot be read.
    pub(crate) fn check_readable(self) -> Result<(), Error> {
        self.check(false)
    }

    /// Fails where the kernel says that the bytes cannot be written; makes them present otherwise.
    pub(crate) fn check_writable(self) -> Result<(), Error> {
        self.check(true)
    }

    /// Copies `source` here, which has the same length, by the kernel: memory that becomes inaccessible
    /// meanwhile is an error, too. `None`, and nothing is copied, where the kernel does not do that, and for
    /// ranges that overlap.
    pub(crate) fn fill_from(self, source: Span) -> Option<Result<(), Error>> {
        assert_eq!(
            self.bytes, source.bytes,
            "copy between spans of different lengths"
        );
        if self.address().abs_diff(source.address()) < self.bytes {
            return None;
        }
        match sys::copy_by_kernel(source, self) {
            Ok(()) => Some(Ok(())),
            Err(error) if is_bad_address(&error) => Some(Err(Error::AccessViolation)),
            Err(_) => None,
        }
    }

    fn check(self, write: bool) -> Result<(), Error> {
        if self.bytes == 0 {
            return Ok(());
        }
        let checked = match sys::populate(self, write) {
            // Old kernels and special mappings, but also memory that is mapped and protected.
            Err(error) if !is_bad_address(&error) => sys::probe(self, write),
            checked => checked,
        };
        match checked {
            Err(error) if is_bad_address(&error) => Err(Error::AccessViolation),
            _ => Ok(()),
        }
    }

    /// The bytes, for reading.
    ///
    /// # Safety
    /// The span must be readable (see [`Span::check_readable`]) and its request in flight.
    pub(crate) unsafe fn as_slice<'a>(self) -> &'a [u8] {
        // SAFETY: readable by the contract above; not written meanwhile by `Span::new`'s promise.
        unsafe { std::slice::from_raw_parts(self.start, self.bytes) }
    }

    /// The bytes, for writing; whoever allocated them need not have given them values.
    ///
    /// # Safety
    /// The span must be writable (see [`Span::check_writable`]), its request in flight, and no
    /// other slice of the same bytes alive.
    pub(crate) unsafe fn as_uninit_mut<'a>(self) -> &'a mut [MaybeUninit<u8>] {
        // SAFETY: writable and unshared by the contract above; a `MaybeUninit` is valid without a value.
        unsafe { std::slice::from_raw_parts_mut(self.start.cast(), self.bytes) }
    }

    /// Copies `source` here; both must have the same length and be checked. They may overlap.
    ///
    /// # Safety
    /// As for [`Span::as_slice`] and [`Span::as_uninit_mut`], but for the overlap.
    pub(crate) unsafe fn copy_from(self, source: Span) {
        assert_eq!(
            self.bytes, source.bytes,
            "copy between spans of different lengths"
        );
        // SAFETY: both ranges have this length and are accessible by the contract above.
        unsafe { std::ptr::copy(source.start, self.start, self.bytes) };
    }
}

impl fmt::Debug for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:p}+{}", self.start, self.bytes)
    }
}

/// ENOMEM: nothing is mapped there. EFAULT: something is, and cannot be used.
fn is_bad_address(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::ENOMEM | libc::EFAULT))
}

/// `len` zeros, or `None` if there is no memory for them. What is not touched takes none.
pub(crate) fn try_zeros(len: usize) -> Option<Box<[AtomicI32]>> {
    let layout = std::alloc::Layout::array::<AtomicI32>(len).ok()?;
    if layout.size() == 0 {
        return Some(Box::default());
    }
    // SAFETY: the layout has a size.
    let start = unsafe { std::alloc::alloc_zeroed(layout) };
    if start.is_null() {
        return None;
    }
    let zeros = std::ptr::slice_from_raw_parts_mut(start.cast::<AtomicI32>(), len);
    // SAFETY: allocated just now with the layout of this slice, and zeros are values.
    Some(unsafe { Box::from_raw(zeros) })
}

/// Bytes with an owner that requests keep alive: the safe way to give memory to a queue.
///
/// [`Buffer::lend`] turns the whole buffer, [`Buffer::lend_chunks`] consecutive pieces of it, into
/// destinations. While any of them is in a queue the buffer cannot be looked at; it comes back by
/// itself when the last request has completed.
///
/// ```
/// let mut buffer = ds_core::Buffer::new(4096);
/// let destination = buffer.lend().expect("nothing is lent yet");
/// assert!(buffer.bytes().is_none(), "lent");
/// drop(destination); // a queue does this when the request completes
/// assert_eq!(buffer.bytes().unwrap().len(), 4096);
/// ```
#[derive(Debug)]
pub struct Buffer {
    bytes: Arc<BufferBytes>,
}

/// The memory of a [`Buffer`]; page-aligned so that unbuffered reads can land in it.
pub(crate) struct BufferBytes {
    span: Span,
    layout: std::alloc::Layout,
}

impl fmt::Debug for BufferBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.span)
    }
}

impl Drop for BufferBytes {
    fn drop(&mut self) {
        // SAFETY: allocated in `Buffer::new` with this layout, freed once.
        unsafe { std::alloc::dealloc(self.span.start, self.layout) };
    }
}

impl Buffer {
    /// A zeroed buffer of `bytes` bytes.
    pub fn new(bytes: usize) -> Buffer {
        let layout = std::alloc::Layout::from_size_align(bytes.max(1), sys::PAGE_BYTES)
            .expect("a size in memory");
        // SAFETY: the layout has a size of at least 1.
        let start = unsafe { std::alloc::alloc_zeroed(layout) };
        if start.is_null() {
            std::alloc::handle_alloc_error(layout);
        }
        // SAFETY: the bytes live as long as the `Arc` below; every destination made of them holds
        // that `Arc`, and `Buffer` shows them to nobody while one exists.
        let span = unsafe { Span::new(start, bytes) };
        Buffer {
            bytes: Arc::new(BufferBytes { span, layout }),
        }
    }

    /// A buffer with a copy of `contents`.
    pub fn from_slice(contents: &[u8]) -> Buffer {
        let mut buffer = Buffer::new(contents.len());
        buffer
            .bytes_mut()
            .expect("a new buffer is not lent")
            .copy_from_slice(contents);
        buffer
    }

    /// The length in bytes.
    pub fn len(&self) -> usize {
        self.bytes.span.bytes
    }

    /// Whether the length is 0.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The address of the first byte.
    pub fn address(&self) -> usize {
        self.bytes.span.address()
    }

    /// Whether a request still holds a part.
    pub fn is_lent(&mut self) -> bool {
        Arc::get_mut(&mut self.bytes).is_none()
    }

    /// The contents, or `None` while lent.
    pub fn bytes(&mut self) -> Option<&[u8]> {
        self.bytes_mut().map(|bytes| &*bytes)
    }

    /// The contents for writing, or `None` while lent.
    pub fn bytes_mut(&mut self) -> Option<&mut [u8]> {
        let span = Arc::get_mut(&mut self.bytes)?.span;
        // SAFETY: allocated and initialised with this length; no request holds a part (`get_mut`
        // succeeded, which also orders their writes before this), and the borrow of `self` keeps
        // new ones from being made.
        Some(unsafe { std::slice::from_raw_parts_mut(span.start, span.bytes) })
    }

    /// The whole buffer as a destination; `None` while lent.
    pub fn lend(&mut self) -> Option<MemoryDestination> {
        if self.is_lent() {
            return None;
        }
        Some(MemoryDestination {
            span: self.bytes.span,
            owner: Some(Arc::clone(&self.bytes)),
        })
    }

    /// Consecutive, disjoint parts of at most `chunk_bytes` (not 0) as destinations; `None` while
    /// lent.
    pub fn lend_chunks(
        &mut self,
        chunk_bytes: usize,
    ) -> Option<impl Iterator<Item = MemoryDestination> + use<>> {
        let all = self.lend()?;
        let total = all.span.bytes;
        Some((0..total).step_by(chunk_bytes.max(1)).map(move |offset| {
            MemoryDestination {
                span: all
                    .span
                    .part(offset, chunk_bytes.max(1).min(total - offset)),
                owner: all.owner.clone(),
            }
        }))
    }

    /// Consecutive, disjoint parts of the given sizes, from the buffer's start, as destinations; `None` while
    /// lent, or if they do not fit.
    pub fn lend_parts(
        &mut self,
        parts_bytes: impl IntoIterator<Item = usize>,
    ) -> Option<Vec<MemoryDestination>> {
        let all = self.lend()?;
        let mut start = 0usize;
        let parts = parts_bytes.into_iter().map(|bytes| {
            let end = start
                .checked_add(bytes)
                .filter(|&end| end <= all.span.bytes)?;
            let span = all.span.part(start, bytes);
            start = end;
            Some(MemoryDestination {
                span,
                owner: all.owner.clone(),
            })
        });
        parts.collect()
    }

    /// Turns the contents into a source that any number of requests can read; gives the buffer back while
    /// lent.
    pub fn into_source(mut self) -> Result<SharedBytes, Buffer> {
        if self.is_lent() {
            Err(self)
        } else {
            Ok(SharedBytes { bytes: self.bytes })
        }
    }
}

/// Memory of somebody else's request, for the application to work on: an address and a length.
///
/// Deliberately no [`Span`]: it cannot be turned into a source or destination, since its promise
/// ends with the request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RawBytes(Span);

impl RawBytes {
    pub(crate) fn new(span: Span) -> RawBytes {
        RawBytes(span)
    }

    /// The first byte.
    pub fn as_ptr(self) -> *mut u8 {
        self.0.start
    }

    /// The length in bytes.
    pub fn bytes(self) -> usize {
        self.0.bytes
    }
}

/// Where a request's bytes go in memory: a part of a [`Buffer`], or raw memory under a [`Span`]'s
/// promise.
///
/// Deliberately not `Clone`: a lent part has one request that writes it.
#[derive(Debug)]
pub struct MemoryDestination {
    span: Span,
    owner: Option<Arc<BufferBytes>>,
}

/// Where a request's bytes come from in memory: a part of [`SharedBytes`], or raw memory under a
/// [`Span`]'s promise.
#[derive(Debug, Clone)]
pub struct MemorySource {
    span: Span,
    owner: Option<Arc<BufferBytes>>,
}

impl MemoryDestination {
    pub(crate) fn span(&self) -> Span {
        self.span
    }

    /// The address of the first byte.
    pub fn address(&self) -> usize {
        self.span.address()
    }

    /// The length in bytes.
    pub fn bytes(&self) -> usize {
        self.span.bytes
    }

    /// Whether the engine keeps the memory alive (a [`Buffer`]) rather than the caller (a
    /// [`Span`]).
    pub fn is_owned(&self) -> bool {
        self.owner.is_some()
    }
}

impl MemorySource {
    pub(crate) fn span(&self) -> Span {
        self.span
    }

    /// The address of the first byte.
    pub fn address(&self) -> usize {
        self.span.address()
    }

    /// The length in bytes.
    pub fn bytes(&self) -> usize {
        self.span.bytes
    }

    /// Whether the engine keeps the memory alive ([`SharedBytes`]) rather than the caller (a
    /// [`Span`]).
    pub fn is_owned(&self) -> bool {
        self.owner.is_some()
    }
}

impl From<Span> for MemoryDestination {
    fn from(span: Span) -> MemoryDestination {
        MemoryDestination { span, owner: None }
    }
}

impl From<Span> for MemorySource {
    fn from(span: Span) -> MemorySource {
        MemorySource { span, owner: None }
    }
}

/// Bytes that no one changes any more: a source for requests.
#[derive(Debug, Clone)]
pub struct SharedBytes {
    bytes: Arc<BufferBytes>,
}

impl SharedBytes {
    /// The bytes `offset..offset + bytes`; `None` if they do not lie inside.
    pub fn part(&self, offset: usize, bytes: usize) -> Option<MemorySource> {
        offset.checked_add(bytes).filter(|&end| end <= self.len())?;
        Some(MemorySource {
            span: self.bytes.span.part(offset, bytes),
            owner: Some(Arc::clone(&self.bytes)),
        })
    }

    /// The length in bytes.
    pub fn len(&self) -> usize {
        self.bytes.span.bytes
    }

    /// Whether the length is 0.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;

    use super::*;

    /// Three pages of 0x5A, the one in the middle with `protection`.
    fn pages(protection: libc::c_int) -> Span {
        let (rw, flags) = (
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
        );
        let bytes = 3 * sys::PAGE_BYTES;
        // SAFETY: a new mapping where nothing is; left to the end of the process.
        let start = unsafe { libc::mmap(std::ptr::null_mut(), bytes, rw, flags, -1, 0) };
        assert_ne!(start, libc::MAP_FAILED);
        // SAFETY: mapped just now, with this length, and ours alone.
        unsafe { start.write_bytes(0x5A, bytes) };
        let middle = start.wrapping_byte_add(sys::PAGE_BYTES);
        // SAFETY: a page of the mapping above, which nothing has a reference to.
        let result = unsafe { libc::mprotect(middle, sys::PAGE_BYTES, protection) };
        assert_eq!(result, 0);
        // SAFETY: used by the checks below only, which expect protected pages.
        unsafe { Span::new(start.cast(), bytes) }
    }

    #[test]
    fn a_protected_page_between_good_ones_is_found() {
        let all = pages(libc::PROT_NONE);
        assert_eq!(all.check_readable(), Err(Error::AccessViolation));
        assert_eq!(all.check_writable(), Err(Error::AccessViolation));
        assert_eq!(all.part(0, sys::PAGE_BYTES).check_writable(), Ok(()));
        let across = all.part(sys::PAGE_BYTES - 1, 2);
        assert_eq!(across.check_readable(), Err(Error::AccessViolation));
    }

    #[test]
    fn a_read_only_page_can_be_read_and_keeps_its_bytes() {
        let all = pages(libc::PROT_READ);
        assert_eq!(all.check_readable(), Ok(()));
        assert_eq!(all.check_writable(), Err(Error::AccessViolation));
        // SAFETY: readable, as checked; nothing writes it.
        assert!(unsafe { all.as_slice() }.iter().all(|&byte| byte == 0x5A));
    }

    #[test]
    fn probes_agree_with_populate_and_change_nothing() {
        let all = pages(libc::PROT_READ | libc::PROT_WRITE);
        for write in [false, true] {
            sys::populate(all, write).unwrap();
            sys::probe(all, write).unwrap();
        }
        // SAFETY: readable, as checked; nothing writes it.
        assert!(unsafe { all.as_slice() }.iter().all(|&byte| byte == 0x5A));
        // SAFETY: never touched: the last page that a program can name is the kernel's.
        let wild = unsafe { Span::new(std::ptr::without_provenance_mut(usize::MAX / 2), 1) };
        assert!(sys::probe(wild, false).is_err() && sys::probe(wild, true).is_err());
    }

    #[test]
    #[cfg_attr(miri, ignore = "asks the kernel")]
    fn the_kernel_copies_or_says_what_is_wrong() {
        let bytes = 3 * sys::PAGE_BYTES;
        let (from, to) = (
            pages(libc::PROT_READ),
            pages(libc::PROT_READ | libc::PROT_WRITE),
        );
        let Some(result) = to.fill_from(from) else {
            println!("SKIPPED: process_vm_readv(2) is forbidden here");
            return;
        };
        assert_eq!(result, Ok(()));
        assert_eq!(
            from.fill_from(to),
            Some(Err(Error::AccessViolation)),
            "read-only"
        );
        let hidden = pages(libc::PROT_NONE);
        assert_eq!(to.fill_from(hidden), Some(Err(Error::AccessViolation)));
        assert_eq!(to.part(1, 0).fill_from(hidden.part(bytes, 0)), Some(Ok(())));
        assert_eq!(to.part(1, 8).fill_from(to.part(0, 8)), None, "they overlap");
    }

    #[test]
    fn zeros_are_many_or_none() {
        assert_eq!(try_zeros(0).map(|zeros| zeros.len()), Some(0));
        let zeros = try_zeros(1000).unwrap();
        assert!(zeros.iter().all(|zero| zero.load(Ordering::Relaxed) == 0));
        assert!(try_zeros(usize::MAX).is_none());
    }

    #[test]
    fn parts_are_consecutive_and_fit_or_none_is_lent() {
        let mut buffer = Buffer::new(10);
        assert!(buffer.lend_parts([4, 7]).is_none());
        assert!(buffer.lend_parts([usize::MAX, 2]).is_none());
        let parts = buffer.lend_parts([3, 0, 7]).expect("they fit");
        let places: Vec<_> = parts
            .iter()
            .map(|part| {
                (
                    part.span().address() - buffer.address(),
                    part.span().bytes(),
                )
            })
            .collect();
        assert_eq!(places, [(0, 3), (3, 0), (3, 7)]);
        assert!(buffer.lend_parts([1]).is_none(), "lent");
        drop(parts);
        assert!(!buffer.is_lent());
    }
}
