//! Files in memory that keep apart what a process sees and what outlasts a loss of power, count every call, and
//! fail on demand.

use localgrad::checkpoint::files::{FileInput, FileOutput, Files};
use localgrad::random::Stream;
use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard};

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The process is gone before the call.
    Cut,
    /// The process is gone in the middle of the call: half of what is written arrives.
    CutWithin,
    /// This call fails, later ones work. A failed sync loses what was not yet synced, as Linux does.
    Once(ErrorKind),
    /// The call writes half of what it was given and says so.
    Short,
    /// The call writes half of what it was given; the next write fails, later ones work.
    ShortThenFull,
    /// From here on nothing can be written; names can still be changed and removed.
    Full,
    /// From here on nothing can be changed.
    ReadOnly,
}

#[derive(Clone, Default)]
struct Inode {
    seen: Vec<u8>,
    durable: Vec<u8>,
    /// Bytes of `seen` that a failed sync has lost: later syncs skip them.
    lost: usize,
}

#[derive(Clone, Debug)]
enum NameChange {
    Bind(String, usize),
    Unbind(String),
}

#[derive(Clone, Default)]
struct State {
    inodes: Vec<Inode>,
    names: BTreeMap<String, usize>,
    durable_names: BTreeMap<String, usize>,
    pending: Vec<NameChange>,
    calls: Vec<String>,
    fault: Option<(usize, Fault)>,
}

/// What a call is, as far as faults care.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Call {
    Read,
    Write,
    Sync,
    Name,
}

enum Verdict {
    Go,
    Half,
}

impl State {
    /// Counts a call and says how it goes.
    fn call(&mut self, kind: Call, what: String) -> io::Result<Verdict> {
        let number = self.calls.len();
        self.calls.push(what);
        let Some((at, fault)) = self.fault else { return Ok(Verdict::Go) };
        let gone = || Err(io::Error::other("the process is gone"));
        match fault {
            Fault::Cut if number >= at => gone(),
            Fault::CutWithin if number > at => gone(),
            Fault::CutWithin if number == at => match kind {
                Call::Write => Ok(Verdict::Half),
                _ => gone(),
            },
            Fault::Once(kind) if number == at => Err(kind.into()),
            Fault::Short if number == at && kind == Call::Write => Ok(Verdict::Half),
            Fault::ShortThenFull if number == at && kind == Call::Write => Ok(Verdict::Half),
            Fault::ShortThenFull if number == at + 1 => Err(ErrorKind::StorageFull.into()),
            Fault::Full if number >= at && kind == Call::Write => Err(ErrorKind::StorageFull.into()),
            Fault::ReadOnly if number >= at && kind != Call::Read => {
                Err(ErrorKind::ReadOnlyFilesystem.into())
            }
            _ => Ok(Verdict::Go),
        }
    }

    fn bind(&mut self, name: &str, inode: usize) {
        self.names.insert(name.into(), inode);
        self.pending.push(NameChange::Bind(name.into(), inode));
    }

    fn unbind(&mut self, name: &str) -> io::Result<usize> {
        let inode = self.names.remove(name).ok_or(ErrorKind::NotFound)?;
        self.pending.push(NameChange::Unbind(name.into()));
        Ok(inode)
    }
}

/// The files; clones of it share them.
#[derive(Clone, Default)]
pub(crate) struct Memory {
    state: Arc<Mutex<State>>,
}

impl Memory {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// The same files for another user.
    pub(crate) fn handle(&self) -> Box<dyn Files> {
        Box::new(self.clone())
    }

    /// From now on `fault` happens at call `at`, counted from the first of all.
    pub(crate) fn fail(&self, at: usize, fault: Fault) {
        self.lock().fault = Some((at, fault));
    }

    /// No more faults.
    pub(crate) fn mend(&self) {
        self.lock().fault = None;
    }

    /// Every call so far.
    pub(crate) fn calls(&self) -> Vec<String> {
        self.lock().calls.clone()
    }

    /// The names and contents that are seen.
    pub(crate) fn contents(&self) -> BTreeMap<String, Vec<u8>> {
        let state = self.lock();
        state.names.iter().map(|(name, &inode)| (name.clone(), state.inodes[inode].seen.clone())).collect()
    }

    /// Files of these contents, all of them durable.
    pub(crate) fn of(contents: &BTreeMap<String, Vec<u8>>) -> Self {
        let mut state = State::default();
        for (name, bytes) in contents {
            state.names.insert(name.clone(), state.inodes.len());
            state.inodes.push(Inode { seen: bytes.clone(), durable: bytes.clone(), lost: 0 });
        }
        state.durable_names = state.names.clone();
        Self { state: Arc::new(Mutex::new(state)) }
    }

    /// What the next process may find if this one is killed now: all that was seen.
    pub(crate) fn after_kill(&self) -> Self {
        Self::of(&self.contents())
    }

    /// What may be found after a loss of power. The 0th possibility keeps nothing that was not synced, the 1st
    /// all names and no content, the others any part of either.
    pub(crate) fn after_power_loss(&self, possibility: u64) -> Self {
        let state = self.lock();
        let mut stream = Stream::new(possibility, "power loss", &[state.calls.len() as u64]);
        let mut names = state.durable_names.clone();
        for change in &state.pending {
            let kept = match possibility {
                0 => false,
                1 => true,
                _ => stream.below(2) == 0,
            };
            match change {
                _ if !kept => {}
                NameChange::Bind(name, inode) => {
                    names.insert(name.clone(), *inode);
                }
                NameChange::Unbind(name) => {
                    names.remove(name);
                }
            }
        }
        let content = |inode: &Inode, choice: u64| match choice {
            0 => inode.durable.clone(),
            // The length arrived before the content.
            1 => {
                let mut bytes = inode.durable.clone();
                bytes.resize(inode.seen.len(), 0);
                bytes
            }
            2 => inode.seen[..inode.seen.len() / 2].to_vec(),
            _ => inode.seen.clone(),
        };
        let mut found = BTreeMap::new();
        for (name, inode) in names {
            let inode = &state.inodes[inode];
            // A file whose bytes are all synced is as it is.
            let synced = inode.durable == inode.seen;
            let choice = if synced || possibility < 2 { 0 } else { stream.below(4) };
            found.insert(name, content(inode, choice));
        }
        Self::of(&found)
    }
}

struct Output {
    files: Memory,
    name: String,
    inode: usize,
}

impl Files for Memory {
    fn list(&self) -> io::Result<Vec<String>> {
        let mut state = self.lock();
        state.call(Call::Read, "list".into())?;
        Ok(state.names.keys().cloned().collect())
    }

    fn open(&self, name: &str) -> io::Result<(Box<dyn FileInput>, u64)> {
        let mut state = self.lock();
        state.call(Call::Read, format!("open {name}"))?;
        let inode = *state.names.get(name).ok_or(ErrorKind::NotFound)?;
        let bytes = state.inodes[inode].seen.clone();
        let length = bytes.len() as u64;
        Ok((Box::new(io::Cursor::new(bytes)), length))
    }

    fn create(&mut self, name: &str) -> io::Result<Box<dyn FileOutput>> {
        let mut state = self.lock();
        state.call(Call::Write, format!("create {name}"))?;
        if state.names.contains_key(name) {
            state.unbind(name)?;
        }
        let inode = state.inodes.len();
        state.inodes.push(Inode::default());
        state.bind(name, inode);
        Ok(Box::new(Output { files: self.clone(), name: name.into(), inode }))
    }

    fn append(&mut self, name: &str) -> io::Result<Box<dyn FileOutput>> {
        let mut state = self.lock();
        state.call(Call::Write, format!("append {name}"))?;
        let inode = *state.names.get(name).ok_or(ErrorKind::NotFound)?;
        Ok(Box::new(Output { files: self.clone(), name: name.into(), inode }))
    }

    fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        let mut state = self.lock();
        state.call(Call::Name, format!("rename {from} {to}"))?;
        // One change for a journal of the file system: both names or neither.
        let inode = state.names.remove(from).ok_or(ErrorKind::NotFound)?;
        state.names.insert(to.into(), inode);
        state.pending.push(NameChange::Bind(to.into(), inode));
        state.pending.push(NameChange::Unbind(from.into()));
        Ok(())
    }

    fn remove(&mut self, name: &str) -> io::Result<()> {
        let mut state = self.lock();
        state.call(Call::Name, format!("remove {name}"))?;
        state.unbind(name).map(|_| ())
    }

    fn sync_directory(&mut self) -> io::Result<()> {
        let mut state = self.lock();
        state.call(Call::Sync, "sync directory".into())?;
        state.durable_names = state.names.clone();
        state.pending.clear();
        Ok(())
    }

    fn path(&self, name: &str) -> PathBuf {
        PathBuf::from(name)
    }
}

impl FileOutput for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut state = self.files.lock();
        let verdict = state.call(Call::Write, format!("write {}", self.name))?;
        let count = if matches!(verdict, Verdict::Half) { bytes.len() / 2 } else { bytes.len() };
        state.inodes[self.inode].seen.extend_from_slice(&bytes[..count]);
        match state.fault {
            Some((at, Fault::CutWithin)) if state.calls.len() > at => {
                Err(io::Error::other("the process is gone"))
            }
            _ => Ok(count.max(usize::from(bytes.is_empty()))),
        }
    }

    fn sync(&mut self) -> io::Result<()> {
        let mut state = self.files.lock();
        let verdict = state.call(Call::Sync, format!("sync {}", self.name));
        let inode = &mut state.inodes[self.inode];
        if let Err(cause) = verdict {
            inode.lost = inode.seen.len();
            return Err(cause);
        }
        let mut bytes = inode.seen.clone();
        let first = inode.durable.len().min(inode.lost);
        bytes[first..inode.lost].fill(0);
        inode.durable = bytes;
        Ok(())
    }

    fn truncate(&mut self, length: u64) -> io::Result<()> {
        let mut state = self.files.lock();
        state.call(Call::Name, format!("truncate {}", self.name))?;
        let inode = &mut state.inodes[self.inode];
        inode.seen.truncate(length as usize);
        inode.lost = inode.lost.min(length as usize);
        Ok(())
    }
}
