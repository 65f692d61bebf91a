/* A memory budget: planned before anything is made, kept to in all that a trainer does, refused where nothing fits. */
#include "common.h"

static lg_plan make_plan(lg_network *network, const lg_trainer_config *config) {
  lg_plan plan;
  plan.struct_size = sizeof plan;
  OK(lg_network_plan(network, config, &plan, error));
  return plan;
}

/* All that a trainer does, for as many steps, and the most bytes that it had in use. */
static size_t use(lg_network *network, const lg_trainer_config *config, uint64_t steps, const char *directory) {
  static batch_source source;
  static batch_data data;
  lg_trainer *trainer = NULL;
  lg_run_options options;
  lg_evaluation found;
  lg_samples samples = make_samples(&data, 0, 1);
  int32_t resumed = 0;
  size_t live = 0, peak = 0;
  OK(lg_memory(&live, NULL, error));
  lg_memory_reset_peak();
  OK(lg_trainer_create(network, config, &trainer, error));
  source.batches = steps;
  OK(lg_trainer_set_source(trainer, give, &source, error));
  OK(lg_trainer_open_checkpoints(trainer, directory, 1, &resumed, error));
  OK(lg_run_options_init(&options, sizeof options));
  options.checkpoint_steps = 1;
  OK(lg_trainer_run(trainer, &options, NULL, error));
  samples = make_samples(&data, 0, BATCH);
  found.struct_size = sizeof found;
  OK(lg_trainer_evaluate(trainer, &samples, &found, error));
  lg_trainer_destroy(trainer);

  trainer = NULL;
  OK(lg_trainer_create(network, config, &trainer, error));
  OK(lg_trainer_open_checkpoints(trainer, directory, 1, &resumed, error));
  CHECK(resumed == 1);
  lg_trainer_destroy(trainer);
  OK(lg_memory(NULL, &peak, error));
  CHECK(peak >= live);
  return peak - live;
}

int main(int count, char **arguments) {
  lg_network *network;
  lg_trainer_config config;
  lg_trainer *trainer = NULL;
  lg_plan free_plan, tight, away;
  size_t needed;
  CHECK(count == 2);
  error = lg_error_create();
  network = make_network(CLASSES);
  config = make_config();
  config.ends = NULL;
  config.ends_count = 0;
  free_plan = make_plan(network, &config);
  CHECK(free_plan.blocks == 4 && free_plan.micro_batch == 0 && free_plan.ends[3] == 3);
  needed = use(network, &config, 4, in_directory(arguments[1], "free"));
  CHECK(needed > 0 && needed <= free_plan.peak_bytes);

  config.memory_budget_bytes = free_plan.peak_bytes;
  tight = make_plan(network, &config);
  CHECK(tight.peak_bytes <= free_plan.peak_bytes && tight.blocks >= 2);
  needed = use(network, &config, 2, in_directory(arguments[1], "tight"));
  CHECK(needed > 0 && needed <= tight.peak_bytes);

  /* What is frozen is not left to a budget. */
  config.frozen_blocks = 1;
  REFUSED(LG_STATUS_CONFIG, "set blocks or ends", lg_network_plan(network, &config, &tight, error));
  REFUSED(LG_STATUS_CONFIG, "set blocks or ends", lg_trainer_create(network, &config, &trainer, error));
  config.blocks = 2;
  CHECK(make_plan(network, &config).blocks == 2);
  config.frozen_blocks = config.blocks = 0;

  config.memory_budget_bytes = 0;
  config.scratch = arguments[1];
  config.offload = 1;
  config.activations = LG_PRECISION_F16;
  config.micro_batch = 2;
  config.exact_micro_batches = 1;
  away = make_plan(network, &config);
  CHECK(away.offload == 1 && away.activations == LG_PRECISION_F16 && away.peak_bytes < free_plan.peak_bytes);
  needed = use(network, &config, 2, in_directory(arguments[1], "away"));
  CHECK(needed > 0 && needed <= away.peak_bytes);
  config.scratch = NULL;
  REFUSED(LG_STATUS_ARGUMENT, "set scratch", lg_network_plan(network, &config, &away, error));
  config.offload = 0;
  config.activations = 7;
  REFUSED(LG_STATUS_ARGUMENT, "no lg_precision", lg_network_plan(network, &config, &away, error));
  config = make_config();
  config.ends = NULL;
  config.ends_count = 0;

  config.memory_budget_bytes = 1000;
  REFUSED(LG_STATUS_CONFIG, "", lg_network_plan(network, &config, &tight, error));
  REFUSED(LG_STATUS_CONFIG, "", lg_trainer_create(network, &config, &trainer, error));
  CHECK(trainer == NULL);
  config.memory_budget_bytes = 0;
  REFUSED(LG_STATUS_ARGUMENT, "plan is NULL", lg_network_plan(network, &config, NULL, error));
  lg_network_destroy(network);
  REFUSED(LG_STATUS_HANDLE, "no lg_network", lg_network_plan(network, &config, &tight, error));
  lg_error_destroy(error);
  return 0;
}
