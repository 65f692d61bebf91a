//! The Java native interface: each `native` function of the Kotlin library's object `Native`, in a few lines that read
//! arguments, work through the bridge that the C ABI stands on, too, and write results.
//!
//! Everything goes through one door: `failure` turns whatever goes wrong, panics included, into an exception. `buffers`
//! reads what the Java side lends, without a copy. `upcalls` calls back.

mod failure;
mod upcalls;
mod buffers;
mod library;
mod network;
mod config;
mod trainer;
mod training;
mod exits;
mod steer;
mod stored;

use jni::sys::{JNI_ERR, JNI_VERSION_1_6, jint};
use jni::{Env, JavaVM, NativeMethod, jni_str};
use std::ffi::c_void;

/// Registers every function by its name and type: one that Kotlin and this crate do not agree on fails here.
fn register(env: &mut Env<'_>) -> jni::errors::Result<()> {
    // By the loader of the class that loads this library, whatever the thread's own may be.
    let class = env.find_class(jni_str!("org/localgrad/Native"))?;
    let tables: [&[NativeMethod]; 7] = [
        &library::METHODS,
        &network::METHODS,
        &trainer::METHODS,
        &training::METHODS,
        &exits::METHODS,
        &steer::METHODS,
        &stored::METHODS,
    ];
    for methods in tables {
        // SAFETY: `native_method!` derives name, type and function from one line, and all are static, as in Kotlin.
        unsafe { env.register_native_methods(&class, methods) }?;
    }
    upcalls::prepare(env, &class)
}

/// Called by the virtual machine when it has loaded the library.
///
/// # Safety
/// `vm` is the virtual machine, as the specification says.
#[unsafe(no_mangle)]
pub unsafe extern "system" fn JNI_OnLoad(vm: *mut jni::sys::JavaVM, _reserved: *mut c_void) -> jint {
    // SAFETY: the virtual machine promises that it is one.
    let vm = unsafe { JavaVM::from_raw(vm) };
    let registered = vm.attach_current_thread(register);
    registered.map_or(JNI_ERR, |()| JNI_VERSION_1_6)
}
