//! Texel formats: the one table of how large a texel block is, by Vulkan's numbers and by DXGI's.
//!
//! Owns: which formats can be a destination, and why others cannot. A format is known here when its
//! data is one plane of texel blocks of one size; that is all the layout of a payload depends on.
//!
//! Sources: the texel block sizes of the Vulkan specification ("Compatible Formats"); the numbers of
//! `vulkan_core.h` and of Microsoft's `DXGI_FORMAT` page.

#![forbid(unsafe_code)]

use std::fmt;

/// The unit that a format stores texels in: one texel, or a block of a compressed format.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Block {
    /// Width in texels, 1 to 12.
    pub(crate) width: u8,
    /// Height in texels, 1 to 12.
    pub(crate) height: u8,
    /// Size in bytes, 1 to 32.
    pub(crate) bytes: u8,
}

/// A format that can be a destination.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Format {
    /// Its `VkFormat`.
    pub(crate) vulkan: i32,
    /// Its unit.
    pub(crate) block: Block,
}

/// Why a format cannot be a destination.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum FormatError {
    /// Depth and stencil: Vulkan lets only graphics queues copy them, and the engine's queues
    /// compute.
    DepthStencil(i64),
    /// Several planes, or chroma shared by neighbouring texels.
    Video(i64),
    /// Not a number of a format this library knows.
    Unknown(i64),
}

impl fmt::Display for FormatError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FormatError::DepthStencil(number) => write!(
                f,
                "format {number} holds depth or stencil, which only a graphics queue may copy; stream \
                 into a buffer or a colour image and convert"
            ),
            FormatError::Video(number) => write!(
                f,
                "format {number} has several planes or shared chroma; stream each plane into an \
                 image of its own"
            ),
            FormatError::Unknown(number) => write!(f, "format {number} is not known"),
        }
    }
}

impl Format {
    /// The format with this `VkFormat` number.
    pub(crate) fn from_vulkan(number: i32) -> Result<Format, FormatError> {
        if let Some(&(_, _, width, height, bytes)) = BLOCKS
            .iter()
            .find(|(first, last, ..)| (*first..=*last).contains(&number))
        {
            let block = Block {
                width,
                height,
                bytes,
            };
            return Ok(Format {
                vulkan: number,
                block,
            });
        }
        let shown = i64::from(number);
        Err(match number {
            124..=130 => FormatError::DepthStencil(shown),
            1_000_156_000..=1_000_156_033 | 1_000_330_000..=1_000_330_003 => {
                FormatError::Video(shown)
            }
            _ => FormatError::Unknown(shown),
        })
    }
}

/// The `VkFormat` with the same bits as a `DXGI_FORMAT`. A typeless one becomes a typed format of its
/// family, which has the same blocks.
///
/// # Errors
/// Why there is none, or none that can be a destination.
pub fn vulkan_format(dxgi: u32) -> Result<i32, FormatError> {
    if let Some(&(_, vulkan)) = DXGI.iter().find(|(number, _)| *number == dxgi) {
        return Ok(vulkan);
    }
    let shown = i64::from(dxgi);
    Err(match dxgi {
        19..=22 | 40 | 44..=47 | 55 => FormatError::DepthStencil(shown),
        68 | 69 | 100..=114 | 130..=132 => FormatError::Video(shown),
        _ => FormatError::Unknown(shown),
    })
}

/// First and last `VkFormat` of a run, block width and height in texels, block bytes. ASTC's 12x12
/// and the rest come in pairs, linear and sRGB.
const BLOCKS: &[(i32, i32, u8, u8, u8)] = &[
    (1, 1, 1, 1, 1),      // R4G4
    (2, 8, 1, 1, 2),      // 16-bit packed
    (9, 15, 1, 1, 1),     // R8
    (16, 22, 1, 1, 2),    // R8G8
    (23, 36, 1, 1, 3),    // R8G8B8, B8G8R8
    (37, 69, 1, 1, 4),    // RGBA8, BGRA8, ABGR8, 10:10:10:2
    (70, 76, 1, 1, 2),    // R16
    (77, 83, 1, 1, 4),    // R16G16
    (84, 90, 1, 1, 6),    // R16G16B16
    (91, 97, 1, 1, 8),    // RGBA16
    (98, 100, 1, 1, 4),   // R32
    (101, 103, 1, 1, 8),  // R32G32
    (104, 106, 1, 1, 12), // R32G32B32
    (107, 109, 1, 1, 16), // RGBA32
    (110, 112, 1, 1, 8),  // R64
    (113, 115, 1, 1, 16), // R64G64
    (116, 118, 1, 1, 24), // R64G64B64
    (119, 121, 1, 1, 32), // RGBA64
    (122, 123, 1, 1, 4),  // B10G11R11, E5B9G9R9
    (131, 134, 4, 4, 8),  // BC1
    (135, 138, 4, 4, 16), // BC2, BC3
    (139, 140, 4, 4, 8),  // BC4
    (141, 146, 4, 4, 16), // BC5, BC6H, BC7
    (147, 150, 4, 4, 8),  // ETC2 RGB, RGB with one bit of alpha
    (151, 152, 4, 4, 16), // ETC2 RGBA
    (153, 154, 4, 4, 8),  // EAC R11
    (155, 156, 4, 4, 16), // EAC R11G11
    (157, 158, 4, 4, 16), // ASTC, by its block
    (159, 160, 5, 4, 16),
    (161, 162, 5, 5, 16),
    (163, 164, 6, 5, 16),
    (165, 166, 6, 6, 16),
    (167, 168, 8, 5, 16),
    (169, 170, 8, 6, 16),
    (171, 172, 8, 8, 16),
    (173, 174, 10, 5, 16),
    (175, 176, 10, 6, 16),
    (177, 178, 10, 8, 16),
    (179, 180, 10, 10, 16),
    (181, 182, 12, 10, 16),
    (183, 184, 12, 12, 16),
    (1_000_066_000, 1_000_066_000, 4, 4, 16), // ASTC of half floats
    (1_000_066_001, 1_000_066_001, 5, 4, 16),
    (1_000_066_002, 1_000_066_002, 5, 5, 16),
    (1_000_066_003, 1_000_066_003, 6, 5, 16),
    (1_000_066_004, 1_000_066_004, 6, 6, 16),
    (1_000_066_005, 1_000_066_005, 8, 5, 16),
    (1_000_066_006, 1_000_066_006, 8, 6, 16),
    (1_000_066_007, 1_000_066_007, 8, 8, 16),
    (1_000_066_008, 1_000_066_008, 10, 5, 16),
    (1_000_066_009, 1_000_066_009, 10, 6, 16),
    (1_000_066_010, 1_000_066_010, 10, 8, 16),
    (1_000_066_011, 1_000_066_011, 10, 10, 16),
    (1_000_066_012, 1_000_066_012, 12, 10, 16),
    (1_000_066_013, 1_000_066_013, 12, 12, 16),
    (1_000_340_000, 1_000_340_001, 1, 1, 2), // A4R4G4B4, A4B4G4R4
];

/// `DXGI_FORMAT` and the `VkFormat` with the same bits.
const DXGI: &[(u32, i32)] = &[
    (1, 109),             // R32G32B32A32_TYPELESS
    (2, 109),             // .. FLOAT
    (3, 107),             // .. UINT
    (4, 108),             // .. SINT
    (5, 106),             // R32G32B32_TYPELESS
    (6, 106),             // .. FLOAT
    (7, 104),             // .. UINT
    (8, 105),             // .. SINT
    (9, 97),              // R16G16B16A16_TYPELESS
    (10, 97),             // .. FLOAT
    (11, 91),             // .. UNORM
    (12, 95),             // .. UINT
    (13, 92),             // .. SNORM
    (14, 96),             // .. SINT
    (15, 103),            // R32G32_TYPELESS
    (16, 103),            // .. FLOAT
    (17, 101),            // .. UINT
    (18, 102),            // .. SINT
    (23, 64),             // R10G10B10A2_TYPELESS
    (24, 64),             // .. UNORM
    (25, 68),             // .. UINT
    (26, 122),            // R11G11B10_FLOAT
    (27, 37),             // R8G8B8A8_TYPELESS
    (28, 37),             // .. UNORM
    (29, 43),             // .. UNORM_SRGB
    (30, 41),             // .. UINT
    (31, 38),             // .. SNORM
    (32, 42),             // .. SINT
    (33, 83),             // R16G16_TYPELESS
    (34, 83),             // .. FLOAT
    (35, 77),             // .. UNORM
    (36, 81),             // .. UINT
    (37, 78),             // .. SNORM
    (38, 82),             // .. SINT
    (39, 100),            // R32_TYPELESS
    (41, 100),            // R32_FLOAT
    (42, 98),             // .. UINT
    (43, 99),             // .. SINT
    (48, 16),             // R8G8_TYPELESS
    (49, 16),             // .. UNORM
    (50, 20),             // .. UINT
    (51, 17),             // .. SNORM
    (52, 21),             // .. SINT
    (53, 76),             // R16_TYPELESS
    (54, 76),             // .. FLOAT
    (56, 70),             // .. UNORM
    (57, 74),             // .. UINT
    (58, 71),             // .. SNORM
    (59, 75),             // .. SINT
    (60, 9),              // R8_TYPELESS
    (61, 9),              // .. UNORM
    (62, 13),             // .. UINT
    (63, 10),             // .. SNORM
    (64, 14),             // .. SINT
    (65, 9),              // A8_UNORM: a view swizzles it
    (67, 123),            // R9G9B9E5_SHAREDEXP
    (70, 133),            // BC1_TYPELESS
    (71, 133),            // .. UNORM
    (72, 134),            // .. UNORM_SRGB
    (73, 135),            // BC2_TYPELESS
    (74, 135),            // .. UNORM
    (75, 136),            // .. UNORM_SRGB
    (76, 137),            // BC3_TYPELESS
    (77, 137),            // .. UNORM
    (78, 138),            // .. UNORM_SRGB
    (79, 139),            // BC4_TYPELESS
    (80, 139),            // .. UNORM
    (81, 140),            // .. SNORM
    (82, 141),            // BC5_TYPELESS
    (83, 141),            // .. UNORM
    (84, 142),            // .. SNORM
    (85, 4),              // B5G6R5_UNORM: both name it from the other end of the 16 bits
    (86, 8),              // B5G5R5A1_UNORM
    (87, 44),             // B8G8R8A8_UNORM
    (88, 44),             // B8G8R8X8_UNORM: a view ignores alpha
    (90, 44),             // B8G8R8A8_TYPELESS
    (91, 50),             // .. UNORM_SRGB
    (92, 44),             // B8G8R8X8_TYPELESS
    (93, 50),             // .. UNORM_SRGB
    (94, 143),            // BC6H_TYPELESS
    (95, 143),            // .. UF16
    (96, 144),            // .. SF16
    (97, 145),            // BC7_TYPELESS
    (98, 145),            // .. UNORM
    (99, 146),            // .. UNORM_SRGB
    (115, 1_000_340_000), // B4G4R4A4_UNORM
    (191, 2),             // A4B4G4R4_UNORM
];

#[cfg(test)]
mod tests {
    use super::*;

    fn block(width: u8, height: u8, bytes: u8) -> Block {
        Block {
            width,
            height,
            bytes,
        }
    }

    #[test]
    fn dxgi_and_vulkan_numbers_name_the_same_blocks() {
        for (dxgi, vulkan, expected) in [
            (28, 37, block(1, 1, 4)),   // R8G8B8A8_UNORM
            (2, 109, block(1, 1, 16)),  // R32G32B32A32_FLOAT
            (6, 106, block(1, 1, 12)),  // R32G32B32_FLOAT
            (61, 9, block(1, 1, 1)),    // R8_UNORM
            (71, 133, block(4, 4, 8)),  // BC1_UNORM
            (77, 137, block(4, 4, 16)), // BC3_UNORM
            (80, 139, block(4, 4, 8)),  // BC4_UNORM
            (83, 141, block(4, 4, 16)), // BC5_UNORM
            (98, 145, block(4, 4, 16)), // BC7_UNORM
        ] {
            assert_eq!(vulkan_format(dxgi), Ok(vulkan));
            let format = Format::from_vulkan(vulkan).expect("a known format");
            assert_eq!((format.vulkan, format.block), (vulkan, expected), "{dxgi}");
        }
    }

    #[test]
    fn runs_are_in_order_and_apart() {
        for pair in BLOCKS.windows(2) {
            assert!(pair[0].1 < pair[1].0, "{pair:?}");
        }
        for pair in DXGI.windows(2) {
            assert!(pair[0].0 < pair[1].0, "{pair:?}");
        }
        for &(first, last, width, height, bytes) in BLOCKS {
            assert!(first <= last && width <= 12 && height <= 12 && (1..=32).contains(&bytes));
        }
    }

    #[test]
    fn every_dxgi_number_has_a_format_or_a_reason() {
        for number in 0..256 {
            match vulkan_format(number) {
                Ok(vulkan) => assert!(Format::from_vulkan(vulkan).is_ok(), "{number}"),
                Err(error) => assert!(error.to_string().contains(&number.to_string())),
            }
        }
        assert_eq!(
            vulkan_format(40),
            Err(FormatError::DepthStencil(40)),
            "D32_FLOAT"
        );
        assert_eq!(vulkan_format(103), Err(FormatError::Video(103)), "NV12");
        assert_eq!(vulkan_format(66), Err(FormatError::Unknown(66)), "R1");
        assert_eq!(
            Format::from_vulkan(126),
            Err(FormatError::DepthStencil(126)),
            "D32_SFLOAT"
        );
        assert_eq!(Format::from_vulkan(0), Err(FormatError::Unknown(0)));
        assert_eq!(Format::from_vulkan(-1), Err(FormatError::Unknown(-1)));
    }

    /// The table's numbers against the names that Vulkan's own registry gives them.
    #[test]
    fn numbers_are_those_of_the_registry() {
        use ash::vk::Format as Vk;
        for (vulkan, expected) in [
            (Vk::R4G4_UNORM_PACK8, block(1, 1, 1)),
            (Vk::A1R5G5B5_UNORM_PACK16, block(1, 1, 2)),
            (Vk::R8_SRGB, block(1, 1, 1)),
            (Vk::R8G8_SRGB, block(1, 1, 2)),
            (Vk::B8G8R8_SRGB, block(1, 1, 3)),
            (Vk::A2B10G10R10_SINT_PACK32, block(1, 1, 4)),
            (Vk::R16_SFLOAT, block(1, 1, 2)),
            (Vk::R16G16_SFLOAT, block(1, 1, 4)),
            (Vk::R16G16B16_SFLOAT, block(1, 1, 6)),
            (Vk::R16G16B16A16_SFLOAT, block(1, 1, 8)),
            (Vk::R32_SFLOAT, block(1, 1, 4)),
            (Vk::R32G32_SFLOAT, block(1, 1, 8)),
            (Vk::R32G32B32_SFLOAT, block(1, 1, 12)),
            (Vk::R32G32B32A32_SFLOAT, block(1, 1, 16)),
            (Vk::R64_SFLOAT, block(1, 1, 8)),
            (Vk::R64G64_SFLOAT, block(1, 1, 16)),
            (Vk::R64G64B64_SFLOAT, block(1, 1, 24)),
            (Vk::R64G64B64A64_SFLOAT, block(1, 1, 32)),
            (Vk::E5B9G9R9_UFLOAT_PACK32, block(1, 1, 4)),
            (Vk::BC1_RGBA_SRGB_BLOCK, block(4, 4, 8)),
            (Vk::BC3_SRGB_BLOCK, block(4, 4, 16)),
            (Vk::BC4_SNORM_BLOCK, block(4, 4, 8)),
            (Vk::BC7_SRGB_BLOCK, block(4, 4, 16)),
            (Vk::ETC2_R8G8B8A1_SRGB_BLOCK, block(4, 4, 8)),
            (Vk::ETC2_R8G8B8A8_SRGB_BLOCK, block(4, 4, 16)),
            (Vk::EAC_R11_SNORM_BLOCK, block(4, 4, 8)),
            (Vk::EAC_R11G11_SNORM_BLOCK, block(4, 4, 16)),
            (Vk::ASTC_5X4_UNORM_BLOCK, block(5, 4, 16)),
            (Vk::ASTC_8X6_SRGB_BLOCK, block(8, 6, 16)),
            (Vk::ASTC_12X12_SRGB_BLOCK, block(12, 12, 16)),
            (Vk::ASTC_10X5_SFLOAT_BLOCK, block(10, 5, 16)),
            (Vk::A4B4G4R4_UNORM_PACK16, block(1, 1, 2)),
        ] {
            let found = Format::from_vulkan(vulkan.as_raw()).map(|format| format.block);
            assert_eq!(found, Ok(expected), "{}", vulkan.as_raw());
        }
        let depth = Format::from_vulkan(Vk::X8_D24_UNORM_PACK32.as_raw());
        assert!(matches!(depth, Err(FormatError::DepthStencil(_))));
        let planes = Format::from_vulkan(Vk::G8_B8R8_2PLANE_420_UNORM.as_raw());
        assert!(matches!(planes, Err(FormatError::Video(_))));
    }
}
