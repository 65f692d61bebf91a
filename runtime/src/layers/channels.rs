//! Channels as layers: a slice of them, branches put side by side, and groups dealt out anew.

use super::shape_only::ShapeOnly;
use super::spec::NamedLayer;
use super::{Grad, GradientSink, Initializer, Layer, Mode, Need, Sequential, Visitor};
use crate::error::Result;
use crate::maps::map_read::MapRead;
use crate::maps::{Map, channels};
use crate::tape::Tape;

/// Some of the channels.
pub struct Slice {
    /// The first of them.
    pub first: usize,
    /// How many.
    pub count: usize,
}

impl ShapeOnly for Slice {
    fn apply(&self, x: Map) -> Result<Map> {
        channels::slice(&x, self.first, self.count)
    }

    fn d_input(&self, d_y: Grad, shape: &[usize]) -> Result<Map> {
        channels::slice_backward(d_y.map(), self.first, shape.last().copied().unwrap_or(0))
    }
}

/// Groups of channels taken in turn; keeps nothing.
pub struct Shuffle {
    /// Groups.
    pub groups: usize,
}

impl Layer for Shuffle {
    fn forward(&mut self, x: MapRead, _: Mode, _: &mut Tape) -> Result<MapRead> {
        channels::shuffle(&x.resolve()?, self.groups).map(MapRead::Plain)
    }

    fn backward(
        &mut self,
        d_y: Grad,
        _: &mut Tape,
        _: &mut dyn GradientSink,
        need: Need<'_>,
    ) -> Result<Option<Map>> {
        let all = d_y.map().dims().last().copied().unwrap_or(0);
        need.of(|| channels::shuffle(d_y.map(), all / self.groups.max(1)))
    }

    fn visit(&mut self, _: &str, _: &mut Visitor<'_>) -> Result<()> {
        Ok(())
    }
}

/// What branches make of one input, side by side; keeps the shapes.
pub struct Concat {
    branches: Vec<Sequential>,
}

impl Concat {
    /// Builds all branches; their weights are named from `path` down.
    pub fn new(branches: &[Vec<NamedLayer>], path: &str, initializer: &Initializer) -> Result<Self> {
        let branches = branches.iter().map(|layers| Sequential::new(layers, path, initializer));
        Ok(Self { branches: branches.collect::<Result<_>>()? })
    }
}

impl Layer for Concat {
    fn forward(&mut self, x: MapRead, mode: Mode, tape: &mut Tape) -> Result<MapRead> {
        let x = x.resolve()?;
        let branches = self.branches.iter_mut();
        let parts = branches.map(|branch| branch.pass(x.clone(), mode, tape)).collect::<Result<Vec<_>>>()?;
        if mode.is_training() {
            parts.iter().for_each(|part| tape.push_shape(part));
        }
        channels::concat(&parts).map(MapRead::Plain)
    }

    fn backward(
        &mut self,
        d_y: Grad,
        tape: &mut Tape,
        sink: &mut dyn GradientSink,
        need: Need<'_>,
    ) -> Result<Option<Map>> {
        let mut counts = Vec::with_capacity(self.branches.len());
        for _ in &self.branches {
            counts.push(tape.pop_shape()?.last().copied().unwrap_or(0));
        }
        let mut end: usize = counts.iter().sum();
        let mut d_x: Option<Map> = None;
        for (branch, count) in self.branches.iter_mut().rev().zip(counts) {
            end -= count;
            let d_part = channels::slice(d_y.map(), end, count)?;
            let need_here = d_x.as_ref().map_or(need, Need::Sum);
            d_x = branch.backward(d_part.into(), tape, sink, need_here)?;
        }
        Ok(d_x)
    }

    fn visit(&mut self, path: &str, visitor: &mut Visitor<'_>) -> Result<()> {
        self.branches.iter_mut().try_for_each(|branch| branch.visit(path, visitor))
    }
}
