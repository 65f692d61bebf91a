/* Trains a network, then fine-tunes it on other classes: a new head, and the first blocks left as they are. */
#include "../tests/c/common.h"

enum { STEPS = 25 };

static void train(lg_trainer *trainer) {
  static batch_source source;
  lg_run_options options;
  source.batches = STEPS;
  OK(lg_trainer_set_source(trainer, give, &source, error));
  OK(lg_run_options_init(&options, sizeof options));
  options.until_step = STEPS;
  OK(lg_trainer_run(trainer, &options, NULL, error));
}

/* The bytes of one tensor of a safetensors file: its name in the header is followed by its place. */
static const char *tensor(const char *file, const char *name, size_t *bytes) {
  uint64_t header;
  unsigned long first, last;
  const char *place = strstr(file + 8, name);
  memcpy(&header, file, 8);
  CHECK(place != NULL && (place = strstr(place, "\"data_offsets\":[")) != NULL);
  CHECK(sscanf(place, "\"data_offsets\":[%lu,%lu]", &first, &last) == 2);
  *bytes = last - first;
  return file + 8 + header + first;
}

static int same_tensor(const char *a, const char *b, const char *name) {
  size_t a_bytes, b_bytes;
  const char *a_tensor = tensor(a, name, &a_bytes), *b_tensor = tensor(b, name, &b_bytes);
  return a_bytes == b_bytes && memcmp(a_tensor, b_tensor, a_bytes) == 0;
}

int main(int count, char **arguments) {
  const char *pretrained, *tuned;
  size_t bytes;
  char *before, *after;
  lg_network *network, *replaced = NULL;
  lg_network_info info;
  lg_trainer_config config;
  lg_trainer *trainer;
  CHECK(count == 2);
  error = lg_error_create();
  pretrained = in_directory(arguments[1], "pretrained.safetensors");
  tuned = in_directory(arguments[1], "tuned.safetensors");
  trainer = make_trainer();
  train(trainer);
  OK(lg_trainer_export(trainer, pretrained, LG_PRECISION_F32, error));
  lg_trainer_destroy(trainer);

  network = make_network(CLASSES);
  OK(lg_network_replace_head(network, 5, &replaced, error));
  lg_network_destroy(network);
  info.struct_size = sizeof info;
  OK(lg_network_describe(replaced, &info, error));
  CHECK(info.classes == 5 && info.units == 4);
  config = make_config();
  config.frozen_blocks = 2;
  trainer = NULL;
  OK(lg_trainer_create(replaced, &config, &trainer, error));
  REFUSED(LG_STATUS_FORMAT, "fc.weight", lg_trainer_load_weights(trainer, pretrained, LG_WEIGHTS_ALL, error));
  OK(lg_trainer_load_weights(trainer, pretrained, LG_WEIGHTS_BODY, error));
  train(trainer);
  OK(lg_trainer_export(trainer, tuned, LG_PRECISION_F32, error));

  before = read_file(pretrained, &bytes);
  after = read_file(tuned, &bytes);
  CHECK(same_tensor(before, after, "\"conv1.weight\""));
  CHECK(same_tensor(before, after, "\"layer1.0.conv1.weight\""));
  CHECK(!same_tensor(before, after, "\"layer3.0.conv1.weight\""));
  CHECK(!same_tensor(before, after, "\"fc.weight\""));
  free(before);
  free(after);
  lg_network_destroy(replaced);
  lg_trainer_destroy(trainer);
  lg_error_destroy(error);
  return 0;
}
