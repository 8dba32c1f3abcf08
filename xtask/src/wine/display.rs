//! A display that nobody sees: Wine's Direct3D 12 makes no device without one.
//!
//! An Xvfb of our own, under a number that it finds itself, for as long as the value lives.
#![forbid(unsafe_code)]

use crate::sh;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

/// The drivers of the processor's own Vulkan, by the names that Debian's releases give them. Others are
/// not asked: results would be the machine's.
pub(crate) const VULKAN_DRIVERS: &str =
    "/usr/share/vulkan/icd.d/lvp_icd.x86_64.json:/usr/share/vulkan/icd.d/lvp_icd.json";

/// A running X server.
pub(crate) struct Display {
    server: Child,
    name: String,
}

impl Display {
    /// Starts one.
    pub(crate) fn start() -> Result<Display, String> {
        if !sh::have("Xvfb") {
            return Err("Xvfb is not here".into());
        }
        let mut server = Command::new("Xvfb")
            .args(["-displayfd", "1", "-screen", "0", "640x480x24"])
            .args(["-nolisten", "tcp"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|e| format!("cannot start Xvfb: {e}"))?;
        // It says its number when it is ready, and nothing if it cannot be.
        let mut number = String::new();
        let said = server.stdout.take().expect("piped above");
        let read = BufReader::new(said).read_line(&mut number);
        let name = format!(":{}", number.trim());
        let display = Display { server, name };
        match read {
            Ok(_) if !number.trim().is_empty() => Ok(display),
            _ => Err("Xvfb does not start".into()),
        }
    }

    /// For DISPLAY.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }
}

impl Drop for Display {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}
