//! What the C ABI plans of an emulated device's memory, and what a trainer takes of it.
#![allow(clippy::unwrap_used)] // nothing here is outside tests

use localgrad_bridge::config::lg_trainer_config;
use localgrad_bridge::events::{lg_event, lg_event_kind};
use localgrad_bridge::feed::lg_trainer_push;
use localgrad_bridge::network::{lg_network, lg_network_create, lg_network_destroy, lg_network_options};
use localgrad_bridge::plan::{lg_network_plan, lg_plan};
use localgrad_bridge::pointers::Versioned;
use localgrad_bridge::poll::lg_trainer_poll;
use localgrad_bridge::run::lg_trainer_step;
use localgrad_bridge::samples::{lg_pixel, lg_samples};
use localgrad_bridge::status::lg_status;
use localgrad_bridge::trainer::{lg_trainer, lg_trainer_create, lg_trainer_destroy};
use std::ptr::{null, null_mut};

const SAMPLES: usize = 8;
const SIDE: usize = 16;

fn network() -> *mut lg_network {
    let mut options = lg_network_options::initial();
    (options.height, options.width) = (SIDE, SIDE);
    let widths = [4, 4, 8, 8];
    (options.widths, options.widths_count) = (widths.as_ptr(), widths.len());
    let mut network = null_mut();
    // SAFETY: all pointers are to what lives here, or null where that is allowed.
    let status = unsafe { lg_network_create(c"resnet8".as_ptr(), &options, &mut network, null_mut()) };
    assert_eq!(status, lg_status::Ok);
    network
}

fn plan(network: *const lg_network, config: &lg_trainer_config) -> lg_plan {
    let mut plan = lg_plan::initial();
    // SAFETY: as above.
    let status = unsafe { lg_network_plan(network, config, &mut plan, null_mut()) };
    assert_eq!(status, lg_status::Ok);
    plan
}

/// The most bytes of the device's memory that three steps took.
fn trained_bytes(network: *const lg_network, config: &lg_trainer_config) -> u64 {
    let images: Vec<u8> = (0..SAMPLES * 3 * SIDE * SIDE).map(|at| (at * 31 % 251) as u8).collect();
    let labels: Vec<u32> = (0..SAMPLES as u32).collect();
    let mut samples = lg_samples::initial();
    samples.pixel = lg_pixel::U8 as i32;
    (samples.images, samples.images_bytes) = (images.as_ptr().cast(), images.len());
    (samples.labels, samples.count) = (labels.as_ptr(), SAMPLES);
    let (mut event, mut found, mut most) = (lg_event::initial(), 0, 0);
    let mut trainer: *mut lg_trainer = null_mut();
    // SAFETY: all pointers are to what lives here, or null where that is allowed.
    unsafe {
        assert_eq!(lg_trainer_create(network, config, &mut trainer, null_mut()), lg_status::Ok);
        for _ in 0..3 {
            assert_eq!(lg_trainer_push(trainer, &samples, null_mut()), lg_status::Ok);
            assert_eq!(lg_trainer_step(trainer, null_mut(), null_mut()), lg_status::Ok);
        }
        while lg_trainer_poll(trainer, &mut event, &mut found, null_mut()) == lg_status::Ok && found == 1 {
            if event.kind == lg_event_kind::Step as i32 {
                most = most.max(event.peak_bytes);
            }
        }
        lg_trainer_destroy(trainer);
    }
    most
}

#[test]
fn a_trainer_takes_of_a_device_what_was_planned() {
    let network = network();
    let mut config = lg_trainer_config::initial();
    (config.device, config.batch, config.threads) = (c"emulated".as_ptr(), SAMPLES, 2);
    (config.rule, config.normalize) = (c"bp".as_ptr(), null());
    let whole = plan(network, &config).peak_bytes as u64;
    let taken = trained_bytes(network, &config);
    assert!(taken > 0 && taken <= whole, "{taken} of {whole}");
    // On the CPU a plan is another, as all of the process counts.
    config.device = null();
    assert_ne!(plan(network, &config).peak_bytes as u64, whole);

    config.device = c"emulated".as_ptr();
    config.memory_budget_bytes = (whole * 3 / 4) as usize;
    let within = plan(network, &config).peak_bytes;
    let taken = trained_bytes(network, &config);
    assert!(within <= config.memory_budget_bytes, "{within}");
    assert!(taken <= within as u64, "{taken} of {within}");
    // SAFETY: it was made here, and nobody has it any more.
    unsafe { lg_network_destroy(network) };
}
