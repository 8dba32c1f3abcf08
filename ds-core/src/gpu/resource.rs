//! The objects that requests name: `GpuDevice`, `GpuBuffer`, and the part of one that a request fills.
//!
//! Owns what validation must know of a resource: its device, its size, what it may be used for, and who
//! owns it. Everything is checked when a request is enqueued; nothing here touches the GPU, but for
//! [`GpuBuffer::read`].

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use ash::vk::{self, Handle as _};

use crate::error::Error;
use crate::handle::{Handle, shared_handle};
use crate::memory::Span;

use super::commands::Commands;
use super::device::{BorrowedDevice, Device, DeviceOptions};
use super::error::GpuError;
use super::image::ImageRegion;
use super::image_resource::GpuImage;
use super::memory::{Buffer, Place};
use super::probe::Caps;

/// A GPU that queues can reach: one of our own, or the application's. Clones are the same device.
///
/// Any thread may use it. It stays open until the last clone, the last queue with it and the last of
/// its resources are gone.
#[derive(Clone, Debug)]
pub struct GpuDevice(Arc<Device>);

shared_handle!(GpuDevice, Device);
shared_handle!(GpuBuffer, GpuBufferCore);

impl From<Arc<Device>> for GpuDevice {
    fn from(device: Arc<Device>) -> GpuDevice {
        GpuDevice(device)
    }
}

impl GpuDevice {
    /// Opens a device of our own.
    ///
    /// # Errors
    /// [`GpuError`]: there is no loader, no such device, or it lacks something.
    pub fn open(options: &DeviceOptions) -> Result<GpuDevice, GpuError> {
        Device::open(options).map(GpuDevice)
    }

    /// The device of [`crate::Config::gpu_device`].
    pub(crate) fn open_for(name: &str) -> Result<GpuDevice, (Error, String)> {
        let options = DeviceOptions {
            device: name.to_owned(),
            ..DeviceOptions::default()
        };
        GpuDevice::open(&options).map_err(|error| {
            let why = error.to_string();
            (error.into(), why)
        })
    }

    /// Uses the application's device and queues.
    ///
    /// # Errors
    /// [`GpuError`]: a handle is NULL, or the device lacks something.
    ///
    /// # Safety
    /// The handles are live and belong together, the features were enabled as said, and all of it stays
    /// so until the result, its clones, the queues that were made with it and its resources are gone.
    /// Without a lock, nobody else submits to these queues.
    pub unsafe fn borrow(borrowed: BorrowedDevice) -> Result<GpuDevice, GpuError> {
        // SAFETY: the caller's promise, word for word.
        unsafe { Device::borrow(borrowed) }.map(GpuDevice)
    }

    /// What it can do.
    pub fn caps(&self) -> &Caps {
        self.0.caps()
    }

    /// The device's name, as the driver gives it.
    pub fn name(&self) -> &str {
        &self.caps().name
    }

    /// Whether the device is gone; nothing on it completes any more.
    pub fn is_lost(&self) -> bool {
        self.0.is_lost()
    }

    /// The device below.
    pub fn device(&self) -> &Arc<Device> {
        &self.0
    }

    pub(crate) fn is_same(&self, other: &GpuDevice) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Makes a buffer of `bytes` bytes in the device's memory, which requests can fill, and decoders
    /// write where the device can.
    ///
    /// # Errors
    /// [`GpuError`]: 0 bytes, more than a buffer can have, or no memory left.
    pub fn create_buffer(&self, bytes: u64) -> Result<GpuBuffer, GpuError> {
        let buffer = Buffer::new(&self.0, Place::Device, bytes)?;
        let core = GpuBufferCore {
            raw: buffer.raw(),
            bytes,
            address: buffer.address(),
            takes_copies: true,
            gives_copies: true,
            family: None,
            memory: Some(buffer),
            device: self.clone(),
        };
        Ok(GpuBuffer(Arc::new(core)))
    }

    /// Names a buffer of the application's.
    ///
    /// # Errors
    /// [`GpuError::Argument`]: the handle is NULL, or the size is 0.
    ///
    /// # Safety
    /// `desc` describes a live buffer of this device, bound to memory, which stays so until the result
    /// is gone and every request with it has completed.
    pub unsafe fn import_buffer(&self, desc: &BufferDesc) -> Result<GpuBuffer, GpuError> {
        if desc.buffer == 0 || desc.bytes == 0 {
            return Err(GpuError::Argument("a buffer that is NULL or has 0 bytes"));
        }
        let raw = vk::Buffer::from_raw(desc.buffer);
        let usage = vk::BufferUsageFlags::from_raw(desc.usage);
        let addressed = usage.contains(vk::BufferUsageFlags::SHADER_DEVICE_ADDRESS)
            && self.caps().buffer_device_address;
        let address = if addressed {
            let info = vk::BufferDeviceAddressInfo::default().buffer(raw);
            // SAFETY: the feature is enabled, and by the caller's promise the buffer is bound and has
            // the usage for it.
            unsafe { self.0.raw().get_buffer_device_address(&info) }
        } else {
            0
        };
        let family = desc
            .queue_family
            .filter(|&family| family != self.caps().queue_family);
        Ok(GpuBuffer(Arc::new(GpuBufferCore {
            raw,
            bytes: desc.bytes,
            address,
            takes_copies: usage.contains(vk::BufferUsageFlags::TRANSFER_DST),
            gives_copies: usage.contains(vk::BufferUsageFlags::TRANSFER_SRC),
            family,
            memory: None,
            device: self.clone(),
        })))
    }
}

/// A buffer of the application's.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BufferDesc {
    /// The `VkBuffer`.
    pub buffer: u64,
    /// Its size in bytes.
    pub bytes: u64,
    /// The `VkBufferUsageFlags` it was made with. `TRANSFER_DST` is needed, or `TRANSFER_SRC` for a source;
    /// with
    /// `SHADER_DEVICE_ADDRESS` tiles are decoded in place.
    pub usage: u32,
    /// The queue family that owns the buffer and gets it back after each request, for a buffer of
    /// `VK_SHARING_MODE_EXCLUSIVE` that another family uses. The application releases it to our
    /// family ([`Caps::queue_family`]) before the request and acquires it from there afterwards, over
    /// the range of the request. `None` if nobody else uses it, and for a concurrent one.
    pub queue_family: Option<u32>,
}

/// A buffer of a device, as a destination. Clones are the same buffer.
#[derive(Clone, Debug)]
pub struct GpuBuffer(Arc<GpuBufferCore>);

/// The shared part of a [`GpuBuffer`]; opaque, for its address.
pub struct GpuBufferCore {
    raw: vk::Buffer,
    bytes: u64,
    address: u64,
    /// It was made to be copied to.
    takes_copies: bool,
    /// It was made to be copied from.
    gives_copies: bool,
    family: Option<u32>,
    /// Ours; `None` for the application's.
    memory: Option<Buffer>,
    device: GpuDevice,
}

impl fmt::Debug for GpuBufferCore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let GpuBufferCore { raw, bytes, .. } = self;
        write!(f, "{raw:?} of {bytes} bytes on {}", self.device.name())
    }
}

impl GpuBuffer {
    /// The size in bytes.
    pub fn bytes(&self) -> u64 {
        self.0.bytes
    }

    /// The `VkBuffer`.
    pub fn raw_handle(&self) -> u64 {
        self.0.raw.as_raw()
    }

    /// The address that shaders use; 0 if it has none.
    pub fn address(&self) -> u64 {
        self.0.address
    }

    /// Its device.
    pub fn device(&self) -> &GpuDevice {
        &self.0.device
    }

    pub(super) fn raw(&self) -> vk::Buffer {
        self.0.raw
    }

    /// The family that owns it, if that is another than ours.
    pub(super) fn family(&self) -> Option<u32> {
        self.0.family
    }

    /// The whole of it, or a part, as a destination.
    pub fn range(&self, offset: u64, bytes: u32) -> GpuDestination {
        GpuDestination::Buffer {
            buffer: self.clone(),
            offset,
            bytes,
        }
    }

    /// Reads back what is at `offset`, by a copy that this thread waits for; for tests and tools. Buffers
    /// of our own only, with no request to that range in flight.
    ///
    /// # Errors
    /// [`GpuError`]: the range is not in the buffer, the buffer is not ours, or the GPU failed.
    pub fn read(&self, offset: u64, bytes: &mut [u8]) -> Result<(), GpuError> {
        let memory = self.0.memory.as_ref();
        let memory = memory.ok_or(GpuError::Argument("not a buffer of ours"))?;
        let device = self.device().device();
        let back = Buffer::new(device, Place::Readback, bytes.len() as u64)?;
        let mut commands = Commands::new(device)?;
        commands.copy((memory, offset), (&back, 0), bytes.len() as u64)?;
        back.read(0, bytes)
    }

    /// Fills it with a word, as [`GpuBuffer::read`] reads.
    ///
    /// # Errors
    /// As [`GpuBuffer::read`].
    pub fn fill(&self, word: u32) -> Result<(), GpuError> {
        let memory = self.0.memory.as_ref();
        let memory = memory.ok_or(GpuError::Argument("not a buffer of ours"))?;
        let whole = self.bytes() & !3;
        Commands::new(self.device().device())?.fill(memory, 0, whole, word)
    }
}

/// The part of a GPU resource that a request fills.
#[derive(Clone, Debug)]
pub enum GpuDestination {
    /// Bytes of a buffer.
    Buffer {
        /// The buffer.
        buffer: GpuBuffer,
        /// From where, in bytes; any alignment.
        offset: u64,
        /// How many bytes.
        bytes: u32,
    },
    /// A region of an image; see [`super::ImageDesc`].
    Image {
        /// The image.
        image: GpuImage,
        /// The region.
        region: ImageRegion,
        /// The payload's size.
        bytes: u32,
    },
}

impl GpuDestination {
    /// Its size in bytes.
    pub fn bytes(&self) -> usize {
        match self {
            GpuDestination::Buffer { bytes, .. } | GpuDestination::Image { bytes, .. } => {
                *bytes as usize
            }
        }
    }

    /// Requests with the same number are to be carried out on the same queue.
    pub(super) fn affinity(&self) -> Option<u64> {
        match self {
            GpuDestination::Buffer { .. } => None,
            GpuDestination::Image { image, .. } => Some(image.raw_handle()),
        }
    }

    /// Whether a queue with `device` can fill it.
    pub(crate) fn check(&self, device: &GpuDevice) -> Result<(), Error> {
        match self.refusal(device, false) {
            None => Ok(()),
            Some(_) => Err(Error::InvalidArgument),
        }
    }

    /// Whether a queue with `device` can write it to a file.
    pub(crate) fn check_source(&self, device: &GpuDevice) -> Result<(), Error> {
        match (self, self.refusal(device, true)) {
            (GpuDestination::Image { .. }, _) => Err(Error::InvalidSourceType),
            (_, Some(_)) => Err(Error::InvalidArgument),
            (_, None) => Ok(()),
        }
    }

    /// Why not, in words.
    pub(crate) fn complaint(&self, device: &GpuDevice) -> Option<String> {
        self.refusal(device, false)
            .map(|why| format!("{}: {why}", self.info()))
    }

    fn refusal(&self, device: &GpuDevice, is_source: bool) -> Option<Cow<'static, str>> {
        let why = match self {
            GpuDestination::Buffer {
                buffer,
                offset,
                bytes,
            } => {
                let end = offset.checked_add(u64::from(*bytes));
                if !buffer.device().is_same(device) {
                    "the buffer is of another device than the queue"
                } else if end.is_none_or(|end| end > buffer.bytes()) {
                    "the range is not inside the buffer"
                } else if is_source && !buffer.0.gives_copies {
                    "the buffer was made without VK_BUFFER_USAGE_TRANSFER_SRC_BIT"
                } else if !is_source && !buffer.0.takes_copies {
                    "the buffer was made without VK_BUFFER_USAGE_TRANSFER_DST_BIT"
                } else {
                    return None;
                }
            }
            GpuDestination::Image {
                image,
                region,
                bytes,
            } => {
                if image.device().is_same(device) {
                    let check = image.part(*region).check(u64::from(*bytes));
                    return check.err().map(|why| why.to_string().into());
                }
                "the image is of another device than the queue"
            }
        };
        Some(why.into())
    }

    /// The address where a decoder may write all of it, if it may.
    pub(super) fn decode_address(&self) -> Option<u64> {
        match self {
            GpuDestination::Buffer { buffer, offset, .. } => {
                let address = buffer.address().checked_add(*offset)?;
                let in_place = buffer.address() != 0 && buffer.family().is_none();
                in_place.then_some(address)
            }
            GpuDestination::Image { .. } => None,
        }
    }

    pub(crate) fn info(&self) -> GpuPlaceInfo {
        match self {
            GpuDestination::Buffer {
                buffer,
                offset,
                bytes,
            } => GpuPlaceInfo::Buffer {
                raw: buffer.as_raw().addr(),
                offset: *offset,
                bytes: *bytes,
            },
            GpuDestination::Image {
                image,
                region,
                bytes,
            } => GpuPlaceInfo::Image {
                raw: image.as_raw().addr(),
                region: *region,
                bytes: *bytes,
            },
        }
    }
}

/// Part of a GPU resource, as error records and logs name it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum GpuPlaceInfo {
    /// Bytes of a buffer.
    Buffer {
        /// Which buffer object: the address of [`GpuBuffer`]'s [`Handle::as_raw`].
        raw: usize,
        /// Offset in bytes.
        offset: u64,
        /// Size in bytes.
        bytes: u32,
    },
    /// A region of an image.
    Image {
        /// Which image object: the address of [`GpuImage`]'s [`Handle::as_raw`].
        raw: usize,
        /// The region.
        region: ImageRegion,
        /// Size of the payload in bytes.
        bytes: u32,
    },
}

impl fmt::Display for GpuPlaceInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            GpuPlaceInfo::Buffer { raw, offset, bytes } => {
                write!(f, "{bytes} bytes at {offset} of GPU buffer {raw:#x}")
            }
            GpuPlaceInfo::Image { raw, region, bytes } => {
                write!(f, "{bytes} bytes for {region:?} of GPU image {raw:#x}")
            }
        }
    }
}

/// Memory of a device's staging pool: the host and the device see it.
pub(crate) struct SharedMemory {
    buffer: Buffer,
}

impl fmt::Debug for SharedMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.buffer.bytes())
    }
}

impl SharedMemory {
    /// Takes `bytes` bytes (not 0) of memory.
    pub(crate) fn new(device: &GpuDevice, bytes: usize) -> Result<SharedMemory, Error> {
        let buffer = Buffer::new(device.device(), Place::Staging, bytes as u64);
        let buffer = buffer.inspect_err(|error| {
            log::warn!(target: "ds", "no staging of {bytes} bytes on {}: {error}", device.name());
        })?;
        Ok(SharedMemory { buffer })
    }

    /// The bytes `offset..offset + bytes`, which must lie inside.
    pub(crate) fn span(&self, offset: usize, bytes: usize) -> Span {
        let end = offset.checked_add(bytes);
        assert!(
            end.is_some_and(|end| end as u64 <= self.buffer.bytes()),
            "staging range outside its buffer"
        );
        let mapping = self.buffer.mapping().expect("staging is mapped");
        // SAFETY: inside the mapping, as asserted.
        let start = unsafe { mapping.add(offset) };
        // SAFETY: the mapping outlives its ranges (staging.rs frees it only with none handed out), and
        // the allocator there hands each byte to one owner at a time.
        unsafe { Span::new(start.as_ptr(), bytes) }
    }

    pub(super) fn buffer(&self) -> &Buffer {
        &self.buffer
    }
}
