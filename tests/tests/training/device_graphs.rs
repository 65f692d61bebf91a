//! Training where launches are begun as graphs: the same bits, in the memory that was planned, and little of a graph changes from step
//! to step.

use crate::common::{small_resnet, weights_of};
use crate::device_runs::{take_steps, trainer, ways, workload};
use crate::trained::{batches, bp};
use localgrad::device::emulated::{Emulated, HeldGraphs};
use localgrad::device::engine::Engine;
use localgrad::device::table::all::Class;
use localgrad::maps::Place;
use localgrad::network::NetworkSpec;
use localgrad::optimizer::OptimizerConfig;
use localgrad::plan::rehearse;
use localgrad::rules::Rule;
use localgrad::trainer::{Method, TrainConfig};
use std::sync::{Arc, Mutex};

const SAMPLES: usize = 6;

fn engine(has_graphs: bool) -> Engine {
    let graphs = has_graphs.then(|| Arc::new(Mutex::new(HeldGraphs::default())));
    Engine::new("emulated", Emulated { graphs, ..Emulated::default() }, Class::Scalar)
}

/// By name, as bits.
type Weights = Vec<(String, Vec<u32>)>;

/// The weights after six steps; of each step its launches, those in graphs, and those that changed there.
fn trained(spec: &NetworkSpec, config: &TrainConfig, engine: &Engine) -> (Weights, Vec<[u64; 3]>) {
    let directory = tempfile::tempdir().unwrap();
    let mut trainer = trainer(spec, config, &Place::Device(engine.clone()), directory.path());
    let mut counts = vec![];
    for batch in batches(spec, 6, SAMPLES).chunks(trainer.method().chunk) {
        engine.take_launched();
        take_steps(&mut trainer, batch).unwrap();
        let launched = engine.take_launched();
        counts.push([launched.launches, launched.graph_launches, launched.updates]);
    }
    (weights_of(&mut trainer), counts)
}

#[test]
fn device_graphs_train_to_the_same_bits_in_the_planned_memory() {
    let spec = small_resnet([3, 8, 8]);
    let adamw = TrainConfig::from(Method { optimizer: OptimizerConfig::adamw(), ..bp().method });
    for config in ways().into_iter().chain([adamw]) {
        let (expected, with) = (trained(&spec, &config, &engine(false)), engine(true));
        let place = Place::Device(with.clone());
        let planned = rehearse(&workload(&spec, &config, &place)).unwrap().unwrap();
        place.allow(None, Some(planned.held_bytes)).unwrap();
        let (weights, counts) = trained(&spec, &config, &with);
        println!("{:?}, {:?}: {counts:?}", config.execution, config.method.optimizer);
        assert!(weights == expected.0, "{config:?}: graphs give other weights");
        assert!(expected.1.iter().all(|[_, in_graphs, _]| *in_graphs == 0));
        let held_bytes = place.taken().held_bytes;
        assert!(held_bytes <= planned.held_bytes, "{config:?}: {held_bytes} of {planned:?}");
        let [launches, in_graphs, changed] = *counts.last().unwrap();
        assert_eq!(launches, expected.1.last().unwrap()[0]);
        // What local rules and offload take anew in each step lies elsewhere for some steps.
        if config.method.rule.rule == Rule::Bp {
            assert!(10 * in_graphs >= 7 * launches, "{config:?}: {in_graphs} of {launches}");
        }
        assert!(in_graphs > 0 && 2 * changed <= in_graphs, "{config:?}: {changed} of {in_graphs}");
    }
}
