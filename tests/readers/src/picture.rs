//! Any bytes as a picture, and a part of them: whole and turned, or refused.

use localgrad::data::Normalize;
use localgrad_data::{picture, reduced};

/// Small enough to be decoded in no time, whatever the headers promise.
const MOST_BYTES: u64 = 4 << 20;

/// Must hold of any bytes.
pub fn check(data: &[u8]) {
    let Some((cut, bytes)) = data.split_first_chunk::<2>() else { return };
    let part = &bytes[..usize::from(u16::from_le_bytes(*cut)).min(bytes.len())];
    for bytes in [bytes, part] {
        for factor in [1, 2, 4, 8] {
            let Some(picture) = reduced::decode(bytes, factor, MOST_BYTES) else { continue };
            assert!(picture.width() > 0 && picture.height() > 0);
        }
        let Ok(picture) = picture::decode_within(bytes, MOST_BYTES) else { continue };
        assert!(picture.width() > 0 && picture.height() > 0);
        let is_jpeg = bytes.starts_with(&[0xff, 0xd8]);
        assert!(!is_jpeg || bytes.windows(2).any(|pair| pair == [0xff, 0xd9]), "a JPEG without its end");
        for channels in [1, 3] {
            let normalize = Normalize::half(channels);
            let tensor = picture::tensor(bytes, [channels, 5, 4], &normalize).expect("it was decoded");
            assert_eq!(tensor.dims(), [1, 5, 4, channels]);
            let numbers = tensor.flatten_all().and_then(|all| all.to_vec1::<f32>()).expect("they are floats");
            assert!(numbers.iter().all(|number| number.abs() <= 1.0));
        }
    }
}
