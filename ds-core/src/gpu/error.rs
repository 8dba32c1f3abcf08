//! Why the GPU cannot do something: which call, what the driver said, and what to do about it.

#![forbid(unsafe_code)]

use std::fmt;

use ash::vk;

use super::layout::LayoutError;
use crate::error::Error;

/// A failure of the GPU, its driver, or what was asked of it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum GpuError {
    /// No Vulkan loader could be opened; the text is the system's own.
    NoLoader(String),
    /// No device fits; the text says what was looked for and what was found.
    NoDevice(String),
    /// The device lacks something that is needed; the text names it.
    Unsupported(String),
    /// An argument without meaning: a size of 0, or a range outside its buffer.
    Argument(&'static str),
    /// An image, or a region of it, that cannot be a destination.
    Layout(LayoutError),
    /// A call failed: its name, and the `VkResult`.
    Call(&'static str, i32),
}

impl GpuError {
    pub(crate) fn call(name: &'static str, result: vk::Result) -> GpuError {
        GpuError::Call(name, result.as_raw())
    }

    fn result(&self) -> Option<vk::Result> {
        match self {
            GpuError::Call(_, raw) => Some(vk::Result::from_raw(*raw)),
            _ => None,
        }
    }

    /// Whether the device is gone, so that nothing on it will succeed any more.
    pub fn is_device_lost(&self) -> bool {
        self.result() == Some(vk::Result::ERROR_DEVICE_LOST)
    }

    /// Whether memory of the host or the device ran out; with less in flight it may succeed.
    pub fn is_out_of_memory(&self) -> bool {
        let result = self.result();
        result == Some(vk::Result::ERROR_OUT_OF_DEVICE_MEMORY)
            || result == Some(vk::Result::ERROR_OUT_OF_HOST_MEMORY)
    }

    /// What to do about it, where that can be said.
    fn cure(&self) -> &'static str {
        match self {
            GpuError::NoLoader(_) => "install the Vulkan loader (libvulkan.so.1) and a driver",
            GpuError::NoDevice(_) => {
                "install a driver, or name another device; `ds info` lists them"
            }
            GpuError::Unsupported(_) => {
                "use another device or a newer driver, or decode on the CPU"
            }
            GpuError::Argument(_) | GpuError::Layout(_) => "correct the argument",
            GpuError::Call(..) if self.is_device_lost() => {
                "the driver reset the GPU or it went away; create a new device"
            }
            GpuError::Call(..) if self.is_out_of_memory() => {
                "lower the staging size or keep fewer requests in flight"
            }
            GpuError::Call(..) => "see the driver's or the validation layer's messages",
        }
    }
}

impl fmt::Display for GpuError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            GpuError::NoLoader(why) => write!(f, "no Vulkan loader: {why}")?,
            GpuError::NoDevice(why) => write!(f, "no Vulkan device: {why}")?,
            GpuError::Unsupported(what) => write!(f, "the device lacks {what}")?,
            GpuError::Argument(what) => write!(f, "{what}")?,
            GpuError::Layout(why) => write!(f, "{why}")?,
            GpuError::Call(name, raw) => {
                write!(f, "{name} failed: {:?}", vk::Result::from_raw(*raw))?
            }
        }
        write!(f, "; {}", self.cure())
    }
}

impl std::error::Error for GpuError {}

impl From<GpuError> for Error {
    fn from(error: GpuError) -> Error {
        match &error {
            GpuError::Argument(_) => Error::InvalidArgument,
            GpuError::Layout(why) => why.error(),
            GpuError::NoLoader(_) | GpuError::NoDevice(_) | GpuError::Unsupported(_) => {
                Error::InvalidDestinationType
            }
            GpuError::Call(..) if error.is_out_of_memory() => Error::Os(libc::ENOMEM),
            GpuError::Call(..) if error.is_device_lost() => Error::DeviceLost,
            GpuError::Call(..) => Error::Os(libc::EIO),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_names_the_call_the_result_and_a_cure() {
        let error = GpuError::call("vkQueueSubmit", vk::Result::ERROR_DEVICE_LOST);
        let text = error.to_string();
        assert!(text.contains("vkQueueSubmit"), "{text}");
        assert!(text.contains("ERROR_DEVICE_LOST"), "{text}");
        assert!(text.contains("create a new device"), "{text}");
        assert_eq!(Error::from(error), Error::DeviceLost);
    }
}
