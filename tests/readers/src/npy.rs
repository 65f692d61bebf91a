//! Any bytes as one of NumPy's arrays.

use localgrad_data::npy::Array;

/// Must hold of any bytes.
pub fn check(data: &[u8]) {
    let Ok(array) = Array::read(data) else { return };
    assert_eq!(array.shape.len(), array.strides.len());
    assert!(array.number(array.len()).is_none());
    for place in 0..array.len() {
        let _ = array.number(place);
    }
    let _ = (array.texts(), array.as_bytes());
}
