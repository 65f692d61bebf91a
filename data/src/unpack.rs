//! What Parquet's pages are packed by: whole pages by general methods, small numbers in runs and groups.

use crate::images::check_fits;
use ::parquet::basic::Compression;
use flate2::read::MultiGzDecoder;
use ruzstd::decoding::StreamingDecoder;
use std::borrow::Cow;
use std::io::Read;

/// A page unpacked, at most: far more than pages are written of.
const MOST_BYTES: u64 = 1 << 30;
/// No byte that snappy packs stands for more.
const MOST_OF_SNAPPY: usize = 64;
pub(crate) const CUT: &str = "a page ends before its values do";

/// The bytes of a page.
///
/// # Errors
/// A sentence for damaged ones and for those that are packed by what is not read here.
pub(crate) fn unpacked(bytes: &[u8], packing: Compression) -> Result<Cow<'_, [u8]>, String> {
    let damaged = |cause: String| format!("a page cannot be unpacked ({cause})");
    // Pages without a value.
    if bytes.is_empty() {
        return Ok(Cow::Borrowed(bytes));
    }
    match packing {
        Compression::UNCOMPRESSED => Ok(Cow::Borrowed(bytes)),
        Compression::SNAPPY => {
            let len = snap::raw::decompress_len(bytes).map_err(|cause| damaged(cause.to_string()))?;
            if len > bytes.len().saturating_mul(MOST_OF_SNAPPY) {
                return Err(damaged(format!("{len} bytes out of {}", bytes.len())));
            }
            check_fits(len, "a page").map_err(|cause| cause.to_string())?;
            let unpacked = snap::raw::Decoder::new().decompress_vec(bytes);
            unpacked.map(Cow::Owned).map_err(|cause| damaged(cause.to_string()))
        }
        Compression::GZIP(_) => whole(MultiGzDecoder::new(bytes)).map(Cow::Owned),
        Compression::ZSTD(_) => {
            let decoder = StreamingDecoder::new(bytes).map_err(|cause| damaged(cause.to_string()))?;
            whole(decoder).map(Cow::Owned)
        }
        other => {
            let name = format!("{other:?}");
            Err(format!(
                "its pages are packed by {}, expected snappy, gzip, zstd or none; in Python, write the table anew: \
                 pyarrow.parquet.write_table(table, FILE)",
                name.split('(').next().unwrap_or_default().to_lowercase()
            ))
        }
    }
}

fn whole(reader: impl Read) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let read = reader.take(MOST_BYTES + 1).read_to_end(&mut bytes);
    read.map_err(|cause| format!("a page cannot be unpacked ({cause})"))?;
    if bytes.len() as u64 > MOST_BYTES {
        return Err(format!("a page of more than {MOST_BYTES} bytes"));
    }
    Ok(bytes)
}

/// So many numbers of `width` bits, in runs of equal ones and groups of eight packed ones.
pub(crate) fn hybrid(mut bytes: &[u8], width: u32, count: usize) -> Option<Vec<u32>> {
    let mut numbers = Vec::new();
    while numbers.len() < count {
        // How many there are, in bytes of 7 bits.
        let mut header: u64 = 0;
        for shift in (0..).step_by(7).take(5) {
            let (&byte, rest) = bytes.split_first()?;
            bytes = rest;
            header |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                break;
            }
        }
        let (run, left) = ((header >> 1) as usize, count - numbers.len());
        if width > u32::BITS || run == 0 {
            return None;
        }
        if header & 1 == 0 {
            let (number, rest) = bytes.split_at_checked(width.div_ceil(8) as usize)?;
            let number = number.iter().rev().fold(0, |number, &byte| number << 8 | u32::from(byte));
            numbers.resize(numbers.len() + run.min(left), number);
            bytes = rest;
        } else {
            let (packed, rest) = bytes.split_at_checked(run.checked_mul(width as usize)?)?;
            let bit = |at: usize| u32::from(packed[at / 8] >> (at % 8) & 1);
            let number = |at: usize| {
                let start = at * width as usize;
                (0..width as usize).fold(0, |number, at| number | bit(start + at) << at)
            };
            numbers.extend((0..run.saturating_mul(8).min(left)).map(number));
            bytes = rest;
        }
    }
    Some(numbers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_and_groups_are_unpacked() {
        // The example of the format: 0 to 7 in 3 bits each.
        assert_eq!(hybrid(&[3, 0x88, 0xc6, 0xfa], 3, 8).unwrap(), [0, 1, 2, 3, 4, 5, 6, 7]);
        assert_eq!(hybrid(&[6, 2, 3, 0x88, 0xc6, 0xfa], 3, 5).unwrap(), [2, 2, 2, 0, 1]);
        assert_eq!(hybrid(&[0x80, 0x02, 0x34, 0x12], 13, 128).unwrap(), vec![0x1234; 128]);
        // No bits are enough where there is one value only.
        assert_eq!(hybrid(&[8], 0, 4).unwrap(), [0; 4]);
        for cut in [&[][..], &[3, 0x88], &[6], &[0], &[1], &[0x80, 0x80, 0x80, 0x80, 0x80, 1]] {
            assert!(hybrid(cut, 3, 8).is_none(), "{cut:?}");
        }
        assert!(hybrid(&[6, 2, 2, 2, 2, 2], 40, 3).is_none());
    }

    #[test]
    fn pages_are_unpacked_or_refused() {
        let page = vec![7_u8; 1000];
        let snappy = snap::raw::Encoder::new().compress_vec(&page).unwrap();
        let level = ruzstd::encoding::CompressionLevel::Fastest;
        let zstd = ruzstd::encoding::compress_to_vec(&page[..], level);
        for (packed, packing) in [
            (page.clone(), Compression::UNCOMPRESSED),
            (snappy, Compression::SNAPPY),
            (zstd, Compression::ZSTD(Default::default())),
        ] {
            assert_eq!(unpacked(&packed, packing).unwrap(), page);
            if packing != Compression::UNCOMPRESSED {
                assert!(unpacked(&packed[..packed.len() / 2], packing).is_err(), "{packing:?}");
            }
        }
        // A length in front that the few bytes behind it cannot have.
        assert!(unpacked(&[0xff, 0xff, 0xff, 0xff, 7, 0, 0], Compression::SNAPPY).is_err());
        assert!(unpacked(&[1, 2, 3], Compression::GZIP(Default::default())).is_err());
        let error = unpacked(&page, Compression::LZ4_RAW).unwrap_err();
        assert!(error.contains("packed by lz4_raw, expected snappy"), "{error}");
    }
}
