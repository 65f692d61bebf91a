//! Layers without weights that keep the shape or only rearrange it: activation, dropouts, flatten, up-sampling.

use super::{Draw, GradientSink, Initializer, Layer, Mode, Visitor};
use crate::error::Result;
use crate::maps::Map;
use crate::maps::activation::Activation;
use crate::maps::dropout::Mask;
use crate::maps::{dropout, elementwise, flatten, per_channel, upsample};
use crate::random::Stream;
use crate::tape::Tape;

/// A non-linearity on its own; keeps its input. After batch norm use the fused form.
pub struct Activate {
    /// Which.
    pub activation: Activation,
}

impl Layer for Activate {
    fn forward(&mut self, x: Map, mode: Mode, tape: &mut Tape) -> Result<Map> {
        let y = elementwise::activate(&x, self.activation)?;
        if mode.is_training() {
            tape.push(&x)?;
        }
        Ok(y)
    }

    fn backward(
        &mut self,
        d_y: Map,
        tape: &mut Tape,
        _: &mut dyn GradientSink,
        need_input: bool,
    ) -> Result<Option<Map>> {
        let x = tape.pop()?;
        need_input.then(|| elementwise::activate_backward(d_y, &x, self.activation)).transpose()
    }

    fn visit(&mut self, _: &str, _: &mut Visitor<'_>) -> Result<()> {
        Ok(())
    }
}

/// Inverted dropout; keeps only the number of the pass, from which its mask is drawn again.
pub struct Dropout {
    probability: f64,
    seed: u64,
    draw: Draw,
}

impl Dropout {
    /// Masks are a function of the seed, the layer's `path`, the number of the pass and the place in its batch.
    pub fn new(probability: f64, path: &str, initializer: &Initializer) -> Self {
        let seed = Stream::new(initializer.seed, path, &[]).next_u64();
        Self { probability, seed, draw: Draw::default() }
    }

    /// The mask for `x` or its gradient: that of its place in the batch.
    fn mask(&self, x: &Map) -> Mask {
        let sample = x.elem_count() / x.dims().first().copied().unwrap_or(1).max(1);
        Mask {
            probability: self.probability,
            seed: Stream::new(self.seed, "dropout", &[self.draw.pass]).next_u64(),
            first: self.draw.first * sample,
        }
    }
}

impl Layer for Dropout {
    fn forward(&mut self, x: Map, mode: Mode, _: &mut Tape) -> Result<Map> {
        let Some(draw) = mode.draw() else { return Ok(x) };
        self.draw = draw;
        // The op works in place, and the input may be kept by the layer before.
        let mask = self.mask(&x);
        dropout::forward(x.copy()?, mask)
    }

    fn backward(
        &mut self,
        d_y: Map,
        _: &mut Tape,
        _: &mut dyn GradientSink,
        need_input: bool,
    ) -> Result<Option<Map>> {
        let mask = self.mask(&d_y);
        need_input.then(|| dropout::backward(d_y, mask)).transpose()
    }

    fn visit(&mut self, _: &str, _: &mut Visitor<'_>) -> Result<()> {
        Ok(())
    }
}

/// Stochastic depth (Huang et al. 2016): leaves out whole samples of a branch. As [`Dropout`], of one number a sample.
pub struct DropPath {
    dropout: Dropout,
}

impl DropPath {
    /// As [`Dropout::new`].
    pub fn new(probability: f64, path: &str, initializer: &Initializer) -> Self {
        Self { dropout: Dropout::new(probability, path, initializer) }
    }

    /// `x` as one channel of each sample, and the samples' factors.
    fn factors(&self, x: Map) -> Result<(Map, Map)> {
        let samples = x.dims().first().copied().unwrap_or(1).max(1);
        let ones = x.place().full(&[samples, 1], 1.0)?;
        let mask = self.dropout.mask(&ones);
        let elements = x.elem_count() / samples;
        Ok((x.contiguous()?.reshape((samples, elements, 1))?, dropout::forward(ones, mask)?))
    }
}

impl Layer for DropPath {
    fn forward(&mut self, x: Map, mode: Mode, _: &mut Tape) -> Result<Map> {
        let Some(draw) = mode.draw() else { return Ok(x) };
        self.dropout.draw = draw;
        let shape = x.dims().to_vec();
        let (x, factors) = self.factors(x)?;
        per_channel::multiply(&x, &factors)?.reshape(shape)
    }

    fn backward(
        &mut self,
        d_y: Map,
        _: &mut Tape,
        _: &mut dyn GradientSink,
        need_input: bool,
    ) -> Result<Option<Map>> {
        if !need_input {
            return Ok(None);
        }
        let shape = d_y.dims().to_vec();
        let (d_y, factors) = self.factors(d_y)?;
        per_channel::multiply_into(d_y, &factors)?.reshape(shape).map(Some)
    }

    fn visit(&mut self, _: &str, _: &mut Visitor<'_>) -> Result<()> {
        Ok(())
    }
}

/// `[N, H, W, C]` to `[N, C·H·W]`, in the order of the canonical weights; a vector stays as it is.
pub struct Flatten;

impl Layer for Flatten {
    fn forward(&mut self, x: Map, mode: Mode, tape: &mut Tape) -> Result<Map> {
        if mode.is_training() {
            tape.push_shape(&x);
        }
        flatten::forward(x)
    }

    fn backward(
        &mut self,
        d_y: Map,
        tape: &mut Tape,
        _: &mut dyn GradientSink,
        need_input: bool,
    ) -> Result<Option<Map>> {
        let shape = tape.pop_shape()?;
        if !need_input {
            return Ok(None);
        }
        flatten::backward(d_y, &shape).map(Some)
    }

    fn visit(&mut self, _: &str, _: &mut Visitor<'_>) -> Result<()> {
        Ok(())
    }
}

/// Bilinear up-sampling.
pub struct Upsample {
    /// Height and width of the output.
    pub size: [usize; 2],
    /// Whether the corners of input and output coincide.
    pub align_corners: bool,
}

impl Layer for Upsample {
    fn forward(&mut self, x: Map, mode: Mode, tape: &mut Tape) -> Result<Map> {
        if mode.is_training() {
            tape.push_shape(&x);
        }
        upsample::bilinear_forward(&x, self.size, self.align_corners)
    }

    fn backward(
        &mut self,
        d_y: Map,
        tape: &mut Tape,
        _: &mut dyn GradientSink,
        need_input: bool,
    ) -> Result<Option<Map>> {
        let shape = tape.pop_shape()?;
        need_input.then(|| upsample::bilinear_backward(&d_y, &shape, self.align_corners)).transpose()
    }

    fn visit(&mut self, _: &str, _: &mut Visitor<'_>) -> Result<()> {
        Ok(())
    }
}
