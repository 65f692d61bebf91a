//! What `localgrad train` does when it is told nothing: a network, a rule and a recipe that show in short what local
//! training is for.

use crate::arguments::{TaskName, TrainArguments};
use crate::{augmentation, automatic};

/// The network.
const MODEL: &str = "resnet20";
/// Last unit of each block: the first learns where maps are large, the second the rest.
const ENDS: [usize; 2] = [5, 9];
/// Last units of the pieces in which each block is gone back through.
const PIECES: [usize; 6] = [1, 2, 3, 4, 5, 9];
/// Samples a step.
const BATCH: usize = 64;
/// Passes over the data.
const EPOCHS: usize = 6;
/// Base learning rate.
const RATE: f64 = 0.1;

/// Whether the demonstration was asked for: neither network, nor data, nor rule, nor budget was named, nor anything that
/// does not go with it.
pub fn wanted(arguments: &TrainArguments) -> bool {
    let (rule, waiting) = (&arguments.rule, &arguments.waiting);
    arguments.model.model.is_none()
        && arguments.data.data.is_none()
        && rule.rule.is_none()
        && rule.head.is_none()
        && rule.blocks.is_none()
        && rule.ends.is_none()
        && rule.pieces.is_none()
        && rule.task == TaskName::Softmax
        && !rule.average_alone
        && !waiting.exact
        && waiting.block_batches.is_empty()
        && waiting.cache_features.is_none()
        && arguments.recipe.selection.is_all()
        && augmentation::said(&arguments.recipe.augment).is_none()
        && arguments.init.is_none()
        && arguments.budget.memory_budget.is_none()
}

/// The words that stand for what was not said.
pub fn complete(arguments: &mut TrainArguments) {
    arguments.model.model = Some(MODEL.into());
    // A short run needs an auxiliary network that learns as fast as the network itself.
    arguments.rule = automatic::local(&arguments.rule);
    arguments.rule.ends = Some(ENDS.to_vec());
    arguments.rule.pieces = Some(PIECES.to_vec());
    arguments.rule.recompute = true;
    let recipe = &mut arguments.recipe;
    recipe.batch.get_or_insert(BATCH);
    recipe.lr.get_or_insert(RATE);
    // So short a run has no time to warm up, nor to learn from varied images.
    recipe.warmup.get_or_insert(0);
    recipe.augment.no_augment = true;
    if recipe.steps.is_none() {
        recipe.epochs.get_or_insert(EPOCHS);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resume::{FinetuneOrTrain, parsed};

    #[test]
    fn what_is_named_is_no_demonstration() {
        let wants = |words: &str| {
            let words: Vec<String> = words.split(' ').map(String::from).collect();
            match parsed(&words).unwrap() {
                FinetuneOrTrain::Train(words) => wanted(&words),
                FinetuneOrTrain::Finetune(words) => wanted(&words.train),
            }
        };
        assert!(wants("train") && wants("train --seed 3 --epochs 1 --train all"));
        for words in ["--rule bp", "--model resnet8", "--train head", "--cache-features 2", "--no-flip"] {
            assert!(!wants(&format!("train {words}")), "{words}");
        }
    }
}
