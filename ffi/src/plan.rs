//! What training will need of memory, before any is taken, and what a budget makes of it.

use crate::config::{Settings, lg_trainer_config};
use crate::error::lg_error;
use crate::guard;
use crate::handles;
use crate::network::{NetworkObject, lg_network};
use crate::pointers::{self, Versioned};
use crate::status::{Fault, Outcome, lg_status};
use localgrad_runtime::Device;
use localgrad_runtime::plan::{Freedom, Plan, Rates, Workload, choose, cuts, plan};
use localgrad_runtime::precision::Precision;
use localgrad_runtime::rules::Rule;

/// Blocks that an lg_plan has room for.
pub const LG_PLAN_BLOCKS: usize = 128;

/// What the library holds besides: events, handles, messages.
const LIBRARY_BYTES: usize = 256 << 10;

/// How a trainer will train, and what it needs.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct lg_plan {
    /// sizeof(lg_plan), set by the caller.
    pub struct_size: usize,
    /// The most bytes that training, evaluations in batches, saving and resuming have in use at one time; an upper
    /// bound, for as many threads as the configuration says.
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

/// The workload of a trainer that does all it can. It is a function of the configuration alone, so that a process that
/// resumes comes to the same plan.
fn workload(settings: &Settings) -> Outcome<Workload> {
    if !matches!(settings.device, Device::Cpu) {
        return Err(Fault::config(
            "memory can be planned on the CPU only; leave memory_budget_bytes 0 elsewhere",
        ));
    }
    let threads = match settings.threads {
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        threads => threads,
    };
    let (network, train, batch) = (settings.network.clone(), settings.train.clone(), settings.batch);
    // Samples may be pushed while a step that was interrupted still has its own.
    let pushed = batch * (settings.intake.shape.elements() + 1) * size_of::<f32>();
    Ok(Workload {
        evaluation_batch: Some(settings.evaluation_batch),
        saves: true,
        resumes: true,
        starts_from_file: true,
        program_bytes: LIBRARY_BYTES + pushed,
        ..Workload::steps(network, train, batch, threads)
    })
}

/// Changes `settings` to the fastest way to train that keeps to the budget, if there is one; what it leaves open may
/// be chosen.
pub(crate) fn keep_to_budget(settings: &mut Settings, config: &lg_trainer_config) -> Outcome<()> {
    if config.memory_budget_bytes == 0 {
        return Ok(());
    }
    let is_cut = config.ends_count > 0 || config.blocks > 0;
    if settings.train.frozen > 0 && !is_cut && settings.train.rule.rule != Rule::Bp {
        return Err(Fault::config(
            "which units are frozen would depend on memory_budget_bytes, which chooses where blocks end; set blocks or \
             ends beside frozen_blocks",
        ));
    }
    let freedom = Freedom {
        cuts: match is_cut {
            true => vec![settings.train.ends.clone()],
            false => cuts::cuts(&settings.network, &settings.train.rule)?,
        },
        micro_batch: config.micro_batch == 0,
        recompute: config.recompute == 0,
        pieces: !is_cut,
        half: true,
        files: settings.scratch.is_some(),
    };
    let workload = workload(settings)?;
    let choice = choose(&workload, &freedom, config.memory_budget_bytes, &Rates::default())?;
    let chosen = choice.chosen.applied(&workload);
    settings.train = chosen.train;
    settings.evaluation_batch = chosen.evaluation_batch.unwrap_or(settings.batch);
    Ok(())
}

fn describe(settings: &Settings) -> Outcome<lg_plan> {
    let Plan { peak_bytes, .. } = plan(&workload(settings)?)?;
    let train = &settings.train;
    let mut ends = [0; LG_PLAN_BLOCKS];
    for (place, end) in ends.iter_mut().zip(&train.ends) {
        *place = *end;
    }
    Ok(lg_plan {
        struct_size: size_of::<lg_plan>(),
        peak_bytes,
        blocks: train.ends.len(),
        micro_batch: train.micro_batch.unwrap_or(0),
        recompute: i32::from(train.recompute || !train.pieces.is_empty()),
        activations: i32::from(train.activations != Precision::F32),
        offload: i32::from(train.needs_scratch()),
        ends,
    })
}

/// Writes how a trainer of this network and configuration (which may be NULL) will train and what memory it needs,
/// without making one. With memory_budget_bytes that is the fastest way that keeps to it; LG_STATUS_CONFIG, with the
/// least that would do, where none does, as lg_trainer_create would say. On the CPU only. Any thread.
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
        let settings = Settings::read(&config, &network.spec)?;
        pointers::write_struct(plan, describe(&settings)?, "plan")
    })
}
