//! Networks as data.

use crate::config;
use crate::failure::{Done, Throw, inside};
use crate::library::{longs, texts};
use jni::objects::{JByteArray, JClass, JLongArray, JObjectArray, JString};
use jni::sys::{jdouble, jint, jlong};
use jni::{Env, NativeMethod, native_method};
use localgrad_bridge::handles;
use localgrad_bridge::network::{NetworkObject, lg_network};
use localgrad_bridge::plan;
use localgrad_bridge::status::{Fault, Outcome};
use std::ffi::{CStr, c_char};
use std::path::Path;
use std::sync::Arc;

pub(crate) const METHODS: [NativeMethod; 15] = [
    native_method! { static fn network_create(model: JString, options: JString) -> jlong, error_policy = Throw },
    native_method! { static fn network_from_json(json: JString) -> jlong, error_policy = Throw },
    native_method! { static fn network_to_json(network: jlong) -> JString, error_policy = Throw },
    native_method! { static fn network_describe(network: jlong) -> [jlong], error_policy = Throw },
    native_method! { static fn network_huber_delta(network: jlong) -> jdouble, error_policy = Throw },
    native_method! { static fn network_name(network: jlong) -> JString, error_policy = Throw },
    native_method! { static fn network_replace_head(network: jlong, classes: jint) -> jlong, error_policy = Throw },
    native_method! {
        static fn network_replace_head_named(network: jlong, classes: [java.lang.String]) -> jlong,
        error_policy = Throw
    },
    native_method! {
        static fn network_replace_objective(network: jlong, objective: jint, huber_delta: jdouble) -> jlong,
        error_policy = Throw
    },
    native_method! {
        static fn network_name_classes(network: jlong, classes: [java.lang.String]) -> jlong,
        error_policy = Throw
    },
    native_method! {
        static fn network_class_names(network: jlong) -> [java.lang.String],
        error_policy = Throw
    },
    native_method! { static fn network_load(path: JString) -> jlong, error_policy = Throw },
    native_method! { static fn network_from_bytes(file: [jbyte]) -> jlong, error_policy = Throw },
    native_method! { static fn network_destroy(network: jlong), error_policy = Throw },
    native_method! {
        static fn plan(network: jlong, config: JString) -> [jlong], fn = plan_within, error_policy = Throw
    },
];

/// The number that Kotlin has, as the library's handle.
fn handle(network: jlong) -> *const lg_network {
    std::ptr::without_provenance(network as usize)
}

pub(crate) fn find(network: jlong) -> Outcome<Arc<NetworkObject>> {
    handles::get(handle(network))
}

fn keep(network: NetworkObject) -> jlong {
    handles::insert::<_, lg_network>(network).addr() as jlong
}

/// A text of fixed size in a struct of the header.
pub(crate) fn text(characters: &[c_char]) -> String {
    let bytes: Vec<u8> = characters.iter().map(|&character| character as u8).collect();
    CStr::from_bytes_until_nul(&bytes)
        .map_or_else(|_| String::new(), |text| text.to_string_lossy().into_owned())
}

fn network_create<'local>(
    env: &mut Env<'local>,
    _: JClass<'local>,
    model: JString<'local>,
    options: JString<'local>,
) -> Done<jlong> {
    let (model, options) = (model.try_to_string(env)?, options.try_to_string(env)?);
    inside(|| {
        let (options, widths) = config::network_options(&options)?;
        Ok(keep(NetworkObject::named(&model, &options, &widths)?))
    })
}

fn network_from_json<'local>(env: &mut Env<'local>, _: JClass<'local>, json: JString<'local>) -> Done<jlong> {
    let json = json.try_to_string(env)?;
    inside(|| Ok(keep(NetworkObject::from_json(&json)?)))
}

fn network_to_json<'local>(
    env: &mut Env<'local>,
    _: JClass<'local>,
    network: jlong,
) -> Done<JString<'local>> {
    let json = inside(|| find(network)?.to_json())?;
    Ok(JString::new(env, json)?)
}

fn network_describe<'local>(
    env: &mut Env<'local>,
    _: JClass<'local>,
    network: jlong,
) -> Done<JLongArray<'local>> {
    let info = inside(|| find(network)?.describe())?;
    let numbers = [info.channels, info.height, info.width, info.classes, info.units, info.parameters];
    let carried = [info.has_weights, info.has_normalize, info.objective].map(jlong::from);
    let vocabulary = [info.vocabulary as jlong];
    longs(env, &[&numbers.map(|number| number as jlong)[..], &carried, &vocabulary].concat())
}

fn network_huber_delta<'local>(_: &mut Env<'local>, _: JClass<'local>, network: jlong) -> Done<jdouble> {
    inside(|| Ok(find(network)?.describe()?.huber_delta))
}

fn network_name<'local>(env: &mut Env<'local>, _: JClass<'local>, network: jlong) -> Done<JString<'local>> {
    let info = inside(|| find(network)?.describe())?;
    Ok(JString::new(env, text(&info.name))?)
}

fn network_replace_head<'local>(
    _: &mut Env<'local>,
    _: JClass<'local>,
    network: jlong,
    classes: jint,
) -> Done<jlong> {
    inside(|| {
        let classes = usize::try_from(classes)
            .map_err(|_| Fault::argument(format!("{classes} classes are fewer than none")))?;
        Ok(keep(find(network)?.replace_head(classes)?))
    })
}

/// The texts of an array.
fn names(env: &Env<'_>, array: &JObjectArray<'_, JString<'_>>) -> jni::errors::Result<Vec<String>> {
    let texts = (0..array.len(env)?).map(|place| {
        env.with_local_frame(2, |env| {
            let text = array.get_element(env, place)?;
            text.try_to_string(env)
        })
    });
    texts.collect()
}

fn network_replace_head_named<'local>(
    env: &mut Env<'local>,
    _: JClass<'local>,
    network: jlong,
    classes: JObjectArray<'local, JString<'local>>,
) -> Done<jlong> {
    let names = names(env, &classes)?;
    inside(|| Ok(keep(find(network)?.replace_head_named(names)?)))
}

fn network_replace_objective<'local>(
    _: &mut Env<'local>,
    _: JClass<'local>,
    network: jlong,
    objective: jint,
    huber_delta: jdouble,
) -> Done<jlong> {
    inside(|| Ok(keep(find(network)?.replace_objective(objective, huber_delta)?)))
}

fn network_name_classes<'local>(
    env: &mut Env<'local>,
    _: JClass<'local>,
    network: jlong,
    classes: JObjectArray<'local, JString<'local>>,
) -> Done<jlong> {
    let names = names(env, &classes)?;
    inside(|| Ok(keep(find(network)?.name_classes(names)?)))
}

fn network_class_names<'local>(
    env: &mut Env<'local>,
    _: JClass<'local>,
    network: jlong,
) -> Done<JObjectArray<'local, JString<'local>>> {
    let names = inside(|| Ok(find(network)?.class_names().to_vec()))?;
    texts(env, &names)
}

fn network_load<'local>(env: &mut Env<'local>, _: JClass<'local>, path: JString<'local>) -> Done<jlong> {
    let path = path.try_to_string(env)?;
    inside(|| Ok(keep(NetworkObject::load(Path::new(&path))?)))
}

fn network_from_bytes<'local>(
    env: &mut Env<'local>,
    _: JClass<'local>,
    file: JByteArray<'local>,
) -> Done<jlong> {
    let file = env.convert_byte_array(&file)?;
    inside(|| Ok(keep(NetworkObject::from_bytes(&file)?)))
}

fn network_destroy<'local>(_: &mut Env<'local>, _: JClass<'local>, network: jlong) -> Done<()> {
    inside(|| {
        drop(handles::remove::<NetworkObject, _>(handle(network)));
        Ok(())
    })
}

fn plan_within<'local>(
    env: &mut Env<'local>,
    _: JClass<'local>,
    network: jlong,
    config: JString<'local>,
) -> Done<JLongArray<'local>> {
    let config = config.try_to_string(env)?;
    let plan = inside(|| {
        config::with_config(&config, |config, pointed| plan::of(&*find(network)?, config, pointed))
    })?;
    let mut numbers = vec![
        plan.peak_bytes as jlong,
        plan.micro_batch as jlong,
        jlong::from(plan.recompute),
        jlong::from(plan.activations),
        jlong::from(plan.offload),
    ];
    numbers.extend(plan.ends.iter().take(plan.blocks).map(|&end| end as jlong));
    longs(env, &numbers)
}
