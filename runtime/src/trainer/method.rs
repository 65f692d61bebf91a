//! What is trained, and by which rule: everything that says which numbers training means to reach.

use crate::error::{Error, Result};
use crate::optimizer::{OptimizerConfig, StateFormat};
use crate::precision::Precision;
use crate::rules::{Rule, RuleConfig};
use crate::selection::Selection;
use serde::{Deserialize, Serialize};

/// The most batches of a chunk: each waits, and is planned, on its own.
const MOST_CHUNK: usize = 65_535;

/// What a run keeps from its first step to its last. How it is carried out is an [`Execution`].
///
/// [`Execution`]: super::Execution
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Method {
    /// Which rule, and its numbers.
    pub rule: RuleConfig,
    /// Last unit of each block.
    pub ends: Vec<usize>,
    /// How gradients change weights.
    pub optimizer: OptimizerConfig,
    /// In what it remembers what it does of them.
    #[serde(default, skip_serializing_if = "StateFormat::is_f32")]
    pub optimizer_state: StateFormat,
    /// Share of each label that cross-entropy spreads over all classes.
    pub label_smoothing: f64,
    /// What each class counts in the softmax cross-entropy of every classifier, the head's and auxiliary ones': terms of
    /// class c count `class_weights[c]` times, and the sum is divided by the weights of the batch's labels. None: all 1.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub class_weights: Vec<f32>,
    /// Largest allowed norm of a block's whole gradient, auxiliary network included. Clipping must see the
    /// whole gradient first, so the block's gradients then live together until its update.
    pub clip_norm: Option<f64>,
    /// Seed of weights and dropout.
    pub seed: u64,
    /// The first blocks, as many as this, stay as they are.
    #[serde(default)]
    pub frozen: usize,
    /// What is trained of the others. What comes before the first trained weight is passed by running statistics, and so are
    /// batch norms that are not trained.
    #[serde(default, skip_serializing_if = "Selection::is_all")]
    pub selection: Selection,
    /// Batches that a block visits before the next block visits them. Without a moving average of the next block, which
    /// stands still meanwhile, the results are the same.
    #[serde(default = "one")]
    pub chunk: usize,
    /// Samples that each block takes as its batch, in place of the run's: features are cut anew on their way. None: all
    /// blocks take the run's.
    #[serde(default)]
    pub block_batches: Vec<usize>,
    /// Whether what the first units, which stay as they are, make of each sample is kept, where
    /// [`Execution::features_on_disk`] says, so that they are not passed every epoch. It is for runs on a data set.
    ///
    /// [`Execution::features_on_disk`]: super::Execution::features_on_disk
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache: Option<CacheConfig>,
}

/// Features of units that stay as they are, which are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CacheConfig {
    /// Showings of each sample whose features are kept: as many as there are different draws of its augmentation, or fewer,
    /// which epochs then show in turn. 1 without augmentation.
    pub variants: usize,
    /// What they wait in.
    pub precision: Precision,
}

fn one() -> usize {
    1
}

impl Default for Method {
    /// End to end as one unit; set `rule` and `ends`.
    fn default() -> Self {
        Self {
            rule: RuleConfig::new(Rule::Bp),
            ends: vec![0],
            optimizer: OptimizerConfig::default(),
            optimizer_state: StateFormat::F32,
            label_smoothing: 0.0,
            class_weights: Vec::new(),
            clip_norm: None,
            seed: 0,
            frozen: 0,
            selection: Selection::All,
            chunk: 1,
            block_batches: Vec::new(),
            cache: None,
        }
    }
}

impl Method {
    /// Refuses what cannot work.
    ///
    /// # Errors
    /// `Config`.
    pub fn validate(&self) -> Result<()> {
        self.optimizer.validate()?;
        if !(0.0..1.0).contains(&self.label_smoothing) {
            return Err(Error::config(format!(
                "label smoothing must be in [0, 1), found {}",
                self.label_smoothing
            )));
        }
        if let Some(limit) = self.clip_norm
            && !(limit.is_finite() && limit > 0.0)
        {
            return Err(Error::config(format!("the gradient norm's limit must be above 0, found {limit}")));
        }
        self.validate_schedule()?;
        self.selection.check(self.ends.last().map_or(0, |last| last.saturating_add(1)))?;
        if self.frozen > 0 && self.frozen >= self.ends.len() {
            return Err(Error::config(format!(
                "{} of {} blocks are to be frozen, but the last one holds the new head; freeze at most {}",
                self.frozen,
                self.ends.len(),
                self.ends.len().saturating_sub(1)
            )));
        }
        Ok(())
    }

    fn validate_schedule(&self) -> Result<()> {
        if self.chunk == 0 {
            return Err(Error::config("a block visits at least one batch before the next block does"));
        }
        if self.chunk > MOST_CHUNK {
            return Err(Error::config(format!(
                "a chunk of {} batches is more than can wait; it ends with the epoch at the latest, and has up to \
                 {MOST_CHUNK}",
                self.chunk
            )));
        }
        if self.cache.is_some_and(|cache| cache.variants == 0) {
            return Err(Error::config("features are kept of at least one showing of each sample, found 0"));
        }
        let Self { block_batches, ends, .. } = self;
        if !block_batches.is_empty() && (block_batches.len() != ends.len() || block_batches.contains(&0)) {
            return Err(Error::config(format!(
                "{} blocks need {0} batches of at least one sample, one for each block, found {block_batches:?}",
                ends.len()
            )));
        }
        Ok(())
    }
}
