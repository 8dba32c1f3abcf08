//! `ForeignPool`: staging of a host's memory, for bytes whose last copy is made by something that sees that
//! memory itself, a GPU for one.
//!
//! Requests to the host's destinations on a queue with a pool ([`crate::QueueDesc::foreign_pool`]) are read,
//! copied and decoded in its blocks (`given.rs`), compressed bytes on their way among them. One range holds
//! all that a request needs at the same time, so no two requests wait for what the other has.

#![forbid(unsafe_code)]

use std::sync::Arc;

use crate::config::Config;
use crate::copies::Desk;
use crate::error::Error;
use crate::memory::Span;
use crate::runtime::Runtime;
use crate::staging::{Staging, StagingStats};
use crate::sys::PAGE_BYTES;

/// What a pool may have at least, whatever the size of the staging buffer.
const POOL_BYTES_MIN: usize = 16 << 20;
/// What it may have at most: with more, copies are not made any faster.
const POOL_BYTES_MAX: usize = 64 << 20;

/// A pool; clones are the same one. It keeps its runtime alive.
#[derive(Clone, Debug)]
pub struct ForeignPool {
    runtime: Runtime,
    core: Arc<PoolCore>,
}

/// The shared part, which queues and requests hold.
#[derive(Debug)]
pub(crate) struct PoolCore {
    staging: Staging,
}

impl PoolCore {
    pub(crate) fn staging(&self) -> &Staging {
        &self.staging
    }

    /// Says how much memory there may be, for a staging buffer of `staging_bytes`. A range larger than that
    /// may be twice as large as the staging buffer, as for those that the host copies: what is read, and
    /// what is decoded from it.
    pub(crate) fn set_limits(&self, config: &Config, staging_bytes: usize) {
        let all = config.staging_room_max().unwrap_or(usize::MAX);
        let bytes_max = staging_bytes.clamp(POOL_BYTES_MIN, POOL_BYTES_MAX).min(all);
        let twice = staging_bytes.next_multiple_of(PAGE_BYTES).saturating_mul(2);
        self.staging
            .set_limits(bytes_max, twice.max(bytes_max).min(all));
    }
}

/// The last user is gone.
impl Drop for PoolCore {
    fn drop(&mut self) {
        self.staging.close();
    }
}

impl ForeignPool {
    pub(crate) fn new(runtime: &Runtime, desk: &Arc<Desk>, cookie: u64) -> ForeignPool {
        let core = Arc::new(PoolCore {
            staging: Staging::given(Arc::clone(desk), cookie),
        });
        runtime.shared().add_foreign_pool(&core);
        ForeignPool {
            runtime: runtime.clone(),
            core,
        }
    }

    pub(crate) fn core(&self) -> &Arc<PoolCore> {
        &self.core
    }

    /// Whether it was made for that runtime.
    pub(crate) fn is_of(&self, runtime: &Runtime) -> bool {
        Arc::ptr_eq(self.runtime.shared(), runtime.shared())
    }

    /// Gives the pool the block that it asked for ([`crate::ForeignTask::Block`]). The host has `cookie`
    /// back, once, when the engine does not touch the block any more; copies name it. `memory` begins at a
    /// page. Any thread.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] if the pool did not ask, or for more, or has been closed, or if the memory
    /// begins inside a page: then it stays the host's, and what was asked for is to be given or refused.
    pub fn add_block(&self, memory: Span, cookie: u64) -> Result<(), Error> {
        let next = self.core.staging.add_block(memory, cookie)?;
        let shared = self.runtime.shared();
        shared.try_staging_again(&self.core.staging, next);
        Ok(())
    }

    /// There is no block to be had. Requests wait for the blocks that there are; if there are none, the
    /// request that wanted one fails with ENOMEM's error. Any thread.
    pub fn refuse_block(&self) {
        let next = self.core.staging.refuse_block();
        let shared = self.runtime.shared();
        shared.try_staging_again(&self.core.staging, next);
    }

    /// Blocks come back as soon as nobody uses them, and no more are asked for: requests that need one fail.
    pub fn close(&self) {
        self.core.staging.close();
    }

    /// Figures: the cap, and what requests use. A single request may have more than the cap.
    pub fn stats(&self) -> StagingStats {
        self.core.staging.stats()
    }

    /// What the host has given and not got back, in bytes.
    pub fn bytes_given(&self) -> usize {
        self.core.staging.bytes_given()
    }
}
