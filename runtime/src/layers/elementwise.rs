//! Layers without weights that keep the shape or only rearrange it: activation, dropouts, flatten, up-sampling.

use super::shape_only::ShapeOnly;
use super::{Draw, Grad, GradientSink, Initializer, Layer, Mode, Need, Visitor};
use crate::error::Result;
use crate::maps::Map;
use crate::maps::activation::Activation;
use crate::maps::dropout::Mask;
use crate::maps::map_read::MapRead;
use crate::maps::{dropout, elementwise, flatten, per_channel, upsample};
use crate::random::Stream;
use crate::tape::Tape;

/// A non-linearity on its own; keeps its input. After batch norm use the fused form.
pub struct Activate {
    /// Which.
    pub activation: Activation,
}

impl Layer for Activate {
    fn forward(&mut self, x: MapRead, mode: Mode, tape: &mut Tape) -> Result<MapRead> {
        let x = x.resolve()?;
        let y = elementwise::activate(&x, self.activation)?;
        if mode.is_training() {
            tape.push(&x)?;
        }
        Ok(y.into())
    }

    fn backward(
        &mut self,
        d_y: Grad,
        tape: &mut Tape,
        _: &mut dyn GradientSink,
        need: Need<'_>,
    ) -> Result<Option<Map>> {
        let x = tape.pop()?;
        need.of(|| elementwise::activate_backward(d_y.own()?, &x, self.activation))
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
    fn forward(&mut self, x: MapRead, mode: Mode, _: &mut Tape) -> Result<MapRead> {
        let Some(draw) = mode.draw() else { return Ok(x) };
        self.draw = draw;
        let x = x.resolve()?;
        // The op works in place, and the input may be kept by the layer before.
        let mask = self.mask(&x);
        dropout::forward(x.copy()?, mask).map(MapRead::Plain)
    }

    fn backward(
        &mut self,
        d_y: Grad,
        _: &mut Tape,
        _: &mut dyn GradientSink,
        need: Need<'_>,
    ) -> Result<Option<Map>> {
        let mask = self.mask(d_y.map());
        need.of(|| dropout::backward(d_y.own()?, mask))
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
    fn forward(&mut self, x: MapRead, mode: Mode, _: &mut Tape) -> Result<MapRead> {
        let Some(draw) = mode.draw() else { return Ok(x) };
        self.dropout.draw = draw;
        let x = x.resolve()?;
        let shape = x.dims().to_vec();
        let (x, factors) = self.factors(x)?;
        per_channel::multiply(&x, &factors)?.reshape(shape).map(MapRead::Plain)
    }

    fn backward(
        &mut self,
        d_y: Grad,
        _: &mut Tape,
        _: &mut dyn GradientSink,
        need: Need<'_>,
    ) -> Result<Option<Map>> {
        need.of(|| {
            let shape = d_y.map().dims().to_vec();
            let (d_y, factors) = self.factors(d_y.own()?)?;
            per_channel::multiply_into(d_y, &factors)?.reshape(shape)
        })
    }

    fn visit(&mut self, _: &str, _: &mut Visitor<'_>) -> Result<()> {
        Ok(())
    }
}

/// `[N, H, W, C]` to `[N, C·H·W]`, in the order of the canonical weights; a vector stays as it is.
pub struct Flatten;

impl ShapeOnly for Flatten {
    fn apply(&self, x: Map) -> Result<Map> {
        flatten::forward(x)
    }

    fn d_input(&self, d_y: Grad, shape: &[usize]) -> Result<Map> {
        flatten::backward(d_y.own()?, shape)
    }
}

/// Bilinear up-sampling.
pub struct Upsample {
    /// Height and width of the output.
    pub size: [usize; 2],
    /// Whether the corners of input and output coincide.
    pub align_corners: bool,
}

impl ShapeOnly for Upsample {
    fn apply(&self, x: Map) -> Result<Map> {
        upsample::bilinear_forward(&x, self.size, self.align_corners)
    }

    fn d_input(&self, d_y: Grad, shape: &[usize]) -> Result<Map> {
        upsample::bilinear_backward(d_y.map(), shape, self.align_corners)
    }
}
