//! Checkpoints, states and weights.

use crate::failure::{Done, Throw, inside};
use crate::trainer::handle;
use jni::objects::{JByteArray, JClass, JString};
use jni::sys::{jboolean, jint, jlong};
use jni::{Env, NativeMethod, native_method};
use localgrad_bridge::status::{Fault, lg_status};
use localgrad_bridge::trainer;
use std::path::Path;

pub(crate) const METHODS: [NativeMethod; 6] = [
    native_method! {
        static fn open_checkpoints(trainer: jlong, directory: JString, keep: jint) -> jboolean,
        error_policy = Throw
    },
    native_method! { static fn save(trainer: jlong), error_policy = Throw },
    native_method! { static fn state(trainer: jlong) -> [jbyte], error_policy = Throw },
    native_method! { static fn set_state(trainer: jlong, state: [jbyte]), error_policy = Throw },
    native_method! { static fn load_weights(trainer: jlong, path: JString, parts: jint), error_policy = Throw },
    native_method! { static fn export(trainer: jlong, path: JString, precision: jint), error_policy = Throw },
];

fn open_checkpoints<'local>(
    env: &mut Env<'local>,
    _: JClass<'local>,
    trainer: jlong,
    directory: JString<'local>,
    keep: jint,
) -> Done<jboolean> {
    let directory = directory.try_to_string(env)?;
    inside(|| {
        let keep = usize::try_from(keep)
            .map_err(|_| Fault::argument(format!("{keep} checkpoints cannot be kept; keep at least 1")))?;
        trainer::on(handle(trainer), |object, session| {
            session.open_checkpoints(Path::new(&directory), keep, &object.control)
        })
    })
}

fn save<'local>(_: &mut Env<'local>, _: JClass<'local>, trainer: jlong) -> Done<()> {
    inside(|| trainer::on(handle(trainer), |object, session| session.save(object.shared())))
}

fn state<'local>(env: &mut Env<'local>, _: JClass<'local>, trainer: jlong) -> Done<JByteArray<'local>> {
    let bytes = inside(|| {
        trainer::on(handle(trainer), |_, session| {
            let needed = session.state_bytes()?;
            if i32::try_from(needed).is_err() {
                let message =
                    format!("a state of {needed} bytes is more than an array of Java has; use checkpoints");
                return Err(Fault::new(lg_status::Argument, message));
            }
            let mut bytes = vec![0; needed];
            session.write_state(&mut bytes)?;
            Ok(bytes)
        })
    })?;
    Ok(env.byte_array_from_slice(&bytes)?)
}

fn set_state<'local>(
    env: &mut Env<'local>,
    _: JClass<'local>,
    trainer: jlong,
    state: JByteArray<'local>,
) -> Done<()> {
    let bytes = env.convert_byte_array(&state)?;
    inside(|| trainer::on(handle(trainer), |object, session| session.set_state(&bytes, &object.control)))
}

fn load_weights<'local>(
    env: &mut Env<'local>,
    _: JClass<'local>,
    trainer: jlong,
    path: JString<'local>,
    parts: jint,
) -> Done<()> {
    let path = path.try_to_string(env)?;
    inside(|| trainer::on(handle(trainer), |_, session| session.load_weights(Path::new(&path), parts)))
}

fn export<'local>(
    env: &mut Env<'local>,
    _: JClass<'local>,
    trainer: jlong,
    path: JString<'local>,
    precision: jint,
) -> Done<()> {
    let path = path.try_to_string(env)?;
    inside(|| trainer::on(handle(trainer), |_, session| session.export(Path::new(&path), precision)))
}
