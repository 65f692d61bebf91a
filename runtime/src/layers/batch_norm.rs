//! Batch norm (Ioffe and Szegedy 2015) with an activation fused in, as a layer.

use super::{
    Grad, GradientSink, Initializer, Layer, Mode, Need, Statistic, Variable, Visitor, gradient::give,
    spec::join,
};
use crate::error::Result;
use crate::maps::Map;
use crate::maps::activation::Activation;
use crate::maps::batch_norm::{self, Statistics, WholeSums};
use crate::maps::map_read::{MapRead, is_clamp};
use crate::maps::norm::{Norm, NormParameters, NormSums};
use crate::parameter::Parameter;
use crate::tape::Tape;
use std::borrow::Cow;

/// Keeps its input and one mean and variance a channel; the output and its mask are made again in backward.
pub struct BatchNorm {
    weight: Parameter,
    bias: Parameter,
    running_mean: Statistic,
    running_var: Statistic,
    activation: Option<Activation>,
    epsilon: f64,
    /// Whether it goes by its running statistics, which stay where they are, in training, too.
    is_still: bool,
}

impl BatchNorm {
    /// Scale one, shift zero, running mean zero and variance one.
    pub fn new(
        channels: usize,
        activation: Option<Activation>,
        [epsilon, momentum]: [f64; 2],
        initializer: &Initializer,
    ) -> Result<Self> {
        let is_still = !initializer.trains.norms;
        Ok(Self {
            weight: initializer.parameter(initializer.constant(channels, 1.0)?, initializer.trains.norms),
            bias: initializer.parameter(initializer.constant(channels, 0.0)?, initializer.trains.shifts()),
            running_mean: Statistic::new(initializer.constant(channels, 0.0)?, momentum, is_still),
            running_var: Statistic::new(initializer.constant(channels, 1.0)?, momentum, is_still),
            activation,
            epsilon,
            is_still,
        })
    }

    /// Whether a pass goes by the statistics of its batch.
    pub(super) fn takes_batch(&self, mode: Mode) -> bool {
        mode.is_training() && !self.is_still
    }

    /// Keeps the statistics that a pass of training went by, unless they are at hand anyway.
    pub(super) fn keep(&self, statistics: &Statistics, tape: &mut Tape) {
        if !self.is_still {
            tape.push_statistics(statistics);
        }
    }

    /// Takes what [`BatchNorm::keep`] kept.
    pub(super) fn kept(&self, tape: &mut Tape) -> Result<Statistics> {
        if self.is_still {
            return Ok(self.running());
        }
        tape.pop_statistics()
    }

    /// The sums that the gradient of an input of `rows` rows needs whose own are `own`, and the rows that they are of; none
    /// where statistics are constants.
    pub(super) fn whole_sums<'a>(
        &self,
        own: &'a NormSums,
        rows: usize,
        tape: &mut Tape,
    ) -> Result<(Option<Cow<'a, NormSums>>, usize)> {
        match self.is_still {
            true => Ok((None, rows)),
            false => Ok((Some(tape.sums(own)?), tape.rows(rows))),
        }
    }

    /// The statistics of evaluation.
    pub(super) fn running(&self) -> Statistics {
        Statistics::new(self.running_mean.value.clone(), self.running_var.value.clone())
    }

    /// Lets the running statistics see those of a batch of `rows` rows, which they take in when they settle.
    pub(super) fn observe(&mut self, statistics: &Statistics, rows: usize) {
        self.running_mean.see_mean(&statistics.mean);
        self.running_var.see_variance(&statistics.variance, rows);
    }

    /// Whether its activation does nothing, or keeps numbers between bounds.
    pub(super) fn is_bounded(&self) -> bool {
        is_clamp(self.activation)
    }

    /// Channels.
    pub(super) fn channels(&self) -> usize {
        self.running_mean.value.elem_count()
    }

    /// What it has beside statistics.
    pub(super) fn parameters(&self) -> NormParameters<'_> {
        let (weight, bias) = (&self.weight.value, &self.bias.value);
        NormParameters { weight, bias, epsilon: self.epsilon, activation: self.activation }
    }

    /// What the layer makes of an input with these statistics, for who reads through it.
    pub(super) fn normalization(&self, statistics: &Statistics) -> Result<Norm> {
        if let Some(norm) = &statistics.norm {
            return Ok(norm.clone());
        }
        let (weight, bias) = (&self.weight.value, &self.bias.value);
        Norm::new(statistics, weight, bias, self.epsilon, self.activation)
    }

    /// Hands gradients to `sink`.
    pub(super) fn give(&mut self, d_weight: Map, d_bias: Map, sink: &mut dyn GradientSink) -> Result<()> {
        give(&mut self.weight, d_weight, sink)?;
        give(&mut self.bias, d_bias, sink)
    }

    fn apply(&self, x: &Map, statistics: &Statistics) -> Result<Map> {
        let (weight, bias) = (&self.weight.value, &self.bias.value);
        batch_norm::forward(x, statistics, weight, bias, self.epsilon, self.activation)
    }
}

impl Layer for BatchNorm {
    fn forward(&mut self, x: MapRead, mode: Mode, tape: &mut Tape) -> Result<MapRead> {
        let x = x.resolve()?;
        let statistics = match self.takes_batch(mode) {
            true => tape.statistics(batch_norm::statistics(&x)?)?,
            false => self.running(),
        };
        let y = self.apply(&x, &statistics)?;
        if self.takes_batch(mode) && mode.observes() {
            self.observe(&statistics, tape.rows(x.elem_count() / self.channels()));
        }
        if mode.is_training() {
            tape.push(&x)?;
            self.keep(&statistics, tape);
        }
        Ok(y.into())
    }

    fn backward(
        &mut self,
        d_y: Grad,
        tape: &mut Tape,
        sink: &mut dyn GradientSink,
        need: Need<'_>,
    ) -> Result<Option<Map>> {
        let statistics = self.kept(tape)?;
        let x = tape.pop()?;
        let (weight, bias) = (&self.weight.value, &self.bias.value);
        let mut whole = |sums: &NormSums, rows: usize| Ok((tape.sums(sums)?.into_owned(), tape.rows(rows)));
        let whole: Option<&mut WholeSums<'_>> = if self.is_still { None } else { Some(&mut whole) };
        let gradients = batch_norm::backward(
            d_y.own()?,
            &x,
            &statistics,
            weight,
            bias,
            self.epsilon,
            self.activation,
            whole,
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
