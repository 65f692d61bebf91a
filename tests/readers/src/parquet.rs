//! Any bytes as a Parquet file of pictures.

use localgrad_data::Found;
use localgrad_data::open::look;

/// Must hold of any bytes.
pub fn check(data: &[u8]) {
    let path = std::env::temp_dir().join(format!("localgrad-readers-{}.parquet", std::process::id()));
    std::fs::write(&path, data).expect("a file to write");
    if let Ok(Found::Pictures(collection)) = look(&path) {
        let whole = collection.whole();
        let outputs = whole.class_names.len();
        for item in &whole.items {
            assert!((item.label as usize) < outputs && (item.row.is_empty() || item.row.len() == outputs));
        }
    }
    std::fs::remove_file(&path).expect("a file to remove");
}
