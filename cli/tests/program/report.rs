//! The report page: whole, well formed, escaped, and sensible for any metrics file.

use crate::common::{Sample, many, pair};
use localgrad_cli::metrics::{self, Exit, Judged, Mistake, Record, Step, Warning, Writer};
use localgrad_cli::report::{render, write_report};
use std::path::Path;

/// Checks that every tag is closed in order, every attribute quoted, every `&` an entity, and every id unique.
fn assert_well_formed(page: &str) {
    let mut rest = page.strip_prefix("<!DOCTYPE html>\n").expect("a document type");
    let mut open: Vec<String> = Vec::new();
    let mut ids: Vec<String> = Vec::new();
    while let Some(at) = rest.find('<') {
        assert_text(&rest[..at]);
        let end = rest.find('>').expect("an open tag");
        let tag = &rest[at + 1..end];
        rest = &rest[end + 1..];
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop().as_deref(), Some(name), "before {}", &rest[..rest.len().min(80)]);
            continue;
        }
        let (name, mut attributes) = tag.split_once(' ').unwrap_or((tag, ""));
        let closed = attributes.ends_with('/');
        attributes = attributes.trim_end_matches('/').trim();
        while !attributes.is_empty() {
            let (key, value) =
                attributes.split_once("=\"").unwrap_or_else(|| panic!("attributes of <{tag}>"));
            let (value, after) = value.split_once('"').unwrap_or_else(|| panic!("attributes of <{tag}>"));
            assert!(key.chars().all(|c| c.is_ascii_alphanumeric() || c == '-'), "{key:?} in <{tag}>");
            assert_text(value);
            if key == "id" {
                ids.push(value.to_owned());
            }
            attributes = after.trim_start();
        }
        if name == "script" || name == "style" {
            rest = rest.split_once(&format!("</{name}>")).expect("an end of raw text").1;
        } else if !closed {
            open.push(name.to_owned());
        }
    }
    assert!(open.is_empty() && rest.trim().is_empty(), "left open: {open:?}");
    let count = ids.len();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), count, "an id is used twice");
    for reference in page.split("aria-labelledby=\"").skip(1) {
        let (list, _) = reference.split_once('"').expect("a closing quote");
        for id in list.split(' ') {
            assert!(ids.binary_search(&id.to_owned()).is_ok(), "no element has the id {id}");
        }
    }
}

fn assert_text(text: &str) {
    for part in text.split('&').skip(1) {
        let known = ["amp;", "lt;", "gt;", "quot;", "#39;"].iter().any(|entity| part.starts_with(entity));
        assert!(known, "&{part}");
    }
}

/// Checks what holds for every page.
fn assert_sound(page: &str) {
    assert_well_formed(page);
    let page = &without_pictures(page);
    for wrong in ["http:", "https:", "url(", "@import", " src=", "NaN", "inf,", "inf\"", "Infinity"] {
        assert!(!page.contains(wrong), "the page contains {wrong}");
    }
    let curves = page.split("<polyline").skip(1);
    for curve in curves {
        let (_, points) = curve.split_once("points=\"").expect("points");
        let (points, _) = points.split_once('"').expect("a closing quote");
        assert!(points.split(' ').count() <= 600, "{} points", points.split(' ').count());
    }
}

/// The page without the pictures that it holds itself, which its content policy must let through.
fn without_pictures(page: &str) -> String {
    let mut parts = page.split(" src=\"data:image/bmp;base64,");
    let first = parts.next().unwrap().to_string();
    parts.fold(first, |page, part| {
        assert!(page.contains("default-src 'none'; img-src data:;"), "pictures are not let through");
        let (picture, rest) = part.split_once('"').expect("a closing quote");
        assert!(picture.starts_with("Qk"), "{picture} is no BMP file");
        page + rest
    })
}

fn write(directory: &Path, records: &[Record]) {
    let mut writer = Writer::append(&directory.join(metrics::FILE_NAME)).expect("a writable directory");
    records.iter().for_each(|record| writer.write(record).expect("a writable file"));
}

#[test]
fn a_page_is_written_beside_the_metrics() {
    for (name, records) in [("pair", pair()), ("many", many())] {
        // Kept, so that the page can be looked at.
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        let _ = std::fs::remove_dir_all(&directory);
        std::fs::create_dir_all(&directory).unwrap();
        write(&directory, &records);
        std::fs::write(directory.join("report.html"), "an old page").unwrap();
        let path = write_report(&directory).unwrap();
        assert_eq!(path, directory.join("report.html"));
        let page = std::fs::read_to_string(&path).unwrap();
        assert_eq!(page, render(records));
        assert_sound(&page);
        assert_eq!(std::fs::read_dir(&directory).unwrap().count(), 2, "a temporary file is left");
    }
}

#[test]
fn all_sections_are_there_and_tell_the_numbers() {
    let page = render(pair());
    for heading in ["summary", "accuracy", "losses", "memory", "network", "configuration"] {
        assert!(page.contains(&format!("<h2 id=\"{heading}-h\">")), "no section {heading}");
    }
    for text in [
        "96.2 %",
        "−0.7 points",
        "5.2 MiB",
        "14.1 MiB",
        "0.37×",
        "5.51 MiB planned",
        "250 ms of it for data",
        ">planned</text>",
        "localgrad train --data embedded",
    ] {
        assert!(page.contains(text), "no {text}");
    }
    assert_eq!(page.matches("<b>Auxiliary network</b>").count(), 3);
    assert_eq!(page.matches("class=\"unit\"").count(), 11);
    assert!(page.contains("block 4") && !page.contains("block 5"));
}

#[test]
fn an_empty_file_makes_a_page_and_a_missing_or_broken_one_an_error() {
    assert_sound(&render(Vec::new()));
    let directory = tempfile::tempdir().unwrap();
    let error = write_report(directory.path()).unwrap_err();
    assert!(error.to_string().contains("metrics.jsonl"), "{error}");
    std::fs::write(directory.path().join("metrics.jsonl"), "{}\n").unwrap();
    let error = write_report(directory.path()).unwrap_err();
    assert!(error.to_string().contains("line 1"), "{error}");
    assert!(!directory.path().join("report.html").exists());
}

#[test]
fn a_torn_last_line_does_not_hide_the_rest() {
    let directory = tempfile::tempdir().unwrap();
    write(directory.path(), &pair());
    let path = directory.path().join("metrics.jsonl");
    let mut content = std::fs::read(&path).unwrap();
    content.truncate(content.len() - 20);
    std::fs::write(&path, content).unwrap();
    let page = std::fs::read_to_string(write_report(directory.path()).unwrap()).unwrap();
    assert_sound(&page);
    assert!(page.contains("not finished, 940 steps so far"));
}

#[test]
fn a_run_alone_makes_a_sensible_page() {
    let local = Sample { run: "man", blocks: 4, depth: 1, steps: 3, epochs: 1, peak_mib: 3.0, accuracy: 0.4 };
    let end_to_end = Sample { run: "bp", blocks: 1, ..local };
    for (sample, expected) in
        [(local, "Auxiliary network"), (end_to_end, "gradients run through the whole network")]
    {
        let records = sample.records();
        // Whatever part of the file is there, as after a kill at any moment.
        for length in 1..=records.len() {
            assert_sound(&render(records[..length].to_vec()));
        }
        assert!(render(records).contains(expected));
    }
}

#[test]
fn records_without_their_start_make_a_page() {
    for record in pair().into_iter().skip(1) {
        let Record::Step(Step { step: 2.., .. }) = record else {
            assert_sound(&render(vec![record]));
            continue;
        };
    }
}

#[test]
fn everything_from_the_file_is_escaped() {
    let evil = "<script>alert('&')</script>\" onload=\"x";
    let text = evil.to_owned();
    let records: Vec<Record> = pair().into_iter().filter(|record| record.run() == "man").collect();
    let mut records: Vec<Record> = records.into_iter().map(|record| rename(record, evil)).collect();
    let Record::Start(start) = &mut records[0] else { panic!("no start") };
    for field in
        [&mut start.version, &mut start.network, &mut start.rule, &mut start.device, &mut start.command]
    {
        field.clone_from(&text);
    }
    for unit in &mut start.units {
        (unit.name, unit.kind, unit.features) = (text.clone(), text.clone(), text.clone());
    }
    start.blocks.iter_mut().for_each(|block| block.auxiliary.clone_from(&text));
    records.push(Record::Warning(Warning { run: text.clone(), message: text.clone() }));
    let mistake = Mistake {
        sample: text.clone(),
        class: text.clone(),
        taken_for: text.clone(),
        probability: f64::NAN,
        thumbnail: text.clone(),
    };
    let (classes, confusion) = (vec![text.clone(); 3], vec![vec![1], vec![]]);
    records.push(Record::Judged(Judged { run: text, classes, confusion, mistakes: vec![mistake] }));
    let page = render(records);
    assert_sound(&page);
    assert_eq!(page.matches("<script").count(), 1);
    assert!(!page.contains("alert('") && !page.contains("\" onload"));
    assert!(page.matches("&lt;script&gt;alert(&#39;&amp;&#39;)").count() > 20);
}

#[test]
fn mistakes_are_shown_with_their_pictures() {
    let mistake = |sample: &str, probability, thumbnail: &str| Mistake {
        sample: sample.into(),
        class: "cat".into(),
        taken_for: "dog".into(),
        probability,
        thumbnail: thumbnail.into(),
    };
    let mistakes = vec![mistake("tom & co.png", 0.987, "Qk1GAAAA+/8="), mistake("7", 0.5, "")];
    let judged = |run: &str| {
        Record::Judged(Judged {
            run: run.into(),
            classes: vec!["cat".into(), "dog".into()],
            confusion: vec![vec![31, 2], vec![0, 17]],
            mistakes: mistakes.clone(),
        })
    };
    let page = render(pair().into_iter().chain([judged("man"), judged("bp")]).collect());
    assert_sound(&page);
    assert_eq!(page.matches("What is taken for what: ").count(), 2);
    let rows = [
        "<th scope=\"row\">cat</th><td><strong>31</strong></td><td>2</td>",
        "<th scope=\"row\">dog</th><td></td><td><strong>17</strong></td>",
        "<td><img alt=\"tom &amp; co.png\" src=\"data:image/bmp;base64,Qk1GAAAA+/8=\" /></td><th scope=\"row\">tom &amp; \
         co.png</th><td>cat</td><td>dog</td><td>98.7 %</td>",
        "<td></td><th scope=\"row\">7</th>",
    ];
    for row in rows {
        assert_eq!(page.matches(row).count(), 2, "{row}");
    }
    // A run that goes on is yet to be judged anew.
    let [before, again] = [pair(), pair()];
    let page = render(before.into_iter().chain([judged("man")]).chain(again).collect());
    assert!(!page.contains("taken for what"));
}

#[test]
fn exits_have_a_chart_and_a_table() {
    let exit = |exit: u64| {
        Record::Exit(Exit {
            run: "man".into(),
            exit,
            after_unit: 3 * exit,
            accuracy: 0.7 + 0.1 * exit as f64,
            multiply_adds: 10_000_000 * exit,
            parameters: 20_000 * exit,
            bytes: 80_000 * exit,
            milliseconds: 0.4 * exit as f64,
            temperature: 1.2,
        })
    };
    let page = render(pair().into_iter().chain((1..=2).map(exit)).collect());
    assert_sound(&page);
    assert!(page.contains("million multiply-adds") && page.contains("0.800 ms"), "both");
    assert!(!render(pair()).contains("million multiply-adds"));
    // A run that goes on is yet to be judged anew.
    let again = pair().into_iter().chain((1..=2).map(exit)).chain(pair());
    assert!(!render(again.collect()).contains("million multiply-adds"));
}

fn rename(mut record: Record, name: &str) -> Record {
    let run = match &mut record {
        Record::Start(start) => &mut start.run,
        Record::Step(step) => &mut step.run,
        Record::Memory(memory) => &mut memory.run,
        Record::Epoch(epoch) => &mut epoch.run,
        Record::Board(board) => &mut board.run,
        Record::Warning(warning) => &mut warning.run,
        Record::Judged(judged) => &mut judged.run,
        Record::Exit(exit) => &mut exit.run,
        Record::Done(done) => &mut done.run,
    };
    *run = name.into();
    record
}

#[test]
fn losses_that_are_not_finite_are_gaps() {
    let mut records = pair();
    for record in &mut records {
        if let Record::Step(step) = record
            && (300..500).contains(&step.step)
        {
            step.losses.fill(f64::NAN);
        }
        if let Record::Done(done) = record {
            (done.accuracy, done.loss) = (f64::NAN, f64::NAN);
        }
    }
    let whole = render(pair()).matches("class=\"line\"").count();
    let page = render(records);
    assert_sound(&page);
    // Each of the five loss curves is drawn in two pieces.
    assert_eq!(page.matches("class=\"line\"").count(), whole + 5);
}

#[test]
fn numbers_out_of_all_proportion_make_a_page() {
    let mut records = pair();
    for record in &mut records {
        match record {
            Record::Step(step) => step.losses.iter_mut().for_each(|loss| *loss *= 1e30_f64.powf(*loss)),
            Record::Memory(memory) => memory.points.iter_mut().for_each(|point| point[1] *= 1e12),
            Record::Epoch(epoch) => epoch.accuracy = 0.5,
            Record::Done(done) => (done.peak_bytes, done.seconds) = (u64::MAX, 1e18),
            Record::Start(start) => start.blocks.iter_mut().for_each(|block| block.last_unit = usize::MAX),
            Record::Exit(exit) => (exit.accuracy, exit.multiply_adds) = (1.0, u64::MAX),
            Record::Board(_) | Record::Warning(_) | Record::Judged(_) => {}
        }
    }
    assert_sound(&render(records));
}
