//! PyTorch's files of weights, and hostile ones.

use crate::files::torch::{archive, dictionary, rebuilt, saved, saved_in_row};
use crate::files::{written, zip};
use localgrad::weights::{Weights, from_bytes};
use localgrad_data::torch::{TorchFile, is_torch};
use std::path::Path;

// Written by torch 1.12, the old form by `_use_new_zipfile_serialization=False`:
//   a = torch.arange(6.).reshape(2, 3); all = torch.arange(12.) / 2
//   state, row: OrderedDict(a=torch.nn.Parameter(a), turned=a.t(), half=all[:3].half(), bf16=all[1:4].bfloat16(),
//     double=all[:2].double() / 3, part=all[4:8].reshape(2, 2), every=all[::5], wide=torch.ones(1, 1).expand(2, 3),
//     alone=torch.tensor(7.), empty=torch.zeros(0, 3), count=torch.tensor(3),
//     nhwc=torch.arange(8.).reshape(1, 2, 2, 2).contiguous(memory_format=torch.channels_last))
//   checkpoint: {"epoch": 3, "best": 0.5, "arch": "net", "model": {w: ones(2), b: zeros(1)}, "optimizer": {"state":
//     {0: {"momentum_buffer": ones(2)}}, ...}, "ema": {"module": {w: full(2, 5.), b: zeros(1)}, "updates": 7}}
//   module: torch.nn.Linear(2, 1)
fn stored(name: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/read/torch");
    std::fs::read(folder.join(name)).unwrap()
}

/// All tensors but the counter.
fn read(file: &TorchFile) -> Weights {
    let bytes = file.safetensors(&|name| name != "count").unwrap();
    from_bytes(&bytes, "made", |name| Some(name.to_string())).unwrap()
}

fn numbers(weights: &Weights, name: &str) -> (Vec<usize>, Vec<f32>) {
    let tensor = &weights[name];
    let numbers = tensor.numbers().unwrap();
    (tensor.dims().to_vec(), numbers)
}

#[test]
fn tensors_of_every_kind_are_read_in_both_forms() {
    let directory = tempfile::tempdir().unwrap();
    for name in ["state.pth", "row.pth"] {
        let path = written(directory.path(), name, &stored(name));
        assert!(is_torch(&path));
        let file = TorchFile::open(&path).unwrap();
        assert!(file.words().is_none());
        assert_eq!(file.listed().len(), 12);
        assert!(file.listed().contains(&("nhwc".into(), vec![1, 2, 2, 2])), "{name}");
        let weights = read(&file);
        let third = 0.5_f32 / 3.0;
        for (tensor, shape, wanted) in [
            ("a", &[2, 3][..], &[0.0, 1.0, 2.0, 3.0, 4.0, 5.0][..]),
            ("turned", &[3, 2], &[0.0, 3.0, 1.0, 4.0, 2.0, 5.0]),
            ("half", &[3], &[0.0, 0.5, 1.0]),
            ("bf16", &[3], &[0.5, 1.0, 1.5]),
            ("double", &[2], &[0.0, third]),
            ("part", &[2, 2], &[2.0, 2.5, 3.0, 3.5]),
            ("every", &[3], &[0.0, 2.5, 5.0]),
            ("wide", &[2, 3], &[1.0; 6]),
            ("alone", &[], &[7.0]),
            ("empty", &[0, 3], &[]),
            ("nhwc", &[1, 2, 2, 2], &[0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]),
        ] {
            assert_eq!(numbers(&weights, tensor), (shape.to_vec(), wanted.to_vec()), "{name}: {tensor}");
        }
        // Weights are no whole numbers, and only those that are wanted are read.
        let all = file.safetensors(&|_| true).unwrap();
        let error = from_bytes(&all, "made", |name| Some(name.to_string())).err().unwrap().to_string();
        assert!(error.contains("tensor count is I64"), "{error}");
    }
}

#[test]
fn weights_are_found_in_checkpoints() {
    let directory = tempfile::tempdir().unwrap();
    let path = written(directory.path(), "c.pth", &stored("checkpoint.pth"));
    let file = TorchFile::open(&path).unwrap();
    assert_eq!(numbers(&read(&file), "w").1, [5.0, 5.0]);
    assert_eq!(file.words().unwrap(), "taken are the weights of ema.module, left out those of model");
    let tensors = vec![("w".to_string(), vec![2, 1], vec![1.0, 2.0]), ("b".to_string(), vec![], vec![3.0])];
    let ways = [&[][..], &["state_dict"], &["model"], &["a", "b"]];
    for file in ways.map(|around| saved(&tensors, around)).into_iter().chain([saved_in_row(&tensors)]) {
        let file = TorchFile::open(&written(directory.path(), "w.bin", &file)).unwrap();
        assert!(file.words().is_none());
        let weights = read(&file);
        assert_eq!(numbers(&weights, "w"), (vec![2, 1], vec![1.0, 2.0]));
        assert_eq!(numbers(&weights, "b"), (vec![], vec![3.0]));
    }
    // What has not the tensors of a network is none of several.
    let whole = archive(
        dictionary(&[("w", rebuilt("0", 0, &[1], &[1], false)), ("note", b"X\x02\0\0\0hi".to_vec())], &[]),
        &[vec![0; 4]],
    );
    let file = TorchFile::open(&written(directory.path(), "w.pt", &whole)).unwrap();
    assert_eq!(file.listed(), [("w".to_string(), vec![1])]);
}

#[test]
fn what_holds_no_weights_is_called_what_it_is() {
    let directory = tempfile::tempdir().unwrap();
    let one = |offset, shape: &[usize], stride: &[usize]| {
        archive(dictionary(&[("w", rebuilt("0", offset, shape, stride, false))], &[]), &[vec![0; 16]])
    };
    let code = b"\x80\x02cos\nsystem\nX\x04\0\0\0true\x85R.".to_vec();
    let qint = b"ctorch._utils\n_rebuild_qtensor\n)R".to_vec();
    for (file, needle) in [
        (stored("module.pth"), "of a whole module, whose code is not run here"),
        (archive(code.clone(), &[]), "of a whole module, whose code is not run here"),
        // As torch.jit.save has them.
        (zip(&[("net/code/a.py", vec![]), ("net/data.pkl", code.clone())], false), "of a whole module"),
        (archive(dictionary(&[], &["state_dict"]), &[]), "without tensors by name"),
        (archive(b"\x80\x02}".to_vec(), &[]), "cut off or wrong at byte 3"),
        (b"\x80\x02}q\0.".to_vec(), "a Python pickle and no PyTorch file"),
        (stored("row.pth")[..1500].to_vec(), "a broken or cut PyTorch file"),
        (stored("state.pth")[..1500].to_vec(), "a broken or cut PyTorch file"),
        (one(0, &[5], &[1]), "tensor w [5] reaches beyond its storage"),
        (one(1, &[4], &[1]), "reaches beyond its storage"),
        (one(0, &[2, 2], &[3, 1]), "reaches beyond its storage"),
        (archive(dictionary(&[("w", rebuilt("7", 0, &[1], &[1], false))], &[]), &[]), "has no storage"),
    ] {
        let path = written(directory.path(), "w.pth", &file);
        assert!(is_torch(&path), "{needle}");
        let error = TorchFile::open(&path).err().unwrap().to_string();
        assert!(error.contains(needle) && error.contains("w.pth") && error.lines().count() == 1, "{error}");
    }
    // One number that is to be many.
    let huge = written(directory.path(), "w.pth", &one(0, &[1 << 30, 1 << 30], &[0, 0]));
    let error = TorchFile::open(&huge).unwrap().safetensors(&|_| true).err().unwrap().to_string();
    assert!(error.contains("more numbers than are in the file"), "{error}");
    let both =
        archive(dictionary(&[("w", rebuilt("0", 0, &[1], &[1], false)), ("q", qint)], &[]), &[vec![0; 4]]);
    let file = TorchFile::open(&written(directory.path(), "w.pth", &both)).unwrap();
    assert_eq!(file.words().unwrap(), "left out, being of kinds that are not read, are q");
    // A storage whose bytes are others than were written.
    let mut damaged = one(0, &[4], &[1]);
    let at = damaged.windows(14).position(|bytes| bytes == b"archive/data/0").unwrap() + 14;
    damaged[at] ^= 1;
    let file = TorchFile::open(&written(directory.path(), "w.pth", &damaged)).unwrap();
    assert!(file.safetensors(&|_| true).err().unwrap().to_string().contains("damaged"));
    assert!(!is_torch(&written(directory.path(), "w.npz", b"PK\x03\x04")) && !is_torch(directory.path()));
}

#[test]
fn hostile_weights_are_refused_or_read() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("hostile.pth");
    let look = |bytes: &[u8]| {
        std::fs::write(&path, bytes).unwrap();
        TorchFile::open(&path).and_then(|file| file.safetensors(&|_| true)).is_ok()
    };
    for name in ["state.pth", "row.pth", "checkpoint.pth"] {
        let whole = stored(name);
        for length in (0..whole.len()).step_by(37) {
            assert!(!look(&whole[..length]), "{name}: {length}");
        }
        for place in (0..whole.len()).step_by(7) {
            let mut damaged = whole.clone();
            damaged[place] ^= [0x01, 0xff, 0x80][place % 3];
            look(&damaged);
        }
    }
}
