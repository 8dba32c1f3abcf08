//! `Marker`: an entry that fires in order, and what the error record and the error callback say of it.
//!
//! Owns the references to what it fires, until it has fired. When that is, is `order.rs`'s to know;
//! `fire.rs` does it.

#![forbid(unsafe_code)]

use std::fmt;

use crate::copies::ForeignSignal;
use crate::handle::Handle;
use crate::notify::{Event, Fence, StatusArray};
use crate::queue::FailedCommand;
use crate::request::Request;

/// An entry that fires in order.
#[derive(Debug)]
pub(crate) enum Marker {
    Status(Option<StatusArray>, u32),
    Signal(Option<Fence>, u64),
    Event(Option<Event>),
    /// A signal that the host makes; gone once it has been handed over.
    Foreign(Option<ForeignSignal>),
}

impl Marker {
    pub(super) fn command(&self) -> FailedCommand {
        match self {
            Marker::Status(array, index) => FailedCommand::Status(
                array.as_ref().map_or(0, |array| array.as_raw().addr()),
                *index,
            ),
            Marker::Signal(fence, value) => FailedCommand::Signal(
                fence.as_ref().map_or(0, |fence| fence.as_raw().addr()),
                *value,
            ),
            Marker::Event(event) => {
                FailedCommand::Event(event.as_ref().map_or(0, |event| event.as_raw().addr()))
            }
            Marker::Foreign(signal) => {
                FailedCommand::Signal(0, signal.as_ref().map_or(0, ForeignSignal::value))
            }
        }
    }

    pub(super) fn operation(&self) -> &'static str {
        match self {
            Marker::Status(..) => "status",
            Marker::Signal(..) | Marker::Foreign(_) => "signal",
            Marker::Event(..) => "set event",
        }
    }
}

impl fmt::Display for Marker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Marker::Status(Some(array), index) => {
                let name = array.name().unwrap_or("without a name");
                write!(
                    f,
                    "index {index} of a status array of {}, {name}",
                    array.capacity()
                )
            }
            Marker::Status(None, index) => write!(f, "index {index} of no status array"),
            Marker::Signal(_, value) => write!(f, "value {value}"),
            Marker::Foreign(Some(signal)) => write!(f, "value {}", signal.value()),
            Marker::Foreign(None) => f.write_str("a value"),
            Marker::Event(_) => f.write_str("no event"),
        }
    }
}

/// Something that was to be enqueued, for the error record.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Command<'a> {
    Request(&'a Request),
    Marker(&'a Marker),
}
