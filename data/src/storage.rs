//! The numbers behind PyTorch's tensors: storages, which several tensors may share, and what tensors take of them.

use crate::encoded::Encoded;
use crate::pickle::{Id, Pickle, Value};
use std::collections::BTreeMap;

/// No tensor has more sides, nor are keys longer: a small file may refer to a long one often.
const MOST_SIDES: usize = 16;
const LONGEST_KEY_BYTES: usize = 256;

/// What a tensor's numbers are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StorageKind {
    F64,
    F32,
    F16,
    Bf16,
    I64,
    I32,
    I16,
    I8,
    U8,
    Bool,
}

impl StorageKind {
    /// By the name of a storage's class.
    fn of_storage(class: &[u8]) -> Option<Self> {
        Some(match class {
            b"DoubleStorage" => Self::F64,
            b"FloatStorage" => Self::F32,
            b"HalfStorage" => Self::F16,
            b"BFloat16Storage" => Self::Bf16,
            b"LongStorage" => Self::I64,
            b"IntStorage" => Self::I32,
            b"ShortStorage" => Self::I16,
            b"CharStorage" => Self::I8,
            b"ByteStorage" => Self::U8,
            b"BoolStorage" => Self::Bool,
            _ => return None,
        })
    }

    /// Of safetensors.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::F64 => "F64",
            Self::F32 => "F32",
            Self::F16 => "F16",
            Self::Bf16 => "BF16",
            Self::I64 => "I64",
            Self::I32 => "I32",
            Self::I16 => "I16",
            Self::I8 => "I8",
            Self::U8 => "U8",
            Self::Bool => "BOOL",
        }
    }

    pub(crate) fn bytes(self) -> usize {
        match self {
            Self::F64 | Self::I64 => 8,
            Self::F32 | Self::I32 => 4,
            Self::F16 | Self::Bf16 | Self::I16 => 2,
            Self::I8 | Self::U8 | Self::Bool => 1,
        }
    }
}

/// A storage as a pickle refers to it.
struct Reference<'p> {
    kind: StorageKind,
    key: &'p [u8],
}

impl<'p> Reference<'p> {
    fn of(pickle: &'p Pickle<'_>, id: Id) -> Option<Self> {
        let Value::Persistent(storage) = pickle.value(id) else { return None };
        let Value::List(parts) = pickle.value(*storage) else { return None };
        // "storage", its class, its key, where it was, how many numbers; once, what it is a part of.
        let &[_, class, key, _, _, ref part_of @ ..] = parts.as_slice() else { return None };
        let is_whole = part_of.iter().all(|&id| *pickle.value(id) == Value::Other);
        match (pickle.value(class), pickle.value(key)) {
            (Value::Name(_, class), Value::Bytes(key)) if is_whole && key.len() <= LONGEST_KEY_BYTES => {
                Some(Self { kind: StorageKind::of_storage(class)?, key })
            }
            _ => None,
        }
    }

    fn key(&self) -> String {
        String::from_utf8_lossy(self.key).into_owned()
    }
}

/// How many bytes each number has of all storages that a pickle refers to.
pub(crate) fn number_bytes(pickle: &Pickle<'_>) -> BTreeMap<String, usize> {
    (0..pickle.values().len())
        .filter_map(|id| Reference::of(pickle, id))
        .map(|storage| (storage.key(), storage.kind.bytes()))
        .collect()
}

/// Whether a value stands for a tensor of some kind, or for a parameter.
pub(crate) fn is_tensor(pickle: &Pickle<'_>, id: Id) -> bool {
    let Value::Made { by, .. } = pickle.value(id) else { return false };
    matches!(pickle.value(*by), Value::Name(module, name) if module.starts_with(b"torch") && name.starts_with(b"_rebuild_"))
}

/// A tensor by where its numbers are.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Strided {
    pub(crate) kind: StorageKind,
    /// Key of the storage.
    pub(crate) storage: String,
    pub(crate) shape: Vec<usize>,
    /// Numbers before the first.
    offset: usize,
    /// Numbers from one to the next, along each side.
    stride: Vec<usize>,
}

impl Strided {
    /// The tensor that a value stands for; none where it is one of another kind than are read here.
    pub(crate) fn of(pickle: &Pickle<'_>, id: Id) -> Option<Self> {
        Self::of_value(pickle, id, 2)
    }

    /// As [`Strided::of`]; a tensor may be in so many others.
    fn of_value(pickle: &Pickle<'_>, id: Id, depth: usize) -> Option<Self> {
        let Value::Made { by, of, .. } = pickle.value(id) else { return None };
        let (Value::Name(_, by), Value::List(of)) = (pickle.value(*by), pickle.value(*of)) else {
            return None;
        };
        match (*by, of.as_slice()) {
            (b"_rebuild_parameter" | b"_rebuild_parameter_with_state", &[inner, ..]) if depth > 0 => {
                Self::of_value(pickle, inner, depth - 1)
            }
            // What makes it, its class, what it is made of.
            (b"_rebuild_from_type_v2", &[by, _, of, ..]) => Self::of_parts(pickle, by, of),
            (b"_rebuild_tensor_v2" | b"_rebuild_tensor", parts) => Self::of_storage(pickle, parts),
            _ => None,
        }
    }

    fn of_parts(pickle: &Pickle<'_>, by: Id, of: Id) -> Option<Self> {
        match (pickle.value(by), pickle.value(of)) {
            (Value::Name(_, b"_rebuild_tensor_v2" | b"_rebuild_tensor"), Value::List(parts)) => {
                Self::of_storage(pickle, parts)
            }
            _ => None,
        }
    }

    fn of_storage(pickle: &Pickle<'_>, parts: &[Id]) -> Option<Self> {
        let &[storage, offset, shape, stride, ..] = parts else { return None };
        let storage = Reference::of(pickle, storage)?;
        let numbers = |id: Id| -> Option<Vec<usize>> {
            let Value::List(sides) = pickle.value(id) else { return None };
            let numbers = (sides.len() <= MOST_SIDES).then(|| pickle.ints(id))??;
            numbers.into_iter().map(|number| usize::try_from(number).ok()).collect()
        };
        let Value::Int(offset) = pickle.value(offset) else { return None };
        let (shape, stride) = (numbers(shape)?, numbers(stride)?);
        (shape.len() == stride.len()).then_some(Self {
            kind: storage.kind,
            storage: storage.key(),
            offset: usize::try_from(*offset).ok()?,
            shape,
            stride,
        })
    }

    /// The bytes of its numbers.
    pub(crate) fn bytes(&self) -> Option<usize> {
        self.shape.iter().try_fold(self.kind.bytes(), |product, &side| product.checked_mul(side))
    }

    /// Whether a storage of so many bytes has all of its numbers.
    pub(crate) fn lies_within(&self, storage_bytes: u64) -> bool {
        if self.shape.contains(&0) {
            return true;
        }
        let sides = self.shape.iter().zip(&self.stride);
        let last = sides.clone().try_fold(self.offset, |last, (&side, &stride)| {
            last.checked_add((side - 1).checked_mul(stride)?)
        });
        let end = last.and_then(|last| last.checked_add(1)?.checked_mul(self.kind.bytes()));
        end.is_some_and(|end| end as u64 <= storage_bytes)
    }

    /// Whether the numbers lie one after another.
    fn is_whole(&self) -> bool {
        let mut next = 1_usize;
        self.shape.iter().zip(&self.stride).rev().all(|(&side, &stride)| {
            let fits = side == 1 || stride == next;
            next = next.saturating_mul(side);
            fits
        })
    }

    /// Appends the numbers in order, out of a storage's bytes; none where they are not all there.
    pub(crate) fn gather(&self, storage: &[u8], bytes: &mut Vec<u8>) -> Option<()> {
        let (len, size) = (self.bytes()?, self.kind.bytes());
        if len == 0 {
            return Some(());
        }
        if self.is_whole() {
            let start = self.offset.checked_mul(size)?;
            bytes.extend_from_slice(storage.get(start..start.checked_add(len)?)?);
            return Some(());
        }
        let mut position = vec![0_usize; self.shape.len()];
        let mut place = self.offset;
        for _ in 0..len / size {
            let start = place.checked_mul(size)?;
            bytes.extend_from_slice(storage.get(start..start.checked_add(size)?)?);
            for ((at, &side), &stride) in position.iter_mut().zip(&self.shape).zip(&self.stride).rev() {
                *at += 1;
                place = place.checked_add(stride)?;
                if *at < side {
                    break;
                }
                place = place.checked_sub(stride.checked_mul(side)?)?;
                *at = 0;
            }
        }
        Some(())
    }
}

/// Storages by their keys.
pub(crate) type Storages = BTreeMap<String, Encoded>;

#[cfg(test)]
mod tests {
    use super::*;

    fn strided(offset: usize, shape: &[usize], stride: &[usize]) -> Strided {
        let (shape, stride) = (shape.to_vec(), stride.to_vec());
        Strided { kind: StorageKind::U8, storage: "0".into(), offset, shape, stride }
    }

    #[test]
    fn numbers_are_gathered_by_their_strides() {
        let storage: Vec<u8> = (0..12).collect();
        for (tensor, wanted) in [
            (strided(0, &[3, 4], &[4, 1]), (0..12).collect::<Vec<u8>>()),
            (strided(1, &[2, 1, 2], &[4, 99, 1]), vec![1, 2, 5, 6]),
            (strided(0, &[4, 3], &[1, 4]), vec![0, 4, 8, 1, 5, 9, 2, 6, 10, 3, 7, 11]),
            (strided(5, &[2, 3], &[0, 2]), vec![5, 7, 9, 5, 7, 9]),
            (strided(11, &[], &[]), vec![11]),
            (strided(99, &[3, 0], &[1, 1]), vec![]),
        ] {
            let mut found = Vec::new();
            assert!(tensor.lies_within(12));
            tensor.gather(&storage, &mut found).unwrap();
            assert_eq!(found, wanted, "{tensor:?}");
        }
        for tensor in [
            strided(12, &[], &[]),
            strided(1, &[3, 4], &[4, 1]),
            strided(0, &[2, 2], &[11, 2]),
            strided(0, &[3], &[usize::MAX]),
            strided(usize::MAX, &[1], &[1]),
        ] {
            assert!(
                !tensor.lies_within(12) && tensor.gather(&storage, &mut Vec::new()).is_none(),
                "{tensor:?}"
            );
        }
    }
}
