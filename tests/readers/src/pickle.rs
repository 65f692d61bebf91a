//! Any bytes as a pickle: refused, or values that can be looked at.

use localgrad_data::pickle::Pickle;

/// Must hold of any bytes.
pub fn check(data: &[u8]) {
    let Ok(pickle) = Pickle::read(data) else { return };
    for key in ["data", "labels", "fine_labels", "label_names"] {
        let Some(id) = pickle.get(key) else { continue };
        if let Some(array) = pickle.byte_array(id) {
            assert_eq!(array.shape.iter().product::<usize>(), array.bytes.len());
        }
        let _ = (pickle.ints(id), pickle.texts(id));
    }
}
