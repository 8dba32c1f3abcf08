//! Handles of foreign languages: a shared object's address, owned on the other side.
//!
//! [`File`](crate::File), [`StatusArray`](crate::StatusArray), [`Fence`](crate::Fence) and
//! [`Event`](crate::Event) cross the C ABI as the address of their shared part, so that an error
//! record can name the very object that the caller passed. The only place where they are taken back.

use std::sync::Arc;

/// A shared object that a foreign language can own by address.
pub trait Handle: Sized {
    /// The shared part; opaque.
    type Core;

    /// The object of a shared part.
    fn from_arc(core: Arc<Self::Core>) -> Self;

    /// The shared part of the object.
    fn into_arc(self) -> Arc<Self::Core>;

    /// The shared part, still owned by `self`.
    fn as_arc(&self) -> &Arc<Self::Core>;

    /// The handle's address; still owned by `self`.
    fn as_raw(&self) -> *const Self::Core {
        Arc::as_ptr(self.as_arc())
    }

    /// Gives the handle to a foreign language; [`Handle::from_raw`] takes it back.
    fn into_raw(self) -> *const Self::Core {
        Arc::into_raw(self.into_arc())
    }

    /// Takes back what [`Handle::into_raw`] gave.
    ///
    /// # Safety
    /// As for [`Arc::from_raw`]: `raw` comes from [`Handle::into_raw`] of the same type, and is
    /// taken back once.
    unsafe fn from_raw(raw: *const Self::Core) -> Self {
        // SAFETY: passed on to the caller.
        Self::from_arc(unsafe { Arc::from_raw(raw) })
    }
}

/// Says that `$handle` is a tuple of one `Arc<$core>`.
macro_rules! shared_handle {
    ($handle:ident, $core:ident) => {
        impl $crate::handle::Handle for $handle {
            type Core = $core;

            fn from_arc(core: std::sync::Arc<$core>) -> $handle {
                $handle(core)
            }

            fn into_arc(self) -> std::sync::Arc<$core> {
                self.0
            }

            fn as_arc(&self) -> &std::sync::Arc<$core> {
                &self.0
            }
        }
    };
}

pub(crate) use shared_handle;
