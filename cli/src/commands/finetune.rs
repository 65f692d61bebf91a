//! `localgrad finetune`

use super::train::{self, Task};
use crate::arguments::FinetuneArguments;
use crate::fault::Outcome;

/// Trains on from given weights with a new last layer.
pub fn run(arguments: &FinetuneArguments) -> Outcome<()> {
    train::run_plan(Task::finetune(arguments))
}
