/* A network of tokens, such as the words of a text: made by name, trained, judged, and refused what is no token of its. */
#include "common.h"

enum { LENGTH = 12, VOCABULARY = 30 };

typedef struct {
  uint32_t tokens[BATCH * LENGTH];
  uint32_t labels[BATCH];
} text_data;

/* Texts of noise, in which token 1 + label stands somewhere. */
static lg_samples make_texts(text_data *data, uint64_t first) {
  lg_samples samples;
  size_t sample, at;
  CHECK(lg_samples_init(&samples, sizeof samples) == LG_STATUS_OK);
  for (sample = 0; sample < BATCH; sample++) {
    uint64_t number = first + sample;
    data->labels[sample] = label_of(number);
    for (at = 0; at < LENGTH; at++) {
      uint64_t noise = hash(number * LENGTH + at) % (VOCABULARY - 5);
      data->tokens[sample * LENGTH + at] = at == number % LENGTH ? 1 + label_of(number) : 5 + (uint32_t)noise;
    }
  }
  samples.images = data->tokens;
  samples.images_bytes = sizeof data->tokens;
  samples.pixel = LG_PIXEL_TOKEN;
  samples.count = BATCH;
  samples.labels = data->labels;
  return samples;
}

static lg_network *make_text_network(void) {
  lg_network_options options;
  lg_network_info info;
  lg_network *network = NULL;
  OK(lg_network_options_init(&options, sizeof options));
  CHECK(options.vocabulary == 0);
  options.classes = CLASSES;
  REFUSED(LG_STATUS_CONFIG, "takes tokens", lg_network_create("text_tcn", &options, &network, error));
  options.width = LENGTH;
  options.vocabulary = VOCABULARY;
  REFUSED(LG_STATUS_SHAPE, "embedding", lg_network_create("resnet8", &options, &network, error));
  OK(lg_network_create("text_tcn", &options, &network, error));
  info.struct_size = sizeof info;
  OK(lg_network_describe(network, &info, error));
  CHECK(info.channels == 1 && info.height == 1 && info.width == LENGTH && info.vocabulary == VOCABULARY);
  /* An older program's struct ends before the vocabulary. */
  info.struct_size = offsetof(lg_network_info, vocabulary);
  info.vocabulary = 77;
  OK(lg_network_describe(network, &info, error));
  CHECK(info.vocabulary == 77);
  return network;
}

static void refuses(lg_trainer *trainer, lg_network *network) {
  text_data data;
  lg_frame frame;
  uint8_t image[LENGTH];
  lg_samples samples = make_texts(&data, 0);
  data.tokens[LENGTH + 3] = VOCABULARY;
  REFUSED(LG_STATUS_ARGUMENT, "sample 1 holds the token 30", lg_trainer_push(trainer, &samples, error));
  samples = make_texts(&data, 0);
  samples.images_bytes -= 4;
  REFUSED(LG_STATUS_SHAPE, "rows of 12 tokens", lg_trainer_push(trainer, &samples, error));
  samples.images_bytes += 4;
  samples.pixel = LG_PIXEL_F32;
  REFUSED(LG_STATUS_ARGUMENT, "LG_PIXEL_TOKEN", lg_trainer_push(trainer, &samples, error));
  samples.pixel = 4;
  REFUSED(LG_STATUS_ARGUMENT, "no lg_pixel", lg_trainer_push(trainer, &samples, error));
  OK(lg_frame_init(&frame, sizeof frame));
  REFUSED(LG_STATUS_CONFIG, "takes tokens", lg_network_prepare_frame(network, &frame, image, LENGTH, error));
  /* One of images takes none, even where there are as many numbers. */
  trainer = make_trainer();
  samples = make_texts(&data, 0);
  samples.count = 1;
  samples.images_bytes = PIXELS * sizeof(uint32_t);
  REFUSED(LG_STATUS_ARGUMENT, "not tokens", lg_trainer_push(trainer, &samples, error));
  lg_trainer_destroy(trainer);
}

int main(void) {
  text_data data;
  lg_samples samples;
  lg_trainer *trainer = NULL;
  lg_network *network;
  lg_step_result step;
  lg_evaluation found;
  lg_trainer_config config;
  double first = 0;
  int number;
  error = lg_error_create();
  network = make_text_network();
  config = make_config();
  config.ends = NULL;
  config.ends_count = 0;
  config.blocks = 3;
  /* Tokens have no pixels to rebuild, which is left out where nobody names a head, and refused where somebody does. */
  config.head = "infopro";
  REFUSED(LG_STATUS_CONFIG, "takes tokens", lg_trainer_create(network, &config, &trainer, error));
  config.rule = "man";
  config.head = NULL;
  OK(lg_trainer_create(network, &config, &trainer, error));
  step.struct_size = sizeof step;
  for (number = 0; number < 30; number++) {
    samples = make_texts(&data, (uint64_t)(number % 2) * BATCH);
    OK(lg_trainer_push(trainer, &samples, error));
    OK(lg_trainer_step(trainer, &step, error));
    if (number == 0) first = step.loss;
  }
  CHECK(step.loss < first);
  found.struct_size = sizeof found;
  OK(lg_trainer_evaluate(trainer, &samples, &found, error));
  CHECK(found.samples == BATCH && found.accuracy > 0.5);
  refuses(trainer, network);
  lg_trainer_destroy(trainer);
  lg_network_destroy(network);
  lg_error_destroy(error);
  return 0;
}
