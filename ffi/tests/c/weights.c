/* Weights by name, in memory: those of two trainers are averaged in a third, as an app does that learns with others. */
#include "common.h"
#include <math.h>
#include <pthread.h>
#include <time.h>

enum { MOST = 4096 };

/* A trainer after some steps on samples of its own. */
static lg_trainer *trained(uint64_t first_sample) {
  static batch_data data;
  uint64_t step;
  lg_trainer *trainer = make_trainer();
  for (step = 0; step < 3; step++) {
    lg_samples samples = make_samples(&data, first_sample + step * BATCH, BATCH);
    OK(lg_trainer_push(trainer, &samples, error));
    OK(lg_trainer_step(trainer, NULL, error));
  }
  return trainer;
}

static size_t count_of(lg_trainer *trainer, size_t block) {
  size_t count = 0;
  OK(lg_trainer_weight_count(trainer, block, &count, error));
  return count;
}

static const char *name_of(lg_trainer *trainer, size_t block, size_t index) {
  static char name[256];
  size_t needed = 0, written = 0;
  OK(lg_trainer_weight_name(trainer, block, index, NULL, 0, &needed, error));
  CHECK(needed > 1 && needed <= sizeof name);
  OK(lg_trainer_weight_name(trainer, block, index, name, needed, &written, error));
  CHECK(written == needed && strlen(name) + 1 == needed);
  return name;
}

static lg_weight_info info_of(lg_trainer *trainer, const char *name) {
  lg_weight_info info;
  info.struct_size = sizeof info;
  OK(lg_trainer_weight_describe(trainer, name, &info, error));
  return info;
}

static size_t get(lg_trainer *trainer, const char *name, float *numbers) {
  size_t bytes = 0, written = 0;
  OK(lg_trainer_weight_get(trainer, name, LG_PRECISION_F32, NULL, 0, &bytes, error));
  CHECK(bytes > 0 && bytes <= MOST * sizeof *numbers);
  OK(lg_trainer_weight_get(trainer, name, LG_PRECISION_F32, numbers, bytes, &written, error));
  CHECK(written == bytes);
  return bytes / sizeof *numbers;
}

static void logits_of(lg_trainer *trainer, float *logits) {
  static batch_data data;
  lg_samples samples = make_samples(&data, 5000, BATCH);
  OK(lg_trainer_predict(trainer, &samples, logits, BATCH * CLASSES, error));
}

static void average(const char *directory) {
  static float a[MOST], b[MOST], again[MOST];
  float ours[BATCH * CLASSES], theirs[BATCH * CLASSES];
  const char *path = in_directory(directory, "mean.safetensors");
  size_t index, at, count, statistics = 0, in_blocks = 0, block;
  lg_trainer *one = trained(0), *two = trained(1000), *mean = make_trainer(), *loaded = make_trainer();
  count = count_of(one, LG_ALL_BLOCKS);
  for (block = 0; block < describe(one).blocks; block++) {
    for (index = 0; index < count_of(one, block); index++) {
      const char *name = name_of(one, block, index);
      CHECK(info_of(one, name).block == block && strncmp(name, "aux.", 4) != 0);
    }
    in_blocks += count_of(one, block);
  }
  CHECK(count > 20 && in_blocks == count);
  for (index = 0; index < count; index++) {
    const char *name = name_of(one, LG_ALL_BLOCKS, index);
    lg_weight_info info = info_of(one, name);
    size_t elements = get(one, name, a);
    CHECK(elements == info.elements && get(two, name, b) == elements && info.rank >= 1);
    statistics += (size_t)info.is_statistic;
    for (at = 0; at < elements; at++) a[at] = (a[at] + b[at]) / 2;
    OK(lg_trainer_weight_set(mean, name, LG_PRECISION_F32, a, elements * sizeof *a, error));
    CHECK(get(mean, name, again) == elements && memcmp(a, again, elements * sizeof *a) == 0);
  }
  /* A mean and a variance for each batch norm. */
  CHECK(statistics >= 10 && statistics % 2 == 0);
  CHECK(info_of(one, "conv1.weight").rank == 4 && info_of(one, "conv1.weight").extents[0] == 4);
  CHECK(info_of(one, "fc.weight").block == describe(one).blocks - 1);

  /* What was set by name is what a file of it holds. */
  OK(lg_trainer_export(mean, path, LG_PRECISION_F32, error));
  OK(lg_trainer_load_weights(loaded, path, LG_WEIGHTS_ALL, error));
  logits_of(mean, ours);
  logits_of(loaded, theirs);
  CHECK(memcmp(ours, theirs, sizeof ours) == 0);
  logits_of(one, theirs);
  CHECK(memcmp(ours, theirs, sizeof ours) != 0);
  lg_trainer_destroy(one);
  lg_trainer_destroy(two);
  lg_trainer_destroy(mean);
  lg_trainer_destroy(loaded);
}

/* Half as many bytes, and no number is further off than 16 bits make it. */
static void in_16_bits(void) {
  static float exact[MOST], rounded[MOST];
  static uint16_t halves[MOST];
  size_t bytes = 0, elements, at;
  lg_trainer *one = trained(0), *other = make_trainer();
  elements = get(one, "fc.weight", exact);
  OK(lg_trainer_weight_get(one, "fc.weight", LG_PRECISION_F16, halves, sizeof halves, &bytes, error));
  CHECK(bytes == elements * 2);
  OK(lg_trainer_weight_set(other, "fc.weight", LG_PRECISION_F16, halves, bytes, error));
  CHECK(get(other, "fc.weight", rounded) == elements);
  for (at = 0; at < elements; at++) CHECK(fabsf(exact[at] - rounded[at]) <= fabsf(exact[at]) / 2048 + 1e-7f);
  exact[1] = 1e6f;
  OK(lg_trainer_weight_set(one, "fc.weight", LG_PRECISION_F32, exact, elements * 4, error));
  REFUSED(LG_STATUS_CONFIG, "too large for 16 bits",
          lg_trainer_weight_get(one, "fc.weight", LG_PRECISION_F16, halves, sizeof halves, &bytes, error));
  lg_trainer_destroy(one);
  lg_trainer_destroy(other);
}

/* Pauses while the trainer rests after a step's first block. */
static void *pause_after_a_block(void *trainer) {
  static const struct timespec moment = {0, 200000};
  lg_event event;
  int32_t found = 0;
  event.struct_size = sizeof event;
  while (!found || event.kind != LG_EVENT_KIND_BLOCK || event.block != 0) {
    CHECK(lg_trainer_poll(trainer, &event, &found, NULL) == LG_STATUS_OK);
    if (!found) nanosleep(&moment, NULL);
  }
  CHECK(lg_trainer_pause(trainer, NULL) == LG_STATUS_OK);
  return NULL;
}

/* Leaves a step half done. A machine that is busy may be late with the pause: then another step is tried. */
static void interrupt_a_step(lg_trainer *trainer) {
  static batch_data data;
  lg_samples samples = make_samples(&data, 0, BATCH);
  lg_run_options options;
  lg_event event;
  pthread_t thread;
  int32_t found, tries = 0;
  event.struct_size = sizeof event;
  OK(lg_run_options_init(&options, sizeof options));
  options.milliseconds = 500;
  OK(lg_trainer_set_work_fraction(trainer, 0.01, error));
  while (!describe(trainer).step_is_open) {
    CHECK(tries++ < 50);
    OK(lg_trainer_resume(trainer, error));
    for (found = 1; found;) OK(lg_trainer_poll(trainer, &event, &found, error));
    OK(lg_trainer_push(trainer, &samples, error));
    options.until_step = describe(trainer).steps + 1;
    CHECK(pthread_create(&thread, NULL, pause_after_a_block, trainer) == 0);
    OK(lg_trainer_run(trainer, &options, NULL, error));
    CHECK(pthread_join(thread, NULL) == 0);
  }
  OK(lg_trainer_set_work_fraction(trainer, 1.0, error));
}

static void misuse(void) {
  static float numbers[MOST], before[MOST];
  char small[2] = "x";
  size_t bytes = 0, elements, count;
  lg_weight_info info;
  lg_trainer *trainer = make_trainer();
  info.struct_size = sizeof info;
  elements = get(trainer, "fc.bias", before);
  REFUSED(LG_STATUS_ARGUMENT, "no block 3", lg_trainer_weight_count(trainer, 3, &count, error));
  REFUSED(LG_STATUS_ARGUMENT, "count is NULL", lg_trainer_weight_count(trainer, 0, NULL, error));
  REFUSED(LG_STATUS_ARGUMENT, "no number 999",
          lg_trainer_weight_name(trainer, LG_ALL_BLOCKS, 999, NULL, 0, &bytes, error));
  REFUSED(LG_STATUS_BUFFER, "room",
          lg_trainer_weight_name(trainer, 0, 0, small, sizeof small, &bytes, error));
  REFUSED(LG_STATUS_ARGUMENT, "no weight \"fc\"", lg_trainer_weight_describe(trainer, "fc", &info, error));
  REFUSED(LG_STATUS_ARGUMENT, "name is NULL",
          lg_trainer_weight_get(trainer, NULL, LG_PRECISION_F32, NULL, 0, &bytes, error));
  REFUSED(LG_STATUS_ARGUMENT, "no weight",
          lg_trainer_weight_get(trainer, "aux.0.fc1.weight", LG_PRECISION_F32, NULL, 0, &bytes, error));
  REFUSED(LG_STATUS_ARGUMENT, "lg_precision",
          lg_trainer_weight_get(trainer, "fc.bias", 7, NULL, 0, &bytes, error));
  REFUSED(LG_STATUS_BUFFER, "room",
          lg_trainer_weight_get(trainer, "fc.bias", LG_PRECISION_F32, numbers, 4, &bytes, error));
  CHECK(bytes == elements * 4);
  REFUSED(LG_STATUS_SHAPE, "fc.bias is [3] and takes 12 bytes, but there are 8",
          lg_trainer_weight_set(trainer, "fc.bias", LG_PRECISION_F32, numbers, 8, error));
  numbers[1] = NAN;
  REFUSED(LG_STATUS_NOT_FINITE, "number 1 of fc.bias",
          lg_trainer_weight_set(trainer, "fc.bias", LG_PRECISION_F32, numbers, bytes, error));
  REFUSED(LG_STATUS_ARGUMENT, "buffer is NULL",
          lg_trainer_weight_set(trainer, "fc.bias", LG_PRECISION_F32, NULL, bytes, error));
  CHECK(get(trainer, "fc.bias", numbers) == elements && memcmp(numbers, before, bytes) == 0);

  /* Half a step is no state to be set, and goes on. */
  interrupt_a_step(trainer);
  REFUSED(LG_STATUS_STATE, "interrupted",
          lg_trainer_weight_set(trainer, "fc.bias", LG_PRECISION_F32, before, bytes, error));
  OK(lg_trainer_resume(trainer, error));
  OK(lg_trainer_step(trainer, NULL, error));
  OK(lg_trainer_weight_set(trainer, "fc.bias", LG_PRECISION_F32, before, bytes, error));
  lg_trainer_destroy(trainer);
  REFUSED(LG_STATUS_HANDLE, "destroyed", lg_trainer_weight_count(trainer, 0, &count, error));
}

int main(int count, char **arguments) {
  CHECK(count == 2);
  error = lg_error_create();
  average(arguments[1]);
  in_16_bits();
  misuse();
  lg_error_destroy(error);
  return 0;
}
