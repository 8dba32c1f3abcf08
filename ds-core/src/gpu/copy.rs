//! Recording copies: from staging or scratch into buffers and images, and back from buffers.
//!
//! Owns the lists of one batch's copies and the barriers around them. Copies are pushed in any order,
//! then recorded at once: one barrier, the copies, one barrier, however many requests there are. The
//! lists keep their memory from batch to batch, so after a warm-up nothing is allocated.
//!
//! # Synchronisation
//! - Before: what the host or the decoder wrote is visible to the copies; images come into
//!   TRANSFER_DST_OPTIMAL, each subresource once, and change owners if they must (`image.rs`).
//! - After: what was copied is available to everything, to the host too if it was asked for; images
//!   come into the layout the caller wants them in.
//! - Earlier copies on the same queue are waited for. Batches on other queues are not: whoever
//!   submits sends all work for one image to one queue.
//!
//! # Alignment
//! `vkCmdCopyBufferToImage` wants the buffer's offset to be a multiple of the texel block, and the row
//! pitch too. Neither need be true of a payload: it may begin anywhere in a file, and 256 is no
//! multiple of 12. Such pieces go through scratch memory of the device, where `vkCmdCopyBuffer`, which
//! asks for nothing, lays them out anew. Queues with compute have no transfer granularity of their own
//! (the specification demands (1, 1, 1)), and no colour format is barred from them.

use ash::vk::{self, Handle};

use super::image::{ImagePart, ImageState};
use super::layout::{LayoutError, Piece};

/// A place in a buffer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Slice {
    /// The buffer.
    pub(super) buffer: vk::Buffer,
    /// In bytes.
    pub(super) offset: u64,
}

/// A part of the caller's buffer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct BufferRange {
    /// Where it begins.
    pub(super) at: Slice,
    /// Its size in bytes.
    pub(super) bytes: u64,
    /// The queue family that released it to the engine's, if it was.
    pub(super) acquire: Option<u32>,
    /// The queue family that it is released to, if it is.
    pub(super) release: Option<u32>,
}

/// Who wrote what is copied.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Produced {
    /// The host, or the kernel for it, before the submission, which makes that visible.
    Host,
    /// Commands recorded before, in these stages with these accesses.
    Gpu {
        stages: vk::PipelineStageFlags,
        accesses: vk::AccessFlags,
    },
}

/// A multiple of every texel block's size, from 1 to 32 bytes.
const SCRATCH_ALIGNMENT: u64 = 96;

/// Where a copy into an image reads.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Origin {
    Buffer(vk::Buffer),
    Scratch,
}

/// Copies that one command can make: `len` regions from where the last one's end.
#[derive(Clone, Copy, Debug)]
struct Group<Source, Target> {
    source: Source,
    target: Target,
    len: usize,
}

/// The layout that images are copied in.
const COPIED: vk::ImageLayout = vk::ImageLayout::TRANSFER_DST_OPTIMAL;

/// A subresource of a batch: how it was found, how it is left.
#[derive(Clone, Copy, Debug)]
struct Touched {
    image: u64,
    layer: u32,
    mip: u32,
    /// Which push it was; the first says how it was found, the last how it is left.
    turn: u32,
    before: ImageState,
    after: ImageState,
}

/// The copies of one batch. Made and used on the thread that records.
pub(super) struct Copies {
    family: u32,
    /// Source, target, region.
    to_buffers: Vec<(vk::Buffer, vk::Buffer, vk::BufferCopy)>,
    /// The regions of one command.
    regions: Vec<vk::BufferCopy>,
    to_images: Vec<vk::BufferImageCopy>,
    image_groups: Vec<Group<Origin, vk::Image>>,
    to_scratch: Vec<vk::BufferCopy>,
    scratch_groups: Vec<Group<vk::Buffer, ()>>,
    scratch_bytes: u64,
    touched: Vec<Touched>,
    acquire: Vec<vk::BufferMemoryBarrier<'static>>,
    release: Vec<vk::BufferMemoryBarrier<'static>>,
    image_barriers: Vec<vk::ImageMemoryBarrier<'static>>,
    reads_back: bool,
}

impl Copies {
    /// No copies yet, for queues of `family`.
    pub(super) fn new(family: u32) -> Copies {
        Copies {
            family,
            to_buffers: Vec::new(),
            regions: Vec::new(),
            to_images: Vec::new(),
            image_groups: Vec::new(),
            to_scratch: Vec::new(),
            scratch_groups: Vec::new(),
            scratch_bytes: 0,
            touched: Vec::new(),
            acquire: Vec::new(),
            release: Vec::new(),
            image_barriers: Vec::new(),
            reads_back: false,
        }
    }

    /// Forgets the last batch.
    pub(super) fn clear(&mut self) {
        self.to_buffers.clear();
        self.to_images.clear();
        self.image_groups.clear();
        self.to_scratch.clear();
        self.scratch_groups.clear();
        self.scratch_bytes = 0;
        self.touched.clear();
        self.acquire.clear();
        self.release.clear();
        self.image_barriers.clear();
        self.reads_back = false;
    }

    /// Whether there is nothing to record.
    pub(super) fn is_empty(&self) -> bool {
        self.to_buffers.is_empty() && self.to_images.is_empty()
    }

    /// Copies into a buffer of the caller's. Ranges of one batch must be apart.
    pub(super) fn push_buffer(&mut self, source: Slice, target: &BufferRange) {
        self.push_bytes(source, target.at, target.bytes);
        self.change_owners(target);
    }

    /// Copies out of a buffer of the caller's into memory that the host reads.
    pub(super) fn push_readback(&mut self, source: &BufferRange, target: Slice) {
        self.push_bytes(source.at, target, source.bytes);
        self.change_owners(source);
        self.reads_back = true;
    }

    /// Copies a payload into a region of an image, which was checked for its size.
    ///
    /// # Errors
    /// What is wrong with the region; then nothing was pushed.
    pub(super) fn push_image(
        &mut self,
        source: Slice,
        destination: &ImagePart,
    ) -> Result<(), LayoutError> {
        let image = &destination.image;
        let block = image.texture().format().block;
        let block_bytes = u64::from(block.bytes);
        let target = vk::Image::from_raw(image.image());
        let turn = self.touched.len() as u32;
        for piece in destination.pieces()? {
            let at = piece.footprint;
            let fits = at.row_pitch.is_multiple_of(block_bytes);
            let offset = source.offset + at.offset;
            let (from, offset, row_pitch, slice_pitch) =
                if fits && offset.is_multiple_of(block_bytes) {
                    let from = Origin::Buffer(source.buffer);
                    (from, offset, at.row_pitch, at.slice_pitch)
                } else if fits {
                    let offset = self.move_to_scratch(source.buffer, offset, &piece);
                    (Origin::Scratch, offset, at.row_pitch, at.slice_pitch)
                } else {
                    let offset = self.repack_in_scratch(source.buffer, offset, &piece);
                    (
                        Origin::Scratch,
                        offset,
                        at.row_bytes,
                        at.row_bytes * at.rows,
                    )
                };
            let texels = |blocks: u64, unit: u8| blocks as u32 * u32::from(unit);
            let region = vk::BufferImageCopy::default()
                .buffer_offset(offset)
                .buffer_row_length(texels(row_pitch / block_bytes, block.width))
                .buffer_image_height(texels(slice_pitch / row_pitch, block.height))
                .image_subresource(layers(piece.mip, piece.layer))
                .image_offset(offset_of(&piece))
                .image_extent(extent_of(&piece));
            self.to_images.push(region);
            extend(&mut self.image_groups, from, target);
            self.touch(destination, &piece, turn);
        }
        Ok(())
    }

    /// How much scratch memory [`Copies::record`] needs, in bytes; mostly 0.
    pub(super) fn scratch_bytes(&self) -> u64 {
        self.scratch_bytes
    }

    /// Records everything that was pushed.
    ///
    /// # Safety
    /// `commands` is recording, outside a render pass, for a queue of the family that `new` was told.
    /// Every buffer and image that was pushed belongs to `device`, is alive until the commands have
    /// run, has memory and the usages that copying needs, and is as described; its ranges are inside.
    /// `scratch` has [`Copies::scratch_bytes`] bytes (it may be null if that is 0), for copies from
    /// and to, that only this queue uses. What is read was produced as said.
    pub(super) unsafe fn record(
        &mut self,
        device: &ash::Device,
        commands: vk::CommandBuffer,
        scratch: vk::Buffer,
        produced: Produced,
    ) {
        if self.is_empty() {
            return;
        }
        // In order of subresources, and of the pushes within one.
        self.touched
            .sort_unstable_by_key(|at| (at.image, at.layer, at.mip, at.turn));
        let recorder = Recorder { device, commands };
        self.transitions(true);
        recorder.barrier(&before(produced), &self.acquire, &self.image_barriers);
        self.record_scratch(&recorder, scratch);
        self.record_copies(&recorder, scratch);
        self.transitions(false);
        recorder.barrier(&after(self.reads_back), &self.release, &self.image_barriers);
    }

    fn push_bytes(&mut self, source: Slice, target: Slice, bytes: u64) {
        // Vulkan has no empty copies.
        if bytes == 0 {
            return;
        }
        let region = vk::BufferCopy::default()
            .src_offset(source.offset)
            .dst_offset(target.offset)
            .size(bytes);
        self.to_buffers.push((source.buffer, target.buffer, region));
    }

    fn change_owners(&mut self, range: &BufferRange) {
        if range.bytes == 0 {
            return;
        }
        let barrier = vk::BufferMemoryBarrier::default()
            .buffer(range.at.buffer)
            .offset(range.at.offset)
            .size(range.bytes);
        if let Some(family) = range.acquire.filter(|family| *family != self.family) {
            let accesses = vk::AccessFlags::TRANSFER_READ | vk::AccessFlags::TRANSFER_WRITE;
            self.acquire.push(
                barrier
                    .dst_access_mask(accesses)
                    .src_queue_family_index(family)
                    .dst_queue_family_index(self.family),
            );
        }
        if let Some(family) = range.release.filter(|family| *family != self.family) {
            self.release.push(
                barrier
                    .src_access_mask(vk::AccessFlags::TRANSFER_WRITE)
                    .src_queue_family_index(self.family)
                    .dst_queue_family_index(family),
            );
        }
    }

    /// Plans to move a piece as it is to where its blocks are aligned; its offset there.
    fn move_to_scratch(&mut self, buffer: vk::Buffer, offset: u64, piece: &Piece) -> u64 {
        let bytes = piece.footprint.end() - piece.footprint.offset;
        let target = self.scratch_bytes.next_multiple_of(SCRATCH_ALIGNMENT);
        self.scratch_bytes = target + bytes;
        self.copy_to_scratch(buffer, offset, target, bytes);
        target
    }

    /// Plans to lay a piece's rows out without padding; its offset there.
    fn repack_in_scratch(&mut self, buffer: vk::Buffer, offset: u64, piece: &Piece) -> u64 {
        let at = piece.footprint;
        let first = self.scratch_bytes.next_multiple_of(SCRATCH_ALIGNMENT);
        let mut target = first;
        for slice in 0..at.slices {
            for row in 0..at.rows {
                let source = offset + slice * at.slice_pitch + row * at.row_pitch;
                self.copy_to_scratch(buffer, source, target, at.row_bytes);
                target += at.row_bytes;
            }
        }
        self.scratch_bytes = target;
        first
    }

    fn copy_to_scratch(&mut self, buffer: vk::Buffer, source: u64, target: u64, bytes: u64) {
        let region = vk::BufferCopy::default()
            .src_offset(source)
            .dst_offset(target)
            .size(bytes);
        self.to_scratch.push(region);
        extend(&mut self.scratch_groups, buffer, ());
    }

    fn touch(&mut self, destination: &ImagePart, piece: &Piece, turn: u32) {
        let image = &destination.image;
        let same = |last: &Touched| {
            (last.image, last.layer, last.mip, last.turn)
                == (image.image(), piece.layer, piece.mip, turn)
        };
        // The tiles of a subresource follow each other.
        if self.touched.last().is_some_and(same) {
            return;
        }
        self.touched.push(Touched {
            image: image.image(),
            layer: piece.layer,
            mip: piece.mip,
            turn,
            before: image.before(),
            after: image.after(),
        });
    }

    /// The barriers of all images: into the layout they are copied in, or out of it.
    fn transitions(&mut self, into: bool) {
        self.image_barriers.clear();
        let same =
            |a: &Touched, b: &Touched| (a.image, a.layer, a.mip) == (b.image, b.layer, b.mip);
        for pushes in self.touched.chunk_by(same) {
            let (first, last) = (pushes[0], pushes[pushes.len() - 1]);
            let barrier = if into {
                enter(first.before, self.family)
            } else {
                leave(last.after, self.family)
            };
            let Some(barrier) = barrier else { continue };
            join(&mut self.image_barriers, barrier, first);
        }
    }

    fn record_scratch(&self, recorder: &Recorder<'_>, scratch: vk::Buffer) {
        if self.to_scratch.is_empty() {
            return;
        }
        let mut rest = &self.to_scratch[..];
        for group in &self.scratch_groups {
            let (regions, others) = rest.split_at(group.len);
            rest = others;
            recorder.copy(group.source, scratch, regions);
        }
        let written = vk::MemoryBarrier::default()
            .src_access_mask(vk::AccessFlags::TRANSFER_WRITE)
            .dst_access_mask(vk::AccessFlags::TRANSFER_READ);
        let transfer = vk::PipelineStageFlags::TRANSFER;
        recorder.barrier(&(transfer, transfer, written), &[], &[]);
    }

    /// One command for each pair of buffers, and for each image.
    fn record_copies(&mut self, recorder: &Recorder<'_>, scratch: vk::Buffer) {
        self.to_buffers
            .sort_unstable_by_key(|(source, target, copy)| (*source, *target, copy.dst_offset));
        for copies in self.to_buffers.chunk_by(|a, b| (a.0, a.1) == (b.0, b.1)) {
            self.regions.clear();
            for copy in copies {
                add_region(&mut self.regions, copy.2);
            }
            recorder.copy(copies[0].0, copies[0].1, &self.regions);
        }
        let mut rest = &self.to_images[..];
        for group in &self.image_groups {
            let (regions, others) = rest.split_at(group.len);
            rest = others;
            let source = match group.source {
                Origin::Buffer(buffer) => buffer,
                Origin::Scratch => scratch,
            };
            recorder.fill_image(source, group.target, regions);
        }
    }
}

/// Another region of the last command, or of a new one.
fn extend<Source: PartialEq, Target: PartialEq>(
    groups: &mut Vec<Group<Source, Target>>,
    source: Source,
    target: Target,
) {
    match groups.last_mut() {
        Some(last) if last.source == source && last.target == target => last.len += 1,
        _ => groups.push(Group {
            source,
            target,
            len: 1,
        }),
    }
}

/// Adds a region, to the last one if it goes on there on both sides: devices take microseconds for each,
/// whatever its size.
fn add_region(regions: &mut Vec<vk::BufferCopy>, region: vk::BufferCopy) {
    match regions.last_mut() {
        Some(last)
            if last.src_offset + last.size == region.src_offset
                && last.dst_offset + last.size == region.dst_offset =>
        {
            last.size += region.size;
        }
        _ => regions.push(region),
    }
}

/// The transition from how an image was found into the layout it is copied in; `None` if there is
/// nothing to do.
fn enter(before: ImageState, ours: u32) -> Option<vk::ImageMemoryBarrier<'static>> {
    let old = vk::ImageLayout::from_raw(before.layout);
    // What is discarded need not be handed over.
    let discarded = old == vk::ImageLayout::UNDEFINED;
    let owner = before.family.filter(|family| *family != ours && !discarded);
    if old == COPIED && owner.is_none() {
        return None;
    }
    let barrier = vk::ImageMemoryBarrier::default()
        .old_layout(old)
        .new_layout(COPIED)
        .dst_access_mask(vk::AccessFlags::TRANSFER_WRITE)
        .src_queue_family_index(vk::QUEUE_FAMILY_IGNORED)
        .dst_queue_family_index(vk::QUEUE_FAMILY_IGNORED);
    Some(match owner {
        // An acquire: what was written is the releasing family's part.
        Some(family) => barrier
            .src_queue_family_index(family)
            .dst_queue_family_index(ours),
        None => barrier.src_access_mask(vk::AccessFlags::TRANSFER_WRITE),
    })
}

/// The transition into how an image is left; `None` if there is nothing to do.
fn leave(after: ImageState, ours: u32) -> Option<vk::ImageMemoryBarrier<'static>> {
    let new = vk::ImageLayout::from_raw(after.layout);
    let owner = after.family.filter(|family| *family != ours);
    if new == COPIED && owner.is_none() {
        return None;
    }
    let barrier = vk::ImageMemoryBarrier::default()
        .old_layout(COPIED)
        .new_layout(new)
        .src_access_mask(vk::AccessFlags::TRANSFER_WRITE)
        .src_queue_family_index(vk::QUEUE_FAMILY_IGNORED)
        .dst_queue_family_index(vk::QUEUE_FAMILY_IGNORED);
    Some(match owner {
        // A release: what comes to see it is the acquiring family's part.
        Some(family) => barrier
            .src_queue_family_index(ours)
            .dst_queue_family_index(family),
        None => {
            barrier.dst_access_mask(vk::AccessFlags::MEMORY_READ | vk::AccessFlags::MEMORY_WRITE)
        }
    })
}

/// Adds the barrier of one subresource, to the last one if that is of the mip before and alike.
fn join(
    barriers: &mut Vec<vk::ImageMemoryBarrier<'static>>,
    barrier: vk::ImageMemoryBarrier<'static>,
    at: Touched,
) {
    let image = vk::Image::from_raw(at.image);
    let alike = |last: &&mut vk::ImageMemoryBarrier<'static>| {
        let range = &last.subresource_range;
        last.image == image
            && range.base_array_layer == at.layer
            && range.base_mip_level + range.level_count == at.mip
            && (last.old_layout, last.new_layout) == (barrier.old_layout, barrier.new_layout)
            && last.src_queue_family_index == barrier.src_queue_family_index
            && last.dst_queue_family_index == barrier.dst_queue_family_index
    };
    if let Some(last) = barriers.last_mut().filter(alike) {
        last.subresource_range.level_count += 1;
        return;
    }
    let range = vk::ImageSubresourceRange::default()
        .aspect_mask(vk::ImageAspectFlags::COLOR)
        .base_mip_level(at.mip)
        .level_count(1)
        .base_array_layer(at.layer)
        .layer_count(1);
    barriers.push(barrier.image(image).subresource_range(range));
}

/// The stages before a barrier and after it, and what it makes visible.
type Dependency = (
    vk::PipelineStageFlags,
    vk::PipelineStageFlags,
    vk::MemoryBarrier<'static>,
);

/// What must be done and seen before the copies: the batch's bytes, and earlier copies.
fn before(produced: Produced) -> Dependency {
    let (stages, accesses) = match produced {
        Produced::Host => Default::default(),
        Produced::Gpu { stages, accesses } => (stages, accesses),
    };
    let transfer = vk::PipelineStageFlags::TRANSFER;
    let written = vk::MemoryBarrier::default()
        .src_access_mask(vk::AccessFlags::TRANSFER_WRITE | accesses)
        .dst_access_mask(vk::AccessFlags::TRANSFER_READ | vk::AccessFlags::TRANSFER_WRITE);
    (transfer | stages, transfer, written)
}

/// Who may see the copies afterwards: everything on the device, and the host if it reads.
fn after(reads_back: bool) -> Dependency {
    let mut stages = vk::PipelineStageFlags::ALL_COMMANDS;
    let mut accesses = vk::AccessFlags::MEMORY_READ | vk::AccessFlags::MEMORY_WRITE;
    if reads_back {
        stages |= vk::PipelineStageFlags::HOST;
        accesses |= vk::AccessFlags::HOST_READ;
    }
    let written = vk::MemoryBarrier::default()
        .src_access_mask(vk::AccessFlags::TRANSFER_WRITE)
        .dst_access_mask(accesses);
    (vk::PipelineStageFlags::TRANSFER, stages, written)
}

/// One subresource of a colour image, as copies name it.
pub(super) fn layers(mip: u32, layer: u32) -> vk::ImageSubresourceLayers {
    vk::ImageSubresourceLayers::default()
        .aspect_mask(vk::ImageAspectFlags::COLOR)
        .mip_level(mip)
        .base_array_layer(layer)
        .layer_count(1)
}

fn offset_of(piece: &Piece) -> vk::Offset3D {
    // Below EXTENT_MAX.
    let [x, y, z] = piece.origin.map(|at| at as i32);
    vk::Offset3D { x, y, z }
}

pub(super) fn extent_of(piece: &Piece) -> vk::Extent3D {
    vk::Extent3D {
        width: piece.extent.width,
        height: piece.extent.height,
        depth: piece.extent.depth,
    }
}

/// A command buffer while it records; the caller of [`Copies::record`] answers for what it names.
struct Recorder<'a> {
    device: &'a ash::Device,
    commands: vk::CommandBuffer,
}

impl Recorder<'_> {
    fn barrier(
        &self,
        (sources, targets, memory): &Dependency,
        buffers: &[vk::BufferMemoryBarrier<'static>],
        images: &[vk::ImageMemoryBarrier<'static>],
    ) {
        let flags = vk::DependencyFlags::empty();
        let memory = [*memory];
        // SAFETY: recording, outside a render pass. Transfer, compute and host stages exist on a
        // compute queue, and every access belongs to a stage named with it. Images are in the old
        // layouts and have usages for the new ones, by `record`'s contract.
        unsafe {
            self.device.cmd_pipeline_barrier(
                self.commands,
                *sources,
                *targets,
                flags,
                &memory,
                buffers,
                images,
            )
        };
    }

    fn copy(&self, source: vk::Buffer, target: vk::Buffer, regions: &[vk::BufferCopy]) {
        // SAFETY: recording; ranges inside live buffers with the usages for it and apart from each
        // other, by `record`'s contract; none is empty.
        unsafe {
            self.device
                .cmd_copy_buffer(self.commands, source, target, regions)
        };
    }

    fn fill_image(&self, source: vk::Buffer, image: vk::Image, regions: &[vk::BufferImageCopy]) {
        // SAFETY: recording; the image is in this layout since the barrier. Offsets and pitches are
        // multiples of the texel block, since other pieces went through scratch; boxes are inside
        // their subresources on borders of blocks, since `layout.rs` made them so.
        unsafe {
            self.device
                .cmd_copy_buffer_to_image(self.commands, source, image, COPIED, regions)
        };
    }
}

#[cfg(test)]
mod tests;
