//! Weights in safetensors files: written by name, with what they are of, and read back with every mismatch listed.

mod card;

pub use card::{Card, card_from_bytes, read_card};

use crate::error::{Error, ErrorKind, Result};
use crate::layers::Variable;
use crate::layers::spec::{LayerSpec, NamedLayer, join, weighted};
use crate::maps::slices::elements;
use crate::maps::{Map, Place};
use crate::model::Classifier;
use crate::network::head;
use crate::signature::Signature;
use safetensors::tensor::{Dtype, SafeTensors, TensorInfo};
use serde::ser::{Serialize, SerializeMap, Serializer};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{BufWriter, Seek, SeekFrom, Write};
use std::path::Path;

/// Bytes that are gathered before they are written.
const BUFFER_BYTES: usize = 64 << 10;

/// Tensors by name, in the order of their names.
pub type Weights = BTreeMap<String, Map>;

/// Weights and running statistics of a network, under torchvision's names. No auxiliary network is among them.
pub fn of_model(model: &mut dyn Classifier) -> Result<Weights> {
    let mut weights = Weights::new();
    model.read(&mut |name, variable| {
        let value = variable.value().to(&Place::Host)?;
        once(name, weights.insert(name.to_string(), value).is_none())
    })?;
    Ok(weights)
}

/// Refuses a second tensor of one name, which would take the place of the first.
fn once(name: &str, is_first: bool) -> Result<()> {
    match is_first {
        true => Ok(()),
        false => Err(Error::config(format!("two weights have the name {name}; rename a unit or a layer"))),
    }
}

/// Writes a safetensors file: to a temporary file beside it first, then renamed, so that `path` never holds
/// half a file. The same tensors and the same card give the same bytes. `half` stores f16. Nothing is copied but a part
/// at a time.
///
/// # Errors
/// `Io`, `NotFinite` for numbers that training has spoiled, and `Config` for those that f16 cannot hold or a card whose
/// parts do not fit each other; `path` is then as it was.
pub fn write(path: &Path, weights: &Weights, card: &Card, half: bool) -> Result<()> {
    let shapes = weights.iter().map(|(name, tensor)| (name.clone(), tensor.dims().to_vec())).collect();
    write_all(path, shapes, card, half, &mut |put| {
        weights.iter().try_for_each(|(name, tensor)| put(name, tensor))
    })
}

/// The same of a network's weights and running statistics, one after the other: those that wait in a file are never
/// all in memory.
///
/// # Errors
/// As [`write()`].
pub fn write_network(path: &Path, network: &mut dyn Classifier, card: &Card, half: bool) -> Result<()> {
    let mut shapes = BTreeMap::new();
    network.read_forms(&mut |name, form| {
        once(name, shapes.insert(name.to_string(), form.dims.to_vec()).is_none())
    })?;
    write_all(path, shapes, card, half, &mut |put| {
        network.read(&mut |name, variable| put(name, &variable.value().to(&Place::Host)?))
    })
}

/// Is called for each tensor, in any order.
type Put<'a> = dyn FnMut(&str, &Map) -> Result<()> + 'a;

fn write_all(
    path: &Path,
    shapes: BTreeMap<String, Vec<usize>>,
    card: &Card,
    half: bool,
    each: &mut dyn FnMut(&mut Put<'_>) -> Result<()>,
) -> Result<()> {
    let (header, places) = header(shapes, card, half)?;
    replace(path, |file| {
        let io = |cause| Error::io(path, cause);
        let mut file = BufWriter::with_capacity(BUFFER_BYTES, file);
        let length = (header.len() as u64).to_le_bytes();
        file.write_all(&length).and_then(|()| file.write_all(&header)).map_err(io)?;
        let begin = length.len() + header.len();
        each(&mut |name, tensor| {
            let place = places.get(name).ok_or_else(|| Error::internal(format!("{name} has no place")))?;
            file.seek(SeekFrom::Start((begin + place) as u64)).map_err(io)?;
            let (mut finite, mut fits) = (true, true);
            for &value in elements(&tensor.clone().contiguous()?)?.iter() {
                finite &= value.is_finite();
                if half {
                    let value = half::f16::from_f32(value);
                    fits &= value.is_finite();
                    file.write_all(&value.to_le_bytes()).map_err(io)?;
                } else {
                    file.write_all(&value.to_le_bytes()).map_err(io)?;
                }
            }
            match (finite, fits) {
                (true, true) => Ok(()),
                (true, false) => Err(Error::config(format!(
                    "{name} has numbers that are too large for 16 bits; export it in 32, without half"
                ))),
                (false, _) => Err(Error::spoiled(name)),
            }
        })?;
        file.flush().map_err(io)
    })
}

/// The JSON that says where which tensor is, padded to a multiple of 8 bytes, and where each begins.
fn header(
    shapes: BTreeMap<String, Vec<usize>>,
    card: &Card,
    half: bool,
) -> Result<(Vec<u8>, BTreeMap<String, usize>)> {
    card.check()?;
    let (dtype, size) = if half { (Dtype::F16, 2) } else { (Dtype::F32, 4) };
    let mut metadata = card.entries()?;
    metadata.insert("format".into(), "pt".into());
    let mut offset: usize = 0;
    let mut places = BTreeMap::new();
    let mut tensors = Vec::with_capacity(shapes.len());
    for (name, shape) in shapes {
        let start = offset;
        let bytes = shape.iter().try_fold(size, |bytes: usize, &side| bytes.checked_mul(side));
        offset = bytes
            .and_then(|bytes| offset.checked_add(bytes))
            .ok_or_else(|| Error::internal(format!("{name} has more numbers than can be")))?;
        places.insert(name.clone(), start);
        tensors.push((name, TensorInfo { dtype, shape, data_offsets: (start, offset) }));
    }
    let mut text = serde_json::to_vec(&Header { metadata, tensors })?;
    text.resize(text.len().next_multiple_of(8), b' ');
    Ok((text, places))
}

/// A safetensors header whose bytes depend on its content alone: that of the library has its metadata in any order.
struct Header {
    metadata: BTreeMap<String, String>,
    /// In the order of their bytes.
    tensors: Vec<(String, TensorInfo)>,
}

impl Serialize for Header {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("__metadata__", &self.metadata)?;
        self.tensors.iter().try_for_each(|(name, tensor)| map.serialize_entry(name, tensor))?;
        map.end()
    }
}

/// Replaces `path` by `content`, at once or not at all.
pub fn write_atomically(path: &Path, content: &[u8]) -> Result<()> {
    replace(path, |file| file.write_all(content).map_err(|cause| Error::io(path, cause)))
}

/// Replaces `path` by what `fill` writes, at once or not at all.
fn replace(path: &Path, fill: impl FnOnce(&mut File) -> Result<()>) -> Result<()> {
    // A device or a pipe would be gone for ever.
    if std::fs::metadata(path).is_ok_and(|found| !found.is_file()) {
        let message = format!("{}: this is no regular file, and cannot be replaced by one", path.display());
        return Err(Error::new(ErrorKind::Io, message));
    }
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(".part");
    let part = path.with_file_name(name);
    let io = |cause| Error::io(path, cause);
    let mut file = File::create(&part).map_err(io)?;
    let filled = fill(&mut file).and_then(|()| file.sync_all().map_err(io));
    // Windows renames and removes no file that is open.
    drop(file);
    if let Err(error) = filled.and_then(|()| std::fs::rename(&part, path).map_err(io)) {
        // A part as large as the whole would keep a full disk full.
        let _ = std::fs::remove_file(&part);
        return Err(error);
    }
    // The new name outlasts a loss of power only with its directory.
    #[cfg(unix)]
    if let Some(directory) = path.parent() {
        let directory = if directory.as_os_str().is_empty() { Path::new(".") } else { directory };
        File::open(directory).and_then(|directory| directory.sync_all()).map_err(io)?;
    }
    Ok(())
}

/// Reads a safetensors file of f32, f16, bf16 or f64 tensors as f32. `rename` gives our name for the file's, or
/// `None` for a tensor that is known to be of no use.
///
/// # Errors
/// `Io` when it is no file that can be read, `Format` when it is not whole or holds anything else.
pub fn read(path: &Path, rename: impl Fn(&str) -> Option<String>) -> Result<Weights> {
    check_is_file(path)?;
    let file = std::fs::read(path).map_err(|cause| Error::io(path, cause))?;
    from_bytes(&file, &path.display().to_string(), rename)
}

/// The same with all names given at once: `choose` is shown what the file holds, each tensor's name and shape, and gives our
/// name for those that are wanted.
///
/// # Errors
/// As [`read`].
pub fn read_chosen(
    path: &Path,
    choose: impl FnOnce(&[(&str, &[usize])]) -> BTreeMap<String, String>,
) -> Result<Weights> {
    check_is_file(path)?;
    let file = std::fs::read(path).map_err(|cause| Error::io(path, cause))?;
    chosen_from_bytes(&file, &path.display().to_string(), choose)
}

/// The same out of memory. `name` is what error messages call it.
///
/// # Errors
/// `Format`, as for [`read`].
pub fn chosen_from_bytes(
    file: &[u8],
    name: &str,
    choose: impl FnOnce(&[(&str, &[usize])]) -> BTreeMap<String, String>,
) -> Result<Weights> {
    let tensors =
        SafeTensors::deserialize(file).map_err(|cause| not_safetensors(name, file, &cause.to_string()))?;
    let listed: Vec<(&str, Vec<usize>)> =
        tensors.iter().map(|(name, view)| (name, view.shape().to_vec())).collect();
    let shown: Vec<(&str, &[usize])> = listed.iter().map(|(name, shape)| (*name, shape.as_slice())).collect();
    let chosen = choose(&shown);
    of_tensors(&tensors, name, |name| chosen.get(name).cloned())
}

/// Name and shape of every tensor of a safetensors file, of which only the header is read.
///
/// # Errors
/// As [`read_card`].
pub fn listed(path: &Path) -> Result<Vec<(String, Vec<usize>)>> {
    let header = card::read_header(path)?;
    let wrong = |cause: &dyn std::fmt::Display| {
        Error::format(format!("{}: not a whole safetensors file: {cause}", path.display()))
    };
    let entries: serde_json::Map<String, serde_json::Value> =
        serde_json::from_slice(&header).map_err(|cause| wrong(&cause))?;
    let tensors = entries.into_iter().filter(|(name, _)| name != "__metadata__");
    let shape = |entry: &serde_json::Value| -> Option<Vec<usize>> {
        let sizes = entry.get("shape")?.as_array()?.iter();
        sizes.map(|size| usize::try_from(size.as_u64()?).ok()).collect()
    };
    tensors
        .map(|(name, entry)| {
            let shape = shape(&entry).ok_or_else(|| wrong(&format!("tensor {name} has no shape")))?;
            Ok((name, shape))
        })
        .collect()
}

/// Refuses what has no end and what would block: pipes and devices.
fn check_is_file(path: &Path) -> Result<()> {
    if std::fs::metadata(path).map_err(|cause| Error::io(path, cause))?.is_file() {
        return Ok(());
    }
    Err(Error::new(ErrorKind::Io, format!("{}: this is no file", path.display())))
}

/// The error of a file called `name`.
fn not_safetensors(name: &str, start: &[u8], why: &str) -> Error {
    match Signature::of(start) {
        Some(found) => Error::format(format!(
            "{name}: this is {}, not a safetensors file: {}",
            found.what,
            found.advice_for_weights()
        )),
        None => Error::format(format!("{name}: not a whole safetensors file: {why}")),
    }
}

/// As [`read`], out of memory. `name` is what error messages call it.
///
/// # Errors
/// `Format`, as for [`read`].
pub fn from_bytes(file: &[u8], name: &str, rename: impl Fn(&str) -> Option<String>) -> Result<Weights> {
    let tensors =
        SafeTensors::deserialize(file).map_err(|cause| not_safetensors(name, file, &cause.to_string()))?;
    of_tensors(&tensors, name, rename)
}

fn of_tensors(
    tensors: &SafeTensors<'_>,
    name: &str,
    rename: impl Fn(&str) -> Option<String>,
) -> Result<Weights> {
    let wrong = |what: String| Error::format(format!("{name}: {what}"));
    let mut weights = Weights::new();
    // Which tensor of the file each is; in the order of their names, so that an error is always the same.
    let mut names = BTreeMap::new();
    let mut listed: Vec<_> = tensors.iter().collect();
    listed.sort_unstable_by_key(|(name, _)| *name);
    for (name, view) in listed {
        let Some(ours) = rename(name) else { continue };
        let dtype = view.dtype();
        let Some(tensor) = Map::of_bytes(view.data(), dtype, view.shape())? else {
            return Err(wrong(format!("tensor {name} is {dtype:?}; weights must be floating point")));
        };
        if let Some(number) = elements(&tensor)?.iter().find(|number| !number.is_finite()) {
            let larger = if dtype == Dtype::F64 { ", or is larger than f32 holds" } else { "" };
            return Err(wrong(format!(
                "tensor {name} holds {number}{larger}: whatever made it has diverged; take weights from before"
            )));
        }
        if is_variance(&ours)
            && let Some(number) = elements(&tensor)?.iter().find(|number| **number < 0.0)
        {
            return Err(wrong(format!(
                "tensor {name} holds {number}, and no variance is below 0: the file is damaged, or holds differences"
            )));
        }
        if let Some(first) = names.insert(ours.clone(), name.to_string()) {
            return Err(wrong(format!("{first} and {name} both mean {ours}; keep one of them")));
        }
        weights.insert(ours, tensor);
    }
    Ok(weights)
}

/// Whether a tensor of that name is batch norm's running variance.
pub fn is_variance(name: &str) -> bool {
    name.ends_with("running_var")
}

/// Whether two shapes hold the same numbers in the same order, one beside sides of 1: a matrix is a 1x1 convolution elsewhere,
/// and a number a channel an image of one pixel.
pub fn is_alike(a: &[usize], b: &[usize]) -> bool {
    let sides = |dims: &[usize]| dims.iter().copied().filter(|&side| side != 1).collect::<Vec<_>>();
    sides(a) == sides(b)
}

/// Whether a tensor of that name is an exit's, which a network without exits leaves where it is.
pub fn is_of_exit(name: &str) -> bool {
    name.starts_with("aux.")
}

/// Loads `weights` into the network. Unless every tensor of one, but for those of exits that it does not have, is in the other
/// with the same shape, but for sides of 1, nothing is changed and the error lists all that is missing, misshapen or left over.
pub fn load(model: &mut dyn Classifier, weights: &Weights) -> Result<()> {
    let (mut problems, mut missing) = (Vec::new(), Vec::new());
    let mut known = BTreeSet::new();
    model.read_forms(&mut |name, form| {
        known.insert(name.to_string());
        let wanted = form.dims;
        match weights.get(name) {
            None => {
                missing.push(name.to_string());
                problems.push(format!("missing {name} {wanted:?}"));
            }
            Some(found) if !is_alike(found.dims(), wanted) => {
                problems.push(format!("{name} is {:?} where {wanted:?} is needed", found.dims()));
            }
            Some(_) => {}
        }
        Ok(())
    })?;
    let is_unknown = |name: &&String| !known.contains(*name) && !is_of_exit(name);
    let unknown: Vec<String> = weights.keys().filter(is_unknown).cloned().collect();
    problems.extend(unknown.iter().map(|name| format!("unknown {name}")));
    if !problems.is_empty() {
        return Err(mismatch(&model.spec().name, &problems, [&unknown, &missing]));
    }
    let place = model.place().clone();
    model.visit(&mut |name, mut variable: Variable<'_>| {
        if let Some(value) = weights.get(name) {
            // A copy, because training writes into the storage of weights.
            let value = value.copy()?.reshape(variable.value().dims())?;
            variable.set(value.to(&place)?);
        }
        Ok(())
    })
}

/// What [`load_body`] did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LoadedBody {
    /// Tensors taken.
    pub taken: usize,
    /// Tensors of the head that stay as they are.
    pub new: Vec<String>,
    /// Tensors that were left out, because they are another head's.
    pub left_out: Vec<String>,
}

/// Loads `weights` into the network but for the layer that gives the classes, which stays as it is. So do the layers between
/// the pool over the whole map and that one if `weights` has not all of them: they may be a body's alone.
///
/// # Errors
/// As [`load`].
pub fn load_body(model: &mut dyn Classifier, mut weights: Weights) -> Result<LoadedBody> {
    let layers = &model.spec().head;
    let body = head::of_body(layers);
    let [behind, classifying] =
        [body, head::classifier(layers).unwrap_or(body)].map(|first| tensors(&layers[first..]));
    let mut kept = Weights::new();
    model.read_head(&mut |name, variable| {
        kept.insert(name.into(), variable.value().clone());
        Ok(())
    })?;
    let fits = |name: &String| match (weights.get(name), kept.get(name)) {
        (Some(found), Some(wanted)) => is_alike(found.dims(), wanted.dims()),
        _ => false,
    };
    let has_all = behind.difference(&classifying).all(fits);
    let new = if has_all { classifying } else { behind };
    kept.retain(|name, _| new.contains(name));
    weights.retain(|name, _| !is_of_exit(name));
    let left_out = kept.keys().filter(|name| weights.remove(*name).is_some()).cloned().collect();
    let loaded = LoadedBody { taken: weights.len(), new: kept.keys().cloned().collect(), left_out };
    weights.append(&mut kept);
    load(model, &weights)?;
    Ok(loaded)
}

/// The names of all tensors of a head's layers.
fn tensors(layers: &[NamedLayer]) -> BTreeSet<String> {
    let of_layer = |(path, layer): (String, &LayerSpec)| {
        layer.tensors().iter().map(|tensor| join(&path, tensor).into_owned()).collect::<Vec<_>>()
    };
    weighted("", layers).into_iter().flat_map(of_layer).collect()
}

/// What does not fit. Names that are all in the file's own way are shown beside those that are missed.
fn mismatch(network: &str, problems: &[String], [unknown, missing]: [&[String]; 2]) -> Error {
    const LISTED: usize = 20;
    const SHOWN: usize = 4;
    if !unknown.is_empty() && !missing.is_empty() {
        let first = |names: &[String]| names[..names.len().min(SHOWN)].join(", ");
        let (ours, theirs) = (first(missing), first(unknown));
        return Error::new(
            ErrorKind::Format,
            format!(
                "these are not the weights of {network}: {} of its names are missing, such as {ours}; {} names of the \
                 file mean nothing to it, such as {theirs}",
                missing.len(),
                unknown.len()
            ),
        );
    }
    let mut list = problems.iter().take(LISTED).cloned().collect::<Vec<_>>().join("; ");
    if problems.len() > LISTED {
        list.push_str(&format!("; and {} more", problems.len() - LISTED));
    }
    Error::new(ErrorKind::Format, format!("these are not the weights of {network}: {list}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::maps::activation::Activation;
    use crate::maps::mask;

    fn names(directory: &Path) -> Vec<String> {
        let entries = std::fs::read_dir(directory).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    #[test]
    fn what_could_not_be_written_whole_is_not_left_in_part() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("w.safetensors");
        let mut weights = Weights::from([("a".to_string(), Place::Host.full(&[3, 4], 1.0).unwrap())]);
        write(&path, &weights, &Card::default(), false).unwrap();
        let whole = std::fs::read(&path).unwrap();
        // Noticed when the first tensor is written already: it is a map of bytes.
        weights.insert("b".into(), mask::of_output(&weights["a"], Activation::Relu).unwrap());
        assert_eq!(write(&path, &weights, &Card::default(), false).unwrap_err().kind(), ErrorKind::Internal);
        assert_eq!(names(directory.path()), ["w.safetensors"]);
        assert_eq!(std::fs::read(&path).unwrap(), whole);
        weights.insert("b".into(), Place::Host.full(&[1], 7e4).unwrap());
        let error = write(&path, &weights, &Card::default(), true).unwrap_err().to_string();
        assert!(error.contains('b') && error.contains("without half"), "{error}");
        assert_eq!(std::fs::read(&path).unwrap(), whole);
        // A directory cannot be replaced by a file.
        let occupied = directory.path().join("occupied");
        std::fs::create_dir(&occupied).unwrap();
        assert_eq!(write_atomically(&occupied, b"content").unwrap_err().kind(), ErrorKind::Io);
        assert!(!names(directory.path()).contains(&"occupied.part".to_string()));
    }

    #[test]
    fn what_no_network_can_have_is_refused_by_the_names_in_the_file() {
        let map = |numbers: [f32; 2]| Map::new(numbers.to_vec(), 2).unwrap();
        let read = |parts: [(&str, [f32; 2]); 2]| {
            let directory = tempfile::tempdir().unwrap();
            let path = directory.path().join("w.safetensors");
            let weights = parts.map(|(name, numbers)| (name.to_string(), map(numbers)));
            write(&path, &Weights::from(weights), &Card::default(), false).unwrap();
            super::read(&path, |name| Some(name.trim_start_matches("module.").into()))
        };
        let error = read([("a", [1.0, -2.0]), ("module.bn1.running_var", [1.0, -0.5])]).unwrap_err();
        assert!(error.to_string().contains("module.bn1.running_var holds -0.5"), "{error}");
        let error = read([("module.b", [1.0, 2.0]), ("b", [0.0, 0.0])]).unwrap_err();
        assert!(error.to_string().contains("b and module.b both mean b"), "{error}");
        assert_eq!(
            read([("bn1.running_mean", [-1.0, 0.0]), ("bn1.running_var", [0.0, 1.0])]).unwrap().len(),
            2
        );
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_full_disk_is_not_kept_full() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("w.safetensors");
        std::os::unix::fs::symlink("/dev/full", directory.path().join("w.safetensors.part")).unwrap();
        let weights = Weights::from([("a".into(), Place::Host.full(&[5], 1.0).unwrap())]);
        assert_eq!(write(&path, &weights, &Card::default(), false).unwrap_err().kind(), ErrorKind::Io);
        assert!(names(directory.path()).is_empty());
    }
}
