//! Any bytes as an archive, whatever is in it.

use localgrad_data::archive::{Archive, Want};
use localgrad_data::open::{look, numbers};
use localgrad_data::{Found, Part};

/// Must hold of any bytes.
pub fn check(data: &[u8]) {
    // Archives are read from files, where their parts are found again.
    for ending in ["archive", "npz"] {
        let path = std::env::temp_dir().join(format!("localgrad-readers-{}.{ending}", std::process::id()));
        std::fs::write(&path, data).expect("a file to write");
        match look(&path) {
            Ok(Found::Pictures(collection)) => {
                let whole = collection.whole();
                assert!(whole.items.iter().all(|item| (item.label as usize) < whole.class_names.len()));
            }
            Ok(Found::Numbers) => drop(numbers(&path, Part::Train)),
            Err(_) => {}
        }
        if let Ok(archive) = Archive::open(&path, &|_| Want::Place) {
            archive.files.values().for_each(|file| drop(file.bytes()));
        }
        std::fs::remove_file(&path).expect("a file to remove");
    }
}
