//! Checkpoints, states and weights.

use crate::failure::{Done, Throw, inside};
use crate::library::{longs, texts};
use crate::trainer::handle;
use jni::objects::{JByteArray, JClass, JLongArray, JObjectArray, JString};
use jni::sys::{jboolean, jint, jlong};
use jni::{Env, NativeMethod, native_method};
use localgrad_bridge::named::LG_ALL_BLOCKS;
use localgrad_bridge::status::{Fault, lg_status};
use localgrad_bridge::trainer;
use std::path::Path;

pub(crate) const METHODS: [NativeMethod; 10] = [
    native_method! {
        static fn open_checkpoints(trainer: jlong, directory: JString, keep: jint) -> jboolean,
        error_policy = Throw
    },
    native_method! { static fn save(trainer: jlong), error_policy = Throw },
    native_method! { static fn state(trainer: jlong) -> [jbyte], error_policy = Throw },
    native_method! { static fn set_state(trainer: jlong, state: [jbyte]), error_policy = Throw },
    native_method! { static fn load_weights(trainer: jlong, path: JString, parts: jint), error_policy = Throw },
    native_method! { static fn weight_names(trainer: jlong) -> [java.lang.String], error_policy = Throw },
    native_method! { static fn weight_shape(trainer: jlong, name: JString) -> [jlong], error_policy = Throw },
    native_method! {
        static fn read_weight(trainer: jlong, name: JString, precision: jint) -> [jbyte],
        error_policy = Throw
    },
    native_method! {
        static fn write_weight(trainer: jlong, name: JString, precision: jint, bytes: [jbyte]),
        error_policy = Throw
    },
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

fn weight_names<'local>(
    env: &mut Env<'local>,
    _: JClass<'local>,
    trainer: jlong,
) -> Done<JObjectArray<'local, JString<'local>>> {
    let all = inside(|| trainer::on(handle(trainer), |_, session| session.named(LG_ALL_BLOCKS)))?;
    let names: Vec<String> = all.into_iter().map(|named| named.name).collect();
    texts(env, &names)
}

fn weight_shape<'local>(
    env: &mut Env<'local>,
    _: JClass<'local>,
    trainer: jlong,
    name: JString<'local>,
) -> Done<JLongArray<'local>> {
    let name = name.try_to_string(env)?;
    let found = inside(|| trainer::on(handle(trainer), |_, session| session.weight(&name)))?;
    let mut numbers = vec![found.block as jlong, jlong::from(found.is_statistic)];
    numbers.extend(found.extents.iter().map(|&extent| extent as jlong));
    longs(env, &numbers)
}

fn read_weight<'local>(
    env: &mut Env<'local>,
    _: JClass<'local>,
    trainer: jlong,
    name: JString<'local>,
    precision: jint,
) -> Done<JByteArray<'local>> {
    let name = name.try_to_string(env)?;
    let bytes = inside(|| {
        trainer::on(handle(trainer), |_, session| {
            let elements: usize = session.weight(&name)?.extents.iter().product();
            let mut room = vec![0; elements * if precision == 0 { 4 } else { 2 }];
            session.read_weight(&name, precision, &mut room)?;
            Ok(room)
        })
    })?;
    Ok(env.byte_array_from_slice(&bytes)?)
}

fn write_weight<'local>(
    env: &mut Env<'local>,
    _: JClass<'local>,
    trainer: jlong,
    name: JString<'local>,
    precision: jint,
    bytes: JByteArray<'local>,
) -> Done<()> {
    let (name, bytes) = (name.try_to_string(env)?, env.convert_byte_array(&bytes)?);
    inside(|| trainer::on(handle(trainer), |_, session| session.write_weight(&name, precision, &bytes)))
}
