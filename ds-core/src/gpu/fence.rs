//! `FenceLink`: what ties a [`Fence`] to a timeline semaphore, and the thread that watches semaphores.
//!
//! A queue's signal sets the semaphore from the host, in order, when everything before it is done: a
//! renderer's submission can wait for that on the GPU. The other way round, requests and threads wait
//! for values that the application's queues signal; one thread a device sleeps in one wait for all of
//! them. It runs only where somebody waits for something that has not come yet.
//!
//! After the loss of the device a linked fence reads `u64::MAX`, as Direct3D's do: nobody waits for
//! ever.

use std::sync::{Arc, Weak};
use std::thread::JoinHandle;
use std::time::Duration;

use ash::vk::{self, Handle as _};
use parking_lot::{Condvar, Mutex};

use crate::notify::{Fence, FenceCore};
use crate::runtime::spawn_thread;

use super::device::Device;
use super::error::GpuError;
use super::resource::GpuDevice;
use super::timeline::{Timeline, signal, value_of, wait_any};

/// See the file's head.
#[derive(Debug)]
pub(crate) struct FenceLink {
    semaphore: vk::Semaphore,
    /// Ours; `None` for the application's.
    _own: Option<Timeline>,
    watcher: Arc<Watcher>,
}

impl GpuDevice {
    /// Makes a fence with a timeline semaphore of its own, of the value `initial`.
    ///
    /// # Errors
    /// [`GpuError`]: the device has no memory left, or is lost.
    pub fn create_fence(&self, initial: u64) -> Result<Fence, GpuError> {
        let own = Timeline::new(self.device(), initial)?;
        let semaphore = own.raw();
        let watcher = Watcher::of(self)?;
        Ok(Fence::linked(FenceLink {
            semaphore,
            _own: Some(own),
            watcher,
        }))
    }

    /// A fence with a timeline semaphore of the application's: a signal of a queue sets it, and waits
    /// for the fence end when anybody signals it, the application's queues too.
    ///
    /// Signals with a value that the semaphore has already reached do nothing, since it cannot go back.
    ///
    /// # Errors
    /// [`GpuError::Argument`] for NULL.
    ///
    /// # Safety
    /// `semaphore` is a live timeline semaphore of this device, and stays so until the fence, its clones
    /// and every queue entry with it are gone. Whatever else signals it uses values between those that
    /// queues signal, as Vulkan demands.
    pub unsafe fn import_fence(&self, semaphore: u64) -> Result<Fence, GpuError> {
        if semaphore == 0 {
            return Err(GpuError::Argument("a semaphore that is NULL"));
        }
        let watcher = Watcher::of(self)?;
        Ok(Fence::linked(FenceLink {
            semaphore: vk::Semaphore::from_raw(semaphore),
            _own: None,
            watcher,
        }))
    }
}

impl GpuDevice {
    /// For tests: has the device's first queue signal a fence's semaphore, as a renderer would, past the
    /// fence.
    #[doc(hidden)]
    pub fn signal_by_queue(&self, fence: &Fence, value: u64) -> Result<(), GpuError> {
        let link = fence
            .link()
            .ok_or(GpuError::Argument("not a fence of a device"))?;
        if !link.watcher.shared.device.is_same(self) || link.value() >= value {
            return Err(GpuError::Argument(
                "another device's fence, or a value it has had",
            ));
        }
        let (semaphores, values) = ([link.semaphore], [value]);
        let mut signal =
            vk::TimelineSemaphoreSubmitInfo::default().signal_semaphore_values(&values);
        let submit = vk::SubmitInfo::default()
            .signal_semaphores(&semaphores)
            .push_next(&mut signal);
        // SAFETY: no commands; a live timeline semaphore of this device, and a value it has not had.
        unsafe { self.device().submit(0, &[submit], vk::Fence::null()) }
    }
}

impl FenceLink {
    /// The `VkSemaphore`.
    pub(crate) fn semaphore(&self) -> u64 {
        self.semaphore.as_raw()
    }

    /// The semaphore's value; the greatest there is after the loss of the device.
    pub(crate) fn value(&self) -> u64 {
        value_now(self.watcher.shared.device.device(), self.semaphore)
    }

    /// Sets the semaphore, if the value is a new one. The fence's lock keeps values in order.
    pub(crate) fn signal(&self, value: u64) {
        if self.value() < value {
            let device = self.watcher.shared.device.device();
            if let Err(error) = signal(device, self.semaphore, value) {
                log::error!(target: "ds", "a fence's semaphore was not signalled: {error}");
            }
        }
    }

    /// Has the fence told when the semaphore reaches `value`.
    pub(crate) fn watch(&self, fence: &Arc<FenceCore>, value: u64) {
        self.watcher.watch(Watched {
            fence: Arc::downgrade(fence),
            semaphore: self.semaphore,
            value,
        });
    }
}

impl Drop for FenceLink {
    fn drop(&mut self) {
        self.watcher.forget_gone();
    }
}

/// How long to wait before asking a driver again that had no memory.
const REST: Duration = Duration::from_millis(1);

/// A value that somebody waits for.
#[derive(Debug)]
struct Watched {
    fence: Weak<FenceCore>,
    semaphore: vk::Semaphore,
    value: u64,
}

/// The semaphores of one device that are waited for. Links hold it; the last one ends its thread.
#[derive(Debug)]
struct Watcher {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// What the thread has of it.
#[derive(Debug)]
struct Shared {
    device: GpuDevice,
    wake: Timeline,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    watched: Vec<Watched>,
    /// The thread waits in the device, until `wake` is above `wakes`.
    in_device: bool,
    wakes: u64,
    /// Counts the thread's returns from the device.
    returns: u64,
    stopped: bool,
}

/// The watchers there are, one a device.
static WATCHERS: Mutex<Vec<Weak<Watcher>>> = Mutex::new(Vec::new());

impl Watcher {
    /// The device's watcher, made if there is none.
    fn of(device: &GpuDevice) -> Result<Arc<Watcher>, GpuError> {
        let mut watchers = WATCHERS.lock();
        watchers.retain(|watcher| watcher.strong_count() > 0);
        // Kept until the lock is gone: dropping the last reference to one joins its thread.
        let known: Vec<_> = watchers.iter().filter_map(Weak::upgrade).collect();
        let mut same = known
            .iter()
            .filter(|other| other.shared.device.is_same(device));
        if let Some(watcher) = same.next() {
            let watcher = Arc::clone(watcher);
            drop(watchers);
            return Ok(watcher);
        }
        let watcher = Arc::new(Watcher {
            shared: Arc::new(Shared {
                device: device.clone(),
                wake: Timeline::new(device.device(), 0)?,
                state: Mutex::default(),
                changed: Condvar::new(),
            }),
            thread: Mutex::default(),
        });
        watchers.push(Arc::downgrade(&watcher));
        drop(watchers);
        Ok(watcher)
    }

    fn watch(&self, watched: Watched) {
        let mut thread = self.thread.lock();
        if thread.is_none() {
            let shared = Arc::clone(&self.shared);
            // A failure was reported; whoever waits is woken by the host's signals only.
            *thread = spawn_thread("ds-fence", move || shared.run()).ok();
        }
        drop(thread);
        let mut state = self.shared.state.lock();
        // Another fence of the same semaphore is told by itself.
        let same =
            |other: &Watched| other.value == watched.value && other.fence.ptr_eq(&watched.fence);
        if !state.watched.iter().any(same) {
            state.watched.push(watched);
            self.shared.call(&mut state);
        }
    }

    /// Forgets fences that are gone; returns when the thread waits for them no longer.
    fn forget_gone(&self) {
        let mut state = self.shared.state.lock();
        let before = state.watched.len();
        state
            .watched
            .retain(|watched| watched.fence.strong_count() > 0);
        if state.watched.len() == before || !state.in_device {
            return;
        }
        let returns = state.returns;
        self.shared.call(&mut state);
        while state.returns == returns {
            self.shared.changed.wait(&mut state);
        }
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        let mut state = self.shared.state.lock();
        state.stopped = true;
        self.shared.call(&mut state);
        drop(state);
        // The thread itself may have held the last fence; then it ends by itself.
        if let Some(thread) = self.thread.get_mut().take()
            && thread.thread().id() != std::thread::current().id()
        {
            let _ = thread.join();
        }
    }
}

impl Shared {
    /// Makes the thread look again.
    fn call(&self, state: &mut State) {
        if std::mem::take(&mut state.in_device) {
            state.wakes += 1;
            // It fails when the device is lost, which ends the wait as well.
            let _ = self.wake.signal(state.wakes);
        }
        self.changed.notify_all();
    }

    /// The thread.
    fn run(&self) {
        let mut semaphores = Vec::new();
        let mut values = Vec::new();
        loop {
            for (fence, value) in self.take_reached() {
                if let Some(fence) = fence.upgrade() {
                    Fence::reached(fence, value);
                }
            }
            let mut state = self.state.lock();
            if state.stopped {
                return;
            }
            if state.watched.is_empty() {
                self.changed.wait(&mut state);
                continue;
            }
            semaphores.clear();
            values.clear();
            semaphores.push(self.wake.raw());
            values.push(state.wakes + 1);
            for watched in &state.watched {
                semaphores.push(watched.semaphore);
                values.push(watched.value);
            }
            state.in_device = true;
            drop(state);
            // Of the loss of the device every link hears by itself.
            if let Err(error) = wait_any(self.device.device(), &semaphores, &values, u64::MAX)
                && !error.is_device_lost()
            {
                log::warn!(target: "ds", "waiting for a semaphore: {error}");
                std::thread::sleep(REST);
            }
            let mut state = self.state.lock();
            state.in_device = false;
            state.returns += 1;
            self.changed.notify_all();
        }
    }

    /// Takes out what has been reached.
    fn take_reached(&self) -> Vec<(Weak<FenceCore>, u64)> {
        let device = self.device.device();
        let mut state = self.state.lock();
        let has_come =
            |watched: &mut Watched| value_now(device, watched.semaphore) >= watched.value;
        let reached = state.watched.extract_if(.., has_come);
        reached
            .map(|watched| (watched.fence, watched.value))
            .collect()
    }
}

/// The semaphore's value; the greatest there is after the loss of the device.
fn value_now(device: &Device, semaphore: vk::Semaphore) -> u64 {
    match device.is_lost() {
        true => u64::MAX,
        false => value_of(device, semaphore).unwrap_or(u64::MAX),
    }
}
