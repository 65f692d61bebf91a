//! Blocks one at a time over a chunk of batches: each visits all of them before the next does, so that only one block
//! need be in memory, and is fetched once for all.
//!
//! A chunk of one batch is ordinary training; a chunk of the whole set trains block by block on cached features.

use crate::error::Result;
use crate::trainer::{OpenStep, Stage, StepReport, Trainer};

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
    let mut reports = vec![StepReport { losses: Vec::with_capacity(blocks), correct: 0 }; sizes.len()];
    for block in 0..blocks {
        if let Some(&size) = trainer.config().block_batches.get(block) {
            steps = trainer.recut(steps, size);
        }
        trainer.enter(block, watch)?;
        for step in &mut steps {
            trainer.train_entered(step, watch)?;
        }
        trainer.leave(block)?;
        tell(&mut reports, &sizes, &steps, block);
    }
    Ok(reports)
}

/// Tells each report the loss of `block`, and how many samples were classified right.
fn tell(reports: &mut [StepReport], sizes: &[usize], steps: &[OpenStep], block: usize) {
    let mut cut = steps.iter();
    let (mut now, mut cut_end, mut begin) = (cut.next(), 0, 0);
    cut_end += now.map_or(0, OpenStep::samples);
    for (report, size) in reports.iter_mut().zip(sizes) {
        while cut_end <= begin {
            let Some(next) = cut.next() else { break };
            cut_end += next.samples();
            now = Some(next);
        }
        report.losses.push(now.map_or(f64::NAN, |step| step.report().losses[block]));
        begin += size;
    }
    let correct: usize = steps.iter().map(|step| step.report().correct).sum();
    let told: usize = reports.iter().map(|report| report.correct).sum();
    if let Some(last) = reports.last_mut().filter(|_| steps.len() != sizes.len()) {
        last.correct += correct - told;
    } else {
        reports.iter_mut().zip(steps).for_each(|(report, step)| report.correct = step.report().correct);
    }
}
