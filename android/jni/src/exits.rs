//! Exits: the auxiliary networks behind blocks, which answer beside the network's end.

use crate::buffers::{self, Answers};
use crate::failure::{Done, Throw};
use crate::trainer::{doubles, floats, handle, with_samples};
use jni::objects::{JByteBuffer, JClass, JDoubleArray, JFloatArray, JIntArray, JLongArray};
use jni::sys::{jdouble, jint, jlong};
use jni::{Env, NativeMethod, native_method};
use localgrad_bridge::trainer;

pub(crate) const METHODS: [NativeMethod; 2] = [
    native_method! {
        static fn evaluate_exits(
            trainer: jlong, images: java.nio.ByteBuffer, header: [jlong], labels: [jint], targets: [jfloat]
        ) -> [jdouble],
        error_policy = Throw
    },
    native_method! {
        static fn predict_early(
            trainer: jlong, images: java.nio.ByteBuffer, header: [jlong], confidence: jdouble,
            temperatures: [jdouble], exits: [jint]
        ) -> [jfloat],
        error_policy = Throw
    },
];

/// Accuracy and temperature of each exit in turn.
fn evaluate_exits<'local>(
    env: &mut Env<'local>,
    _: JClass<'local>,
    trainer: jlong,
    images: JByteBuffer<'local>,
    header: JLongArray<'local>,
    labels: JIntArray<'local>,
    targets: JFloatArray<'local>,
) -> Done<JDoubleArray<'local>> {
    let answers = buffers::answers(env, &labels, &targets)?;
    let found = with_samples(env, &images, &header, &answers, |samples| {
        trainer::on(handle(trainer), |object, session| session.evaluate_exits(object.shared(), samples))
    })?;
    let numbers: Vec<f64> = found.iter().flat_map(|exit| [exit.accuracy, exit.temperature]).collect();
    doubles(env, &numbers)
}

/// The logits of the exit that each sample left by, whose number goes into `exits`.
#[expect(clippy::too_many_arguments, reason = "what Kotlin gives crosses without an object")]
fn predict_early<'local>(
    env: &mut Env<'local>,
    _: JClass<'local>,
    trainer: jlong,
    images: JByteBuffer<'local>,
    header: JLongArray<'local>,
    confidence: jdouble,
    temperatures: JDoubleArray<'local>,
    exits: JIntArray<'local>,
) -> Done<JFloatArray<'local>> {
    let mut divisors = vec![0.0; temperatures.len(env)?];
    temperatures.get_region(env, 0, &mut divisors)?;
    let found = with_samples(env, &images, &header, &Answers::default(), |samples| {
        trainer::on(handle(trainer), |object, session| {
            session.predict_early(object.shared(), samples, confidence, &divisors)
        })
    })?;
    let left: Vec<jint> = found.iter().map(|answer| answer.exit as jint).collect();
    exits.set_region(env, 0, &left)?;
    let logits: Vec<f32> = found.iter().flat_map(|answer| answer.logits.iter().copied()).collect();
    floats(env, &logits)
}
