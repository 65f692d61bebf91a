//! What training will need of memory, before any is taken.

use crate::config::{Pointed, lg_trainer_config};
use crate::error::lg_error;
use crate::guard;
use crate::handles;
use crate::made::{Settings, workload};
use crate::network::{NetworkObject, lg_network};
use crate::pointers::{self, Versioned};
use crate::status::{Outcome, lg_status};
use crate::weights::lg_precision;
use localgrad_runtime::plan::{plan, rehearse};
use localgrad_runtime::precision::Precision;

/// Blocks that an lg_plan has room for.
pub const LG_PLAN_BLOCKS: usize = 128;

/// How a trainer will train, and what it needs.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct lg_plan {
    /// sizeof(lg_plan), set by the caller.
    pub struct_size: usize,
    /// The most bytes that training, evaluations in batches, saving and resuming have in use at one time; an upper
    /// bound, for as many threads as the configuration says. With memory_budget_bytes `threads` of 0 is as many of one a
    /// core as keep to it. On a device all that is taken of its memory, what is kept for the next step included.
    pub peak_bytes: usize,
    /// Local blocks.
    pub blocks: usize,
    /// Samples that pass through a block at once; 0, which is all.
    pub micro_batch: usize,
    /// 1 if forward passes are repeated.
    pub recompute: i32,
    /// What activations wait in, an lg_precision.
    pub activations: i32,
    /// 1 if what is not at work waits in the scratch file.
    pub offload: i32,
    /// The last unit of each block, as far as there is room.
    pub ends: [usize; LG_PLAN_BLOCKS],
}

// SAFETY: repr(C), the size is first, and numbers take any bytes.
unsafe impl Versioned for lg_plan {
    const NAME: &'static str = "lg_plan";
    const FIRST_BYTES: usize = size_of::<lg_plan>();

    fn initial() -> Self {
        Self {
            struct_size: size_of::<Self>(),
            peak_bytes: 0,
            blocks: 0,
            micro_batch: 0,
            recompute: 0,
            activations: 0,
            offload: 0,
            ends: [0; LG_PLAN_BLOCKS],
        }
    }

    fn size_field(&mut self) -> &mut usize {
        &mut self.struct_size
    }
}

/// How a trainer of this network and configuration will train.
pub fn of(network: &NetworkObject, config: &lg_trainer_config, pointed: &Pointed<'_>) -> Outcome<lg_plan> {
    let settings = Settings::read(config, pointed, network)?;
    let workload = workload(&settings);
    let peak_bytes = match rehearse(&workload)? {
        Some(there) => there.held_bytes.min(settings.budget.map_or(usize::MAX, |budget| budget.bytes)),
        None => plan(&workload)?.peak_bytes,
    };
    let train = &settings.train;
    let mut ends = [0; LG_PLAN_BLOCKS];
    for (place, end) in ends.iter_mut().zip(&train.method.ends) {
        *place = *end;
    }
    Ok(lg_plan {
        struct_size: size_of::<lg_plan>(),
        peak_bytes,
        blocks: train.method.ends.len(),
        micro_batch: train.execution.micro_batch.unwrap_or(0),
        recompute: i32::from(train.execution.recompute || !train.execution.pieces.is_empty()),
        activations: match train.execution.activations {
            Precision::F32 => lg_precision::F32 as i32,
            Precision::F16 => lg_precision::F16 as i32,
            Precision::Bf16 => lg_precision::Bf16 as i32,
        },
        offload: i32::from(train.execution.needs_scratch()),
        ends,
    })
}

/// Writes how a trainer of this network and configuration (which may be NULL) will train and what memory it needs,
/// without making one. With memory_budget_bytes that is the fastest way that keeps to it; LG_STATUS_CONFIG, with the
/// least that would do, where none does, as lg_trainer_create would say. The device is the configuration's, which is opened
/// for it. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lg_network_plan(
    network: *const lg_network,
    config: *const lg_trainer_config,
    plan: *mut lg_plan,
    error: *mut lg_error,
) -> lg_status {
    // SAFETY: the caller promises that all pointers are what the header says.
    guard::call(error, || unsafe {
        let network = handles::get::<NetworkObject, _>(network)?;
        let config = match config.is_null() {
            true => lg_trainer_config::initial(),
            false => pointers::read_struct(config, "config")?,
        };
        let pointed = Pointed::read(&config, network.spec.input.channels())?;
        pointers::write_struct(plan, of(&network, &config, &pointed)?, "plan")
    })
}
