//! An embedding as a layer: the only one that takes tokens.

use super::{Grad, GradientSink, Initializer, Layer, Mode, Need, Variable, Visitor, spec::join};
use crate::error::{Error, Result};
use crate::initial;
use crate::maps::Map;
use crate::maps::embedding;
use crate::maps::map_read::MapRead;
use crate::parameter::Parameter;
use crate::tape::Tape;

/// Keeps the tokens `[N, T]` if its weight `[V, C]` is trained; gives `[N, 1, T, C]`.
pub struct Embedding {
    weight: Parameter,
}

impl Embedding {
    /// A weight drawn for the name `path`: normal of deviation 1.
    pub fn new(vocabulary: usize, channels: usize, path: &str, initializer: &Initializer) -> Result<Self> {
        let dims = [vocabulary, channels];
        let weight =
            initializer.draw([path, "weight"], &dims, |stream| initial::normal(&dims, 1.0, stream))?;
        Ok(Self { weight })
    }
}

impl Layer for Embedding {
    fn forward(&mut self, x: MapRead, mode: Mode, tape: &mut Tape) -> Result<MapRead> {
        let tokens = x.resolve()?;
        let y = embedding::forward(&tokens, &self.weight.value)?;
        if mode.is_training() && self.weight.trainable {
            tape.push_exactly(&tokens);
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
        if need.is_some() {
            return Err(Error::internal("the gradient of tokens was asked for, which have none"));
        }
        if self.weight.trainable {
            let vocabulary = self.weight.value.dims()[0];
            let d_weight = embedding::d_weight(&tape.pop()?, d_y.map(), vocabulary)?;
            drop(d_y);
            sink.take(&mut self.weight, d_weight)?;
        }
        Ok(None)
    }

    fn visit(&mut self, path: &str, visitor: &mut Visitor<'_>) -> Result<()> {
        visitor(&join(path, "weight"), Variable::Parameter(&mut self.weight))
    }
}
