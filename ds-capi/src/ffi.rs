//! The boundary: pointers from C become references, results go back, and nothing else is done here.
//!
//! Owns the rules that every exported function follows, so that each of them is written once:
//!
//! - NULL is looked for here. A NULL handle or out pointer is `DS_E_INVALIDARG`, never a crash.
//! - A function that makes something answers through an out pointer and leaves NULL (or zeros) there when it
//!   fails.
//! - A struct that may grow begins with its size ([`sized`], `answer_sized`).
//! - Nothing unwinds: the profile aborts on panic, and leaving an `extern "C"` function by panic aborts
//!   anyway.
//!
//! What C promises. Safety comments of this crate say "promised by the caller" for these conditions, which
//! the header states at its top: a pointer that is not NULL points to what its type says, properly aligned,
//! for as long as the call takes; a handle was made by this library and not given back yet; nobody changes
//! what is read or reads what is written meanwhile.

use std::ffi::{CStr, OsStr, c_char, c_void};
use std::mem::{ManuallyDrop, MaybeUninit};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::ptr;
use std::time::Duration;

use ds_core::Handle;

use crate::result::{DS_E_INSUFFICIENT_BUFFER, DS_E_INVALIDARG, DS_OK, ds_result};

/// Why a function answers something other than `DS_OK`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Failure(pub(crate) ds_result);

impl Failure {
    pub(crate) const INVALID: Failure = Failure(DS_E_INVALIDARG);
}

impl From<ds_core::Error> for Failure {
    fn from(error: ds_core::Error) -> Failure {
        Failure(error.hresult())
    }
}

/// The number for what `body` comes to.
pub(crate) fn result(body: impl FnOnce() -> Result<(), Failure>) -> ds_result {
    match body() {
        Ok(()) => DS_OK,
        Err(Failure(number)) => number,
    }
}

/// What a pointer points to.
///
/// # Safety
/// `pointer` is NULL or valid as for `pointer::as_ref`, for as long as the exported function runs.
pub(crate) unsafe fn get<'a, T>(pointer: *const T) -> Result<&'a T, Failure> {
    // SAFETY: as above.
    unsafe { pointer.as_ref() }.ok_or(Failure::INVALID)
}

/// An array; a NULL one is empty if `len` says so.
///
/// # Safety
/// `first` is NULL or points to `len` values, as for [`std::slice::from_raw_parts`].
pub(crate) unsafe fn array<'a, T>(first: *const T, len: usize) -> Result<&'a [T], Failure> {
    if len == 0 {
        return Ok(&[]);
    }
    if first.is_null() || len > isize::MAX as usize / size_of::<T>() {
        return Err(Failure::INVALID);
    }
    // SAFETY: not NULL, not too large, and valid as above.
    Ok(unsafe { std::slice::from_raw_parts(first, len) })
}

/// Places for an array of answers; a NULL one has none if `len` says so. What is there need not be
/// initialised: C allocates and lets us fill.
///
/// # Safety
/// `first` is NULL or valid for writes of `len` values, as for [`std::slice::from_raw_parts_mut`].
pub(crate) unsafe fn array_out<'a, T>(
    first: *mut T,
    len: usize,
) -> Result<&'a mut [MaybeUninit<T>], Failure> {
    if len == 0 {
        return Ok(&mut []);
    }
    if first.is_null() || len > isize::MAX as usize / size_of::<T>() {
        return Err(Failure::INVALID);
    }
    // SAFETY: not NULL, not too large, and valid as above; a `MaybeUninit` is initialised by definition.
    Ok(unsafe { std::slice::from_raw_parts_mut(first.cast::<MaybeUninit<T>>(), len) })
}

/// A string; `None` for NULL.
///
/// # Safety
/// `text` is NULL or a NUL-terminated string.
pub(crate) unsafe fn text<'a>(text: *const c_char) -> Option<&'a CStr> {
    if text.is_null() {
        return None;
    }
    // SAFETY: not NULL, and NUL-terminated as above.
    Some(unsafe { CStr::from_ptr(text) })
}

/// A path.
///
/// # Safety
/// As for [`text`].
pub(crate) unsafe fn path<'a>(path: *const c_char) -> Result<&'a Path, Failure> {
    // SAFETY: as above.
    let path = unsafe { text(path) }.ok_or(Failure::INVALID)?;
    Ok(Path::new(OsStr::from_bytes(path.to_bytes())))
}

/// A handle that is the address of a shared object: what C has is a reference of its own.
pub(crate) trait Shared: Handle {
    /// The C type.
    type Raw;
}

/// The object behind a handle, which stays C's.
///
/// # Safety
/// `raw` is NULL or comes from [`Out::share`] and was not given back.
pub(crate) unsafe fn shared<T: Shared>(raw: *mut T::Raw) -> Option<ManuallyDrop<T>> {
    if raw.is_null() {
        return None;
    }
    // SAFETY: a reference that C holds, and goes on holding: `ManuallyDrop` does not give it up.
    Some(ManuallyDrop::new(unsafe { T::from_raw(raw.cast()) }))
}

/// Drops the reference that C gives back; NULL is nothing.
///
/// # Safety
/// `raw` is NULL or comes from [`Out::share`] and was not given back.
pub(crate) unsafe fn release<T: Shared>(raw: *mut T::Raw) {
    if !raw.is_null() {
        // SAFETY: a reference that C held, and gives up.
        drop(unsafe { T::from_raw(raw.cast()) });
    }
}

/// Where an answer goes.
#[derive(Debug)]
pub(crate) struct Out<'a, T>(Option<&'a mut MaybeUninit<T>>);

/// Where an answer goes.
///
/// # Safety
/// `pointer` is NULL or valid for writes as for [`ptr::write`]; what is there need not be initialised.
pub(crate) unsafe fn out<'a, T>(pointer: *mut T) -> Out<'a, T> {
    // SAFETY: valid as above; a `MaybeUninit` is initialised by definition.
    Out(unsafe { pointer.cast::<MaybeUninit<T>>().as_mut() })
}

impl<T> Out<'_, T> {
    /// Writes what `make` makes, or `failed`.
    pub(crate) fn answer(self, failed: T, make: impl FnOnce() -> Result<T, Failure>) -> ds_result {
        let Some(place) = self.0 else {
            return DS_E_INVALIDARG;
        };
        match make() {
            Ok(value) => {
                place.write(value);
                DS_OK
            }
            Err(Failure(number)) => {
                place.write(failed);
                number
            }
        }
    }
}

impl<T> Out<'_, *mut T> {
    /// Writes the address of what `make` makes, or NULL.
    pub(crate) fn create(self, make: impl FnOnce() -> Result<Box<T>, Failure>) -> ds_result {
        self.answer(ptr::null_mut(), || make().map(Box::into_raw))
    }

    /// Writes a new reference to what `make` makes, or NULL.
    pub(crate) fn share<S: Shared<Raw = T>>(
        self,
        make: impl FnOnce() -> Result<S, Failure>,
    ) -> ds_result {
        self.answer(ptr::null_mut(), || Ok(make()?.into_raw().cast_mut().cast()))
    }
}

/// The caller's pointer, on its way to whichever thread calls the caller's function.
#[derive(Clone, Copy, Debug)]
pub(crate) struct User(pub(crate) *mut c_void);

// SAFETY: never followed here, only passed on; that the callback may be called on any thread is its contract.
unsafe impl Send for User {}
// SAFETY: as above.
unsafe impl Sync for User {}

impl User {
    pub(crate) fn pointer(&self) -> *mut c_void {
        self.0
    }
}

/// A struct that begins with its size and may grow at its end.
///
/// # Safety
/// `repr(C)`, begins with a `u32`, has no padding, and is valid whatever its bytes are.
pub(crate) unsafe trait Growing: Copy + Default {
    /// How large it was in each version that changed it, ascending. Numbers, not `size_of`: what a program
    /// was compiled with stays what it was when the struct grows.
    const VERSIONS_BYTES: &'static [usize];
}

/// The most that a struct of a later version may have; more is a caller that did not set the size.
const BYTES_MAX: usize = 4096;

/// How many bytes of a caller's struct of `bytes` bytes are members that we know. Members are taken whole or
/// not at all: a size that no version had, half of a pointer for one, is a caller that did not set it.
fn known_bytes<T: Growing>(bytes: usize) -> Result<usize, Failure> {
    const {
        let latest = T::VERSIONS_BYTES[T::VERSIONS_BYTES.len() - 1];
        assert!(latest == size_of::<T>(), "a version is missing");
    };
    let is_newer = bytes > size_of::<T>() && bytes <= BYTES_MAX;
    if is_newer || T::VERSIONS_BYTES.contains(&bytes) {
        Ok(bytes.min(size_of::<T>()))
    } else {
        Err(Failure::INVALID)
    }
}

/// A struct from a caller of any version, `None` for NULL. What an older caller does not know has its
/// default. What a newer caller knows and we do not must be zero: it may not ask for something and not get
/// it.
///
/// # Safety
/// `pointer` is NULL or points to as many readable bytes as the `u32` there says.
pub(crate) unsafe fn sized<T: Growing>(pointer: *const T) -> Result<Option<T>, Failure> {
    if pointer.is_null() {
        return Ok(None);
    }
    // SAFETY: a struct of any version has its size; aligned because `T` begins with a `u32`.
    let bytes = unsafe { pointer.cast::<u32>().read() } as usize;
    let known_bytes = known_bytes::<T>(bytes)?;
    // SAFETY: as many bytes as the caller says.
    let given = unsafe { array(pointer.cast::<u8>(), bytes) }?;
    let (known, unknown) = given.split_at(known_bytes);
    if unknown.iter().any(|&byte| byte != 0) {
        return Err(Failure::INVALID);
    }
    let mut value = T::default();
    // SAFETY: `known` is not longer than `T`, `value` is our own, and any bytes make a valid `T`.
    unsafe { ptr::copy_nonoverlapping(known.as_ptr(), (&raw mut value).cast(), known.len()) };
    Ok(Some(value))
}

/// Writes an answer whose struct may grow: as much of it as the caller's version has, and zeros behind it.
///
/// # Safety
/// `pointer` is NULL or points to as many writable bytes as the `u32` there says.
pub(crate) unsafe fn answer_sized<T: Growing>(
    pointer: *mut T,
    make: impl FnOnce() -> Result<T, Failure>,
) -> ds_result {
    result(|| {
        if pointer.is_null() {
            return Err(Failure::INVALID);
        }
        // SAFETY: a struct of any version has its size; aligned because `T` begins with a `u32`.
        let bytes = unsafe { pointer.cast::<u32>().read() } as usize;
        let known_bytes = known_bytes::<T>(bytes)?;
        let made = make();
        // SAFETY: as many bytes as the caller says.
        let place = unsafe { array_out(pointer.cast::<u8>(), bytes) }?;
        // The size itself is left alone.
        let after_size = size_of::<u32>();
        place[after_size..].fill(MaybeUninit::new(0));
        let value = made?;
        // SAFETY: a `T` has so many bytes, all of them initialised: there is no padding.
        let value = unsafe { array((&raw const value).cast::<u8>(), size_of::<T>()) }?;
        for (place, &byte) in place[..known_bytes].iter_mut().zip(value).skip(after_size) {
            place.write(byte);
        }
        Ok(())
    })
}

/// A time-out in nanoseconds; `None` for `DS_WAIT_FOREVER`.
pub(crate) fn timeout(timeout_ns: u64) -> Option<Duration> {
    (timeout_ns != crate::types::DS_WAIT_FOREVER).then(|| Duration::from_nanos(timeout_ns))
}

/// Where a text goes.
#[derive(Debug)]
pub(crate) struct TextOut<'a>(Result<&'a mut [MaybeUninit<c_char>], Failure>);

/// Where a text goes.
///
/// # Safety
/// As for [`array_out`].
pub(crate) unsafe fn text_out<'a>(buffer: *mut c_char, buffer_bytes: usize) -> TextOut<'a> {
    // SAFETY: as above.
    TextOut(unsafe { array_out(buffer, buffer_bytes) })
}

impl TextOut<'_> {
    /// Writes what `make` makes and a NUL, or an empty text: then, too, if it does not fit as a whole.
    pub(crate) fn answer<T: AsRef<[u8]>>(
        self,
        make: impl FnOnce() -> Result<T, Failure>,
    ) -> ds_result {
        result(|| {
            let buffer = self.0?;
            buffer.first_mut().ok_or(Failure::INVALID)?.write(0);
            let text = make()?;
            let text = text.as_ref();
            if text.len() >= buffer.len() {
                return Err(Failure(DS_E_INSUFFICIENT_BUFFER));
            }
            for (place, &byte) in buffer.iter_mut().zip(text.iter().chain(&[0])) {
                place.write(byte.cast_signed() as c_char);
            }
            Ok(())
        })
    }
}

/// Copies `text` into `place` with a terminating NUL, cut between characters if it is too long.
pub(crate) fn copy_text(text: &[u8], place: &mut [c_char]) {
    let Some(last) = place.len().checked_sub(1) else {
        return;
    };
    let mut len = text.len().min(last);
    // A UTF-8 character has at most three bytes after its first.
    let is_inside = |at: usize| text.get(at).is_some_and(|byte| byte & 0xC0 == 0x80);
    for _ in 0..3 {
        if len > 0 && is_inside(len) {
            len -= 1;
        }
    }
    place.fill(0);
    for (place, byte) in place.iter_mut().zip(&text[..len]) {
        *place = byte.cast_signed() as c_char;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[repr(C)]
    #[derive(Clone, Copy, PartialEq, Debug)]
    struct Options {
        struct_size: u32,
        old: u32,
        new: u64,
    }

    impl Default for Options {
        fn default() -> Options {
            Options {
                struct_size: 16,
                old: 1,
                new: 2,
            }
        }
    }

    // SAFETY: two `u32` and a `u64` leave no padding, and take any bytes.
    unsafe impl Growing for Options {
        const VERSIONS_BYTES: &'static [usize] = &[8, 16];
    }

    /// A caller's struct: its size, then words.
    fn read(words: &[u32]) -> Result<Option<Options>, Failure> {
        // The copy is aligned for the `u64`, and ends where the caller's struct ends.
        let mut aligned = vec![0_u64; words.len().div_ceil(2)];
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_ne_bytes()).collect();
        for (place, chunk) in aligned.iter_mut().zip(bytes.chunks(8)) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            *place = u64::from_ne_bytes(word);
        }
        // SAFETY: as long as its first word says, in each of the tests below.
        unsafe { sized(aligned.as_ptr().cast::<Options>()) }
    }

    #[test]
    fn an_older_caller_gets_defaults_for_what_it_does_not_know() {
        let read = read(&[8, 7]).unwrap().unwrap();
        assert_eq!((read.old, read.new), (7, 2));
    }

    #[test]
    fn a_newer_caller_must_not_ask_for_what_we_do_not_know() {
        let known = [24, 7, 8, 0, 0, 0];
        assert_eq!(read(&known).unwrap().unwrap().new, 8);
        let unknown = [24, 7, 8, 0, 0, 9];
        assert_eq!(read(&unknown), Err(Failure::INVALID));
    }

    #[test]
    fn a_size_that_was_not_set_is_refused() {
        assert_eq!(read(&[0, 7]), Err(Failure::INVALID));
        assert_eq!(read(&[3, 7]), Err(Failure::INVALID));
        assert_eq!(read(&[u32::MAX, 7]), Err(Failure::INVALID));
    }

    #[test]
    fn a_size_that_no_version_had_is_refused() {
        assert_eq!(read(&[4]), Err(Failure::INVALID), "the size alone");
        let half_a_member = [12, 7, 8, 0];
        assert_eq!(read(&half_a_member), Err(Failure::INVALID));
        let mut place = [u64::from(12_u32), u64::MAX];
        let pointer = place.as_mut_ptr().cast::<Options>();
        let value = || Ok(Options::default());
        // SAFETY: the first word says 12, and there are 16.
        let result = unsafe { answer_sized(pointer, value) };
        assert_eq!((result, place), (DS_E_INVALIDARG, [12, u64::MAX]));
    }

    #[test]
    fn texts_fit_with_their_nul_or_are_empty() {
        let mut place = [1; 4];
        let mut answer = |text: &str| {
            // SAFETY: an array of this length.
            let out = unsafe { text_out(place.as_mut_ptr(), place.len()) };
            (out.answer(|| Ok(text)), place)
        };
        let chars = |bytes: &[u8; 4]| bytes.map(|byte| byte as c_char);
        assert_eq!(answer("abc"), (DS_OK, chars(b"abc\0")));
        let too_long = (DS_E_INSUFFICIENT_BUFFER, chars(b"\0bc\0"));
        assert_eq!(answer("abcd"), too_long);
    }

    #[test]
    fn answers_stay_inside_an_older_callers_struct() {
        let value = Options {
            struct_size: 0,
            old: 5,
            new: u64::MAX,
        };
        let mut place = [u64::from(8_u32), u64::MAX];
        let pointer = place.as_mut_ptr().cast::<Options>();
        // SAFETY: the first word says 8, and there are 16.
        assert_eq!(unsafe { answer_sized(pointer, || Ok(value)) }, DS_OK);
        assert_eq!(place, [8 | 5 << 32, u64::MAX]);
    }

    #[test]
    fn text_is_cut_between_characters() {
        let mut place = [1; 6];
        copy_text("abcdé".as_bytes(), &mut place);
        assert_eq!(place, *b"abcd\0\0".map(|byte| byte as c_char).as_slice());
        copy_text(b"x", &mut place);
        assert_eq!(place, *b"x\0\0\0\0\0".map(|byte| byte as c_char).as_slice());
    }
}
