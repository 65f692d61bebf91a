//! Batch norm (Ioffe and Szegedy 2015) with an activation fused in, as a layer.

use super::{GradientSink, Initializer, Layer, Mode, Statistic, Variable, Visitor, spec::join};
use crate::error::Result;
use crate::kernels::batch_norm::{Normalization, Sums};
use crate::ops::activation::Activation;
use crate::ops::batch_norm::{self, Statistics};
use crate::parameter::Parameter;
use crate::tape::Tape;
use candle_core::{DType, Tensor};

/// Added to the variance before the root.
pub const EPSILON: f64 = 1e-5;

/// Keeps its input and one mean and variance a channel; the output and its mask are made again in backward.
pub struct BatchNorm {
    weight: Parameter,
    bias: Parameter,
    running_mean: Statistic,
    running_var: Statistic,
    activation: Option<Activation>,
}

impl BatchNorm {
    /// Scale one, shift zero, running mean zero and variance one.
    pub fn new(channels: usize, activation: Option<Activation>, initializer: &Initializer) -> Result<Self> {
        let device = &initializer.device;
        Ok(Self {
            weight: Parameter::new(Tensor::ones(channels, DType::F32, device)?),
            bias: Parameter::new(Tensor::zeros(channels, DType::F32, device)?),
            running_mean: Statistic::new(Tensor::zeros(channels, DType::F32, device)?),
            running_var: Statistic::new(Tensor::ones(channels, DType::F32, device)?),
            activation,
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

    /// What the layer makes of an input with these statistics, for kernels on the CPU.
    pub(super) fn normalization(&self, statistics: &Statistics) -> Result<Normalization> {
        let (weight, bias) = (&self.weight.value, &self.bias.value);
        batch_norm::normalization(statistics, weight, bias, EPSILON, self.activation)
    }

    /// Hands gradients to `sink`.
    pub(super) fn give(
        &mut self,
        d_weight: Tensor,
        d_bias: Tensor,
        sink: &mut dyn GradientSink,
    ) -> Result<()> {
        if self.weight.trainable {
            sink.take(&mut self.weight, d_weight)?;
        }
        if self.bias.trainable {
            sink.take(&mut self.bias, d_bias)?;
        }
        Ok(())
    }

    fn apply(&self, x: &Tensor, statistics: &Statistics) -> Result<Tensor> {
        batch_norm::forward(x, statistics, &self.weight.value, &self.bias.value, EPSILON, self.activation)
    }
}

impl Layer for BatchNorm {
    fn forward(&mut self, x: Tensor, mode: Mode, tape: &mut Tape) -> Result<Tensor> {
        if !mode.is_training() {
            return self.apply(&x, &self.running());
        }
        let statistics = tape.statistics(batch_norm::statistics(&x)?)?;
        let y = self.apply(&x, &statistics)?;
        if mode.observes() {
            self.observe(&statistics, tape.rows(x.elem_count() / self.channels()));
        }
        tape.push(&x)?;
        tape.push(&statistics.mean)?;
        tape.push(&statistics.variance)?;
        Ok(y)
    }

    fn backward(
        &mut self,
        d_y: Tensor,
        tape: &mut Tape,
        sink: &mut dyn GradientSink,
        need_input: bool,
    ) -> Result<Option<Tensor>> {
        let variance = tape.pop()?;
        let mean = tape.pop()?;
        let x = tape.pop()?;
        let statistics = Statistics { mean, variance };
        let (weight, bias) = (&self.weight.value, &self.bias.value);
        let mut whole = |sums: &Sums, rows: usize| (tape.sums(sums).into_owned(), tape.rows(rows));
        let gradients = batch_norm::backward(
            d_y,
            &x,
            &statistics,
            weight,
            bias,
            EPSILON,
            self.activation,
            Some(&mut whole),
            need_input,
        )?;
        drop(x);
        self.give(gradients.d_weight, gradients.d_bias, sink)?;
        Ok(gradients.d_x)
    }

    fn visit(&mut self, path: &str, visitor: &mut Visitor<'_>) -> Result<()> {
        visitor(&join(path, "weight"), Variable::Parameter(&mut self.weight))?;
        visitor(&join(path, "bias"), Variable::Parameter(&mut self.bias))?;
        visitor(&join(path, "running_mean"), Variable::Statistic(&mut self.running_mean))?;
        visitor(&join(path, "running_var"), Variable::Statistic(&mut self.running_var))
    }
}
