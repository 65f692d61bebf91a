//! NVIDIA's management library, which comes with the driver and tells how hot a card is. All contact with it is in this file.

use crate::error::{Error, ErrorKind, Result};
use libloading::Library;
use std::ffi::{CStr, c_char, c_int, c_uint, c_void};

/// Its name, and that of the file where no link names it.
const NAMES: [&str; 2] = ["libnvidia-ml.so.1", "libnvidia-ml.so"];
/// `NVML_TEMPERATURE_GPU`
const OF_THE_GPU: c_int = 0;

type Initialize = unsafe extern "C" fn() -> c_int;
type Find = unsafe extern "C" fn(*const c_char, *mut *mut c_void) -> c_int;
type Measure = unsafe extern "C" fn(*mut c_void, c_int, *mut c_uint) -> c_int;
type Words = unsafe extern "C" fn(c_int) -> *const c_char;

/// The sensor of one card.
#[derive(Debug)]
pub(super) struct Sensor {
    card: *mut c_void,
    measure: Measure,
    words: Words,
    /// Holds the functions, and is never unloaded before them.
    _library: Library,
}

// SAFETY: the library's handles belong to no thread, and its functions may be called by any.
unsafe impl Send for Sensor {}

impl Sensor {
    /// That of the card at this place of the bus, `0000:01:00.0`.
    ///
    /// # Errors
    /// `Device`, with what is missing.
    pub(super) fn open(bus: &CStr) -> Result<Self> {
        // SAFETY: they are NVIDIA's, and do nothing when they are loaded.
        let library = NAMES.into_iter().find_map(|name| unsafe { Library::new(name) }.ok());
        let library = library.ok_or_else(|| {
            refused("NVIDIA's management library, libnvidia-ml.so.1, is not installed".into())
        })?;
        let without =
            |cause: libloading::Error| refused(format!("NVIDIA's management library is not whole: {cause}"));
        // SAFETY: the types are those of `nvml.h` under these names.
        let (initialize, find, measure, words) = unsafe {
            (
                *library.get::<Initialize>(c"nvmlInit_v2").map_err(without)?,
                *library.get::<Find>(c"nvmlDeviceGetHandleByPciBusId_v2").map_err(without)?,
                *library.get::<Measure>(c"nvmlDeviceGetTemperature").map_err(without)?,
                *library.get::<Words>(c"nvmlErrorString").map_err(without)?,
            )
        };
        let mut card = std::ptr::null_mut();
        // SAFETY: it is started before it is asked, counts its users, and writes one handle.
        let found = unsafe {
            match initialize() {
                0 => find(bus.as_ptr(), &raw mut card),
                failed => failed,
            }
        };
        let sensor = Self { card, measure, words, _library: library };
        sensor.checked(found).map(|()| sensor)
    }

    /// How hot it is, in degrees Celsius.
    ///
    /// # Errors
    /// `Device`, with the library's words.
    pub(super) fn celsius(&self) -> Result<f64> {
        let mut celsius = 0;
        // SAFETY: the handle is the library's own, which writes one number.
        let told = unsafe { (self.measure)(self.card, OF_THE_GPU, &raw mut celsius) };
        self.checked(told).map(|()| f64::from(celsius))
    }

    fn checked(&self, told: c_int) -> Result<()> {
        if told == 0 {
            return Ok(());
        }
        // SAFETY: it gives a text that stays for any number.
        let words = unsafe { CStr::from_ptr((self.words)(told)) };
        Err(refused(format!("NVIDIA's management library tells no temperature: {}", words.to_string_lossy())))
    }
}

fn refused(why: String) -> Error {
    Error::new(ErrorKind::Device, why)
}
