//! Buffers: device memory, and memory that both sides see.
//!
//! Owns which kind of memory each purpose takes. Compressed input must not land in device memory
//! that the host merely sees through a window: the kernel refuses direct reads into it, and the
//! decoder would compete with the bus. So staging is system memory, cached for the host.

use std::ptr::NonNull;
use std::sync::Arc;

use ash::vk;

use super::device::Device;
use super::error::GpuError;

/// What a buffer is for, which decides the memory it is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// The device's own memory; the host cannot see it.
    Device,
    /// System memory, mapped and cached: files are read into it, the device reads it.
    Staging,
    /// The same, for what the device writes and the host reads.
    Readback,
}

/// The memory types of a device, and which one each place takes.
pub(super) struct MemoryTypes {
    types: Vec<vk::MemoryPropertyFlags>,
}

impl MemoryTypes {
    pub(super) fn new(instance: &ash::Instance, device: vk::PhysicalDevice) -> MemoryTypes {
        // SAFETY: a device of this live instance.
        let memory = unsafe { instance.get_physical_device_memory_properties(device) };
        let types = memory.memory_types_as_slice();
        MemoryTypes {
            types: types.iter().map(|kind| kind.property_flags).collect(),
        }
    }

    /// The best type for `place` among those that `allowed` has a bit for.
    pub(super) fn choose(&self, place: Place, allowed: u32) -> Option<u32> {
        use vk::MemoryPropertyFlags as Flags;
        let host = Flags::HOST_VISIBLE | Flags::HOST_COHERENT;
        // Each step: what the type must have, what it must lack.
        let steps: &[(Flags, Flags)] = match place {
            Place::Device => &[
                (Flags::DEVICE_LOCAL, Flags::HOST_VISIBLE),
                (Flags::DEVICE_LOCAL, Flags::empty()),
                (Flags::empty(), Flags::empty()),
            ],
            Place::Staging | Place::Readback => &[
                (host | Flags::HOST_CACHED, Flags::DEVICE_LOCAL),
                (host, Flags::DEVICE_LOCAL),
                // One kind of memory for everything: integrated and software devices.
                (host | Flags::HOST_CACHED, Flags::empty()),
                (host, Flags::empty()),
            ],
        };
        // Types for special purposes, which ordinary buffers must not take.
        let special = Flags::PROTECTED | Flags::LAZILY_ALLOCATED | Flags::DEVICE_COHERENT_AMD;
        let fits = |index: &u32, must: Flags, lacks: Flags| {
            let flags = self.types[*index as usize];
            allowed >> index & 1 == 1 && flags.contains(must) && !flags.intersects(lacks | special)
        };
        let indices = 0..self.types.len().min(32) as u32;
        steps.iter().find_map(|(must, lacks)| {
            let mut indices = indices.clone();
            indices.find(|index| fits(index, *must, *lacks))
        })
    }
}

/// A buffer with memory of its own.
pub struct Buffer {
    raw: vk::Buffer,
    memory: vk::DeviceMemory,
    bytes: u64,
    address: u64,
    mapping: Option<NonNull<u8>>,
    device: Arc<Device>,
}

// SAFETY: the mapping is plain memory, valid in every thread until the buffer is dropped; writing it
// takes `&mut self`.
unsafe impl Send for Buffer {}
// SAFETY: as above; `&self` only reads.
unsafe impl Sync for Buffer {}

impl Buffer {
    /// Makes a buffer of `bytes` bytes, usable for copies, shaders and indirect commands. What it
    /// holds at first is unspecified.
    pub fn new(device: &Arc<Device>, place: Place, bytes: u64) -> Result<Buffer, GpuError> {
        if bytes == 0 {
            return Err(GpuError::Argument("a buffer of 0 bytes"));
        }
        if bytes > device.caps().buffer_bytes_max {
            return Err(GpuError::call(
                "vkCreateBuffer",
                vk::Result::ERROR_OUT_OF_DEVICE_MEMORY,
            ));
        }
        let mut buffer = Buffer {
            raw: create(device, bytes)?,
            memory: vk::DeviceMemory::null(),
            bytes,
            address: 0,
            mapping: None,
            device: Arc::clone(device),
        };
        // From here on dropping `buffer` undoes whatever was done.
        buffer.allocate(place)?;
        if place != Place::Device {
            buffer.map()?;
        }
        if device.caps().buffer_device_address {
            let info = vk::BufferDeviceAddressInfo::default().buffer(buffer.raw);
            // SAFETY: the feature is enabled and the buffer, bound, has the usage for it.
            buffer.address = unsafe { device.raw().get_buffer_device_address(&info) };
        }
        Ok(buffer)
    }

    fn allocate(&mut self, place: Place) -> Result<(), GpuError> {
        const CALL: &str = "vkAllocateMemory";
        let device = &self.device;
        // SAFETY: a live buffer of this device.
        let needs = unsafe { device.raw().get_buffer_memory_requirements(self.raw) };
        let kind = device.memory_types().choose(place, needs.memory_type_bits);
        let kind = kind.ok_or_else(|| GpuError::Unsupported(format!("memory for {place:?}")))?;
        if !device.may_allocate() {
            return Err(GpuError::call(CALL, vk::Result::ERROR_OUT_OF_DEVICE_MEMORY));
        }
        let mut flags = vk::MemoryAllocateFlagsInfo::default();
        let mut info = vk::MemoryAllocateInfo::default()
            .allocation_size(needs.size)
            .memory_type_index(kind);
        if device.caps().buffer_device_address {
            flags = flags.flags(vk::MemoryAllocateFlags::DEVICE_ADDRESS);
            info = info.push_next(&mut flags);
        }
        // SAFETY: a type of this device that suits the buffer; the size is what it asked for.
        let memory = unsafe { device.raw().allocate_memory(&info, None) };
        self.memory = device.check(CALL, memory)?;
        // SAFETY: fresh memory of a suitable type and size; the buffer has none yet.
        let bound = unsafe { device.raw().bind_buffer_memory(self.raw, self.memory, 0) };
        device.check("vkBindBufferMemory", bound)
    }

    fn map(&mut self) -> Result<(), GpuError> {
        let flags = vk::MemoryMapFlags::empty();
        let whole = vk::WHOLE_SIZE;
        // SAFETY: host-visible memory, not mapped yet; freeing it unmaps it.
        let mapping = unsafe { self.device.raw().map_memory(self.memory, 0, whole, flags) };
        let mapping = self.device.check("vkMapMemory", mapping)?;
        self.mapping = NonNull::new(mapping.cast());
        Ok(())
    }

    /// The size in bytes.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The address that shaders use; 0 where buffers have none.
    pub fn address(&self) -> u64 {
        self.address
    }

    /// The device it belongs to.
    pub fn device(&self) -> &Arc<Device> {
        &self.device
    }

    /// Where the host sees it: `bytes()` bytes, for as long as the buffer lives.
    pub fn mapping(&self) -> Option<NonNull<u8>> {
        self.mapping
    }

    pub(super) fn raw(&self) -> vk::Buffer {
        self.raw
    }

    /// Copies `bytes` to `offset`. The device must not be using that range.
    pub fn write(&mut self, offset: u64, bytes: &[u8]) -> Result<(), GpuError> {
        let target = self.range(offset, bytes.len())?;
        // SAFETY: `range` saw that so many bytes from there are inside the mapping; a slice of the
        // program's cannot overlap memory that only this buffer owns.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), target.as_ptr(), bytes.len()) };
        Ok(())
    }

    /// Copies what is at `offset` to `bytes`. The device must not be writing that range.
    pub fn read(&self, offset: u64, bytes: &mut [u8]) -> Result<(), GpuError> {
        let source = self.range(offset, bytes.len())?;
        // SAFETY: as in `write`, the other way round.
        unsafe { std::ptr::copy_nonoverlapping(source.as_ptr(), bytes.as_mut_ptr(), bytes.len()) };
        Ok(())
    }

    fn range(&self, offset: u64, bytes: usize) -> Result<NonNull<u8>, GpuError> {
        let mapping = self.mapping;
        let mapping = mapping.ok_or(GpuError::Argument("the host cannot see this buffer"))?;
        match offset.checked_add(bytes as u64) {
            Some(end) if end <= self.bytes => {
                // SAFETY: inside one allocation, mapped whole.
                Ok(unsafe { mapping.add(offset as usize) })
            }
            _ => Err(GpuError::Argument("a range outside its buffer")),
        }
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let device = self.device.raw();
        // SAFETY: ours alone; whoever submitted work with it keeps it until that work is done.
        unsafe { device.destroy_buffer(self.raw, None) };
        // SAFETY: the only buffer in it is gone; freeing also unmaps.
        unsafe { device.free_memory(self.memory, None) };
    }
}

fn create(device: &Device, bytes: u64) -> Result<vk::Buffer, GpuError> {
    let mut usage = vk::BufferUsageFlags::TRANSFER_SRC
        | vk::BufferUsageFlags::TRANSFER_DST
        | vk::BufferUsageFlags::STORAGE_BUFFER
        | vk::BufferUsageFlags::INDIRECT_BUFFER;
    if device.caps().buffer_device_address {
        usage |= vk::BufferUsageFlags::SHADER_DEVICE_ADDRESS;
    }
    let info = vk::BufferCreateInfo::default()
        .size(bytes)
        .usage(usage)
        .sharing_mode(vk::SharingMode::EXCLUSIVE);
    // SAFETY: a size above 0 and within the device's limit, usages whose features are enabled.
    let buffer = unsafe { device.raw().create_buffer(&info, None) };
    device.check("vkCreateBuffer", buffer)
}

#[cfg(test)]
mod tests {
    use super::*;
    use vk::MemoryPropertyFlags as Flags;

    #[test]
    fn staging_is_never_in_a_window_on_device_memory_if_there_is_other() {
        let host = Flags::HOST_VISIBLE | Flags::HOST_COHERENT;
        // As a discrete GPU with a resizable BAR lists them.
        let types = MemoryTypes {
            types: vec![
                Flags::empty(),
                Flags::DEVICE_LOCAL,
                host,
                host | Flags::HOST_CACHED,
                host | Flags::DEVICE_LOCAL,
            ],
        };
        assert_eq!(types.choose(Place::Device, !0), Some(1));
        assert_eq!(types.choose(Place::Staging, !0), Some(3));
        assert_eq!(types.choose(Place::Staging, 0b10110), Some(2));
        assert_eq!(types.choose(Place::Staging, 0b10010), Some(4));
        assert_eq!(types.choose(Place::Readback, 0b00010), None);
    }
}
