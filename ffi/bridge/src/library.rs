//! What the library is: its version, how it was built, and the devices it can use.

use crate::error::lg_error;
use crate::guard;
use crate::pointers::{self, Versioned};
use crate::status::{Fault, lg_status};
use localgrad_runtime::device::{self, DeviceInfo};
use localgrad_runtime::kernels::simd::Isa;
use localgrad_runtime::memory;
use std::ffi::{CString, c_char};
use std::sync::OnceLock;

/// The version of the library, such as "0.1.0". The text lives as long as the library. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn lg_version() -> *const c_char {
    const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), "\0");
    VERSION.as_ptr().cast()
}

/// How the library was built and what it found: target, kinds of devices and other features, vector instructions in use,
/// and what it was built without, such as "x86_64-linux cpu pooled-memory simd=Avx2 release; without cuda, metal". The
/// text lives as long as the library. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn lg_build_options() -> *const c_char {
    static OPTIONS: OnceLock<CString> = OnceLock::new();
    let mut text = c"unknown".as_ptr();
    guard::quiet(|| {
        let options = OPTIONS.get_or_init(|| CString::new(build_options()).unwrap_or_default());
        text = options.as_ptr();
    });
    text
}

fn build_options() -> String {
    let features = [
        ("cuda", cfg!(feature = "cuda")),
        ("metal", cfg!(feature = "metal")),
        ("pooled-memory", cfg!(feature = "pooled-memory")),
    ];
    let named = |wanted: bool, between: &str| {
        let names = features.iter().filter(|(_, built)| *built == wanted).map(|(name, _)| *name);
        names.collect::<Vec<_>>().join(between)
    };
    let (with, without) = (named(true, " "), named(false, ", "));
    let kind = if cfg!(debug_assertions) { "debug" } else { "release" };
    let (arch, system) = (std::env::consts::ARCH, std::env::consts::OS);
    let with = if with.is_empty() { with } else { format!(" {with}") };
    let without = if without.is_empty() { without } else { format!("; without {without}") };
    format!("{arch}-{system} cpu{with} simd={:?} {kind}{without}", Isa::best())
}

/// A device that this build knows.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct lg_device {
    /// sizeof(lg_device), set by the caller.
    pub struct_size: usize,
    /// 1 if it can be used.
    pub available: i32,
    /// What lg_trainer_config.device takes: "cpu", "cuda", "metal".
    pub name: [c_char; 32],
    /// What it is, or why it cannot be used; cut where it is longer.
    pub description: [c_char; 160],
}

// SAFETY: repr(C), the size is first, and numbers take any bytes.
unsafe impl Versioned for lg_device {
    const NAME: &'static str = "lg_device";
    const FIRST_BYTES: usize = size_of::<lg_device>();

    fn initial() -> Self {
        Self { struct_size: size_of::<Self>(), available: 0, name: [0; 32], description: [0; 160] }
    }

    fn size_field(&mut self) -> &mut usize {
        &mut self.struct_size
    }
}

/// A text in an array of this size: cut between two characters where it is too long, ended by a zero byte.
pub(crate) fn fixed_text<const N: usize>(text: &str) -> [c_char; N] {
    let mut end = text.len().min(N.saturating_sub(1));
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let mut array = [0; N];
    for (place, byte) in array.iter_mut().zip(&text.as_bytes()[..end]) {
        *place = *byte as c_char;
    }
    array
}

/// Writes the number of kinds of devices, usable or not. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lg_device_count(count: *mut usize, error: *mut lg_error) -> lg_status {
    // SAFETY: the caller promises that the pointer is what the header says.
    guard::call(error, || unsafe { pointers::write(count, device::list().len(), "count") })
}

/// Describes device `index`, from 0. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lg_device_get(
    index: usize,
    device: *mut lg_device,
    error: *mut lg_error,
) -> lg_status {
    guard::call(error, || {
        let devices = device::list();
        let DeviceInfo { name, description, available } = devices.get(index).ok_or_else(|| {
            Fault::argument(format!("there are {} devices, and no number {index}", devices.len()))
        })?;
        let found = lg_device {
            struct_size: size_of::<lg_device>(),
            available: i32::from(*available),
            name: fixed_text(name),
            description: fixed_text(description),
        };
        // SAFETY: the caller promises that the pointer is what the header says.
        unsafe { pointers::write_struct(device, found, "device") }
    })
}

/// Writes how many bytes the library has in use now, on the host, and the most that were in use at one time since the
/// process began or since lg_memory_reset_peak; either pointer may be NULL. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lg_memory(
    live_bytes: *mut usize,
    peak_bytes: *mut usize,
    error: *mut lg_error,
) -> lg_status {
    guard::call(error, || {
        for (pointer, bytes, name) in
            [(live_bytes, memory::live(), "live_bytes"), (peak_bytes, memory::peak(), "peak_bytes")]
        {
            if !pointer.is_null() {
                // SAFETY: the caller promises that the pointer is what the header says.
                unsafe { pointers::write(pointer, bytes, name) }?;
            }
        }
        Ok(())
    })
}

/// Lets the peak begin again at what is in use now. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn lg_memory_reset_peak() {
    guard::quiet(memory::reset_peak);
}
