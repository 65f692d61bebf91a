/* Every way to use the library wrongly: each is answered by a status and a sentence. */
#include "common.h"

static uint64_t memory[64];
/* Of no use to anything that needs an alignment. */
#define MISALIGNED(type) ((type *)(void *)((char *)memory + 1))
#define STRAY(type) ((type *)(void *)memory)

static void library(void) {
  size_t count = 0, index;
  lg_device device;
  device.struct_size = sizeof device;
  OK(lg_device_count(&count, error));
  CHECK(count >= 3);
  for (index = 0; index < count; index++) {
    OK(lg_device_get(index, &device, error));
    CHECK(device.name[0] != 0 && device.description[0] != 0);
    CHECK(index != 0 || (device.available == 1 && strcmp(device.name, "cpu") == 0));
  }
  REFUSED(LG_STATUS_ARGUMENT, "and no number", lg_device_get(count, &device, error));
  REFUSED(LG_STATUS_ARGUMENT, "count is NULL", lg_device_count(NULL, error));
  REFUSED(LG_STATUS_ARGUMENT, "not aligned", lg_device_count(MISALIGNED(size_t), error));
  device.struct_size = 7;
  REFUSED(LG_STATUS_ARGUMENT, "struct_size is 7", lg_device_get(0, &device, error));
  CHECK(strchr(lg_version(), '.') != NULL && strstr(lg_build_options(), " cpu") != NULL);
  /* Whatever it was built with or without is named. */
  CHECK(strstr(lg_build_options(), "cuda") != NULL && strstr(lg_build_options(), "metal") != NULL);
  CHECK(strstr(lg_build_options(), "pooled-memory") != NULL);
  CHECK(strcmp(lg_status_name(LG_STATUS_BUSY), "LG_STATUS_BUSY") == 0);
  CHECK(strcmp(lg_status_name(-5), "unknown") == 0);
  CHECK(lg_model_count() > 10 && strcmp(lg_model_name(0), "resnet8") == 0);
  CHECK(lg_model_name(lg_model_count()) == NULL);
  REFUSED(LG_STATUS_ARGUMENT, "level is 9", lg_set_log(NULL, NULL, 9, error));
  OK(lg_set_log(NULL, NULL, LG_LOG_LEVEL_OFF, error));
}

static void errors(void) {
  lg_error *other = lg_error_create();
  size_t count;
  CHECK(lg_error_status(other) == LG_STATUS_OK && lg_error_message(other)[0] == 0);
  CHECK(lg_device_count(NULL, other) == LG_STATUS_ARGUMENT && lg_error_status(other) == LG_STATUS_ARGUMENT);
  CHECK(lg_device_count(NULL, NULL) == LG_STATUS_ARGUMENT);
  lg_error_destroy(other);
  CHECK(lg_device_count(&count, other) == LG_STATUS_HANDLE);
  CHECK(lg_device_count(&count, STRAY(lg_error)) == LG_STATUS_HANDLE);
  CHECK(lg_error_status(other) == LG_STATUS_HANDLE && lg_error_status(NULL) == LG_STATUS_HANDLE);
  CHECK(lg_error_message(other)[0] != 0 && lg_error_message(NULL)[0] != 0);
  lg_error_destroy(other);
  lg_error_destroy(NULL);
  lg_error_destroy(STRAY(lg_error));
}

/* Networks as text, written by whoever. */
#define HEAD_OF(width) \
  "\"head\": [{\"layer\": \"global_average_pool\"}," \
  " {\"name\": \"fc\", \"layer\": {\"linear\": {\"inputs\": " width ", \"outputs\": 2, \"bias\": true}}}]}"
#define TOO_WIDE \
  "{\"name\": \"wide\", \"input\": [3, 8, 8], \"classes\": 2, \"units\": [" \
  "{\"kind\": {\"stem\": {\"kernel\": 3, \"pool\": false}}, \"width\": 99999999, \"stride\": 1}], " HEAD_OF("99999999")
#define UNNAMED "{\"kind\": {\"basic\": {}}, \"width\": 4, \"stride\": 1}"
#define TWICE \
  "{\"name\": \"twice\", \"input\": [3, 8, 8], \"classes\": 2, \"units\": [" UNNAMED ", " UNNAMED "], " HEAD_OF("4")

static void networks(void) {
  lg_network_options options;
  lg_network *network = STRAY(lg_network);
  lg_network_info info;
  size_t needed = 0, zero_width = 0;
  char small[4] = "abc", *json;
  lg_network *copy = NULL;
  OK(lg_network_options_init(&options, sizeof options));
  CHECK(lg_network_options_init(NULL, sizeof options) == LG_STATUS_ARGUMENT);
  CHECK(lg_network_options_init(&options, 3) == LG_STATUS_ARGUMENT);
  CHECK(lg_network_options_init(&options, sizeof options + 8) == LG_STATUS_ARGUMENT);
  REFUSED(LG_STATUS_CONFIG, "no model", lg_network_create("resnet9", NULL, &network, error));
  CHECK(network == NULL);
  REFUSED(LG_STATUS_ARGUMENT, "model is NULL", lg_network_create(NULL, NULL, &network, error));
  REFUSED(LG_STATUS_ARGUMENT, "UTF-8", lg_network_create("\xff\xfe", NULL, &network, error));
  REFUSED(LG_STATUS_ARGUMENT, "network is NULL", lg_network_create("resnet8", NULL, NULL, error));
  options.classes = 1;
  REFUSED(LG_STATUS_CONFIG, "2 classes", lg_network_create("resnet8", &options, &network, error));
  options.classes = SIZE_MAX;
  REFUSED(LG_STATUS_CONFIG, "too large", lg_network_create("resnet8", &options, &network, error));
  options.classes = 10;
  options.height = 0;
  REFUSED(LG_STATUS_CONFIG, "", lg_network_create("resnet8", &options, &network, error));
  options.height = 32;
  options.shortcut = 5;
  REFUSED(LG_STATUS_ARGUMENT, "lg_shortcut", lg_network_create("resnet8", &options, &network, error));
  options.shortcut = LG_SHORTCUT_PAD;
  options.widths_count = 4;
  REFUSED(LG_STATUS_ARGUMENT, "widths is NULL", lg_network_create("resnet8", &options, &network, error));
  options.widths = MISALIGNED(size_t);
  REFUSED(LG_STATUS_ARGUMENT, "not aligned", lg_network_create("resnet8", &options, &network, error));
  options.widths = &zero_width;
  options.widths_count = SIZE_MAX / 2;
  REFUSED(LG_STATUS_ARGUMENT, "memory", lg_network_create("resnet8", &options, &network, error));
  options.widths_count = 1;
  REFUSED(LG_STATUS_CONFIG, "", lg_network_create("resnet8", &options, &network, error));
  options.struct_size = 1;
  REFUSED(LG_STATUS_ARGUMENT, "struct_size is 1", lg_network_create("resnet8", &options, &network, error));

  REFUSED(LG_STATUS_FORMAT, "JSON", lg_network_from_json("{", &network, error));
  REFUSED(LG_STATUS_FORMAT, "JSON", lg_network_from_json("{\"name\": 3}", &network, error));
  REFUSED(LG_STATUS_FORMAT, "JSON", lg_network_from_json("[99999999]", &network, error));
  REFUSED(LG_STATUS_CONFIG, "too large", lg_network_from_json(TOO_WIDE, &network, error));
  REFUSED(LG_STATUS_CONFIG, "two weights have the name 'conv1.weight'",
          lg_network_from_json(TWICE, &network, error));
  network = make_network(CLASSES);
  REFUSED(LG_STATUS_ARGUMENT, "needed is NULL", lg_network_to_json(network, NULL, 0, NULL, error));
  OK(lg_network_to_json(network, NULL, 0, &needed, error));
  REFUSED(LG_STATUS_BUFFER, "room", lg_network_to_json(network, small, sizeof small, &needed, error));
  CHECK(strcmp(small, "abc") == 0);
  json = malloc(needed);
  CHECK(json != NULL);
  OK(lg_network_to_json(network, json, needed, &needed, error));
  CHECK(strlen(json) + 1 == needed);
  OK(lg_network_from_json(json, &copy, error));
  free(json);
  info.struct_size = sizeof info;
  OK(lg_network_describe(copy, &info, error));
  CHECK(info.classes == CLASSES && info.height == SIDE && strcmp(info.name, "resnet8") == 0);
  REFUSED(LG_STATUS_CONFIG, "2 classes", lg_network_replace_head(copy, 1, &network, error));
  CHECK(network == NULL);
  REFUSED(LG_STATUS_HANDLE, "no lg_network",
          lg_network_replace_objective(STRAY(lg_network), LG_OBJECTIVE_VALUES, 0, &network, error));
  REFUSED(LG_STATUS_ARGUMENT, "not aligned",
          lg_network_replace_objective(copy, LG_OBJECTIVE_VALUES, 0, MISALIGNED(lg_network *), error));
  lg_network_destroy(copy);
  lg_network_destroy(copy);
  lg_network_destroy(NULL);
  REFUSED(LG_STATUS_HANDLE, "destroyed", lg_network_describe(copy, &info, error));
  REFUSED(LG_STATUS_ARGUMENT, "NULL", lg_network_describe(NULL, &info, error));
  REFUSED(LG_STATUS_HANDLE, "no lg_network", lg_network_describe(STRAY(lg_network), &info, error));
  REFUSED(LG_STATUS_HANDLE, "no lg_network", lg_network_describe((lg_network *)(void *)error, &info, error));
}

/* One change of a good configuration, and what is said of it. */
#define BAD_CONFIG(status, words, change)                                                           \
  do {                                                                                              \
    lg_trainer_config config = make_config();                                                       \
    lg_trainer *trainer_ = STRAY(lg_trainer);                                                       \
    change;                                                                                         \
    REFUSED(status, words, lg_trainer_create(network, &config, &trainer_, error));                  \
    CHECK(trainer_ == NULL);                                                                        \
  } while (0)

static void configurations(void) {
  static const size_t wrong_ends[] = {0, 2};
  static const float numbers[] = {0.5f, 0.0f};
  lg_network *network = make_network(CLASSES);
  lg_trainer *trainer = NULL;
  BAD_CONFIG(LG_STATUS_CONFIG, "no rule", config.rule = "mann");
  BAD_CONFIG(LG_STATUS_CONFIG, "no head", config.head = "x");
  BAD_CONFIG(LG_STATUS_CONFIG, "leave the head out", config.rule = "auglocal");
  BAD_CONFIG(LG_STATUS_CONFIG, "leave aux_depth 0", config.aux_depth = 1);
  BAD_CONFIG(LG_STATUS_CONFIG, "more than any network", (config.head = "path", config.aux_depth = SIZE_MAX));
  BAD_CONFIG(LG_STATUS_CONFIG, "from 1 to 16", (config.head = "auglocal", config.aux_pool = 17));
  BAD_CONFIG(LG_STATUS_CONFIG, "no units of AugLocal", config.aux_pool = 2);
  BAD_CONFIG(LG_STATUS_ARGUMENT, "32 or 8", config.optimizer_state_bits = 16);
  BAD_CONFIG(LG_STATUS_CONFIG, "no tensor cores", config.precision = "tf32");
  BAD_CONFIG(LG_STATUS_CONFIG, "f32, tf32 or f16", config.precision = "bf16");
  BAD_CONFIG(LG_STATUS_CONFIG, "leave ema_momentum", (config.rule = "dgl", config.ema_momentum = 0.0));
  BAD_CONFIG(LG_STATUS_CONFIG, "leave average_alone 0", (config.rule = "dgl", config.average_alone = 1));
  BAD_CONFIG(LG_STATUS_CONFIG, "trained one", (config.rule = "manpp", config.average_alone = 1));
  BAD_CONFIG(LG_STATUS_CONFIG, "EMA momentum", config.ema_momentum = 1.0);
  BAD_CONFIG(LG_STATUS_CONFIG, "EMA momentum", config.ema_momentum = numbers[1] / numbers[1]);
  BAD_CONFIG(LG_STATUS_CONFIG, "last block", (config.ends = wrong_ends, config.ends_count = 2));
  BAD_CONFIG(LG_STATUS_ARGUMENT, "ends is NULL", config.ends = NULL);
  BAD_CONFIG(LG_STATUS_CONFIG, "99", (config.ends_count = 0, config.blocks = 99));
  BAD_CONFIG(LG_STATUS_CONFIG, "batch", config.batch = 0);
  BAD_CONFIG(LG_STATUS_CONFIG, "batch", config.batch = SIZE_MAX);
  BAD_CONFIG(LG_STATUS_CONFIG, "frozen", config.frozen_blocks = 3);
  BAD_CONFIG(LG_STATUS_CONFIG, "last-2-units", config.train = "heads");
  BAD_CONFIG(LG_STATUS_CONFIG, "last 99 of", config.train = "last-99-units");
  BAD_CONFIG(LG_STATUS_ARGUMENT, "lg_optimizer", config.optimizer = 2);
  BAD_CONFIG(LG_STATUS_CONFIG, "momentum", config.momentum = 1.0);
  BAD_CONFIG(LG_STATUS_CONFIG, "weight_decay", config.weight_decay = -1.0);
  BAD_CONFIG(LG_STATUS_CONFIG, "learning rate", config.learning_rate = 0.0);
  BAD_CONFIG(LG_STATUS_ARGUMENT, "lg_schedule", config.schedule = -1);
  BAD_CONFIG(LG_STATUS_CONFIG, "schedule_steps", config.schedule = LG_SCHEDULE_COSINE);
  BAD_CONFIG(LG_STATUS_CONFIG, "smoothing", config.label_smoothing = 1.5);
  BAD_CONFIG(LG_STATUS_CONFIG, "norm", config.clip_norm = -1.0);
  BAD_CONFIG(LG_STATUS_CONFIG, "normalisation", config.normalize = "no such");
  BAD_CONFIG(LG_STATUS_CONFIG, "cifar10", config.normalize = "cifar10");
  BAD_CONFIG(LG_STATUS_ARGUMENT, "deviation is NULL", config.mean = numbers);
  BAD_CONFIG(LG_STATUS_CONFIG, "above 0", (config.mean = numbers, config.deviation = numbers + 1));
  BAD_CONFIG(LG_STATUS_CONFIG, "no device", config.device = "abacus");
  BAD_CONFIG(LG_STATUS_CONFIG, "threads", config.threads = 100000);
  BAD_CONFIG(LG_STATUS_ARGUMENT, "struct_size", config.struct_size = 12);
  BAD_CONFIG(LG_STATUS_ARGUMENT, "not aligned", config.ends = MISALIGNED(size_t));
  REFUSED(LG_STATUS_ARGUMENT, "trainer is NULL", lg_trainer_create(network, NULL, NULL, error));
  lg_network_destroy(network);
  REFUSED(LG_STATUS_HANDLE, "no lg_network", lg_trainer_create(network, NULL, &trainer, error));
}

static void samples(lg_trainer *trainer) {
  static batch_data data;
  float floats[BATCH * PIXELS], logits[BATCH * CLASSES];
  lg_samples good = make_samples(&data, 0, BATCH), bad;
  lg_evaluation found;
  found.struct_size = sizeof found;
  memset(floats, 0, sizeof floats);
  CHECK(lg_samples_init(NULL, sizeof good) == LG_STATUS_ARGUMENT);
  REFUSED(LG_STATUS_ARGUMENT, "samples is NULL", lg_trainer_push(trainer, NULL, error));
  bad = good, bad.images = NULL;
  REFUSED(LG_STATUS_ARGUMENT, "images is NULL", lg_trainer_push(trainer, &bad, error));
  bad = good, bad.images_bytes--;
  REFUSED(LG_STATUS_SHAPE, "images_bytes", lg_trainer_push(trainer, &bad, error));
  bad = good, bad.count = SIZE_MAX;
  REFUSED(LG_STATUS_ARGUMENT, "memory", lg_trainer_push(trainer, &bad, error));
  bad = good, bad.labels = NULL;
  REFUSED(LG_STATUS_ARGUMENT, "labels is NULL", lg_trainer_push(trainer, &bad, error));
  bad = good, bad.pixel = 7;
  REFUSED(LG_STATUS_ARGUMENT, "lg_pixel", lg_trainer_push(trainer, &bad, error));
  bad = good, bad.layout = 7;
  REFUSED(LG_STATUS_ARGUMENT, "lg_layout", lg_trainer_push(trainer, &bad, error));
  bad = good, bad.struct_size = 0;
  REFUSED(LG_STATUS_ARGUMENT, "struct_size", lg_trainer_push(trainer, &bad, error));
  data.labels[2] = CLASSES;
  REFUSED(LG_STATUS_ARGUMENT, "sample 2 has label 3", lg_trainer_push(trainer, &good, error));
  data.labels[2] = 0;
  bad = good, bad.pixel = LG_PIXEL_F32, bad.images = floats, bad.images_bytes = sizeof floats;
  bad.images = (char *)floats + 1;
  REFUSED(LG_STATUS_ARGUMENT, "not aligned", lg_trainer_push(trainer, &bad, error));
  bad.images = floats;
  floats[PIXELS] = 1e38f * 10.0f;
  REFUSED(LG_STATUS_ARGUMENT, "sample 1", lg_trainer_push(trainer, &bad, error));
  REFUSED(LG_STATUS_ARGUMENT, "sample 1", lg_trainer_evaluate(trainer, &bad, &found, error));
  REFUSED(LG_STATUS_CONFIG, "push some", lg_trainer_step(trainer, NULL, error));
  OK(lg_trainer_push(trainer, &good, error));
  bad = good, bad.count = 1, bad.images_bytes = PIXELS;
  REFUSED(LG_STATUS_CONFIG, "room for 0", lg_trainer_push(trainer, &bad, error));
  OK(lg_trainer_discard_pushed(trainer, error));
  CHECK(describe(trainer).pending == 0);

  REFUSED(LG_STATUS_ARGUMENT, "result is NULL", lg_trainer_evaluate(trainer, &good, NULL, error));
  REFUSED(LG_STATUS_ARGUMENT, "NULL", lg_trainer_evaluate_source(trainer, NULL, NULL, &found, error));
  REFUSED(LG_STATUS_BUFFER, "room", lg_trainer_predict(trainer, &good, logits, 3, error));
  REFUSED(LG_STATUS_ARGUMENT, "logits is NULL",
          lg_trainer_predict(trainer, &good, NULL, BATCH * CLASSES, error));
  bad.count = 0, bad.images_bytes = 0;
  REFUSED(LG_STATUS_ARGUMENT, "no samples", lg_trainer_evaluate(trainer, &bad, &found, error));
}

static void settings(lg_trainer *trainer) {
  double value = 0;
  REFUSED(LG_STATUS_ARGUMENT, "lg_setting", lg_trainer_set(trainer, 99, 1.0, error));
  REFUSED(LG_STATUS_ARGUMENT, "no such number", lg_trainer_get(trainer, LG_SETTING_BETA1, &value, error));
  REFUSED(LG_STATUS_CONFIG, "learning rate", lg_trainer_set(trainer, LG_SETTING_LEARNING_RATE, -1.0, error));
  REFUSED(LG_STATUS_CONFIG, "momentum", lg_trainer_set(trainer, LG_SETTING_MOMENTUM, 0.0, error));
  REFUSED(LG_STATUS_CONFIG, "norm", lg_trainer_set(trainer, LG_SETTING_CLIP_NORM, -1.0, error));
  REFUSED(LG_STATUS_ARGUMENT, "value is NULL",
          lg_trainer_get(trainer, LG_SETTING_LEARNING_RATE, NULL, error));
  OK(lg_trainer_set(trainer, LG_SETTING_CLIP_NORM, 5.0, error));
  OK(lg_trainer_get(trainer, LG_SETTING_CLIP_NORM, &value, error));
  CHECK(value == 5.0);
  OK(lg_trainer_get(trainer, LG_SETTING_MOMENTUM, &value, error));
  CHECK(value == 0.9);
  REFUSED(LG_STATUS_ARGUMENT, "fraction", lg_trainer_set_work_fraction(trainer, 0.0, error));
  REFUSED(LG_STATUS_ARGUMENT, "threads", lg_trainer_set_threads(trainer, 100000, error));
}

static void files(lg_trainer *trainer, const char *directory) {
  const char *place = in_directory(directory, "checkpoints");
  lg_network *network = make_network(CLASSES);
  lg_trainer_config config = make_config();
  lg_trainer *other = NULL;
  lg_run_options options;
  int32_t resumed = -1;
  size_t bytes = 0;
  OK(lg_run_options_init(&options, sizeof options));
  options.checkpoint_steps = 1;
  REFUSED(LG_STATUS_IO, "", lg_trainer_load_weights(trainer, "/no/such/file", LG_WEIGHTS_ALL, error));
  REFUSED(LG_STATUS_IO, "", lg_trainer_export(trainer, "/no/such/file", LG_PRECISION_F32, error));
  REFUSED(LG_STATUS_ARGUMENT, "lg_precision", lg_trainer_export(trainer, place, 9, error));
  REFUSED(LG_STATUS_ARGUMENT, "path is NULL", lg_trainer_export(trainer, NULL, LG_PRECISION_F32, error));
  REFUSED(LG_STATUS_CONFIG, "open a directory for them", lg_trainer_save(trainer, error));
  REFUSED(LG_STATUS_ARGUMENT, "resumed is NULL", lg_trainer_open_checkpoints(trainer, place, 1, NULL, error));
  REFUSED(LG_STATUS_IO, "", lg_trainer_open_checkpoints(trainer, "/proc/none", 1, &resumed, error));
  OK(lg_trainer_open_checkpoints(trainer, place, 1, &resumed, error));
  CHECK(resumed == 0);
  config.seed = 8;
  OK(lg_trainer_create(network, &config, &other, error));
  REFUSED(LG_STATUS_CONFIG, "in use", lg_trainer_open_checkpoints(other, place, 1, &resumed, error));
  OK(lg_trainer_open_checkpoints(trainer, in_directory(directory, "elsewhere"), 1, &resumed, error));
  REFUSED(LG_STATUS_CONFIG, "train.seed was 7 and is 8",
          lg_trainer_open_checkpoints(other, place, 1, &resumed, error));
  REFUSED(LG_STATUS_ARGUMENT, "buffer is NULL", lg_trainer_set_state(other, NULL, 9, error));
  REFUSED(LG_STATUS_FORMAT, "too short", lg_trainer_set_state(other, "abc", 3, error));
  REFUSED(LG_STATUS_ARGUMENT, "buffer is NULL", lg_trainer_get_state(other, NULL, SIZE_MAX, &bytes, error));
  REFUSED(LG_STATUS_ARGUMENT, "bytes is NULL", lg_trainer_get_state(other, memory, 1, NULL, error));
  lg_network_destroy(network);
  lg_trainer_destroy(other);
}

static void handles(lg_trainer *dead) {
  lg_event event;
  int32_t found;
  uint64_t number;
  size_t bytes;
  double value;
  lg_samples nothing;
  lg_evaluation evaluation;
  lg_trainer_info info;
  const lg_status gone = LG_STATUS_HANDLE;
  REFUSED(gone, "destroyed", lg_trainer_describe(dead, &info, error));
  REFUSED(gone, "destroyed", lg_trainer_losses(dead, &value, 1, error));
  REFUSED(gone, "destroyed", lg_trainer_push(dead, &nothing, error));
  REFUSED(gone, "destroyed", lg_trainer_discard_pushed(dead, error));
  REFUSED(gone, "destroyed", lg_trainer_set_source(dead, NULL, NULL, error));
  REFUSED(gone, "destroyed", lg_trainer_step(dead, NULL, error));
  REFUSED(gone, "destroyed", lg_trainer_run(dead, NULL, NULL, error));
  REFUSED(gone, "destroyed", lg_trainer_pause(dead, error));
  REFUSED(gone, "destroyed", lg_trainer_pause_for(dead, LG_PAUSE_REASON_THERMAL, error));
  REFUSED(gone, "destroyed", lg_trainer_set_work_fraction_for(dead, 1.0, LG_PAUSE_REASON_BATTERY, error));
  REFUSED(gone, "destroyed", lg_trainer_resume(dead, error));
  REFUSED(gone, "destroyed", lg_trainer_cancel(dead, error));
  REFUSED(gone, "destroyed", lg_trainer_clear_cancel(dead, error));
  REFUSED(gone, "destroyed", lg_trainer_set_work_fraction(dead, 1.0, error));
  REFUSED(gone, "destroyed", lg_trainer_set_threads(dead, 1, error));
  REFUSED(gone, "destroyed", lg_trainer_set(dead, 0, 1.0, error));
  REFUSED(gone, "destroyed", lg_trainer_get(dead, 0, &value, error));
  REFUSED(gone, "destroyed", lg_trainer_poll(dead, &event, &found, error));
  REFUSED(gone, "destroyed", lg_trainer_dropped_events(dead, &number, error));
  REFUSED(gone, "destroyed", lg_trainer_evaluate(dead, &nothing, &evaluation, error));
  REFUSED(gone, "destroyed", lg_trainer_evaluate_source(dead, give, NULL, &evaluation, error));
  REFUSED(gone, "destroyed", lg_trainer_predict(dead, &nothing, NULL, 0, error));
  REFUSED(gone, "destroyed", lg_trainer_load_weights(dead, "x", 0, error));
  REFUSED(gone, "destroyed", lg_trainer_export(dead, "x", 0, error));
  REFUSED(gone, "destroyed", lg_trainer_open_checkpoints(dead, "x", 1, &found, error));
  REFUSED(gone, "destroyed", lg_trainer_save(dead, error));
  REFUSED(gone, "destroyed", lg_trainer_state_bytes(dead, &bytes, error));
  REFUSED(gone, "destroyed", lg_trainer_get_state(dead, memory, 1, &bytes, error));
  REFUSED(gone, "destroyed", lg_trainer_set_state(dead, memory, 1, error));
  lg_trainer_destroy(dead);
  lg_trainer_destroy(NULL);
  lg_trainer_destroy(STRAY(lg_trainer));
}

/* Ends training on purpose: the loss is soon no number. */
static void blow_up(void) {
  static batch_source source;
  lg_run_options options;
  size_t bytes;
  char *state;
  lg_trainer *trainer = make_trainer();
  source.batches = 100;
  OK(lg_trainer_set_source(trainer, give, &source, error));
  OK(lg_trainer_state_bytes(trainer, &bytes, error));
  state = malloc(bytes);
  CHECK(state != NULL);
  OK(lg_trainer_get_state(trainer, state, bytes, &bytes, error));
  OK(lg_trainer_set(trainer, LG_SETTING_LEARNING_RATE, 1e30, error));
  OK(lg_run_options_init(&options, sizeof options));
  options.until_step = 50;
  REFUSED(LG_STATUS_NOT_FINITE, "learning rate", lg_trainer_run(trainer, &options, NULL, error));
  /* The blocks are as they were, and training may go on; with weights as large as these that is no use. */
  CHECK(describe(trainer).is_damaged == 0);
  OK(lg_trainer_set(trainer, LG_SETTING_LEARNING_RATE, 0.01, error));
  REFUSED(LG_STATUS_NOT_FINITE, "the loss became", lg_trainer_step(trainer, NULL, error));
  OK(lg_trainer_set_state(trainer, state, bytes, error));
  free(state);
  CHECK(describe(trainer).is_damaged == 0 && describe(trainer).steps == 0);
  OK(lg_trainer_step(trainer, NULL, error));
  lg_trainer_destroy(trainer);
}

/* A step that fails to begin, here because its images find no room on the disk, takes no samples. */
static void keep_pushed(const char *directory) {
  enum { LARGE = 64 };
  static const size_t widths[] = {2, 2, 3, 4};
  static uint8_t images[BATCH * LARGE * LARGE];
  static uint32_t labels[BATCH];
  lg_network_options options;
  lg_trainer_config config = make_config();
  lg_samples samples;
  lg_network *network = NULL;
  lg_trainer *trainer = NULL;
  OK(lg_network_options_init(&options, sizeof options));
  options.channels = 1;
  options.height = options.width = LARGE;
  options.classes = CLASSES;
  options.widths = widths;
  options.widths_count = 4;
  OK(lg_network_create("resnet8", &options, &network, error));
  config.micro_batch = 2;
  config.offload = 1;
  config.scratch = directory;
  config.scratch_limit_bytes = 80000;
  OK(lg_trainer_create(network, &config, &trainer, error));
  OK(lg_samples_init(&samples, sizeof samples));
  samples.images = images;
  samples.images_bytes = sizeof images;
  samples.count = BATCH;
  samples.labels = labels;
  OK(lg_trainer_push(trainer, &samples, error));
  REFUSED(LG_STATUS_IO, "", lg_trainer_step(trainer, NULL, error));
  CHECK(describe(trainer).pending == BATCH && describe(trainer).is_damaged == 0);
  REFUSED(LG_STATUS_IO, "", lg_trainer_step(trainer, NULL, error));
  CHECK(describe(trainer).pending == BATCH);
  /* What needs no room there is trained. */
  OK(lg_trainer_discard_pushed(trainer, error));
  samples.count = 2;
  samples.images_bytes = 2 * LARGE * LARGE;
  OK(lg_trainer_push(trainer, &samples, error));
  OK(lg_trainer_step(trainer, NULL, error));
  CHECK(describe(trainer).pending == 0 && describe(trainer).steps == 1);
  lg_trainer_destroy(trainer);
  lg_network_destroy(network);
}

/* A budget that nothing keeps to says, as a number too, what would do. */
static void least_budget(void) {
  lg_trainer_config config = make_config();
  lg_network *network = make_network(CLASSES);
  lg_trainer *trainer = NULL;
  size_t least;
  char text[32];
  config.memory_budget_bytes = 1;
  CHECK(lg_error_least_bytes(NULL) == 0);
  REFUSED(LG_STATUS_CONFIG, "the least that would do", lg_trainer_create(network, &config, &trainer, error));
  least = lg_error_least_bytes(error);
  CHECK(snprintf(text, sizeof text, "(%lu bytes", (unsigned long)least) > 0);
  CHECK(least > 1000 && strstr(lg_error_message(error), text) != NULL);
  config.memory_budget_bytes = least;
  OK(lg_trainer_create(network, &config, &trainer, error));
  REFUSED(LG_STATUS_CONFIG, "push some", lg_trainer_step(trainer, NULL, error));
  CHECK(lg_error_least_bytes(error) == 0);
  lg_trainer_destroy(trainer);
  lg_network_destroy(network);
}

static int messages;

static void take_message(void *user_data, int32_t level, const char *message) {
  CHECK(user_data == &messages && level == LG_LOG_LEVEL_WARN && message[0] != 0);
  CHECK(lg_set_log(NULL, NULL, LG_LOG_LEVEL_OFF, NULL) == LG_STATUS_BUSY);
  messages++;
}

/* A checkpoint that cannot be written is told of, and training goes on. */
static void lost_directory(const char *directory) {
  static batch_source source;
  const char *place = in_directory(directory, "lost");
  char command[600];
  lg_run_options options;
  lg_run_result result;
  lg_event event;
  int32_t resumed, found = 1;
  int warnings = 0;
  lg_trainer *trainer = make_trainer();
  OK(lg_set_log(take_message, &messages, LG_LOG_LEVEL_WARN, error));
  OK(lg_trainer_open_checkpoints(trainer, place, 1, &resumed, error));
  CHECK(snprintf(command, sizeof command, "rm -r '%s'", place) > 0 && system(command) == 0);
  source.batches = 4;
  OK(lg_trainer_set_source(trainer, give, &source, error));
  OK(lg_run_options_init(&options, sizeof options));
  options.checkpoint_steps = 2;
  result.struct_size = sizeof result;
  OK(lg_trainer_run(trainer, &options, &result, error));
  CHECK(result.steps == 4 && messages == 2);
  event.struct_size = sizeof event;
  while (found) {
    OK(lg_trainer_poll(trainer, &event, &found, error));
    warnings += found && event.kind == LG_EVENT_KIND_WARNING && strstr(event.text, "no checkpoint") != NULL;
  }
  CHECK(warnings == 2);
  REFUSED(LG_STATUS_IO, "", lg_trainer_save(trainer, error));
  OK(lg_set_log(NULL, NULL, LG_LOG_LEVEL_OFF, error));
  lg_trainer_destroy(trainer);
}

/* A camera's frame: what is none is refused, and what is one comes out in the network's size. */
static void frames(void) {
  enum { WIDTH = 9, HEIGHT = 8, ROW = WIDTH * 4 + 12 };
  static uint8_t pixels[ROW * HEIGHT], image[PIXELS];
  lg_network *network = make_network(CLASSES);
  lg_frame frame;
  size_t at;
  REFUSED(LG_STATUS_ARGUMENT, "frame is NULL", lg_network_prepare_frame(network, NULL, image, PIXELS, error));
  CHECK(lg_frame_init(&frame, 3) == LG_STATUS_ARGUMENT);
  OK(lg_frame_init(&frame, sizeof frame));
  REFUSED(LG_STATUS_ARGUMENT, "0x0", lg_network_prepare_frame(network, &frame, image, PIXELS, error));
  for (at = 0; at < sizeof pixels; at++) pixels[at] = at % ROW % 4 == 3 ? 99 : 200;
  frame.pixels = pixels, frame.bytes = sizeof pixels - 12;
  frame.width = WIDTH, frame.height = HEIGHT, frame.row_bytes = ROW, frame.format = LG_FRAME_FORMAT_BGRA;
  REFUSED(LG_STATUS_BUFFER, "room", lg_network_prepare_frame(network, &frame, image, PIXELS - 1, error));
  REFUSED(LG_STATUS_ARGUMENT, "image is NULL", lg_network_prepare_frame(network, &frame, NULL, PIXELS, error));
  OK(lg_network_prepare_frame(network, &frame, image, PIXELS, error));
  for (at = 0; at < PIXELS; at++) CHECK(image[at] == 200);
  frame.bytes--;
  REFUSED(LG_STATUS_ARGUMENT, "too few", lg_network_prepare_frame(network, &frame, image, PIXELS, error));
  frame.bytes++, frame.rotation_degrees = 45;
  REFUSED(LG_STATUS_ARGUMENT, "by 45", lg_network_prepare_frame(network, &frame, image, PIXELS, error));
  lg_network_destroy(network);
  REFUSED(LG_STATUS_HANDLE, "no lg_network", lg_network_prepare_frame(network, &frame, image, PIXELS, error));
}

int main(int count, char **arguments) {
  lg_trainer *trainer;
  CHECK(count == 2);
  error = lg_error_create();
  library();
  frames();
  errors();
  networks();
  configurations();
  trainer = make_trainer();
  samples(trainer);
  settings(trainer);
  files(trainer, arguments[1]);
  lg_trainer_destroy(trainer);
  handles(trainer);
  blow_up();
  keep_pushed(arguments[1]);
  least_budget();
  lost_directory(arguments[1]);
  lg_error_destroy(error);
  return 0;
}
