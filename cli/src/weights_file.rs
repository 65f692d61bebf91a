//! Files of weights as people have them: of safetensors, or PyTorch's own.

use localgrad::Result;
use localgrad::weights::{self, Card, Weights};
use localgrad_data::torch::{TorchFile, is_torch};
use std::collections::BTreeMap;
use std::path::Path;

/// What a file says of itself; PyTorch's say nothing.
///
/// # Errors
/// Those of reading its header.
pub fn card(path: &Path) -> Result<Card> {
    if is_torch(path) { Ok(Card::default()) } else { weights::read_card(path) }
}

/// Name and shape of every tensor of a file, of which no number is read.
///
/// # Errors
/// Those of reading it.
pub fn listed(path: &Path) -> Result<Vec<(String, Vec<usize>)>> {
    if is_torch(path) { Ok(TorchFile::open(path)?.listed()) } else { weights::listed(path) }
}

/// The tensors of a file that `choose` gives our names for, and a line for people where it holds several networks: which of
/// them was taken.
///
/// # Errors
/// Those of reading it.
pub fn read_chosen(
    path: &Path,
    choose: impl FnOnce(&[(&str, &[usize])]) -> BTreeMap<String, String>,
) -> Result<(Weights, Option<String>)> {
    if !is_torch(path) {
        return Ok((weights::read_chosen(path, choose)?, None));
    }
    let file = TorchFile::open(path)?;
    let listed = file.listed();
    let shown: Vec<(&str, &[usize])> =
        listed.iter().map(|(name, shape)| (name.as_str(), shape.as_slice())).collect();
    let chosen = choose(&shown);
    let bytes = file.safetensors(&|name| chosen.contains_key(name))?;
    let weights = weights::from_bytes(&bytes, &path.display().to_string(), |name| chosen.get(name).cloned())?;
    Ok((weights, file.words()))
}
