//! Blocks one at a time over a chunk of batches: each visits all of them before the next does, so that only one block
//! need be in memory, and is fetched once for all.
//!
//! A chunk of one batch is ordinary training; a chunk of the whole set trains block by block on cached features.

use crate::error::Result;
use crate::trainer::{Alike, OpenStep, Stage, StepReport, Trainer};

/// Trains every block on all `steps`, which have begun; what each step found, in their order.
///
/// Where blocks take batches of their own, a step is told the loss of the batch that its first sample came into.
///
/// # Errors
/// Those of training. Some blocks then have updates that others lack.
pub fn sweep(
    trainer: &mut Trainer,
    mut steps: Vec<OpenStep>,
    watch: &mut dyn FnMut(Stage),
) -> Result<Vec<StepReport>> {
    let sizes: Vec<usize> = steps.iter().map(OpenStep::samples).collect();
    let blocks = trainer.ranges().len();
    let mut reports = vec![StepReport { losses: Vec::new(), correct: 0 }; sizes.len()];
    for block in 0..blocks {
        if let Some(&size) = trainer.method().block_batches.get(block) {
            steps = trainer.recut(steps, size);
        }
        trainer.enter(block, watch)?;
        let mut alike = Alike::new(&trainer.model.place, steps.len());
        for number in 0..steps.len() {
            if alike.skips(number) {
                let (before, rest) = steps.split_at_mut(number);
                trainer.skip_step(&mut rest[0], &before[number - 1])?;
                continue;
            }
            trainer.train_entered(&mut steps[number], watch)?;
            trainer.follow(block)?;
            alike.end(number);
        }
        trainer.leave(block)?;
        tell_loss(&mut reports, &sizes, &steps, block);
    }
    tell_correct(&mut reports, &steps);
    Ok(reports)
}

/// Tells each report the loss of `block`.
fn tell_loss(reports: &mut [StepReport], sizes: &[usize], steps: &[OpenStep], block: usize) {
    let mut cut = steps.iter();
    let mut now = cut.next();
    let (mut cut_end, mut begin) = (now.map_or(0, OpenStep::samples), 0);
    for (report, size) in reports.iter_mut().zip(sizes) {
        while cut_end <= begin {
            let Some(next) = cut.next() else { break };
            cut_end += next.samples();
            now = Some(next);
        }
        report.losses.push(now.map_or(f64::NAN, |step| step.report().losses[block]));
        begin += size;
    }
}

/// Tells how many samples the network classified right: each report its own, or the last those of all where steps were
/// cut anew.
fn tell_correct(reports: &mut [StepReport], steps: &[OpenStep]) {
    let correct = steps.iter().map(|step| step.report().correct);
    match (steps.len() == reports.len(), reports.last_mut()) {
        (false, Some(last)) => last.correct = correct.sum(),
        _ => reports.iter_mut().zip(correct).for_each(|(report, correct)| report.correct = correct),
    }
}
