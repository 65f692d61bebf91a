//! Tests of the metrics file.

use super::*;
use crate::board::Temperature;
use localgrad::ErrorKind;
use std::path::PathBuf;

fn step(number: u64) -> Record {
    Record::Step(Step { run: "man".into(), step: number, losses: vec![1.5, 0.25], ..Step::default() })
}

fn path_in(directory: &tempfile::TempDir) -> PathBuf {
    directory.path().join(FILE_NAME)
}

fn file_with(content: &[u8]) -> (tempfile::TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = path_in(&directory);
    std::fs::write(&path, content).unwrap();
    (directory, path)
}

fn line(record: &Record) -> String {
    serde_json::to_string(record).unwrap() + "\n"
}

fn board() -> BoardRecord {
    let temperatures = vec![Temperature { name: "gpu-thermal".into(), celsius: 81.5 }];
    let board = Board { power_mode: Some("15W".into()), temperatures, ..Board::default() };
    BoardRecord { run: "man".into(), step: 3, resting: true, rested_seconds: 2.5, board }
}

#[test]
fn every_kind_of_record_survives_the_file() {
    let unit = UnitRecord { name: "stem".into(), features: "16x28x28".into(), ..UnitRecord::default() };
    let block = BlockRecord { last_unit: 3, auxiliary: "head 1c2f".into(), ..BlockRecord::default() };
    let start = Start {
        run: "man".into(),
        epochs: Some(3),
        input: [3, 32, 32].into(),
        units: vec![unit],
        blocks: vec![block],
        ..Start::default()
    };
    let records = vec![
        Record::Start(Box::new(start)),
        step(1),
        Record::Memory(Memory { run: "man".into(), step: 1, points: vec![[0.0, 1e6, 0.0], [0.5, 2e6, 1.0]] }),
        Record::Epoch(Epoch { run: "man".into(), epoch: 1, accuracy: 0.9173, ..Epoch::default() }),
        Record::Board(Box::new(board())),
        Record::Warning(Warning { run: "man".into(), message: "a \"quoted\"\nline".into() }),
        Record::Done(Done { run: "man".into(), planned_bytes: Some(1 << 40), ..Done::default() }),
    ];
    let directory = tempfile::tempdir().unwrap();
    let mut writer = Writer::append(&path_in(&directory)).unwrap();
    for (count, record) in records.iter().enumerate() {
        writer.write(record).unwrap();
        assert_eq!(read(&path_in(&directory)).unwrap().len(), count + 1);
    }
    assert_eq!(read(&path_in(&directory)).unwrap(), records);
    assert!(records.iter().all(|record| record.run() == "man"));
}

#[test]
fn a_line_has_the_event_first_and_names_as_written_in_the_contract() {
    let text = line(&step(7));
    assert!(
        text.starts_with(r#"{"event":"step","run":"man","step":7,"epoch":0,"losses":[1.5,0.25],"#),
        "{text}"
    );
}

#[test]
fn a_loss_that_is_not_finite_is_null_and_comes_back_as_nan() {
    let diverged = Record::Step(Step { losses: vec![0.5, f64::INFINITY, f64::NAN], ..Step::default() });
    let (_directory, path) = file_with(line(&diverged).as_bytes());
    let Record::Step(step) = &read(&path).unwrap()[0] else { panic!("not a step") };
    assert_eq!(step.losses[0], 0.5);
    assert!(step.losses[1].is_nan() && step.losses[2].is_nan());
}

#[test]
fn fields_added_later_may_be_missing() {
    let text = r#"{"event":"start","run":"bp","version":"0.1.0","network":"n","rule":"bp","seed":1,"batch":8,
        "epochs":null,"steps":5,"samples":9,"classes":2,"parameters":3,"input":[1,2,3],"units":[],"blocks":[]}"#;
    let (_directory, path) = file_with((text.replace('\n', "") + "\n").as_bytes());
    let Record::Start(start) = &read(&path).unwrap()[0] else { panic!("not a start") };
    assert_eq!((start.steps, start.command.as_str()), (Some(5), ""));
}

#[test]
fn a_torn_last_line_is_dropped_wherever_it_was_torn() {
    let whole = line(&step(1));
    let second = line(&step(2));
    for cut in 0..second.len() {
        let (_directory, path) = file_with(format!("{whole}{}", &second[..cut]).as_bytes());
        // Only the line end is missing at the last cut: that record is whole.
        let expected = if cut == second.len() - 1 { 2 } else { 1 };
        assert_eq!(read(&path).unwrap().len(), expected, "cut at {cut}");
    }
    let (_directory, path) = file_with([whole.as_bytes(), &[0; 300]].concat().as_slice());
    assert_eq!(read(&path).unwrap().len(), 1, "zeros, as a power cut leaves them");
}

#[test]
fn the_writer_repairs_a_torn_file_before_it_goes_on() {
    let second = line(&step(2));
    for cut in 0..second.len() {
        let (_directory, path) = file_with(format!("{}{}", line(&step(1)), &second[..cut]).as_bytes());
        let kept = read(&path).unwrap();
        Writer::append(&path).unwrap().write(&step(3)).unwrap();
        let expected: Vec<Record> = kept.into_iter().chain([step(3)]).collect();
        assert_eq!(read(&path).unwrap(), expected, "cut at {cut}");
    }
    let long_tail = vec![b'x'; 200_000];
    let (_directory, path) = file_with(&[line(&step(1)).as_bytes(), &long_tail].concat());
    Writer::append(&path).unwrap().write(&step(2)).unwrap();
    assert_eq!(read(&path).unwrap(), [step(1), step(2)]);
}

#[test]
fn anything_else_malformed_is_an_error_that_names_file_and_line() {
    let good = line(&step(1));
    for bad in [
        "{\"event\":\"step\"}",
        "{\"event\":\"dance\",\"run\":\"man\"}",
        "[1, 2]",
        "{\"event\":\"step\",\"run\":",
        "\u{0}\u{0}",
    ] {
        let (_directory, path) = file_with(format!("{good}{good}{bad}\n{good}").as_bytes());
        let error = read(&path).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Format);
        let text = error.to_string();
        assert!(text.contains("metrics.jsonl, line 3 is not"), "{text}");
        assert!(!text.contains("at line 1"), "{text}");
    }
    let (_directory, path) = file_with(&[good.as_bytes(), b"\xff\xfe\n"].concat());
    assert!(read(&path).unwrap_err().to_string().contains("line 2"));
}

#[test]
fn an_empty_file_has_no_records_and_a_missing_one_is_an_error() {
    let (directory, path) = file_with(b"\n\n");
    assert!(read(&path).unwrap().is_empty());
    let error = read(&directory.path().join("absent")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Io);
}

#[test]
fn what_was_not_judged_is_a_dash() {
    assert_eq!(metric_text("accuracy", 0.81234), "81.23 %");
    assert_eq!(metric_text("squared_error", 0.5), "0.5000");
    assert_eq!(metric_text("accuracy", f64::NAN), "–");
    assert_eq!(metric_text("squared_error", f64::NAN), "–");
}
