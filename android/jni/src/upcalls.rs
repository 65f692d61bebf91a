//! Calls from here to Kotlin: static functions of the object `Native`, looked up once.

use crate::failure::keep_thrown;
use jni::errors::{Error, JniError, Result};
use jni::ids::JStaticMethodID;
use jni::objects::{JClass, JObject, JObjectArray, JString, JThrowable, JValueOwned};
use jni::refs::Global;
use jni::signature::{MethodSignature, Primitive, ReturnType};
use jni::strings::JNIStr;
use jni::sys::{jint, jlong, jvalue};
use jni::{Env, JavaVM, jni_sig, jni_str};
use localgrad_bridge::run::lg_step_result;
use localgrad_bridge::status::{Fault, Outcome, lg_status};
use std::cell::RefCell;
use std::sync::OnceLock;

/// Local references that a call back makes, at most.
const FRAME: usize = 8;

/// What is called.
struct Upcalls {
    class: Global<JClass<'static>>,
    ask: JStaticMethodID,
    tell: JStaticMethodID,
    log: JStaticMethodID,
    failure: JStaticMethodID,
}

static UPCALLS: OnceLock<Upcalls> = OnceLock::new();

/// Looks everything up, with the class loader that loads this library.
pub(crate) fn prepare(env: &mut Env<'_>, class: &JClass<'_>) -> Result<()> {
    let mut find = |name: &'static JNIStr, signature: MethodSignature<'_, '_>| {
        env.get_static_method_id(class, name, signature)
    };
    let (ask, tell, log, failure) = (
        find(jni_str!("ask"), jni_sig!((source: org.localgrad.Source, number: jlong) -> [java.lang.Object]))?,
        find(
            jni_str!("tell"),
            jni_sig!((
                watch: org.localgrad.Watch, number: jlong, samples: jint, correct: jint,
                loss: jdouble, rate: jdouble, seconds: jdouble
            ) -> jboolean),
        )?,
        find(jni_str!("log"), jni_sig!((sink: org.localgrad.LogSink, level: jint, message: JString)))?,
        find(
            jni_str!("failure"),
            jni_sig!((status: jint, message: JString, least: jlong) -> java.lang.Throwable),
        )?,
    );
    let class = env.new_global_ref(class)?;
    // A second library in the same process has its own.
    let _ = UPCALLS.set(Upcalls { class, ask, tell, log, failure });
    Ok(())
}

impl Upcalls {
    fn get() -> Result<&'static Self> {
        UPCALLS.get().ok_or(Error::NullPtr("the class Native"))
    }

    fn call<'local>(
        &self,
        env: &mut Env<'local>,
        method: JStaticMethodID,
        returns: ReturnType,
        arguments: &[jvalue],
    ) -> Result<JValueOwned<'local>> {
        // SAFETY: the callers below pair each method with its own return type and arguments.
        unsafe { env.call_static_method_unchecked(&*self.class, method, returns, arguments) }
    }
}

/// Does `work` on this thread, which called from Java, in a frame of its own, so that no reference outlives it. What it
/// throws is kept until the call that is under way returns.
fn call_back<T>(work: impl FnOnce(&mut Env<'_>) -> std::result::Result<T, Stopped>) -> Outcome<T> {
    let done = JavaVM::singleton().map_err(Stopped::from).and_then(|vm| {
        vm.with_local_frame(FRAME, |env| {
            work(env).map_err(|stopped| match stopped {
                Stopped::Jni(error) => Stopped::Fault(keep_thrown(env, &error)),
                fault @ Stopped::Fault(_) => fault,
            })
        })
    });
    done.map_err(|stopped| match stopped {
        Stopped::Fault(fault) => fault,
        Stopped::Jni(error) => Fault::new(lg_status::Internal, error.to_string()),
    })
}

/// What ends a call back.
pub(crate) enum Stopped {
    Fault(Fault),
    Jni(Error),
}

impl From<Error> for Stopped {
    fn from(error: Error) -> Self {
        Self::Jni(error)
    }
}

impl From<Fault> for Stopped {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

/// Asks `source` for batch `number`, and lets `take` read the buffer, the header, the labels and the targets that it gives;
/// does nothing where it has no more.
pub(crate) fn ask(
    source: &JObject<'_>,
    number: u64,
    take: impl FnOnce(&mut Env<'_>, [JObject<'_>; 4]) -> std::result::Result<(), Stopped>,
) -> Outcome<()> {
    call_back(|env| {
        let upcalls = Upcalls::get()?;
        let arguments = [jvalue { l: source.as_raw() }, jvalue { j: number as jlong }];
        let given = upcalls.call(env, upcalls.ask, ReturnType::Array, &arguments)?.l()?;
        if given.is_null() {
            return Ok(());
        }
        let given = JObjectArray::<JObject<'_>>::cast_local(env, given)?;
        let (buffer, header) = (given.get_element(env, 0)?, given.get_element(env, 1)?);
        let (labels, targets) = (given.get_element(env, 2)?, given.get_element(env, 3)?);
        take(env, [buffer, header, labels, targets])
    })
}

/// Tells `watch` of a step; whether to go on.
pub(crate) fn tell(watch: &JObject<'_>, step: &lg_step_result) -> Outcome<bool> {
    call_back(|env| {
        let upcalls = Upcalls::get()?;
        let arguments = [
            jvalue { l: watch.as_raw() },
            jvalue { j: step.step as jlong },
            jvalue { i: step.samples as jint },
            jvalue { i: step.correct as jint },
            jvalue { d: step.loss },
            jvalue { d: step.learning_rate },
            jvalue { d: step.seconds },
        ];
        Ok(upcalls.call(env, upcalls.tell, ReturnType::Primitive(Primitive::Boolean), &arguments)?.z()?)
    })
}

/// The exception for a failure.
pub(crate) fn exception<'local>(
    env: &mut Env<'local>,
    status: jint,
    message: &str,
    least_bytes: jlong,
) -> Result<JThrowable<'local>> {
    let upcalls = Upcalls::get()?;
    let message = JString::new(env, message)?;
    let arguments = [jvalue { i: status }, jvalue { l: message.as_raw() }, jvalue { j: least_bytes }];
    let exception = upcalls.call(env, upcalls.failure, ReturnType::Object, &arguments)?.l()?;
    JThrowable::cast_local(env, exception)
}

thread_local! {
    /// Set on threads that are not Java's own, from their first message to their end.
    static ATTACHED: RefCell<Option<Attached>> = const { RefCell::new(None) };
}

/// A thread that is attached as a daemon, which a virtual machine that ends does not wait for; detached when it ends.
struct Attached(JavaVM);

impl Drop for Attached {
    fn drop(&mut self) {
        let vm = self.0.get_raw();
        // SAFETY: the thread was attached below, and nothing of Java's is left on it.
        unsafe { ((**vm).v1_2.DetachCurrentThread)(vm) };
    }
}

/// Attaches this thread, if it is none of Java's.
fn attach(vm: &JavaVM) -> Result<()> {
    if vm.is_thread_attached()? {
        return Ok(());
    }
    let (raw, mut env) = (vm.get_raw(), std::ptr::null_mut());
    // SAFETY: the virtual machine lives, and the arguments are what the specification says.
    let status =
        unsafe { ((**raw).v1_4.AttachCurrentThreadAsDaemon)(raw, &raw mut env, std::ptr::null_mut()) };
    if status != jni::sys::JNI_OK {
        return Err(Error::JniCall(JniError::Unknown));
    }
    ATTACHED.replace(Some(Attached(JavaVM::singleton()?)));
    Ok(())
}

/// Gives `sink` a message, on any thread. What it throws is lost.
pub(crate) fn log(sink: &JObject<'_>, level: jint, message: &str) {
    let told = JavaVM::singleton().and_then(|vm| {
        attach(&vm)?;
        vm.with_local_frame(FRAME, |env| {
            if env.exception_check() {
                return Ok(());
            }
            let upcalls = Upcalls::get()?;
            let message = JString::new(env, message)?;
            let arguments =
                [jvalue { l: sink.as_raw() }, jvalue { i: level }, jvalue { l: message.as_raw() }];
            let told = upcalls.call(env, upcalls.log, ReturnType::Primitive(Primitive::Void), &arguments);
            env.exception_clear();
            told.map(drop)
        })
    });
    // There is nobody left to tell.
    let _ = told;
}
