/* What every test program needs: checks, a small network, and samples that are a function of their number. */
#ifndef COMMON_H
#define COMMON_H

#include <localgrad.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifdef __cplusplus
#define CAST(type, value) static_cast<type>(value)
#else
#define CAST(type, value) ((type)(value))
#endif

#define CHECK(condition)                                                                            \
  do {                                                                                              \
    if (!(condition)) {                                                                             \
      fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition);                       \
      exit(1);                                                                                      \
    }                                                                                               \
  } while (0)

/* The call must succeed. */
#define OK(call)                                                                                    \
  do {                                                                                              \
    lg_status status_ = (call);                                                                     \
    if (status_ != LG_STATUS_OK) {                                                                  \
      fprintf(stderr, "%s:%d: %s: %s\n", __FILE__, __LINE__, lg_status_name(status_),               \
              lg_error_message(error));                                                             \
      exit(1);                                                                                      \
    }                                                                                               \
  } while (0)

/* The call must fail with this status, and its message must hold these words. */
#define REFUSED(expected, words, call)                                                              \
  do {                                                                                              \
    lg_status status_ = (call);                                                                     \
    if (status_ != (expected) || strstr(lg_error_message(error), words) == NULL) {                  \
      fprintf(stderr, "%s:%d: %s: %s\n", __FILE__, __LINE__, lg_status_name(status_),               \
              lg_error_message(error));                                                             \
      exit(1);                                                                                      \
    }                                                                                               \
    CHECK(lg_error_status(error) == (expected));                                                    \
  } while (0)

enum { SIDE = 8, PIXELS = SIDE * SIDE, CLASSES = 3, BATCH = 6 };

static lg_error *error;

static inline uint64_t hash(uint64_t number) {
  number += 0x9e3779b97f4a7c15u;
  number = (number ^ (number >> 30)) * 0xbf58476d1ce4e5b9u;
  number = (number ^ (number >> 27)) * 0x94d049bb133111ebu;
  return number ^ (number >> 31);
}

static inline uint32_t label_of(uint64_t sample) { return CAST(uint32_t, hash(sample) % CLASSES); }

/* Noise with a bright band of rows that tells the class. */
static inline uint8_t pixel_of(uint64_t sample, size_t at) {
  uint64_t noise = hash(sample * PIXELS + at + 1000000) % 100;
  return CAST(uint8_t, noise + (at / SIDE / 3 == label_of(sample) ? 120 : 0));
}

typedef struct {
  uint8_t bytes[BATCH * PIXELS];
  uint32_t labels[BATCH];
} batch_data;

/* Samples first to first + count, as bytes. */
static inline lg_samples make_samples(batch_data *data, uint64_t first, size_t count) {
  lg_samples samples;
  size_t sample, at;
  CHECK(count <= BATCH && lg_samples_init(&samples, sizeof samples) == LG_STATUS_OK);
  for (sample = 0; sample < count; sample++) {
    data->labels[sample] = label_of(first + sample);
    for (at = 0; at < PIXELS; at++) data->bytes[sample * PIXELS + at] = pixel_of(first + sample, at);
  }
  samples.images = data->bytes;
  samples.images_bytes = count * PIXELS;
  samples.count = count;
  samples.labels = data->labels;
  return samples;
}

/* A source of batches: number n holds samples n * BATCH and on, up to `batches` of them. */
typedef struct {
  batch_data data;
  uint64_t batches;
  uint64_t asked;
} batch_source;

static inline int32_t give(void *user_data, uint64_t number, lg_samples *samples) {
  batch_source *source = CAST(batch_source *, user_data);
  source->asked++;
  if (number >= source->batches) return LG_ANSWER_STOP;
  *samples = make_samples(&source->data, number * BATCH, BATCH);
  return LG_ANSWER_CONTINUE;
}

static inline lg_network *make_network(size_t classes) {
  static const size_t widths[] = {4, 4, 6, 8};
  lg_network_options options;
  lg_network *network = NULL;
  OK(lg_network_options_init(&options, sizeof options));
  options.channels = 1;
  options.height = options.width = SIDE;
  options.classes = classes;
  options.widths = widths;
  options.widths_count = 4;
  OK(lg_network_create("resnet8", &options, &network, error));
  return network;
}

/* Worker threads of a trainer, as the environment says. */
static inline size_t test_threads(void) {
  const char *text = getenv("LOCALGRAD_TEST_THREADS");
  return text == NULL ? 2 : CAST(size_t, atoi(text));
}

static inline lg_trainer_config make_config(void) {
  static const size_t ends[] = {0, 1, 3};
  lg_trainer_config config;
  OK(lg_trainer_config_init(&config, sizeof config));
  config.rule = "man";
  config.head = "1c1f";
  config.ends = ends;
  config.ends_count = 3;
  config.batch = BATCH;
  config.learning_rate = 0.05;
  config.threads = test_threads();
  config.seed = 7;
  return config;
}

static inline lg_trainer *make_trainer(void) {
  lg_network *network = make_network(CLASSES);
  lg_trainer_config config = make_config();
  lg_trainer *trainer = NULL;
  OK(lg_trainer_create(network, &config, &trainer, error));
  lg_network_destroy(network);
  return trainer;
}

static inline lg_trainer_info describe(lg_trainer *trainer) {
  lg_trainer_info info;
  info.struct_size = sizeof info;
  OK(lg_trainer_describe(trainer, &info, error));
  return info;
}

/* The whole content of a file, which the caller frees. */
static inline char *read_file(const char *path, size_t *bytes) {
  FILE *file = fopen(path, "rb");
  char *content;
  long size;
  CHECK(file != NULL && fseek(file, 0, SEEK_END) == 0 && (size = ftell(file)) >= 0);
  rewind(file);
  content = CAST(char *, malloc(CAST(size_t, size) + 1));
  CHECK(content != NULL && fread(content, 1, CAST(size_t, size), file) == CAST(size_t, size));
  fclose(file);
  *bytes = CAST(size_t, size);
  return content;
}

static inline int same_files(const char *a, const char *b) {
  size_t a_bytes, b_bytes;
  char *a_content = read_file(a, &a_bytes), *b_content = read_file(b, &b_bytes);
  int same = a_bytes == b_bytes && memcmp(a_content, b_content, a_bytes) == 0;
  free(a_content);
  free(b_content);
  return same;
}

/* `name` in the directory that the program was given; up to four at once. */
static inline const char *in_directory(const char *directory, const char *name) {
  static char paths[4][512];
  static int next;
  char *path = paths[next++ % 4];
  CHECK(snprintf(path, sizeof paths[0], "%s/%s", directory, name) < 512);
  return path;
}

#endif
