//! States in memory: an exact resume from one, and every flipped bit and missing byte noticed without a change.

use crate::run::{Run, Saver, state};
use localgrad::ErrorKind;
use localgrad::checkpoint::blob::{self, Blob};
use localgrad::optimizer::OptimizerConfig;
use localgrad::progress::Progress;
use localgrad::rules::Rule;
use localgrad::schedule::Schedule;
use localgrad::trainer::Trainer;

/// A trainer and its progress after some steps of the run.
fn part_of(run: &Run, steps: usize) -> (Trainer, Progress) {
    struct Stop(usize, Option<Progress>);
    impl localgrad::fit::Observer for Stop {
        fn hear(&mut self, _: &localgrad::fit::Event) -> localgrad::fit::Control {
            localgrad::fit::Control::Continue
        }

        fn rest(&mut self, _: &mut Trainer, progress: &Progress, _: bool) -> localgrad::Result<()> {
            self.1 = Some(progress.clone());
            match progress.steps >= self.0 {
                true => Err(localgrad::Error::internal("enough")),
                false => Ok(()),
            }
        }
    }
    let mut trainer = run.trainer();
    let mut stop = Stop(steps, None);
    let start = Progress::start(trainer.ranges().len());
    run.go_on(&mut trainer, start, &mut stop).unwrap_err();
    (trainer, stop.1.unwrap())
}

fn written(run: &Run, trainer: &mut Trainer, progress: &Progress) -> Vec<u8> {
    let configuration = run.configuration();
    let size = blob::size_bytes(trainer, &configuration, progress).unwrap();
    let mut bytes = vec![0; size];
    assert_eq!(blob::write(trainer, &configuration, progress, &mut bytes).unwrap(), size);
    assert_eq!(
        blob::write(trainer, &configuration, progress, &mut bytes[1..]).unwrap_err().kind(),
        ErrorKind::Io
    );
    // That try has overwritten some of it.
    blob::write(trainer, &configuration, progress, &mut bytes).unwrap();
    bytes
}

#[test]
fn a_run_goes_on_exactly_from_memory() {
    for (rule, optimizer) in [
        (Rule::Man, OptimizerConfig::sgd()),
        (Rule::Greedy, OptimizerConfig::adamw()),
        (Rule::Bp, OptimizerConfig::sgd()),
    ] {
        let run = Run::new(rule).with(optimizer, Schedule::Constant);
        let (mut whole, progress) = part_of(&run, 4);
        let bytes = written(&run, &mut whole, &progress);
        let mut resumed = run.trainer();
        let blob = Blob::read(&bytes).unwrap();
        blob.configuration.check_same(&run.configuration()).unwrap();
        let progress_again = blob.restore(&mut resumed).unwrap();
        assert_eq!(state(&mut resumed), state(&mut whole));
        run.go_on(&mut whole, progress, &mut Saver::idle()).unwrap();
        run.go_on(&mut resumed, progress_again, &mut Saver::idle()).unwrap();
        assert_eq!(state(&mut resumed), state(&mut whole));
    }
}

#[test]
fn damage_is_noticed_and_changes_nothing() {
    let run = Run::new(Rule::Greedy);
    let (mut trainer, progress) = part_of(&run, 2);
    let mut bytes = written(&run, &mut trainer, &progress);
    for bit in 0..8 * bytes.len() {
        bytes[bit / 8] ^= 1 << (bit % 8);
        let found = Blob::read(&bytes).err().unwrap();
        assert_eq!(found.kind(), ErrorKind::Format, "bit {bit}: {found}");
        bytes[bit / 8] ^= 1 << (bit % 8);
    }
    for length in 0..bytes.len() {
        assert!(Blob::read(&bytes[..length]).is_err(), "{length} bytes");
        assert!(Blob::read(&bytes[bytes.len() - length..]).is_err(), "the last {length} bytes");
    }
    // Whole, but of another network.
    let other = Run::new(Rule::Bp);
    let mut trainer = other.trainer();
    let before = state(&mut trainer);
    let refused = Blob::read(&bytes).unwrap().restore(&mut trainer).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Format);
    assert_eq!(state(&mut trainer), before);
}
