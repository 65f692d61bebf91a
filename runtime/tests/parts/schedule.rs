//! Learning-rate schedules: the published recipe's numbers, and sensible short runs.

use localgrad::ErrorKind;
use localgrad::schedule::Schedule;

fn assert_rate(actual: f64, expected: f64) {
    assert!((actual - expected).abs() <= 1e-12, "{actual}, expected {expected}");
}

// from math import cos, pi
// def rate(base, e, E):
//     lr = 0.5 * base * (1 + cos(pi * e / E))
//     return lr * (e - 1) / 10 + 0.01 * (11 - e) / 10 if e <= 10 else lr
// for base, E, epochs in (0.8, 400, (1, 2, 5, 10, 11, 45, 200, 399, 400)), (0.05, 90, (1, 2, 5, 10, 11, 45)):
//     print([(e, rate(base, e, E)) for e in epochs])
#[test]
fn the_published_recipe_comes_out() {
    let cifar = [
        (1, 0.01),
        (2, 0.08899506529926643),
        (5, 0.3258766457985157),
        (10, 0.7198902401439261),
        (11, 0.7985081505971765),
        (45, 0.7752765343689938),
        (200, 0.4),
        (399, 1.2336942084134606e-05),
        (400, 0.0),
    ];
    for (epoch, expected) in cifar {
        assert_rate(Schedule::published().rate(0.8, epoch, 400), expected);
    }
    let imagenet = [
        (1, 0.01),
        (2, 0.01399391012564956),
        (5, 0.025848077530122082),
        (10, 0.04464308396768295),
        (11, 0.048179596364169686),
        (45, 0.025),
    ];
    for (epoch, expected) in imagenet {
        assert_rate(Schedule::published().rate(0.05, epoch, 90), expected);
    }
}

#[test]
fn short_runs_warm_up_for_a_quarter() {
    let cosine = |epoch: usize, epochs: usize| {
        0.4 * (1.0 + (std::f64::consts::PI * epoch as f64 / epochs as f64).cos())
    };
    let rate = |epoch, epochs| Schedule::published().rate(0.8, epoch, epochs);
    assert_rate(rate(1, 8), 0.01);
    assert_rate(rate(2, 8), cosine(2, 8) / 2.0 + 0.005);
    assert_rate(rate(3, 8), cosine(3, 8));
    // Under four epochs there is no warm-up, and one epoch alone must not run at 0.
    assert_rate(rate(1, 3), cosine(1, 3));
    assert_rate(rate(1, 1), 0.4);
    // From 40 epochs on the warm-up is whole.
    assert_rate(rate(10, 40), cosine(10, 40) * 0.9 + 0.001);
    assert_rate(rate(11, 40), cosine(11, 40));
}

#[test]
fn warm_up_never_starts_above_the_base_rate() {
    assert_rate(Schedule::published().rate(0.001, 1, 400), 0.001);
    for schedule in [Schedule::cosine(), Schedule::published()] {
        assert!((1..=400).all(|epoch| schedule.rate(0.001, epoch, 400) <= 0.001));
    }
}

// from math import cos, pi
// def rate(base, e, E, warmup, start, f=0.01):
//     t, W = e - 0.5, min(warmup, E // 4)
//     c = base * (f + (1 - f) / 2 * (1 + cos(pi * t / E)))
//     return c * t / W + start * (W - t) / W if e <= W else c
// for E, epochs in (1, (1,)), (2, (1, 2)), (3, (1, 2, 3)), (8, (1, 2, 3, 8)), (30, (1, 7, 8, 29, 30)):
//     print([(E, e, rate(0.1, e, E, 10, 0.01)) for e in epochs])
#[test]
fn a_cosine_ends_just_above_its_floor() {
    let expected = [
        (1, 1, 0.0505),
        (2, 1, 0.0855017856687341),
        (2, 2, 0.015498214331265903),
        (3, 1, 0.09336825748732973),
        (3, 2, 0.0505),
        (3, 3, 0.007631742512670284),
        (8, 1, 0.03226221784498998),
        (8, 2, 0.07124330935673201),
        (8, 3, 0.07800072653447032),
        (8, 8, 0.0019511286200400936),
        (30, 1, 0.0164237258550251),
        (30, 7, 0.08332810187125433),
        (30, 8, 0.0855017856687341),
        (30, 29, 0.001609427140540686),
        (30, 30, 0.0010678380296485954),
    ];
    for (epochs, epoch, rate) in expected {
        assert_rate(Schedule::default().rate(0.1, epoch, epochs), rate);
    }
    let floor = |floor| Schedule::Cosine { warmup_epochs: 3, start_rate: 0.0, floor: Some(floor) };
    for epochs in (1..50).chain([1000, 100_000]) {
        let rates: Vec<f64> = (1..=epochs).map(|epoch| floor(0.02).rate(0.1, epoch, epochs)).collect();
        assert!(rates.iter().all(|&rate| rate > 0.0 && rate <= 0.1), "{epochs}: {rates:?}");
        assert!(rates[epochs / 2..].iter().all(|&rate| rate >= 0.02 * 0.1), "{epochs}: {rates:?}");
        // A cosine to 0 trains in every epoch, too.
        assert!(floor(0.0).rate(0.1, epochs, epochs) > 0.0);
    }
    assert_rate(floor(1.0).rate(0.1, 30, 30), 0.1);
    assert!((floor(0.02).rate(0.1, 100_000, 100_000) - 0.002).abs() < 1e-10);
}

#[test]
fn a_run_goes_on_by_the_schedule_that_it_began_with() {
    let stored: Schedule =
        serde_json::from_str(r#"{"cosine":{"warmup_epochs":10,"start_rate":0.01}}"#).unwrap();
    assert_eq!(stored, Schedule::published());
    assert_eq!(Schedule::default().as_begun(&stored), stored);
    assert_eq!(Schedule::default().as_begun(&Schedule::default()), Schedule::default());
    assert_eq!(Schedule::Constant.as_begun(&stored), Schedule::Constant);
    let shorter = Schedule::Cosine { warmup_epochs: 2, start_rate: 0.01, floor: Some(0.1) };
    assert_ne!(shorter.as_begun(&stored), stored);
}

#[test]
fn a_cosine_without_warm_up_is_the_bare_cosine() {
    let schedule = Schedule::Cosine { warmup_epochs: 0, start_rate: 0.01, floor: None };
    assert_rate(schedule.rate(1.0, 1, 4), 0.5 * (1.0 + 0.5f64.sqrt()));
    assert_rate(schedule.rate(1.0, 2, 4), 0.5);
}

#[test]
fn steps_multiply_after_their_milestones() {
    let schedule = Schedule::Step { milestones: vec![2, 4], factor: 0.1 };
    let rates: Vec<f64> = (1..=6).map(|epoch| schedule.rate(1.0, epoch, 6)).collect();
    for (actual, expected) in rates.into_iter().zip([1.0, 1.0, 0.1, 0.1, 0.01, 0.01]) {
        assert_rate(actual, expected);
    }
}

#[test]
fn epochs_outside_the_run_count_as_its_ends() {
    for schedule in
        [Schedule::cosine(), Schedule::Constant, Schedule::Step { milestones: vec![3], factor: 0.5 }]
    {
        assert_eq!(schedule.rate(0.1, 0, 20), schedule.rate(0.1, 1, 20));
        assert_eq!(schedule.rate(0.1, 99, 20), schedule.rate(0.1, 20, 20));
        assert!(schedule.rate(0.1, 0, 0).is_finite());
    }
    assert_eq!(Schedule::Constant.rate(0.1, 7, 20), 0.1);
}

#[test]
fn validates_its_ranges() {
    let step = |milestones: &[usize], factor| Schedule::Step { milestones: milestones.to_vec(), factor };
    let cosine = |start_rate| Schedule::Cosine { warmup_epochs: 10, start_rate, floor: None };
    let floor = |share| Schedule::Cosine { warmup_epochs: 10, start_rate: 0.01, floor: Some(share) };
    for good in [
        Schedule::Constant,
        Schedule::cosine(),
        step(&[], 0.1),
        step(&[1, 5], 2.0),
        cosine(0.0),
        floor(0.0),
        floor(1.0),
    ] {
        assert!(good.validate().is_ok(), "{good:?}");
    }
    for (bad, word) in [
        (step(&[5, 1], 0.1), "milestones"),
        (step(&[5, 5], 0.1), "milestones"),
        (step(&[0, 5], 0.1), "milestones"),
        (step(&[5], 0.0), "factor"),
        (step(&[5], f64::NAN), "factor"),
        (cosine(-0.1), "start_rate"),
        (cosine(f64::INFINITY), "start_rate"),
        (floor(-0.1), "floor"),
        (floor(1.5), "floor"),
        (floor(f64::NAN), "floor"),
    ] {
        let refused = bad.validate().unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Config);
        assert!(refused.to_string().starts_with(word), "{refused}");
    }
}

#[test]
fn reads_and_writes_json() {
    for (schedule, text) in [
        (Schedule::Constant, r#""constant""#),
        (
            Schedule::Step { milestones: vec![30, 60], factor: 0.1 },
            r#"{"step":{"milestones":[30,60],"factor":0.1}}"#,
        ),
        (Schedule::published(), r#"{"cosine":{"warmup_epochs":10,"start_rate":0.01}}"#),
        (Schedule::cosine(), r#"{"cosine":{"warmup_epochs":10,"start_rate":0.01,"floor":0.01}}"#),
    ] {
        assert_eq!(serde_json::to_string(&schedule).unwrap(), text);
        assert_eq!(serde_json::from_str::<Schedule>(text).unwrap(), schedule);
    }
}
