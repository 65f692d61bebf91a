//! Any bytes as a checkpoint's journal, as they are and cut into records with the checksums that they would need.

use localgrad::checkpoint::journal::{history, scan};
use localgrad::checkpoint::manifest::Extent;

fn read(mut file: &[u8]) {
    let length = file.len() as u64;
    let mut records = Vec::new();
    if let Ok(found) = scan(&mut file, Extent::default(), &mut |record| records.push(record)) {
        assert!(found.extent.bytes <= length);
    }
    history(records);
}

/// Must hold of any bytes.
pub fn check(data: &[u8]) {
    read(data);
    framed(1, data);
    framed(2, data);
}

/// Bytes as records of a journal of this version.
fn framed(version: u32, data: &[u8]) {
    let mut file = b"LGCKjour".to_vec();
    file.extend(version.to_le_bytes());
    file.extend(crc32fast::hash(&file).to_le_bytes());
    let mut rest = data;
    while let Some((&length, after)) = rest.split_first() {
        let (payload, after) = after.split_at(after.len().min(length.into()));
        let mut frame = (payload.len() as u32).to_le_bytes().to_vec();
        frame.extend(payload);
        let checksum = crc32fast::hash(&frame);
        file.extend((payload.len() as u32).to_le_bytes());
        file.extend(checksum.to_le_bytes());
        file.extend(payload);
        rest = after;
    }
    read(&file);
}
