//! IDX, the format of MNIST and Fashion-MNIST, plain or gzipped: one file of images, one of labels.
//!
//! A file is a magic number, one size a dimension (all big-endian u32) and the elements, here bytes.
//! See the end of <http://yann.lecun.com/exdb/mnist/>.

use super::source::Source;
use super::{Dataset, ImageShape, Split, check_read, from_byte, no_sample};
use crate::error::{Error, Result};
use flate2::bufread::GzDecoder;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

const IMAGES_MAGIC: u32 = 0x0803;
/// Of labels that are bytes; others have another type in the second byte.
const LABELS_MAGIC: u32 = 0x0801;
/// Types that labels come in, and the bytes of each: u8, i8, i16, i32.
const LABEL_TYPES: [(u32, usize); 4] = [(0x0801, 1), (0x0901, 1), (0x0b01, 2), (0x0c01, 4)];
/// The header of a file of images, the longest that is read here.
const MAX_HEADER_BYTES: usize = 16;
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];
/// Deflate packs at most 258 bytes into 2 bits; a header that promises more is lying.
const MAX_EXPANSION: u64 = 1032;
/// The best known sets in this format have the labels 0 to 9; the files themselves do not say.
const FEWEST_CLASSES: usize = 10;
/// A label above this is taken for a damaged file.
const LARGEST_LABEL: i64 = u16::MAX as i64;

/// Grey images and their labels, of 10 classes or as many more as there are labels, out of a pair of IDX files.
///
/// Plain images stay in their file; gzipped ones are unpacked into memory, a byte a pixel.
pub struct Idx {
    images: Array<3>,
    labels: Labels,
    classes: usize,
    shape: ImageShape,
}

/// One label a sample, in no more bytes than they need.
enum Labels {
    Bytes(Vec<u8>),
    Words(Vec<u16>),
}

impl Idx {
    /// Opens a file of images and its file of labels, each plain or gzipped, whatever their names.
    ///
    /// # Errors
    /// `Io` when a file cannot be read, `Format` when its content is not what its header promises, the
    /// counts differ or a label is negative or above 65,535.
    pub fn open(images: &Path, labels: &Path) -> Result<Self> {
        Self::new(Array::from_source(Source::open(images)?)?, Array::from_source(Source::open(labels)?)?)
    }

    /// The same, out of memory. `name` is what error messages call the data.
    ///
    /// # Errors
    /// `Format`, as for `open`.
    pub fn from_bytes(images: &[u8], labels: &[u8], name: &str) -> Result<Self> {
        let images = Array::from_bytes(images, &format!("{name} images"))?;
        Self::new(images, Array::from_bytes(labels, &format!("{name} labels"))?)
    }

    /// The same, out of bytes that are part of the program. Plain images are read where they lie and take no
    /// memory of their own.
    ///
    /// # Errors
    /// `Format`, as for `open`.
    pub fn from_static(images: &'static [u8], labels: &'static [u8], name: &str) -> Result<Self> {
        let images = Array::from_static(images, &format!("{name} images"))?;
        Self::new(images, Array::from_static(labels, &format!("{name} labels"))?)
    }

    fn new(images: Array<3>, labels: Array<1>) -> Result<Self> {
        let ([count, height, width], [label_count]) = (images.sizes, labels.sizes);
        if count != label_count {
            return Err(Error::format(format!(
                "{} holds {count} images, but {} holds {label_count} labels",
                images.elements.name(),
                labels.elements.name()
            )));
        }
        let found = read_labels(&labels, count)?;
        let classes = found.iter().max().map_or(0, |&label| usize::from(label) + 1).max(FEWEST_CLASSES);
        let labels = match classes {
            // None is larger than 255.
            ..=256 => Labels::Bytes(found.iter().map(|&label| label as u8).collect()),
            _ => Labels::Words(found),
        };
        Ok(Self { images, labels, classes, shape: ImageShape { channels: 1, height, width } })
    }
}

impl Dataset for Idx {
    fn len(&self) -> usize {
        self.images.sizes[0]
    }

    fn shape(&self) -> ImageShape {
        self.shape
    }

    fn classes(&self) -> usize {
        self.classes
    }

    fn label(&self, index: usize) -> Result<u32> {
        let label = match &self.labels {
            Labels::Bytes(labels) => labels.get(index).map(|&label| label.into()),
            Labels::Words(labels) => labels.get(index).map(|&label| label.into()),
        };
        label.ok_or_else(|| no_sample(index, self.len()))
    }

    fn read(&self, index: usize, pixels: &mut [f32]) -> Result<u32> {
        check_read(index, self.len(), pixels, self.shape)?;
        let offset = self.images.start + index as u64 * pixels.len() as u64;
        self.images.elements.with(offset, pixels.len(), |bytes| {
            for (pixel, &byte) in pixels.iter_mut().zip(bytes) {
                *pixel = from_byte(byte);
            }
        })?;
        self.label(index)
    }

    fn resident_bytes(&self) -> usize {
        let labels = match &self.labels {
            Labels::Bytes(labels) => labels.capacity(),
            Labels::Words(labels) => labels.capacity() * size_of::<u16>(),
        };
        self.images.elements.resident_bytes() + labels
    }
}

fn read_labels(labels: &Array<1>, count: usize) -> Result<Vec<u16>> {
    let number: fn(&[u8]) -> Option<i64> = match (labels.magic, labels.width) {
        (LABELS_MAGIC, _) => |bytes| bytes.first().map(|&byte| byte.into()),
        (_, 1) => |bytes| Some(i8::from_be_bytes(bytes.try_into().ok()?).into()),
        (_, 2) => |bytes| Some(i16::from_be_bytes(bytes.try_into().ok()?).into()),
        _ => |bytes| Some(i32::from_be_bytes(bytes.try_into().ok()?).into()),
    };
    // The header's promise was held against the file's length.
    labels.elements.with(labels.start, count * labels.width, |bytes| {
        let mut found = Vec::with_capacity(count);
        for (index, label) in bytes.chunks_exact(labels.width).enumerate() {
            match number(label) {
                Some(label @ 0..=LARGEST_LABEL) => found.push(label as u16),
                label => {
                    return Err(Error::format(format!(
                        "{}: sample {index} has the label {}, expected one of 0 to {LARGEST_LABEL}",
                        labels.elements.name(),
                        label.unwrap_or(-1)
                    )));
                }
            }
        }
        Ok(found)
    })?
}

/// Whether any file of an IDX set lies in `directory`.
pub(super) fn found_in(directory: &Path) -> bool {
    [Split::Train, Split::Test].iter().any(|&split| {
        file_names(split).iter().any(|name| variants(directory, name).iter().any(|path| path.is_file()))
    })
}

/// Opens the split of the IDX set in `directory` by the standard names. Both splits count the classes of both, so that
/// they agree.
pub(super) fn open_in(directory: &Path, split: Split) -> Result<Idx> {
    let [images, labels] = file_names(split).map(|name| {
        found(directory, name).ok_or_else(|| {
            Error::format(format!(
                "{}: expected {name} or {name}.gz beside the other IDX files, found neither",
                directory.display()
            ))
        })
    });
    let mut set = Idx::open(&images?, &labels?)?;
    let other = match split {
        Split::Train => Split::Test,
        Split::Test => Split::Train,
    };
    if let Some(labels) = found(directory, file_names(other)[1]) {
        let labels: Array<1> = Array::from_source(Source::open(&labels)?)?;
        let [count] = labels.sizes;
        let largest = read_labels(&labels, count)?.into_iter().max().unwrap_or(0);
        set.classes = set.classes.max(usize::from(largest) + 1);
    }
    Ok(set)
}

/// The file of that name, in any of its spellings.
fn found(directory: &Path, name: &str) -> Option<PathBuf> {
    variants(directory, name).into_iter().find(|path| path.is_file())
}

fn file_names(split: Split) -> [&'static str; 2] {
    match split {
        Split::Train => ["train-images-idx3-ubyte", "train-labels-idx1-ubyte"],
        Split::Test => ["t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"],
    }
}

/// The spellings of a name: of archives that were unpacked, a dot comes before `idx`.
fn variants(directory: &Path, name: &str) -> [PathBuf; 4] {
    let dotted = name.replace("-idx", ".idx");
    [name, &dotted, &format!("{name}.gz"), &format!("{dotted}.gz")].map(|name| directory.join(name))
}

/// An array with `D` dimensions: its sizes, its type and where its elements lie.
struct Array<const D: usize> {
    sizes: [usize; D],
    magic: u32,
    /// Bytes of an element.
    width: usize,
    elements: Source,
    start: u64,
}

impl<const D: usize> Array<D> {
    const HEADER_BYTES: usize = 4 + 4 * D;

    fn from_source(source: Source) -> Result<Self> {
        let mut magic = [0; 2];
        if source.len() >= 2 {
            source.read(0, &mut magic)?;
        }
        if magic == GZIP_MAGIC {
            return Self::unpack(BufReader::new(source.reader()), source.len(), source.name());
        }
        Self::plain(source)
    }

    fn from_bytes(bytes: &[u8], name: &str) -> Result<Self> {
        if bytes.starts_with(&GZIP_MAGIC) {
            return Self::unpack(bytes, bytes.len() as u64, name);
        }
        Self::plain(Source::memory(name, bytes.to_vec()))
    }

    fn from_static(bytes: &'static [u8], name: &str) -> Result<Self> {
        if bytes.starts_with(&GZIP_MAGIC) {
            return Self::unpack(bytes, bytes.len() as u64, name);
        }
        Self::plain(Source::memory(name, bytes))
    }

    fn plain(elements: Source) -> Result<Self> {
        let mut header = [0; MAX_HEADER_BYTES];
        let header = &mut header[..Self::HEADER_BYTES];
        if elements.len() < header.len() as u64 {
            return Err(too_short(elements.name(), elements.len(), Self::HEADER_BYTES));
        }
        elements.read(0, header)?;
        let Header { sizes, magic, width, count } = Self::parse(header, elements.name())?;
        let found = elements.len() - Self::HEADER_BYTES as u64;
        if found != count {
            return Err(Error::format(format!(
                "{}: the header promises {count} bytes of data ({sizes:?}), the file holds {found}",
                elements.name()
            )));
        }
        Ok(Self { sizes, magic, width, elements, start: Self::HEADER_BYTES as u64 })
    }

    /// Unpacks gzipped data of `packed_len` bytes: never more than its own header promises, nor more
    /// than so many packed bytes can hold.
    fn unpack(packed: impl BufRead, packed_len: u64, name: &str) -> Result<Self> {
        let broken = |cause: io::Error| match cause.kind() {
            io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData => {
                Error::format(format!("{name}: broken or cut gzip data ({cause})"))
            }
            _ => Error::io(Path::new(name), cause),
        };
        let mut decoder = GzDecoder::new(packed);
        let mut header = Vec::with_capacity(MAX_HEADER_BYTES);
        decoder.by_ref().take(Self::HEADER_BYTES as u64).read_to_end(&mut header).map_err(broken)?;
        if header.len() < Self::HEADER_BYTES {
            return Err(too_short(name, header.len() as u64, Self::HEADER_BYTES));
        }
        let Header { sizes, magic, width, count } = Self::parse(&header, name)?;
        let too_large = || {
            Error::format(format!(
                "{name}: the header promises {count} bytes of data ({sizes:?}), more than {packed_len} gzipped bytes can hold"
            ))
        };
        if count > packed_len.saturating_mul(MAX_EXPANSION) {
            return Err(too_large());
        }
        let mut bytes = Vec::new();
        bytes.try_reserve_exact(usize::try_from(count).map_err(|_| too_large())?).map_err(|_| {
            Error::format(format!("{name}: unpacking needs {count} bytes, which cannot be allocated"))
        })?;
        decoder.by_ref().take(count).read_to_end(&mut bytes).map_err(broken)?;
        if (bytes.len() as u64) < count {
            return Err(Error::format(format!(
                "{name}: the header promises {count} bytes of data ({sizes:?}), the file holds {}",
                bytes.len()
            )));
        }
        // Reading on to the end is also what makes the decoder check its checksum.
        let more = decoder.read(&mut [0]).map_err(broken)? > 0;
        if more || !decoder.into_inner().fill_buf().map_err(broken)?.is_empty() {
            return Err(Error::format(format!(
                "{name}: bytes follow the {count} of data ({sizes:?}) that the header promises"
            )));
        }
        Ok(Self { sizes, magic, width, elements: Source::memory(name, bytes), start: 0 })
    }

    /// What a header of `HEADER_BYTES` says.
    fn parse(header: &[u8], name: &str) -> Result<Header<D>> {
        let magic = word(header, 0);
        let types: &[(u32, usize)] = if D == 1 { &LABEL_TYPES } else { &[(IMAGES_MAGIC, 1)] };
        let Some(&(_, width)) = types.iter().find(|(known, _)| *known == magic) else {
            return Err(Error::format(format!(
                "{name}: expected an IDX file with the magic number {:#06x}, found {magic:#06x}",
                types[0].0
            )));
        };
        let sizes: [usize; D] = std::array::from_fn(|d| word(header, d + 1) as usize);
        let count = sizes.iter().try_fold(width as u64, |product, &size| product.checked_mul(size as u64));
        match count {
            Some(count) if count > 0 => Ok(Header { sizes, magic, width, count }),
            _ => Err(Error::format(format!("{name}: the header promises data of the size {sizes:?}"))),
        }
    }
}

/// What a header says.
struct Header<const D: usize> {
    sizes: [usize; D],
    magic: u32,
    /// Bytes of an element.
    width: usize,
    /// Bytes of all elements.
    count: u64,
}

fn too_short(name: &str, found: u64, expected: usize) -> Error {
    Error::format(format!("{name}: {found} bytes, too short for the {expected} bytes of an IDX header"))
}

/// The big-endian word at place `index`, counted in words.
fn word(bytes: &[u8], index: usize) -> u32 {
    bytes[4 * index..4 * index + 4].iter().fold(0, |word, &byte| word << 8 | u32::from(byte))
}
