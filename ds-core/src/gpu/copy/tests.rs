//! Tests of what is planned, without a device: which commands, which barriers. What the commands do
//! is tested on a device, in `tests/gpu/images.rs`.

#![forbid(unsafe_code)]

use super::*;
use crate::gpu::image::{ImageDesc, ImageFacts, ImageRegion};
use crate::gpu::layout::{ImageKind, TextureBox};

const OURS: u32 = 2;
const RGBA8: i32 = 37;
const RGB32: i32 = 106;
const READ_ONLY: ImageState = ImageState {
    layout: 5,
    family: None,
};

fn image(format: i32, before: ImageState, after: ImageState) -> ImageFacts {
    ImageFacts::new(&ImageDesc {
        image: 77,
        kind: ImageKind::D2,
        format,
        width: 20,
        height: 8,
        depth: 1,
        mip_levels: 3,
        array_layers: 2,
        before,
        after,
    })
    .expect("a sound description")
}

fn all(image: ImageFacts) -> ImagePart {
    ImagePart {
        image,
        region: ImageRegion::MultipleSubresources { first: 0 },
    }
}

fn slice(raw: u64, offset: u64) -> Slice {
    Slice {
        buffer: vk::Buffer::from_raw(raw),
        offset,
    }
}

#[test]
fn copies_of_nothing_and_owners_that_stay_cost_nothing() {
    let mut copies = Copies::new(OURS);
    let range = |bytes| BufferRange {
        at: slice(9, 50),
        bytes,
        acquire: Some(0),
        release: Some(OURS),
    };
    copies.push_buffer(slice(1, 12), &range(0));
    assert!(copies.is_empty() && copies.acquire.is_empty());
    copies.push_buffer(slice(1, 12), &range(1));
    assert!(!copies.is_empty());
    assert_eq!((copies.acquire.len(), copies.release.len()), (1, 0));
    copies.clear();
    assert!(copies.is_empty() && copies.acquire.is_empty());
}

#[test]
fn aligned_payloads_are_copied_from_where_they_lie() {
    let mut copies = Copies::new(OURS);
    let destination = all(image(RGBA8, ImageState::UNDEFINED, READ_ONLY));
    copies.push_image(slice(1, 4), &destination).expect("sound");
    assert_eq!(copies.scratch_bytes(), 0);
    assert_eq!(copies.to_images.len(), 6);
    assert_eq!(copies.image_groups.len(), 1, "one command");
    let region = copies.to_images[1];
    assert_eq!(region.buffer_offset, 4 + 2048);
    assert_eq!(
        (region.buffer_row_length, region.buffer_image_height),
        (64, 4)
    );
    assert_eq!(region.image_extent.width, 10);
}

#[test]
fn payloads_at_odd_places_move_and_odd_pitches_are_packed() {
    let mut copies = Copies::new(OURS);
    let destination = all(image(RGBA8, ImageState::UNDEFINED, READ_ONLY));
    copies.push_image(slice(1, 3), &destination).expect("sound");
    assert_eq!(copies.to_scratch.len(), 6, "each subresource as it is");
    assert_eq!(copies.to_images[0].buffer_row_length, 64);
    assert!(copies.scratch_bytes() >= 6 * 80);
    copies.clear();

    let destination = all(image(RGB32, ImageState::UNDEFINED, READ_ONLY));
    copies.push_image(slice(1, 0), &destination).expect("sound");
    assert_eq!(
        copies.to_scratch.len(),
        2 * (8 + 4 + 2),
        "each row by itself"
    );
    let region = copies.to_images[0];
    assert_eq!(
        (region.buffer_row_length, region.buffer_image_height),
        (20, 8)
    );
    for (region, texels) in copies.to_images.iter().zip([160, 40, 10]) {
        assert_eq!(region.buffer_offset % 12, 0);
        assert!(region.buffer_offset + texels * 12 <= copies.scratch_bytes());
    }
}

/// The barriers before and after, as (old, new, mips of each).
fn barriers(copies: &mut Copies, into: bool) -> Vec<(i32, i32, u32, u32)> {
    copies
        .touched
        .sort_unstable_by_key(|at| (at.image, at.layer, at.mip, at.turn));
    copies.transitions(into);
    let shown = |barrier: &vk::ImageMemoryBarrier<'_>| {
        let range = barrier.subresource_range;
        (
            barrier.old_layout.as_raw(),
            barrier.new_layout.as_raw(),
            range.base_mip_level,
            range.level_count,
        )
    };
    copies.image_barriers.iter().map(shown).collect()
}

#[test]
fn a_subresource_changes_its_layout_once_a_batch() {
    let mut copies = Copies::new(OURS);
    let image = image(RGBA8, READ_ONLY, READ_ONLY);
    let region = |left| ImageRegion::Texture {
        subresource: 4,
        region: TextureBox {
            left,
            top: 0,
            front: 0,
            right: left + 1,
            bottom: 1,
            back: 1,
        },
    };
    for left in 0..8 {
        let region = region(left);
        let destination = ImagePart { image, region };
        copies.push_image(slice(1, 0), &destination).expect("sound");
    }
    assert_eq!(barriers(&mut copies, true), [(5, 7, 1, 1)]);
    assert_eq!(barriers(&mut copies, false), [(7, 5, 1, 1)]);
}

#[test]
fn all_mips_of_a_layer_share_a_barrier() {
    let mut copies = Copies::new(OURS);
    let destination = all(image(RGBA8, ImageState::UNDEFINED, READ_ONLY));
    copies.push_image(slice(1, 0), &destination).expect("sound");
    assert_eq!(barriers(&mut copies, true), [(0, 7, 0, 3), (0, 7, 0, 3)]);
    assert_eq!(barriers(&mut copies, false), [(7, 5, 0, 3), (7, 5, 0, 3)]);
    let layers: Vec<_> = copies
        .image_barriers
        .iter()
        .map(|barrier| barrier.subresource_range.base_array_layer)
        .collect();
    assert_eq!(layers, [0, 1]);
}

#[test]
fn an_image_that_stays_in_the_layout_of_copies_needs_no_barrier() {
    let mut copies = Copies::new(OURS);
    let state = ImageState::layout(COPIED.as_raw());
    let destination = all(image(RGBA8, state, state));
    copies.push_image(slice(1, 0), &destination).expect("sound");
    assert_eq!(barriers(&mut copies, true), []);
    assert_eq!(barriers(&mut copies, false), []);
}

#[test]
fn owners_change_hands_with_the_layouts_the_documentation_promises() {
    let owned = |layout, family| ImageState {
        layout,
        family: Some(family),
    };
    let ignored = vk::QUEUE_FAMILY_IGNORED;
    let families = |barrier: Option<vk::ImageMemoryBarrier<'_>>| {
        let barrier = barrier.expect("a barrier");
        (
            barrier.src_queue_family_index,
            barrier.dst_queue_family_index,
        )
    };
    assert_eq!(families(enter(owned(5, 0), OURS)), (0, OURS));
    assert_eq!(
        families(enter(owned(5, OURS), OURS)),
        (ignored, ignored),
        "it is ours already"
    );
    assert_eq!(
        families(enter(owned(0, 0), OURS)),
        (ignored, ignored),
        "what is discarded is not handed over"
    );
    assert_eq!(families(leave(owned(5, 1), OURS)), (OURS, 1));
    // Even without a transition the owner changes.
    assert_eq!(families(leave(owned(7, 1), OURS)), (OURS, 1));
    assert_eq!(families(enter(owned(7, 1), OURS)), (1, OURS));

    let mut copies = Copies::new(OURS);
    let range = BufferRange {
        at: slice(9, 16),
        bytes: 8,
        acquire: Some(0),
        release: Some(1),
    };
    copies.push_readback(&range, slice(1, 0));
    let shown = |barrier: &vk::BufferMemoryBarrier<'_>| {
        (
            barrier.src_queue_family_index,
            barrier.dst_queue_family_index,
            barrier.offset,
            barrier.size,
        )
    };
    assert_eq!(
        copies.acquire.iter().map(shown).collect::<Vec<_>>(),
        [(0, OURS, 16, 8)]
    );
    assert_eq!(
        copies.release.iter().map(shown).collect::<Vec<_>>(),
        [(OURS, 1, 16, 8)]
    );
    assert!(
        after(copies.reads_back)
            .2
            .dst_access_mask
            .contains(vk::AccessFlags::HOST_READ)
    );
}

#[test]
fn regions_that_go_on_on_both_sides_are_one() {
    let region = |from, to, bytes| {
        vk::BufferCopy::default()
            .src_offset(from)
            .dst_offset(to)
            .size(bytes)
    };
    let mut regions = Vec::new();
    for (from, to, bytes) in [
        (64, 0, 10),
        (74, 10, 20),
        // A gap in the source, one in the destination, then on from there.
        (100, 30, 5),
        (105, 40, 5),
        (110, 45, 1),
    ] {
        add_region(&mut regions, region(from, to, bytes));
    }
    let found: Vec<_> = regions
        .iter()
        .map(|r| (r.src_offset, r.dst_offset, r.size))
        .collect();
    assert_eq!(found, [(64, 0, 30), (100, 30, 5), (105, 40, 6)]);
}
