//! Why a tile stream or a tile cannot be decoded.
//!
//! One flat enum, because a caller can do the same thing about every variant: report it and
//! refuse the data. The variants exist for that report.
#![forbid(unsafe_code)]

use std::fmt;

/// What is wrong with a tile stream, with a tile, or with the sizes asked of the decoder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DecodeError {
    /// Header: fewer than 8 bytes.
    HeaderTruncated,
    /// Header: the id is not one the policy accepts, or the magic is not its complement. Raw
    /// tiles, which have no header, usually end here.
    HeaderMagic,
    /// Header: the tile size is not 64 KiB, the only one the format defines.
    HeaderTileSize,
    /// Header: reserved bits are set.
    HeaderReserved,
    /// Header: the last tile's size is more than a tile, or is given although there is no tile.
    HeaderLastTile,
    /// Table: the table of tile offsets does not fit into the stream.
    TableTruncated,
    /// Table: a tile's offset or size is unaligned, decreasing, or reaches past the stream.
    TableOffset,
    /// Tile: fewer than the 128 bytes every tile has, or not a multiple of 4.
    TileBytes,
    /// Tile: no tile of this index.
    TileIndex,
    /// Tile: its compressed bytes end before its last block does.
    TileTruncated,
    /// Block: type 3, which the format does not define.
    BlockType,
    /// Code: the code of code lengths is over-subscribed or incomplete.
    Precode,
    /// Code: the list of code lengths repeats nothing, or runs past its end.
    CodeLengths,
    /// Code: the literal/length code is over-subscribed or incomplete.
    LiteralCode,
    /// Code: the literal/length code has no end-of-block symbol.
    NoEndOfBlock,
    /// Code: the distance code is over-subscribed or incomplete.
    DistanceCode,
    /// Code: a symbol without meaning (286, 287), or a distance although there is no distance code.
    Symbol,
    /// Range: a match begins before the tile does.
    Distance,
    /// Range: the tile makes more bytes than its size.
    OutputOverflow,
    /// Range: the tile ends before it has made all its bytes.
    OutputUnderflow,
    /// Range: the output is not the size the stream or a tile can have.
    OutputBytes,
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::HeaderTruncated => "header: the stream is shorter than its 8-byte header",
            Self::HeaderMagic => "header: not a GDeflate tile stream (unknown id or wrong magic)",
            Self::HeaderTileSize => "header: unsupported tile size (only 64 KiB exists)",
            Self::HeaderReserved => "header: reserved bits are set",
            Self::HeaderLastTile => "header: impossible size of the last tile",
            Self::TableTruncated => "table: the table of tiles does not fit into the stream",
            Self::TableOffset => "table: a tile lies outside the stream, or tiles are out of order",
            Self::TileBytes => "tile: fewer than 128 bytes, or not a multiple of 4",
            Self::TileIndex => "tile: no tile of this index",
            Self::TileTruncated => "tile: its data ends before its last block does",
            Self::BlockType => "block: undefined block type 3",
            Self::Precode => "code: the code of code lengths is over-subscribed or incomplete",
            Self::CodeLengths => "code: a repeat of code lengths has no start or passes the end",
            Self::LiteralCode => "code: the literal/length code is over-subscribed or incomplete",
            Self::NoEndOfBlock => "code: the literal/length code cannot end its block",
            Self::DistanceCode => "code: the distance code is over-subscribed or incomplete",
            Self::Symbol => "code: a symbol that has no meaning",
            Self::Distance => "range: a match begins before the tile",
            Self::OutputOverflow => "range: the tile makes more bytes than its size",
            Self::OutputUnderflow => "range: the tile makes fewer bytes than its size",
            Self::OutputBytes => "range: the output's size does not match",
        })
    }
}

impl std::error::Error for DecodeError {}
