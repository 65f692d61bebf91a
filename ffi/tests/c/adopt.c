/* A trainer with a memory budget goes back to states for which that budget, or somebody, chose otherwise. */
#include "common.h"
#include <sched.h>

enum { LARGE = 16, LARGE_PIXELS = LARGE * LARGE, SAVED_AT = 3, STEPS = 6 };

static lg_network *network;

static int32_t give_large(void *user_data, uint64_t number, lg_samples *samples) {
  static uint8_t bytes[BATCH * LARGE_PIXELS];
  static uint32_t labels[BATCH];
  size_t sample, at;
  (void)user_data;
  for (sample = 0; sample < BATCH; sample++) {
    labels[sample] = label_of(number * BATCH + sample);
    for (at = 0; at < LARGE_PIXELS; at++)
      bytes[sample * LARGE_PIXELS + at] = (uint8_t)(hash(number * 9999 + sample * 777 + at) % 100 + 50 * labels[sample]);
  }
  samples->images = bytes;
  samples->images_bytes = sizeof bytes;
  samples->count = BATCH;
  samples->labels = labels;
  return LG_ANSWER_CONTINUE;
}

static lg_network *make_large_network(void) {
  static const size_t widths[] = {8, 8, 16, 32};
  lg_network_options options;
  lg_network *made = NULL;
  OK(lg_network_options_init(&options, sizeof options));
  options.channels = 1;
  options.height = options.width = LARGE;
  options.classes = CLASSES;
  options.widths = widths;
  options.widths_count = 4;
  OK(lg_network_create("resnet8", &options, &made, error));
  return made;
}

/* What leaves all that it can to a budget. */
static lg_trainer_config make_open(size_t threads, size_t budget_bytes) {
  lg_trainer_config config = make_config();
  config.ends = NULL;
  config.ends_count = 0;
  config.threads = threads;
  config.memory_budget_bytes = budget_bytes;
  return config;
}

static lg_trainer *make_large(lg_trainer_config config) {
  lg_trainer *trainer = NULL;
  OK(lg_trainer_create(network, &config, &trainer, error));
  OK(lg_trainer_set_source(trainer, give_large, NULL, error));
  return trainer;
}

static void run_until(lg_trainer *trainer, uint64_t step, uint64_t checkpoint_steps) {
  lg_run_options options;
  OK(lg_run_options_init(&options, sizeof options));
  options.until_step = step;
  options.checkpoint_steps = checkpoint_steps;
  OK(lg_trainer_run(trainer, &options, NULL, error));
}

static void finish(lg_trainer *trainer, const char *path) {
  run_until(trainer, STEPS, 0);
  OK(lg_trainer_export(trainer, path, LG_PRECISION_F32, error));
  lg_trainer_destroy(trainer);
}

static void open_resumed(lg_trainer *trainer, const char *place) {
  int32_t resumed = 0;
  OK(lg_trainer_open_checkpoints(trainer, place, 1, &resumed, error));
  CHECK(resumed == 1 && describe(trainer).steps == SAVED_AT && describe(trainer).is_damaged == 0);
}

/* Trains to SAVED_AT with checkpoints in `place`, which the trainer still has open. */
static lg_trainer *begin(lg_trainer_config config, const char *place) {
  lg_trainer *trainer = make_large(config);
  int32_t resumed = 1;
  OK(lg_trainer_open_checkpoints(trainer, place, 1, &resumed, error));
  CHECK(resumed == 0);
  run_until(trainer, SAVED_AT, 1);
  return trainer;
}

/* The least budget, about, that so many threads can keep to. */
static size_t tight_budget(size_t threads, lg_plan *plan) {
  lg_trainer_config config = make_open(threads, 0);
  size_t too_small = 0, fits = 8 << 20;
  plan->struct_size = sizeof *plan;
  while (fits - too_small > 8 << 10) {
    size_t middle = config.memory_budget_bytes = (too_small + fits) / 2;
    if (lg_network_plan(network, &config, plan, NULL) == LG_STATUS_OK) fits = middle;
    else too_small = middle;
  }
  config.memory_budget_bytes = fits;
  OK(lg_network_plan(network, &config, plan, error));
  return fits;
}

/* Fewer threads leave room for larger micro-batches, which would train to other weights. */
static void other_threads(const char *directory) {
  const char *place = in_directory(directory, "threads"), *path = in_directory(directory, "went-on");
  const char *plain = in_directory(directory, "plain");
  lg_plan many, one;
  size_t budget = tight_budget(8, &many), live, peak, bytes;
  lg_trainer_config config = make_open(1, budget);
  lg_trainer *first, *second;
  int32_t resumed;
  char *state;
  one.struct_size = sizeof one;
  OK(lg_network_plan(network, &config, &one, error));
  CHECK(one.micro_batch != many.micro_batch || one.activations != many.activations);
  finish(make_large(make_open(8, budget)), plain);

  first = begin(make_open(8, budget), place);
  OK(lg_trainer_state_bytes(first, &bytes, error));
  state = malloc(bytes);
  CHECK(state != NULL);
  OK(lg_trainer_get_state(first, state, bytes, &bytes, error));
  /* While the directory is in use, nothing is made anew for it. */
  second = make_large(config);
  REFUSED(LG_STATUS_CONFIG, "in use", lg_trainer_open_checkpoints(second, place, 1, &resumed, error));
  CHECK(describe(second).is_damaged == 0);
  OK(lg_trainer_step(second, NULL, error));
  lg_trainer_destroy(first);
  open_resumed(second, place);
  lg_trainer_destroy(second);

  OK(lg_memory(&live, NULL, error));
  lg_memory_reset_peak();
  second = make_large(config);
  open_resumed(second, place);
  finish(second, path);
  OK(lg_memory(NULL, &peak, error));
  CHECK(peak - live <= budget);
  CHECK(same_files(plain, path));

  second = make_large(config);
  OK(lg_trainer_set_state(second, state, bytes, error));
  CHECK(describe(second).steps == SAVED_AT);
  finish(second, path);
  CHECK(same_files(plain, path));
  /* Checkpoints that are open are of one way to train. */
  second = make_large(config);
  OK(lg_trainer_open_checkpoints(second, in_directory(directory, "other"), 1, &resumed, error));
  REFUSED(LG_STATUS_CONFIG, "train.", lg_trainer_set_state(second, state, bytes, error));
  CHECK(describe(second).is_damaged == 0);
  lg_trainer_destroy(second);
  free(state);
}

/* A process that may run on fewer cores has fewer threads, and a later one need not. */
static void other_cores(const char *directory, size_t budget) {
  const char *place = in_directory(directory, "cores");
  lg_trainer *trainer;
  cpu_set_t all, one;
  int core = 0;
  CHECK(sched_getaffinity(0, sizeof all, &all) == 0);
  while (!CPU_ISSET(core, &all)) core++;
  CPU_ZERO(&one);
  CPU_SET(core, &one);
  CHECK(sched_setaffinity(0, sizeof one, &one) == 0);
  lg_trainer_destroy(begin(make_open(0, budget), place));
  CHECK(sched_setaffinity(0, sizeof all, &all) == 0);
  trainer = make_large(make_open(0, budget));
  open_resumed(trainer, place);
  run_until(trainer, STEPS, 1);
  lg_trainer_destroy(trainer);
}

/* Blocks that were given where a budget would choose others: kept where they fit, refused where they do not. */
static void other_blocks(const char *directory, size_t budget) {
  static const size_t ends[] = {0, 1, 3};
  const char *place = in_directory(directory, "blocks");
  lg_trainer_config config = make_open(1, 0);
  lg_trainer *trainer;
  int32_t resumed;
  double losses[3];
  config.ends = ends;
  config.ends_count = 3;
  lg_trainer_destroy(begin(config, place));

  trainer = make_large(make_open(1, budget));
  REFUSED(LG_STATUS_CONFIG, "as this state was trained",
          lg_trainer_open_checkpoints(trainer, place, 1, &resumed, error));
  CHECK(describe(trainer).is_damaged == 0);
  OK(lg_trainer_step(trainer, NULL, error));
  lg_trainer_destroy(trainer);

  trainer = make_large(make_open(1, 64 << 20));
  CHECK(describe(trainer).blocks != 3);
  open_resumed(trainer, place);
  CHECK(describe(trainer).blocks == 3);
  run_until(trainer, STEPS, 1);
  OK(lg_trainer_losses(trainer, losses, 3, error));
  CHECK(losses[0] > 0 && losses[1] > 0 && losses[2] > 0);
  lg_trainer_destroy(trainer);
}

int main(int count, char **arguments) {
  lg_plan plan;
  size_t budget;
  CHECK(count == 2);
  error = lg_error_create();
  network = make_large_network();
  other_threads(arguments[1]);
  budget = tight_budget(1, &plan);
  other_cores(arguments[1], budget);
  other_blocks(arguments[1], budget);
  lg_network_destroy(network);
  lg_error_destroy(error);
  return 0;
}
