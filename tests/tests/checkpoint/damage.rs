//! Bits that flip, bytes that go missing, files of other versions: all are noticed, and an older state serves.

use crate::faulty::Memory;
use crate::run::{Run, Saver, state};
use localgrad::ErrorKind;
use localgrad::checkpoint::block_input::load;
use localgrad::checkpoint::files::Files;
use localgrad::checkpoint::{Manifest, Record, Saved};
use localgrad::network::Objective;
use localgrad::optimizer::OptimizerConfig;
use localgrad::rules::Rule;
use localgrad::schedule::Schedule;
use localgrad::trainer::Trainer;
use std::collections::BTreeMap;
use std::io::Cursor;
use std::path::Path;

fn small() -> Run {
    let plain = OptimizerConfig::Sgd { momentum: 0.9, nesterov: true, weight_decay: 0.0 };
    Run::new(Rule::Greedy).with(plain, Schedule::Constant)
}

/// The files of a run after three steps, with `keep` generations.
fn files(run: &Run, keep: usize) -> Memory {
    let files = Memory::default();
    let (mut trainer, checkpoints, progress) = run.begin(files.handle(), keep).unwrap();
    let mut saver = Saver { checkpoints: Some(checkpoints), every: 1, last: 3, told: Vec::new() };
    run.go_on(&mut trainer, progress, &mut saver).unwrap_err();
    drop(saver);
    files
}

/// Whether anything is wrong with the files, as readers of state and of records find it.
fn is_noticed(contents: &BTreeMap<String, Vec<u8>>, scratch: &mut Trainer) -> bool {
    let found = Saved::read_from(Memory::of(contents).handle());
    let damage = match found {
        Err(error) => error,
        Ok(None) => return true,
        Ok(Some(saved)) => match saved.restore(scratch).and_then(|_| saved.records()) {
            Err(error) => error,
            Ok(_) => return false,
        },
    };
    assert_eq!(damage.kind(), ErrorKind::Format, "{damage}");
    true
}

#[test]
fn every_flipped_bit_is_noticed() {
    let run = small();
    let mut scratch = run.trainer();
    let mut contents = files(&run, 1).contents();
    assert!(!is_noticed(&contents, &mut scratch));
    for name in contents.keys().cloned().collect::<Vec<_>>() {
        for bit in 0..8 * contents[&name].len() {
            contents.get_mut(&name).unwrap()[bit / 8] ^= 1 << (bit % 8);
            assert!(is_noticed(&contents, &mut scratch), "bit {bit} of {name}");
            contents.get_mut(&name).unwrap()[bit / 8] ^= 1 << (bit % 8);
        }
    }
}

#[test]
fn every_truncation_and_every_missing_file_is_noticed() {
    let run = small();
    let mut scratch = run.trainer();
    let whole = files(&run, 1).contents();
    for (name, bytes) in &whole {
        let mut contents = whole.clone();
        for length in 0..bytes.len() {
            contents.insert(name.clone(), bytes[..length].to_vec());
            assert!(is_noticed(&contents, &mut scratch), "{name} cut to {length} bytes");
        }
        contents.remove(name);
        assert!(is_noticed(&contents, &mut scratch), "{name} is missing");
        if name != "journal" {
            contents.insert(name.clone(), [bytes, &[0][..]].concat());
            assert!(is_noticed(&contents, &mut scratch), "a byte more in {name}");
        }
    }
}

#[test]
fn a_damaged_state_falls_back_on_the_one_before() {
    let run = small();
    let whole = files(&run, 3).contents();
    let saved = Saved::read_from(Memory::of(&whole).handle()).unwrap().unwrap();
    let steps: Vec<usize> = saved.manifest.generations.iter().map(|saved| saved.progress.steps).collect();
    assert_eq!(steps, [3, 2, 1]);
    let mut damaged = whole.clone();
    let newest = saved.manifest.generations[0].blocks[1].file_name(1);
    damaged.get_mut(&newest).unwrap()[300] ^= 4;
    let memory = Memory::of(&damaged);
    let (mut trainer, mut checkpoints, progress) = run.resume(memory.handle(), 3).unwrap().unwrap();
    assert_eq!(progress.steps, 2);
    checkpoints.save(&mut trainer, &progress).unwrap();
    drop(checkpoints);
    let (mut again, _, progress) = run.resume(memory.handle(), 3).unwrap().unwrap();
    assert_eq!((progress.steps, state(&mut again)), (2, state(&mut trainer)));
    assert!(!memory.contents().contains_key(&newest));
}

#[test]
fn a_damaged_journal_is_set_aside() {
    let run = small();
    let mut contents = files(&run, 1).contents();
    contents.get_mut("journal").unwrap()[30] ^= 1;
    let memory = Memory::of(&contents);
    let (_, _, progress) = run.resume(memory.handle(), 1).unwrap().unwrap();
    assert_eq!(progress.steps, 3);
    assert_eq!(memory.contents()["journal.damaged"], contents["journal"]);
    contents.remove("journal");
    assert!(run.resume(Memory::of(&contents).handle(), 1).unwrap().is_some());
}

/// CRC-32 (ISO 3309), bit by bit.
fn checksum(bytes: &[u8]) -> u32 {
    let step = |crc: u32, _| if crc & 1 == 1 { crc >> 1 ^ 0xEDB8_8320 } else { crc >> 1 };
    !bytes.iter().fold(!0, |crc, &byte| (0..8).fold(crc ^ u32::from(byte), step))
}

#[test]
fn another_version_is_refused_by_number() {
    let run = small();
    let mut contents = files(&run, 1).contents();
    for version in [0u32, 4, 700] {
        let manifest = contents.get_mut("manifest").unwrap();
        manifest[8..12].copy_from_slice(&version.to_le_bytes());
        let header = checksum(&manifest[..24]);
        manifest[24..28].copy_from_slice(&header.to_le_bytes());
        let error = run.resume(Memory::of(&contents).handle(), 1).err().unwrap().to_string();
        assert!(
            error.contains(&format!("format version {version}")) && error.contains("manifest"),
            "{error}"
        );
    }
    let mut contents = files(&run, 1).contents();
    set_journal_version(contents.get_mut("journal").unwrap(), 3);
    let saved = Saved::read_from(Memory::of(&contents).handle()).unwrap().unwrap();
    assert!(saved.records().unwrap_err().to_string().contains("format version 3"));
}

fn set_journal_version(journal: &mut [u8], version: u32) {
    journal[8..12].copy_from_slice(&version.to_le_bytes());
    let header = checksum(&journal[..12]);
    journal[12..16].copy_from_slice(&header.to_le_bytes());
}

/// Earlier releases began journals of labels and values in version 1, too.
#[test]
fn a_journal_of_labels_of_version_1_is_gone_on_with() {
    let run = small().answering(Objective::Labels);
    let mut contents = files(&run, 1).contents();
    let journal = contents.get_mut("journal").unwrap();
    assert_eq!(journal[8], 2);
    set_journal_version(journal, 1);
    let mut manifest = Manifest::decode(&contents["manifest"]).unwrap();
    let saved = &mut manifest.generations[0].journal;
    saved.checksum = checksum(&contents["journal"][..saved.bytes as usize]);
    contents.insert("manifest".into(), manifest.encode().unwrap());
    let memory = Memory::of(&contents);
    let (mut trainer, checkpoints, progress) = run.resume(memory.handle(), 1).unwrap().unwrap();
    let mut saver = Saver { checkpoints: Some(checkpoints), every: 1, ..Saver::idle() };
    run.go_on(&mut trainer, progress, &mut saver).unwrap();
    drop(saver);
    assert_eq!(
        (memory.contents()["journal"][8], memory.contents().contains_key("journal.damaged")),
        (1, false)
    );
    let records = Saved::read_from(memory.handle()).unwrap().unwrap().records().unwrap();
    let epochs = records.iter().filter(|record| match record {
        Record::Epoch { metrics, evaluation, .. } => metrics.is_empty() && evaluation.is_some(),
        _ => false,
    });
    assert_eq!(epochs.count(), 2);
}

/// What version 1 wrote must be read for ever. The files are those of `files(&small(), 1)`.
#[test]
fn version_1_is_read() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/checkpoint/version-1");
    let run = small();
    if std::env::var_os("LOCALGRAD_WRITE_VERSION_1").is_some() {
        std::fs::create_dir_all(&directory).unwrap();
        for (name, bytes) in files(&run, 1).contents() {
            std::fs::write(directory.join(name), bytes).unwrap();
        }
    }
    let saved = Saved::read(&directory).unwrap().unwrap();
    let mut trainer = run.trainer();
    let progress = saved.restore(&mut trainer).unwrap();
    assert_eq!((progress.steps, progress.epoch, progress.position), (3, 1, 3));
    saved.manifest.configuration.check_same(&run.configuration()).unwrap();
    let records = saved.records().unwrap();
    assert!(records.len() >= 7, "{records:?}");
    let bits: Vec<u8> =
        state(&mut trainer).into_iter().flat_map(|(_, bits)| bits).flat_map(u32::to_le_bytes).collect();
    assert_eq!(checksum(&bits), VERSION_1_STATE);
}

/// And what version 2 wrote. The files are those of `files(&judged(), 1)`.
#[test]
fn version_2_is_read() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/checkpoint/version-2");
    let run = judged();
    if std::env::var_os("LOCALGRAD_WRITE_VERSION_2").is_some() {
        std::fs::create_dir_all(&directory).unwrap();
        for (name, bytes) in files(&run, 1).contents() {
            std::fs::write(directory.join(name), bytes).unwrap();
        }
    }
    let saved = Saved::read(&directory).unwrap().unwrap();
    let mut trainer = run.trainer();
    let progress = saved.restore(&mut trainer).unwrap();
    assert_eq!((progress.steps, progress.epoch, progress.position), (3, 3, 1));
    saved.manifest.configuration.check_same(&run.configuration()).unwrap();
    let (evaluation, best) = (progress.evaluation.unwrap(), progress.best.unwrap());
    assert_eq!(evaluation.classes.iter().map(|class| class.samples).sum::<usize>(), evaluation.samples);
    assert!(best.epoch >= 1 && best.epoch + best.epochs_since == 2 && best.score <= 1.0, "{best:?}");
    let bits: Vec<u8> =
        state(&mut trainer).into_iter().flat_map(|(_, bits)| bits).flat_map(u32::to_le_bytes).collect();
    assert_eq!(checksum(&bits), VERSION_2_STATE);
}

/// And what version 3 wrote, with a journal of version 2. The files are those of `files(&labelled(), 1)`.
#[test]
fn version_3_is_read() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/checkpoint/version-3");
    let run = labelled();
    if std::env::var_os("LOCALGRAD_WRITE_VERSION_3").is_some() {
        std::fs::create_dir_all(&directory).unwrap();
        for (name, bytes) in files(&run, 1).contents() {
            std::fs::write(directory.join(name), bytes).unwrap();
        }
    }
    let saved = Saved::read(&directory).unwrap().unwrap();
    let mut trainer = run.trainer();
    let progress = saved.restore(&mut trainer).unwrap();
    assert_eq!((progress.steps, progress.epoch, progress.position), (3, 3, 1));
    saved.manifest.configuration.check_same(&run.configuration()).unwrap();
    let evaluation = progress.evaluation.unwrap();
    let records = saved.records().unwrap();
    let told = records.iter().rev().find_map(|record| match record {
        Record::Epoch { metrics, .. } => Some(metrics),
        _ => None,
    });
    let found: Vec<(String, f64)> =
        evaluation.metrics().into_iter().map(|(name, value)| (name.into(), value)).collect();
    assert_eq!((told, found[0].0.as_str()), (Some(&found), "label_accuracy"));
    let bits: Vec<u8> =
        state(&mut trainer).into_iter().flat_map(|(_, bits)| bits).flat_map(u32::to_le_bytes).collect();
    assert_eq!(checksum(&bits), VERSION_3_STATE);
}

/// Texts with labels, each epoch of one step judged.
fn labelled() -> Run {
    let mut run = Run::of_tokens(Rule::Greedy).answering(Objective::Labels);
    run.loader.batch = 20;
    run.fit.duration = localgrad::fit::Duration::Epochs(6);
    run
}

/// Checksum of the state that the stored files hold.
const VERSION_3_STATE: u32 = 1_985_859_762;

/// The small run in epochs of one step, each of which is judged, by a schedule with a floor and classes with weights.
fn judged() -> Run {
    let mut run = small();
    run.loader.batch = 20;
    run.fit.duration = localgrad::fit::Duration::Epochs(6);
    run.fit.patience = Some(5);
    run.fit.schedule = localgrad::schedule::Schedule::cosine();
    run.train.method.class_weights = vec![1.5; 10];
    run
}

/// Checksum of the state that the stored files hold.
const VERSION_2_STATE: u32 = 4_167_565_108;

/// Checksum of the state that the stored files hold.
const VERSION_1_STATE: u32 = 4_288_431_618;

#[test]
fn wrong_manifests_are_refused() {
    let run = small();
    let manifest = |files: &Memory| Manifest::decode(&files.contents()["manifest"]).unwrap();
    let memory = files(&run, 1);
    let refused = |change: fn(&mut Manifest)| {
        let mut changed = manifest(&memory);
        change(&mut changed);
        let mut contents = memory.contents();
        contents.insert("manifest".into(), changed.encode().unwrap());
        run.resume(Memory::of(&contents).handle(), 1).err().unwrap().to_string()
    };
    assert!(refused(|manifest| manifest.generations.clear()).contains("no generation"));
    assert!(refused(|manifest| manifest.generations[0].number = u64::MAX).contains("too large"));
    assert!(refused(|manifest| manifest.generations[0].blocks.clear()).contains("no blocks"));
    assert!(refused(|manifest| manifest.generations[0].blocks.truncate(2)).contains("2 blocks where 3"));
    assert!(refused(|manifest| manifest.generations[0].blocks[0].written_by = 99).contains("after its own"));
    assert!(refused(|manifest| manifest.generations.extend(manifest.generations.clone())).contains("order"));
    assert!(refused(|manifest| manifest.generations[0].blocks.swap(0, 1)).contains("bytes where"));
}

#[test]
fn another_blocks_file_is_refused_and_changes_nothing() {
    let run = small();
    let contents = files(&run, 1).contents();
    let mut trainer = run.trainer();
    let before = state(&mut trainer);
    let blocks: Vec<&Vec<u8>> =
        contents.iter().filter(|(name, _)| name.starts_with("block-")).map(|(_, bytes)| bytes).collect();
    for (block, other) in [(0, 1), (1, 2), (2, 0)] {
        let error = load(&mut trainer, block, &mut Cursor::new(blocks[other])).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Format);
    }
    assert!(state(&mut trainer) == before);
}

#[cfg(unix)]
#[test]
fn links_and_pipes_are_not_followed() {
    let run = small();
    let directory = tempfile::tempdir().unwrap();
    let (inside, outside) = (directory.path().join("inside"), directory.path().join("outside"));
    std::fs::create_dir(&inside).unwrap();
    for (name, bytes) in files(&run, 1).contents() {
        std::fs::write(inside.join(name), bytes).unwrap();
    }
    std::fs::rename(inside.join("manifest"), &outside).unwrap();
    std::os::unix::fs::symlink(&outside, inside.join("manifest")).unwrap();
    let error = Saved::read(&inside).err().unwrap().to_string();
    assert!(error.contains("no regular file"), "{error}");
    // A link that lies in wait for a file being written is replaced, and what it leads to stays.
    std::fs::write(&outside, b"mine").unwrap();
    std::os::unix::fs::symlink(&outside, inside.join("manifest.part")).unwrap();
    let mut disk = localgrad::checkpoint::files::Disk::new(&inside);
    disk.create("manifest.part").unwrap().write(b"theirs").unwrap();
    assert_eq!(std::fs::read(&outside).unwrap(), b"mine");
}
