//! Files that cannot be read here, known by their first bytes, and what to do with them instead.

use std::path::Path;

/// The bytes that are looked at: those up to the mark of a tar archive.
const LOOKED_AT: usize = 512;
/// Where the name of a zip archive's first file begins.
const ZIP_NAME: usize = 30;
/// Where a tar archive says that it is one.
const TAR_MARK: usize = 257;

/// A kind of file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Signature {
    /// What it is, for people.
    pub(crate) what: &'static str,
    family: Family,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Family {
    /// Files in one file.
    Archive,
    /// What torch.save wrote.
    Torch,
    /// Numbers that another library reads.
    Arrays,
    Picture,
    /// What stands for a file.
    Pointer,
}

impl Signature {
    /// What the file at `path` is, if that can be told and it is none of ours.
    pub(crate) fn of_file(path: &Path) -> Option<Self> {
        use std::io::Read;
        let mut start = Vec::with_capacity(LOOKED_AT);
        let file = std::fs::File::open(path).ok()?;
        file.take(LOOKED_AT as u64).read_to_end(&mut start).ok()?;
        Self::of(&start)
    }

    /// The same by the first bytes of a file.
    pub(crate) fn of(start: &[u8]) -> Option<Self> {
        use Family::{Archive, Arrays, Picture, Pointer, Torch};
        if is_safetensors(start) {
            return None;
        }
        let (what, family) = match start {
            [b'P', b'K', 3, 4, ..] => zip(start),
            [0x80, 2..=5, ..] => ("a Python pickle", Torch),
            [0x1f, 0x8b, ..] => ("a gzipped file (.gz, .tar.gz)", Archive),
            [b'B', b'Z', b'h', ..] => ("a bzip2 file (.bz2)", Archive),
            [0xfd, b'7', b'z', b'X', b'Z', ..] => ("an xz file (.xz)", Archive),
            [0x28, 0xb5, 0x2f, 0xfd, ..] => ("a zstd file (.zst)", Archive),
            [b'7', b'z', 0xbc, 0xaf, ..] => ("a 7z archive", Archive),
            [b'R', b'a', b'r', b'!', ..] => ("a rar archive", Archive),
            _ if start.get(TAR_MARK..).is_some_and(|mark| mark.starts_with(b"ustar")) => {
                ("a tar archive (.tar)", Archive)
            }
            [0x93, b'N', b'U', b'M', b'P', b'Y', ..] => ("a NumPy array (.npy)", Arrays),
            _ if start.starts_with(b"MATLAB ") => ("a MATLAB file (.mat)", Arrays),
            [0x89, b'H', b'D', b'F', ..] => ("an HDF5 file (.h5, .hdf5)", Arrays),
            [b'P', b'A', b'R', b'1', ..] => ("a Parquet file (.parquet)", Arrays),
            [b'A', b'R', b'R', b'O', b'W', b'1', ..] => ("an Arrow file (.arrow, .feather)", Arrays),
            [b'G', b'G', b'U', b'F', ..] => ("a GGUF file", Arrays),
            [_, _, _, _, b'T', b'F', b'L', b'3', ..] => ("a TensorFlow Lite file (.tflite)", Arrays),
            [0xff, 0xd8, 0xff, ..] => ("a JPEG picture", Picture),
            [0x89, b'P', b'N', b'G', ..] => ("a PNG picture", Picture),
            [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => ("a WebP picture", Picture),
            [b'G', b'I', b'F', b'8', ..] => ("a GIF", Picture),
            _ if start.starts_with(b"version https://git-lfs") => ("a Git LFS pointer", Pointer),
            _ if is_page(start) => ("a web page", Pointer),
            _ => return None,
        };
        Some(Self { what, family })
    }

    /// What to do with it where weights are wanted.
    pub(crate) fn advice_for_weights(self) -> &'static str {
        match self.family {
            Family::Archive => "unpack it, and name the file inside",
            Family::Torch => {
                "in Python, save its state dict anew with safetensors.torch.save_file, and name that file"
            }
            Family::Arrays => {
                "in Python, save its tensors by name with safetensors.numpy.save_file, and name that file"
            }
            Family::Picture => "name a .safetensors file",
            Family::Pointer => "get the file itself, which this only stands for",
        }
    }

    /// What to do with it where data are wanted.
    pub(crate) fn advice_for_data(self) -> &'static str {
        match self.family {
            Family::Archive => "unpack it, and name the directory",
            Family::Torch | Family::Arrays | Family::Picture => {
                "in Python, save `images` (u8 or f32, [N, C, H, W]) and `labels` ([N]) as train.safetensors and \
                 test.safetensors with safetensors.numpy.save_file, and name their directory"
            }
            Family::Pointer => "get the file itself, which this only stands for",
        }
    }
}

/// What a file is that begins so, in words, if it is of a kind that is known here and not read.
pub fn what(start: &[u8]) -> Option<&'static str> {
    Signature::of(start).map(|found| found.what)
}

/// Whether a file begins as safetensors files do: with the length of a header, which may be the first bytes of another kind
/// (that of 640 bytes is those of a pickle), and then a header.
fn is_safetensors(start: &[u8]) -> bool {
    const LARGEST_HEADER_BYTES: u64 = 100_000_000;
    let length = start.first_chunk().map(|bytes| u64::from_le_bytes(*bytes));
    length.is_some_and(|length| length <= LARGEST_HEADER_BYTES) && start.get(8) == Some(&b'{')
}

/// What a zip archive is, by the name of its first file.
fn zip(start: &[u8]) -> (&'static str, Family) {
    let length = start.get(26..28).map_or(0, |bytes| usize::from(u16::from_le_bytes([bytes[0], bytes[1]])));
    let name = start.get(ZIP_NAME..).unwrap_or_default();
    let name = &name[..length.min(name.len())];
    if name.ends_with(b".npy") {
        return ("a NumPy archive (.npz)", Family::Arrays);
    }
    let torch: [&[u8]; 4] = [b"/data.pkl", b"/byteorder", b"/version", b"/.format_version"];
    if torch.iter().any(|end| name.ends_with(end)) {
        return ("a PyTorch file (.pth, .pt)", Family::Torch);
    }
    ("a zip archive", Family::Archive)
}

fn is_page(start: &[u8]) -> bool {
    let text = start.trim_ascii_start().to_ascii_lowercase();
    [&b"<!doctype html"[..], b"<html"].iter().any(|begin| text.starts_with(begin))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn zip_of(name: &str) -> Vec<u8> {
        let mut bytes = b"PK\x03\x04".to_vec();
        bytes.resize(26, 0);
        bytes.extend((name.len() as u16).to_le_bytes());
        bytes.extend([0, 0]);
        bytes.extend(name.as_bytes());
        bytes
    }

    #[test]
    fn files_are_known_by_their_first_bytes() {
        let mut tar = vec![0; 512];
        tar[257..262].copy_from_slice(b"ustar");
        let cases: [(&[u8], &str); 14] = [
            (&zip_of("archive/data.pkl"), "PyTorch"),
            (&zip_of("resnet18/byteorder"), "PyTorch"),
            (&zip_of("x_train.npy"), ".npz"),
            (&zip_of("cat/1.jpg"), "zip"),
            (b"\x80\x02}q\x00", "pickle"),
            (b"\x1f\x8b\x08\x00", ".tar.gz"),
            (&tar, "tar"),
            (b"\x93NUMPY\x01\x00", ".npy"),
            (b"MATLAB 5.0 MAT-file, Platform", ".mat"),
            (b"\x89HDF\r\n\x1a\n", "HDF5"),
            (b"PAR1\x15\x04", "Parquet"),
            (b"\n <!DOCTYPE HTML><html>", "web page"),
            (b"version https://git-lfs.github.com/spec/v1", "LFS"),
            (b"\xff\xd8\xff\xe0", "JPEG"),
        ];
        for (start, what) in cases {
            let found = Signature::of(start).unwrap();
            assert!(found.what.contains(what), "{found:?}");
            assert!(!found.advice_for_data().is_empty() && !found.advice_for_weights().is_empty());
        }
        for ours in [
            &b"\x40\0\0\0\0\0\0\0{\"a\":"[..],
            b"\x80\x02\0\0\0\0\0\0{\"a\":",
            b"PK\x03\x04\0\0\0\0{\"a\":",
            b"\0\0\x08\x03\0\0",
            b"LGCKmani",
            b"",
            b"PK",
        ] {
            assert_eq!(Signature::of(ours), None);
        }
    }
}
