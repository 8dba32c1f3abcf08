//! Devices, buffers, and what happens when they fail.
#![forbid(unsafe_code)]

use ds_core::Error;
use ds_core::gpu::{Buffer, Commands, Device, DeviceOptions, GpuError, Place, devices};

use crate::rig;

#[test]
fn bytes_go_to_the_device_and_come_back() {
    let Some(device) = rig::device("bytes_go_to_the_device_and_come_back") else {
        return;
    };
    let bytes = 64 * 1024;
    let pattern: Vec<u8> = (0..bytes).map(|i: u32| ((i * 7) >> 3) as u8).collect();
    let mut staging = Buffer::new(&device, Place::Staging, 65_536).unwrap();
    let local = Buffer::new(&device, Place::Device, 65_536 + 256).unwrap();
    let back = Buffer::new(&device, Place::Readback, 65_536 + 256).unwrap();
    staging.write(0, &pattern).unwrap();
    let mut commands = Commands::new(&device).unwrap();
    commands
        .fill(&local, 0, local.bytes(), 0xABAB_ABAB)
        .unwrap();
    commands.copy((&staging, 0), (&local, 128), 65_536).unwrap();
    commands
        .copy((&local, 0), (&back, 0), local.bytes())
        .unwrap();
    let mut found = vec![0; 65_536 + 256];
    back.read(0, &mut found).unwrap();
    assert!(
        found[..128]
            .iter()
            .chain(&found[65_664..])
            .all(|b| *b == 0xAB)
    );
    assert!(found[128..65_664] == pattern);
}

#[test]
fn a_device_that_is_not_there_is_named() {
    let options = DeviceOptions {
        device: "no such device".into(),
        ..DeviceOptions::default()
    };
    match Device::open(&options) {
        Err(why @ (GpuError::NoDevice(_) | GpuError::NoLoader(_))) => {
            println!("{why}");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn devices_are_listed_with_what_they_can_do() {
    match devices() {
        Ok(list) => list.iter().for_each(|device| println!("{device:#?}")),
        Err(why) => println!("SKIPPED: devices_are_listed_with_what_they_can_do: {why}"),
    }
}

#[test]
fn arguments_without_meaning_are_refused() {
    let Some(device) = rig::device("arguments_without_meaning_are_refused") else {
        return;
    };
    let zero = Buffer::new(&device, Place::Device, 0);
    assert!(matches!(zero, Err(GpuError::Argument(_))));
    let huge = Buffer::new(&device, Place::Device, u64::MAX).err().unwrap();
    assert!(huge.is_out_of_memory(), "{huge}");
    let mut staging = Buffer::new(&device, Place::Staging, 64).unwrap();
    assert!(staging.write(1, &[0; 64]).is_err());
    assert!(staging.write(u64::MAX, &[0; 2]).is_err());
    assert!(staging.read(64, &mut [0]).is_err());
    let local = Buffer::new(&device, Place::Device, 64).unwrap();
    assert!(local.read(0, &mut [0]).is_err(), "the host cannot see it");
    let mut commands = Commands::new(&device).unwrap();
    assert!(commands.fill(&local, 2, 4, 0).is_err());
    assert!(commands.fill(&local, 64, 4, 0).is_err());
    assert!(commands.copy((&local, 0), (&staging, 4), 64).is_err());
    let other = rig::device("arguments_without_meaning_are_refused").unwrap();
    let foreign = Buffer::new(&other, Place::Device, 64).unwrap();
    assert!(commands.fill(&foreign, 0, 64, 0).is_err());
    assert!(commands.copy((&foreign, 0), (&staging, 0), 64).is_err());
}

#[test]
fn memory_that_runs_out_is_an_error_and_passes() {
    let Some(device) = rig::device("memory_that_runs_out_is_an_error_and_passes") else {
        return;
    };
    device.fail_allocations_after(1);
    let first = Buffer::new(&device, Place::Device, 64);
    assert!(first.is_ok());
    let second = Buffer::new(&device, Place::Staging, 64).err().unwrap();
    assert!(second.is_out_of_memory());
    assert_eq!(Error::from(second), Error::Os(12));
    device.fail_allocations_after(u32::MAX);
    assert!(Buffer::new(&device, Place::Staging, 64).is_ok());
}

#[test]
fn a_lost_device_stays_lost() {
    let Some(device) = rig::device("a_lost_device_stays_lost") else {
        return;
    };
    let buffer = Buffer::new(&device, Place::Device, 64).unwrap();
    let mut commands = Commands::new(&device).unwrap();
    device.lose_after_submissions(1);
    commands.fill(&buffer, 0, 64, 0).unwrap();
    assert!(!device.is_lost());
    let error = commands.fill(&buffer, 0, 64, 0).unwrap_err();
    assert!(error.is_device_lost() && device.is_lost());
    assert_eq!(Error::from(error), Error::DeviceLost);
    device.lose_after_submissions(u32::MAX);
    assert!(commands.fill(&buffer, 0, 64, 0).is_err());
}
