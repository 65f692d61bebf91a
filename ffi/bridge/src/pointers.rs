//! Reads what the caller's pointers point to, after all that can be checked was checked.

use crate::status::{Fault, Outcome};
use std::ffi::c_char;

/// The longest text that is read, but for networks.
pub(crate) const LONGEST_TEXT_BYTES: usize = 4096;

/// Refuses a null or misaligned pointer.
pub(crate) fn check<T>(pointer: *const T, name: &str) -> Outcome<()> {
    if pointer.is_null() {
        return Err(Fault::argument(format!("{name} is NULL")));
    }
    if !pointer.is_aligned() {
        return Err(Fault::argument(format!(
            "{name} is not aligned: its address must be a multiple of {}",
            align_of::<T>()
        )));
    }
    Ok(())
}

/// Writes a result.
///
/// # Safety
/// `pointer` is null, or can be written to if it is aligned.
pub(crate) unsafe fn write<T>(pointer: *mut T, value: T, name: &str) -> Outcome<()> {
    check(pointer, name)?;
    // SAFETY: neither null nor misaligned; the caller promises the rest.
    unsafe { pointer.write(value) };
    Ok(())
}

/// `count` elements that the caller lends.
///
/// # Safety
/// `pointer` is null, or has `count` elements that stay as they are for as long as the result is used.
pub(crate) unsafe fn slice<'a, T>(pointer: *const T, count: usize, name: &str) -> Outcome<&'a [T]> {
    check_elements::<T>(pointer, count, name)?;
    if count == 0 {
        return Ok(&[]);
    }
    // SAFETY: not null, aligned, not larger than memory can be; the caller promises the rest.
    Ok(unsafe { std::slice::from_raw_parts(pointer, count) })
}

/// Writes `values` one behind the other.
///
/// # Safety
/// `pointer` is null, or has room for as many values.
pub(crate) unsafe fn store<T: Copy>(values: &[T], pointer: *mut T, name: &str) -> Outcome<()> {
    check_elements::<T>(pointer, values.len(), name)?;
    if !values.is_empty() {
        // SAFETY: not null and aligned; the caller promises the room, and what is his is not ours.
        unsafe { std::ptr::copy_nonoverlapping(values.as_ptr(), pointer, values.len()) };
    }
    Ok(())
}

/// `count` bytes to be written to; zeroed, because the caller's need not be initialised.
///
/// # Safety
/// `pointer` is null, or has `count` bytes that nobody else uses for as long as the result is used.
pub(crate) unsafe fn bytes_mut<'a>(pointer: *mut u8, count: usize, name: &str) -> Outcome<&'a mut [u8]> {
    // SAFETY: the caller's promise is the same, and zero is a byte.
    unsafe { zeroed(pointer, count, name) }
}

/// The same of floats.
///
/// # Safety
/// As [`bytes_mut`].
pub(crate) unsafe fn floats_mut<'a>(pointer: *mut f32, count: usize, name: &str) -> Outcome<&'a mut [f32]> {
    // SAFETY: the caller's promise is the same, and zeros are a float.
    unsafe { zeroed(pointer, count, name) }
}

/// # Safety
/// As [`bytes_mut`], and zeros are a `T`.
unsafe fn zeroed<'a, T>(pointer: *mut T, count: usize, name: &str) -> Outcome<&'a mut [T]> {
    check_elements::<T>(pointer, count, name)?;
    if count == 0 {
        return Ok(&mut []);
    }
    // SAFETY: not null, aligned, not larger than memory can be; the caller promises the elements, and that zeros are such.
    unsafe {
        pointer.write_bytes(0, count);
        Ok(std::slice::from_raw_parts_mut(pointer, count))
    }
}

fn check_elements<T>(pointer: *const T, count: usize, name: &str) -> Outcome<()> {
    if count == 0 {
        return Ok(());
    }
    check(pointer, name)?;
    match count.checked_mul(size_of::<T>()) {
        Some(bytes) if bytes <= isize::MAX as usize => Ok(()),
        _ => Err(Fault::argument(format!("{name} has {count} elements, more than memory can hold"))),
    }
}

/// A text in UTF-8 that ends in a zero byte.
///
/// # Safety
/// `pointer` is null, or has bytes up to and with a zero that stay as they are for as long as the result is used.
pub(crate) unsafe fn text<'a>(pointer: *const c_char, name: &str, longest: usize) -> Outcome<&'a str> {
    check(pointer, name)?;
    let mut length = 0;
    // SAFETY: no byte before this one was zero, so the caller promises that it is there.
    while unsafe { pointer.add(length).read() } != 0 {
        length += 1;
        if length > longest {
            return Err(Fault::argument(format!(
                "{name} is longer than {longest} bytes, or its end is missing"
            )));
        }
    }
    // SAFETY: these bytes were just read.
    let bytes = unsafe { std::slice::from_raw_parts(pointer.cast::<u8>(), length) };
    std::str::from_utf8(bytes).map_err(|_| Fault::argument(format!("{name} is not UTF-8")))
}

/// The same where NULL means that nothing is said.
///
/// # Safety
/// As [`text`].
pub(crate) unsafe fn optional_text<'a>(pointer: *const c_char, name: &str) -> Outcome<Option<&'a str>> {
    match pointer.is_null() {
        true => Ok(None),
        // SAFETY: the caller's promise is the same.
        false => unsafe { text(pointer, name, LONGEST_TEXT_BYTES) }.map(Some),
    }
}

/// A struct of the header that says its own size, so that it can grow.
///
/// # Safety
/// It is `repr(C)`, begins with `struct_size: usize`, and any bytes are a value of it.
pub unsafe trait Versioned: Copy {
    /// Its name in the header.
    const NAME: &'static str;
    /// Its size in the first release.
    const FIRST_BYTES: usize;

    /// What `lg_…_init` gives.
    fn initial() -> Self;

    /// The field.
    fn size_field(&mut self) -> &mut usize;
}

/// Refuses sizes that no release of the header knew.
fn check_size<T: Versioned>(bytes: usize) -> Outcome<()> {
    if (T::FIRST_BYTES..=size_of::<T>()).contains(&bytes) {
        return Ok(());
    }
    Err(Fault::argument(format!(
        "{0}.struct_size is {bytes}, and this library knows {1} to {2}; set it to sizeof({0}), and use the header \
         of this library or of an older one",
        T::NAME,
        T::FIRST_BYTES,
        size_of::<T>()
    )))
}

/// Reads a struct; fields that the caller's header does not have are as `lg_…_init` gives them.
///
/// # Safety
/// `pointer` is null, or has as many bytes as its first field says.
pub(crate) unsafe fn read_struct<T: Versioned>(pointer: *const T, name: &str) -> Outcome<T> {
    check(pointer, name)?;
    // SAFETY: not null and aligned; the caller promises at least the first field.
    let bytes = unsafe { pointer.cast::<usize>().read() };
    check_size::<T>(bytes)?;
    let mut value = T::initial();
    // SAFETY: the caller promises `bytes` bytes to read; they are no more than `value` has, and any bytes are a value.
    unsafe { std::ptr::copy_nonoverlapping(pointer.cast::<u8>(), (&raw mut value).cast::<u8>(), bytes) };
    Ok(value)
}

/// Writes a result into a struct whose first field says how much of it the caller's header has.
///
/// # Safety
/// `pointer` is null, or has as many bytes to write to as its first field says.
pub(crate) unsafe fn write_struct<T: Versioned>(pointer: *mut T, mut value: T, name: &str) -> Outcome<()> {
    check(pointer, name)?;
    // SAFETY: not null and aligned; the caller promises at least the first field.
    let bytes = unsafe { pointer.cast::<usize>().read() };
    check_size::<T>(bytes)?;
    *value.size_field() = bytes;
    // SAFETY: the caller promises `bytes` bytes to write to, and `value` has no fewer.
    unsafe { std::ptr::copy_nonoverlapping((&raw const value).cast::<u8>(), pointer.cast::<u8>(), bytes) };
    Ok(())
}

/// Fills in a struct of `bytes` bytes.
///
/// # Safety
/// `pointer` is null, or has `bytes` bytes to write to.
pub(crate) unsafe fn init_struct<T: Versioned>(pointer: *mut T, bytes: usize) -> Outcome<()> {
    check(pointer, T::NAME)?;
    check_size::<T>(bytes)?;
    // SAFETY: not null and aligned; the caller promises `bytes` bytes, of which the first field is some.
    unsafe { pointer.cast::<usize>().write(bytes) };
    // SAFETY: as the caller promises, and the first field was just set.
    unsafe { write_struct(pointer, T::initial(), T::NAME) }
}

/// Writes `bytes` into the caller's buffer, with how many there are whether they fit or not.
///
/// # Safety
/// `buffer` is null or has `capacity` bytes; `needed` is null or can be written to.
pub(crate) unsafe fn fill(
    bytes: &[u8],
    buffer: *mut c_char,
    capacity: usize,
    needed: *mut usize,
) -> Outcome<()> {
    // SAFETY: the caller's promise is the same.
    unsafe { write(needed, bytes.len(), "needed") }?;
    if buffer.is_null() && capacity == 0 {
        return Ok(());
    }
    // SAFETY: the caller's promise is the same; bytes need no initialisation to be overwritten.
    check_elements::<c_char>(buffer, capacity, "buffer")?;
    if bytes.len() > capacity {
        return Err(too_small(bytes.len(), capacity));
    }
    // SAFETY: the caller promises `capacity` bytes, and no more are written.
    unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), buffer.cast::<u8>(), bytes.len()) };
    Ok(())
}

pub(crate) fn too_small(needed: usize, capacity: usize) -> Fault {
    Fault::new(
        crate::status::lg_status::Buffer,
        format!("the buffer has room for {capacity}, and {needed} are needed"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pointers_are_checked() {
        let numbers = [1u32, 2, 3];
        let start = numbers.as_ptr();
        // SAFETY: what is read exists; all else is refused before it is read.
        unsafe {
            assert_eq!(slice(start, 3, "x").unwrap(), numbers);
            assert!(slice(start.byte_add(1), 2, "x").unwrap_err().message.contains("aligned"));
            assert!(slice(std::ptr::null::<u32>(), 1, "x").unwrap_err().message.contains("NULL"));
            assert!(slice(start, usize::MAX / 2, "x").unwrap_err().message.contains("memory"));
            assert!(slice(std::ptr::null::<u32>(), 0, "x").unwrap().is_empty());
            assert_eq!(text(c"héllo".as_ptr(), "x", 10).unwrap(), "héllo");
            assert!(text(c"hello".as_ptr(), "x", 4).unwrap_err().message.contains("longer"));
            assert!(text(c"\xff".as_ptr(), "x", 4).unwrap_err().message.contains("UTF-8"));
        }
    }
}
