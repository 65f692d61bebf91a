//! Every system call of saving and resuming is cut, fails and half succeeds; nothing is ever lost.

use crate::faulty::{Fault, Memory};
use crate::run::{Run, Saver, State, state};
use localgrad::Result;
use localgrad::checkpoint::{Checkpoints, Record, Saved};
use localgrad::fit::Event;
use localgrad::progress::Progress;
use localgrad::rules::Rule;
use localgrad::trainer::Trainer;
use std::collections::BTreeSet;
use std::io::ErrorKind;

/// Ways in which a loss of power is played through.
const POWER_LOSSES: u64 = 12;

/// A run's first moments, computed once: saving changes nothing in them.
struct Moments {
    run: Run,
    trainers: Vec<Trainer>,
    progress: Vec<Progress>,
    states: Vec<State>,
    /// What checkpoints are read into.
    scratch: Trainer,
}

impl Moments {
    fn new() -> Self {
        let run = Run::new(Rule::Greedy);
        let (mut trainers, mut progress, mut states) = (Vec::new(), Vec::new(), Vec::new());
        for steps in 0..3 {
            let files = Memory::default();
            let (mut trainer, checkpoints, start) = run.begin(files.handle(), 1).unwrap();
            let mut saver = Saver { checkpoints: Some(checkpoints), every: 1, last: steps, told: Vec::new() };
            let mut stands = start.clone();
            if steps > 0 {
                run.go_on(&mut trainer, start, &mut saver).unwrap_err();
                stands = run.resume(files.handle(), 1).unwrap().unwrap().2;
            }
            assert_eq!(stands.steps, steps);
            states.push(state(&mut trainer));
            trainers.push(trainer);
            progress.push(stands);
        }
        let scratch = run.trainer();
        Self { run, trainers, progress, states, scratch }
    }

    fn create(&mut self, files: &Memory, keep: usize) -> Result<Checkpoints> {
        let configuration = self.run.configuration();
        Checkpoints::create_in(files.handle(), configuration, keep, &mut self.trainers[0], &self.progress[0])
    }

    fn save(&mut self, checkpoints: &mut Checkpoints, steps: usize) -> Result<()> {
        // What the journal is told of is lost at worst.
        checkpoints.note(&step(steps)).unwrap();
        checkpoints.save(&mut self.trainers[steps], &self.progress[steps])
    }

    /// After how many steps the checkpoint in `files` stands; its state must be that of these steps, bit for bit.
    fn found(&mut self, files: &Memory) -> Option<usize> {
        let configuration = self.run.configuration();
        let resumed = Checkpoints::resume_in(files.handle(), configuration, 1, &mut self.scratch);
        let (_, progress) = resumed.unwrap_or_else(|error| panic!("nothing can be resumed: {error}"))?;
        assert!(
            state(&mut self.scratch) == self.states[progress.steps],
            "not the state of {}",
            progress.steps
        );
        Some(progress.steps)
    }

    /// Whatever may be found, from the process's end or the power's, is no older than `least`.
    fn check_all_ends(&mut self, files: &Memory, least: Option<usize>, what: &str) {
        let found = self.found(&files.after_kill());
        assert!(found >= least, "{what}: {found:?} after a kill, where {least:?} was saved");
        for possibility in 0..POWER_LOSSES {
            let found = self.found(&files.after_power_loss(possibility));
            assert!(
                found >= least,
                "{what}: {found:?} after power loss {possibility}, where {least:?} was saved"
            );
        }
    }
}

fn step(step: usize) -> Event {
    Event::Step { step, epoch: 1, losses: vec![0.5; 3], learning_rate: 0.1, samples: 4, seconds: 0.0 }
}

/// Names of all files that a checkpoint directory needs.
fn used_names(checkpoints: &Checkpoints) -> BTreeSet<String> {
    let mut names = BTreeSet::from(["journal".to_string(), "manifest".to_string()]);
    for generation in &checkpoints.manifest().generations {
        let blocks = generation.blocks.iter().enumerate();
        names.extend(blocks.map(|(block, entry)| entry.file_name(block)));
    }
    names
}

/// Calls that the whole of creating and saving twice makes.
fn call_count(moments: &mut Moments, keep: usize) -> usize {
    let files = Memory::default();
    let mut checkpoints = moments.create(&files, keep).unwrap();
    moments.save(&mut checkpoints, 1).unwrap();
    moments.save(&mut checkpoints, 2).unwrap();
    files.calls().len()
}

#[test]
fn a_cut_after_any_call_leaves_a_whole_checkpoint() {
    let mut moments = Moments::new();
    for keep in [1, 2] {
        let calls = call_count(&mut moments, keep);
        assert!(calls > 60, "{calls} calls are too few to be all");
        for at in 0..calls {
            for fault in [Fault::Cut, Fault::CutWithin] {
                let files = Memory::default();
                files.fail(at, fault);
                let mut saved = None;
                if let Ok(mut checkpoints) = moments.create(&files, keep) {
                    saved = Some(0);
                    for steps in [1, 2] {
                        if moments.save(&mut checkpoints, steps).is_err() {
                            break;
                        }
                        saved = Some(steps);
                    }
                }
                let what = format!("keep {keep}, {fault:?} at call {at} ({})", files.calls()[at]);
                moments.check_all_ends(&files, saved, &what);
            }
        }
    }
}

#[test]
fn a_call_that_fails_once_costs_no_more_than_a_second_try() {
    let mut moments = Moments::new();
    let faults = [
        Fault::Once(ErrorKind::StorageFull),
        Fault::Once(ErrorKind::Interrupted),
        Fault::Once(ErrorKind::PermissionDenied),
        Fault::Short,
        Fault::ShortThenFull,
    ];
    let calls = call_count(&mut moments, 2);
    for at in 0..calls {
        for fault in faults {
            let files = Memory::default();
            files.fail(at, fault);
            let what = format!("{fault:?} at call {at}");
            let mut checkpoints = match moments.create(&files, 2) {
                Ok(checkpoints) => checkpoints,
                // What a failed beginning left may be a whole checkpoint already.
                Err(_) => match moments.run.resume(files.handle(), 2).unwrap() {
                    Some((_, checkpoints, _)) => checkpoints,
                    None => moments.create(&files, 2).unwrap(),
                },
            };
            for steps in [1, 2] {
                if moments.save(&mut checkpoints, steps).is_err() {
                    moments.check_all_ends(&files, Some(steps - 1), &what);
                    moments.save(&mut checkpoints, steps).unwrap_or_else(|error| panic!("{what}: {error}"));
                }
                moments.check_all_ends(&files, Some(steps), &what);
            }
            // One more, so that whatever could not be removed is.
            files.mend();
            moments.save(&mut checkpoints, 2).unwrap();
            assert_eq!(
                files.contents().into_keys().collect::<BTreeSet<_>>(),
                used_names(&checkpoints),
                "{what}"
            );
        }
    }
}

#[test]
fn a_full_disk_and_a_read_only_one_lose_nothing() {
    let mut moments = Moments::new();
    let calls = call_count(&mut moments, 1);
    for at in 0..calls {
        for fault in [Fault::Full, Fault::ReadOnly] {
            let files = Memory::default();
            let what = format!("{fault:?} from call {at}");
            files.fail(at, fault);
            let (mut saved, mut checkpoints) = (None, moments.create(&files, 1));
            if let Ok(checkpoints) = &mut checkpoints {
                saved = Some(0);
                for steps in [1, 2] {
                    if moments.save(checkpoints, steps).is_ok() {
                        saved = Some(steps);
                    }
                }
            }
            moments.check_all_ends(&files, saved, &what);
            files.mend();
            let mut checkpoints = match checkpoints {
                Ok(checkpoints) => checkpoints,
                Err(_) => match moments.run.resume(files.handle(), 1).unwrap() {
                    Some((_, checkpoints, _)) => checkpoints,
                    None => moments.create(&files, 1).unwrap(),
                },
            };
            moments.save(&mut checkpoints, 2).unwrap_or_else(|error| panic!("{what}: {error}"));
            moments.check_all_ends(&files, Some(2), &what);
        }
    }
}

#[test]
fn resuming_may_be_cut_or_fail_at_any_call() {
    let mut moments = Moments::new();
    let files = Memory::default();
    let mut checkpoints = moments.create(&files, 2).unwrap();
    moments.save(&mut checkpoints, 1).unwrap();
    // A torn record and the files of a checkpoint that was never completed.
    let mut contents = files.contents();
    contents.get_mut("journal").unwrap().extend([9, 0, 0, 0, 1]);
    contents.insert("block-0001-0000000009.safetensors".into(), vec![1, 2, 3]);
    contents.insert("manifest.part".into(), vec![4, 5]);
    let whole = Memory::of(&contents);
    moments.found(&whole).unwrap();
    let calls = whole.calls().len();
    assert!(calls > 10);
    let faults = [
        Fault::Cut,
        Fault::CutWithin,
        Fault::Once(ErrorKind::PermissionDenied),
        Fault::Once(ErrorKind::Other),
        Fault::ReadOnly,
        Fault::Full,
    ];
    for at in 0..calls {
        for fault in faults {
            let files = Memory::of(&contents);
            files.fail(at, fault);
            let configuration = moments.run.configuration();
            let resumed = Checkpoints::resume_in(files.handle(), configuration, 2, &mut moments.scratch);
            if let Ok(found) = resumed {
                assert_eq!(found.unwrap().1.steps, 1, "{fault:?} at call {at}");
            }
            files.mend();
            moments.check_all_ends(&files, Some(1), &format!("{fault:?} at call {at} of resuming"));
        }
    }
    assert!(!whole.contents().contains_key("block-0001-0000000009.safetensors"));
}

#[test]
fn a_step_that_cannot_be_recorded_ends_no_run() {
    let faults = [
        (Fault::Full, vec![1, 5]),
        (Fault::ReadOnly, vec![1, 5]),
        (Fault::Once(ErrorKind::StorageFull), vec![1, 3, 4, 5]),
        // Half a record is cut off before the next is written.
        (Fault::ShortThenFull, vec![1, 3, 4, 5]),
    ];
    let run = Run::new(Rule::Greedy);
    for (fault, expected) in faults {
        let files = Memory::default();
        let (mut trainer, mut checkpoints, progress) = run.begin(files.handle(), 1).unwrap();
        checkpoints.note(&step(1)).unwrap();
        files.fail(files.calls().len(), fault);
        (2..=4).for_each(|number| checkpoints.note(&step(number)).unwrap());
        files.mend();
        checkpoints.note(&step(5)).unwrap();
        checkpoints.save(&mut trainer, &progress).unwrap();
        let records = Saved::read_from(files.handle()).unwrap().unwrap().records().unwrap();
        let steps = records.iter().filter_map(|record| match record {
            Record::Step { step, .. } => Some(*step),
            _ => None,
        });
        assert_eq!(steps.collect::<Vec<_>>(), expected, "{fault:?}");
        assert!(run.resume(files.handle(), 1).unwrap().is_some());
    }
}
