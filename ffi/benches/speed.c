/* Trains on pushed batches and prints the seconds of each step, pushing included. usage: speed STEPS THREADS */
#define _POSIX_C_SOURCE 199309L
#include <localgrad.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define TRY(call) if ((call) != LG_STATUS_OK) exit((fprintf(stderr, "%s\n", lg_error_message(error)), 1))

static uint8_t images[64][32 * 32 * 3];
static uint32_t labels[64];

static double now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

int main(int count, char **arguments) {
  lg_error *error = lg_error_create();
  lg_trainer_config config;
  lg_network *network;
  lg_trainer *trainer;
  lg_samples samples;
  int step, steps = count > 1 ? atoi(arguments[1]) : 10;
  size_t sample, at;
  for (sample = 0; sample < 64; sample++) {
    labels[sample] = (uint32_t)(sample % 10);
    for (at = 0; at < sizeof images[0]; at++) images[sample][at] = (uint8_t)(sample * 131 + at * at * 7);
  }
  TRY(lg_network_create("resnet20", NULL, &network, error));
  lg_trainer_config_init(&config, sizeof config);
  config.batch = 64;
  config.threads = count > 2 ? (size_t)atoi(arguments[2]) : 1;
  TRY(lg_trainer_create(network, &config, &trainer, error));
  lg_samples_init(&samples, sizeof samples);
  samples.images = images;
  samples.images_bytes = sizeof images;
  samples.count = 64;
  samples.labels = labels;
  for (step = 0; step < steps; step++) {
    double began = now();
    TRY(lg_trainer_push(trainer, &samples, error));
    TRY(lg_trainer_step(trainer, NULL, error));
    printf("%.9f\n", now() - began);
  }
  lg_trainer_destroy(trainer);
  lg_network_destroy(network);
  lg_error_destroy(error);
  return 0;
}
