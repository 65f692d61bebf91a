//! Batch norm (Ioffe and Szegedy 2015) with an activation fused in, as a layer.

use super::{Grad, GradientSink, Initializer, Layer, Mode, Need, Statistic, Variable, Visitor, spec::join};
use crate::error::Result;
use crate::maps::Map;
use crate::maps::activation::Activation;
use crate::maps::batch_norm::{self, Statistics};
use crate::maps::map_read::MapRead;
use crate::maps::norm::{Norm, NormSums};
use crate::parameter::Parameter;
use crate::tape::Tape;

/// Keeps its input and one mean and variance a channel; the output and its mask are made again in backward.
pub struct BatchNorm {
    weight: Parameter,
    bias: Parameter,
    running_mean: Statistic,
    running_var: Statistic,
    activation: Option<Activation>,
    epsilon: f64,
}

impl BatchNorm {
    /// Scale one, shift zero, running mean zero and variance one.
    pub fn new(
        channels: usize,
        activation: Option<Activation>,
        [epsilon, momentum]: [f64; 2],
        initializer: &Initializer,
    ) -> Result<Self> {
        Ok(Self {
            weight: Parameter::of_part(initializer.constant(channels, 1.0)?, initializer.part),
            bias: Parameter::of_part(initializer.constant(channels, 0.0)?, initializer.part),
            running_mean: Statistic::new(initializer.constant(channels, 0.0)?, momentum),
            running_var: Statistic::new(initializer.constant(channels, 1.0)?, momentum),
            activation,
            epsilon,
        })
    }

    /// The statistics of evaluation.
    pub(super) fn running(&self) -> Statistics {
        Statistics { mean: self.running_mean.value.clone(), variance: self.running_var.value.clone() }
    }

    /// Lets the running statistics see those of a batch of `rows` rows, which they take in when they settle.
    pub(super) fn observe(&mut self, statistics: &Statistics, rows: usize) {
        self.running_mean.see_mean(&statistics.mean);
        self.running_var.see_variance(&statistics.variance, rows);
    }

    /// Channels.
    pub(super) fn channels(&self) -> usize {
        self.running_mean.value.elem_count()
    }

    /// What the layer makes of an input with these statistics, for who reads through it.
    pub(super) fn normalization(&self, statistics: &Statistics) -> Result<Norm> {
        let (weight, bias) = (&self.weight.value, &self.bias.value);
        Norm::new(statistics, weight, bias, self.epsilon, self.activation)
    }

    /// Hands gradients to `sink`.
    pub(super) fn give(&mut self, d_weight: Map, d_bias: Map, sink: &mut dyn GradientSink) -> Result<()> {
        if self.weight.trainable {
            sink.take(&mut self.weight, d_weight)?;
        }
        if self.bias.trainable {
            sink.take(&mut self.bias, d_bias)?;
        }
        Ok(())
    }

    fn apply(&self, x: &Map, statistics: &Statistics) -> Result<Map> {
        let (weight, bias) = (&self.weight.value, &self.bias.value);
        batch_norm::forward(x, statistics, weight, bias, self.epsilon, self.activation)
    }
}

impl Layer for BatchNorm {
    fn forward(&mut self, x: MapRead, mode: Mode, tape: &mut Tape) -> Result<MapRead> {
        let x = x.resolve()?;
        if !mode.is_training() {
            return self.apply(&x, &self.running()).map(MapRead::Plain);
        }
        let statistics = tape.statistics(batch_norm::statistics(&x)?)?;
        let y = self.apply(&x, &statistics)?;
        if mode.observes() {
            self.observe(&statistics, tape.rows(x.elem_count() / self.channels()));
        }
        tape.push(&x)?;
        tape.push(&statistics.mean)?;
        tape.push(&statistics.variance)?;
        Ok(y.into())
    }

    fn backward(
        &mut self,
        d_y: Grad,
        tape: &mut Tape,
        sink: &mut dyn GradientSink,
        need: Need<'_>,
    ) -> Result<Option<Map>> {
        let variance = tape.pop()?;
        let mean = tape.pop()?;
        let x = tape.pop()?;
        let statistics = Statistics { mean, variance };
        let (weight, bias) = (&self.weight.value, &self.bias.value);
        let mut whole = |sums: &NormSums, rows: usize| Ok((tape.sums(sums)?.into_owned(), tape.rows(rows)));
        let gradients = batch_norm::backward(
            d_y.own()?,
            &x,
            &statistics,
            weight,
            bias,
            self.epsilon,
            self.activation,
            Some(&mut whole),
            need.is_some(),
        )?;
        drop(x);
        self.give(gradients.d_weight, gradients.d_bias, sink)?;
        match gradients.d_x {
            Some(d_x) => need.of(|| Ok(d_x)),
            None => Ok(None),
        }
    }

    fn visit(&mut self, path: &str, visitor: &mut Visitor<'_>) -> Result<()> {
        visitor(&join(path, "weight"), Variable::Parameter(&mut self.weight))?;
        visitor(&join(path, "bias"), Variable::Parameter(&mut self.bias))?;
        visitor(&join(path, "running_mean"), Variable::Statistic(&mut self.running_mean))?;
        visitor(&join(path, "running_var"), Variable::Statistic(&mut self.running_var))
    }
}
