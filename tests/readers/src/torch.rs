//! Any bytes as a PyTorch file of weights.

use localgrad::weights;
use localgrad_data::torch::TorchFile;

/// Must hold of any bytes.
pub fn check(data: &[u8]) {
    let path = std::env::temp_dir().join(format!("localgrad-readers-{}.pth", std::process::id()));
    std::fs::write(&path, data).expect("a file to write");
    if let Ok(file) = TorchFile::open(&path) {
        let names = file.listed().len();
        assert!(names > 0 || file.words().is_some());
        if let Ok(bytes) = file.safetensors(&|_| true) {
            // Some numbers may be many, of which a few are no matter.
            assert!(bytes.len() <= (4 * data.len()).max(1 << 20) + 64 * data.len());
            let _ = weights::from_bytes(&bytes, "fuzzed", |name| Some(name.to_string()));
        }
    }
    std::fs::remove_file(&path).expect("a file to remove");
}
