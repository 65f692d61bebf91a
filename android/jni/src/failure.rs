//! The one door: what goes wrong behind it becomes an exception.

use crate::upcalls;
use jni::Env;
use jni::errors::{Error, ErrorPolicy};
use jni::objects::JThrowable;
use jni::refs::Global;
use jni::sys::jlong;
use localgrad_bridge::guard;
use localgrad_bridge::status::{Fault, Outcome, lg_status};
use std::any::Any;
use std::cell::RefCell;

thread_local! {
    /// What a callback of this thread threw, until the call that made it returns.
    static THROWN: RefCell<Option<Global<JThrowable<'static>>>> = const { RefCell::new(None) };
}

/// Why a native function failed.
pub(crate) enum Failure {
    /// The library refused, or could not.
    Fault(Fault),
    /// A function of the interface failed; where that left an exception, it is the one to be thrown.
    Jni(Error),
}

impl From<Fault> for Failure {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Jni(error)
    }
}

pub(crate) type Done<T> = Result<T, Failure>;

/// Does `work`, which must call nothing of Java's but through `upcalls`, inside the library's door.
pub(crate) fn inside<T>(work: impl FnOnce() -> Outcome<T>) -> Done<T> {
    let outcome = guard::run(work);
    if outcome.is_ok() {
        // A callback that failed and was not heard of would be thrown by a later call.
        THROWN.take();
    }
    Ok(outcome?)
}

/// Keeps what a callback threw until the call that made it returns, and clears it, so that work can end in order.
pub(crate) fn keep_thrown(env: &mut Env<'_>, error: &Error) -> Fault {
    if let Some(throwable) = env.exception_occurred() {
        env.exception_clear();
        if let Ok(kept) = env.new_global_ref(&throwable) {
            THROWN.replace(Some(kept));
        }
    }
    Fault::new(lg_status::Callback, format!("a callback failed: {error}"))
}

/// Throws what went wrong.
pub(crate) struct Throw;

impl<T: Default> ErrorPolicy<T, Failure> for Throw {
    type Captures<'unowned: 'native, 'native> = ();

    fn on_error<'unowned: 'native, 'native>(
        env: &mut Env<'unowned>,
        (): &mut (),
        failure: Failure,
    ) -> jni::errors::Result<T> {
        if env.exception_check() {
            return Ok(T::default());
        }
        let fault = match failure {
            Failure::Fault(fault) => fault,
            Failure::Jni(error) => {
                Fault::new(lg_status::Internal, format!("a mistake at the border, please report it: {error}"))
            }
        };
        throw(env, &fault)
    }

    fn on_panic<'unowned: 'native, 'native>(
        env: &mut Env<'unowned>,
        (): &mut (),
        panic: Box<dyn Any + Send>,
    ) -> jni::errors::Result<T> {
        let told = panic.downcast_ref::<&str>().copied();
        let told =
            told.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("it panicked");
        throw(
            env,
            &Fault::new(lg_status::Internal, format!("a mistake at the border, please report it: {told}")),
        )
    }
}

fn throw<T: Default>(env: &mut Env<'_>, fault: &Fault) -> jni::errors::Result<T> {
    let thrown = match THROWN.take() {
        Some(kept) => env.throw(&kept),
        None => {
            // Kotlin tells by this that a budget was refused.
            let least = fault.least_bytes.map_or(-1, |bytes| bytes as jlong);
            let exception = upcalls::exception(env, fault.status as i32, &fault.message, least)?;
            env.throw(&exception)
        }
    };
    match thrown {
        // That is how throwing is told of.
        Ok(()) | Err(Error::JavaException) => Ok(T::default()),
        Err(error) => Err(error),
    }
}
