//! The convolutions and batch norms of a network, each timed alone on its own shape.

use super::median;
use super::product::Product;
use localgrad::layers::spec::{Features, LayerSpec, NamedLayer};
use localgrad::layers::{Draw, GradientSink, Initializer, Layer, Mode, Need, Trains, Variable, build};
use localgrad::maps::counted::Counter;
use localgrad::maps::counted::ledger::Part;
use localgrad::maps::{Map, Place};
use localgrad::network::NetworkSpec;
use localgrad::parameter::Parameter;
use localgrad::tape::Tape;
use localgrad::{Device, Result, Tensor};
use std::sync::Arc;
use std::time::Instant;

/// Times of which each pass's median is taken.
const ROUNDS: usize = 15;
/// Rounds from one product to the next.
const ROUNDS_A_PRODUCT: usize = 5;

/// A layer and the features it takes.
#[derive(Clone, Debug, PartialEq)]
pub struct Op {
    /// A convolution or a batch norm.
    pub layer: LayerSpec,
    /// What it takes.
    pub features: Features,
}

/// Median seconds of each pass.
#[derive(Clone, Copy, Debug)]
pub struct Times {
    /// Forward.
    pub forward: f64,
    /// The input's gradient alone (of a batch norm: with those of weight and bias).
    pub d_input: f64,
    /// The weight's gradient alone; a batch norm has none of its own.
    pub d_weight: Option<f64>,
}

/// Every different convolution and batch norm of the network's units, in order.
pub fn of_network(network: &NetworkSpec) -> Result<Vec<Op>> {
    let mut ops = Vec::new();
    let mut features = network.input_features();
    for (layers, output) in network.expand()? {
        gather(&layers, features, &mut ops)?;
        features = output;
    }
    Ok(ops)
}

fn gather(layers: &[NamedLayer], input: Features, ops: &mut Vec<Op>) -> Result<Features> {
    let mut features = input;
    for NamedLayer { layer, .. } in layers {
        match layer {
            LayerSpec::Conv { .. } | LayerSpec::BatchNorm { .. } => {
                let op = Op { layer: layer.clone(), features };
                if !ops.contains(&op) {
                    ops.push(op);
                }
            }
            _ => {
                for branch in layer.branches() {
                    gather(branch, features, ops)?;
                }
            }
        }
        features = layer.output(features)?;
    }
    Ok(features)
}

impl Op {
    /// Multiply-adds of one pass over `samples` samples; 0 for a batch norm.
    pub fn multiply_adds(&self, samples: usize) -> Result<usize> {
        let counter = Arc::new(Counter::new(1));
        let place = Place::Counted(counter.clone());
        let x = place.full(&self.features.dims(samples), 0.0)?;
        let mut layer = build(
            &self.layer,
            "",
            &Initializer { seed: 0, draws: true, place, part: Part::Weights, trains: Trains::ALL },
        )?;
        layer.forward(x.into(), Mode::Evaluate, &mut Tape::new())?;
        Ok(counter.ledger.total_work().multiply_adds as usize)
    }

    /// Runs every pass on `samples` samples, taking turns with `product`, so that what disturbs one disturbs all.
    pub fn measure(&self, samples: usize, product: &mut Product) -> Result<Times> {
        let initializer = Initializer {
            seed: 0,
            draws: true,
            place: Place::Host,
            part: Part::Weights,
            trains: Trains::ALL,
        };
        let mut trained = build(&self.layer, "", &initializer)?;
        let mut frozen = build(&self.layer, "", &initializer)?;
        freeze(frozen.as_mut())?;
        let x = random(samples, self.features)?;
        let d_y = random(samples, self.layer.output(self.features)?)?;
        let convolves = matches!(self.layer, LayerSpec::Conv { .. });
        let mut times = [const { Vec::new() }; 3];
        for round in 0..ROUNDS {
            let layer = if convolves { &mut frozen } else { &mut trained };
            let [forward, d_input] = pass(layer.as_mut(), &x, &d_y, true)?;
            times[0].push(forward);
            times[1].push(d_input);
            if convolves {
                times[2].push(pass(trained.as_mut(), &x, &d_y, false)?[1]);
            }
            if round % ROUNDS_A_PRODUCT == 0 {
                product.repeat()?;
            }
        }
        let [forward, d_input, d_weight] = times.map(|times| (!times.is_empty()).then(|| median(&times)));
        Ok(Times { forward: forward.unwrap_or(0.0), d_input: d_input.unwrap_or(0.0), d_weight })
    }
}

/// Seconds forward and backward.
fn pass(layer: &mut dyn Layer, x: &Map, d_y: &Map, need_input: bool) -> Result<[f64; 2]> {
    let mut tape = Tape::new();
    // Layers may write into their arguments.
    let (x, d_y) = (x.copy()?, d_y.copy()?);
    let start = Instant::now();
    let y = layer.forward(x.into(), Mode::Train { draw: Draw::default() }, &mut tape)?.resolve()?;
    let forward = start.elapsed().as_secs_f64();
    drop(y);
    let start = Instant::now();
    let need = if need_input { Need::Input } else { Need::Nothing };
    let d_x = layer.backward(d_y.into(), &mut tape, &mut Forget, need)?;
    let backward = start.elapsed().as_secs_f64();
    drop(d_x);
    Ok([forward, backward])
}

fn freeze(layer: &mut dyn Layer) -> Result<()> {
    layer.visit("", &mut |_, variable| {
        if let Variable::Parameter(parameter) = variable {
            parameter.trainable = false;
        }
        Ok(())
    })
}

fn random(samples: usize, features: Features) -> Result<Map> {
    Ok(Tensor::rand(-1f32, 1f32, features.dims(samples), &Device::Cpu)?.into())
}

/// Lets gradients go.
struct Forget;

impl GradientSink for Forget {
    fn take(&mut self, _: &mut Parameter, _: Map) -> Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use localgrad_models::{ModelConfig, network};

    #[test]
    fn every_different_shape_once() {
        let ops = of_network(&network("resnet20", &ModelConfig::default()).unwrap()).unwrap();
        let convolutions: Vec<&Op> =
            ops.iter().filter(|op| matches!(op.layer, LayerSpec::Conv { .. })).collect();
        // The stem, one a stage that keeps its shape, and two convolutions where each of two stages begins.
        assert_eq!(convolutions.len(), 1 + 3 + 2 * 2);
        assert_eq!(convolutions[0].multiply_adds(2).unwrap(), 2 * 32 * 32 * 16 * 27);
        assert!(ops.iter().enumerate().all(|(i, op)| !ops[..i].contains(op)));
    }

    #[test]
    fn every_pass_takes_time() {
        let ops = of_network(&network("resnet8", &ModelConfig::default()).unwrap()).unwrap();
        let mut product = Product::new(1).unwrap();
        for op in ops.iter().take(2) {
            let times = op.measure(1, &mut product).unwrap();
            assert!(times.forward > 0.0 && times.d_input > 0.0, "{op:?}: {times:?}");
            assert_eq!(times.d_weight.is_some(), matches!(op.layer, LayerSpec::Conv { .. }));
        }
        assert!(product.gflops() > 0.0);
    }
}
