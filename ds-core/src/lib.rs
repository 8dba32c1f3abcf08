//! The engine of ds-runtime: DirectStorage's queues over Linux I/O, with GDeflate.
//!
//! A [`Runtime`] owns the threads, a [`Queue`] takes [`Request`]s, and a [`StatusArray`], [`Fence`]
//! or [`Event`] says when they are done:
//!
//! ```
//! use ds_core::{Buffer, Config, File, QueueDesc, Request, Runtime, StatusArray};
//!
//! # fn main() -> Result<(), ds_core::Error> {
//! let runtime = Runtime::new(Config::default())?;
//! let queue = runtime.create_queue(QueueDesc::new(128))?;
//! let file = File::open(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"))?;
//! let mut buffer = Buffer::new(64);
//! let done = StatusArray::new(1, None);
//!
//! queue.enqueue_request(Request::read(&file, 0, 64, buffer.lend().expect("a new buffer is not lent")));
//! queue.enqueue_status(Some(&done), 0);
//! queue.submit();
//! assert_eq!(done.wait(0, None), Some(ds_core::S_OK));
//! assert!(buffer.bytes().expect("the request is done").starts_with(b"[package]"));
//! # Ok(())
//! # }
//! ```
//!
//! What things are called and how they behave follows Microsoft's DirectStorage API; where this
//! library differs on purpose, the item says so.

// Without Vulkan there are no devices, and the compiler notices that what is done with one is never done.
#![cfg_attr(
    not(feature = "vulkan"),
    allow(dead_code, unreachable_code, unused_variables)
)]

mod backend;
mod config;
mod copies;
mod custom;
mod driver;
mod due;
mod error;
mod file;
mod foreign_pool;
pub mod gdeflate;
mod given;
#[cfg(feature = "vulkan")]
pub mod gpu;
// There are no devices in a build without Vulkan; everything else is the same.
#[cfg(not(feature = "vulkan"))]
#[path = "gpu/absent.rs"]
pub mod gpu;
mod handle;
mod help;
mod hold;
mod host;
mod io;
pub mod logger;
mod memory;
mod notify;
mod open_file;
mod order;
mod prepare;
mod queue;
mod request;
mod runtime;
mod scheduler;
mod slots;
mod staging;
mod state;
mod stats;
mod sys;
mod transfer;
mod warm;

pub use backend::{Backend, Choice, Decoder, GpuDecode, choose};
pub use config::{Config, OPTIONS, OptionSpec, SimConfig, THREADS_MAX, WindowsConfig};
pub use copies::{
    ForeignCopies, ForeignCopy, ForeignDestination, ForeignPlaceInfo, ForeignShown, ForeignSignal,
    ForeignTask, ForeignTo,
};
pub use custom::{CustomDecompressionQueue, CustomRequest, CustomResult, Select};
pub use error::{
    E_PENDING, Error, ErrorCallback, ErrorReport, S_OK, Subsystem, set_error_callback,
};
pub use file::{File, FileCore};
pub use foreign_pool::ForeignPool;
pub use handle::Handle;
pub use memory::{Buffer, MemoryDestination, MemorySource, RawBytes, SharedBytes, Span};
pub use notify::{
    Event, EventCore, Fence, FenceCore, Notification, Notifier, StatusArray, StatusCore,
};
pub use open_file::FileMode;
pub use queue::{
    CAPACITY_MAX, CAPACITY_MAX_DOCUMENTED, CAPACITY_MIN, CompressionSupport, ErrorRecord,
    FailedCommand, FenceWait, FirstFailure, Priority, Queue, QueueDesc, QueueInfo,
};
pub use request::{
    Compression, Destination, FileInfo, Name, PlaceInfo, Request, RequestInfo, Source, SourceType,
    validate,
};
pub use runtime::Runtime;
pub use staging::{STAGING_BYTES_DEFAULT, StagingStats};
pub use stats::{GpuStats, Histogram, IoStats, QueueStats};
pub use sys::without_signals;

/// The version of this library.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
