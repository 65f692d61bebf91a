//! One writer at a time, on a real disk.

use crate::run::{Run, Saver, state};
use localgrad::ErrorKind;
use localgrad::checkpoint::{Checkpoints, Saved};
use localgrad::progress::Progress;
use localgrad::rules::Rule;

#[test]
fn a_second_writer_is_refused_until_the_first_is_gone() {
    let run = Run::new(Rule::Man);
    let directory = tempfile::tempdir().unwrap();
    let place = directory.path().join("checkpoint");
    let mut trainer = run.trainer();
    let progress = Progress::start(trainer.ranges().len());
    assert!(Checkpoints::resume(&place, run.configuration(), 1, &mut trainer).unwrap().is_none());
    let checkpoints = Checkpoints::create(&place, run.configuration(), 1, &mut trainer, &progress).unwrap();
    let mut other = run.trainer();
    let refused = Checkpoints::resume(&place, run.configuration(), 1, &mut other).err().unwrap();
    assert_eq!(refused.kind(), ErrorKind::Config);
    assert!(refused.to_string().contains("another process"), "{refused}");
    // Readers need no lock.
    Saved::read(&place).unwrap().unwrap().restore(&mut other).unwrap();
    let mut saver = Saver { checkpoints: Some(checkpoints), every: 2, ..Saver::idle() };
    run.go_on(&mut trainer, progress.clone(), &mut saver).unwrap();
    drop(saver);
    let again = Checkpoints::create(&place, run.configuration(), 1, &mut other, &progress).err().unwrap();
    assert!(again.to_string().contains("already holds a checkpoint"), "{again}");
    let (_held, found) = Checkpoints::resume(&place, run.configuration(), 1, &mut other).unwrap().unwrap();
    assert_eq!(found.steps, 10);
    assert!(state(&mut other) == state(&mut trainer));
}

#[test]
fn a_directory_that_cannot_be_made_is_an_error() {
    let run = Run::new(Rule::Greedy);
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("file");
    std::fs::write(&file, b"in the way").unwrap();
    let mut trainer = run.trainer();
    let progress = Progress::start(3);
    let place = file.join("checkpoint");
    let error = Checkpoints::create(&place, run.configuration(), 1, &mut trainer, &progress).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Io);
}
