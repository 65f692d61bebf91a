//! What a step launches on a device, counted without being carried out.

use super::subject::{learning_rate, random_batch};
use crate::output::bytes;
use localgrad::Result;
use localgrad::data::Normalize;
use localgrad::device::engine::Engine;
use localgrad::device::idle::Idle;
use localgrad::device::table::all::Class;
use localgrad::maps::Place;
use localgrad::network::NetworkSpec;
use localgrad::plan::{Workload, plan};
use localgrad::precision::ProductPrecision;
use localgrad::trainer::{TrainConfig, Trainer};
use serde::Serialize;

/// What `--count --json` prints.
#[derive(Debug, Serialize)]
pub struct CountRecord {
    event: &'static str,
    /// Of kernels.
    pub launches: u64,
    /// By them, each map once a launch.
    pub bytes_read: u64,
    /// By them.
    pub bytes_written: u64,
    /// Where each map that the CPU's kernels make is written once, and read twice forward and twice backward.
    pub least_bytes: u64,
    /// Additions and multiplications.
    pub operations: u64,
    /// Graphs that are begun by a device that has graphs.
    pub graphs: u64,
    /// Launches in them.
    pub graph_launches: u64,
    /// Those of them that are given something else than in the step before.
    pub updates: u64,
    /// The same of each kernel, whatever it is specialised for, and of copies.
    kernels: Vec<KernelRecord>,
}

/// What the launches of a kernel were together.
#[derive(Debug, Serialize)]
struct KernelRecord {
    name: &'static str,
    launches: u64,
    bytes_read: u64,
    bytes_written: u64,
}

/// Steps that are not counted.
const STEPS_BEFORE: usize = 12;

impl CountRecord {
    /// Of a step when all is as in the step before, on `samples` images: the first makes what the optimizer remembers, and graphs are
    /// made of what comes again.
    pub fn of(
        network: NetworkSpec,
        config: TrainConfig,
        samples: usize,
        precision: ProductPrecision,
    ) -> Result<Self> {
        let workload = Workload::steps(network.clone(), config.clone(), samples, 1);
        let least_bytes = plan(&workload)?.step_work.least_bytes as u64;
        let engine = Engine::new("idle", Idle::default(), Class::emulated(precision));
        let (batch, rate) = (random_batch(&network, samples)?, learning_rate(&config.method.optimizer));
        let normalize = Normalize::half(network.input.channels());
        let mut trainer = Trainer::new(network, config, normalize, Place::from(engine.clone()))?;
        for _ in 0..STEPS_BEFORE {
            trainer.step(&batch, rate, &mut |_| {})?;
        }
        engine.take_launched();
        trainer.step(&batch, rate, &mut |_| {})?;
        let launched = engine.take_launched();
        let kernels = launched.kernels.iter().map(|(&name, &(launches, traffic))| KernelRecord {
            name,
            launches,
            bytes_read: traffic.bytes_read,
            bytes_written: traffic.bytes_written,
        });
        let mut kernels: Vec<_> = kernels.collect();
        kernels.sort_by_key(|kernel| std::cmp::Reverse(kernel.bytes_read + kernel.bytes_written));
        Ok(Self {
            event: "count",
            launches: launched.launches,
            bytes_read: launched.traffic.bytes_read,
            bytes_written: launched.traffic.bytes_written,
            least_bytes,
            operations: launched.traffic.operations,
            graphs: launched.graphs,
            graph_launches: launched.graph_launches,
            updates: launched.updates,
            kernels,
        })
    }

    /// Of each kernel: launches, and what they read and write.
    pub fn kernel_rows(&self) -> Vec<Vec<String>> {
        let row = |kernel: &KernelRecord| {
            let launches = kernel.launches.to_string();
            vec![kernel.name.into(), launches, bytes(kernel.bytes_read), bytes(kernel.bytes_written)]
        };
        self.kernels.iter().map(row).collect()
    }

    /// The same for people.
    pub fn rows(&self) -> Vec<Vec<String>> {
        let moved = self.bytes_read + self.bytes_written;
        let least = format!(
            "{} ({:.2} times as much is moved)",
            bytes(self.least_bytes),
            moved as f64 / self.least_bytes as f64
        );
        [
            ("launches", self.launches.to_string()),
            ("read", bytes(self.bytes_read)),
            ("written", bytes(self.bytes_written)),
            ("least that could be moved", least),
            (
                "graphs",
                format!("{} of {} launches, {} changed", self.graphs, self.graph_launches, self.updates),
            ),
            ("operations", format!("{:.1} G", 1e-9 * self.operations as f64)),
        ]
        .map(|(name, value)| vec![name.into(), value])
        .into()
    }
}
