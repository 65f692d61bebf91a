/* How long an app waits: milliseconds from lg_trainer_create to its return, and to the first event of the first step.
 *
 *     first_event MODEL SIDE BATCH THREADS [WEIGHTS]
 *
 * With WEIGHTS, a file that localgrad exported, the network is the file's and begins with its weights. */
#include <localgrad.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { CHANNELS = 3, CLASSES = 10 };

static lg_error *error;

static void ok(lg_status status) {
  if (status == LG_STATUS_OK) return;
  fprintf(stderr, "%s: %s\n", lg_status_name(status), lg_error_message(error));
  exit(1);
}

static double now_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1e3 + now.tv_nsec * 1e-6;
}

/* Looks for the first event, as an app's other thread does; answers when it came. */
static void *watch(void *trainer) {
  static double came_ms;
  const struct timespec pause = {0, 50000};
  lg_event event;
  int32_t found = 0;
  lg_error *own = lg_error_create();
  event.struct_size = sizeof event;
  while (!found && lg_trainer_poll(trainer, &event, &found, own) == LG_STATUS_OK) nanosleep(&pause, NULL);
  came_ms = now_ms();
  lg_error_destroy(own);
  return &came_ms;
}

static lg_network *network_of(const char *model, size_t side, const char *weights) {
  lg_network_options options;
  lg_network *network = NULL;
  if (weights != NULL) {
    ok(lg_network_load(weights, &network, error));
    return network;
  }
  ok(lg_network_options_init(&options, sizeof options));
  options.channels = CHANNELS;
  options.height = options.width = side;
  options.classes = CLASSES;
  ok(lg_network_create(model, &options, &network, error));
  return network;
}

int main(int count, char **words) {
  size_t side, batch, at;
  lg_network *network;
  lg_trainer_config config;
  lg_trainer *trainer = NULL;
  lg_samples samples;
  lg_step_result result;
  pthread_t watcher;
  void *came_ms;
  double begun_ms, made_ms;
  unsigned char *pixels;
  uint32_t *labels;
  if (count < 5) {
    fprintf(stderr, "first_event MODEL SIDE BATCH THREADS [WEIGHTS]\n");
    return 2;
  }
  error = lg_error_create();
  side = strtoul(words[2], NULL, 10);
  batch = strtoul(words[3], NULL, 10);
  network = network_of(words[1], side, count > 5 ? words[5] : NULL);
  pixels = malloc(batch * side * side * CHANNELS);
  labels = malloc(batch * sizeof *labels);
  for (at = 0; at < batch * side * side * CHANNELS; at++) pixels[at] = (unsigned char)(at * 2654435761u >> 24);
  for (at = 0; at < batch; at++) labels[at] = (uint32_t)(at % CLASSES);
  ok(lg_samples_init(&samples, sizeof samples));
  samples.images = pixels;
  samples.images_bytes = batch * side * side * CHANNELS;
  samples.count = batch;
  samples.labels = labels;
  ok(lg_trainer_config_init(&config, sizeof config));
  config.rule = "man";
  config.head = "infopro";
  config.blocks = 2;
  config.batch = batch;
  config.threads = strtoul(words[4], NULL, 10);

  begun_ms = now_ms();
  ok(lg_trainer_create(network, &config, &trainer, error));
  made_ms = now_ms();
  ok(lg_trainer_push(trainer, &samples, error));
  pthread_create(&watcher, NULL, watch, trainer);
  result.struct_size = sizeof result;
  ok(lg_trainer_step(trainer, &result, error));
  pthread_join(watcher, &came_ms);
  printf("%.2f %.2f\n", made_ms - begun_ms, *(double *)came_ms - begun_ms);
  lg_trainer_destroy(trainer);
  lg_network_destroy(network);
  lg_error_destroy(error);
  free(pixels);
  free(labels);
  return 0;
}
