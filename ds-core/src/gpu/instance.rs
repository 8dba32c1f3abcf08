//! The loader and the instance: the way to the devices of this machine, and the validation layers.
//!
//! Owns the library handle, the instance, and, where validation was asked for, the messages of the
//! layers. A borrowed instance (the application's) is used and never destroyed.

use std::ffi::{CStr, c_void};

use ash::{ext, vk};
use parking_lot::Mutex;

use super::error::GpuError;
use super::probe::{self, Caps};

const VALIDATION_LAYER: &CStr = c"VK_LAYER_KHRONOS_validation";

/// What the validation layers said so far.
pub(super) type Messages = Mutex<Vec<String>>;

/// An instance of our own, or the application's.
pub(super) struct Instance {
    pub(super) raw: ash::Instance,
    validation: Option<Validation>,
    /// Keeps the library open for as long as its functions may be called; `None` if borrowed.
    entry: Option<ash::Entry>,
}

struct Validation {
    debug: ext::debug_utils::Instance,
    messenger: vk::DebugUtilsMessengerEXT,
    /// In a box: the layers hold its address.
    messages: Box<Messages>,
}

impl Instance {
    /// Opens the loader and creates an instance; with `validate`, with the validation layers, if they
    /// are installed.
    pub(super) fn new(validate: bool) -> Result<Instance, GpuError> {
        // SAFETY: loading runs the library's initialisers, which the system's loader has none of
        // that could harm; the entry is kept for as long as anything loaded through it.
        let entry = unsafe { ash::Entry::load() };
        let entry = entry.map_err(|error| GpuError::NoLoader(error.to_string()))?;
        check_version(&entry)?;
        let validate = validate && has_layer(&entry);
        let raw = create(&entry, validate)?;
        let mut instance = Instance {
            raw,
            validation: None,
            entry: Some(entry),
        };
        if validate {
            instance.validation = Some(instance.listen()?);
        }
        Ok(instance)
    }

    /// The application's instance.
    ///
    /// # Safety
    /// `handle` is a live `VkInstance` that `get_instance_proc_addr` knows, and both stay valid for
    /// as long as the result lives.
    pub(super) unsafe fn borrow(
        get_instance_proc_addr: vk::PFN_vkGetInstanceProcAddr,
        handle: vk::Instance,
    ) -> Instance {
        let functions = ash::StaticFn {
            get_instance_proc_addr,
        };
        // SAFETY: the caller's promise, word for word.
        let raw = unsafe { ash::Instance::load(&functions, handle) };
        Instance {
            raw,
            validation: None,
            entry: None,
        }
    }

    /// Whether the validation layers watch this instance.
    pub(super) fn is_validated(&self) -> bool {
        self.validation.is_some()
    }

    /// Takes what the validation layers said since the last call.
    pub(super) fn take_messages(&self) -> Vec<String> {
        let messages = self.validation.as_ref().map(|v| &v.messages);
        messages.map_or(Vec::new(), |messages| std::mem::take(&mut messages.lock()))
    }

    /// Has the layers call us for warnings and errors.
    fn listen(&self) -> Result<Validation, GpuError> {
        let entry = self.entry.as_ref().expect("validation is for our own");
        let debug = ext::debug_utils::Instance::new(entry, &self.raw);
        let messages = Box::new(Messages::default());
        let user_data = (&raw const *messages).cast_mut().cast::<c_void>();
        let info = vk::DebugUtilsMessengerCreateInfoEXT::default()
            .message_severity(
                vk::DebugUtilsMessageSeverityFlagsEXT::WARNING
                    | vk::DebugUtilsMessageSeverityFlagsEXT::ERROR,
            )
            .message_type(
                vk::DebugUtilsMessageTypeFlagsEXT::VALIDATION
                    | vk::DebugUtilsMessageTypeFlagsEXT::PERFORMANCE,
            )
            .pfn_user_callback(Some(on_message))
            .user_data(user_data);
        // SAFETY: the extension was enabled with the instance; `user_data` lives in a box that is
        // dropped after the messenger is destroyed.
        let messenger = unsafe { debug.create_debug_utils_messenger(&info, None) };
        let messenger =
            messenger.map_err(|result| GpuError::call("vkCreateDebugUtilsMessengerEXT", result))?;
        Ok(Validation {
            debug,
            messenger,
            messages,
        })
    }

    pub(super) fn physical_devices(&self) -> Result<Vec<vk::PhysicalDevice>, GpuError> {
        // SAFETY: the instance is alive.
        let devices = unsafe { self.raw.enumerate_physical_devices() };
        devices.map_err(|result| GpuError::call("vkEnumeratePhysicalDevices", result))
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        if let Some(validation) = &self.validation {
            // SAFETY: created from this instance, destroyed once, by its only owner.
            unsafe {
                validation
                    .debug
                    .destroy_debug_utils_messenger(validation.messenger, None)
            };
        }
        if self.entry.is_some() {
            // SAFETY: our own instance; every device of it is gone, since devices own the instance.
            unsafe { self.raw.destroy_instance(None) };
        }
    }
}

/// Vulkan 1.2 is the floor: below it there are no timeline semaphores and no device addresses.
fn check_version(entry: &ash::Entry) -> Result<(), GpuError> {
    // SAFETY: a global command, which needs nothing.
    let version = unsafe { entry.try_enumerate_instance_version() };
    let version = version
        .map_err(|result| GpuError::call("vkEnumerateInstanceVersion", result))?
        .unwrap_or(vk::API_VERSION_1_0);
    if version < vk::API_VERSION_1_2 {
        let minor = vk::api_version_minor(version);
        let why = format!("the loader speaks Vulkan 1.{minor} and 1.2 is needed");
        return Err(GpuError::NoLoader(why));
    }
    Ok(())
}

fn has_layer(entry: &ash::Entry) -> bool {
    // SAFETY: a global command, which needs nothing.
    let layers = unsafe { entry.enumerate_instance_layer_properties() };
    let layers = layers.unwrap_or_default();
    layers
        .iter()
        .any(|layer| layer.layer_name_as_c_str() == Ok(VALIDATION_LAYER))
}

fn create(entry: &ash::Entry, validate: bool) -> Result<ash::Instance, GpuError> {
    let application = vk::ApplicationInfo::default()
        .engine_name(c"ds-runtime")
        .api_version(vk::API_VERSION_1_3);
    let layers = [VALIDATION_LAYER.as_ptr()];
    let extensions = [
        ext::debug_utils::NAME.as_ptr(),
        ext::validation_features::NAME.as_ptr(),
    ];
    let enabled = [vk::ValidationFeatureEnableEXT::SYNCHRONIZATION_VALIDATION];
    let mut features = vk::ValidationFeaturesEXT::default().enabled_validation_features(&enabled);
    let mut info = vk::InstanceCreateInfo::default().application_info(&application);
    if validate {
        info = info
            .enabled_layer_names(&layers)
            .enabled_extension_names(&extensions)
            .push_next(&mut features);
    }
    // SAFETY: all that `info` points to lives in this function; the layer, asked for above, brings
    // both extensions.
    let instance = unsafe { entry.create_instance(&info, None) };
    instance.map_err(|result| match result {
        vk::Result::ERROR_INCOMPATIBLE_DRIVER => {
            GpuError::NoDevice("there is a loader, but no driver".into())
        }
        result => GpuError::call("vkCreateInstance", result),
    })
}

/// Keeps what a layer has to say. Layers call it on any thread.
unsafe extern "system" fn on_message(
    _severity: vk::DebugUtilsMessageSeverityFlagsEXT,
    _kind: vk::DebugUtilsMessageTypeFlagsEXT,
    data: *const vk::DebugUtilsMessengerCallbackDataEXT<'_>,
    user_data: *mut c_void,
) -> vk::Bool32 {
    // SAFETY: the layer passes a structure that is valid during the call.
    let data = unsafe { &*data };
    // SAFETY: what `listen` registered: messages in a box that outlives the messenger.
    let messages = unsafe { &*user_data.cast::<Messages>() };
    // SAFETY: the text is NUL-terminated and valid during the call, or NULL.
    let text = unsafe { data.message_as_c_str() };
    let text = text.map_or_else(String::new, |text| text.to_string_lossy().into_owned());
    messages.lock().push(text);
    vk::FALSE
}

/// A device of this machine: what `ds info` shows.
#[derive(Clone, Debug)]
pub struct DeviceInfo {
    /// What it can do.
    pub caps: Caps,
    /// Why it cannot be used, if it cannot.
    pub unusable: Option<String>,
}

/// Every Vulkan device of this machine, in the driver's order.
pub fn devices() -> Result<Vec<DeviceInfo>, GpuError> {
    let instance = Instance::new(false)?;
    let devices = instance.physical_devices()?;
    let describe = |device| {
        let caps = probe::probe(&instance.raw, device);
        let unusable = caps.missing();
        DeviceInfo { caps, unusable }
    };
    Ok(devices.into_iter().map(describe).collect())
}
