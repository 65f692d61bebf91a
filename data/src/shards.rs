//! WebDataset's shards: tar archives in which files of one key are a sample, `0001.jpg` beside `0001.cls`, `0001.json` or
//! `0001.txt`. One shard, several as `train-{000..009}.tar`, or a folder of them.
//!
//! See <https://github.com/webdataset/webdataset>.

use crate::archive::{self, Archive, Want};
use crate::classes::{CLASSES_FILES, MOST_NAMES_BYTES, lines};
use crate::collection::Collection;
use crate::encoded::Encoded;
use crate::folder::{entries, is_picture_ending};
use crate::list::{in_parts, of_json};
use crate::listing::{Item, few};
use crate::share::{PartFile, Share};
use crate::targets::{Written, answers};
use localgrad::{Error, Result};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Files of labels by their endings, the best first.
const LABELS: [&str; 3] = ["cls", "json", "txt"];
const JSON_KEYS: [&str; 6] = ["label", "cls", "class", "class_id", "target", "class_name"];
/// Shards that braces stand for, at most.
const MOST_SHARDS: u64 = 100_000;
/// Of texts as labels: captions are as many as pictures, names of classes are fewer.
const FEW_TEXTS: usize = 100;

/// What of a file of that path is wanted of a shard.
pub(crate) fn want(path: &str) -> Want {
    match parts_of(path).1 {
        ending if is_picture_ending(last_ending(ending)) => Want::Place,
        ending if LABELS.contains(&ending.to_lowercase().as_str()) => Want::Content,
        _ => Want::Not,
    }
}

/// The key of a file, and all behind it: the key ends at the first dot of the file's name.
fn parts_of(path: &str) -> (&str, &str) {
    let name = path.rfind('/').map_or(0, |slash| slash + 1);
    match path[name..].find('.') {
        Some(dot) => (&path[..name + dot], &path[name + dot + 1..]),
        None => (path, ""),
    }
}

fn last_ending(ending: &str) -> &str {
    ending.rsplit('.').next().unwrap_or(ending)
}

/// Whether an archive's files are samples of a picture and its label each.
pub(crate) fn is_shard(archive: &Archive) -> bool {
    let Some(picture) = archive.paths().find(|path| want(path) == Want::Place) else { return false };
    let key = parts_of(picture).0;
    archive.paths().any(|path| {
        let (other, ending) = parts_of(path);
        other == key && LABELS.contains(&ending.to_lowercase().as_str())
    })
}

/// The shards that `path` stands for, with the part that each is of: of braces all that they count, of a folder those in it
/// or in its folders of parts. None where it is something else.
///
/// # Errors
/// `Config` for braces that count too far; `Format` where a shard that they count is missing.
pub(crate) fn found(path: &Path) -> Result<Option<Vec<PartFile>>> {
    let text = path.to_string_lossy();
    if let Some(counted) = braces(&text)? {
        let missing = counted.iter().find(|shard| !Path::new(shard).is_file());
        return match missing {
            Some(missing) => Err(Error::format(format!("{text}: the shard {missing} is missing"))),
            None => Ok(Some(counted.into_iter().map(|shard| (None, PathBuf::from(shard))).collect())),
        };
    }
    if !path.is_dir() {
        return Ok(None);
    }
    let mut shards = shards_in(path, None)?;
    for (name, folder) in entries(path)? {
        if let Some(share) = Share::named(&name).filter(|_| folder.is_dir()) {
            shards.extend(shards_in(&folder, Some(share))?);
        }
    }
    if shards.iter().any(|(share, _)| *share == Some(Share::Train)) {
        shards.retain(|(share, _)| share.is_some());
    }
    let Some((_, first)) = shards.first() else { return Ok(None) };
    let is_one = archive::kind(first).is_some() && is_shard(&Archive::open(first, &want)?);
    Ok(Some(shards).filter(|_| is_one))
}

/// The archives in a folder, each of the part that its name begins with.
fn shards_in(folder: &Path, share: Option<Share>) -> Result<Vec<PartFile>> {
    let is_tar = |name: &str| [".tar", ".tar.gz", ".tgz"].iter().any(|ending| name.ends_with(ending));
    let of_name = |name: &str| name.split(['-', '_', '.']).find_map(Share::named);
    let tars = entries(folder)?.into_iter().filter(|(name, path)| is_tar(name) && path.is_file());
    Ok(tars.map(|(name, path)| (share.or(of_name(&name)), path)).collect())
}

/// The paths that braces count: `a-{00..02}.tar` is `a-00.tar`, `a-01.tar` and `a-02.tar`.
fn braces(text: &str) -> Result<Option<Vec<String>>> {
    let counted = |text: &str| -> Option<(String, String, usize, [u64; 2])> {
        let (before, rest) = text.split_once('{')?;
        let (range, after) = rest.split_once('}')?;
        let (first, last) = range.split_once("..")?;
        Some((before.into(), after.into(), first.len(), [first.parse().ok()?, last.parse().ok()?]))
    };
    let Some((before, after, width, [first, last])) = counted(text) else { return Ok(None) };
    if last < first || last - first >= MOST_SHARDS {
        return Err(Error::config(format!(
            "{text}: braces count from {first} to {last}, expected upwards and at most {MOST_SHARDS} shards"
        )));
    }
    Ok(Some((first..=last).map(|number| format!("{before}{number:0width$}{after}")).collect()))
}

/// The pictures of shards.
///
/// # Errors
/// Those of opening archives; `Format` when no picture has a label, or labels are no classes.
pub(crate) fn collection(name: &str, shards: Vec<PartFile>) -> Result<Collection> {
    let several = shards.len() > 1;
    let folder = shards.first().and_then(|(_, path)| path.parent()).map(Path::to_path_buf);
    let (mut items, mut written, mut without) = (Vec::new(), Vec::new(), Vec::new());
    let mut texts = 0;
    for (share, path) in shards {
        let archive = Archive::open(&path, &want)?;
        let shard = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        for (picture, encoded, label) in samples(archive)? {
            let name = if several { format!("{shard}/{picture}") } else { picture };
            match label {
                Some((ending, label)) => {
                    texts += usize::from(ending == "txt");
                    written.push(label);
                    items.push((share, Item { encoded, name, label: 0, row: Box::default() }));
                }
                None => without.push(name),
            }
        }
    }
    let wrong = |what: String| Error::format(format!("{name}: {what}"));
    if items.is_empty() {
        return Err(wrong(
            "no picture has a label beside it: expected 0001.jpg beside 0001.cls, .json or .txt".into(),
        ));
    }
    if !without.is_empty() {
        log::warn!("{name}: {} pictures have no label and are left out: {}", without.len(), few(&without));
    }
    let file = folder.map(|folder| CLASSES_FILES.map(|name| folder.join(name)));
    let file = file.into_iter().flatten().find(|path| path.is_file());
    let known = file.map(|path| lines(&path)).transpose()?;
    let found = answers(written, &[], known).map_err(wrong)?;
    let class_names = &found.names;
    if texts == items.len() && class_names.len() > FEW_TEXTS.max(items.len() / 2) {
        return Err(wrong(format!(
            "{} texts for {} pictures are captions, expected classes: a .cls file with a number beside each picture",
            class_names.len(),
            items.len()
        )));
    }
    Ok(in_parts(name, items, found))
}

/// A picture by its path, where it lies, and its label with the ending of the file that says it.
type Sample = (String, Encoded, Option<(&'static str, Written)>);

/// Files of one key.
#[derive(Default)]
struct Key {
    picture: Option<(String, Encoded)>,
    labels: [Option<Encoded>; LABELS.len()],
}

/// The pictures of a shard with their labels.
fn samples(archive: Archive) -> Result<Vec<Sample>> {
    let mut keys: BTreeMap<String, Key> = BTreeMap::new();
    for (path, encoded) in archive.files {
        let (key, ending) = parts_of(&path);
        let entry = keys.entry(key.to_string()).or_default();
        match LABELS.iter().position(|label| ending.eq_ignore_ascii_case(label)) {
            Some(place) => entry.labels[place] = Some(encoded),
            // Of several, such as a small one beside a large one, the first.
            None if entry.picture.is_none() => entry.picture = Some((path, encoded)),
            None => {}
        }
    }
    let mut samples = Vec::with_capacity(keys.len());
    for (_, Key { picture, labels }) in keys {
        let Some((path, encoded)) = picture else { continue };
        let mut label = None;
        for (ending, file) in LABELS.into_iter().zip(labels) {
            if let (None, Some(file)) = (&label, file) {
                let text = file.bytes_within(MOST_NAMES_BYTES, "a label")?;
                let wrong = |what: String| Error::format(format!("{}: {path}: {what}", archive.name));
                label = written(&text, ending).map_err(wrong)?.map(|label| (ending, label));
            }
        }
        samples.push((path, encoded, label));
    }
    Ok(samples)
}

/// What the file of a label says; none where it says something else.
fn written(bytes: &[u8], ending: &str) -> std::result::Result<Option<Written>, String> {
    let text = String::from_utf8_lossy(bytes);
    let text = text.trim();
    if ending != "json" {
        return Ok((!text.is_empty()).then(|| Written::One(text.to_string())));
    }
    let value: serde_json::Value =
        serde_json::from_str(text).map_err(|cause| format!("its .json is no JSON ({cause})"))?;
    let found = JSON_KEYS.iter().find_map(|key| value.get(key)).unwrap_or(&value);
    Ok(of_json(found, false))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn braces_count() {
        assert_eq!(braces("a-{008..010}.tar").unwrap().unwrap(), ["a-008.tar", "a-009.tar", "a-010.tar"]);
        assert!(braces("a.tar").unwrap().is_none() && braces("{a}").unwrap().is_none());
        assert!(braces("{3..1}").is_err() && braces("{0..99999999999}").is_err());
    }

    #[test]
    fn keys_end_at_the_first_dot_of_the_name() {
        assert_eq!(parts_of("a.b/0001.jpg"), ("a.b/0001", "jpg"));
        assert_eq!(parts_of("0001.left.png"), ("0001", "left.png"));
        assert_eq!(parts_of("a/b"), ("a/b", ""));
    }
}
