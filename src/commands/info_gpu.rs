//! The GPUs in `ds info`: what each can do, which way it is used, and why.

use serde_json::{Value, json};

/// Names and values, in words.
#[cfg(feature = "vulkan")]
pub(crate) fn facts() -> Vec<(String, String)> {
    let devices = match ds_core::gpu::devices() {
        Ok(devices) if devices.is_empty() => return vec![none("the drivers offer no device")],
        Ok(devices) => devices,
        Err(error) => return vec![none(&error.to_string())],
    };
    let mut facts = Vec::new();
    for (number, device) in devices.iter().enumerate() {
        let caps = &device.caps;
        let [major, minor, patch] = caps.api_version;
        let fact = |name: &str, value: String| (format!("{number} {name}"), value);
        facts.push(fact("name", caps.name.clone()));
        facts.push(fact("driver", caps.driver.clone()));
        facts.push(fact("kind", caps.kind.name().to_owned()));
        facts.push(fact("Vulkan", format!("{major}.{minor}.{patch}")));
        if let Some(why) = &device.unusable {
            facts.push(fact("usable", format!("no: it lacks {why}")));
            continue;
        }
        let sort = if caps.compute_only {
            "compute only"
        } else {
            "graphics and compute"
        };
        let (family, count) = (caps.queue_family, caps.queue_count);
        let queues = format!("family {family}, {sort}, {count} queues of which at most 4 are used");
        facts.push(fact("queues", queues));
        let [least, most] = caps.subgroup_lanes_range;
        facts.push(fact("subgroup", format!("{least} to {most} lanes")));
        let (there, missing) = features(caps);
        facts.push(fact("has", there));
        facts.push(fact("lacks", missing));
        facts.push(fact("GDeflate", ds_core::gpu::explain_decoding(caps)));
    }
    facts
}

#[cfg(feature = "vulkan")]
fn none(why: &str) -> (String, String) {
    ("none".to_owned(), why.to_owned())
}

/// What is optional: there, and not there.
#[cfg(feature = "vulkan")]
fn features(caps: &ds_core::gpu::Caps) -> (String, String) {
    let (there, missing): (Vec<_>, Vec<_>) = optional(caps).into_iter().partition(|f| f.1);
    let list = |features: Vec<(&str, bool)>| match features.is_empty() {
        true => "nothing optional".to_owned(),
        false => features.iter().map(|f| f.0).collect::<Vec<_>>().join(", "),
    };
    (list(there), list(missing))
}

#[cfg(feature = "vulkan")]
fn optional(caps: &ds_core::gpu::Caps) -> [(&'static str, bool); 8] {
    [
        ("buffer device addresses", caps.buffer_device_address),
        ("8-bit storage", caps.storage_8bit),
        ("subgroup size control", caps.subgroup_size_control),
        ("synchronization2", caps.synchronization2),
        ("external_memory_host", caps.external_memory_host),
        ("external_semaphore_fd", caps.external_semaphore_fd),
        ("NV_memory_decompression", caps.decompression_nv),
        ("EXT_memory_decompression", caps.decompression_ext),
    ]
}

/// The same for programs.
#[cfg(feature = "vulkan")]
pub(crate) fn as_json() -> Value {
    let devices = match ds_core::gpu::devices() {
        Ok(devices) => devices,
        Err(error) => return json!({ "devices": [], "reason": error.to_string() }),
    };
    let device = |device: &ds_core::gpu::DeviceInfo| {
        let caps = &device.caps;
        let features = optional(caps).map(|(name, there)| (name.to_owned(), Value::from(there)));
        json!({
            "name": caps.name,
            "driver": caps.driver,
            "kind": caps.kind.name(),
            "vulkan": caps.api_version,
            "usable": device.unusable.is_none(),
            "reason": device.unusable,
            "queue_family": caps.queue_family,
            "queue_count": caps.queue_count,
            "compute_only": caps.compute_only,
            "subgroup_lanes": caps.subgroup_lanes_range,
            "features": serde_json::Map::from_iter(features),
            "gdeflate": ds_core::gpu::explain_decoding(caps),
        })
    };
    json!({ "devices": devices.iter().map(device).collect::<Vec<_>>(), "reason": null })
}

#[cfg(not(feature = "vulkan"))]
const WHY: &str = "this build has no Vulkan (feature `vulkan`)";

/// Why there are none.
#[cfg(not(feature = "vulkan"))]
pub(crate) fn facts() -> Vec<(String, String)> {
    vec![("none".to_owned(), WHY.to_owned())]
}

/// The same for programs.
#[cfg(not(feature = "vulkan"))]
pub(crate) fn as_json() -> Value {
    json!({ "devices": [], "reason": WHY })
}
