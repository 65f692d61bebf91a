//! Why a card cannot be used, in a sentence: what NVIDIA's driver answers, and what the files of the system tell besides.

use std::fs::OpenOptions;
use std::io::ErrorKind;
use std::path::Path;

/// The least version of the driver: that of CUDA 11.0, the first with `cuDevicePrimaryCtxRelease_v2`. The PTX here, of which
/// some is of version 7.0, is as old.
pub(super) const LEAST_VERSION: i32 = 11000;

/// What the driver needs to open: of cards, and of Jetsons.
const NODES: [&str; 6] = [
    "/dev/nvidiactl",
    "/dev/nvidia0",
    "/dev/nvidia-uvm",
    "/dev/nvhost-ctrl-gpu",
    "/dev/nvhost-gpu",
    "/dev/nvmap",
];

/// What the system tells of cards without the driver's library.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct System {
    /// Whether its kernel has the driver.
    pub(super) has_driver: bool,
    /// A file that the driver needs and this user may not open.
    pub(super) closed: Option<&'static str>,
    /// What `CUDA_VISIBLE_DEVICES` says, if it is there.
    pub(super) visible: Option<String>,
}

impl System {
    /// This one.
    pub(super) fn look() -> Self {
        let is_closed = |node: &&str| {
            let opened = OpenOptions::new().read(true).write(true).open(node);
            opened.is_err_and(|cause| cause.kind() == ErrorKind::PermissionDenied)
        };
        Self {
            has_driver: Path::new("/proc/driver/nvidia/version").exists()
                || NODES.iter().any(|node| Path::new(node).exists()),
            closed: NODES.into_iter().find(is_closed),
            visible: std::env::var("CUDA_VISIBLE_DEVICES").ok(),
        }
    }

    /// Why there is no library of the driver's.
    pub(super) fn without_library(&self) -> String {
        match self.has_driver {
            true => "the kernel has NVIDIA's driver, but its library libcuda.so.1 is not found: install the rest of the \
                     driver, or start the container with NVIDIA's runtime"
                .into(),
            false => "NVIDIA's driver is not installed: its library libcuda.so.1 is not found".into(),
        }
    }

    /// Why a driver that is there finds no card, or does not start: it `said` so, with the number `code`.
    pub(super) fn without_card(&self, code: u32, said: &str) -> String {
        match (code, self.closed, &self.visible) {
            (MISMATCH, ..) => {
                "the driver in the kernel and its library are of two versions, as after an update: restart \
                               the machine"
                    .into()
            }
            (_, Some(node), _) => format!(
                "no permission to open {node}: add this user to the group that owns it (often `video` or `render`), and \
                 log in again"
            ),
            (NO_DEVICE, None, Some(visible)) => format!(
                "NVIDIA's driver finds no card; CUDA_VISIBLE_DEVICES is '{visible}', which may hide those that there are"
            ),
            (NO_DEVICE, None, None) => "NVIDIA's driver finds no card".into(),
            _ => format!("NVIDIA's driver does not start: {said} (error {code})"),
        }
    }
}

/// `CUDA_ERROR_NO_DEVICE` and `CUDA_ERROR_SYSTEM_DRIVER_MISMATCH`.
pub(super) const NO_DEVICE: u32 = 100;
const MISMATCH: u32 = 803;

/// Why a driver of this version is of no use, if it is not.
pub(super) fn of_version(version: i32) -> Option<String> {
    let words = |version: i32| format!("{}.{}", version / 1000, version % 1000 / 10);
    (version < LEAST_VERSION).then(|| {
        let (found, least) = (words(version), words(LEAST_VERSION));
        format!(
            "NVIDIA's driver is too old: it is of CUDA {found}, and {least} is the least; install a newer one"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_library_that_is_missing_is_told_from_a_driver_that_is() {
        let bare = System::default();
        let inside_container = System { has_driver: true, ..System::default() };
        assert!(bare.without_library().contains("not installed"));
        assert!(inside_container.without_library().contains("container"));
    }

    #[test]
    fn what_keeps_a_driver_from_its_card_is_named() {
        let bare = System { has_driver: true, ..System::default() };
        let closed = System { closed: Some("/dev/nvmap"), ..bare.clone() };
        let hidden = System { visible: Some("-1".into()), ..bare.clone() };
        assert_eq!(bare.without_card(NO_DEVICE, "no device"), "NVIDIA's driver finds no card");
        assert!(closed.without_card(NO_DEVICE, "no device").contains("no permission to open /dev/nvmap"));
        assert!(hidden.without_card(NO_DEVICE, "no device").contains("CUDA_VISIBLE_DEVICES is '-1'"));
        assert!(closed.without_card(MISMATCH, "mismatch").contains("restart"));
        assert_eq!(bare.without_card(999, "unknown"), "NVIDIA's driver does not start: unknown (error 999)");
    }

    #[test]
    fn a_driver_that_takes_no_ptx_of_ours_is_too_old() {
        assert_eq!(of_version(LEAST_VERSION), None);
        let old = of_version(10020).unwrap();
        assert!(old.contains("CUDA 10.2, and 11.0 is the least"), "{old}");
    }
}
