//! What a physical device can do, asked without side effects.
//!
//! Owns the list of what is needed and what is optional. A device that lacks something needed is
//! named with the reason; nothing optional is ever assumed.

use std::ffi::CStr;

use ash::{ext, khr, nv, vk};

use super::error::GpuError;

/// What sort of device this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum DeviceKind {
    /// The processor itself, under a software driver such as lavapipe.
    Software,
    /// Anything the driver does not name.
    Other,
    /// A GPU of a virtual machine.
    Virtual,
    /// A GPU that shares its memory with the processor.
    Integrated,
    /// A GPU with memory of its own.
    Discrete,
}

impl DeviceKind {
    /// A lower-case word for logs and `ds info`.
    pub fn name(self) -> &'static str {
        match self {
            DeviceKind::Software => "software",
            DeviceKind::Other => "other",
            DeviceKind::Virtual => "virtual",
            DeviceKind::Integrated => "integrated",
            DeviceKind::Discrete => "discrete",
        }
    }
}

/// What was found out about a device.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Caps {
    /// The device's name, as the driver gives it.
    pub name: String,
    /// The driver's name and version, as it gives them; empty if it gives none.
    pub driver: String,
    /// What sort of device it is.
    pub kind: DeviceKind,
    /// Its Vulkan version: major, minor, patch.
    pub api_version: [u32; 3],
    /// Lanes of a subgroup by default.
    pub subgroup_lanes: u32,
    /// The fewest and most lanes a pipeline may ask for; both `subgroup_lanes` where it may not ask.
    pub subgroup_lanes_range: [u32; 2],
    /// Compute shaders have votes, ballots, shuffles and arithmetic over subgroups.
    pub subgroup_operations: bool,
    /// A pipeline may ask for a subgroup size, and for full subgroups (`VK_EXT_subgroup_size_control`).
    pub subgroup_size_control: bool,
    /// Timeline semaphores.
    pub timeline_semaphore: bool,
    /// Buffers have addresses that shaders can use.
    pub buffer_device_address: bool,
    /// Shaders can load and store single bytes.
    pub storage_8bit: bool,
    /// Shaders have integers of 16 bits.
    pub int16: bool,
    /// Shaders have integers of 64 bits.
    pub int64: bool,
    /// The Vulkan memory model.
    pub memory_model: bool,
    /// Block-compressed images: BC.
    pub texture_bc: bool,
    /// Block-compressed images: ETC2 and EAC.
    pub texture_etc2: bool,
    /// Block-compressed images: ASTC, low dynamic range.
    pub texture_astc: bool,
    /// `VK_KHR_synchronization2`.
    pub synchronization2: bool,
    /// `VK_EXT_external_memory_host`.
    pub external_memory_host: bool,
    /// `VK_KHR_external_semaphore_fd`.
    pub external_semaphore_fd: bool,
    /// `VK_NV_memory_decompression` with GDeflate 1.0.
    pub decompression_nv: bool,
    /// The driver has `VK_EXT_memory_decompression`. Only shown: nothing uses it.
    pub decompression_ext: bool,
    /// `VK_KHR_pipeline_executable_properties`: registers and the like can be shown.
    pub executable_properties: bool,
    /// Nanoseconds of one tick of a timestamp; 0 where the compute family has none.
    pub timestamp_ns: f64,
    /// The largest buffer, in bytes.
    pub buffer_bytes_max: u64,
    /// The queue family that work goes to, and how many queues it has.
    pub queue_family: u32,
    /// How many queues that family has.
    pub queue_count: u32,
    /// Whether that family has no graphics beside compute.
    pub compute_only: bool,
}

impl Caps {
    /// What is missing for this device to be used at all.
    pub fn missing(&self) -> Option<String> {
        let [major, minor, _] = self.api_version;
        if (major, minor) < (1, 2) {
            return Some(format!("Vulkan 1.2 (it has {major}.{minor})"));
        }
        let missing = first_missing(&[
            (self.timeline_semaphore, "timeline semaphores"),
            (self.queue_count > 0, "a queue with compute"),
        ]);
        missing.map(str::to_owned)
    }

    /// What is missing for the tile decoder's shader to run on it.
    pub fn missing_for_shader(&self) -> Option<&'static str> {
        first_missing(&[
            (self.buffer_device_address, "bufferDeviceAddress"),
            (self.storage_8bit, "storageBuffer8BitAccess"),
            (self.int16, "shaderInt16"),
            (self.memory_model, "vulkanMemoryModel"),
        ])
    }

    /// What is missing, beyond that, for the shader whose tiles are subgroups of 32.
    pub fn missing_for_subgroup_shader(&self) -> Option<&'static str> {
        let [least, most] = self.subgroup_lanes_range;
        let fixed = [least, most] == [32, 32];
        first_missing(&[
            (self.int64, "shaderInt64"),
            (
                self.subgroup_operations,
                "subgroup votes, ballots, shuffles and arithmetic in compute shaders",
            ),
            (
                fixed || (self.subgroup_size_control && (least..=most).contains(&32)),
                "subgroups of 32",
            ),
        ])
    }
}

fn first_missing(needed: &[(bool, &'static str)]) -> Option<&'static str> {
    let missing = needed.iter().find(|(there, _)| !there);
    missing.map(|(_, what)| *what)
}

/// The structures that `vkGetPhysicalDeviceFeatures2` fills, those of extensions that are there.
#[derive(Default)]
pub(super) struct Features {
    pub(super) core: vk::PhysicalDeviceFeatures,
    pub(super) v12: vk::PhysicalDeviceVulkan12Features<'static>,
    pub(super) size_control: vk::PhysicalDeviceSubgroupSizeControlFeatures<'static>,
    pub(super) synchronization2: vk::PhysicalDeviceSynchronization2Features<'static>,
    pub(super) decompression_nv: vk::PhysicalDeviceMemoryDecompressionFeaturesNV<'static>,
    pub(super) executable: vk::PhysicalDevicePipelineExecutablePropertiesFeaturesKHR<'static>,
}

/// Asks everything.
pub(super) fn probe(instance: &ash::Instance, device: vk::PhysicalDevice) -> Caps {
    // SAFETY: a device of this live instance.
    let properties = unsafe { instance.get_physical_device_properties(device) };
    let version = properties.api_version;
    let mut caps = identity(&properties);
    if version < vk::API_VERSION_1_2 {
        return caps;
    }
    let extensions = Extensions::of(instance, device);
    let at_1_3 = version >= vk::API_VERSION_1_3;
    subgroups_and_driver(instance, device, &extensions, at_1_3, &mut caps);
    features(instance, device, &extensions, at_1_3, &mut caps);
    queue_family(instance, device, &properties, &mut caps);
    caps
}

fn identity(properties: &vk::PhysicalDeviceProperties) -> Caps {
    let version = properties.api_version;
    let kind = match properties.device_type {
        vk::PhysicalDeviceType::DISCRETE_GPU => DeviceKind::Discrete,
        vk::PhysicalDeviceType::INTEGRATED_GPU => DeviceKind::Integrated,
        vk::PhysicalDeviceType::VIRTUAL_GPU => DeviceKind::Virtual,
        vk::PhysicalDeviceType::CPU => DeviceKind::Software,
        _ => DeviceKind::Other,
    };
    Caps {
        name: text(properties.device_name_as_c_str().ok()),
        driver: String::new(),
        kind,
        api_version: [
            vk::api_version_major(version),
            vk::api_version_minor(version),
            vk::api_version_patch(version),
        ],
        subgroup_lanes: 0,
        subgroup_lanes_range: [0, 0],
        subgroup_operations: false,
        subgroup_size_control: false,
        timeline_semaphore: false,
        buffer_device_address: false,
        storage_8bit: false,
        int16: false,
        int64: false,
        memory_model: false,
        texture_bc: false,
        texture_etc2: false,
        texture_astc: false,
        synchronization2: false,
        external_memory_host: false,
        external_semaphore_fd: false,
        decompression_nv: false,
        decompression_ext: false,
        executable_properties: false,
        timestamp_ns: 0.0,
        buffer_bytes_max: u64::from(u32::MAX),
        queue_family: 0,
        queue_count: 0,
        compute_only: false,
    }
}

fn text(text: Option<&CStr>) -> String {
    text.map_or_else(String::new, |text| text.to_string_lossy().into_owned())
}

/// The names of a device's extensions.
struct Extensions(Vec<vk::ExtensionProperties>);

impl Extensions {
    fn of(instance: &ash::Instance, device: vk::PhysicalDevice) -> Extensions {
        // SAFETY: a device of this live instance.
        let list = unsafe { instance.enumerate_device_extension_properties(device) };
        // A device that cannot say what it has is taken to have nothing.
        Extensions(list.unwrap_or_default())
    }

    fn has(&self, name: &CStr) -> bool {
        let mut names = self.0.iter().map(|e| e.extension_name_as_c_str());
        names.any(|found| found == Ok(name))
    }
}

fn subgroups_and_driver(
    instance: &ash::Instance,
    device: vk::PhysicalDevice,
    extensions: &Extensions,
    at_1_3: bool,
    caps: &mut Caps,
) {
    let has_sizes = at_1_3 || extensions.has(ext::subgroup_size_control::NAME);
    let mut v11 = vk::PhysicalDeviceVulkan11Properties::default();
    let mut v12 = vk::PhysicalDeviceVulkan12Properties::default();
    let mut sizes = vk::PhysicalDeviceSubgroupSizeControlProperties::default();
    let mut maintenance = vk::PhysicalDeviceMaintenance4Properties::default();
    let mut all = vk::PhysicalDeviceProperties2::default()
        .push_next(&mut v11)
        .push_next(&mut v12);
    if has_sizes {
        all = all.push_next(&mut sizes);
    }
    if at_1_3 {
        all = all.push_next(&mut maintenance);
    }
    // SAFETY: a device of this live instance, and structures that its version and extensions know.
    unsafe { instance.get_physical_device_properties2(device, &mut all) };

    let operations = vk::SubgroupFeatureFlags::BASIC
        | vk::SubgroupFeatureFlags::VOTE
        | vk::SubgroupFeatureFlags::ARITHMETIC
        | vk::SubgroupFeatureFlags::BALLOT
        | vk::SubgroupFeatureFlags::SHUFFLE;
    let driver_name = text(v12.driver_name_as_c_str().ok());
    let driver_info = text(v12.driver_info_as_c_str().ok());
    caps.driver = format!("{driver_name} {driver_info}").trim().to_owned();
    caps.subgroup_lanes = v11.subgroup_size;
    caps.subgroup_operations = v11.subgroup_supported_operations.contains(operations)
        && (v11.subgroup_supported_stages).contains(vk::ShaderStageFlags::COMPUTE);
    caps.subgroup_lanes_range = [v11.subgroup_size; 2];
    let settable = vk::ShaderStageFlags::COMPUTE;
    if has_sizes && sizes.required_subgroup_size_stages.contains(settable) {
        caps.subgroup_lanes_range = [sizes.min_subgroup_size, sizes.max_subgroup_size];
    }
    if at_1_3 {
        caps.buffer_bytes_max = maintenance.max_buffer_size;
    }
    let allocation_max = v11.max_memory_allocation_size;
    caps.buffer_bytes_max = caps.buffer_bytes_max.min(allocation_max);
}

fn features(
    instance: &ash::Instance,
    device: vk::PhysicalDevice,
    extensions: &Extensions,
    at_1_3: bool,
    caps: &mut Caps,
) {
    let has_sizes = at_1_3 || extensions.has(ext::subgroup_size_control::NAME);
    let has_sync = at_1_3 || extensions.has(khr::synchronization2::NAME);
    let has_nv = extensions.has(nv::memory_decompression::NAME);
    let has_executable = extensions.has(khr::pipeline_executable_properties::NAME);
    let mut found = Features::default();
    let mut all = vk::PhysicalDeviceFeatures2::default().push_next(&mut found.v12);
    if has_sizes {
        all = all.push_next(&mut found.size_control);
    }
    if has_sync {
        all = all.push_next(&mut found.synchronization2);
    }
    if has_nv {
        all = all.push_next(&mut found.decompression_nv);
    }
    if has_executable {
        all = all.push_next(&mut found.executable);
    }
    // SAFETY: a device of this live instance, and structures that its version and extensions know.
    unsafe { instance.get_physical_device_features2(device, &mut all) };
    let core = all.features;

    caps.timeline_semaphore = found.v12.timeline_semaphore == vk::TRUE;
    caps.buffer_device_address = found.v12.buffer_device_address == vk::TRUE;
    caps.storage_8bit = found.v12.storage_buffer8_bit_access == vk::TRUE;
    caps.memory_model = found.v12.vulkan_memory_model == vk::TRUE;
    caps.texture_bc = core.texture_compression_bc == vk::TRUE;
    caps.texture_etc2 = core.texture_compression_etc2 == vk::TRUE;
    caps.texture_astc = core.texture_compression_astc_ldr == vk::TRUE;
    caps.int16 = core.shader_int16 == vk::TRUE;
    caps.int64 = core.shader_int64 == vk::TRUE;
    caps.subgroup_size_control = found.size_control.subgroup_size_control == vk::TRUE
        && found.size_control.compute_full_subgroups == vk::TRUE;
    caps.synchronization2 = found.synchronization2.synchronization2 == vk::TRUE;
    caps.decompression_nv = found.decompression_nv.memory_decompression == vk::TRUE
        && caps.buffer_device_address
        && speaks_gdeflate(instance, device);
    caps.executable_properties = found.executable.pipeline_executable_info == vk::TRUE;
    caps.decompression_ext = extensions.has(c"VK_EXT_memory_decompression");
    caps.external_memory_host = extensions.has(ext::external_memory_host::NAME);
    caps.external_semaphore_fd = extensions.has(khr::external_semaphore_fd::NAME);
}

/// Whether `VK_NV_memory_decompression`, which the device has, knows GDeflate 1.0.
fn speaks_gdeflate(instance: &ash::Instance, device: vk::PhysicalDevice) -> bool {
    let mut nv = vk::PhysicalDeviceMemoryDecompressionPropertiesNV::default();
    let mut all = vk::PhysicalDeviceProperties2::default().push_next(&mut nv);
    // SAFETY: a device of this live instance; the caller saw the extension.
    unsafe { instance.get_physical_device_properties2(device, &mut all) };
    let gdeflate = vk::MemoryDecompressionMethodFlagsNV::GDEFLATE_1_0;
    nv.decompression_methods.contains(gdeflate)
}

/// The family for our work: compute without graphics where there is one, which on the GPUs measured
/// decodes faster and does not stand in a renderer's way.
fn queue_family(
    instance: &ash::Instance,
    device: vk::PhysicalDevice,
    properties: &vk::PhysicalDeviceProperties,
    caps: &mut Caps,
) {
    // SAFETY: a device of this live instance.
    let families = unsafe { instance.get_physical_device_queue_family_properties(device) };
    let of_flags = |family: &vk::QueueFamilyProperties| {
        let flags = family.queue_flags;
        let graphics = flags.contains(vk::QueueFlags::GRAPHICS);
        (flags.contains(vk::QueueFlags::COMPUTE) && family.queue_count > 0).then_some(graphics)
    };
    let compute = (0..)
        .zip(&families)
        .filter_map(|(index, family)| Some((of_flags(family)?, index, family)));
    let best = compute.min_by_key(|(graphics, index, _)| (*graphics, *index));
    if let Some((graphics, index, family)) = best {
        set_family(index, graphics, family, properties, caps);
    }
}

fn set_family(
    index: u32,
    graphics: bool,
    family: &vk::QueueFamilyProperties,
    properties: &vk::PhysicalDeviceProperties,
    caps: &mut Caps,
) {
    caps.queue_family = index;
    caps.queue_count = family.queue_count;
    caps.compute_only = !graphics;
    caps.timestamp_ns = match family.timestamp_valid_bits {
        0 => 0.0,
        _ => f64::from(properties.limits.timestamp_period),
    };
}

/// Takes this family instead of the best one.
///
/// # Errors
/// There is no such family, or it cannot compute.
pub(super) fn use_family(
    instance: &ash::Instance,
    device: vk::PhysicalDevice,
    index: u32,
    caps: &mut Caps,
) -> Result<(), GpuError> {
    // SAFETY: a device of this live instance.
    let families = unsafe { instance.get_physical_device_queue_family_properties(device) };
    // SAFETY: as above.
    let properties = unsafe { instance.get_physical_device_properties(device) };
    let family = families.get(index as usize);
    let family = family.ok_or(GpuError::Argument("the device has no such queue family"))?;
    if !family.queue_flags.contains(vk::QueueFlags::COMPUTE) {
        return Err(GpuError::Argument("queues of this family cannot compute"));
    }
    let graphics = family.queue_flags.contains(vk::QueueFlags::GRAPHICS);
    set_family(index, graphics, family, &properties, caps);
    Ok(())
}
