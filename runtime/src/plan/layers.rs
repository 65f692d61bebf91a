//! The layers that stand alone, replayed.

use super::context::Context;
use super::ledger::{Held, Part};
use super::outline::{Lazy, Outline};
use super::replay::{Parameter, Replay, Tape, statistic};
use crate::error::Result;
use crate::kernels::conv::PassKind;
use crate::layers::Mode;
use crate::layers::spec::LayerSpec;
use crate::maps::conv::ConvConfig;
use crate::maps::pool::PoolConfig;

/// `layers::conv::Conv`
pub(super) struct Conv {
    pub(super) weight_dims: [usize; 4],
    pub(super) weight: Parameter,
    pub(super) bias: Option<Parameter>,
    pub(super) config: ConvConfig,
}

impl Conv {
    pub(super) fn new(
        context: &Context,
        inputs: usize,
        outputs: usize,
        config: ConvConfig,
        bias: bool,
        part: Part,
    ) -> Self {
        let weight_dims = [outputs, inputs / config.groups, config.kernel[0], config.kernel[1]];
        Self {
            weight_dims,
            weight: Parameter::new(context, &weight_dims, part),
            bias: bias.then(|| Parameter::new(context, &[outputs], part)),
            config,
        }
    }

    /// The convolution's output of an input of this shape.
    pub(super) fn output(&self, context: &Context, x: &[usize]) -> Result<Outline> {
        let geometry = self.config.geometry(x, &self.weight_dims)?;
        let y =
            context.map(&[geometry.images, geometry.output[0], geometry.output[1], geometry.out_channels]);
        context.convolve(&geometry, PassKind::Forward);
        Ok(y)
    }

    /// The gradient of the weight, from an input of this shape.
    pub(super) fn d_weight(&self, context: &Context, x: &[usize]) -> Result<Outline> {
        let geometry = self.config.geometry(x, &self.weight_dims)?;
        let d_weight = context.map(&self.weight_dims);
        context.convolve(&geometry, PassKind::DWeight);
        Ok(d_weight)
    }

    pub(super) fn parameters(&mut self) -> impl Iterator<Item = &mut Parameter> {
        std::iter::once(&mut self.weight).chain(&mut self.bias)
    }
}

impl Replay for Conv {
    fn forward(&mut self, context: &Context, x: Lazy, mode: Mode, tape: &mut Tape) -> Result<Lazy> {
        let y = self.output(context, x.stored().dims())?;
        if mode.is_training() {
            tape.push_shape(context, x.stored());
            if self.weight.trainable {
                tape.push_lazy(context, x);
            }
        }
        Ok(Lazy::Plain(y))
    }

    fn backward(
        &mut self,
        context: &Context,
        d_y: Outline,
        tape: &mut Tape,
        need_input: bool,
    ) -> Result<Option<Outline>> {
        let x = if self.weight.trainable { Some(tape.pop_lazy(context)?) } else { None };
        let shape = tape.pop_shape()?;
        let mut d_x = None;
        if need_input {
            d_x = Some(context.map(&shape));
            context.convolve(&self.config.geometry(&shape, &self.weight_dims)?, PassKind::DInput);
        }
        if let Some(bias) = self.bias.as_mut().filter(|bias| bias.trainable) {
            context.sum_rows(&d_y);
            bias.take(context, context.map(&[d_y.channels()]));
        }
        if let Some(x) = x {
            let d_weight = self.d_weight(context, &shape)?;
            drop((x, d_y));
            self.weight.take(context, d_weight);
        }
        Ok(d_x)
    }

    fn parameters(&mut self) -> Vec<&mut Parameter> {
        Conv::parameters(self).collect()
    }
}

/// `layers::batch_norm::BatchNorm`
pub(super) struct BatchNorm {
    weight: Parameter,
    bias: Parameter,
    _running: [Held; 2],
}

impl BatchNorm {
    pub(super) fn new(context: &Context, channels: usize, part: Part) -> Self {
        let parameter = || Parameter::new(context, &[channels], part);
        Self {
            weight: parameter(),
            bias: parameter(),
            _running: [(); 2].map(|()| statistic(context, channels, part)),
        }
    }

    /// Mean and variance of a batch, which the running ones may see.
    pub(super) fn statistics(&self, context: &Context, channels: usize, mode: Mode) -> [Outline; 2] {
        let statistics = [(); 2].map(|()| context.map(&[channels]));
        if mode.observes() {
            context.see(&statistics);
        }
        statistics
    }

    /// Hands its gradients over.
    pub(super) fn give(&mut self, context: &Context) {
        let gradients = [(); 2].map(|()| context.map(&[self.weight.elements()]));
        for (parameter, gradient) in [&mut self.weight, &mut self.bias].into_iter().zip(gradients) {
            if parameter.trainable {
                parameter.take(context, gradient);
            }
        }
    }

    pub(super) fn parameters(&mut self) -> [&mut Parameter; 2] {
        [&mut self.weight, &mut self.bias]
    }
}

impl Replay for BatchNorm {
    fn forward(&mut self, context: &Context, x: Lazy, mode: Mode, tape: &mut Tape) -> Result<Lazy> {
        let x = context.resolve(x)?;
        let channels = x.channels();
        let statistics = mode.is_training().then(|| {
            context.sum_rows(&x);
            self.statistics(context, channels, mode)
        });
        let _by = context.normalization(channels);
        let y = context.map(x.dims());
        context.sweep(2 * x.elements());
        if let Some([mean, variance]) = statistics {
            tape.push(context, &x);
            tape.push(context, &mean);
            tape.push(context, &variance);
        }
        Ok(Lazy::Plain(y))
    }

    fn backward(
        &mut self,
        context: &Context,
        d_y: Outline,
        tape: &mut Tape,
        need_input: bool,
    ) -> Result<Option<Outline>> {
        let _statistics = [tape.pop(context)?, tape.pop(context)?];
        let x = tape.pop(context)?;
        let _by = [(); 2].map(|()| context.normalization(x.channels()));
        context.sum_rows(&x);
        context.sweep(3 * x.elements());
        drop(x);
        self.give(context);
        Ok(need_input.then_some(d_y))
    }

    fn parameters(&mut self) -> Vec<&mut Parameter> {
        BatchNorm::parameters(self).into()
    }
}

/// `layers::linear::Linear`
pub(super) struct Linear {
    outputs: usize,
    weight: Parameter,
    bias: Option<Parameter>,
}

impl Linear {
    pub(super) fn new(context: &Context, inputs: usize, outputs: usize, bias: bool, part: Part) -> Self {
        Self {
            outputs,
            weight: Parameter::new(context, &[outputs, inputs], part),
            bias: bias.then(|| Parameter::new(context, &[outputs], part)),
        }
    }
}

impl Replay for Linear {
    fn forward(&mut self, context: &Context, x: Lazy, mode: Mode, tape: &mut Tape) -> Result<Lazy> {
        let x = context.resolve(x)?;
        let rows = x.elements() / x.channels();
        let y = context.map(&[rows, self.outputs]);
        context.product(rows, self.outputs, x.channels());
        if mode.is_training() && self.weight.trainable {
            tape.push(context, &x);
        }
        Ok(Lazy::Plain(y))
    }

    fn backward(
        &mut self,
        context: &Context,
        d_y: Outline,
        tape: &mut Tape,
        need_input: bool,
    ) -> Result<Option<Outline>> {
        let x = if self.weight.trainable { Some(tape.pop(context)?) } else { None };
        let (rows, inputs) = (d_y.elements() / self.outputs, self.weight.elements() / self.outputs);
        let d_x = need_input.then(|| {
            let d_x = context.map(&[rows, inputs]);
            context.product(rows, inputs, self.outputs);
            d_x
        });
        if let Some(bias) = self.bias.as_mut().filter(|bias| bias.trainable) {
            context.sum_rows(&d_y);
            bias.take(context, context.map(&[self.outputs]));
        }
        if let Some(_x) = x {
            let d_weight = context.map(&[self.outputs, inputs]);
            context.product(self.outputs, inputs, rows);
            self.weight.take(context, d_weight);
        }
        Ok(d_x)
    }

    fn parameters(&mut self) -> Vec<&mut Parameter> {
        std::iter::once(&mut self.weight).chain(&mut self.bias).collect()
    }
}

/// Layers without weights.
pub(super) enum Plain {
    /// `layers::elementwise::Activate`
    Activate,
    /// `layers::elementwise::Dropout`
    Dropout,
    /// `layers::elementwise::Flatten`
    Flatten,
    /// `layers::pool::MaxPool`
    MaxPool(PoolConfig),
    /// Pools that take means, and up-sampling: weighted sums of pixels.
    Resample(LayerSpec),
}

impl Replay for Plain {
    fn forward(&mut self, context: &Context, x: Lazy, mode: Mode, tape: &mut Tape) -> Result<Lazy> {
        let x = context.resolve(x)?;
        let trains = mode.is_training();
        let y = match self {
            Self::Activate => {
                let y = context.map(x.dims());
                if trains {
                    tape.push(context, &x);
                }
                y
            }
            Self::Dropout if trains => context.map(x.dims()),
            Self::Dropout => x.clone(),
            Self::Flatten => {
                if trains {
                    tape.push_shape(context, &x);
                }
                flattened(context, &x)
            }
            Self::MaxPool(config) => {
                let [n, h, w, c] = image(&x)?;
                let [rows, columns] = config.output_size([h, w])?;
                let y = context.map(&[n, rows, columns, c]);
                let positions = context.byte_tensor(y.dims());
                if trains {
                    tape.push_shape(context, &x);
                    tape.push(context, &positions);
                }
                y
            }
            Self::Resample(layer) => {
                if trains {
                    tape.push_shape(context, &x);
                }
                resampled(context, layer, &x)?
            }
        };
        context.sweep(x.elements() + y.elements());
        Ok(Lazy::Plain(y))
    }

    fn backward(
        &mut self,
        context: &Context,
        d_y: Outline,
        tape: &mut Tape,
        need_input: bool,
    ) -> Result<Option<Outline>> {
        context.sweep(2 * d_y.elements());
        match self {
            Self::Activate => {
                let _x = tape.pop(context)?;
                Ok(need_input.then_some(d_y))
            }
            Self::Dropout => Ok(need_input.then_some(d_y)),
            Self::Flatten => {
                let shape = tape.pop_shape()?;
                Ok(need_input.then(|| match is_flat(&shape) {
                    true => d_y.reshaped(shape),
                    false => context.map(&shape),
                }))
            }
            Self::MaxPool(_) => {
                let _positions = tape.pop(context)?;
                let shape = tape.pop_shape()?;
                Ok(need_input.then(|| context.map(&shape)))
            }
            Self::Resample(_) => {
                let shape = tape.pop_shape()?;
                Ok(need_input.then(|| {
                    let d_x = context.map(&shape);
                    // A line of the gradient for each thread.
                    let line = d_y.dims().iter().rev().take(2).product::<usize>();
                    context.scratch(context.threads * line * super::context::ELEMENT_BYTES);
                    d_x
                }))
            }
        }
    }
}

fn image(x: &Outline) -> Result<[usize; 4]> {
    match *x.dims() {
        [n, h, w, c] => Ok([n, h, w, c]),
        ref other => Err(crate::error::Error::shape(format!("a map is needed here, found {other:?}"))),
    }
}

/// Whether the channels of a map of this shape lie as those of its flat features do.
fn is_flat(shape: &[usize]) -> bool {
    match *shape {
        [_, h, w, c] => h * w == 1 || c == 1,
        _ => true,
    }
}

fn flattened(context: &Context, x: &Outline) -> Outline {
    let flat = vec![x.dims()[0], x.elements() / x.dims()[0]];
    match is_flat(x.dims()) {
        true => x.clone().reshaped(flat),
        false => context.map(&flat),
    }
}

/// The output of a layer that is a weighted sum of pixels.
fn resampled(context: &Context, layer: &LayerSpec, x: &Outline) -> Result<Outline> {
    let [n, height, width, channels] = image(x)?;
    let input = crate::layers::spec::Features::Map { channels, height, width };
    let output = layer.output(input)?;
    let y = context.map(&[n, output.elements()]);
    context.scratch(context.threads * width * channels * super::context::ELEMENT_BYTES);
    Ok(match output {
        crate::layers::spec::Features::Map { channels, height, width } => {
            y.reshaped(vec![n, height, width, channels])
        }
        crate::layers::spec::Features::Flat(_) => y,
    })
}
