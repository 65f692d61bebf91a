//! What a file of weights says of itself, in its safetensors metadata: all that is needed to use them.

use crate::data::Normalize;
use crate::error::{Error, Result};
use crate::exits::Exits;
use crate::network::NetworkSpec;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// Version of the card itself. Cards without one are read as this.
const VERSION: u32 = 1;
const VERSION_KEY: &str = "localgrad.version";
const MODEL_KEY: &str = "localgrad.model";
const NETWORK_KEY: &str = "localgrad.network";
const NORMALIZE_KEY: &str = "localgrad.normalize";
const CLASS_NAMES_KEY: &str = "localgrad.class_names";
const EXITS_KEY: &str = "localgrad.exits";
/// The largest header that safetensors readers accept, in bytes.
const MAX_HEADER_BYTES: u64 = 100_000_000;

/// What weights are of and what they want. A file that was made elsewhere says none of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Card {
    /// What people call the network.
    pub model: Option<String>,
    /// The network, with what it takes: channels, height and width of an image, and the number of classes.
    pub network: Option<NetworkSpec>,
    /// What its images are normalised by.
    pub normalize: Option<Normalize>,
    /// Names of its classes, in order; empty where nobody named them.
    pub class_names: Vec<String>,
    /// The exits that the file has beside the network's end, if any; their tensors are named `aux.<block>` and so on.
    pub exits: Option<Exits>,
}

impl Card {
    /// All there is to say of a network's weights.
    pub fn of(network: &NetworkSpec, normalize: &Normalize, class_names: &[String]) -> Self {
        Self {
            model: Some(network.name.clone()),
            network: Some(network.clone()),
            normalize: Some(normalize.clone()),
            class_names: class_names.to_vec(),
            exits: None,
        }
    }

    /// Whether its parts fit each other.
    ///
    /// # Errors
    /// `Config` for a network that cannot be, a normalisation for other images, or more names than classes.
    pub fn check(&self) -> Result<()> {
        if let Some(network) = &self.network {
            network.validate()?;
            if self.class_names.len() > network.classes {
                return Err(Error::config(format!(
                    "{} class names for the {} classes of {}",
                    self.class_names.len(),
                    network.classes,
                    network.name
                )));
            }
        }
        if let Some(exits) = &self.exits {
            let network = self.network.as_ref().ok_or_else(|| Error::config("exits of no network"))?;
            exits.check(network.units.len())?;
        }
        if let Some(normalize) = &self.normalize {
            let channels =
                self.network.as_ref().map_or(normalize.mean.len(), |network| network.input.channels());
            normalize.check(channels)?;
        }
        Ok(())
    }

    /// Its entries among the metadata of a file, without those that say nothing.
    pub(super) fn entries(&self) -> Result<BTreeMap<String, String>> {
        let mut entries = BTreeMap::new();
        if *self == Self::default() {
            return Ok(entries);
        }
        entries.insert(VERSION_KEY.into(), VERSION.to_string());
        if let Some(model) = &self.model {
            entries.insert(MODEL_KEY.into(), model.clone());
        }
        if let Some(network) = &self.network {
            entries.insert(NETWORK_KEY.into(), json(network)?);
        }
        if let Some(normalize) = &self.normalize {
            entries.insert(NORMALIZE_KEY.into(), json(normalize)?);
        }
        if !self.class_names.is_empty() {
            entries.insert(CLASS_NAMES_KEY.into(), json(&self.class_names)?);
        }
        if let Some(exits) = &self.exits {
            entries.insert(EXITS_KEY.into(), json(exits)?);
        }
        Ok(entries)
    }

    fn of_entries(entries: &HashMap<String, String>) -> Result<Self> {
        if let Some(version) = entries.get(VERSION_KEY) {
            match version.parse::<u32>() {
                Ok(VERSION) => {}
                Ok(later) if later > VERSION => {
                    return Err(Error::format(format!(
                        "{VERSION_KEY} is {later}, and this localgrad reads {VERSION}; use a later one"
                    )));
                }
                _ => return Err(Error::format(format!("{VERSION_KEY} is {version:?}, which is no version"))),
            }
        }
        let card = Self {
            model: entries.get(MODEL_KEY).cloned(),
            network: part(entries, NETWORK_KEY)?,
            normalize: part(entries, NORMALIZE_KEY)?,
            class_names: part(entries, CLASS_NAMES_KEY)?.unwrap_or_default(),
            exits: part(entries, EXITS_KEY)?,
        };
        card.check().map_err(|cause| Error::format(cause.to_string()))?;
        Ok(card)
    }
}

/// The card of a safetensors file: empty where nothing is said. Only the file's header is read.
///
/// # Errors
/// `Io` when it cannot be read, `Format` when it has no safetensors header, or one that says what cannot be.
pub fn read_card(path: &Path) -> Result<Card> {
    of_header(&read_header(path)?, &path.display().to_string())
}

/// The header of a safetensors file.
///
/// # Errors
/// As [`read_card`].
pub(super) fn read_header(path: &Path) -> Result<Vec<u8>> {
    let io = |cause| Error::io(path, cause);
    super::check_is_file(path)?;
    let mut file = File::open(path).map_err(io)?;
    let len = file.metadata().map_err(io)?.len();
    // Enough to tell what else the file may be.
    let mut start = Vec::with_capacity(512);
    file.by_ref().take(512).read_to_end(&mut start).map_err(io)?;
    let name = path.display().to_string();
    let end = 8 + header_bytes(&start, len, &name)?;
    file.take(end.saturating_sub(start.len()) as u64).read_to_end(&mut start).map_err(io)?;
    Ok(start.get(8..end).unwrap_or_default().to_vec())
}

/// The same out of memory. `name` is what error messages call the file.
///
/// # Errors
/// `Format`, as for [`read_card`].
pub fn card_from_bytes(file: &[u8], name: &str) -> Result<Card> {
    let length = header_bytes(file, file.len() as u64, name)?;
    of_header(file.get(8..8 + length).unwrap_or_default(), name)
}

/// How long the header is, by the first bytes of a file of `len` bytes.
fn header_bytes(start: &[u8], len: u64, name: &str) -> Result<usize> {
    let length = start.first_chunk().map(|bytes| u64::from_le_bytes(*bytes));
    match length.filter(|&length| length <= MAX_HEADER_BYTES && length <= len - 8) {
        // Fits: the length is at most MAX_HEADER_BYTES.
        Some(length) => Ok(length as usize),
        None => Err(super::not_safetensors(name, start, "it begins with no length of a header")),
    }
}

fn of_header(header: &[u8], name: &str) -> Result<Card> {
    /// All that is read of a header; tensors are passed over.
    #[derive(Deserialize)]
    struct Header {
        #[serde(rename = "__metadata__", default)]
        metadata: Option<HashMap<String, String>>,
    }
    let header: Header = serde_json::from_slice(header)
        .map_err(|cause| super::not_safetensors(name, header, &format!("its header is broken ({cause})")))?;
    Card::of_entries(&header.metadata.unwrap_or_default())
        .map_err(|cause| cause.at(format!("{name}: what it says of itself is damaged")))
}

fn json(value: &impl Serialize) -> Result<String> {
    Ok(serde_json::to_string(value)?)
}

fn part<T: DeserializeOwned>(entries: &HashMap<String, String>, key: &str) -> Result<Option<T>> {
    let Some(text) = entries.get(key) else { return Ok(None) };
    serde_json::from_str(text).map(Some).map_err(|cause| Error::format(format!("{key}: {cause}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorKind;
    use crate::layers::spec::{LayerSpec, named, unnamed};
    use crate::maps::Place;
    use crate::network::Objective;
    use crate::network::unit::{UnitKind, UnitSpec};
    use crate::weights::{Weights, from_bytes, write};

    fn card() -> Card {
        let stem = UnitSpec {
            name: "stem".into(),
            kind: UnitKind::Stem { kernel: [3, 3], pool: false },
            width: 4,
            stride: [1, 1],
        };
        let linear = LayerSpec::Linear { inputs: 4, outputs: 3, bias: true };
        let head = vec![unnamed(LayerSpec::GlobalAveragePool), named("fc", linear)];
        let network = NetworkSpec {
            name: "tiny \"one\"".into(),
            input: [1, 8, 8].into(),
            classes: 3,
            objective: Objective::Classes,
            units: vec![stem],
            head,
        };
        let normalize = Normalize { mean: vec![0.1], deviation: vec![1.0 / 3.0] };
        Card::of(&network, &normalize, &["cat".into(), "Äpfel\n".into(), String::new()])
    }

    fn written(card: &Card) -> Result<Vec<u8>> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("w.safetensors");
        let ones = |sides: &[usize]| Place::Host.full(sides, 1.0).unwrap();
        let weights = Weights::from([("b".to_string(), ones(&[2, 3])), ("a".to_string(), ones(&[5]))]);
        write(&path, &weights, card, false)?;
        assert_eq!(read_card(&path).unwrap(), *card);
        let bytes = std::fs::read(&path).unwrap();
        let read = from_bytes(&bytes, "w", |name| Some(name.into())).unwrap();
        assert_eq!(read["b"].dims(), [2, 3]);
        Ok(bytes)
    }

    /// A file without tensors whose metadata are these.
    fn file(metadata: &[(&str, &str)]) -> Vec<u8> {
        let metadata: BTreeMap<_, _> = metadata.iter().copied().collect();
        let header = serde_json::json!({ "__metadata__": metadata }).to_string();
        [&(header.len() as u64).to_le_bytes()[..], header.as_bytes()].concat()
    }

    #[test]
    fn what_is_written_is_read_and_always_the_same_bytes() {
        let whole = card();
        let bytes = written(&whole).unwrap();
        assert_eq!(card_from_bytes(&bytes, "w").unwrap(), whole);
        for _ in 0..20 {
            assert!(written(&whole).unwrap() == bytes);
        }
        for part in [
            Card::default(),
            Card { network: None, ..whole.clone() },
            Card { normalize: None, class_names: Vec::new(), ..whole.clone() },
        ] {
            written(&part).unwrap();
        }
        let plain = safetensors::serialize(Vec::<(String, safetensors::tensor::TensorView<'_>)>::new(), None);
        assert_eq!(card_from_bytes(&plain.unwrap(), "elsewhere").unwrap(), Card::default());
    }

    #[test]
    fn parts_that_do_not_fit_are_not_written() {
        let whole = card();
        let four = vec!["a".to_string(); 4];
        for (part, needle) in [
            (Card { class_names: four, ..whole.clone() }, "4 class names for the 3 classes"),
            (Card { normalize: Some(Normalize::cifar10()), ..whole }, "3 means"),
        ] {
            let error = written(&part).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Config);
            assert!(error.to_string().contains(needle), "{error}");
        }
    }

    #[test]
    fn damage_is_named() {
        let network = json(&card().network.unwrap()).unwrap();
        let cases: [(&[(&str, &str)], &str); 8] = [
            (&[("localgrad.network", "{")], "localgrad.network"),
            (&[("localgrad.network", &network.replace("[1,8,8]", "[1,0,8]"))], "at least one pixel"),
            (&[("localgrad.normalize", "{\"mean\":[0],\"deviation\":[0]}")], "above 0"),
            (&[("localgrad.normalize", "[1]")], "localgrad.normalize"),
            (&[("localgrad.class_names", "[1]")], "localgrad.class_names"),
            (
                &[("localgrad.network", &network), ("localgrad.class_names", "[\"\",\"\",\"\",\"\"]")],
                "4 class names",
            ),
            (&[("localgrad.version", "2")], "use a later one"),
            (&[("localgrad.version", "one")], "no version"),
        ];
        for (metadata, needle) in cases {
            let error = card_from_bytes(&file(metadata), "w.safetensors").unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Format);
            let text = error.to_string();
            assert!(text.starts_with("w.safetensors: ") && text.contains(needle), "{text}");
        }
        assert_eq!(card_from_bytes(&file(&[("localgrad.more", "?")]), "w").unwrap(), Card::default());
        let bytes = written(&card()).unwrap();
        let length = u64::from_le_bytes(*bytes.first_chunk().unwrap()) as usize;
        for cut in 0..8 + length {
            let error = card_from_bytes(&bytes[..cut], "cut").unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Format, "{cut}");
        }
    }
}
