//! The auxiliary network of one block at work: the exit behind it, and the judge of what that gives.

use super::exit::Exit;
use super::judge::{Judge, Target};
use super::spec::AuxiliarySpec;
use crate::error::Result;
use crate::layers::spec::Features;
use crate::layers::{GradientSink, Initializer, Mode, Visitor};
use crate::maps::Map;
use crate::tape::Tape;

/// Turns a block's output into a loss and a gradient.
pub struct Auxiliary {
    /// From the block's output to logits or features.
    pub exit: Exit,
    /// The losses of these.
    pub judge: Judge,
}

impl Auxiliary {
    /// Builds it for a block that gives `features`; weights are named from `path` (`aux.<block>`) down. To
    /// `recompute` keeps less and repeats the pair's forward pass instead.
    ///
    /// # Errors
    /// Those of building layers.
    pub fn new(
        spec: &AuxiliarySpec,
        features: Features,
        recompute: bool,
        path: &str,
        initializer: &Initializer,
    ) -> Result<Self> {
        let exit = Exit::new(spec, features, recompute, path, initializer)?;
        Ok(Self { exit, judge: Judge::new(spec, path, initializer)? })
    }

    /// [`Judge::loss`] of its exit.
    ///
    /// # Errors
    /// Those of [`Judge::loss`].
    pub fn loss(
        &mut self,
        h: Map,
        target: &Target<'_>,
        mode: Mode,
        tape: &mut Tape,
        sink: &mut dyn GradientSink,
    ) -> Result<(f64, Map)> {
        self.judge.loss(&mut self.exit, h, target, mode, tape, sink)
    }

    /// Shows every weight and running statistic, named from `path` down.
    ///
    /// # Errors
    /// Those of `visitor`.
    pub fn visit(&mut self, path: &str, visitor: &mut Visitor<'_>) -> Result<()> {
        self.exit.visit(path, visitor)?;
        self.judge.visit(path, visitor)
    }
}
