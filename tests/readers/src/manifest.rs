//! Any bytes as a checkpoint's manifest, as they are and with the checksums that they would need.

use localgrad::checkpoint::Manifest;

const HEADER_BYTES: usize = 28;

fn read(file: &[u8]) {
    let Ok(manifest) = Manifest::decode(file) else { return };
    for generation in &manifest.generations {
        let _ = generation.progress.check(generation.blocks.len(), 100);
        for (block, entry) in generation.blocks.iter().enumerate() {
            assert!(!entry.file_name(block).contains(['/', '\\']));
        }
    }
    let _ = manifest.configuration.check_same(&manifest.configuration);
    let again = manifest.encode().expect("what was read can be written");
    Manifest::decode(&again).expect("what was written can be read");
}

/// Must hold of any bytes.
pub fn check(data: &[u8]) {
    read(data);
    if data.len() < HEADER_BYTES {
        return;
    }
    let mut file = data.to_vec();
    file[..8].copy_from_slice(b"LGCKmani");
    file[8..12].copy_from_slice(&1u32.to_le_bytes());
    file[12..20].copy_from_slice(&((data.len() - HEADER_BYTES) as u64).to_le_bytes());
    let payload = crc32fast::hash(&file[HEADER_BYTES..]);
    file[20..24].copy_from_slice(&payload.to_le_bytes());
    let header = crc32fast::hash(&file[..24]);
    file[24..28].copy_from_slice(&header.to_le_bytes());
    read(&file);
}
