/* What stays as it is of a network is passed once: its features train, evaluate and predict as the images do. */
#include "common.h"
#include <math.h>
#include <pthread.h>
#include <time.h>

enum { BATCHES = 4, STEPS = 8, MOST = 4 * PIXELS };

/* Batches of images, and their features where these take the place of the images. */
typedef struct {
  batch_data data[BATCHES];
  float rows[BATCHES][BATCH * MOST];
  size_t each;
  int are_features;
  uint64_t steps;
} kept_source;

static const char *scratch;

static void only_the_head(lg_trainer_config *config) {
  config->rule = config->head = NULL;
  config->ends = NULL;
  config->ends_count = 0;
  config->train = "head";
}

static void last_unit_exactly(lg_trainer_config *config) {
  only_the_head(config);
  config->train = "last-1-units";
  config->micro_batch = 4;
  config->exact_micro_batches = 1;
}

static void behind_one_block(lg_trainer_config *config) {
  config->frozen_blocks = 1;
  config->recompute = 1;
  config->clip_norm = 0.5;
}

static void in_shares(lg_trainer_config *config) {
  config->frozen_blocks = 1;
  config->micro_batch = 4;
}

static void from_a_file(lg_trainer_config *config) {
  in_shares(config);
  config->scratch = scratch;
  config->offload = 1;
}

static void within_a_budget(lg_trainer_config *config) {
  only_the_head(config);
  config->train = "last-3-units";
  config->memory_budget_bytes = 32 << 20;
}

typedef void (*change_fn)(lg_trainer_config *config);

static lg_trainer *make_changed(change_fn change) {
  lg_network *network = make_network(CLASSES);
  lg_trainer_config config = make_config();
  lg_trainer *trainer = NULL;
  change(&config);
  OK(lg_trainer_create(network, &config, &trainer, error));
  lg_network_destroy(network);
  return trainer;
}

static lg_samples as_features(lg_samples samples, const float *rows, size_t each) {
  samples.images = rows;
  samples.images_bytes = samples.count * each * sizeof(float);
  samples.pixel = LG_PIXEL_FEATURES;
  return samples;
}

static int32_t give_kept(void *user_data, uint64_t number, lg_samples *samples) {
  kept_source *source = user_data;
  size_t batch = (size_t)(number % BATCHES);
  if (number >= source->steps) return LG_ANSWER_STOP;
  *samples = make_samples(&source->data[batch], batch * BATCH, number % BATCHES == 3 ? 2 : BATCH);
  if (source->are_features) *samples = as_features(*samples, source->rows[batch], source->each);
  return LG_ANSWER_CONTINUE;
}

/* All features that a trainer makes of the batches of a source, some at a time. */
static void keep(lg_trainer *trainer, kept_source *source) {
  size_t batch;
  lg_samples samples;
  OK(lg_trainer_feature_count(trainer, &source->each, error));
  CHECK(source->each > 0 && source->each <= MOST);
  for (batch = 0; batch < BATCHES; batch++) {
    samples = make_samples(&source->data[batch], batch * BATCH, BATCH);
    samples.labels = NULL;
    OK(lg_trainer_features(trainer, &samples, source->rows[batch], sizeof source->rows[batch], error));
  }
}

static void run_until(lg_trainer *trainer, uint64_t steps) {
  lg_run_options options;
  OK(lg_run_options_init(&options, sizeof options));
  options.until_step = steps;
  OK(lg_trainer_run(trainer, &options, NULL, error));
}

/* Evaluations and predictions are the same of both. */
static void judge(lg_trainer *trainer, kept_source *source) {
  float logits[2][BATCH * CLASSES];
  lg_evaluation found[2];
  lg_samples samples[2];
  int way;
  samples[0] = make_samples(&source->data[1], BATCH, BATCH);
  samples[1] = as_features(samples[0], source->rows[1], source->each);
  for (way = 0; way < 2; way++) {
    found[way].struct_size = sizeof found[way];
    OK(lg_trainer_evaluate(trainer, &samples[way], &found[way], error));
    OK(lg_trainer_predict(trainer, &samples[way], logits[way], BATCH * CLASSES, error));
  }
  CHECK(found[0].loss == found[1].loss && found[0].accuracy == found[1].accuracy);
  CHECK(memcmp(logits[0], logits[1], sizeof logits[0]) == 0);
  source->steps = 2;
  OK(lg_trainer_evaluate_source(trainer, give_kept, source, &found[0], error));
  CHECK(found[0].samples == 2 * BATCH);
}

/* Trains to the end and writes the weights; the first steps are on images, the others on features. */
static void train(change_fn change, uint64_t images_until, const char *path) {
  static kept_source source;
  lg_trainer *trainer = make_changed(change);
  source.steps = STEPS;
  source.are_features = 0;
  OK(lg_trainer_set_source(trainer, give_kept, &source, error));
  run_until(trainer, images_until);
  keep(trainer, &source);
  source.are_features = 1;
  if (images_until < STEPS) run_until(trainer, STEPS);
  judge(trainer, &source);
  OK(lg_trainer_export(trainer, path, LG_PRECISION_F32, error));
  lg_trainer_destroy(trainer);
}

static void both_ways(change_fn change, const char *directory) {
  const char *images = in_directory(directory, "images"), *features = in_directory(directory, "features");
  train(change, STEPS, images);
  train(change, 1, features);
  CHECK(same_files(images, features));
}

/* Rows do not depend on how many images pass, nor on how they lie in memory. */
static void rows_are_of_their_image_alone(void) {
  static kept_source source;
  lg_trainer *trainer = make_changed(behind_one_block);
  float row[MOST + 1], floats[PIXELS];
  size_t at;
  lg_samples samples;
  keep(trainer, &source);
  samples = make_samples(&source.data[0], 2, 1);
  row[source.each] = -7;
  OK(lg_trainer_features(trainer, &samples, row, source.each * sizeof(float), error));
  CHECK(memcmp(row, &source.rows[0][2 * source.each], source.each * sizeof(float)) == 0 && row[source.each] == -7);
  for (at = 0; at < PIXELS; at++) floats[at] = (float)source.data[0].bytes[at] / 255.0f;
  samples.images = floats;
  samples.images_bytes = sizeof floats;
  samples.pixel = LG_PIXEL_F32;
  samples.layout = LG_LAYOUT_NCHW;
  memset(row, 0, sizeof row);
  OK(lg_trainer_features(trainer, &samples, row, sizeof row, error));
  CHECK(memcmp(row, &source.rows[0][2 * source.each], source.each * sizeof(float)) == 0);
  samples.count = 0, samples.images_bytes = 0;
  OK(lg_trainer_features(trainer, &samples, NULL, 0, error));
  OK(lg_trainer_cancel(trainer, error));
  samples = make_samples(&source.data[0], 0, 1);
  REFUSED(LG_STATUS_CANCELLED, "cancelled", lg_trainer_features(trainer, &samples, row, sizeof row, error));
  lg_trainer_destroy(trainer);
}

typedef struct {
  lg_trainer *trainer;
  lg_status status;
} runner;

static void *step(void *user_data) {
  runner *running = user_data;
  running->status = lg_trainer_step(running->trainer, NULL, NULL);
  return NULL;
}

/* A step on features that is interrupted between two blocks goes on where it was. */
static void interrupted(const char *directory) {
  static kept_source source;
  static const struct timespec moment = {0, 200000};
  const char *plain = in_directory(directory, "plain"), *stopped = in_directory(directory, "stopped");
  lg_trainer *trainer = make_changed(behind_one_block);
  lg_event event;
  runner running;
  pthread_t thread;
  int32_t found;
  int opened = 0;
  size_t bytes;
  keep(trainer, &source);
  source.are_features = 1;
  source.steps = STEPS;
  OK(lg_trainer_set_source(trainer, give_kept, &source, error));
  OK(lg_trainer_set_work_fraction(trainer, 0.02, error));
  running.trainer = trainer;
  event.struct_size = sizeof event;
  while (!opened && describe(trainer).steps < STEPS) {
    CHECK(pthread_create(&thread, NULL, step, &running) == 0);
    for (found = 0; !found || event.kind != LG_EVENT_KIND_BLOCK || event.block != 1;) {
      OK(lg_trainer_poll(trainer, &event, &found, error));
      if (!found) nanosleep(&moment, NULL);
    }
    OK(lg_trainer_cancel(trainer, error));
    CHECK(pthread_join(thread, NULL) == 0);
    OK(lg_trainer_clear_cancel(trainer, error));
    if (!describe(trainer).step_is_open) continue;
    CHECK(running.status == LG_STATUS_CANCELLED && describe(trainer).blocks_done == 2);
    opened = 1;
    REFUSED(LG_STATUS_STATE, "interrupted", lg_trainer_state_bytes(trainer, &bytes, error));
    OK(lg_trainer_step(trainer, NULL, error));
  }
  CHECK(opened);
  OK(lg_trainer_set_work_fraction(trainer, 1, error));
  run_until(trainer, STEPS);
  OK(lg_trainer_export(trainer, stopped, LG_PRECISION_F32, error));
  lg_trainer_destroy(trainer);
  train(behind_one_block, STEPS, plain);
  CHECK(same_files(plain, stopped));
}

/* A checkpoint of training on features is one like others, and so is a state. */
static void resumed(const char *directory) {
  static kept_source source;
  const char *plain = in_directory(directory, "plain"), *resumed = in_directory(directory, "resumed");
  const char *checkpoints = in_directory(directory, "checkpoints");
  lg_trainer *trainer = make_changed(behind_one_block);
  int32_t found = -1;
  OK(lg_trainer_open_checkpoints(trainer, checkpoints, 1, &found, error));
  keep(trainer, &source);
  source.are_features = 1;
  source.steps = STEPS;
  OK(lg_trainer_set_source(trainer, give_kept, &source, error));
  run_until(trainer, 5);
  OK(lg_trainer_save(trainer, error));
  lg_trainer_destroy(trainer);
  trainer = make_changed(behind_one_block);
  OK(lg_trainer_open_checkpoints(trainer, checkpoints, 1, &found, error));
  CHECK(found == 1 && describe(trainer).steps == 5);
  OK(lg_trainer_set_source(trainer, give_kept, &source, error));
  run_until(trainer, STEPS);
  OK(lg_trainer_export(trainer, resumed, LG_PRECISION_F32, error));
  lg_trainer_destroy(trainer);
  train(behind_one_block, STEPS, plain);
  CHECK(same_files(plain, resumed));
}

/* What a plan says is kept to, also where features are more than their images. */
static void keeps_to_its_plan(void) {
  static kept_source source;
  lg_network *network = make_network(CLASSES);
  lg_trainer_config config = make_config();
  lg_trainer *trainer = NULL;
  lg_plan plan;
  lg_evaluation found;
  lg_samples samples;
  size_t live = 0, peak = 0;
  int number;
  behind_one_block(&config);
  plan.struct_size = sizeof plan;
  OK(lg_network_plan(network, &config, &plan, error));
  OK(lg_memory(&live, NULL, error));
  lg_memory_reset_peak();
  OK(lg_trainer_create(network, &config, &trainer, error));
  lg_network_destroy(network);
  keep(trainer, &source);
  CHECK(source.each > PIXELS);
  for (number = 0; number < 3; number++) {
    samples = as_features(make_samples(&source.data[0], 0, BATCH), source.rows[0], source.each);
    OK(lg_trainer_push(trainer, &samples, error));
    OK(lg_trainer_step(trainer, NULL, error));
  }
  found.struct_size = sizeof found;
  OK(lg_trainer_evaluate(trainer, &samples, &found, error));
  OK(lg_memory(NULL, &peak, error));
  CHECK(peak - live <= plan.peak_bytes);
  lg_trainer_destroy(trainer);
}

static void end_to_end(lg_trainer_config *config) {
  only_the_head(config);
  config->rule = "bp";
}

static size_t blocks_of(lg_network *network, const lg_trainer_config *config) {
  lg_plan plan;
  plan.struct_size = sizeof plan;
  OK(lg_network_plan(network, config, &plan, error));
  return plan.blocks;
}

/* Where no rule is named, a last part alone is trained end to end, unless something is said about blocks or their heads. */
static void usual_rule(const char *directory) {
  const char *unsaid = in_directory(directory, "unsaid"), *said = in_directory(directory, "said");
  lg_network *network = make_network(CLASSES);
  lg_trainer_config config = make_config();
  train(only_the_head, STEPS, unsaid);
  train(end_to_end, STEPS, said);
  CHECK(same_files(unsaid, said));
  only_the_head(&config);
  CHECK(blocks_of(network, &config) == 1);
  config.train = "last-2-units";
  CHECK(blocks_of(network, &config) == 1);
  config.head = "1c1f";
  CHECK(blocks_of(network, &config) == 4);
  config.head = NULL;
  config.blocks = 2;
  CHECK(blocks_of(network, &config) == 2);
  config.blocks = 0;
  config.train = "norms";
  CHECK(blocks_of(network, &config) == 4);
  lg_network_destroy(network);
}

static void nothing(lg_trainer_config *config) { (void)config; }

static void decoder(lg_trainer_config *config) {
  config->head = "infopro";
  config->frozen_blocks = 1;
}

static void refused(void) {
  static kept_source source;
  float row[MOST], weight[4 * MOST];
  size_t each = 77, bytes = 0;
  char name[128];
  lg_samples good, bad;
  lg_trainer *trainer = make_changed(nothing);
  good = make_samples(&source.data[0], 0, 1);
  REFUSED(LG_STATUS_CONFIG, "set train to \"head\"", lg_trainer_feature_count(trainer, &each, error));
  CHECK(each == 77);
  REFUSED(LG_STATUS_CONFIG, "first unit is trained", lg_trainer_features(trainer, &good, row, sizeof row, error));
  bad = as_features(good, row, 16);
  REFUSED(LG_STATUS_CONFIG, "first unit is trained", lg_trainer_push(trainer, &bad, error));
  lg_trainer_destroy(trainer);
  trainer = make_changed(decoder);
  REFUSED(LG_STATUS_CONFIG, "decoder", lg_trainer_feature_count(trainer, &each, error));
  lg_trainer_destroy(trainer);

  trainer = make_changed(behind_one_block);
  REFUSED(LG_STATUS_ARGUMENT, "per_sample is NULL", lg_trainer_feature_count(trainer, NULL, error));
  OK(lg_trainer_feature_count(trainer, &each, error));
  REFUSED(LG_STATUS_BUFFER, "room", lg_trainer_features(trainer, &good, row, each * 4 - 1, error));
  REFUSED(LG_STATUS_ARGUMENT, "features is NULL", lg_trainer_features(trainer, &good, NULL, sizeof row, error));
  REFUSED(LG_STATUS_ARGUMENT, "not aligned",
          lg_trainer_features(trainer, &good, (float *)(void *)((char *)weight + 1), sizeof row, error));
  OK(lg_trainer_features(trainer, &good, row, sizeof row, error));
  bad = as_features(good, row, each);
  REFUSED(LG_STATUS_ARGUMENT, "features already", lg_trainer_features(trainer, &bad, weight, sizeof weight, error));
  bad.images_bytes -= 4;
  REFUSED(LG_STATUS_SHAPE, "1 rows of", lg_trainer_push(trainer, &bad, error));
  bad = as_features(good, row, each);
  OK(lg_trainer_push(trainer, &good, error));
  REFUSED(LG_STATUS_CONFIG, "or all as features", lg_trainer_push(trainer, &bad, error));
  CHECK(describe(trainer).pending == 1);
  OK(lg_trainer_discard_pushed(trainer, error));
  OK(lg_trainer_push(trainer, &bad, error));
  REFUSED(LG_STATUS_CONFIG, "or all as features", lg_trainer_push(trainer, &good, error));

  /* What waits belongs to the weights as they are. */
  OK(lg_trainer_weight_name(trainer, 0, 0, name, sizeof name, &bytes, error));
  OK(lg_trainer_weight_get(trainer, name, LG_PRECISION_F32, weight, sizeof weight, &bytes, error));
  REFUSED(LG_STATUS_STATE, "features were pushed",
          lg_trainer_weight_set(trainer, name, LG_PRECISION_F32, weight, bytes, error));
  OK(lg_trainer_step(trainer, NULL, error));
  OK(lg_trainer_weight_set(trainer, name, LG_PRECISION_F32, weight, bytes, error));
  row[each - 1] = INFINITY;
  REFUSED(LG_STATUS_ARGUMENT, "sample 0 holds", lg_trainer_push(trainer, &bad, error));
  lg_trainer_destroy(trainer);
}

int main(int count, char **arguments) {
  static const change_fn ways[] = {only_the_head, last_unit_exactly, behind_one_block,
                                   in_shares,     from_a_file,       within_a_budget};
  size_t way;
  CHECK(count == 2);
  error = lg_error_create();
  scratch = arguments[1];
  for (way = 0; way < sizeof ways / sizeof ways[0]; way++) both_ways(ways[way], arguments[1]);
  rows_are_of_their_image_alone();
  interrupted(arguments[1]);
  resumed(arguments[1]);
  keeps_to_its_plan();
  usual_rule(arguments[1]);
  refused();
  lg_error_destroy(error);
  return 0;
}
