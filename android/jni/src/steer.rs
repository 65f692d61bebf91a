//! What any thread may do to a trainer at any time, and the numbers that can be changed.

use crate::failure::{Done, Throw, inside};
use crate::trainer::handle;
use jni::objects::{JClass, JDoubleArray, JObjectArray, JString};
use jni::sys::{jboolean, jdouble, jint, jlong};
use jni::{Env, NativeMethod, native_method};
use localgrad_bridge::control::Wishes;
use localgrad_bridge::handles;
use localgrad_bridge::status::{Fault, Outcome};
use localgrad_bridge::trainer::{self, TrainerObject};
use std::sync::Arc;

pub(crate) const METHODS: [NativeMethod; 10] = [
    native_method! { static fn pause(trainer: jlong, reason: jint), error_policy = Throw },
    native_method! { static fn resume(trainer: jlong), error_policy = Throw },
    native_method! { static fn cancel(trainer: jlong), error_policy = Throw },
    native_method! { static fn clear_cancel(trainer: jlong), error_policy = Throw },
    native_method! { static fn set_work_fraction(trainer: jlong, fraction: jdouble, reason: jint), error_policy = Throw },
    native_method! { static fn set_threads(trainer: jlong, threads: jint), error_policy = Throw },
    native_method! { static fn set(trainer: jlong, setting: jint, value: jdouble), error_policy = Throw },
    native_method! { static fn get(trainer: jlong, setting: jint) -> jdouble, error_policy = Throw },
    native_method! {
        static fn poll(trainer: jlong, numbers: [jdouble], text: [java.lang.String]) -> jboolean,
        error_policy = Throw
    },
    native_method! { static fn dropped_events(trainer: jlong) -> jlong, error_policy = Throw },
];

fn find(trainer: jlong) -> Outcome<Arc<TrainerObject>> {
    handles::get(handle(trainer))
}

fn wish(trainer: jlong, change: impl FnOnce(&mut Wishes)) -> Done<()> {
    inside(|| {
        find(trainer)?.control.wish(change);
        Ok(())
    })
}

fn pause<'local>(_: &mut Env<'local>, _: JClass<'local>, trainer: jlong, reason: jint) -> Done<()> {
    inside(|| {
        find(trainer)?.control.pause(reason);
        Ok(())
    })
}

fn resume<'local>(_: &mut Env<'local>, _: JClass<'local>, trainer: jlong) -> Done<()> {
    wish(trainer, |wishes| wishes.paused = false)
}

fn cancel<'local>(_: &mut Env<'local>, _: JClass<'local>, trainer: jlong) -> Done<()> {
    wish(trainer, |wishes| wishes.cancelled = true)
}

fn clear_cancel<'local>(_: &mut Env<'local>, _: JClass<'local>, trainer: jlong) -> Done<()> {
    wish(trainer, |wishes| wishes.cancelled = false)
}

fn set_work_fraction<'local>(
    _: &mut Env<'local>,
    _: JClass<'local>,
    trainer: jlong,
    fraction: jdouble,
    reason: jint,
) -> Done<()> {
    inside(|| find(trainer)?.control.set_work_fraction(fraction, reason))
}

fn set_threads<'local>(_: &mut Env<'local>, _: JClass<'local>, trainer: jlong, threads: jint) -> Done<()> {
    inside(|| {
        let threads = usize::try_from(threads)
            .map_err(|_| Fault::argument(format!("{threads} threads are fewer than none")))?;
        find(trainer)?.control.set_threads(threads)
    })
}

fn set<'local>(
    _: &mut Env<'local>,
    _: JClass<'local>,
    trainer: jlong,
    setting: jint,
    value: jdouble,
) -> Done<()> {
    inside(|| trainer::on(handle(trainer), |_, session| session.set(setting, value)))
}

fn get<'local>(_: &mut Env<'local>, _: JClass<'local>, trainer: jlong, setting: jint) -> Done<jdouble> {
    inside(|| trainer::on(handle(trainer), |_, session| session.get(setting)))
}

fn poll<'local>(
    env: &mut Env<'local>,
    _: JClass<'local>,
    trainer: jlong,
    numbers: JDoubleArray<'local>,
    text: JObjectArray<'local, JString<'local>>,
) -> Done<jboolean> {
    let Some(event) = inside(|| Ok(find(trainer)?.events.pop()))? else { return Ok(false) };
    let told = [
        f64::from(event.kind),
        f64::from(event.block),
        event.step as f64,
        event.samples as f64,
        event.loss,
        event.accuracy,
        event.seconds,
        event.progress,
        event.peak_bytes as f64,
        f64::from(event.pause_reason),
        event.work_fraction,
        event.metric,
    ];
    numbers.set_region(env, 0, &told)?;
    if !event.text.is_empty() {
        let said = JString::new(env, event.text.as_str())?;
        text.set_element(env, 0, &said)?;
    }
    Ok(true)
}

fn dropped_events<'local>(_: &mut Env<'local>, _: JClass<'local>, trainer: jlong) -> Done<jlong> {
    inside(|| Ok(find(trainer)?.events.dropped() as jlong))
}
