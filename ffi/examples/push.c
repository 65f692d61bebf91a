/* Trains on batches that the program pushes, whatever their form; watches events; evaluates, predicts and exports. */
#include "../tests/c/common.h"
#include <dirent.h>
#include <math.h>

static int count_threads(void) {
  DIR *directory = opendir("/proc/self/task");
  int count = -2;
  if (directory == NULL) return -1;
  while (readdir(directory) != NULL) count++;
  closedir(directory);
  return count;
}

/* The same samples as floats in planes. With one channel planes are rows, so only the type differs. */
static lg_samples as_floats(lg_samples samples, float *floats) {
  const uint8_t *bytes = samples.images;
  size_t at;
  for (at = 0; at < samples.count * PIXELS; at++) floats[at] = bytes[at] / 255.0f;
  samples.images = floats;
  samples.images_bytes *= sizeof *floats;
  samples.pixel = LG_PIXEL_F32;
  samples.layout = LG_LAYOUT_NCHW;
  return samples;
}

static double train(lg_trainer *trainer, int floats_too, int steps) {
  static batch_data data;
  static float floats[BATCH * PIXELS];
  lg_step_result result;
  int step;
  result.struct_size = sizeof result;
  for (step = 0; step < steps; step++) {
    lg_samples first = make_samples(&data, (uint64_t)step * BATCH, 2);
    OK(lg_trainer_push(trainer, &first, error));
    lg_samples second = make_samples(&data, (uint64_t)step * BATCH + 2, BATCH - 2);
    if (floats_too) second = as_floats(second, floats);
    OK(lg_trainer_push(trainer, &second, error));
    CHECK(describe(trainer).pending == BATCH);
    OK(lg_trainer_step(trainer, &result, error));
    CHECK(result.step == (uint64_t)step + 1 && result.samples == BATCH && result.correct <= BATCH);
  }
  return result.loss;
}

static void watch_events(lg_trainer *trainer, int steps) {
  int32_t found = 1;
  int blocks = 0, done = 0;
  uint64_t dropped = 1;
  lg_event event;
  event.struct_size = sizeof event;
  for (;;) {
    OK(lg_trainer_poll(trainer, &event, &found, error));
    if (!found) break;
    if (event.kind == LG_EVENT_KIND_BLOCK) {
      CHECK(event.block == (uint32_t)(blocks % 3) && isfinite(event.loss));
      blocks++;
    }
    if (event.kind == LG_EVENT_KIND_STEP) CHECK(event.step == (uint64_t)++done && event.samples == BATCH);
  }
  CHECK(blocks == 3 * steps && done == steps);
  OK(lg_trainer_dropped_events(trainer, &dropped, error));
  CHECK(dropped == 0);
}

static void judge(lg_trainer *trainer) {
  enum { COUNT = 20 };
  static uint8_t bytes[COUNT * PIXELS];
  static uint32_t labels[COUNT];
  float logits[COUNT * CLASSES];
  lg_evaluation found;
  size_t sample, at, class, right = 0;
  lg_samples samples;
  OK(lg_samples_init(&samples, sizeof samples));
  for (sample = 0; sample < COUNT; sample++) {
    labels[sample] = label_of(90000 + sample);
    for (at = 0; at < PIXELS; at++) bytes[sample * PIXELS + at] = pixel_of(90000 + sample, at);
  }
  samples.images = bytes;
  samples.images_bytes = sizeof bytes;
  samples.count = COUNT;
  samples.labels = labels;
  found.struct_size = sizeof found;
  OK(lg_trainer_evaluate(trainer, &samples, &found, error));
  samples.labels = NULL;
  OK(lg_trainer_predict(trainer, &samples, logits, COUNT * CLASSES, error));
  for (sample = 0; sample < COUNT; sample++) {
    size_t best = 0;
    for (class = 1; class < CLASSES; class++)
      if (logits[sample * CLASSES + class] > logits[sample * CLASSES + best]) best = class;
    right += best == labels[sample];
  }
  CHECK(found.samples == COUNT && fabs(found.accuracy - (double)right / COUNT) < 1e-12);
  CHECK(found.accuracy > 0.8);
}

int main(int count, char **arguments) {
  enum { STEPS = 30 };
  int threads = count_threads();
  double first, losses[3];
  lg_trainer *trainer, *other;
  CHECK(count == 2);
  error = lg_error_create();
  trainer = make_trainer();
  CHECK(count_threads() == threads);
  first = train(trainer, 0, 1);
  CHECK(threads < 0 || count_threads() == threads + (int)test_threads());
  lg_trainer_destroy(trainer);
  CHECK(count_threads() == threads);

  trainer = make_trainer();
  CHECK(train(trainer, 0, STEPS) < first / 2);
  OK(lg_trainer_losses(trainer, losses, 3, error));
  CHECK(isfinite(losses[0]) && isfinite(losses[1]) && isfinite(losses[2]));
  watch_events(trainer, STEPS);
  judge(trainer);
  OK(lg_trainer_export(trainer, in_directory(arguments[1], "bytes.safetensors"), LG_PRECISION_F32, error));

  /* Floats that stand for the same bytes train the same network. */
  other = make_trainer();
  train(other, 1, STEPS);
  OK(lg_trainer_export(other, in_directory(arguments[1], "floats.safetensors"), LG_PRECISION_F32, error));
  CHECK(same_files(in_directory(arguments[1], "bytes.safetensors"),
                   in_directory(arguments[1], "floats.safetensors")));
  OK(lg_trainer_export(other, in_directory(arguments[1], "half.safetensors"), LG_PRECISION_F16, error));
  lg_trainer_destroy(trainer);
  lg_trainer_destroy(other);
  lg_error_destroy(error);
  CHECK(count_threads() == threads);
  return 0;
}
