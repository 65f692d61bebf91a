//! Trainers: made, described, fed by hand, judged, destroyed.

use crate::buffers::{self, Answers};
use crate::config;
use crate::failure::{Done, Throw, inside};
use crate::library::texts;
use crate::network;
use crate::upcalls::Stopped;
use jni::objects::{
    JByteArray, JByteBuffer, JClass, JDoubleArray, JFloatArray, JIntArray, JLongArray, JObjectArray, JString,
};
use jni::sys::jlong;
use jni::{Env, NativeMethod, native_method};
use localgrad_bridge::frames::{self, lg_frame};
use localgrad_bridge::handles;
use localgrad_bridge::judge::lg_evaluation;
use localgrad_bridge::pointers::Versioned;
use localgrad_bridge::samples::Samples;
use localgrad_bridge::status::{Fault, Outcome, lg_status};
use localgrad_bridge::trainer::{self, TrainerObject, lg_trainer};

pub(crate) const METHODS: [NativeMethod; 12] = [
    native_method! { static fn trainer_create(network: jlong, config: JString) -> jlong, error_policy = Throw },
    native_method! { static fn trainer_destroy(trainer: jlong), error_policy = Throw },
    native_method! { static fn trainer_describe(trainer: jlong) -> [jdouble], error_policy = Throw },
    native_method! { static fn trainer_losses(trainer: jlong) -> [jdouble], error_policy = Throw },
    native_method! {
        static fn trainer_class_names(trainer: jlong) -> [java.lang.String],
        error_policy = Throw
    },
    native_method! {
        static fn prepare_frame(input: [jlong], pixels: java.nio.ByteBuffer, numbers: [jlong]) -> [jbyte],
        error_policy = Throw
    },
    native_method! {
        static fn push(
            trainer: jlong, images: java.nio.ByteBuffer, header: [jlong], labels: [jint], targets: [jfloat]
        ),
        error_policy = Throw
    },
    native_method! { static fn discard_pushed(trainer: jlong), error_policy = Throw },
    native_method! {
        static fn evaluate(
            trainer: jlong, images: java.nio.ByteBuffer, header: [jlong], labels: [jint], targets: [jfloat],
            metric: [java.lang.String]
        ) -> [jdouble],
        error_policy = Throw
    },
    native_method! {
        static fn predict(trainer: jlong, images: java.nio.ByteBuffer, header: [jlong]) -> [jfloat],
        error_policy = Throw
    },
    native_method! { static fn feature_count(trainer: jlong) -> jlong, error_policy = Throw },
    native_method! {
        static fn features(
            trainer: jlong, images: java.nio.ByteBuffer, header: [jlong], rows: java.nio.ByteBuffer
        ),
        error_policy = Throw
    },
];

/// The number that Kotlin has, as the library's handle.
pub(crate) fn handle(trainer: jlong) -> *const lg_trainer {
    std::ptr::without_provenance(trainer as usize)
}

/// A new array of numbers.
pub(crate) fn doubles<'local>(env: &mut Env<'local>, numbers: &[f64]) -> Done<JDoubleArray<'local>> {
    let array = JDoubleArray::new(env, numbers.len())?;
    array.set_region(env, 0, numbers)?;
    Ok(array)
}

fn trainer_create<'local>(
    env: &mut Env<'local>,
    _: JClass<'local>,
    network: jlong,
    config: JString<'local>,
) -> Done<jlong> {
    let config = config.try_to_string(env)?;
    inside(|| {
        let made = config::with_config(&config, |config, pointed| {
            TrainerObject::create(&*network::find(network)?, config, pointed)
        })?;
        Ok(handles::insert::<_, lg_trainer>(made).addr() as jlong)
    })
}

fn trainer_destroy<'local>(_: &mut Env<'local>, _: JClass<'local>, trainer: jlong) -> Done<()> {
    inside(|| {
        trainer::destroy(handle(trainer));
        Ok(())
    })
}

fn trainer_describe<'local>(
    env: &mut Env<'local>,
    _: JClass<'local>,
    trainer: jlong,
) -> Done<JDoubleArray<'local>> {
    let info = inside(|| trainer::on(handle(trainer), |_, session| Ok(session.describe())))?;
    let numbers = [
        info.blocks as f64,
        info.batch as f64,
        info.pending as f64,
        info.steps as f64,
        info.samples as f64,
        info.seconds,
        info.learning_rate,
        f64::from(info.step_is_open),
        info.blocks_done as f64,
        f64::from(info.is_damaged),
    ];
    doubles(env, &numbers)
}

fn trainer_losses<'local>(
    env: &mut Env<'local>,
    _: JClass<'local>,
    trainer: jlong,
) -> Done<JDoubleArray<'local>> {
    let losses = inside(|| trainer::on(handle(trainer), |_, session| Ok(session.losses().to_vec())))?;
    doubles(env, &losses)
}

fn trainer_class_names<'local>(
    env: &mut Env<'local>,
    _: JClass<'local>,
    trainer: jlong,
) -> Done<JObjectArray<'local, JString<'local>>> {
    let names = inside(|| trainer::on(handle(trainer), |_, session| Ok(session.class_names().to_vec())))?;
    texts(env, &names)
}

/// What an evaluation found; the name of what it is judged by goes into `metric`.
pub(crate) fn evaluation<'local>(
    env: &mut Env<'local>,
    found: &lg_evaluation,
    metric: &JObjectArray<'_, JString<'_>>,
) -> Done<JDoubleArray<'local>> {
    let name = JString::new(env, network::text(&found.metric_name))?;
    metric.set_element(env, 0, &name)?;
    doubles(env, &[found.samples as f64, found.accuracy, found.loss, found.metric])
}

/// A new array of numbers, as many as an array of Java's holds.
pub(crate) fn floats<'local>(env: &mut Env<'local>, numbers: &[f32]) -> Done<JFloatArray<'local>> {
    if i32::try_from(numbers.len()).is_err() {
        let message = "these are more numbers than an array of Java has; predict fewer samples at once";
        return Err(Fault::new(lg_status::Argument, message).into());
    }
    let array = JFloatArray::new(env, numbers.len())?;
    array.set_region(env, 0, numbers)?;
    Ok(array)
}

/// Does `work` with lent samples, inside the door.
pub(crate) fn with_samples<T>(
    env: &mut Env<'_>,
    images: &JByteBuffer<'_>,
    header: &JLongArray<'_>,
    answers: &Answers,
    work: impl FnOnce(&Samples<'_>) -> Outcome<T>,
) -> Done<T> {
    let samples = buffers::samples(env, images, header, answers)?;
    inside(|| work(&samples))
}

impl From<Stopped> for crate::failure::Failure {
    fn from(stopped: Stopped) -> Self {
        match stopped {
            Stopped::Fault(fault) => Self::Fault(fault),
            Stopped::Jni(error) => Self::Jni(error),
        }
    }
}

fn prepare_frame<'local>(
    env: &mut Env<'local>,
    _: JClass<'local>,
    input: JLongArray<'local>,
    pixels: JByteBuffer<'local>,
    numbers: JLongArray<'local>,
) -> Done<JByteArray<'local>> {
    let mut shape = [0; 3];
    input.get_region(env, 0, &mut shape)?;
    let mut told = [0; 8];
    numbers.get_region(env, 0, &mut told)?;
    let [place, bytes, width, height, row_bytes, format, rotation_degrees, fit] = told;
    let size = |number: jlong| usize::try_from(number).unwrap_or(usize::MAX);
    let frame = lg_frame {
        width: size(width),
        height: size(height),
        row_bytes: size(row_bytes),
        format: format as i32,
        rotation_degrees: rotation_degrees as i32,
        fit: fit as i32,
        ..lg_frame::initial()
    };
    let pixels = buffers::bytes(env, &pixels, size(place), size(bytes))?;
    let image = inside(|| frames::prepare(&frame, pixels, shape.map(size)))?;
    Ok(env.byte_array_from_slice(&image)?)
}

fn push<'local>(
    env: &mut Env<'local>,
    _: JClass<'local>,
    trainer: jlong,
    images: JByteBuffer<'local>,
    header: JLongArray<'local>,
    labels: JIntArray<'local>,
    targets: JFloatArray<'local>,
) -> Done<()> {
    let answers = buffers::answers(env, &labels, &targets)?;
    with_samples(env, &images, &header, &answers, |samples| {
        trainer::on(handle(trainer), |_, session| session.push(samples))
    })
}

fn discard_pushed<'local>(_: &mut Env<'local>, _: JClass<'local>, trainer: jlong) -> Done<()> {
    inside(|| {
        trainer::on(handle(trainer), |_, session| {
            session.discard_pushed();
            Ok(())
        })
    })
}

#[expect(clippy::too_many_arguments, reason = "what Kotlin gives crosses without an object")]
fn evaluate<'local>(
    env: &mut Env<'local>,
    _: JClass<'local>,
    trainer: jlong,
    images: JByteBuffer<'local>,
    header: JLongArray<'local>,
    labels: JIntArray<'local>,
    targets: JFloatArray<'local>,
    metric: JObjectArray<'local, JString<'local>>,
) -> Done<JDoubleArray<'local>> {
    let answers = buffers::answers(env, &labels, &targets)?;
    let found = with_samples(env, &images, &header, &answers, |samples| {
        trainer::on(handle(trainer), |object, session| session.evaluate_samples(object.shared(), samples))
    })?;
    evaluation(env, &found, &metric)
}

fn predict<'local>(
    env: &mut Env<'local>,
    _: JClass<'local>,
    trainer: jlong,
    images: JByteBuffer<'local>,
    header: JLongArray<'local>,
) -> Done<JFloatArray<'local>> {
    let logits = with_samples(env, &images, &header, &Answers::default(), |samples| {
        trainer::on(handle(trainer), |object, session| session.predict(object.shared(), samples))
    })?;
    floats(env, &logits)
}

fn feature_count<'local>(_: &mut Env<'local>, _: JClass<'local>, trainer: jlong) -> Done<jlong> {
    inside(|| trainer::on(handle(trainer), |_, session| Ok(session.feature_count()? as jlong)))
}

fn features<'local>(
    env: &mut Env<'local>,
    _: JClass<'local>,
    trainer: jlong,
    images: JByteBuffer<'local>,
    header: JLongArray<'local>,
    mut features: JByteBuffer<'local>,
) -> Done<()> {
    let room = buffers::floats_mut(env, &mut features)?;
    with_samples(env, &images, &header, &Answers::default(), |samples| {
        trainer::on(handle(trainer), |object, session| session.features(object.shared(), samples, room))
    })
}
