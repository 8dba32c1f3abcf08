//! Fences that go with a timeline semaphore: signalled by queues for the GPU, and waited for by
//! requests when somebody else signals.

use std::time::Duration;

use ds_core::gpu::GpuDevice;
use ds_core::{Buffer, Config, Event, FenceWait, File, QueueDesc, Request, Runtime, StatusArray};

use crate::rig;

#[test]
fn a_fence_of_a_device_counts_as_any_other() {
    let Some(device) = rig::device("a_fence_of_a_device_counts_as_any_other") else {
        return;
    };
    let device = GpuDevice::from(device.clone());
    let fence = device.create_fence(3).unwrap();
    assert!(fence.vulkan_semaphore().is_some_and(|raw| raw != 0));
    assert_eq!(fence.value(), 3);
    let event = Event::new().unwrap();
    fence.set_event_at(5, &event);
    assert!(!fence.wait(4, Some(Duration::from_millis(20))));
    fence.signal(4);
    assert!(fence.wait(4, None) && !event.take());
    std::thread::scope(|scope| {
        let waiter = scope.spawn(|| fence.wait(9, None));
        std::thread::sleep(Duration::from_millis(20));
        fence.signal(9);
        assert!(waiter.join().unwrap());
    });
    assert!(event.take());
    fence.signal(2);
    assert_eq!(fence.value(), 9, "a semaphore does not go back");
}

#[test]
fn fences_of_one_semaphore_are_told_each_for_itself() {
    let Some(device) = rig::device("fences_of_one_semaphore_are_told_each_for_itself") else {
        return;
    };
    let device = GpuDevice::from(device.clone());
    let first = device.create_fence(0).unwrap();
    let raw = first.vulkan_semaphore().unwrap();
    // SAFETY: the first fence keeps its semaphore until the end of this test.
    let import = || unsafe { device.import_fence(raw) }.unwrap();
    let (second, third) = (import(), import());
    let events = [(); 3].map(|()| Event::new().unwrap());
    first.set_event_at(5, &events[0]);
    second.set_event_at(5, &events[1]);
    third.set_event_at(5, &events[2]);
    drop(third);
    device.signal_by_queue(&first, 5).unwrap();
    for event in &events[..2] {
        assert!(event.wait(Some(Duration::from_secs(20))));
    }
    assert_eq!(second.value(), 5);
}

#[test]
fn requests_wait_for_a_semaphore_that_somebody_else_signals() {
    let Some(validated) = rig::device("requests_wait_for_a_semaphore_that_somebody_else_signals")
    else {
        return;
    };
    let device = GpuDevice::from(validated.clone());
    let runtime = Runtime::exactly(Config::default()).unwrap();
    let queue = runtime.create_queue(QueueDesc::new(128)).unwrap();
    let theirs = device.create_fence(0).unwrap();
    let done = device.create_fence(0).unwrap();
    let file = File::open(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")).unwrap();
    let mut buffer = Buffer::new(64);
    let request = Request::read(&file, 0, 64, buffer.lend().unwrap());
    queue.enqueue_requests([request], Some((&theirs, 7)), FenceWait::default());
    let status = StatusArray::new(1, None);
    queue.enqueue_status(Some(&status), 0);
    queue.enqueue_signal(Some(&done), 1);
    queue.submit();
    assert_eq!(status.wait(0, Some(Duration::from_millis(30))), None);
    // As a renderer would, past the fence object.
    device.signal_by_queue(&theirs, 7).unwrap();
    assert_eq!(status.wait(0, None), Some(ds_core::S_OK));
    assert!(done.wait(1, None));
    assert!(buffer.bytes().unwrap().starts_with(b"[package]"));
}
