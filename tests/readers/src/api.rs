//! Any bytes as calls of the C ABI, in any order and with any arguments that C allows: each call answers, none panics.
//!
//! Pointers are good, NULL or misaligned, because no library can tell more of a pointer; handles are anything at all.

use arbitrary::{Result, Unstructured};
use localgrad_bridge::card::*;
use localgrad_bridge::checkpoints::*;
use localgrad_bridge::config::*;
use localgrad_bridge::error::*;
use localgrad_bridge::events::*;
use localgrad_bridge::features::*;
use localgrad_bridge::feed::*;
use localgrad_bridge::judge::*;
use localgrad_bridge::named::*;
use localgrad_bridge::network::*;
use localgrad_bridge::poll::*;
use localgrad_bridge::run::*;
use localgrad_bridge::samples::*;
use localgrad_bridge::settings::*;
use localgrad_bridge::status::lg_status;
use localgrad_bridge::steer::*;
use localgrad_bridge::trainer::*;
use std::ffi::c_void;
use std::mem::MaybeUninit;
use std::ptr::{null, null_mut};

const SIDE: usize = 6;
const PIXELS: usize = SIDE * SIDE;
const WIDTHS: [usize; 4] = [2, 2, 3, 4];
/// The most features that four samples of these have.
const FEATURES: usize = 4 * 2 * PIXELS;
const ENDS: [usize; 2] = [1, 3];
const NAMES: [&std::ffi::CStr; 5] = [c"greedy", c"bp", c"man", c"resnet8", c"cpu"];

/// What a program would have lying around.
struct World {
    handles: Vec<usize>,
    images: Vec<f32>,
    labels: [u32; 4],
    /// Of as many samples and the most outputs that a trainer here has.
    targets: Vec<f32>,
    state: Vec<u8>,
    /// The newest trainer, or NULL.
    trainer: *mut lg_trainer,
    /// What the last call was given as a trainer.
    called: *mut lg_trainer,
}

impl World {
    /// A handle of any kind: alive, destroyed, or none.
    fn handle<T>(&self, u: &mut Unstructured<'_>) -> Result<*mut T> {
        Ok(match u.arbitrary::<u8>()? {
            0 => null_mut(),
            1 => std::ptr::without_provenance_mut(u.arbitrary()?),
            number => std::ptr::without_provenance_mut(self.handles[number as usize % self.handles.len()]),
        })
    }

    fn samples(&self, u: &mut Unstructured<'_>) -> Result<lg_samples> {
        // SAFETY: the struct is as large as is said.
        let mut samples = unsafe { started(lg_samples_init) };
        samples.count = u.int_in_range(0..=4)?;
        samples.pixel = u.int_in_range(-1..=3)?;
        samples.layout = u.int_in_range(-1..=2)?;
        let mut each = PIXELS;
        if samples.pixel == 2 {
            // SAFETY: the number is here.
            unsafe { lg_trainer_feature_count(self.trainer, &mut each, null_mut()) };
        }
        samples.images_bytes = samples.count * each * if matches!(samples.pixel, 1 | 2) { 4 } else { 1 };
        samples.images = match u.int_in_range(0..=9)? {
            0 => null(),
            // Misaligned for floats, and good for bytes.
            1 if samples.count < 4 => self.images.as_ptr().wrapping_byte_add(1).cast(),
            _ => self.images.as_ptr().cast(),
        };
        samples.labels = if u.ratio(1, 9)? { null() } else { self.labels.as_ptr() };
        samples.targets = if u.ratio(1, 3)? { self.targets.as_ptr() } else { null() };
        if u.ratio(1, 9)? {
            samples.images_bytes = u.arbitrary()?;
        }
        Ok(samples)
    }
}

/// A struct that its function has filled in.
///
/// # Safety
/// `init` fills in structs of this type.
unsafe fn started<T>(init: unsafe extern "C" fn(*mut T, usize) -> lg_status) -> T {
    let mut value = MaybeUninit::uninit();
    // SAFETY: as the caller promises; after success all of it is initialised.
    unsafe {
        assert_eq!(init(value.as_mut_ptr(), size_of::<T>()), lg_status::Ok);
        value.assume_init()
    }
}

unsafe extern "C" fn source(user_data: *mut c_void, number: u64, samples: *mut lg_samples) -> i32 {
    // SAFETY: the world outlives every call that has it.
    let world = unsafe { &*user_data.cast::<World>() };
    // SAFETY: the trainer is at work in the call that called this, whether it is the newest or not.
    unsafe {
        assert_eq!(lg_trainer_discard_pushed(world.called, null_mut()), lg_status::Busy);
        (*samples).images = world.images.as_ptr().cast();
        (*samples).images_bytes = 2 * PIXELS;
        (*samples).count = 2;
        (*samples).labels = world.labels.as_ptr();
    }
    match number % 7 {
        3 => 1,
        5 => 17,
        _ => 0,
    }
}

/// # Safety
/// Called with a world that outlives all its handles.
unsafe fn make(world: &mut World, u: &mut Unstructured<'_>, error: *mut lg_error) -> Result<lg_status> {
    // SAFETY: all pointers are to what is here or in the world.
    unsafe {
        let mut options = started(lg_network_options_init);
        (options.channels, options.height, options.width, options.classes) = (1, SIDE, SIDE, 3);
        (options.widths, options.widths_count) = (WIDTHS.as_ptr(), WIDTHS.len());
        if u.ratio(1, 4)? {
            options.shortcut = u.arbitrary()?;
            options.classes = u.arbitrary::<u8>()?.into();
            options.objective = u.int_in_range(-1..=4)?;
            options.huber_delta = u.arbitrary()?;
        }
        let mut network = null_mut();
        let status = lg_network_create(c"resnet8".as_ptr(), &options, &mut network, error);
        world.handles.push(network.addr());
        let mut config = started(lg_trainer_config_init);
        (config.rule, config.batch, config.threads) = (c"greedy".as_ptr(), 4, 1);
        (config.ends, config.ends_count) = (ENDS.as_ptr(), ENDS.len());
        if u.arbitrary()? {
            config.rule = NAMES[u.choose_index(NAMES.len())?].as_ptr();
            config.ends_count = u.int_in_range(0..=2)?;
            config.optimizer = u.int_in_range(0..=2)?;
            config.momentum = u.arbitrary()?;
            config.learning_rate = u.arbitrary()?;
            config.clip_norm = u.arbitrary()?;
            config.micro_batch = u.int_in_range(0..=5)?;
            config.frozen_blocks = u.int_in_range(0..=3)?;
            config.batch = u.int_in_range(0..=4)?;
        }
        if network.is_null() {
            return Ok(status);
        }
        let mut trainer = null_mut();
        let status = lg_trainer_create(network, &config, &mut trainer, error);
        world.handles.push(trainer.addr());
        world.trainer = trainer;
        Ok(status)
    }
}

/// # Safety
/// As [`make`].
unsafe fn call(world: &mut World, u: &mut Unstructured<'_>, error: *mut lg_error) -> Result<lg_status> {
    let trainer = if u.ratio(3, 4)? { world.trainer } else { world.handle(u)? };
    world.called = trainer;
    let user_data = (&raw mut *world).cast::<c_void>();
    // SAFETY: all pointers are to what is here or in the world.
    unsafe {
        Ok(match u.int_in_range(0..=24)? {
            0 => return make(world, u, error),
            1 => {
                lg_trainer_destroy(trainer);
                lg_status::Ok
            }
            2 => {
                lg_network_destroy(world.handle(u)?);
                lg_status::Ok
            }
            3..=5 => lg_trainer_push(trainer, &world.samples(u)?, error),
            6 | 7 => lg_trainer_step(trainer, null_mut(), error),
            8 => {
                let mut options = started(lg_run_options_init);
                options.until_step = u.int_in_range(1..=12)?;
                options.milliseconds = u.int_in_range(0..=3)?;
                lg_trainer_run(trainer, &options, null_mut(), error)
            }
            9 => lg_trainer_set_source(
                trainer,
                if u.arbitrary()? { Some(source) } else { None },
                user_data,
                error,
            ),
            10 => lg_trainer_cancel(trainer, error),
            11 | 12 => lg_trainer_clear_cancel(trainer, error),
            13 => lg_trainer_set_work_fraction(trainer, u.arbitrary::<f64>()?.max(0.5), error),
            14 => lg_trainer_set_threads(trainer, if u.arbitrary()? { 1 } else { 2 }, error),
            15 => lg_trainer_set(trainer, u.int_in_range(-1..=9)?, u.arbitrary()?, error),
            _ => return look(world, trainer, u, error),
        })
    }
}

/// Calls that train nothing.
///
/// # Safety
/// As [`make`].
unsafe fn look(
    world: &mut World,
    trainer: *mut lg_trainer,
    u: &mut Unstructured<'_>,
    error: *mut lg_error,
) -> Result<lg_status> {
    // SAFETY: all pointers are to what is here or in the world.
    unsafe {
        Ok(match u.int_in_range(0..=12)? {
            0 => {
                let mut bytes = 0;
                world.state.resize(u.int_in_range(0..=20_000)?, 0);
                let state = world.state.as_mut_ptr().cast();
                lg_trainer_get_state(trainer, state, world.state.len(), &mut bytes, error)
            }
            1 => {
                if let (true, Some(byte)) = (u.arbitrary()?, world.state.first_mut()) {
                    *byte ^= u.arbitrary::<u8>()?;
                }
                lg_trainer_set_state(trainer, world.state.as_ptr().cast(), world.state.len(), error)
            }
            2 => {
                let mut found = MaybeUninit::<lg_evaluation>::zeroed().assume_init();
                found.struct_size = if u.ratio(1, 5)? { u.arbitrary()? } else { size_of::<lg_evaluation>() };
                // A size that is too large must be refused before it is believed.
                lg_trainer_evaluate(trainer, &world.samples(u)?, &mut found, error)
            }
            3 => {
                let mut logits = [0.0; 12];
                lg_trainer_predict(
                    trainer,
                    &world.samples(u)?,
                    logits.as_mut_ptr(),
                    u.int_in_range(0..=12)?,
                    error,
                )
            }
            4 => {
                let mut event = MaybeUninit::<lg_event>::zeroed().assume_init();
                event.struct_size = size_of::<lg_event>();
                lg_trainer_poll(trainer, &mut event, &mut 0, error)
            }
            5 => lg_trainer_losses(trainer, [0.0; 3].as_mut_ptr(), u.int_in_range(0..=3)?, error),
            6 => {
                let mut info = MaybeUninit::<lg_trainer_info>::zeroed().assume_init();
                info.struct_size = size_of::<lg_trainer_info>();
                lg_trainer_describe(trainer, &mut info, error)
            }
            7 | 8 => return networks(world, u, error),
            9 | 10 => return weights(trainer, u, error),
            11 => {
                let mut rows = [0.0; FEATURES];
                let room = u.int_in_range(0..=size_of_val(&rows))?;
                lg_trainer_features(trainer, &world.samples(u)?, rows.as_mut_ptr(), room, error)
            }
            _ => {
                // A pause that nobody ends would wait for ever.
                lg_trainer_pause_for(trainer, u.arbitrary()?, error);
                lg_trainer_resume(trainer, error)
            }
        })
    }
}

/// Calls that make networks.
///
/// # Safety
/// As [`make`].
unsafe fn networks(world: &mut World, u: &mut Unstructured<'_>, error: *mut lg_error) -> Result<lg_status> {
    // SAFETY: all pointers are to what is here or in the world.
    unsafe {
        Ok(match u.int_in_range(0..=3)? {
            0 => {
                let mut network = null_mut();
                let (from, number) = (world.handle(u)?, u.arbitrary::<usize>()?);
                let status = match u.arbitrary()? {
                    None => lg_network_replace_head(from, number, &mut network, error),
                    Some(delta) => {
                        lg_network_replace_objective(from, number as i32, delta, &mut network, error)
                    }
                };
                world.handles.push(network.addr());
                status
            }
            1 => {
                let mut network = null_mut();
                let content: Vec<u8> = u.arbitrary()?;
                let status =
                    lg_network_from_bytes(content.as_ptr().cast(), content.len(), &mut network, error);
                world.handles.push(network.addr());
                status
            }
            2 => {
                let third = if u.arbitrary()? { null() } else { NAMES[2].as_ptr() };
                let names = [NAMES[0].as_ptr(), NAMES[1].as_ptr(), third];
                let (from, count) = (world.handle(u)?, u.int_in_range(0..=3)?);
                let mut network = null_mut();
                let status = match u.arbitrary()? {
                    true => lg_network_name_classes(from, names.as_ptr(), count, &mut network, error),
                    false => lg_network_replace_head_named(from, names.as_ptr(), count, &mut network, error),
                };
                world.handles.push(network.addr());
                status
            }
            _ => {
                let json: Vec<u8> = u.arbitrary()?;
                let json = std::ffi::CString::new(json).unwrap_or_default();
                let mut network = null_mut();
                let status = lg_network_from_json(json.as_ptr(), &mut network, error);
                world.handles.push(network.addr());
                status
            }
        })
    }
}

/// Weights by name, out and in.
///
/// # Safety
/// As [`make`].
unsafe fn weights(
    trainer: *mut lg_trainer,
    u: &mut Unstructured<'_>,
    error: *mut lg_error,
) -> Result<lg_status> {
    let block = if u.arbitrary()? { LG_ALL_BLOCKS } else { u.int_in_range(0..=3)? };
    let (mut name, mut needed) = ([0; 64], 0);
    let mut numbers = [0.5f32; 64];
    let precision = u.int_in_range(-1..=2)?;
    // SAFETY: all pointers are to what is here; a name that could not be written is empty.
    unsafe {
        let index = u.int_in_range(0..=70)?;
        let named = lg_trainer_weight_name(trainer, block, index, name.as_mut_ptr(), 64, &mut needed, error);
        assert_ne!(named, lg_status::Internal);
        let room = u.int_in_range(0..=size_of_val(&numbers))?;
        let numbers = numbers.as_mut_ptr();
        Ok(match u.int_in_range(0..=2)? {
            0 => lg_trainer_weight_count(trainer, block, &mut needed, error),
            1 => lg_trainer_weight_get(
                trainer,
                name.as_ptr(),
                precision,
                numbers.cast(),
                room,
                &mut needed,
                error,
            ),
            _ => {
                numbers.write(u.arbitrary()?);
                lg_trainer_weight_set(trainer, name.as_ptr(), precision, numbers.cast(), room, error)
            }
        })
    }
}

fn live(u: &mut Unstructured<'_>, world: &mut World) -> Result<()> {
    let error = lg_error_create();
    world.handles.push(error.addr());
    // SAFETY: the world outlives all its handles, which are destroyed by whoever calls this.
    unsafe { make(world, u, error) }?;
    for _ in 0..64 {
        let error = if u.ratio(1, 10)? { world.handle(u)? } else { error };
        // SAFETY: as above.
        let status = unsafe { call(world, u, error) }?;
        assert_ne!(status, lg_status::Internal);
    }
    Ok(())
}

/// Must hold of any bytes.
pub fn check(data: &[u8]) {
    let mut world = World {
        handles: Vec::new(),
        images: vec![0.25; FEATURES],
        labels: [0, 1, 2, 1],
        targets: [1.0, 0.0, 0.0].into_iter().cycle().take(4 * u8::MAX as usize).collect(),
        state: Vec::new(),
        trainer: null_mut(),
        called: null_mut(),
    };
    // It ends where the bytes do.
    let _ = live(&mut Unstructured::new(data), &mut world);
    for handle in &world.handles {
        // SAFETY: each function destroys only what is of its own type and alive.
        unsafe {
            lg_trainer_destroy(std::ptr::without_provenance_mut(*handle));
            lg_network_destroy(std::ptr::without_provenance_mut(*handle));
            lg_error_destroy(std::ptr::without_provenance_mut(*handle));
        }
    }
}
