//! Launches that are begun as one: they give what they give one by one, and a graph is told what has changed.

use localgrad::ErrorKind;
use localgrad::device::array::Array;
use localgrad::device::emulated::{Emulated, HeldGraphs};
use localgrad::device::engine::{Engine, Operand};
use localgrad::device::launches::elements::scaled;
use localgrad::device::table::all::Class;
use localgrad::device::table::body::{Body, Element};
use std::sync::{Arc, Mutex};

const LEN: usize = 100;
/// Over two blocks.
const LONG: usize = 1025;

fn engine() -> (Engine, Arc<Mutex<HeldGraphs>>) {
    let graphs = Arc::new(Mutex::new(HeldGraphs::default()));
    let device = Emulated { graphs: Some(graphs.clone()), ..Emulated::default() };
    (Engine::new("emulated", device, Class::Scalar), graphs)
}

fn full(engine: &Engine, len: usize, value: f32) -> Array {
    Array::of_floats(engine, &vec![value; len], &[len]).unwrap()
}

fn empty(engine: &Engine, len: usize) -> Array {
    Array::empty(engine, Element::F32, &[len]).unwrap()
}

/// `to` becomes `from` times `factor`.
fn scale(engine: &Engine, from: &Array, to: &Array, factor: f32) {
    let operands = [Operand::from(from), Operand::from(to)];
    engine.launch(&scaled(Body::Scale, from.len(), factor).unwrap(), &operands).unwrap();
}

/// Graphs, launches in them and changes of these since somebody last asked.
fn counted(engine: &Engine) -> [u64; 3] {
    let launched = engine.take_launched();
    [launched.graphs, launched.graph_launches, launched.updates]
}

#[test]
fn what_changes_arrives_in_a_graph() {
    let (engine, graphs) = engine();
    let (x, other) = (full(&engine, LEN, 2.0), full(&engine, LEN, 5.0));
    let outputs: Vec<Array> = (0..8).map(|_| empty(&engine, LEN)).collect();
    let round = |factor: f32, fifth: &Array| {
        for (i, y) in outputs.iter().enumerate() {
            scale(&engine, if i == 5 { fifth } else { &x }, y, if i == 3 { factor } else { i as f32 });
        }
        for (i, y) in outputs.iter().enumerate() {
            let factor = if i == 3 { factor } else { i as f32 };
            let expected = factor * if i == 5 { fifth.floats().unwrap()[0] } else { 2.0 };
            assert_eq!(y.floats().unwrap(), vec![expected; LEN], "{i}");
        }
        counted(&engine)
    };
    assert_eq!(round(10.0, &x), [0, 0, 0], "what comes once is no graph");
    assert_eq!(round(10.0, &x), [1, 8, 0]);
    assert_eq!(round(11.0, &x), [1, 8, 1]);
    assert_eq!(round(12.0, &other), [1, 8, 2]);
    assert_eq!(round(12.0, &other), [1, 8, 0]);
    assert_eq!(graphs.lock().unwrap().made, 1);
    // One more launch is another series, and the first one stays.
    for expected in [[0, 0, 0], [1, 9, 0]] {
        let more = empty(&engine, LEN);
        outputs.iter().chain([&more]).for_each(|y| scale(&engine, &x, y, 1.0));
        assert_eq!(more.floats().unwrap(), vec![2.0; LEN]);
        assert_eq!(counted(&engine), expected);
    }
    assert_eq!(round(12.0, &other), [1, 8, 0]);
    assert_eq!(graphs.lock().unwrap().made, 2);
}

#[test]
fn a_launch_of_a_graph_sees_what_was_copied_before_it() {
    let (engine, _) = engine();
    for round in 0..4 {
        let x = full(&engine, LEN, round as f32);
        let mut before = x.copy().unwrap();
        for _ in 0..6 {
            let y = empty(&engine, LEN);
            scale(&engine, &before, &y, 2.0);
            before = y;
        }
        let copy = before.copy().unwrap();
        scale(&engine, &before, &x, 0.0);
        assert_eq!(copy.floats().unwrap(), vec![64.0 * round as f32; LEN]);
        assert_eq!(x.floats().unwrap(), vec![0.0; LEN]);
    }
    assert!(engine.take_launched().graphs >= 2);
}

#[test]
fn an_error_inside_a_graph_leaves_things_whole() {
    let (engine, graphs) = engine();
    let x = full(&engine, LEN, 3.0);
    let outputs: Vec<Array> = (0..6).map(|_| empty(&engine, LEN)).collect();
    let unwritten = empty(&engine, LEN - 1);
    let round = |fourth: &Array| {
        for (i, y) in outputs.iter().enumerate() {
            scale(&engine, if i == 4 { fourth } else { &x }, y, 2.0);
        }
    };
    for _ in 0..3 {
        round(&x);
        engine.wait().unwrap();
    }
    assert_eq!((counted(&engine), graphs.lock().unwrap().held.len()), ([2, 12, 0], 1));
    let live_bytes = engine.usage().live_bytes;
    round(&unwritten);
    let error = engine.wait().unwrap_err();
    assert!(error.kind() == ErrorKind::Device && error.to_string().contains("nobody has written"), "{error}");
    assert_eq!((engine.usage().live_bytes, graphs.lock().unwrap().held.len()), (live_bytes, 0));
    engine.wait().unwrap();
    for expected in [[0, 0, 0], [1, 6, 0]] {
        round(&x);
        assert_eq!(outputs[5].floats().unwrap(), vec![6.0; LEN]);
        assert_eq!(counted(&engine), expected);
    }
}

#[test]
fn few_graphs_are_kept() {
    let (engine, graphs) = engine();
    let pairs = [8, LONG].map(|len| (full(&engine, len, 1.0), empty(&engine, len)));
    for series in 0..70usize {
        for _ in 0..2 {
            for bit in 0..7 {
                let (x, y) = &pairs[series >> bit & 1];
                scale(&engine, x, y, 3.0);
            }
            engine.wait().unwrap();
        }
    }
    let graphs = graphs.lock().unwrap();
    assert_eq!((graphs.made, graphs.held.len()), (70, 64));
    assert_eq!(pairs[1].1.floats().unwrap(), vec![3.0; LONG]);
}
