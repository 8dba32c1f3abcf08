//! The list of options: what `ds_runtime_options.config`, `DS_CONFIG` and `DS_CONFIG_FILE` may say.

use std::ffi::{CString, c_char};
use std::sync::OnceLock;

use ds_core::OPTIONS;

use crate::ffi::{self, Failure};
use crate::result::ds_result;
use crate::runtime::ds_runtime;

/// One option. The texts are the library's and valid for ever.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct ds_option {
    /// Its key.
    pub key: *const c_char,
    /// The values it takes, in words.
    pub values: *const c_char,
    /// What it does.
    pub help: *const c_char,
}

const _: () = assert!(size_of::<ds_option>() == 24);

const OPTION_NONE: ds_option = ds_option {
    key: std::ptr::null(),
    values: std::ptr::null(),
    help: std::ptr::null(),
};

/// Key, values and help of each option, with the NUL that C wants at the end.
fn texts() -> &'static [[CString; 3]] {
    static TEXTS: OnceLock<Vec<[CString; 3]>> = OnceLock::new();
    TEXTS.get_or_init(|| {
        let text = |text: &str| CString::new(text).expect("no option has a NUL in its texts");
        OPTIONS
            .iter()
            .map(|option| [option.key, option.values, option.help].map(text))
            .collect()
    })
}

/// How many options there are. Any thread, any time.
#[unsafe(no_mangle)]
pub extern "C" fn ds_option_count() -> u32 {
    OPTIONS.len() as u32
}

/// Describes the option `index`, which is below ds_option_count.
///
/// Errors: DS_E_INVALIDARG for a NULL `out` or an index out of range; the members are NULL then. Any thread,
/// any time.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ds_option_describe(index: u32, out: *mut ds_option) -> ds_result {
    // SAFETY: promised by the caller.
    let out = unsafe { ffi::out(out) };
    out.answer(OPTION_NONE, || {
        let [key, values, help] = texts().get(index as usize).ok_or(Failure::INVALID)?;
        Ok(ds_option {
            key: key.as_ptr(),
            values: values.as_ptr(),
            help: help.as_ptr(),
        })
    })
}

/// The value of the option `index` in a runtime, as text, into `buffer`.
///
/// Errors: DS_E_INSUFFICIENT_BUFFER if `buffer_size` bytes do not hold the text and its NUL; DS_E_INVALIDARG
/// for NULL, a size of 0, or an index out of range. The buffer holds an empty text then, if there is one. Any
/// thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ds_runtime_option_value(
    runtime: *const ds_runtime,
    index: u32,
    buffer: *mut c_char,
    buffer_size: usize,
) -> ds_result {
    // SAFETY: promised by the caller.
    let runtime = unsafe { ffi::get(runtime) };
    // SAFETY: promised by the caller.
    let buffer = unsafe { ffi::text_out(buffer, buffer_size) };
    buffer.answer(|| {
        let option = OPTIONS.get(index as usize).ok_or(Failure::INVALID)?;
        Ok(option.value(runtime?.runtime.config()))
    })
}
