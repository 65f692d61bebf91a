//! `localgrad bench`

use crate::arguments::{BenchArguments, OptimizerName};
#[cfg(feature = "emulated")]
use crate::bench::count::CountRecord;
use crate::bench::ops::{self, Op, Times};
use crate::bench::product::Product;
use crate::bench::subject::Subject;
use crate::bench::{least, median};
use crate::board::Board;
use crate::budget;
use crate::choices;
use crate::fault::{Fault, Outcome};
use crate::output::{Output, bytes, table};
use localgrad::layers::LayerSpec;
use localgrad::maps::Place;
use localgrad::memory;
use localgrad::network::NetworkSpec;
use localgrad::optimizer::OptimizerConfig;
use localgrad::plan::{Workload, plan};
use localgrad::precision::ProductPrecision;
use localgrad::rules::Rule;
use localgrad::threads::Workers;
use localgrad::trainer::{Execution, Method, TrainConfig};
use localgrad_models::cut::Cut;
use serde::Serialize;
use std::io::BufRead;

/// The product's time is the best of at least this many.
const LEAST_PRODUCTS: usize = 10;

/// What `--json` prints at the end.
#[derive(Serialize)]
struct BenchRecord {
    event: &'static str,
    model: String,
    rule: String,
    blocks: usize,
    batch: usize,
    device: String,
    /// In what a device multiplies.
    #[serde(skip_serializing_if = "Option::is_none")]
    precision: Option<ProductPrecision>,
    threads: usize,
    steps: usize,
    step_seconds: f64,
    min_step_seconds: f64,
    images_per_second: f64,
    gflops: f64,
    matmul_peak_gflops: f64,
    peak_bytes: usize,
    /// What was planned of it.
    planned_bytes: Option<usize>,
    resident_bytes: Option<u64>,
    large_allocations: usize,
    loss: f64,
    /// Temperatures, clocks and power mode after the last step, where the machine tells them.
    #[serde(skip_serializing_if = "Option::is_none")]
    board: Option<Board>,
}

/// What `--json` prints for each layer with `--ops`.
#[derive(Serialize)]
struct OpRecord {
    event: &'static str,
    op: String,
    features: String,
    forward_seconds: f64,
    d_input_seconds: f64,
    d_weight_seconds: Option<f64>,
    forward_gflops: Option<f64>,
    d_input_gflops: Option<f64>,
    d_weight_gflops: Option<f64>,
}

/// What `--serve` answers.
#[derive(Serialize)]
struct ServedRecord {
    event: &'static str,
    seconds: Vec<f64>,
}

/// Times steps, and says how fast they were beside what the machine can do.
pub fn run(arguments: &BenchArguments) -> Outcome<()> {
    let output = Output { json: arguments.output.json };
    if arguments.batch == 0 || arguments.steps == 0 {
        return Err(Fault::usage("--batch and --steps need at least 1"));
    }
    let input = choices::inputs(&arguments.shape.input)?;
    let answers = choices::answers(&arguments.shape, None)?;
    let network = choices::network(&arguments.model, input, answers)?;
    let config = train_config(arguments, &network)?;
    #[cfg(feature = "emulated")]
    if arguments.count {
        return count(arguments, network, config, output);
    }
    let place = arguments.device.open()?;
    if arguments.ops && !place.is_host() {
        return Err(Fault::usage("--ops times the kernels of the CPU; leave it out, or use --device cpu"));
    }
    let workers = choices::workers(arguments.device.threads)?;
    let planned_bytes = planned(&network, &config, arguments.batch, (&place, &workers))?;
    let (ends, rule) = (config.method.ends.clone(), config.method.rule.clone());
    let operations = needed_operations(&network, &config, arguments.batch)?;

    let mut product = Product::new(workers.count())?;
    let mut subject = Subject::new(&network, config, arguments.batch, (&place, &workers))?;
    if arguments.serve {
        serve(&mut subject, &mut product)?;
    } else {
        for _ in 0..arguments.steps {
            subject.step()?;
            product.repeat()?;
        }
    }
    let resident_bytes = subject.resident_growth_bytes();
    while product.repeats < LEAST_PRODUCTS {
        product.repeat()?;
    }
    let step_seconds = median(&subject.seconds);
    let record = BenchRecord {
        event: "bench",
        model: network.name.clone(),
        rule: rule.rule.to_string(),
        blocks: ends.len(),
        batch: arguments.batch,
        device: arguments.device.device.clone(),
        precision: Some(place.products()).filter(|_| !place.is_host()),
        threads: workers.count(),
        steps: subject.seconds.len(),
        step_seconds,
        min_step_seconds: least(&subject.seconds),
        images_per_second: arguments.batch as f64 / step_seconds,
        gflops: operations / step_seconds * 1e-9,
        matmul_peak_gflops: product.gflops(),
        peak_bytes: subject.peak_bytes,
        planned_bytes,
        resident_bytes,
        large_allocations: subject.large_allocations,
        loss: subject.loss,
        board: Some(Board::read(&arguments.board)).filter(|board| !board.is_silent()),
    };
    drop(subject);
    if arguments.ops {
        measure_ops(&network, arguments.batch, &workers, &mut product, output)?;
    }
    output.record(&record);
    if !output.json {
        output.text(&result_table(&record));
    }
    Ok(())
}

/// Tells what a step launches.
#[cfg(feature = "emulated")]
fn count(
    arguments: &BenchArguments,
    network: NetworkSpec,
    config: TrainConfig,
    output: Output,
) -> Outcome<()> {
    if arguments.device.device != "emulated" {
        return Err(Fault::usage("--count is of a device with kernels of our own; add --device emulated"));
    }
    let counted = CountRecord::of(network, config, arguments.batch, arguments.device.precision)?;
    output.record(&counted);
    if !output.json {
        output.text(&table(&["a step", "counted"], &counted.rows()));
        output.text(&table(&["kernel", "launches", "read", "written"], &counted.kernel_rows()));
    }
    Ok(())
}

/// The most bytes that steps take where they take place, if that can be known; refuses those that take more memory than this
/// process may have.
fn planned(
    network: &NetworkSpec,
    config: &TrainConfig,
    batch: usize,
    (place, workers): (&Place, &Workers),
) -> Outcome<Option<usize>> {
    let steps = |batch| Workload::steps(network.clone(), config.clone(), batch, workers.count());
    if !place.is_host() {
        let steps = Workload { place: Some(place.clone()), ..steps(batch) };
        return Ok(budget::rehearsed(&steps, None)?.map(|found| found.held_bytes));
    }
    let program_bytes = memory::live();
    let needed_bytes = |batch| Ok(plan(&Workload { program_bytes, ..steps(batch) })?.peak_bytes);
    let planned_bytes = needed_bytes(batch)?;
    budget::check_machine(planned_bytes, "a step", || match budget::most_that_fits(batch, needed_bytes) {
        Ok(Some(batch)) => format!("--batch {batch} would do"),
        _ => "take a smaller network or fewer --threads".into(),
    })?;
    Ok(Some(planned_bytes - program_bytes))
}

/// Two for each multiply-add of a step that repeats nothing, however it is carried out here.
fn needed_operations(network: &NetworkSpec, config: &TrainConfig, batch: usize) -> Outcome<f64> {
    let Method { rule, ends, .. } = config.method.clone();
    let train = TrainConfig::from(Method { rule, ends, ..Method::default() });
    Ok(2.0 * plan(&Workload::steps(network.clone(), train, batch, 1))?.step_work.multiply_adds)
}

fn train_config(arguments: &BenchArguments, network: &NetworkSpec) -> Outcome<TrainConfig> {
    let rule = choices::rule(&arguments.rule, Rule::Bp, network.input)?;
    let Cut { ends, pieces } = choices::cut(&arguments.rule, &[], network, &rule)?;
    Ok(TrainConfig {
        method: Method {
            rule,
            ends,
            optimizer: match arguments.optimizer {
                OptimizerName::Sgd => OptimizerConfig::sgd(),
                OptimizerName::Adamw => OptimizerConfig::adamw(),
            },
            optimizer_state: arguments.optimizer_state.into(),
            ..Method::default()
        },
        execution: Execution {
            pieces,
            micro_batch: arguments.micro_batch,
            recompute: arguments.rule.recompute,
            side_by_side: arguments.rule.side_by_side,
            ..Execution::default()
        },
    })
}

/// Takes `step N` lines until the input ends; answers when the threads are idle again.
fn serve(subject: &mut Subject<'_>, product: &mut Product) -> Outcome<()> {
    for line in std::io::stdin().lock().lines() {
        let line = line.map_err(|cause| Fault::failed(format!("standard input: {cause}")))?;
        if line.trim().is_empty() {
            continue;
        }
        let count = line.trim().strip_prefix("step ").and_then(|count| count.parse::<usize>().ok());
        let count = count
            .ok_or_else(|| Fault::usage(format!("--serve takes lines such as `step 3`, found '{line}'")))?;
        let seconds = (0..count).map(|_| subject.step()).collect::<localgrad::Result<Vec<f64>>>()?;
        product.repeat()?;
        // An answer is read by a program, whatever the final result is.
        Output { json: true }.record(&ServedRecord { event: "steps", seconds });
    }
    if subject.seconds.is_empty() {
        return Err(Fault::usage("--serve was asked for no step; write lines such as `step 3` to it"));
    }
    Ok(())
}

fn result_table(record: &BenchRecord) -> String {
    let blocks = if record.blocks == 1 { "1 block".into() } else { format!("{} blocks", record.blocks) };
    let rows: Vec<Vec<String>> = [
        ("step, median", format!("{:.2} ms", 1e3 * record.step_seconds)),
        ("step, best", format!("{:.2} ms", 1e3 * record.min_step_seconds)),
        ("images a second", format!("{:.1}", record.images_per_second)),
        ("GFLOP/s, convolutions as if direct", format!("{:.1}", record.gflops)),
        ("GFLOP/s of a large product", format!("{:.1}", record.matmul_peak_gflops)),
        ("share of it", format!("{:.0} %", 100.0 * record.gflops / record.matmul_peak_gflops)),
        ("peak live memory", bytes(record.peak_bytes as u64)),
        ("as planned", record.planned_bytes.map_or("unknown".into(), |planned| bytes(planned as u64))),
        ("peak resident growth", record.resident_bytes.map_or("unknown".into(), bytes)),
        ("allocations over 64 KiB a step", record.large_allocations.to_string()),
        ("loss, all blocks", format!("{:.3}", record.loss)),
    ]
    .into_iter()
    .map(|(name, value)| vec![name.to_string(), value])
    .collect();
    let what = format!(
        "{}, {} in {blocks}, batch {}, {}{}, {} threads, {} steps",
        record.model,
        record.rule,
        record.batch,
        record.device,
        record.precision.map_or(String::new(), |precision| format!(" in {precision}")),
        record.threads,
        record.steps
    );
    let board = record.board.as_ref().map_or(String::new(), |board| format!("\n\n{}", board.words()));
    format!("{what}\n\n{}{board}", table(&["", "measured"], &rows))
}

fn measure_ops(
    network: &NetworkSpec,
    samples: usize,
    workers: &Workers,
    product: &mut Product,
    output: Output,
) -> Outcome<()> {
    let mut records = Vec::new();
    for op in ops::of_network(network)? {
        let times = workers.run(|| op.measure(samples, product))?;
        let record = op_record(&op, &times, op.multiply_adds(samples)?);
        output.record(&record);
        records.push(record);
    }
    if !output.json {
        let header =
            ["layer", "takes", "forward ms", "GFLOP/s", "d_input ms", "GFLOP/s", "d_weight ms", "GFLOP/s"];
        let peak = product.gflops();
        let rows: Vec<Vec<String>> = records.iter().map(|record| op_row(record, peak)).collect();
        output.text(&format!(
            "{}\n\nshares are of a large product's {peak:.0} GFLOP/s\n",
            table(&header, &rows)
        ));
    }
    Ok(())
}

fn op_record(op: &Op, times: &Times, multiply_adds: usize) -> OpRecord {
    let gflops = |seconds: f64| (multiply_adds > 0).then(|| 2e-9 * multiply_adds as f64 / seconds);
    OpRecord {
        event: "op",
        op: op_name(&op.layer),
        features: op.features.to_string(),
        forward_seconds: times.forward,
        d_input_seconds: times.d_input,
        d_weight_seconds: times.d_weight,
        forward_gflops: gflops(times.forward),
        d_input_gflops: gflops(times.d_input),
        d_weight_gflops: times.d_weight.and_then(gflops),
    }
}

fn op_row(record: &OpRecord, peak: f64) -> Vec<String> {
    let time = |seconds: Option<f64>| seconds.map_or("-".into(), |s| format!("{:.3}", 1e3 * s));
    let speed = |gflops: Option<f64>| {
        gflops.map_or("-".into(), |gflops| format!("{gflops:.0} ({:.0} %)", 100.0 * gflops / peak))
    };
    vec![
        record.op.clone(),
        record.features.clone(),
        time(Some(record.forward_seconds)),
        speed(record.forward_gflops),
        time(Some(record.d_input_seconds)),
        speed(record.d_input_gflops),
        time(record.d_weight_seconds),
        speed(record.d_weight_gflops),
    ]
}

fn op_name(layer: &LayerSpec) -> String {
    match layer {
        LayerSpec::Conv { outputs, config, .. } => {
            let [height, width] = config.kernel;
            let groups =
                if config.groups > 1 { format!(", {} groups", config.groups) } else { String::new() };
            format!("{height}x{width} conv to {outputs}, stride {}{groups}", config.stride[0])
        }
        LayerSpec::BatchNorm { activation: Some(activation), .. } => {
            format!("batch norm + {activation:?}").to_lowercase()
        }
        _ => "batch norm".into(),
    }
}
