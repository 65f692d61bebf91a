//! Which objects live. A handle is a number that looks like a pointer and is never followed: one that was destroyed,
//! is of another type or never was a handle is found out, not read.

use crate::guard;
use crate::status::{Fault, Outcome, lg_status};
use std::any::Any;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A type that handles stand for.
pub trait Object: Any + Send + Sync {
    /// The handle's type in the header.
    const NAME: &'static str;

    /// The process whose threads it needs; `None` where it needs none.
    fn process(&self) -> Option<u32> {
        None
    }
}

struct Registry {
    next: usize,
    live: BTreeMap<usize, Arc<dyn Any + Send + Sync>>,
}

/// The library's only list of objects; empty, it holds no memory.
static REGISTRY: Mutex<Registry> = Mutex::new(Registry { next: 1, live: BTreeMap::new() });

/// Handles lie this far apart, and off every alignment, so that no address of an object is one.
const STRIDE: usize = 16;
const OFFSET: usize = 9;

fn registry() -> MutexGuard<'static, Registry> {
    REGISTRY.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Takes an object in and gives its handle.
pub fn insert<T: Object, H>(object: T) -> *mut H {
    let object: Arc<dyn Any + Send + Sync> = Arc::new(object);
    let mut registry = registry();
    let handle = loop {
        let handle = registry.next.wrapping_mul(STRIDE).wrapping_add(OFFSET);
        registry.next = registry.next.wrapping_add(1);
        // Numbers come again only after all of them were used, and then not while the object lives.
        if !registry.live.contains_key(&handle) {
            break handle;
        }
    };
    registry.live.insert(handle, object);
    std::ptr::without_provenance_mut(handle)
}

/// The object of a handle. It stays there for this call even if it is destroyed meanwhile.
pub fn get<T: Object, H>(handle: *const H) -> Outcome<Arc<T>> {
    if handle.is_null() {
        return Err(Fault::argument(format!("the {} is NULL", T::NAME)));
    }
    let found = registry().live.get(&handle.addr()).cloned();
    let object: Arc<T> = found.and_then(|object| object.downcast().ok()).ok_or_else(|| {
        let name = T::NAME;
        Fault::new(lg_status::Handle, format!("this is no {name}: it was destroyed, or is something else"))
    })?;
    object.process().map_or(Ok(()), guard::check_process)?;
    Ok(object)
}

/// Takes an object out; `None` where the handle is none of this type.
pub fn remove<T: Object, H>(handle: *const H) -> Option<Arc<T>> {
    let mut registry = registry();
    let object: Arc<T> = registry.live.get(&handle.addr())?.clone().downcast().ok()?;
    let removed = registry.live.remove(&handle.addr());
    // What it leads to is dropped after the list is free again.
    drop(registry);
    drop(removed);
    if is_elsewhere(object.as_ref()) {
        // To wait for threads that are not here would be for ever.
        std::mem::forget(object);
        return None;
    }
    Some(object)
}

fn is_elsewhere<T: Object>(object: &T) -> bool {
    object.process().is_some_and(|process| process != std::process::id())
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Apple(u32);
    struct Pear;

    impl Object for Apple {
        const NAME: &'static str = "apple";
    }
    impl Object for Pear {
        const NAME: &'static str = "pear";
    }

    #[test]
    fn only_the_living_are_found() {
        let apple: *mut Apple = insert(Apple(7));
        let pear: *mut Pear = insert(Pear);
        assert_ne!(apple.addr(), pear.addr());
        assert_eq!(get::<Apple, _>(apple).unwrap().0, 7);
        assert_eq!(get::<Pear, _>(apple).err().unwrap().status, lg_status::Handle);
        let kept = get::<Apple, _>(apple).unwrap();
        assert!(remove::<Pear, _>(apple).is_none());
        assert!(remove::<Apple, _>(apple).is_some());
        assert!(remove::<Apple, _>(apple).is_none());
        assert_eq!(get::<Apple, _>(apple).err().unwrap().status, lg_status::Handle);
        assert_eq!(kept.0, 7);
        let stray = &kept.0 as *const u32;
        assert_eq!(get::<Apple, _>(stray).err().unwrap().status, lg_status::Handle);
        assert_eq!(get::<Apple, _>(std::ptr::null::<Apple>()).err().unwrap().status, lg_status::Argument);
        assert!(remove::<Pear, _>(pear).is_some());
    }
}
