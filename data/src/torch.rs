//! PyTorch's files of weights (`.pth`, `.pt`, `.bin`). No code is run: see [`crate::pickle`].
//!
//! There are two forms: archives of `data.pkl` and a file a storage, as torch writes since 1.6, and before that one pickle
//! after another and then the storages. See `torch/serialization.py` and `torch/_utils.py`.

use crate::archive::{Archive, Want};
use crate::encoded::Encoded;
use crate::images::check_fits;
use crate::listing::few;
use crate::pickle::{Id, Pickle, Value};
use crate::storage::{Storages, Strided, is_tensor, number_bytes};
use localgrad::{Error, Result, signature};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::Arc;

/// Far more than a pickle of names and shapes takes.
const MOST_PICKLE_BYTES: u64 = 8 << 20;
/// How deep the dictionary of weights may lie in others.
const DEEPEST: usize = 3;
const MOST_DICTIONARIES: usize = 1024;
const MOST_TENSORS: usize = 1 << 17;
const LONGEST_NAME_BYTES: usize = 4096;
/// Bytes of weights that a byte of the file may stand for, because tensors may share numbers; and bytes that are no matter.
const MOST_SHARING: u64 = 4;
const FEW_BYTES: u64 = 1 << 20;
/// What dictionaries of averages over training are called, which are to be preferred.
const AVERAGES: [&str; 5] = ["state_dict_ema", "model_ema", "ema", "ema_state_dict", "teacher"];
/// The first pickle of a file of before there were archives, and the version in the second.
const MAGIC: &[u8] = &[0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19];
const VERSION: i64 = 1001;

/// The tensors of a file by name, none of which was read yet.
pub struct TorchFile {
    name: String,
    len: u64,
    tensors: BTreeMap<String, Strided>,
    storages: Storages,
    /// The dictionary that they are of, others like it, and names of tensors of kinds that are not read.
    place: String,
    others: Vec<String>,
    unread: BTreeSet<String>,
}

/// Whether the file at `path` is one of PyTorch's, by its first bytes or, where it is an archive, by what is in it.
pub fn is_torch(path: &Path) -> bool {
    let mut start = Vec::new();
    let read = |file: File| file.take(512).read_to_end(&mut start);
    // A pipe would block.
    if !path.is_file() || File::open(path).and_then(read).is_err() {
        return false;
    }
    let what = signature::what(&start).unwrap_or_default();
    let holds_pickle = || {
        let archive = Archive::open_zip(path, "zip archive", &|_| Want::Not);
        archive.is_ok_and(|archive| archive.paths().any(is_pickle))
    };
    what.contains("PyTorch") || what.contains("pickle") || (what.contains("zip") && holds_pickle())
}

/// Whether a file in an archive is the pickle of a PyTorch file.
fn is_pickle(path: &str) -> bool {
    path.rsplit('/').next() == Some("data.pkl")
}

impl TorchFile {
    /// Finds the tensors of the file at `path`; of several dictionaries of tensors in it the averages over training, or else
    /// the one that has the most.
    ///
    /// # Errors
    /// `Io` when it cannot be read; `Format` with what it holds instead, or for tensors whose numbers are not in it.
    pub fn open(path: &Path) -> Result<Self> {
        let len = std::fs::metadata(path).map_err(|cause| Error::io(path, cause))?.len();
        let mut start = [0; 2];
        let file = File::open(path).map_err(|cause| Error::io(path, cause))?;
        let is_archive = file.take(2).read_exact(&mut start).is_ok() && &start == b"PK";
        let name = path.display().to_string();
        if is_archive {
            let (pickle, storages) = in_archive(path)?;
            let pickle = Pickle::read(&pickle).map_err(|cause| broken(cause).at(&name))?;
            return Self::of(name, len, &pickle, storages);
        }
        let mut start = Vec::new();
        let file = File::open(path).map_err(|cause| Error::io(path, cause))?;
        file.take(MOST_PICKLE_BYTES).read_to_end(&mut start).map_err(|cause| Error::io(path, cause))?;
        let (pickle, storages) = in_row(path, &start, len).map_err(|cause| cause.at(&name))?;
        Self::of(name, len, &pickle, storages)
    }

    fn of(name: String, len: u64, pickle: &Pickle<'_>, storages: Storages) -> Result<Self> {
        let wrong = |what: &str| Error::format(format!("{name}: {what}"));
        let mut found = dictionaries(pickle);
        let Some(best) = best(&found) else {
            return Err(wrong(match pickle.value(pickle.root()) {
                Value::Made { .. } => {
                    "a PyTorch file of a whole module, whose code is not run here; in Python, save module.state_dict()"
                }
                _ => "a PyTorch file without tensors by name; in Python, save module.state_dict()",
            }));
        };
        let best = found.swap_remove(best);
        if best.tensors > MOST_TENSORS {
            return Err(wrong(&format!("{} tensors, expected at most {MOST_TENSORS}", best.tensors)));
        }
        let mut file = Self {
            others: found.into_iter().map(|other| other.place).collect(),
            place: best.place,
            tensors: BTreeMap::new(),
            unread: BTreeSet::new(),
            name,
            len,
            storages,
        };
        for (tensor_name, id) in entries(pickle, best.id).filter(|(_, id)| is_tensor(pickle, *id)) {
            let readable = Strided::of(pickle, id).filter(|_| tensor_name != "__metadata__");
            match readable {
                Some(tensor) => {
                    file.check(&tensor_name, &tensor)?;
                    file.tensors.insert(tensor_name, tensor);
                }
                None => drop(file.unread.insert(tensor_name)),
            }
        }
        Ok(file)
    }

    /// Refuses a tensor whose numbers are not in the file.
    fn check(&self, name: &str, tensor: &Strided) -> Result<()> {
        let wrong =
            |what: &str| Error::format(format!("{}: tensor {name} {:?} {what}", self.name, tensor.shape));
        let storage = self.storages.get(&tensor.storage);
        let bytes =
            storage.and_then(Encoded::len).ok_or_else(|| wrong("has no storage in the file; get it anew"))?;
        match tensor.lies_within(bytes) {
            true => Ok(()),
            false => Err(wrong("reaches beyond its storage: the file is damaged")),
        }
    }

    /// What was chosen of several, and what is left out, in words; nothing where nothing is.
    pub fn words(&self) -> Option<String> {
        let mut words = Vec::new();
        if !self.others.is_empty() {
            words.push(format!(
                "taken are the weights of {}, left out those of {}",
                self.place,
                few(&self.others)
            ));
        }
        if !self.unread.is_empty() {
            let unread: Vec<String> = self.unread.iter().cloned().collect();
            words.push(format!("left out, being of kinds that are not read, are {}", few(&unread)));
        }
        (!words.is_empty()).then(|| words.join("; "))
    }

    /// Name and shape of every tensor.
    pub fn listed(&self) -> Vec<(String, Vec<usize>)> {
        self.tensors.iter().map(|(name, tensor)| (name.clone(), tensor.shape.clone())).collect()
    }

    /// Those tensors that are `wanted` as a file of safetensors, under the same names.
    ///
    /// # Errors
    /// Those of reading them; `Memory` where they do not fit into it.
    pub fn safetensors(&self, wanted: &dyn Fn(&str) -> bool) -> Result<Vec<u8>> {
        // By storage, so that each is read once.
        let mut chosen: Vec<(&String, &Strided)> =
            self.tensors.iter().filter(|(name, _)| wanted(name)).collect();
        chosen.sort_by(|(_, a), (_, b)| a.storage.cmp(&b.storage));
        let (mut header, mut end) = (serde_json::Map::new(), 0_usize);
        for (name, tensor) in &chosen {
            let start = end;
            let most = self.len.saturating_mul(MOST_SHARING).max(FEW_BYTES);
            end = tensor
                .bytes()
                .and_then(|bytes| end.checked_add(bytes))
                .filter(|&end| end as u64 <= most)
                .ok_or_else(|| {
                Error::format(format!("{}: {name}: tensors of more numbers than are in the file", self.name))
            })?;
            let entry = serde_json::json!({
                "dtype": tensor.kind.name(), "shape": tensor.shape, "data_offsets": [start, end]
            });
            header.insert((*name).clone(), entry);
        }
        let mut header = serde_json::to_vec(&header)?;
        header.resize(header.len().next_multiple_of(8), b' ');
        check_fits(8 + header.len() + end, &format!("{}: the weights", self.name))?;
        let mut file = Vec::with_capacity(8 + header.len() + end);
        file.extend((header.len() as u64).to_le_bytes());
        file.extend(header);
        for tensors in chosen.chunk_by(|(_, a), (_, b)| a.storage == b.storage) {
            self.gather(tensors, &mut file)?;
        }
        Ok(file)
    }

    /// Appends the numbers of tensors of one storage.
    fn gather(&self, tensors: &[(&String, &Strided)], file: &mut Vec<u8>) -> Result<()> {
        let Some((first, tensor)) = tensors.first() else { return Ok(()) };
        let wrong = |what: &str| Error::format(format!("{}: tensor {first}: {what}", self.name));
        let storage = self.storages.get(&tensor.storage).ok_or_else(|| wrong("it has no storage"))?;
        let bytes = storage.bytes_within(u64::MAX, &format!("{}: a storage", self.name))?;
        for (name, tensor) in tensors {
            tensor.gather(&bytes, file).ok_or_else(|| {
                Error::format(format!("{}: tensor {name} reaches beyond its storage", self.name))
            })?;
        }
        Ok(())
    }
}

/// A dictionary with tensors.
struct Dictionary {
    /// Keys on the way to it.
    place: String,
    id: Id,
    tensors: usize,
    is_average: bool,
}

/// All dictionaries with tensors, those less deep first.
fn dictionaries(pickle: &Pickle<'_>) -> Vec<Dictionary> {
    let mut level = vec![(String::new(), pickle.root(), false)];
    let (mut found, mut seen) = (Vec::new(), BTreeSet::new());
    for _ in 0..DEEPEST {
        let mut inner = Vec::new();
        for (place, id, is_average) in level {
            let Value::Dict(pairs) = pickle.value(id) else { continue };
            let tensors = pairs.chunks_exact(2).filter(|pair| is_tensor(pickle, pair[1])).count();
            for (key, id) in entries(pickle, id) {
                let is_one = matches!(pickle.value(id), Value::Dict(_)) && inner.len() < MOST_DICTIONARIES;
                if is_one && seen.insert(id) {
                    let is_average = is_average || AVERAGES.contains(&key.as_str());
                    inner.push((
                        if place.is_empty() { key } else { format!("{place}.{key}") },
                        id,
                        is_average,
                    ));
                }
            }
            if tensors > 0 {
                let place = if place.is_empty() { "the file itself".into() } else { place };
                found.push(Dictionary { place, id, tensors, is_average });
            }
        }
        level = inner;
    }
    // Those of optimizers, and single tensors beside the dictionary, have few.
    let most = found.iter().map(|dictionary| dictionary.tensors).max().unwrap_or(0);
    found.retain(|dictionary| dictionary.tensors * 2 > most);
    found
}

/// The place of the dictionary to take: of averages, or else the one with the most tensors, the first of several.
fn best(found: &[Dictionary]) -> Option<usize> {
    let rank = |(place, dictionary): &(usize, &Dictionary)| {
        (dictionary.is_average, dictionary.tensors, std::cmp::Reverse(*place))
    };
    found.iter().enumerate().max_by_key(rank).map(|(place, _)| place)
}

/// What is under each text in a dictionary.
fn entries<'p>(pickle: &'p Pickle<'_>, dictionary: Id) -> impl Iterator<Item = (String, Id)> + 'p {
    let pairs = match pickle.value(dictionary) {
        Value::Dict(pairs) => pairs.as_slice(),
        _ => &[],
    };
    pairs.chunks_exact(2).filter_map(|pair| match pickle.value(pair[0]) {
        Value::Bytes(name) if name.len() <= LONGEST_NAME_BYTES => {
            Some((String::from_utf8_lossy(name).into_owned(), pair[1]))
        }
        _ => None,
    })
}

fn broken(cause: Error) -> Error {
    Error::format(format!("a broken or cut PyTorch file ({cause})"))
}

/// The pickle and the storages of an archive.
fn in_archive(path: &Path) -> Result<(Vec<u8>, Storages)> {
    let archive = Archive::open_zip(path, "PyTorch file", &|_| Want::Place)?;
    let wrong = |what: &str| Error::format(format!("{}: {what}", archive.name));
    let pickle = archive.paths().filter(|path| is_pickle(path));
    let pickle = pickle.min_by_key(|path| path.len());
    let pickle =
        pickle.ok_or_else(|| wrong("a broken or cut PyTorch file (it has no data.pkl)"))?.to_string();
    let folder = pickle.strip_suffix("data.pkl").unwrap_or_default();
    let text = |name: &str| -> Result<Vec<u8>> {
        match archive.files.get(&format!("{folder}{name}")) {
            Some(file) => {
                Ok(file.bytes_within(MOST_PICKLE_BYTES, "names and shapes of weights")?.into_owned())
            }
            None => Ok(Vec::new()),
        }
    };
    if text("byteorder")?.starts_with(b"big") {
        return Err(wrong("its numbers begin with their large ends; in Python, save them by safetensors"));
    }
    let bytes = text("data.pkl")?;
    let of_storage = |(name, file): (&String, &Encoded)| {
        Some((name.strip_prefix(folder)?.strip_prefix("data/")?.to_string(), file.clone()))
    };
    Ok((bytes, archive.files.iter().filter_map(of_storage).collect()))
}

/// Magic number, version, machine, weights, keys of the storages, and these in that order. `start` is the file's first bytes.
fn in_row<'a>(path: &Path, start: &'a [u8], len: u64) -> Result<(Pickle<'a>, Storages)> {
    let is_torch =
        start.get(..20).is_some_and(|start| start.windows(MAGIC.len()).any(|bytes| bytes == MAGIC));
    if !is_torch {
        return Err(Error::format(
            "this is a Python pickle and no PyTorch file; in Python, save weights by torch.save or by safetensors",
        ));
    }
    let (_, rest) = Pickle::read_first(start).map_err(broken)?;
    let (version, rest) = Pickle::read_first(rest).map_err(broken)?;
    let (machine, rest) = Pickle::read_first(rest).map_err(broken)?;
    let is_big = machine.get("little_endian").is_some_and(|id| *machine.value(id) == Value::Int(0));
    if *version.value(version.root()) != Value::Int(VERSION) || is_big {
        return Err(Error::format(
            "a PyTorch file of another version or machine; in Python, save it by safetensors",
        ));
    }
    let (pickle, rest) = Pickle::read_first(rest).map_err(broken)?;
    let (keys, rest) = Pickle::read_first(rest).map_err(broken)?;
    let keys =
        keys.texts(keys.root()).ok_or_else(|| Error::format("a broken or cut PyTorch file (no keys)"))?;
    let sizes = number_bytes(&pickle);
    let file = Arc::new(path.to_path_buf());
    let mut opened = File::open(path).map_err(|cause| Error::io(path, cause))?;
    let mut offset = (start.len() - rest.len()) as u64;
    let mut storages = Storages::new();
    for key in keys {
        let cut = || Error::format(format!("a broken or cut PyTorch file (storage {key} is not whole)"));
        let mut count = [0; 8];
        opened.seek(SeekFrom::Start(offset)).map_err(|cause| Error::io(path, cause))?;
        opened.read_exact(&mut count).map_err(|_| cut())?;
        offset += count.len() as u64;
        let size = sizes.get(&key).copied().unwrap_or(1) as u64;
        let own = u64::from_le_bytes(count).checked_mul(size).ok_or_else(cut)?;
        let end = offset.checked_add(own).filter(|&end| end <= len).ok_or_else(cut)?;
        storages.insert(key, Encoded::Part { file: file.clone(), offset, len: own });
        offset = end;
    }
    Ok((pickle, storages))
}
