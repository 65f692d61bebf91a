/* Trains as its arguments say and prints what came of it, bit for bit.
 * usage: trajectory WEIGHTS RULE HEAD OPTIMIZER CLIP_NORM MICRO_BATCH RECOMPUTE FROZEN DEPTH MOMENTUM ALONE TRAIN
 * HEAD "-", DEPTH 0 and MOMENTUM -1 are the rule's own */
#include "common.h"

static void print_bits(const char *what, double value) {
  uint64_t bits;
  memcpy(&bits, &value, sizeof bits);
  printf("%s %016llx\n", what, (unsigned long long)bits);
}

int main(int count, char **arguments) {
  static batch_data data;
  lg_network *network;
  lg_trainer_config config;
  lg_trainer *trainer = NULL;
  lg_step_result result;
  lg_evaluation found;
  lg_trainer_info info;
  lg_samples samples;
  double losses[3];
  uint64_t step;
  size_t block;
  CHECK(count == 14);
  error = lg_error_create();
  network = make_network(CLASSES);
  config = make_config();
  config.rule = arguments[2];
  config.head = strcmp(arguments[3], "-") == 0 ? NULL : arguments[3];
  if (strcmp(arguments[2], "bp") == 0) config.ends = NULL, config.ends_count = 0;
  config.optimizer = strcmp(arguments[4], "adamw") == 0 ? LG_OPTIMIZER_ADAMW : LG_OPTIMIZER_SGD;
  config.clip_norm = atof(arguments[5]);
  config.micro_batch = (size_t)atoi(arguments[6]);
  config.recompute = atoi(arguments[7]);
  config.frozen_blocks = (size_t)atoi(arguments[8]);
  config.aux_depth = (size_t)atoi(arguments[9]);
  config.ema_momentum = atof(arguments[10]);
  config.average_alone = atoi(arguments[11]);
  config.aux_pool = (size_t)atoi(arguments[12]);
  config.train = arguments[13];
  config.learning_rate = 0.01;
  config.schedule = LG_SCHEDULE_COSINE;
  config.schedule_steps = 8;
  config.warmup_steps = 2;
  OK(lg_trainer_create(network, &config, &trainer, error));
  info = describe(trainer);
  result.struct_size = sizeof result;
  for (step = 0; step < 8; step++) {
    /* The last of every four batches is a small one. */
    samples = make_samples(&data, step * BATCH, step % 4 == 3 ? 2 : BATCH);
    OK(lg_trainer_push(trainer, &samples, error));
    OK(lg_trainer_step(trainer, &result, error));
    OK(lg_trainer_losses(trainer, losses, 3, error));
    for (block = 0; block < info.blocks; block++) print_bits("loss", losses[block] == losses[block] ? losses[block] : 0);
    print_bits("rate", result.learning_rate);
    printf("correct %u\n", (unsigned)result.correct);
  }
  samples = make_samples(&data, 5000, 5);
  found.struct_size = sizeof found;
  OK(lg_trainer_evaluate(trainer, &samples, &found, error));
  print_bits("accuracy", found.accuracy);
  print_bits("test loss", found.loss);
  OK(lg_trainer_export(trainer, arguments[1], LG_PRECISION_F32, error));
  lg_trainer_destroy(trainer);
  lg_network_destroy(network);
  lg_error_destroy(error);
  return 0;
}
