/* Networks that answer with labels or with values: samples come with targets, and an evaluation names what it judges by. */
#include "common.h"
#include <math.h>

enum { OUTPUTS = 2 };

typedef struct {
  batch_data data;
  float targets[BATCH * OUTPUTS];
} answered_data;

/* Samples whose targets are 1 for the class that is bright, or how far it is down. */
static lg_samples make_answered(answered_data *data, uint64_t first, size_t count, int are_values) {
  lg_samples samples = make_samples(&data->data, first, count);
  size_t sample;
  for (sample = 0; sample < count; sample++) {
    uint32_t label = data->data.labels[sample];
    data->targets[sample * OUTPUTS] = are_values ? 2.5f * (float)label : (float)(label == 0);
    data->targets[sample * OUTPUTS + 1] = are_values ? -1.0f * (float)label : (float)(label != 1);
  }
  samples.labels = NULL;
  samples.targets = data->targets;
  return samples;
}

static lg_trainer *make_answering(int32_t objective) {
  static const size_t widths[] = {4, 4, 6, 8};
  lg_network_options options;
  lg_network_info info;
  lg_trainer_config config = make_config();
  lg_network *network = NULL;
  lg_trainer *trainer = NULL;
  OK(lg_network_options_init(&options, sizeof options));
  CHECK(options.objective == LG_OBJECTIVE_CLASSES);
  options.channels = 1;
  options.height = options.width = SIDE;
  options.classes = OUTPUTS;
  options.widths = widths;
  options.widths_count = 4;
  options.objective = objective;
  OK(lg_network_create("resnet8", &options, &network, error));
  info.struct_size = sizeof info;
  OK(lg_network_describe(network, &info, error));
  CHECK(info.objective == objective && info.classes == OUTPUTS);
  CHECK(info.huber_delta == (objective == LG_OBJECTIVE_HUBER ? 1 : 0));
  OK(lg_trainer_create(network, &config, &trainer, error));
  lg_network_destroy(network);
  return trainer;
}

static void learns(int32_t objective, const char *metric) {
  int are_values = objective != LG_OBJECTIVE_LABELS;
  lg_trainer *trainer = make_answering(objective);
  answered_data data;
  lg_samples samples;
  lg_step_result step;
  lg_evaluation found;
  double first = 0, last = 0;
  int number;
  step.struct_size = sizeof step;
  for (number = 0; number < 12; number++) {
    samples = make_answered(&data, (uint64_t)(number % 2) * BATCH, BATCH, are_values);
    OK(lg_trainer_push(trainer, &samples, error));
    OK(lg_trainer_step(trainer, &step, error));
    if (number == 0) first = step.loss;
    last = step.loss;
    CHECK(are_values ? step.correct == 0 : step.correct <= BATCH * OUTPUTS);
  }
  CHECK(last < first);
  found.struct_size = sizeof found;
  OK(lg_trainer_evaluate(trainer, &samples, &found, error));
  CHECK(strcmp(found.metric_name, metric) == 0 && found.samples == BATCH);
  CHECK(are_values ? found.accuracy != found.accuracy && found.metric > 0
                   : found.accuracy == found.metric && found.metric <= 1);
  /* An older program's struct ends before what is judged by. */
  found.struct_size = offsetof(lg_evaluation, metric_name);
  found.metric = -7;
  OK(lg_trainer_evaluate(trainer, &samples, &found, error));
  CHECK(found.metric == -7);
  /* Labels are none of its answers, and targets that cannot be are refused. */
  samples.targets = NULL;
  samples.labels = data.data.labels;
  REFUSED(LG_STATUS_ARGUMENT, "targets", lg_trainer_push(trainer, &samples, error));
  samples = make_answered(&data, 0, BATCH, are_values);
  data.targets[3] = are_values ? INFINITY : 2.0f;
  REFUSED(LG_STATUS_ARGUMENT, "sample 1", lg_trainer_push(trainer, &samples, error));
  lg_trainer_destroy(trainer);
}

/* A network that classifies takes shares of classes, but not beside labels in one step. */
static void takes_shares(void) {
  lg_trainer *trainer = make_trainer();
  batch_data data;
  float shares[BATCH * CLASSES];
  size_t at;
  lg_samples samples = make_samples(&data, 0, 3);
  OK(lg_trainer_push(trainer, &samples, error));
  for (at = 0; at < BATCH * CLASSES; at++) shares[at] = at % CLASSES == 2 ? 0.5f : 0.25f;
  samples.targets = shares;
  REFUSED(LG_STATUS_CONFIG, "labels, or all with targets", lg_trainer_push(trainer, &samples, error));
  OK(lg_trainer_step(trainer, NULL, error));
  OK(lg_trainer_push(trainer, &samples, error));
  OK(lg_trainer_step(trainer, NULL, error));
  shares[0] = 0.75f;
  REFUSED(LG_STATUS_ARGUMENT, "shares of classes", lg_trainer_push(trainer, &samples, error));
  lg_trainer_destroy(trainer);
}

/* One that classified answers with a single value, when it has another objective and another head. */
static void replaces(void) {
  lg_network *network = make_network(CLASSES), *valued = NULL, *single = NULL, *none = network;
  lg_network_info info;
  info.struct_size = sizeof info;
  REFUSED(LG_STATUS_CONFIG, "2 classes", lg_network_replace_head(network, 1, &single, error));
  OK(lg_network_replace_objective(network, LG_OBJECTIVE_HUBER, 0.5, &valued, error));
  OK(lg_network_replace_head(valued, 1, &single, error));
  OK(lg_network_describe(single, &info, error));
  CHECK(info.classes == 1 && info.objective == LG_OBJECTIVE_HUBER && info.huber_delta == 0.5);
  REFUSED(LG_STATUS_CONFIG, "2 classes",
          lg_network_replace_objective(single, LG_OBJECTIVE_CLASSES, 0, &none, error));
  CHECK(none == NULL);
  REFUSED(LG_STATUS_ARGUMENT, "no lg_objective", lg_network_replace_objective(network, 4, 0, &none, error));
  REFUSED(LG_STATUS_CONFIG, "delta",
          lg_network_replace_objective(network, LG_OBJECTIVE_HUBER, -1, &none, error));
  REFUSED(LG_STATUS_ARGUMENT, "replaced is NULL",
          lg_network_replace_objective(network, LG_OBJECTIVE_LABELS, 0, NULL, error));
  lg_network_destroy(network);
  lg_network_destroy(valued);
  lg_network_destroy(single);
}

int main(void) {
  lg_network_options options;
  lg_network *network = NULL;
  error = lg_error_create();
  learns(LG_OBJECTIVE_LABELS, "label_accuracy");
  learns(LG_OBJECTIVE_VALUES, "mean_absolute_error");
  learns(LG_OBJECTIVE_HUBER, "mean_absolute_error");
  takes_shares();
  replaces();
  OK(lg_network_options_init(&options, sizeof options));
  options.objective = 9;
  REFUSED(LG_STATUS_ARGUMENT, "no lg_objective", lg_network_create("resnet8", &options, &network, error));
  options.objective = LG_OBJECTIVE_HUBER;
  options.huber_delta = 0;
  REFUSED(LG_STATUS_CONFIG, "delta", lg_network_create("resnet8", &options, &network, error));
  lg_error_destroy(error);
  return 0;
}
