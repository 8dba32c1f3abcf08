//! The GPU's types in a build without Vulkan: they have no values, so that nothing can be asked of them
//! and the rest of the engine is the same text either way.

#![forbid(unsafe_code)]

use std::fmt;
use std::sync::Arc;

use crate::backend::GpuDecode;
use crate::error::Error;
use crate::hold::Landed;
use crate::memory::Span;
use crate::notify::FenceCore;
use crate::queue::CompressionSupport;
use crate::staging::Staging;
use crate::stats::GpuStats;

/// Why there is no device.
const WHY: &str = "this build has no Vulkan (feature `vulkan`)";

/// A GPU; there is none in this build.
#[derive(Clone, Debug)]
pub enum GpuDevice {}

/// Part of a GPU resource; there is none in this build.
#[derive(Clone, Debug)]
pub enum GpuDestination {}

/// A part of a GPU resource, as error records and logs name it; there is none in this build.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum GpuPlaceInfo {}

/// Puts bytes into GPU resources; there is none in this build.
#[derive(Debug)]
pub(crate) enum Placer {}

/// A placer's thread.
#[derive(Debug)]
pub(crate) enum PlacerThread {}

impl GpuDevice {
    /// Opens nothing.
    ///
    /// # Errors
    /// Always: this build has no Vulkan.
    pub(crate) fn open_for(_options: &str) -> Result<GpuDevice, (Error, String)> {
        Err((Error::InvalidDestinationType, WHY.to_owned()))
    }

    pub(crate) fn is_same(&self, _other: &GpuDevice) -> bool {
        match *self {}
    }

    /// The device's name.
    pub fn name(&self) -> &str {
        match *self {}
    }
}

/// Why no GPU can be used here.
pub(crate) fn unavailable() -> Option<&'static str> {
    Some(WHY)
}

impl GpuDestination {
    /// Its size in bytes.
    pub fn bytes(&self) -> usize {
        match *self {}
    }

    pub(crate) fn check(&self, _device: &GpuDevice) -> Result<(), Error> {
        match *self {}
    }

    pub(crate) fn check_source(&self, _device: &GpuDevice) -> Result<(), Error> {
        match *self {}
    }

    pub(crate) fn complaint(&self, _device: &GpuDevice) -> Option<String> {
        match *self {}
    }

    pub(crate) fn info(&self) -> GpuPlaceInfo {
        match *self {}
    }
}

impl fmt::Display for GpuPlaceInfo {
    fn fmt(&self, _f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {}
    }
}

impl Placer {
    pub(crate) fn device(&self) -> &GpuDevice {
        match *self {}
    }

    pub(crate) fn staging(&self) -> &Staging {
        match *self {}
    }

    pub(crate) fn stats(&self) -> GpuStats {
        match *self {}
    }

    pub(crate) fn decodes(&self, _asked: GpuDecode, _bytes: u32, _waiting: usize) -> bool {
        match *self {}
    }

    pub(crate) fn compression_support(&self, _asked: GpuDecode) -> CompressionSupport {
        match *self {}
    }

    pub(crate) fn make_decoder(&self, _asked: GpuDecode) {
        match *self {}
    }

    pub(crate) fn place(&self, _landed: impl Iterator<Item = Landed>) {
        match *self {}
    }
}

impl PlacerThread {
    pub(crate) fn start(device: &GpuDevice, _staging_bytes: usize) -> Result<PlacerThread, Error> {
        match *device {}
    }

    pub(crate) fn placer(&self) -> &Arc<Placer> {
        match *self {}
    }
}

/// What ties a fence to a semaphore; there is none in this build.
#[derive(Debug)]
pub(crate) enum FenceLink {}

impl FenceLink {
    pub(crate) fn semaphore(&self) -> u64 {
        match *self {}
    }

    pub(crate) fn value(&self) -> u64 {
        match *self {}
    }

    pub(crate) fn signal(&self, _value: u64) {
        match *self {}
    }

    pub(crate) fn watch(&self, _fence: &Arc<FenceCore>, _value: u64) {
        match *self {}
    }
}

/// Memory that a device and the host share; there is none in this build.
#[derive(Debug)]
pub(crate) enum SharedMemory {}

impl SharedMemory {
    pub(crate) fn new(device: &GpuDevice, _bytes: usize) -> Result<SharedMemory, Error> {
        match *device {}
    }

    pub(crate) fn span(&self, _offset: usize, _bytes: usize) -> Span {
        match *self {}
    }
}
