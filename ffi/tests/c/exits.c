/* Exits answer beside the network's end, and samples leave by the first that is sure enough. */
#include "common.h"
#include <math.h>

enum { EXITS = 3, BATCHES = 5, ALL = BATCHES * BATCH };

/* As many samples as several batches, in one piece. */
typedef struct {
  uint8_t bytes[ALL * PIXELS];
  uint32_t labels[ALL];
} all_data;

static lg_samples make_all(all_data *data) {
  lg_samples samples;
  size_t sample, at;
  OK(lg_samples_init(&samples, sizeof samples));
  for (sample = 0; sample < ALL; sample++) {
    data->labels[sample] = label_of(9000 + sample);
    for (at = 0; at < PIXELS; at++) data->bytes[sample * PIXELS + at] = pixel_of(9000 + sample, at);
  }
  samples.images = data->bytes;
  samples.images_bytes = sizeof data->bytes;
  samples.count = ALL;
  samples.labels = data->labels;
  return samples;
}

/* The probability of the likeliest class. */
static double certainty(const float *logits, double temperature) {
  double largest = logits[0], sum = 0;
  size_t class_;
  for (class_ = 1; class_ < CLASSES; class_++) largest = logits[class_] > largest ? logits[class_] : largest;
  for (class_ = 0; class_ < CLASSES; class_++) sum += exp((logits[class_] - largest) / temperature);
  return 1 / sum;
}

static size_t likeliest(const float *logits) {
  size_t class_, best = 0;
  for (class_ = 1; class_ < CLASSES; class_++) best = logits[class_] > logits[best] ? class_ : best;
  return best;
}

int main(void) {
  static all_data data;
  static float whole[ALL * CLASSES], found[ALL * CLASSES];
  double accuracies[EXITS], temperatures[EXITS];
  size_t left[ALL], by[EXITS] = {0}, count = 0, sample, first_right = 0;
  static batch_source source;
  lg_run_options options;
  lg_trainer *trainer;
  lg_samples samples = make_all(&data);
  lg_evaluation evaluation;
  error = lg_error_create();
  trainer = make_trainer();
  source.batches = 60;
  OK(lg_trainer_set_source(trainer, give, &source, error));
  OK(lg_run_options_init(&options, sizeof options));
  options.until_step = 60;
  OK(lg_trainer_run(trainer, &options, NULL, error));

  REFUSED(LG_STATUS_BUFFER, "3 are needed",
          lg_trainer_evaluate_exits(trainer, &samples, accuracies, temperatures, 2, &count, error));
  CHECK(count == EXITS);
  OK(lg_trainer_evaluate_exits(trainer, &samples, accuracies, temperatures, EXITS, &count, error));
  evaluation.struct_size = sizeof evaluation;
  OK(lg_trainer_evaluate(trainer, &samples, &evaluation, error));
  CHECK(accuracies[2] == evaluation.accuracy);
  CHECK(accuracies[0] > 0.4 && temperatures[0] > 0 && temperatures[2] > 0);

  /* At the least confidence all leave at once. */
  OK(lg_trainer_predict_early(trainer, &samples, 1e-9, NULL, 0, found, ALL * CLASSES, left, error));
  for (sample = 0; sample < ALL; sample++) {
    CHECK(left[sample] == 0);
    first_right += likeliest(found + sample * CLASSES) == data.labels[sample];
  }
  CHECK((double)first_right / ALL == accuracies[0]);
  OK(lg_trainer_predict(trainer, &samples, whole, ALL * CLASSES, error));
  OK(lg_trainer_predict_early(trainer, &samples, 0.8, temperatures, EXITS, found, ALL * CLASSES, left, error));
  for (sample = 0; sample < ALL; sample++) {
    const float *logits = found + sample * CLASSES;
    by[left[sample]]++;
    if (left[sample] < 2) {
      CHECK(certainty(logits, temperatures[left[sample]]) >= 0.8 - 1e-6);
      continue;
    }
    for (count = 0; count < CLASSES; count++) {
      CHECK(fabsf(logits[count] - whole[sample * CLASSES + count]) < 1e-4f);
    }
  }
  CHECK(by[0] + by[1] + by[2] == ALL && by[0] > 0);

#define EARLY(confidence, numbers, how_many)                                                        \
  lg_trainer_predict_early(trainer, &samples, confidence, numbers, how_many, found, ALL * CLASSES,  \
                           left, error)
  REFUSED(LG_STATUS_ARGUMENT, "confidence", EARLY(0.0, NULL, 0));
  REFUSED(LG_STATUS_ARGUMENT, "confidence", EARLY((double)NAN, NULL, 0));
  REFUSED(LG_STATUS_ARGUMENT, "3 exits", EARLY(0.5, temperatures, 2));
  REFUSED(LG_STATUS_ARGUMENT, "temperatures is NULL", EARLY(0.5, NULL, 3));
  temperatures[1] = 0;
  REFUSED(LG_STATUS_ARGUMENT, "above 0", EARLY(0.5, temperatures, 3));
  REFUSED(LG_STATUS_BUFFER, "are needed",
          lg_trainer_predict_early(trainer, &samples, 0.5, NULL, 0, found, 1, left, error));
  REFUSED(LG_STATUS_ARGUMENT, "exits is NULL",
          lg_trainer_predict_early(trainer, &samples, 0.5, NULL, 0, found, ALL * CLASSES, NULL, error));
  samples.labels = NULL;
  REFUSED(LG_STATUS_ARGUMENT, "labels",
          lg_trainer_evaluate_exits(trainer, &samples, accuracies, temperatures, EXITS, &count, error));
  lg_trainer_destroy(trainer);
  lg_error_destroy(error);
  return 0;
}
