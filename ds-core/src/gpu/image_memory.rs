//! Images with memory of their own: what `Buffer` is for buffers.
//!
//! Applications bring their own images; this one is for programs that have no renderer: tests, tools
//! and examples. It fills and reads images by itself too, one at a time, waiting for each.

use std::sync::Arc;

use ash::vk::{self, Handle};

use super::commands::{Commands, Recorder};
use super::copy::{Copies, Produced, Slice, extent_of, layers};
use super::device::Device;
use super::error::GpuError;
use super::image::{ImageDesc, ImageFacts, ImagePart, ImageRegion, ImageState};
use super::layout::{ImageKind, LayoutError, SUBRESOURCE_ALIGNMENT};
use super::memory::{Buffer, Place};

/// An image with optimal tiling in device memory, for copies in both directions and for sampling.
pub struct Image {
    raw: vk::Image,
    memory: vk::DeviceMemory,
    desc: ImageDesc,
    device: Arc<Device>,
}

impl Image {
    /// Makes the image that `desc` describes; its `image` is ignored, its states are kept as what
    /// [`Image::desc`] says. What the image holds at first is undefined.
    ///
    /// # Errors
    /// What is wrong with the description, what the device cannot do, or that memory ran out.
    pub fn new(device: &Arc<Device>, desc: &ImageDesc) -> Result<Image, GpuError> {
        // Any handle will do for the other checks.
        ImageFacts::new(&ImageDesc { image: 1, ..*desc }).map_err(refused)?;
        let info = create_info(desc);
        check_support(device, &info)?;
        // SAFETY: a description without contradictions, of a format, extents and usages that the
        // device says it supports.
        let raw = unsafe { device.raw().create_image(&info, None) };
        let raw = device.check("vkCreateImage", raw)?;
        let mut image = Image {
            raw,
            memory: vk::DeviceMemory::null(),
            desc: ImageDesc {
                image: raw.as_raw(),
                ..*desc
            },
            device: Arc::clone(device),
        };
        // From here on dropping `image` undoes whatever was done.
        image.allocate()?;
        Ok(image)
    }

    fn allocate(&mut self) -> Result<(), GpuError> {
        const CALL: &str = "vkAllocateMemory";
        let device = &self.device;
        // SAFETY: a live image of this device.
        let needs = unsafe { device.raw().get_image_memory_requirements(self.raw) };
        let types = device.memory_types();
        let kind = types.choose(Place::Device, needs.memory_type_bits);
        let kind = kind.ok_or_else(|| GpuError::Unsupported("memory for images".into()))?;
        if !device.may_allocate() {
            return Err(GpuError::call(CALL, vk::Result::ERROR_OUT_OF_DEVICE_MEMORY));
        }
        let info = vk::MemoryAllocateInfo::default()
            .allocation_size(needs.size)
            .memory_type_index(kind);
        // SAFETY: a type of this device that suits the image; the size is what it asked for.
        let memory = unsafe { device.raw().allocate_memory(&info, None) };
        self.memory = device.check(CALL, memory)?;
        // SAFETY: fresh memory of a suitable type and size; the image has none yet.
        let bound = unsafe { device.raw().bind_image_memory(self.raw, self.memory, 0) };
        device.check("vkBindImageMemory", bound)
    }

    /// Its description, with the handle: what makes it a destination for requests.
    pub fn desc(&self) -> ImageDesc {
        self.desc
    }

    /// Brings all of it from nothing into `state`'s layout, and waits.
    ///
    /// # Errors
    /// What the device answered.
    pub(super) fn settle(
        &mut self,
        commands: &mut Commands,
        state: ImageState,
    ) -> Result<(), GpuError> {
        let all = vk::ImageSubresourceRange::default()
            .aspect_mask(vk::ImageAspectFlags::COLOR)
            .level_count(vk::REMAINING_MIP_LEVELS)
            .layer_count(vk::REMAINING_ARRAY_LAYERS);
        let layout = vk::ImageLayout::from_raw(state.layout);
        commands.run(|recorder| {
            self.transition(recorder, all, vk::ImageLayout::UNDEFINED, layout);
            Ok(())
        })
    }

    /// Copies a payload of `bytes` bytes into a region, from `before` to `after`, and waits.
    ///
    /// # Errors
    /// A region, size or layout that does not fit, or what the device answered.
    ///
    /// # Safety
    /// The subresources of the region are in the layout that `before` names, nothing else uses them,
    /// and no request that is in flight names the image.
    pub unsafe fn upload(
        &mut self,
        commands: &mut Commands,
        source: (&Buffer, u64),
        bytes: u64,
        region: ImageRegion,
        before: ImageState,
        after: ImageState,
    ) -> Result<(), GpuError> {
        let desc = ImageDesc {
            before,
            after,
            ..self.desc
        };
        let image = ImageFacts::new(&desc).map_err(refused)?;
        let destination = ImagePart { image, region };
        destination.check(bytes).map_err(refused)?;
        check_range(source, bytes)?;
        let from = Slice {
            buffer: source.0.raw(),
            offset: source.1,
        };
        let mut copies = Copies::new(self.device.caps().queue_family);
        copies.push_image(from, &destination).map_err(refused)?;
        let scratch = match copies.scratch_bytes() {
            0 => None,
            bytes => Some(Buffer::new(&self.device, Place::Device, bytes)?),
        };
        let scratch_raw = scratch.as_ref().map_or(vk::Buffer::null(), Buffer::raw);
        commands.run(|recorder| {
            self.check_device(recorder, source.0)?;
            let raw = recorder.device.raw();
            // SAFETY: recording, for the only family that commands are made for; buffers and image
            // are this device's and kept until `run` has waited; the region was checked, the host
            // wrote the payload, and the image is in the layout `before` by the caller's promise.
            unsafe { copies.record(raw, recorder.raw, scratch_raw, Produced::Host) };
            Ok(())
        })
    }

    /// Copies a whole subresource of an image in `state`'s layout, which it stays in, to a buffer,
    /// and waits. The bytes are laid out as a payload, with rows at multiples of 256 bytes; without
    /// padding where that is not a multiple of the texel, as it is of 12 bytes.
    ///
    /// # Errors
    /// A subresource that there is not, a buffer that is too small, an offset that is not a multiple
    /// of 512 and of the texel block's size, or what the device answered.
    ///
    /// # Safety
    /// The subresource is in that layout, nothing else uses it, and no request that is in flight
    /// names the image.
    pub unsafe fn download(
        &self,
        commands: &mut Commands,
        subresource: u32,
        state: ImageState,
        target: (&Buffer, u64),
    ) -> Result<(), GpuError> {
        let image = ImageFacts::new(&self.desc).map_err(refused)?;
        let texture = image.texture();
        let range = texture.range(subresource, Some(1)).map_err(refused)?;
        let piece = texture.subresources(range).next();
        let piece = piece.ok_or_else(|| refused(LayoutError::Empty))?;
        let (at, block) = (piece.footprint, texture.format().block);
        let block_bytes = u64::from(block.bytes);
        // A pitch that texels do not divide has no name in Vulkan.
        let pitch = if at.row_pitch.is_multiple_of(block_bytes) {
            at.row_pitch
        } else {
            at.row_bytes
        };
        if !target.1.is_multiple_of(SUBRESOURCE_ALIGNMENT) || !target.1.is_multiple_of(block_bytes)
        {
            return Err(GpuError::Argument("a download to an odd place"));
        }
        check_range(target, at.end())?;
        let texels = |blocks: u64, unit: u8| blocks as u32 * u32::from(unit);
        let region = vk::BufferImageCopy::default()
            .buffer_offset(target.1)
            .buffer_row_length(texels(pitch / block_bytes, block.width))
            .buffer_image_height(texels(at.rows, block.height))
            .image_subresource(layers(piece.mip, piece.layer))
            .image_extent(extent_of(&piece));
        let layout = vk::ImageLayout::from_raw(state.layout);
        let range = vk::ImageSubresourceRange::default()
            .aspect_mask(vk::ImageAspectFlags::COLOR)
            .base_mip_level(piece.mip)
            .level_count(1)
            .base_array_layer(piece.layer)
            .layer_count(1);
        commands.run(|recorder| {
            self.check_device(recorder, target.0)?;
            let source_layout = vk::ImageLayout::TRANSFER_SRC_OPTIMAL;
            self.transition(recorder, range, layout, source_layout);
            let (device, buffer) = (recorder.device.raw(), target.0.raw());
            let regions = [region];
            // SAFETY: recording; the whole of a subresource that was put in this layout, into a
            // range of the buffer that was checked, at multiples of the texel block.
            unsafe {
                device.cmd_copy_image_to_buffer(
                    recorder.raw,
                    self.raw,
                    source_layout,
                    buffer,
                    &regions,
                )
            };
            self.transition(recorder, range, source_layout, layout);
            Ok(())
        })
    }

    /// Brings subresources from one layout into another; they are in the first by the promise of
    /// [`Image::download`]'s caller, or hold nothing yet.
    fn transition(
        &self,
        recorder: &Recorder<'_>,
        range: vk::ImageSubresourceRange,
        old: vk::ImageLayout,
        new: vk::ImageLayout,
    ) {
        let accesses = vk::AccessFlags::MEMORY_READ | vk::AccessFlags::MEMORY_WRITE;
        let barriers = [vk::ImageMemoryBarrier::default()
            .image(self.raw)
            .subresource_range(range)
            .old_layout(old)
            .new_layout(new)
            .src_access_mask(accesses)
            .dst_access_mask(accesses)
            .src_queue_family_index(vk::QUEUE_FAMILY_IGNORED)
            .dst_queue_family_index(vk::QUEUE_FAMILY_IGNORED)];
        let stages = vk::PipelineStageFlags::ALL_COMMANDS;
        let flags = vk::DependencyFlags::empty();
        let device = recorder.device.raw();
        // SAFETY: recording, outside a render pass; subresources of an image whose usages
        // allow both layouts.
        unsafe {
            device.cmd_pipeline_barrier(recorder.raw, stages, stages, flags, &[], &[], &barriers)
        };
    }

    fn check_device(&self, recorder: &Recorder<'_>, buffer: &Buffer) -> Result<(), GpuError> {
        let ours: *const Device = Arc::as_ptr(&self.device);
        if std::ptr::eq(recorder.device, ours) && Arc::as_ptr(buffer.device()) == ours {
            Ok(())
        } else {
            Err(GpuError::Argument(
                "image, buffer and commands of different devices",
            ))
        }
    }
}

impl Drop for Image {
    fn drop(&mut self) {
        let device = self.device.raw();
        // SAFETY: ours alone; whoever submitted work with it keeps it until that work is done.
        unsafe { device.destroy_image(self.raw, None) };
        // SAFETY: the only image in it is gone.
        unsafe { device.free_memory(self.memory, None) };
    }
}

fn refused(why: LayoutError) -> GpuError {
    GpuError::Layout(why)
}

fn check_range((buffer, offset): (&Buffer, u64), bytes: u64) -> Result<(), GpuError> {
    match offset.checked_add(bytes) {
        Some(end) if end <= buffer.bytes() => Ok(()),
        _ => Err(GpuError::Argument("a range outside its buffer")),
    }
}

fn create_info(desc: &ImageDesc) -> vk::ImageCreateInfo<'static> {
    let kind = match desc.kind {
        ImageKind::D1 => vk::ImageType::TYPE_1D,
        ImageKind::D2 => vk::ImageType::TYPE_2D,
        ImageKind::D3 => vk::ImageType::TYPE_3D,
    };
    vk::ImageCreateInfo::default()
        .image_type(kind)
        .format(vk::Format::from_raw(desc.format))
        .extent(vk::Extent3D {
            width: desc.width,
            height: desc.height,
            depth: desc.depth,
        })
        .mip_levels(desc.mip_levels)
        .array_layers(desc.array_layers)
        .samples(vk::SampleCountFlags::TYPE_1)
        .tiling(vk::ImageTiling::OPTIMAL)
        .usage(
            vk::ImageUsageFlags::TRANSFER_SRC
                | vk::ImageUsageFlags::TRANSFER_DST
                | vk::ImageUsageFlags::SAMPLED,
        )
        .sharing_mode(vk::SharingMode::EXCLUSIVE)
        .initial_layout(vk::ImageLayout::UNDEFINED)
}

/// Whether the device can have such an image; without this the driver may do anything.
fn check_support(device: &Device, info: &vk::ImageCreateInfo<'_>) -> Result<(), GpuError> {
    let instance = device.instance();
    // SAFETY: a device of this live instance, and enums that Vulkan knows.
    let found = unsafe {
        instance.get_physical_device_image_format_properties(
            device.physical(),
            info.format,
            info.image_type,
            info.tiling,
            info.usage,
            info.flags,
        )
    };
    let (kind, extent) = (info.image_type.as_raw() + 1, info.extent);
    let shown = || {
        format!(
            "{kind}D images of format {}, {} x {} x {}",
            info.format.as_raw(),
            extent.width,
            extent.height,
            extent.depth
        )
    };
    let limits = match found {
        Err(vk::Result::ERROR_FORMAT_NOT_SUPPORTED) => return Err(GpuError::Unsupported(shown())),
        found => device.check("vkGetPhysicalDeviceImageFormatProperties", found)?,
    };
    let (asked, most) = (extent, limits.max_extent);
    let fits = asked.width <= most.width
        && asked.height <= most.height
        && asked.depth <= most.depth
        && info.mip_levels <= limits.max_mip_levels
        && info.array_layers <= limits.max_array_layers;
    if fits {
        Ok(())
    } else {
        Err(GpuError::Unsupported(shown()))
    }
}
