//! A checkpoint directory: begun, saved into, opened again after whatever happened.

use super::block_file;
use super::block_input;
use super::configuration::Configuration;
use super::files::{Disk, FileOutput, Files, Unsynced, write_all};
use super::journal::{self, JOURNAL_FILE, Journal, Record};
use super::lock::Lock;
use super::manifest::{BlockEntry, Generation, MANIFEST_FILE, MAX_MANIFEST_BYTES, Manifest, is_block_file};
use crate::error::{Error, ErrorKind, Result};
use crate::fit::Event;
use crate::progress::Progress;
use crate::trainer::Trainer;
use std::collections::BTreeSet;
use std::io::Read;
use std::path::{Path, PathBuf};

/// The manifest before it is renamed.
const PART_FILE: &str = "manifest.part";
/// The most files that are synced at once, and so are open at once.
const SYNCED_AT_ONCE: usize = 16;
/// How often a reader begins again because a writer has removed what it was about to read.
const READ_TRIES: usize = 8;
/// Where a damaged journal is kept.
const DAMAGED_JOURNAL: &str = "journal.damaged";

/// A checkpoint directory that is written to.
pub struct Checkpoints {
    files: Box<dyn Files>,
    manifest: Manifest,
    journal: Journal,
    /// Number of the next generation; a save that fails uses its number up.
    next: u64,
    /// What the trainer's blocks hold, if they hold what a generation does: its blocks, and the trainer's passes.
    held: Option<(Vec<BlockEntry>, u64)>,
    keep: usize,
    /// Whether the last event could not be recorded.
    loses_records: bool,
    /// Held for as long as this lives.
    _lock: Option<Lock>,
}

/// What a checkpoint directory holds, for those who only read.
pub struct Saved {
    files: Box<dyn Files>,
    /// Its manifest, as it was read.
    pub manifest: Manifest,
}

impl Saved {
    /// Reads the checkpoint in `directory`; `None` where none was ever completed.
    ///
    /// # Errors
    /// `Io` when it cannot be read, `Format` when it is damaged or of a newer version.
    pub fn read(directory: &Path) -> Result<Option<Self>> {
        Self::read_from(Box::new(Disk::new(directory)))
    }

    /// The same for files of any kind.
    ///
    /// # Errors
    /// As [`Saved::read`].
    pub fn read_from(files: Box<dyn Files>) -> Result<Option<Self>> {
        Ok(read_manifest(files.as_ref())?.map(|manifest| Self { files, manifest }))
    }

    /// Puts the newest whole state into `trainer`, and says where its run stood: later than [`Saved::manifest`] says
    /// where a run that goes on has saved again meanwhile.
    ///
    /// # Errors
    /// `Format` when no state is whole, with what is wrong with the newest. The trainer is then of no use.
    pub fn restore(&self, trainer: &mut Trainer) -> Result<Progress> {
        self.read_current(|manifest| Ok(restore(self.files.as_ref(), manifest, trainer)?.1.progress))
    }

    /// What happened in the run.
    ///
    /// # Errors
    /// `Io` when the journal cannot be read, `Format` when it is damaged.
    pub fn records(&self) -> Result<Vec<Record>> {
        let read = |manifest: &Manifest| journal::read(self.files.as_ref(), newest(manifest)?.journal);
        self.read_current(read).map(journal::history)
    }

    /// Reads what the manifest names. Readers have no lock: a writer may have removed it since the manifest was read,
    /// and what looks damaged is so only if the manifest still names it.
    fn read_current<T>(&self, mut read: impl FnMut(&Manifest) -> Result<T>) -> Result<T> {
        let mut found = read(&self.manifest);
        let mut number = newest(&self.manifest)?.number;
        for _ in 1..READ_TRIES {
            if !found.as_ref().is_err_and(|error| error.kind() == ErrorKind::Format) {
                break;
            }
            let Some(now) = read_manifest(self.files.as_ref())? else { break };
            if newest(&now)?.number == number {
                break;
            }
            number = newest(&now)?.number;
            found = read(&now);
        }
        found
    }
}

impl Checkpoints {
    /// Makes `directory`, where there is none, and holds it, before anything in it is looked at.
    ///
    /// # Errors
    /// `Config` when another writer has the directory, `Io` when it cannot be made.
    pub fn hold(directory: &Path) -> Result<Lock> {
        Disk::create(directory).map_err(|cause| Error::io(directory, cause))?;
        Lock::acquire(directory)
    }

    /// Begins checkpoints in `directory`, which may hold no others, by saving where `trainer` stands. `keep`
    /// states are kept, at least one.
    ///
    /// # Errors
    /// `Config` when another writer or another run has the directory, `Io` when it cannot be written.
    pub fn create(
        directory: &Path,
        configuration: Configuration,
        keep: usize,
        trainer: &mut Trainer,
        progress: &Progress,
    ) -> Result<Self> {
        let lock = Self::hold(directory)?;
        Self::create_held(directory, lock, configuration, keep, trainer, progress)
    }

    /// The same in a directory that is held.
    ///
    /// # Errors
    /// As [`Checkpoints::create`].
    pub fn create_held(
        directory: &Path,
        lock: Lock,
        configuration: Configuration,
        keep: usize,
        trainer: &mut Trainer,
        progress: &Progress,
    ) -> Result<Self> {
        let files = Box::new(Disk::new(directory));
        let mut checkpoints = Self::create_in(files, configuration, keep, trainer, progress)?;
        checkpoints._lock = Some(lock);
        Ok(checkpoints)
    }

    /// The same among files of any kind, without a lock.
    ///
    /// # Errors
    /// As [`Checkpoints::create`].
    pub fn create_in(
        mut files: Box<dyn Files>,
        configuration: Configuration,
        keep: usize,
        trainer: &mut Trainer,
        progress: &Progress,
    ) -> Result<Self> {
        if read_manifest(files.as_ref())?.is_some() {
            let place = files.path("");
            return Err(Error::config(format!(
                "{} already holds a checkpoint; resume it, or choose another directory",
                place.display()
            )));
        }
        let io = |files: &dyn Files, cause| Error::io(&files.path(JOURNAL_FILE), cause);
        let journal = Journal::create(files.as_mut(), configuration.network.objective)
            .map_err(|cause| io(files.as_ref(), cause))?;
        let manifest = Manifest { configuration, generations: Vec::new() };
        let mut checkpoints = Self::new(files, manifest, journal, 1, keep);
        checkpoints.begin(progress.steps)?;
        checkpoints.save(trainer, progress)?;
        Ok(checkpoints)
    }

    /// Opens the checkpoints in `directory` to go on with `trainer`, which must be of the configuration `now`:
    /// restores its state, and says where its run stood. `None` where no checkpoint was ever completed.
    ///
    /// # Errors
    /// `Config` when another writer has the directory or `now` differs in what may not, each field named;
    /// `Format` when what is there is damaged or of a newer version; `Io` when it cannot be read.
    pub fn resume(
        directory: &Path,
        now: Configuration,
        keep: usize,
        trainer: &mut Trainer,
    ) -> Result<Option<(Self, Progress)>> {
        if !directory.is_dir() {
            return Ok(None);
        }
        Self::resume_held(directory, Lock::acquire(directory)?, now, keep, trainer)
    }

    /// The same in a directory that is held.
    ///
    /// # Errors
    /// As [`Checkpoints::resume`].
    pub fn resume_held(
        directory: &Path,
        lock: Lock,
        now: Configuration,
        keep: usize,
        trainer: &mut Trainer,
    ) -> Result<Option<(Self, Progress)>> {
        let resumed = Self::resume_in(Box::new(Disk::new(directory)), now, keep, trainer)?;
        Ok(resumed.map(|(mut checkpoints, progress)| {
            checkpoints._lock = Some(lock);
            (checkpoints, progress)
        }))
    }

    /// The same among files of any kind, without a lock.
    ///
    /// # Errors
    /// As [`Checkpoints::resume`].
    pub fn resume_in(
        mut files: Box<dyn Files>,
        now: Configuration,
        keep: usize,
        trainer: &mut Trainer,
    ) -> Result<Option<(Self, Progress)>> {
        let Some(mut manifest) = read_manifest(files.as_ref())? else { return Ok(None) };
        manifest.configuration.check_same(&now)?;
        if let Some(note) = manifest.configuration.note(&now) {
            log::warn!("{note}");
        }
        manifest.configuration = now;
        let (position, generation) = restore(files.as_ref(), &manifest, trainer)?;
        let next = newest(&manifest)?.number + 1;
        let journal = open_journal(files.as_mut(), &manifest)?;
        manifest.generations.drain(..position);
        let mut checkpoints = Self::new(files, manifest, journal, next, keep);
        checkpoints.held = Some((generation.blocks, generation.passes));
        checkpoints.remove_unused();
        checkpoints.begin(generation.progress.steps)?;
        Ok(Some((checkpoints, generation.progress)))
    }

    fn new(files: Box<dyn Files>, manifest: Manifest, journal: Journal, next: u64, keep: usize) -> Self {
        let (held, loses_records) = (None, false);
        Self { files, manifest, journal, next, held, keep: keep.max(1), loses_records, _lock: None }
    }

    /// What is on disk.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Saves from now on say that the run goes on as `configuration`: what may be set while it runs was set.
    pub fn set_configuration(&mut self, configuration: Configuration) {
        self.manifest.configuration = configuration;
    }

    /// To be told when the trainer's state was set from elsewhere: the next save writes every block.
    pub fn forget_held(&mut self) {
        self.held = None;
    }

    /// Writes an event into the journal, if it is worth a record. Training depends on none: those that cannot be
    /// written are lost, with a warning at the first, until one can be written again.
    ///
    /// # Errors
    /// `Internal` for what no journal holds.
    pub fn note(&mut self, event: &Event) -> Result<()> {
        let Some(record) = Record::of(event) else { return Ok(()) };
        let record = self.journal.encode(&record)?;
        let written = self.journal.append(&record);
        if let (Err(cause), false) = (&written, self.loses_records) {
            let path = self.files.path(JOURNAL_FILE);
            log::warn!("{}: {cause}; training goes on, and what happens is not recorded", path.display());
        }
        self.loses_records = written.is_err();
        Ok(())
    }

    /// Saves the state of `trainer` between two steps and makes it the current checkpoint. Blocks that no step
    /// changed since the last keep their files.
    ///
    /// # Errors
    /// `Io`, and `NotFinite` when training has spoiled the state. The checkpoint before is then whole, and saving may
    /// be tried again.
    pub fn save(&mut self, trainer: &mut Trainer, progress: &Progress) -> Result<()> {
        let number = self.next;
        self.next += 1;
        let mut written = Vec::new();
        match self.prepare(number, trainer, progress, &mut written) {
            Ok((manifest, blocks)) => {
                // Nothing is removed after an error from here on: either manifest may be the one that stays.
                self.commit(manifest)?;
                self.held = Some((blocks, trainer.passes()));
                self.remove_unused();
                Ok(())
            }
            Err(error) => {
                for name in written {
                    // What cannot be removed now is removed after the next checkpoint.
                    let _ = self.files.remove(&name);
                }
                Err(error)
            }
        }
    }

    /// Writes all that generation `number` consists of but its manifest, which it returns.
    fn prepare(
        &mut self,
        number: u64,
        trainer: &mut Trainer,
        progress: &Progress,
        written: &mut Vec<String>,
    ) -> Result<(Manifest, Vec<BlockEntry>)> {
        let mut blocks = Vec::with_capacity(trainer.ranges().len());
        let mut unsynced = Vec::new();
        for block in 0..trainer.ranges().len() {
            let entry = match self.unchanged(trainer, block) {
                Some(entry) => entry,
                None => {
                    let (entry, output) = self.write_block(number, trainer, block, written)?;
                    unsynced.push(output);
                    entry
                }
            };
            blocks.push(entry);
            if unsynced.len() == SYNCED_AT_ONCE {
                self.files.sync(&mut borrowed(&mut unsynced))?;
                unsynced.clear();
            }
        }
        self.append(&Record::Save { generation: number, steps: progress.steps })?;
        let generation = Generation {
            number,
            progress: progress.clone(),
            passes: trainer.passes(),
            blocks: blocks.clone(),
            journal: self.journal.extent(),
        };
        // The same state saved twice is one state to fall back on.
        let others = self.manifest.generations.iter().filter(|kept| kept.progress.steps != progress.steps);
        let kept = others.take(self.keep - 1).cloned();
        let generations = std::iter::once(generation).chain(kept).collect();
        let manifest = Manifest { configuration: self.manifest.configuration.clone(), generations };
        written.push(PART_FILE.into());
        let path = self.files.path(PART_FILE);
        let io = |cause| Error::io(&path, cause);
        let mut part = self.files.create(PART_FILE).map_err(io)?;
        write_all(part.as_mut(), &manifest.encode()?).map_err(io)?;
        unsynced.push((path, part));
        let mut outputs = borrowed(&mut unsynced);
        outputs.push((self.files.path(JOURNAL_FILE), self.journal.output()));
        self.files.sync(&mut outputs)?;
        Ok((manifest, blocks))
    }

    /// The file that holds what `block` holds, if one does: no pass went by, or the block is not trained.
    fn unchanged(&self, trainer: &Trainer, block: usize) -> Option<BlockEntry> {
        let (blocks, passes) = self.held.as_ref()?;
        let same = *passes == trainer.passes() || trainer.is_frozen(block);
        blocks.get(block).copied().filter(|_| same)
    }

    fn write_block(
        &mut self,
        number: u64,
        trainer: &mut Trainer,
        block: usize,
        written: &mut Vec<String>,
    ) -> Result<(BlockEntry, Written)> {
        let mut entry = BlockEntry { written_by: number, extent: Default::default() };
        let name = entry.file_name(block);
        let path = self.files.path(&name);
        written.push(name.clone());
        let mut output = self.files.create(&name).map_err(|cause| Error::io(&path, cause))?;
        entry.extent =
            block_file::write(trainer, block, output.as_mut()).map_err(|error| error.at(path.display()))?;
        Ok((entry, (path, output)))
    }

    /// Makes `manifest`, which lies prepared, the current one.
    fn commit(&mut self, manifest: Manifest) -> Result<()> {
        let renamed = self.files.rename(PART_FILE, MANIFEST_FILE);
        renamed.map_err(|cause| Error::io(&self.files.path(MANIFEST_FILE), cause))?;
        self.manifest = manifest;
        self.sync_directory()
    }

    /// Removes block files that no kept generation uses. One that cannot be removed is tried again next time.
    fn remove_unused(&mut self) {
        let mut used = BTreeSet::new();
        for generation in &self.manifest.generations {
            used.extend(generation.blocks.iter().enumerate().map(|(block, entry)| entry.file_name(block)));
        }
        let names = self.files.list().unwrap_or_default();
        for name in names.iter().filter(|name| is_block_file(name) && !used.contains(*name)) {
            if let Err(cause) = self.files.remove(name) {
                log::warn!("cannot remove {}: {cause}", self.files.path(name).display());
            }
        }
    }

    fn begin(&mut self, steps: usize) -> Result<()> {
        self.append(&Record::Begin { steps })
    }

    fn append(&mut self, record: &Record) -> Result<()> {
        let record = self.journal.encode(record)?;
        self.journal.append(&record).map_err(|cause| Error::io(&self.files.path(JOURNAL_FILE), cause))
    }

    fn sync_directory(&mut self) -> Result<()> {
        self.files.sync_directory().map_err(|cause| Error::io(&self.files.path(""), cause))
    }
}

/// A file that is written and not synced: what messages call it, and itself.
type Written = (PathBuf, Box<dyn FileOutput>);

/// Files as [`Files::sync`] takes them.
fn borrowed(unsynced: &mut [Written]) -> Vec<Unsynced<'_>> {
    unsynced.iter_mut().map(|(path, output)| (path.clone(), output.as_mut() as &mut dyn FileOutput)).collect()
}

fn newest(manifest: &Manifest) -> Result<&Generation> {
    manifest.generations.first().ok_or_else(|| Error::internal("a manifest without a generation"))
}

/// Reads the manifest; `None` where there is none.
fn read_manifest(files: &dyn Files) -> Result<Option<Manifest>> {
    let path = files.path(MANIFEST_FILE);
    let (file, length) = match files.open(MANIFEST_FILE) {
        Ok(found) => found,
        Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(cause) => return Err(Error::io(&path, cause)),
    };
    if length > MAX_MANIFEST_BYTES {
        return Err(Error::format(format!(
            "{}: {length} bytes are too many for a manifest, which has at most {MAX_MANIFEST_BYTES}",
            path.display()
        )));
    }
    let mut bytes = Vec::new();
    file.take(length).read_to_end(&mut bytes).map_err(|cause| Error::io(&path, cause))?;
    Manifest::decode(&bytes).map(Some).map_err(|error| error.at(path.display()))
}

/// Opens the journal to go on with it. One that is damaged is set aside and another begun: training needs none.
fn open_journal(files: &mut dyn Files, manifest: &Manifest) -> Result<Journal> {
    match Journal::open(files, newest(manifest)?.journal) {
        Err(error) if error.kind() == ErrorKind::Format => {
            log::warn!("{error}; it is kept as {DAMAGED_JOURNAL} and another is begun");
            let io = |files: &dyn Files, cause| Error::io(&files.path(JOURNAL_FILE), cause);
            match files.rename(JOURNAL_FILE, DAMAGED_JOURNAL) {
                Err(cause) if cause.kind() != std::io::ErrorKind::NotFound => return Err(io(files, cause)),
                _ => {}
            }
            Journal::create(files, manifest.configuration.network.objective).map_err(|cause| io(files, cause))
        }
        opened => opened,
    }
}

/// Puts the newest generation that is whole into `trainer`; its place in the manifest, and itself.
fn restore(files: &dyn Files, manifest: &Manifest, trainer: &mut Trainer) -> Result<(usize, Generation)> {
    let mut first_error = None;
    for (position, generation) in manifest.generations.iter().enumerate() {
        match restore_generation(files, generation, trainer) {
            Ok(()) => return Ok((position, generation.clone())),
            // A disk that cannot be read now may be read again later: only what is damaged is given up.
            Err(error) if error.kind() == ErrorKind::Io => return Err(error),
            Err(error) => {
                if position + 1 < manifest.generations.len() {
                    log::warn!("{error}; falling back on the checkpoint before");
                }
                first_error.get_or_insert(error);
            }
        }
    }
    Err(first_error.unwrap_or_else(|| Error::internal("a manifest without a generation")))
}

fn restore_generation(files: &dyn Files, generation: &Generation, trainer: &mut Trainer) -> Result<()> {
    let blocks = trainer.ranges().len();
    if generation.blocks.len() != blocks {
        let found = generation.blocks.len();
        return Err(Error::format(format!("the checkpoint has {found} blocks where {blocks} are needed")));
    }
    // All files are proven whole before the first of them changes anything.
    for (block, entry) in generation.blocks.iter().enumerate() {
        block_input::open(files, &entry.file_name(block), entry.extent)?;
    }
    for (block, entry) in generation.blocks.iter().enumerate() {
        let name = entry.file_name(block);
        let mut input = block_input::open(files, &name, entry.extent)?;
        block_input::load(trainer, block, input.as_mut())
            .map_err(|error| error.at(files.path(&name).display()))?;
    }
    trainer.set_passes(generation.passes);
    Ok(())
}
