/* Weights that say what they are: network, normalisation and names of classes travel from export to network, to another
   head, to a trainer, into its checkpoints and states, and out again. */
#include "common.h"

static const char *const names[CLASSES] = {"apple", "p\xc3\xaa" "che", "plum"};
static const char *const others[2] = {"ripe", "unripe"};

static lg_network_info info_of(lg_network *network) {
  lg_network_info info;
  info.struct_size = sizeof info;
  OK(lg_network_describe(network, &info, error));
  return info;
}

static const char *class_of(lg_network *network, size_t index) {
  static char name[64];
  size_t needed = 0;
  OK(lg_network_class_name(network, index, name, sizeof name, &needed, error));
  CHECK(needed == strlen(name) + 1);
  return name;
}

static const char *trained_class(lg_trainer *trainer, size_t index) {
  static char name[64];
  size_t needed = 0;
  OK(lg_trainer_class_name(trainer, index, NULL, 0, &needed, error));
  CHECK(needed > 1 && needed <= sizeof name);
  OK(lg_trainer_class_name(trainer, index, name, needed, &needed, error));
  return name;
}

static lg_trainer *make(lg_network *network, const char *normalize) {
  lg_trainer_config config = make_config();
  lg_trainer *trainer = NULL;
  config.normalize = normalize;
  OK(lg_trainer_create(network, &config, &trainer, error));
  return trainer;
}

static void step(lg_trainer *trainer, uint64_t first) {
  static batch_data data;
  lg_samples samples = make_samples(&data, first, BATCH);
  size_t at;
  for (at = 0; at < BATCH; at++) data.labels[at] %= (uint32_t)describe(trainer).classes;
  OK(lg_trainer_push(trainer, &samples, error));
  OK(lg_trainer_step(trainer, NULL, error));
}

static void logits_of(lg_trainer *trainer, float *logits) {
  static batch_data data;
  lg_samples samples = make_samples(&data, 5000, BATCH);
  OK(lg_trainer_predict(trainer, &samples, logits, BATCH * CLASSES, error));
}

/* Trains a network whose classes have names, and exports it. */
static void export_named(const char *path, float *logits) {
  lg_network *plain = make_network(CLASSES), *named = NULL;
  lg_trainer *trainer;
  size_t needed;
  CHECK(info_of(plain).class_names == 0 && info_of(plain).has_weights == 0 && info_of(plain).has_normalize == 0);
  REFUSED(LG_STATUS_ARGUMENT, "have no names", lg_network_class_name(plain, 0, NULL, 0, &needed, error));
  REFUSED(LG_STATUS_ARGUMENT, "2 names were given for 3",
          lg_network_name_classes(plain, others, 2, &named, error));
  REFUSED(LG_STATUS_ARGUMENT, "names is NULL", lg_network_name_classes(plain, NULL, CLASSES, &named, error));
  CHECK(named == NULL);
  OK(lg_network_name_classes(plain, names, CLASSES, &named, error));
  lg_network_destroy(plain);
  CHECK(info_of(named).class_names == CLASSES && strcmp(class_of(named, 2), "plum") == 0);
  REFUSED(LG_STATUS_ARGUMENT, "no number 3", lg_network_class_name(named, 3, NULL, 0, &needed, error));
  trainer = make(named, "identity");
  lg_network_destroy(named);
  CHECK(describe(trainer).classes == CLASSES && describe(trainer).class_names == CLASSES);
  step(trainer, 0);
  OK(lg_trainer_export(trainer, path, LG_PRECISION_F32, error));
  logits_of(trainer, logits);
  lg_trainer_destroy(trainer);
}

/* The file is all that is needed to use it: no name, no normalisation, no classes are said again. */
static lg_network *load(const char *path, const float *expected) {
  float logits[BATCH * CLASSES];
  size_t bytes = 0;
  char *content = read_file(path, &bytes);
  lg_network *loaded = NULL, *again = NULL;
  lg_trainer *trainer;
  OK(lg_network_load(path, &loaded, error));
  OK(lg_network_from_bytes(content, bytes, &again, error));
  CHECK(info_of(loaded).has_weights == 1 && info_of(loaded).has_normalize == 1);
  CHECK(info_of(loaded).classes == CLASSES && strcmp(info_of(loaded).name, "resnet8") == 0);
  CHECK(strcmp(class_of(loaded, 1), names[1]) == 0 && strcmp(class_of(again, 0), names[0]) == 0);
  trainer = make(loaded, NULL);
  logits_of(trainer, logits);
  CHECK(memcmp(logits, expected, sizeof logits) == 0);
  lg_trainer_destroy(trainer);
  trainer = make(again, NULL);
  logits_of(trainer, logits);
  CHECK(memcmp(logits, expected, sizeof logits) == 0);
  lg_trainer_destroy(trainer);
  /* Who says otherwise is heard. */
  trainer = make(again, "half");
  logits_of(trainer, logits);
  CHECK(memcmp(logits, expected, sizeof logits) != 0);
  lg_trainer_destroy(trainer);
  lg_network_destroy(again);
  REFUSED(LG_STATUS_FORMAT, "these bytes", lg_network_from_bytes(content, bytes / 2, &again, error));
  REFUSED(LG_STATUS_FORMAT, "these bytes", lg_network_from_bytes("abc", 3, &again, error));
  REFUSED(LG_STATUS_ARGUMENT, "content is NULL", lg_network_from_bytes(NULL, 3, &again, error));
  REFUSED(LG_STATUS_IO, "", lg_network_load("/no/such/file", &again, error));
  CHECK(again == NULL);
  free(content);
  return loaded;
}

/* Normalisation and all layers but the last stay, names are new. */
static void replace_head(lg_network *loaded, const char *path) {
  static float old_weight[4096], new_weight[4096];
  size_t bytes = 0;
  lg_network *replaced = NULL, *named = NULL;
  lg_trainer *trainer, *before = make(loaded, NULL);
  OK(lg_network_replace_head(loaded, 2, &replaced, error));
  CHECK(info_of(replaced).class_names == 0 && info_of(replaced).has_weights == 1);
  lg_network_destroy(replaced);
  REFUSED(LG_STATUS_CONFIG, "2 classes", lg_network_replace_head_named(loaded, others, 1, &named, error));
  OK(lg_network_replace_head_named(loaded, others, 2, &named, error));
  CHECK(info_of(named).classes == 2 && strcmp(class_of(named, 1), "unripe") == 0);
  trainer = make(named, NULL);
  lg_network_destroy(named);
  OK(lg_trainer_weight_get(before, "conv1.weight", LG_PRECISION_F32, old_weight, sizeof old_weight, &bytes, error));
  OK(lg_trainer_weight_get(trainer, "conv1.weight", LG_PRECISION_F32, new_weight, sizeof new_weight, &bytes, error));
  CHECK(memcmp(old_weight, new_weight, bytes) == 0);
  step(trainer, 0);
  OK(lg_trainer_export(trainer, path, LG_PRECISION_F16, error));
  lg_trainer_destroy(before);
  lg_trainer_destroy(trainer);
  named = NULL;
  OK(lg_network_load(path, &named, error));
  CHECK(info_of(named).classes == 2 && strcmp(class_of(named, 0), "ripe") == 0);
  lg_network_destroy(named);

  /* Its classes come from a convolution, and a pool is behind it. */
  OK(lg_network_create("squeezenet1_1", NULL, &named, error));
  OK(lg_network_replace_head(named, 3, &replaced, error));
  CHECK(info_of(replaced).classes == 3);
  lg_network_destroy(replaced);
  lg_network_destroy(named);
}

/* A trainer that was told no names has those of what it goes back to; one that was told keeps its own. */
static void go_back(lg_network *loaded, const char *checkpoints) {
  static const char *const renamed[CLASSES] = {"a", "b", "c"};
  lg_network *plain = make_network(CLASSES), *other = NULL;
  lg_trainer *trainer = make(loaded, NULL);
  int32_t resumed;
  size_t bytes = 0;
  char *state;
  OK(lg_trainer_open_checkpoints(trainer, checkpoints, 1, &resumed, error));
  step(trainer, 0);
  OK(lg_trainer_save(trainer, error));
  OK(lg_trainer_state_bytes(trainer, &bytes, error));
  state = malloc(bytes);
  CHECK(state != NULL);
  OK(lg_trainer_get_state(trainer, state, bytes, &bytes, error));
  lg_trainer_destroy(trainer);

  trainer = make(plain, "identity");
  REFUSED(LG_STATUS_ARGUMENT, "have no names", lg_trainer_class_name(trainer, 0, NULL, 0, &bytes, error));
  OK(lg_trainer_open_checkpoints(trainer, checkpoints, 1, &resumed, error));
  CHECK(resumed == 1 && strcmp(trained_class(trainer, 2), "plum") == 0);
  lg_trainer_destroy(trainer);

  trainer = make(plain, "identity");
  OK(lg_trainer_set_state(trainer, state, bytes, error));
  CHECK(strcmp(trained_class(trainer, 1), names[1]) == 0);
  lg_trainer_destroy(trainer);

  OK(lg_network_name_classes(plain, renamed, CLASSES, &other, error));
  trainer = make(other, "identity");
  OK(lg_trainer_open_checkpoints(trainer, checkpoints, 1, &resumed, error));
  CHECK(resumed == 1 && strcmp(trained_class(trainer, 2), "c") == 0);
  lg_trainer_destroy(trainer);
  lg_network_destroy(other);
  lg_network_destroy(plain);
  free(state);
}

/* The content of a file of weights whose card is that of another program, which nobody reads here. */
static char *foreign(const char *path, size_t *bytes) {
  static const char key[] = "localgrad.", other[] = "elsewhere.";
  char *content = read_file(path, bytes);
  uint64_t length, at;
  size_t keys = 0;
  memcpy(&length, content, 8);
  for (at = 8; at + sizeof key < 8 + length; at++)
    if (memcmp(content + at, key, sizeof key - 1) == 0) {
      memcpy(content + at, other, sizeof other - 1);
      keys++;
    }
  CHECK(keys >= 3);
  return content;
}

enum { LARGE = 32, LARGE_PIXELS = LARGE * LARGE };

/* What a trainer of the network makes of images of the size that CIFAR's have. */
static void large_logits(lg_network *network, float *logits, const char *exported) {
  static uint8_t bytes[BATCH * LARGE_PIXELS];
  static batch_data data;
  lg_samples samples = make_samples(&data, 0, BATCH);
  lg_trainer *trainer = make(network, "identity");
  size_t at;
  for (at = 0; at < sizeof bytes; at++) bytes[at] = (uint8_t)(hash(at) % 256);
  samples.images = bytes;
  samples.images_bytes = sizeof bytes;
  OK(lg_trainer_predict(trainer, &samples, logits, BATCH * CLASSES, error));
  if (exported != NULL) OK(lg_trainer_export(trainer, exported, LG_PRECISION_F32, error));
  lg_trainer_destroy(trainer);
}

/* A network of published widths is known by its tensors, of files that were made elsewhere. */
static void known_by_tensors(const char *ours, const char *theirs) {
  float expected[BATCH * CLASSES], logits[BATCH * CLASSES];
  lg_network_options options;
  lg_network *network = NULL, *other = NULL;
  size_t bytes = 0;
  char *content;
  FILE *file;
  OK(lg_network_options_init(&options, sizeof options));
  options.channels = 1;
  options.classes = CLASSES;
  OK(lg_network_create("resnet8", &options, &network, error));
  large_logits(network, expected, ours);
  lg_network_destroy(network);

  content = foreign(ours, &bytes);
  file = fopen(theirs, "wb");
  CHECK(file != NULL && fwrite(content, bytes, 1, file) == 1 && fclose(file) == 0);
  OK(lg_network_load(theirs, &network, error));
  OK(lg_network_from_bytes(content, bytes, &other, error));
  free(content);
  CHECK(strcmp(info_of(network).name, "resnet8") == 0 && strcmp(info_of(other).name, "resnet8") == 0);
  CHECK(info_of(network).classes == CLASSES && info_of(network).channels == 1);
  CHECK(info_of(network).has_weights == 1 && info_of(network).has_normalize == 0);
  CHECK(info_of(network).class_names == 0);
  large_logits(network, logits, NULL);
  CHECK(memcmp(logits, expected, sizeof logits) == 0);
  large_logits(other, logits, NULL);
  CHECK(memcmp(logits, expected, sizeof logits) == 0);
  lg_network_destroy(other);
  lg_network_destroy(network);
}

/* Weights that say nothing of themselves are no network. */
static void nameless(const char *path) {
  static const char header[] = "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}";
  uint64_t length = sizeof header - 1;
  FILE *file = fopen(path, "wb");
  lg_network *network = NULL;
  CHECK(file != NULL && fwrite(&length, 8, 1, file) == 1 && fwrite(header, length, 1, file) == 1);
  CHECK(fwrite("\0\0\0\0", 4, 1, file) == 1 && fclose(file) == 0);
  REFUSED(LG_STATUS_FORMAT, "lg_trainer_load_weights", lg_network_load(path, &network, error));
}

int main(int count, char **arguments) {
  float logits[BATCH * CLASSES];
  const char *path;
  lg_network *loaded;
  CHECK(count == 2);
  error = lg_error_create();
  path = in_directory(arguments[1], "named.safetensors");
  export_named(path, logits);
  loaded = load(path, logits);
  replace_head(loaded, in_directory(arguments[1], "replaced.safetensors"));
  go_back(loaded, in_directory(arguments[1], "checkpoints"));
  known_by_tensors(in_directory(arguments[1], "known.safetensors"), in_directory(arguments[1], "foreign.safetensors"));
  nameless(in_directory(arguments[1], "nameless.safetensors"));
  lg_network_destroy(loaded);
  lg_error_destroy(error);
  return 0;
}
