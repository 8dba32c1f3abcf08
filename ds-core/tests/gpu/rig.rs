//! A device for one test, and the check that the validation layers had nothing to say.
#![forbid(unsafe_code)]

use std::ops::Deref;
use std::sync::Arc;

use ds_core::gpu::{Device, DeviceOptions, GpuError};

/// A device under validation; dropping it fails the test if the layers complained.
pub(crate) struct Validated(Arc<Device>);

impl Deref for Validated {
    type Target = Arc<Device>;
    fn deref(&self) -> &Arc<Device> {
        &self.0
    }
}

impl Drop for Validated {
    fn drop(&mut self) {
        let messages = self.0.take_messages();
        // A second panic would hide the first one's message.
        if !std::thread::panicking() {
            assert!(messages.is_empty(), "validation: {messages:#?}");
        }
    }
}

/// A device, or a line that says why this test proves nothing here.
pub(crate) fn device(test: &str) -> Option<Validated> {
    let options = DeviceOptions {
        validate: true,
        ..DeviceOptions::default()
    };
    match Device::open(&options) {
        Ok(device) => {
            if !device.is_validated() {
                println!("SKIPPED: {test}: the validation layers are not installed; run without");
            }
            Some(Validated(device))
        }
        Err(why @ (GpuError::NoLoader(_) | GpuError::NoDevice(_))) => {
            println!("SKIPPED: {test}: {why}");
            None
        }
        Err(error) => panic!("{error}"),
    }
}
