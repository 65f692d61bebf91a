//! Pools as layers.

use super::shape_only::ShapeOnly;
use super::{Grad, GradientSink, Layer, Mode, Need, Visitor};
use crate::error::Result;
use crate::maps::Map;
use crate::maps::map_read::MapRead;
use crate::maps::pool::{self, PoolConfig};
use crate::tape::Tape;

/// Maximum over windows; keeps the position of each maximum.
pub struct MaxPool {
    /// Windows.
    pub config: PoolConfig,
}

impl Layer for MaxPool {
    fn forward(&mut self, x: MapRead, mode: Mode, tape: &mut Tape) -> Result<MapRead> {
        let x = x.resolve()?;
        let (y, positions) = pool::max_forward(&x, &self.config)?;
        if mode.is_training() {
            tape.push_shape(&x);
            tape.push(&positions)?;
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
        let positions = tape.pop()?;
        let shape = tape.pop_shape()?;
        need.of(|| pool::max_backward(d_y.map(), &positions, &shape, &self.config))
    }

    fn visit(&mut self, _: &str, _: &mut Visitor<'_>) -> Result<()> {
        Ok(())
    }
}

/// Mean over windows.
pub struct AveragePool {
    /// Windows.
    pub config: PoolConfig,
}

/// Mean over windows that tile the map into the given height and width.
pub struct AdaptiveAveragePool {
    /// Height and width of the output.
    pub size: [usize; 2],
}

/// Mean over all positions.
pub struct GlobalAveragePool;

impl ShapeOnly for AveragePool {
    fn apply(&self, x: Map) -> Result<Map> {
        pool::average_forward(&x, &self.config)
    }

    fn d_input(&self, d_y: Grad, shape: &[usize]) -> Result<Map> {
        pool::average_backward(d_y.map(), shape, &self.config)
    }
}

impl ShapeOnly for AdaptiveAveragePool {
    fn apply(&self, x: Map) -> Result<Map> {
        pool::adaptive_average_forward(&x, self.size)
    }

    fn d_input(&self, d_y: Grad, shape: &[usize]) -> Result<Map> {
        pool::adaptive_average_backward(d_y.map(), shape)
    }
}

impl ShapeOnly for GlobalAveragePool {
    fn apply(&self, x: Map) -> Result<Map> {
        pool::global_average_forward(&x)
    }

    fn d_input(&self, d_y: Grad, shape: &[usize]) -> Result<Map> {
        pool::global_average_backward(d_y.map(), shape)
    }
}
