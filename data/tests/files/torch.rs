//! Files of weights as PyTorch writes them, made here to the letter of the format: see `torch/serialization.py`.

use super::zip;

/// A tensor of f32: its name, its shape and its numbers.
pub(crate) type Tensor = (String, Vec<usize>, Vec<f32>);

const ORDERED: &[u8] = b"ccollections\nOrderedDict\n)R";

/// A text of a pickle.
fn text(text: &str) -> Vec<u8> {
    [b"X", &(text.len() as u32).to_le_bytes()[..], text.as_bytes()].concat()
}

fn int(number: usize) -> Vec<u8> {
    [b"J", &(number as u32).to_le_bytes()[..]].concat()
}

fn tuple(parts: &[Vec<u8>]) -> Vec<u8> {
    [b"(", &parts.concat()[..], b"t"].concat()
}

/// A tensor's pickle, by its storage's key, its offset, shape and strides.
pub(crate) fn rebuilt(key: &str, offset: usize, shape: &[usize], stride: &[usize], is_row: bool) -> Vec<u8> {
    let mut parts = vec![text("storage"), b"ctorch\nFloatStorage\n".to_vec(), text(key), text("cpu"), int(1)];
    // What it would be a part of.
    parts.extend(is_row.then(|| b"N".to_vec()));
    let ints = |numbers: &[usize]| tuple(&numbers.iter().map(|&number| int(number)).collect::<Vec<_>>());
    let storage = [tuple(&parts), b"Q".to_vec()].concat();
    let of = [storage, int(offset), ints(shape), ints(stride), b"\x89".to_vec(), ORDERED.to_vec()];
    [b"ctorch._utils\n_rebuild_tensor_v2\n", &tuple(&of)[..], b"R"].concat()
}

/// A pickle of values by name, in dictionaries of those names, the outermost first.
pub(crate) fn dictionary(entries: &[(&str, Vec<u8>)], around: &[&str]) -> Vec<u8> {
    let of_entry = |(name, value): &(&str, Vec<u8>)| [text(name), value.clone()].concat();
    let entries: Vec<Vec<u8>> = entries.iter().map(of_entry).collect();
    let mut value = [ORDERED, b"(", &entries.concat(), b"u"].concat();
    for name in around.iter().rev() {
        value = [b"}", &text(name)[..], &value, b"s"].concat();
    }
    [b"\x80\x02", &value[..], b"."].concat()
}

fn state(tensors: &[Tensor], around: &[&str], is_row: bool) -> Vec<u8> {
    let entry = |(key, (name, shape, _)): (usize, &Tensor)| {
        let stride: Vec<usize> = (1..=shape.len()).map(|at| shape[at..].iter().product()).collect();
        (name.clone(), rebuilt(&key.to_string(), 0, shape, &stride, is_row))
    };
    let entries: Vec<(String, Vec<u8>)> = tensors.iter().enumerate().map(entry).collect();
    let entries: Vec<(&str, Vec<u8>)> =
        entries.iter().map(|(name, value)| (name.as_str(), value.clone())).collect();
    dictionary(&entries, around)
}

fn bytes((_, _, numbers): &Tensor) -> Vec<u8> {
    numbers.iter().flat_map(|number| number.to_le_bytes()).collect()
}

/// The archive that torch writes since 1.6, of any pickle and storages.
pub(crate) fn archive(pickle: Vec<u8>, storages: &[Vec<u8>]) -> Vec<u8> {
    let names: Vec<String> = (0..storages.len()).map(|key| format!("archive/data/{key}")).collect();
    let mut files = vec![("archive/data.pkl", pickle)];
    files.extend(names.iter().map(String::as_str).zip(storages.iter().cloned()));
    files.push(("archive/version", b"3\n".to_vec()));
    zip(&files, false)
}

/// The same of tensors, in dictionaries of those names.
pub(crate) fn saved(tensors: &[Tensor], around: &[&str]) -> Vec<u8> {
    archive(state(tensors, around, false), &tensors.iter().map(bytes).collect::<Vec<_>>())
}

/// The form of before.
pub(crate) fn saved_in_row(tensors: &[Tensor]) -> Vec<u8> {
    let keys: Vec<Vec<u8>> = (0..tensors.len()).map(|key| text(&key.to_string())).collect();
    let mut file = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.\x80\x02M\xe9\x03.".to_vec();
    file.extend(dictionary(&[("little_endian", b"\x88".to_vec())], &[]));
    file.extend(state(tensors, &[], true));
    file.extend([b"\x80\x02](", &keys.concat()[..], b"e."].concat());
    for tensor in tensors {
        file.extend((tensor.2.len() as u64).to_le_bytes());
        file.extend(bytes(tensor));
    }
    file
}
