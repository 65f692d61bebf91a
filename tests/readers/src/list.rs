//! Any bytes as a table of pictures and as JSON lines of them.

use localgrad_data::list::rows_of;

/// Must hold of any bytes.
pub fn check(data: &[u8]) {
    for is_json in [false, true] {
        for row in rows_of(data, is_json).unwrap_or_default().rows {
            assert!(is_json || !row.path.is_empty());
        }
    }
}
