//! Requests and the numbers in them, laid out as DirectStorage lays them out on x64.
//!
//! Owns the layout: sizes and offsets are asserted here, and once more in C at the end of the header.
//! Everything is plain data that C fills; the numbers are integers, since C can put anything there, and are
//! looked at in `request.rs`.

#![forbid(unsafe_code)]

use std::ffi::{c_char, c_void};
use std::mem::offset_of;

use crate::file::ds_file;

/// A time-out that never ends.
pub const DS_WAIT_FOREVER: u64 = 0xFFFF_FFFF_FFFF_FFFF;

/// How a source is compressed: one of `DS_COMPRESSION_*`, or a custom format from 0x80 to 0xFF.
pub type ds_compression_format = u8;
/// Not compressed.
pub const DS_COMPRESSION_NONE: ds_compression_format = 0;
/// A GDeflate tile stream.
pub const DS_COMPRESSION_GDEFLATE: ds_compression_format = 1;
/// The first of the formats that the application decompresses, 0x80 to 0xFF.
pub const DS_COMPRESSION_CUSTOM_0: ds_compression_format = 128;

/// What a queue reads, and where a request's bytes come from: `DS_SOURCE_*`.
pub type ds_source_type = u8;
/// A file.
pub const DS_SOURCE_FILE: ds_source_type = 0;
/// Memory.
pub const DS_SOURCE_MEMORY: ds_source_type = 1;

/// A GPU that queues can reach: a counted reference. Opaque.
pub struct ds_gpu_device {
    _opaque: (),
}

/// Where a request's bytes go: `DS_DESTINATION_*`.
///
/// GPU resources need a queue with their device: see ds_queue_desc.gpu_device. In a library that was built
/// without Vulkan, such a request fails with DS_E_INVALID_DESTINATION_TYPE.
pub type ds_destination_type = u8;
/// Memory.
pub const DS_DESTINATION_MEMORY: ds_destination_type = 0;
/// A GPU buffer.
pub const DS_DESTINATION_BUFFER: ds_destination_type = 1;
/// A box of one subresource of a texture.
pub const DS_DESTINATION_TEXTURE_REGION: ds_destination_type = 2;
/// All subresources of a texture from one on.
pub const DS_DESTINATION_MULTIPLE_SUBRESOURCES: ds_destination_type = 3;
/// Tiles of a reserved resource.
pub const DS_DESTINATION_TILES: ds_destination_type = 4;
/// Some subresources of a texture.
pub const DS_DESTINATION_MULTIPLE_SUBRESOURCES_RANGE: ds_destination_type = 5;
/// A file opened with ds_file_create: the source must be memory, not compressed. Not in DirectStorage.
pub const DS_DESTINATION_FILE: ds_destination_type = 64;
/// A file opened with ds_file_create, which gets bytes of a GPU buffer: `source.buffer` counts, on a queue of
/// DS_SOURCE_MEMORY with that buffer's device. Not compressed. Not in DirectStorage.
pub const DS_DESTINATION_FILE_FROM_BUFFER: ds_destination_type = 66;
/// A place that only the host of the library can reach; see ds_foreign_copies_begin. Not in DirectStorage.
pub const DS_DESTINATION_FOREIGN: ds_destination_type = 65;

/// How a request is to be understood. Layout of DSTORAGE_REQUEST_OPTIONS.
#[repr(C)]
#[derive(Clone, Copy, Default, Debug)]
pub struct ds_request_options {
    /// Compression of the source.
    pub compression_format: ds_compression_format,
    /// Ignored; set to zero.
    pub reserved: [u8; 7],
    /// Source type in bit 0, destination type in bits 1 to 7: use DS_REQUEST_TYPES(source, destination).
    pub types: u8,
    /// Ignored; set to zero.
    pub reserved_too: [u8; 7],
}

/// Bytes in memory, to read. They stay the caller's and must not change until the request completes.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct ds_source_memory {
    /// The first byte.
    pub source: *const c_void,
    /// How many.
    pub size: u32,
}

/// Bytes of a file.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct ds_source_file {
    /// The file. The request keeps a reference: it may be released, and even closed, at any time after the
    /// enqueue.
    pub source: *mut ds_file,
    /// Of the first byte.
    pub offset: u64,
    /// How many bytes; compressed bytes, if compressed.
    pub size: u32,
}

/// Bytes of a GPU buffer, to write to a file.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct ds_source_buffer {
    /// The ds_gpu_buffer, made to be copied from. The request keeps a reference.
    pub resource: *mut c_void,
    /// Of the first byte.
    pub offset: u64,
    /// How many bytes.
    pub size: u32,
}

/// Where bytes come from; the member that the source type names.
#[repr(C)]
#[derive(Clone, Copy)]
pub union ds_source {
    /// For DS_SOURCE_MEMORY.
    pub memory: ds_source_memory,
    /// For DS_SOURCE_FILE.
    pub file: ds_source_file,
    /// For DS_DESTINATION_FILE_FROM_BUFFER.
    pub buffer: ds_source_buffer,
}

/// Bytes in memory, to write. They stay the caller's and must not be touched until the request completes.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct ds_destination_memory {
    /// The first byte; any alignment.
    pub buffer: *mut c_void,
    /// How many: the source's size, or uncompressed_size if the source is compressed.
    pub size: u32,
}

/// Bytes of a GPU buffer.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct ds_destination_buffer {
    /// The ds_gpu_buffer. The request keeps a reference.
    pub resource: *mut c_void,
    /// Of the first byte.
    pub offset: u64,
    /// How many bytes.
    pub size: u32,
}

/// A box of texels, the ends not included.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct ds_box {
    /// x from.
    pub left: u32,
    /// y from.
    pub top: u32,
    /// z from.
    pub front: u32,
    /// x to.
    pub right: u32,
    /// y to.
    pub bottom: u32,
    /// z to.
    pub back: u32,
}

/// A box of one subresource of a texture.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct ds_destination_texture_region {
    /// The ds_gpu_image. The request keeps a reference.
    pub resource: *mut c_void,
    /// Which subresource.
    pub subresource_index: u32,
    /// Which box of it.
    pub region: ds_box,
}

/// All subresources of a texture from one on.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct ds_destination_multiple_subresources {
    /// The ds_gpu_image. The request keeps a reference.
    pub resource: *mut c_void,
    /// The first subresource.
    pub first_subresource: u32,
}

/// Some subresources of a texture.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct ds_destination_multiple_subresources_range {
    /// The ds_gpu_image. The request keeps a reference.
    pub resource: *mut c_void,
    /// The first subresource.
    pub first_subresource: u32,
    /// How many.
    pub num_subresources: u32,
}

/// Tiles of a reserved resource.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct ds_destination_tiles {
    /// The ds_gpu_image. The request keeps a reference.
    pub resource: *mut c_void,
    /// First tile: x.
    pub start_x: u32,
    /// First tile: y.
    pub start_y: u32,
    /// First tile: z.
    pub start_z: u32,
    /// First tile: subresource.
    pub start_subresource: u32,
    /// How many tiles.
    pub num_tiles: u32,
    /// Whether the tiles form a box of width, height and depth.
    pub use_box: u32,
    /// Tiles in x.
    pub width: u32,
    /// Tiles in y.
    pub height: u16,
    /// Tiles in z.
    pub depth: u16,
}

/// Bytes of a file, to write.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct ds_destination_file {
    /// The file, opened with ds_file_create. The request keeps a reference.
    pub destination: *mut ds_file,
    /// Of the first byte; beyond the end of the file is allowed.
    pub offset: u64,
    /// How many bytes: the source's size.
    pub size: u32,
}

/// A place that only the host of the library can reach. For hosts that make copies
/// (ds_foreign_copies_begin); elsewhere the request fails with DS_E_INVALID_DESTINATION_TYPE.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct ds_destination_foreign {
    /// What the host calls it: the copy names it, and ds_foreign_copies_returned gives it back, once, when
    /// nothing more will come of the request.
    pub cookie: u64,
    /// How many bytes: the source's size, or at most uncompressed_size if the source is compressed.
    pub size: u32,
    /// If negative, the host refuses the request: it fails with that when its turn comes.
    pub result: i32,
    /// Copied by the enqueue, and shown in error records in the place of this one. NULL for zeros.
    pub shown: *const ds_destination,
    /// The type of destination, 0 to 127, that error records show.
    pub shown_type: u32,
    /// If `shown_format` is not DS_COMPRESSION_NONE: the size after decompression that error records show.
    pub shown_uncompressed_size: u32,
    /// The compression format that error records show for a request of DS_COMPRESSION_NONE whose bytes the
    /// host decompresses by itself.
    pub shown_format: ds_compression_format,
    /// 0.
    pub reserved: [u8; 7],
}

/// Where bytes go; the member that the destination type names.
#[repr(C)]
#[derive(Clone, Copy)]
pub union ds_destination {
    /// For DS_DESTINATION_MEMORY.
    pub memory: ds_destination_memory,
    /// For DS_DESTINATION_BUFFER.
    pub buffer: ds_destination_buffer,
    /// For DS_DESTINATION_TEXTURE_REGION.
    pub texture: ds_destination_texture_region,
    /// For DS_DESTINATION_MULTIPLE_SUBRESOURCES.
    pub multiple_subresources: ds_destination_multiple_subresources,
    /// For DS_DESTINATION_TILES.
    pub tiles: ds_destination_tiles,
    /// For DS_DESTINATION_MULTIPLE_SUBRESOURCES_RANGE.
    pub multiple_subresources_range: ds_destination_multiple_subresources_range,
    /// For DS_DESTINATION_FILE and DS_DESTINATION_FILE_FROM_BUFFER.
    pub file: ds_destination_file,
    /// For DS_DESTINATION_FOREIGN.
    pub foreign: ds_destination_foreign,
}

/// One transfer. Layout of DSTORAGE_REQUEST on x64, 104 bytes; zero it before filling it.
///
/// ds_request_read, ds_request_copy, ds_request_write and ds_request_compressed at the end of this header
/// fill it.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct ds_request {
    /// Types and compression.
    pub options: ds_request_options,
    /// Where the bytes come from.
    pub source: ds_source,
    /// Where they go.
    pub destination: ds_destination,
    /// The size after decompression. Without compression: 0, or the size itself.
    pub uncompressed_size: u32,
    /// For ds_queue_cancel_requests_with_tag.
    pub cancellation_tag: u64,
    /// For error records and logs; copied by the enqueue, cut after 63 bytes. May be NULL.
    pub name: *const c_char,
}

const _: () = {
    assert!(size_of::<ds_request_options>() == 16 && offset_of!(ds_request_options, types) == 8);
    assert!(size_of::<ds_source_memory>() == 16 && offset_of!(ds_source_memory, size) == 8);
    assert!(size_of::<ds_source_file>() == 24 && offset_of!(ds_source_file, size) == 16);
    assert!(size_of::<ds_source_buffer>() == 24 && offset_of!(ds_source_buffer, size) == 16);
    assert!(size_of::<ds_source>() == 24);
    assert!(size_of::<ds_destination_memory>() == 16);
    assert!(size_of::<ds_destination_buffer>() == 24);
    assert!(size_of::<ds_destination_texture_region>() == 40);
    assert!(offset_of!(ds_destination_texture_region, region) == 12);
    assert!(size_of::<ds_destination_multiple_subresources>() == 16);
    assert!(size_of::<ds_destination_multiple_subresources_range>() == 16);
    assert!(size_of::<ds_destination_tiles>() == 40);
    assert!(offset_of!(ds_destination_tiles, num_tiles) == 24);
    assert!(offset_of!(ds_destination_tiles, depth) == 38);
    assert!(size_of::<ds_destination_file>() == 24 && offset_of!(ds_destination_file, size) == 16);
    assert!(size_of::<ds_destination_foreign>() == 40);
    assert!(offset_of!(ds_destination_foreign, shown) == 16);
    assert!(offset_of!(ds_destination_foreign, shown_format) == 32);
    assert!(size_of::<ds_destination>() == 40);
    assert!(size_of::<ds_request>() == 104 && align_of::<ds_request>() == 8);
    assert!(offset_of!(ds_request, source) == 16);
    assert!(offset_of!(ds_request, destination) == 40);
    assert!(offset_of!(ds_request, uncompressed_size) == 80);
    assert!(offset_of!(ds_request, cancellation_tag) == 88);
    assert!(offset_of!(ds_request, name) == 96);
};
