//! `localgrad finetune`

use super::train::{self, Plan};
use crate::arguments::FinetuneArguments;
use crate::fault::Outcome;

/// Trains on from given weights with a new last layer.
pub fn run(arguments: &FinetuneArguments) -> Outcome<()> {
    train::run_plan(Plan::finetune(arguments))
}
