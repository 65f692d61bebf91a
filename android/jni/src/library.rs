//! What is true of the library as a whole.

use crate::failure::{Done, Throw, inside};
use crate::upcalls;
use jni::objects::{JClass, JLongArray, JObject, JObjectArray, JString};
use jni::refs::Global;
use jni::sys::{jint, jlong};
use jni::{Env, NativeMethod, native_method};
use localgrad::{device, memory};
use localgrad_bridge::library::lg_build_options;
use localgrad_bridge::log_sink::lg_set_log;
use localgrad_bridge::status::{Fault, lg_status};
use std::ffi::{CStr, c_char, c_void};
use std::sync::{PoisonError, RwLock};

pub(crate) const METHODS: [NativeMethod; 7] = [
    native_method! { static fn version() -> JString, error_policy = Throw },
    native_method! { static fn build_options() -> JString, error_policy = Throw },
    native_method! { static fn models() -> [java.lang.String], error_policy = Throw },
    native_method! { static fn devices() -> [java.lang.String], error_policy = Throw },
    native_method! { static fn memory() -> [jlong], fn = bytes, error_policy = Throw },
    native_method! { static fn reset_peak(), error_policy = Throw },
    native_method! { static fn set_log(sink: org.localgrad.LogSink, level: jint), error_policy = Throw },
];

fn version<'local>(env: &mut Env<'local>, _: JClass<'local>) -> Done<JString<'local>> {
    Ok(JString::new(env, env!("CARGO_PKG_VERSION"))?)
}

fn build_options<'local>(env: &mut Env<'local>, _: JClass<'local>) -> Done<JString<'local>> {
    // SAFETY: a text that ends in a zero byte and lives as long as the library.
    let text = unsafe { CStr::from_ptr(lg_build_options()) };
    Ok(JString::new(env, text.to_string_lossy())?)
}

/// A new array of texts.
pub(crate) fn texts<'local>(
    env: &mut Env<'local>,
    texts: &[String],
) -> Done<JObjectArray<'local, JString<'local>>> {
    let array = JObjectArray::<JString<'_>>::new(env, texts.len(), JString::null())?;
    for (place, text) in texts.iter().enumerate() {
        env.with_local_frame(2, |env| {
            let text = JString::new(env, text)?;
            array.set_element(env, place, &text)
        })?;
    }
    Ok(array)
}

fn models<'local>(env: &mut Env<'local>, _: JClass<'local>) -> Done<JObjectArray<'local, JString<'local>>> {
    let names: Vec<String> = localgrad_models::MODELS.iter().map(|&name| name.to_owned()).collect();
    texts(env, &names)
}

fn devices<'local>(env: &mut Env<'local>, _: JClass<'local>) -> Done<JObjectArray<'local, JString<'local>>> {
    let known = inside(|| Ok(device::list()))?;
    let told = known.into_iter().flat_map(|device| {
        [device.name.to_string(), u8::from(device.available).to_string(), device.description]
    });
    texts(env, &told.collect::<Vec<_>>())
}

/// A new array of numbers.
pub(crate) fn longs<'local>(env: &mut Env<'local>, numbers: &[jlong]) -> Done<JLongArray<'local>> {
    let array = JLongArray::new(env, numbers.len())?;
    array.set_region(env, 0, numbers)?;
    Ok(array)
}

fn bytes<'local>(env: &mut Env<'local>, _: JClass<'local>) -> Done<JLongArray<'local>> {
    longs(env, &[memory::live() as jlong, memory::peak() as jlong])
}

fn reset_peak<'local>(_: &mut Env<'local>, _: JClass<'local>) -> Done<()> {
    inside(|| {
        memory::reset_peak();
        Ok(())
    })
}

/// Where messages go.
static SINK: RwLock<Option<Global<JObject<'static>>>> = RwLock::new(None);

/// # Safety
/// `message` is a text that ends in a zero byte.
unsafe extern "C" fn forward(_: *mut c_void, level: i32, message: *const c_char) {
    if let Some(sink) = &*SINK.read().unwrap_or_else(PoisonError::into_inner) {
        // SAFETY: the caller's promise is the same.
        upcalls::log(sink, level, &unsafe { CStr::from_ptr(message) }.to_string_lossy());
    }
}

fn set_log<'local>(env: &mut Env<'local>, _: JClass<'local>, sink: JObject<'local>, level: jint) -> Done<()> {
    let wanted = if sink.is_null() { None } else { Some(env.new_global_ref(&sink)?) };
    let function = wanted.as_ref().map(|_| forward as unsafe extern "C" fn(_, _, _));
    // SAFETY: the function can be called at any time, with anything.
    let off = unsafe { lg_set_log(None, std::ptr::null_mut(), level, std::ptr::null_mut()) };
    if off != lg_status::Ok {
        return Err(Fault::new(off, "the sink cannot be replaced from inside itself").into());
    }
    *SINK.write().unwrap_or_else(PoisonError::into_inner) = wanted;
    // SAFETY: as above.
    unsafe { lg_set_log(function, std::ptr::null_mut(), level, std::ptr::null_mut()) };
    Ok(())
}
