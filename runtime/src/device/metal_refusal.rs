//! What Metal says of work that did not end, as a kind and a sentence.

use crate::error::{Error, ErrorKind};

/// What it calls work that was handed in while the app was in the background, and memory that is not there.
const BACKGROUND: &str = "BackgroundExecutionNotPermitted";
const OUT_OF_MEMORY: &str = "OutOfMemory";

/// The error of the device `name`, whose driver `said` so of what it was handed.
pub(super) fn of_work(name: &str, said: &str) -> Error {
    let (kind, what) = if said.contains(BACKGROUND) {
        let why = "may not be used in the background: go on from the last checkpoint when the app is in front \
                   again, or train on the CPU";
        (ErrorKind::Device, why.to_owned())
    } else if said.contains(OUT_OF_MEMORY) {
        let why = "has no room for what a step needs; take a smaller batch, micro-batches or a memory budget";
        (ErrorKind::Memory, why.to_owned())
    } else {
        (ErrorKind::Device, format!("did not end its work: {said}"))
    };
    Error::new(kind, format!("{name} {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn background_and_memory_are_told_from_other_faults() {
        let background = "Insufficient Permission (to submit GPU work from background) \
                          (00000006:kIOGPUCommandBufferCallbackErrorBackgroundExecutionNotPermitted)";
        let memory = "Insufficient Memory (00000008:kIOGPUCommandBufferCallbackErrorOutOfMemory)";
        let other = "Caused GPU Hang Error (00000003:kIOGPUCommandBufferCallbackErrorHang)";
        let [background, memory, other] = [background, memory, other].map(|said| of_work("Apple A18", said));
        assert_eq!(background.kind(), ErrorKind::Device);
        assert!(background.to_string().contains("in front again"), "{background}");
        assert_eq!(memory.kind(), ErrorKind::Memory);
        assert!(memory.to_string().contains("smaller batch"), "{memory}");
        assert_eq!(other.kind(), ErrorKind::Device);
        assert!(other.to_string().contains("Hang"), "{other}");
    }
}
