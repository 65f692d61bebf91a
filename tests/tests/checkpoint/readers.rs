//! Readers, who have no lock: what they are about to read may be gone because the run has saved again.

use crate::faulty::Memory;
use crate::run::{Run, Saver, state};
use localgrad::ErrorKind;
use localgrad::checkpoint::Saved;
use localgrad::checkpoint::files::{FileInput, FileOutput, Files};
use localgrad::rules::Rule;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The files of a run that saves again each time its manifest was read.
struct Overtaken {
    saves: Vec<Memory>,
    read: AtomicUsize,
}

impl Overtaken {
    fn new(saves: &[Memory]) -> Box<Self> {
        Box::new(Self { saves: saves.to_vec(), read: AtomicUsize::new(0) })
    }
}

impl Files for Overtaken {
    fn open(&self, name: &str) -> io::Result<(Box<dyn FileInput>, u64)> {
        let number = self.read.fetch_add(usize::from(name == "manifest"), Ordering::Relaxed);
        self.saves[number.min(self.saves.len() - 1)].open(name)
    }

    fn list(&self) -> io::Result<Vec<String>> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn create(&mut self, _: &str) -> io::Result<Box<dyn FileOutput>> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn append(&mut self, _: &str) -> io::Result<Box<dyn FileOutput>> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn rename(&mut self, _: &str, _: &str) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn remove(&mut self, _: &str) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn sync_directory(&mut self) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn path(&self, name: &str) -> PathBuf {
        PathBuf::from(name)
    }
}

/// The files after each of so many steps, one state kept.
fn saves(run: &Run, steps: usize) -> Vec<Memory> {
    let after = |last| {
        let files = Memory::default();
        let (mut trainer, checkpoints, progress) = run.begin(files.handle(), 1).unwrap();
        let mut saver = Saver { checkpoints: Some(checkpoints), every: 1, last, told: Vec::new() };
        run.go_on(&mut trainer, progress, &mut saver).unwrap_err();
        files
    };
    (1..=steps).map(after).collect()
}

#[test]
fn a_reader_that_is_overtaken_reads_the_later_state() {
    let run = Run::new(Rule::Greedy);
    let saves = saves(&run, 3);
    let (mut expected, _, _) = run.resume(saves[2].handle(), 1).unwrap().unwrap();
    let saved = Saved::read_from(Overtaken::new(&saves)).unwrap().unwrap();
    assert_eq!(saved.manifest.generations[0].progress.steps, 1);
    let mut trainer = run.trainer();
    assert_eq!(saved.restore(&mut trainer).unwrap().steps, 3);
    assert!(state(&mut trainer) == state(&mut expected));
    assert!(saved.records().is_ok());
}

#[test]
fn a_reader_gives_up_on_what_is_damaged_and_on_what_never_rests() {
    let run = Run::new(Rule::Greedy);
    let saves = saves(&run, 2);
    // The manifest names what is missing, and goes on to.
    let mut contents = saves[0].contents();
    contents.retain(|name, _| !name.starts_with("block-0001"));
    let damaged = Memory::of(&contents);
    let saved = Saved::read_from(damaged.handle()).unwrap().unwrap();
    let error = saved.restore(&mut run.trainer()).unwrap_err();
    assert!(error.kind() == ErrorKind::Format && error.to_string().contains("is missing"), "{error}");
    assert_eq!(damaged.calls().iter().filter(|call| *call == "open manifest").count(), 2);
    // There is always another.
    let restless: Vec<Memory> = (0..100).map(|number| saves[number % 2].clone()).collect();
    let saved = Saved::read_from(Overtaken::new(&restless)).unwrap().unwrap();
    assert_eq!(saved.restore(&mut run.trainer()).unwrap_err().kind(), ErrorKind::Format);
}
