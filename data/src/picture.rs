//! Picture files: read whole or refused, turned the way every viewer shows them, and made what a network takes.

use crate::encoded::Encoded;
use crate::frame::{Pixels, middle};
use crate::reduced;
use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader};
use localgrad::data::{ImageShape, Normalize};
use localgrad::maps::slices;
use localgrad::{Error, Result, Tensor, signature};
use std::io::Cursor;
use std::path::Path;

/// The most that a picture's pixels may take, in bytes.
const MOST_PIXEL_BYTES: u64 = 512 << 20;
/// What EXIF data may begin with where they need not.
const EXIF_PREFIX: &[u8] = b"Exif\0\0";
/// The markers of progressive JPEG pictures.
const PROGRESSIVE: [u8; 4] = [0xc2, 0xc6, 0xca, 0xce];
/// What a decoder takes whatever the size of the picture, such as its tables.
const DECODER_BYTES: usize = 512 << 10;
/// Where the chunks of a PNG file begin, in bytes.
const PNG_SIGNATURE_BYTES: usize = 8;
/// Where those of a WebP file begin.
const WEBP_HEADER_BYTES: usize = 12;

/// The picture in a file, as [`tensor`] gives it.
///
/// # Errors
/// Those of reading the file and of [`tensor`].
pub fn read(path: &Path, input: [usize; 3], normalize: &Normalize) -> Result<Tensor> {
    let encoded = Encoded::File(path.to_path_buf());
    tensor(&encoded.bytes()?, input, normalize).map_err(|cause| cause.at(path.display()))
}

/// The middle of the picture in the bytes of a file, as large as a network takes it (`input`: channels, height, width), and
/// normalised.
///
/// # Shapes
/// The result is `[1, H, W, C]`.
///
/// # Errors
/// Those of [`decode`], and a sentence for a network that takes no pictures.
pub fn tensor(bytes: &[u8], input: [usize; 3], normalize: &Normalize) -> Result<Tensor> {
    let [channels, height, width] = input;
    let seen = seen(bytes, ImageShape { channels, height, width })?;
    let mut values: Vec<f32> = seen.iter().map(|&byte| f32::from(byte) / 255.0).collect();
    normalize.check(channels)?;
    normalize.apply(&mut values);
    slices::tensor(values, (1, height, width, channels))
}

/// What a network that takes `shape` sees of the picture in the bytes of a file: `[H, W, C]`.
///
/// # Errors
/// Those of [`decode`] and [`Pixels::seen`].
pub fn seen(bytes: &[u8], shape: ImageShape) -> Result<Vec<u8>> {
    pixels(bytes, shape.channels, |sides| of_middle(sides, shape))?.pixels.seen(shape)
}

/// How many pixels of a picture of such sides may become one where its middle is seen; see [`reduced::factor`].
pub(crate) fn of_middle(sides: [usize; 2], shape: ImageShape) -> usize {
    if sides.contains(&0) {
        return 1;
    }
    let (rows, columns) = middle(sides.into(), (shape.height, shape.width));
    reduced::factor(sides, sides, [rows.to, columns.to])
}

/// The pixels of a file's picture, and how many bytes all of them take as its decoder gives them.
pub(crate) struct Decoded {
    pub(crate) pixels: Pixels,
    pub(crate) whole_bytes: usize,
}

/// The pixels of a file's picture in so many channels. A large JPEG picture may have fewer: `factor` is told the height and
/// width of each picture, as it is shown, and says how many of its pixels may become one, each way.
///
/// # Errors
/// Those of [`decode`] and [`Pixels::of`].
pub(crate) fn pixels(
    bytes: &[u8],
    channels: usize,
    factor: impl FnOnce([usize; 2]) -> usize,
) -> Result<Decoded> {
    let (picture, factor, whole_bytes) = decoded(bytes, MOST_PIXEL_BYTES, factor).map_err(Error::format)?;
    Ok(Decoded { pixels: Pixels::of_reduced(picture, factor, channels)?, whole_bytes })
}

/// The picture in the bytes of a JPEG, PNG, WebP, BMP or GIF file (of an animation the first frame), turned as its EXIF data
/// say.
///
/// # Errors
/// A sentence for what is no such file or not the whole of one.
pub fn decode(bytes: &[u8]) -> std::result::Result<DynamicImage, String> {
    decode_within(bytes, MOST_PIXEL_BYTES)
}

/// The same of pictures whose pixels take at most so many bytes.
///
/// # Errors
/// As for [`decode`], and one for larger pictures.
pub fn decode_within(bytes: &[u8], most_bytes: u64) -> std::result::Result<DynamicImage, String> {
    decoded(bytes, most_bytes, |_| 1).map(|(picture, ..)| picture)
}

/// The picture, how many of its own pixels became one each way, and how many bytes its decoder gives of all of them.
fn decoded(
    bytes: &[u8],
    most_bytes: u64,
    factor: impl FnOnce([usize; 2]) -> usize,
) -> std::result::Result<(DynamicImage, usize, usize), String> {
    let (mut decoder, format) = whole(bytes)?;
    let exif = match format {
        ImageFormat::Png => png_chunk(bytes, b"eXIf").map(<[u8]>::to_vec),
        // The decoder would ask for as much memory as the chunk says it has.
        ImageFormat::WebP => webp_exif(bytes).map(<[u8]>::to_vec),
        _ => decoder.exif_metadata().ok().flatten(),
    };
    let (width, height) = decoder.dimensions();
    let whole_bytes = decoder.total_bytes();
    if whole_bytes > most_bytes {
        return Err(format!("the picture of {width}x{height} pixels is too large"));
    }
    let orientation = exif
        .and_then(|exif| Orientation::from_exif_chunk(exif.strip_prefix(EXIF_PREFIX).unwrap_or(&exif)))
        .unwrap_or(Orientation::NoTransforms);
    let mut factor = factor(shown([height as usize, width as usize], orientation));
    let smaller = match format {
        ImageFormat::Jpeg if factor > 1 => reduced::decode(bytes, factor, most_bytes),
        _ => None,
    };
    let mut picture = match smaller {
        Some(picture) => picture,
        None => {
            factor = 1;
            DynamicImage::from_decoder(decoder).map_err(broken)?
        }
    };
    picture.apply_orientation(orientation);
    Ok((picture, factor, usize::try_from(whole_bytes).unwrap_or(usize::MAX)))
}

/// Height and width of a picture once it is turned.
fn shown([height, width]: [usize; 2], orientation: Orientation) -> [usize; 2] {
    match orientation {
        Orientation::Rotate90
        | Orientation::Rotate270
        | Orientation::Rotate90FlipH
        | Orientation::Rotate270FlipH => [width, height],
        _ => [height, width],
    }
}

fn broken(cause: image::ImageError) -> String {
    format!("not a whole picture: {cause}")
}

/// A decoder of a file that has its end, and its format.
fn whole(bytes: &[u8]) -> std::result::Result<(impl ImageDecoder + '_, ImageFormat), String> {
    use ImageFormat::{Bmp, Gif, Jpeg, Png, WebP};
    let format = match image::guess_format(bytes) {
        Ok(format @ (Jpeg | Png | WebP | Bmp | Gif)) => format,
        _ => return Err(format!("this is {}, not a JPEG, PNG, WebP, BMP or GIF picture", kind(bytes))),
    };
    let whole = match format {
        ImageFormat::Jpeg => jpeg_has_its_end(bytes),
        ImageFormat::WebP => webp_has_its_end(bytes),
        // The decoder is content once it has all pixels.
        ImageFormat::Png => png_chunk(bytes, b"IEND").is_some(),
        // The decoder tells.
        _ => true,
    };
    if !whole {
        return Err("the picture is cut off: the file ends before it does; get the whole file".into());
    }
    let decoder = ImageReader::with_format(Cursor::new(bytes), format).into_decoder().map_err(broken)?;
    Ok((decoder, format))
}

/// What a file that cannot be read is, by its first bytes.
fn kind(bytes: &[u8]) -> &'static str {
    match bytes {
        [] => "an empty file",
        [_, _, _, _, _, _, 0, 0, b'{', ..] => "a safetensors file",
        [b'I', b'I', 42, 0, ..] | [b'M', b'M', 0, 42, ..] => "a TIFF picture or a camera's raw file",
        [_, _, _, _, b'f', b't', b'y', b'p', brand @ ..] if brand.starts_with(b"avi") => "an AVIF picture",
        [_, _, _, _, b'f', b't', b'y', b'p', ..] => "a HEIC picture or a video",
        [b'<', ..] => "a web page or an SVG drawing",
        [b'%', b'P', b'D', b'F', ..] => "a PDF document",
        _ => signature::what(bytes).unwrap_or("something else"),
    }
}

/// The most memory that decoding takes at any moment, in bytes, until `Pixels` of it are resized: of a picture that takes
/// `pixel_bytes` as it was decoded, or as a network takes it if that is more.
pub(crate) fn decoding_bytes(bytes: &[u8], pixel_bytes: usize) -> usize {
    let copies = match image::guess_format(bytes) {
        // As it was decoded, and turned, in other channels or cut; before that every coefficient in 16 bits.
        Ok(ImageFormat::Jpeg) if jpeg_markers(bytes).any(|marker| PROGRESSIVE.contains(&marker)) => 4,
        Ok(ImageFormat::Jpeg | ImageFormat::Png | ImageFormat::Bmp) => 2,
        // Besides these a frame, or what a picture is predicted from.
        _ => 3,
    };
    // The file, and the decoder's copy of it.
    let files = bytes.len().saturating_mul(2);
    pixel_bytes.saturating_mul(copies).saturating_add(files).saturating_add(DECODER_BYTES)
}

/// Whether the marker that ends a JPEG picture is there.
fn jpeg_has_its_end(bytes: &[u8]) -> bool {
    const END: u8 = 0xd9;
    jpeg_markers(bytes).any(|marker| marker == END)
}

/// The markers of a JPEG picture: each segment is passed over by its length (that of EXIF data may hold a picture of its own),
/// and what follows the beginning of a scan byte by byte.
fn jpeg_markers(bytes: &[u8]) -> impl Iterator<Item = u8> {
    let mut rest = bytes.get(2..).unwrap_or_default();
    std::iter::from_fn(move || {
        // Whatever is no marker is passed over, as decoders do; a zero after 0xff stands for data.
        let at = rest.windows(2).position(|pair| pair[0] == 0xff && !matches!(pair[1], 0 | 0xff))?;
        let marker = rest[at + 1];
        rest = &rest[at + 2..];
        // The end, restarts and the like stand alone.
        if !matches!(marker, 0x01 | 0xd0..=0xd9) {
            let length = rest.first_chunk().map(|bytes| usize::from(u16::from_be_bytes(*bytes)));
            rest = length.and_then(|length| rest.get(length.max(2)..)).unwrap_or_default();
        }
        Some(marker)
    })
}

/// Whether a WebP file is as long as it says.
fn webp_has_its_end(bytes: &[u8]) -> bool {
    let said = bytes.get(4..8).and_then(|length| length.first_chunk::<4>());
    said.is_some_and(|said| u64::from(u32::from_le_bytes(*said)) + 8 <= bytes.len() as u64)
}

/// The EXIF data of a WebP file.
fn webp_exif(bytes: &[u8]) -> Option<&[u8]> {
    let mut rest = bytes.get(WEBP_HEADER_BYTES..)?;
    loop {
        let (kind, length) = (rest.get(..4)?, rest.get(4..8)?.first_chunk::<4>()?);
        let length = u32::from_le_bytes(*length) as usize;
        let content = rest.get(8..)?.get(..length)?;
        if kind == b"EXIF" {
            return Some(content);
        }
        // Each chunk begins at an even place.
        rest = rest.get(8..)?.get(length.next_multiple_of(2)..)?;
    }
}

/// What the first chunk of this kind in a PNG file holds, if it is whole; EXIF data may stand before or behind the pixels.
fn png_chunk<'a>(bytes: &'a [u8], wanted: &[u8; 4]) -> Option<&'a [u8]> {
    let mut rest = bytes.get(PNG_SIGNATURE_BYTES..)?;
    loop {
        let (length, kind) = (rest.first_chunk::<4>()?, rest.get(4..8)?);
        let length = u32::from_be_bytes(*length) as usize;
        let content = rest.get(8..)?.get(..length)?;
        // A checksum follows.
        rest = rest.get(8..)?.get(length..)?.get(4..)?;
        if kind == wanted {
            return Some(content);
        }
    }
}
