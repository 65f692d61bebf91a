/* Trains as the Kotlin tests do (`Pictures`), through C: to compare bytes, and what a step costs the thread that calls.
   usage: twin STEPS BATCH OUT [MODEL]      MODEL is a network for 32x32 images; the tests' small one if nothing is said */
#include "localgrad.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { SIDE = 8, CLASSES = 4, CHANNELS = 3, WARM_UP = 5 };

typedef struct {
  uint8_t *images;
  uint32_t *labels;
  size_t batch, pixels;
  int made_once;
  double thread, process;
  uint64_t from;
} row;

static lg_error *error;

static void ok(lg_status status) {
  if (status == LG_STATUS_OK) return;
  fprintf(stderr, "%s\n", lg_error_message(error));
  exit(1);
}

static double seconds(clockid_t clock) {
  struct timespec time;
  clock_gettime(clock, &time);
  return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

/* Image `index` of an endless row. */
static uint32_t picture(uint64_t index, uint8_t *image, size_t pixels) {
  uint32_t noise = (uint32_t)index * 2654435761u + 12345u, label = (uint32_t)(index % CLASSES);
  for (size_t at = 0; at < pixels; at++) {
    noise = noise * 1664525u + 1013904223u;
    image[at] = (uint8_t)((at / (SIDE * CHANNELS) / 2 == label ? 180 : 40) + (noise >> 24) % 40);
  }
  return label;
}

static int32_t give(void *user_data, uint64_t number, lg_samples *samples) {
  row *all = user_data;
  if (number == WARM_UP) {
    all->thread = seconds(CLOCK_THREAD_CPUTIME_ID);
    all->process = seconds(CLOCK_PROCESS_CPUTIME_ID);
    all->from = number;
  }
  /* A benchmark is not of how pictures are drawn. */
  if (!all->made_once || number == 0)
    for (size_t sample = 0; sample < all->batch; sample++)
      all->labels[sample] =
          picture(number * all->batch + sample, all->images + sample * all->pixels, all->pixels);
  samples->images = all->images;
  samples->images_bytes = all->batch * all->pixels;
  samples->labels = all->labels;
  samples->count = all->batch;
  return LG_ANSWER_CONTINUE;
}

int main(int count, char **arguments) {
  static const size_t widths[] = {4, 4, 8, 8};
  lg_network_options options;
  lg_trainer_config config;
  lg_run_options run;
  lg_network *network = NULL;
  lg_trainer *trainer = NULL;
  row all = {0};
  if (count < 4) return 2;
  error = lg_error_create();
  ok(lg_network_options_init(&options, sizeof options));
  if (count == 4) {
    options.height = options.width = SIDE;
    options.classes = CLASSES;
    options.widths = widths;
    options.widths_count = 4;
  }
  ok(lg_network_create(count == 4 ? "resnet8" : arguments[4], &options, &network, error));
  ok(lg_trainer_config_init(&config, sizeof config));
  config.rule = "greedy";
  config.blocks = 2;
  config.batch = all.batch = (size_t)atol(arguments[2]);
  config.threads = 1;
  config.learning_rate = 0.05;
  ok(lg_trainer_create(network, &config, &trainer, error));
  all.pixels = options.channels * options.height * options.width;
  all.images = malloc(all.batch * all.pixels);
  all.labels = malloc(all.batch * sizeof *all.labels);
  all.made_once = count > 4;
  ok(lg_trainer_set_source(trainer, give, &all, error));
  ok(lg_run_options_init(&run, sizeof run));
  run.until_step = (uint64_t)atol(arguments[1]);
  ok(lg_trainer_run(trainer, &run, NULL, error));
  if (run.until_step > WARM_UP) {
    double steps = (double)(run.until_step - all.from);
    printf("thread %.1f process %.1f microseconds a step\n",
           1e6 * (seconds(CLOCK_THREAD_CPUTIME_ID) - all.thread) / steps,
           1e6 * (seconds(CLOCK_PROCESS_CPUTIME_ID) - all.process) / steps);
  }
  ok(lg_trainer_export(trainer, arguments[3], LG_PRECISION_F32, error));
  lg_trainer_destroy(trainer);
  lg_network_destroy(network);
  lg_error_destroy(error);
  free(all.images);
  free(all.labels);
  return 0;
}
