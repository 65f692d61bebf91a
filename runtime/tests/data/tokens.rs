//! Tokens are read from every type of whole number, and go through a loader as they are.

use crate::files::{read, safetensors};
use crate::formats::{assert_error, write};
use localgrad::ErrorKind;
use localgrad::data::safetensors::TensorFile;
use localgrad::data::subset::Subset;
use localgrad::data::{AugmentConfig, BlendConfig, Dataset, Loader, LoaderConfig, Normalize, Split, open};
use localgrad::inputs::{Inputs, Tokens};
use std::sync::Arc;

/// A safetensors file of tokens `[2, 3]` of a type, and two labels.
fn of_tokens(dtype: &str, metadata: &str, tokens: &[u8]) -> Vec<u8> {
    let end = tokens.len();
    let header = format!(
        r#"{{{metadata}"tokens":{{"dtype":"{dtype}","shape":[2,3],"data_offsets":[0,{end}]}},"labels":{{"dtype":"U8","shape":[2],"data_offsets":[{end},{}]}}}}"#,
        end + 2
    );
    safetensors(&header, &[tokens, &[1, 0]].concat())
}

#[test]
fn safetensors_have_tokens_of_every_whole_type() {
    let tokens = [5_u32, 0, 7, 7, 2, 300];
    let bytes =
        |bytes: fn(u32) -> Vec<u8>| tokens.iter().flat_map(|&token| bytes(token)).collect::<Vec<u8>>();
    for (dtype, data) in [
        ("U16", bytes(|token| (token as u16).to_le_bytes().into())),
        ("U32", bytes(|token| token.to_le_bytes().into())),
        ("I32", bytes(|token| (token as i32).to_le_bytes().into())),
        ("I64", bytes(|token| i64::from(token).to_le_bytes().into())),
    ] {
        let set = TensorFile::from_bytes(&of_tokens(dtype, "", &data), "set").unwrap();
        assert_eq!(set.input(), Inputs::Tokens(Tokens { length: 3, vocabulary: 301 }), "{dtype}");
        assert_eq!((read(&set, 0), read(&set, 1)), ((vec![5.0, 0.0, 7.0], 1), (vec![7.0, 2.0, 300.0], 0)));
        let said = r#""__metadata__":{"vocabulary":"500"},"#;
        let set = TensorFile::from_bytes(&of_tokens(dtype, said, &data), "set").unwrap();
        assert_eq!(set.input(), Inputs::Tokens(Tokens { length: 3, vocabulary: 500 }));
        // What the metadata say is believed until the token is read that they leave out.
        let said = r#""__metadata__":{"vocabulary":"300"},"#;
        let set = TensorFile::from_bytes(&of_tokens(dtype, said, &data), "set").unwrap();
        let mut numbers = [0.0; 3];
        assert_eq!(set.read(0, &mut numbers).unwrap(), 1);
        assert_error(set.read(1, &mut numbers), ErrorKind::Format, &["sample 1", "from 0 to 299"]);
    }
    let fails = |dtype: &str, metadata: &str, tokens: &[u8], words: &[&str]| {
        assert_error(
            TensorFile::from_bytes(&of_tokens(dtype, metadata, tokens), "set"),
            ErrorKind::Format,
            words,
        );
    };
    fails("F32", "", &[0; 24], &["`tokens` has the type F32"]);
    fails("I32", "", &[255; 24], &["sample 0", "negative"]);
    for vocabulary in ["0", "16777217", "many"] {
        let said = format!(r#""__metadata__":{{"vocabulary":"{vocabulary}"}},"#);
        fails("U8", &said, &[0; 6], &["metadata", vocabulary]);
    }
}

#[test]
fn safetensors_splits_agree_on_the_vocabulary() {
    let directory = tempfile::tempdir().unwrap();
    let (small, large) = (of_tokens("U8", "", &[0, 1, 2, 3, 4, 5]), of_tokens("U8", "", &[9; 6]));
    write(directory.path(), &[("train.safetensors", small), ("test.safetensors", large)]);
    for split in [Split::Train, Split::Test] {
        let set = open(directory.path(), split).unwrap();
        assert_eq!(set.input(), Inputs::Tokens(Tokens { length: 3, vocabulary: 10 }));
    }
    let whole: Arc<dyn Dataset> = Arc::from(open(directory.path(), Split::Train).unwrap());
    let [first, _] = Subset::split_end(whole.clone(), 1).unwrap();
    assert_eq!(first.input(), whole.input());
    let loader = |config| Loader::new(whole.clone(), Normalize::identity(1), config);
    let batch = loader(LoaderConfig::evaluation(2)).unwrap().batch(0, 0).unwrap();
    assert_eq!(batch.inputs.dims(), [2, 3]);
    assert_eq!(batch.inputs.numbers().unwrap(), [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
    // Their numbers are names, which nothing changes.
    let as_they_are = "tokens are taken as they are";
    let half = Loader::new(whole.clone(), Normalize::half(1), LoaderConfig::evaluation(2));
    assert_error(half, ErrorKind::Config, &[as_they_are]);
    let augment = AugmentConfig { padding: 0, ..AugmentConfig::default() };
    let varied = LoaderConfig { augment: Some(augment), ..LoaderConfig::evaluation(2) };
    assert_error(loader(varied), ErrorKind::Config, &[as_they_are]);
    let blend = BlendConfig { mixup: Some(0.2), cutmix: None };
    let mixed = LoaderConfig { blend: Some(blend), ..LoaderConfig::evaluation(2) };
    assert_error(loader(mixed), ErrorKind::Config, &[as_they_are]);
}
