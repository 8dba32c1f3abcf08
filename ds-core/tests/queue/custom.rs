//! The custom decompression queue.

use std::time::Duration;

use ds_core::{
    Backend, Buffer, Compression, CustomRequest, CustomResult, Error, File, Request, S_OK, Select,
    StatusArray,
};

use crate::rig::{
    Rig, SAMPLE_BYTES, assert_ok, code, config, over_cpu_with, over_sim_with, sample, sample_file,
    sample_stream, untouched,
};

crate::semantic_tests! {
    the_application_decompresses_its_formats;
    its_failures_are_the_requests;
    pending_is_no_answer;
    ids_that_name_nothing_are_refused;
    cancelling_takes_back_what_was_not_fetched;
}

const FORMAT: Compression = Compression(0x85);

fn custom_read(buffer: &mut Buffer) -> Request {
    let bytes = buffer.len() as u32;
    Request::read(&sample_file(), 0, bytes / 2, buffer.lend().unwrap()).compressed(FORMAT, bytes)
}

fn fetch(rig: &Rig, select: Select, count: usize) -> Vec<CustomRequest> {
    let custom = rig.runtime.custom_decompression_queue();
    let mut requests = Vec::new();
    rig.wait_until("custom requests", || {
        custom.get_requests(select, count - requests.len(), &mut requests);
        requests.len() == count
    });
    requests
}

/// "Decompresses" by writing each byte twice.
fn double(request: &CustomRequest) {
    // SAFETY: a fetched request's memory is the application's until it answers; the sizes are the
    // request's own.
    let source =
        unsafe { std::slice::from_raw_parts(request.source.as_ptr(), request.source.bytes()) };
    // SAFETY: as above; nobody else has a reference to the destination.
    let destination = unsafe {
        std::slice::from_raw_parts_mut(request.destination.as_ptr(), request.destination.bytes())
    };
    for (pair, byte) in destination.chunks_mut(2).zip(source) {
        pair.fill(*byte);
    }
}

fn the_application_decompresses_its_formats(rig: &Rig) {
    let queue = rig.queue();
    let custom = rig.runtime.custom_decompression_queue();
    let event = custom.event().unwrap();
    let array = StatusArray::new(1, None);
    let mut buffers: Vec<_> = (0..5).map(|_| untouched(2000)).collect();
    for buffer in &mut buffers {
        queue.enqueue_request(custom_read(buffer));
    }
    queue.enqueue_status(Some(&array), 0);
    queue.submit();
    let mut requests = fetch(rig, Select::Custom, 5);
    assert!(event.wait(Some(Duration::ZERO)) && event.take());
    assert!(
        requests
            .iter()
            .all(|request| request.compression == FORMAT && request.source.bytes() == 1000)
    );
    assert!(!array.is_complete(0), "it waits for the answers");
    requests.reverse();
    requests.iter().for_each(double);
    let answers: Vec<_> = requests
        .iter()
        .map(|request| CustomResult {
            id: request.id,
            hresult: S_OK,
        })
        .collect();
    custom.set_results(&answers[..2]).unwrap();
    custom.set_results(&answers[2..]).unwrap();
    assert_ok(rig.wait(&array, 0));
    let expected: Vec<u8> = sample(0, 1000)
        .into_iter()
        .flat_map(|byte| [byte, byte])
        .collect();
    assert!(
        buffers
            .iter_mut()
            .all(|buffer| buffer.bytes().unwrap() == expected)
    );
    assert_eq!(rig.runtime.staging_stats().bytes_in_use, 0);
}

fn its_failures_are_the_requests(rig: &Rig) {
    let queue = rig.queue();
    let custom = rig.runtime.custom_decompression_queue();
    let array = StatusArray::new(1, None);
    let mut buffer = untouched(2000);
    queue.enqueue_request(custom_read(&mut buffer));
    queue.enqueue_status(Some(&array), 0);
    queue.submit();
    let request = fetch(rig, Select::All, 1)[0];
    custom
        .set_results(&[CustomResult {
            id: request.id,
            hresult: -1234,
        }])
        .unwrap();
    assert_eq!(rig.wait(&array, 0), -1234);
    assert_eq!(
        queue.retrieve_error_record().first_failure.unwrap().error,
        Error::Application(-1234)
    );
}

/// A status that read "pending" would never be seen to complete, and success it is not.
fn pending_is_no_answer(rig: &Rig) {
    let queue = rig.queue();
    let array = StatusArray::new(1, None);
    let mut buffer = untouched(2000);
    queue.enqueue_request(custom_read(&mut buffer));
    queue.enqueue_status(Some(&array), 0);
    queue.submit();
    let id = fetch(rig, Select::All, 1)[0].id;
    let answer = CustomResult {
        id,
        hresult: ds_core::E_PENDING,
    };
    rig.runtime
        .custom_decompression_queue()
        .set_results(&[answer])
        .unwrap();
    assert_eq!(rig.wait(&array, 0), code(Error::Corrupt));
}

fn ids_that_name_nothing_are_refused(rig: &Rig) {
    let queue = rig.queue();
    let custom = rig.runtime.custom_decompression_queue();
    let mut buffer = untouched(2000);
    queue.enqueue_request(custom_read(&mut buffer));
    queue.submit();
    let request = fetch(rig, Select::Custom, 1)[0];
    let answer = |id| CustomResult { id, hresult: S_OK };
    assert_eq!(
        custom.set_results(&[answer(request.id + 1)]),
        Err(Error::InvalidArgument)
    );
    assert_eq!(
        custom.set_results(&[answer(0), answer(request.id)]),
        Err(Error::InvalidArgument)
    );
    rig.wait_until("the good one, answered all the same", || !buffer.is_lent());
    assert_eq!(
        custom.set_results(&[answer(request.id)]),
        Err(Error::InvalidArgument),
        "once"
    );
}

fn cancelling_takes_back_what_was_not_fetched(rig: &Rig) {
    let queue = rig.queue();
    let custom = rig.runtime.custom_decompression_queue();
    let array = StatusArray::new(1, None);
    let mut buffers = [untouched(2000), untouched(2000)];
    for buffer in &mut buffers {
        queue.enqueue_request(custom_read(buffer).tagged(1));
    }
    queue.enqueue_status(Some(&array), 0);
    queue.submit();
    let fetched = fetch(rig, Select::Custom, 1)[0];
    queue.cancel_requests_with_tag(1, 1);
    let still: Vec<bool> = buffers.iter_mut().map(Buffer::is_lent).collect();
    assert_eq!(
        still.iter().filter(|lent| **lent).count(),
        1,
        "only the fetched one is out"
    );
    assert_eq!(custom.get_requests(Select::All, 9, &mut Vec::new()), 0);
    assert!(!array.is_complete(0));
    custom
        .set_results(&[CustomResult {
            id: fetched.id,
            hresult: S_OK,
        }])
        .unwrap();
    assert_eq!(rig.wait(&array, 0), code(Error::Cancelled));
    assert_eq!(queue.stats().requests_cancelled, 2);
    assert_eq!(rig.runtime.staging_stats().bytes_in_use, 0);
}

/// With -1 decompression threads the application takes the built-in format, too.
fn built_in_formats_when_asked(rig: &Rig) {
    let (stream, path) = sample_stream();
    let queue = rig.queue();
    let custom = rig.runtime.custom_decompression_queue();
    let array = StatusArray::new(1, None);
    let (mut ours, mut theirs) = (untouched(SAMPLE_BYTES), untouched(2000));
    let request = Request::read(
        &File::open(path).unwrap(),
        0,
        stream.len() as u32,
        ours.lend().unwrap(),
    );
    queue.enqueue_request(request.compressed(Compression::GDEFLATE, SAMPLE_BYTES as u32));
    queue.enqueue_request(custom_read(&mut theirs));
    queue.enqueue_status(Some(&array), 0);
    queue.submit();
    let built_in = fetch(rig, Select::BuiltIn, 1)[0];
    let other = fetch(rig, Select::Custom, 1)[0];
    assert_eq!(
        (built_in.compression, other.compression),
        (Compression::GDEFLATE, FORMAT)
    );
    // SAFETY: a fetched request's memory is the application's until it answers.
    let source =
        unsafe { std::slice::from_raw_parts(built_in.source.as_ptr(), built_in.source.bytes()) };
    assert!(source == &stream[..]);
    double(&other);
    let answers = [built_in, other].map(|request| CustomResult {
        id: request.id,
        hresult: S_OK,
    });
    custom.set_results(&answers).unwrap();
    assert_ok(rig.wait(&array, 0));
}

#[test]
fn built_in_formats() {
    for (backend, over) in [
        (Backend::Cpu, over_cpu_with as fn(_, _)),
        (Backend::Sim, over_sim_with),
    ] {
        let mut config = config(backend);
        config.decode_threads = -1;
        over(config, built_in_formats_when_asked);
    }
}
