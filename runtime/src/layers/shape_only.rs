//! Layers without weights that keep nothing for their gradient but the shape of their input.

use super::{Grad, GradientSink, Layer, Mode, Need, Visitor};
use crate::error::Result;
use crate::maps::Map;
use crate::maps::map_read::MapRead;
use crate::tape::Tape;

/// A function of which the input's shape says all that its gradient needs.
pub(super) trait ShapeOnly: Send {
    /// Of x.
    fn apply(&self, x: Map) -> Result<Map>;

    /// The gradient of x, of the given shape, from that of what became of it.
    fn d_input(&self, d_y: Grad, shape: &[usize]) -> Result<Map>;
}

impl<F: ShapeOnly> Layer for F {
    fn forward(&mut self, x: MapRead, mode: Mode, tape: &mut Tape) -> Result<MapRead> {
        let x = x.resolve()?;
        if mode.is_training() {
            tape.push_shape(&x);
        }
        self.apply(x).map(MapRead::Plain)
    }

    fn backward(
        &mut self,
        d_y: Grad,
        tape: &mut Tape,
        _: &mut dyn GradientSink,
        need: Need<'_>,
    ) -> Result<Option<Map>> {
        let shape = tape.pop_shape()?;
        need.of(|| self.d_input(d_y, &shape))
    }

    fn visit(&mut self, _: &str, _: &mut Visitor<'_>) -> Result<()> {
        Ok(())
    }
}
