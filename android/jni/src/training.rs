//! Calls that train, or judge, on what a function of Kotlin's gives.

use crate::buffers;
use crate::failure::{Done, Throw, inside};
use crate::trainer::{doubles, evaluation, handle};
use crate::upcalls;
use jni::objects::{
    JByteBuffer, JClass, JDoubleArray, JFloatArray, JIntArray, JLongArray, JObject, JObjectArray, JString,
};
use jni::refs::Global;
use jni::sys::jlong;
use jni::{Env, NativeMethod, native_method};
use localgrad_bridge::inbox::Source;
use localgrad_bridge::pointers::Versioned;
use localgrad_bridge::run::lg_run_options;
use localgrad_bridge::session::Session;
use localgrad_bridge::status::Outcome;
use localgrad_bridge::trainer;

pub(crate) const METHODS: [NativeMethod; 3] = [
    native_method! {
        static fn step(trainer: jlong, source: org.localgrad.Source) -> [jdouble],
        error_policy = Throw
    },
    native_method! {
        static fn run(
            trainer: jlong, source: org.localgrad.Source, watch: org.localgrad.Watch, options: [jlong]
        ) -> [jdouble],
        error_policy = Throw
    },
    native_method! {
        static fn evaluate_source(
            trainer: jlong, source: org.localgrad.Source, metric: [java.lang.String]
        ) -> [jdouble],
        error_policy = Throw
    },
];

/// Until which step, for how long, and after how many steps and how much time a checkpoint is due.
const OPTIONS: usize = 4;

/// A source of Kotlin's, for the call that is under way: it is let go of when that returns.
fn source_of(env: &Env<'_>, source: &JObject<'_>) -> jni::errors::Result<Option<Source>> {
    if source.is_null() {
        return Ok(None);
    }
    let source: Global<JObject<'static>> = env.new_global_ref(source)?;
    Ok(Some(Box::new(move |asked| {
        upcalls::ask(&source, asked.number, |env, [images, header, labels, targets]| {
            let images = JByteBuffer::cast_local(env, images)?;
            let header = JLongArray::cast_local(env, header)?;
            let labels = JIntArray::cast_local(env, labels)?;
            let targets = JFloatArray::cast_local(env, targets)?;
            let answers = buffers::answers(env, &labels, &targets)?;
            Ok(asked.give(&buffers::samples(env, &images, &header, &answers)?)?)
        })
    })))
}

/// Does `work` with a session that has this source meanwhile.
fn fed<T>(
    session: &mut Session,
    source: Option<Source>,
    work: impl FnOnce(&mut Session) -> Outcome<T>,
) -> Outcome<T> {
    session.set_source(source);
    let done = work(session);
    session.set_source(None);
    done
}

fn step<'local>(
    env: &mut Env<'local>,
    _: JClass<'local>,
    trainer: jlong,
    source: JObject<'local>,
) -> Done<JDoubleArray<'local>> {
    let source = source_of(env, &source)?;
    let found = inside(|| {
        trainer::on(handle(trainer), |object, session| {
            fed(session, source, |session| session.step(object.shared()))
        })
    })?;
    let numbers = [
        found.step as f64,
        found.samples as f64,
        found.correct as f64,
        found.loss,
        found.learning_rate,
        found.seconds,
    ];
    doubles(env, &numbers)
}

fn run<'local>(
    env: &mut Env<'local>,
    _: JClass<'local>,
    trainer: jlong,
    source: JObject<'local>,
    watch: JObject<'local>,
    options: JLongArray<'local>,
) -> Done<JDoubleArray<'local>> {
    let mut numbers = [0; OPTIONS];
    options.get_region(env, 0, &mut numbers)?;
    let [until_step, milliseconds, checkpoint_steps, checkpoint_milliseconds] =
        numbers.map(|number| u64::try_from(number).unwrap_or(0));
    let options = lg_run_options {
        until_step,
        milliseconds,
        checkpoint_steps,
        checkpoint_milliseconds,
        ..lg_run_options::initial()
    };
    let source = source_of(env, &source)?;
    let found = inside(|| {
        trainer::on(handle(trainer), |object, session| {
            fed(session, source, |session| {
                session.run(object.shared(), &options, &mut |step| match watch.is_null() {
                    true => Ok(true),
                    false => upcalls::tell(&watch, step),
                })
            })
        })
    })?;
    doubles(env, &[f64::from(found.reason), found.steps as f64, found.new_steps as f64, found.loss])
}

fn evaluate_source<'local>(
    env: &mut Env<'local>,
    _: JClass<'local>,
    trainer: jlong,
    source: JObject<'local>,
    metric: JObjectArray<'local, JString<'local>>,
) -> Done<JDoubleArray<'local>> {
    let source = source_of(env, &source)?;
    let found = inside(|| {
        trainer::on(handle(trainer), |object, session| {
            let mut source = source.unwrap_or_else(|| Box::new(|_| Ok(())));
            session.evaluate_source(object.shared(), &mut source)
        })
    })?;
    evaluation(env, &found, &metric)
}
