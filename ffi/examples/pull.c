/* Trains on samples that a function of the program gives, until a number of steps, a deadline, a callback or the end of
 * the samples says stop. */
#include "../tests/c/common.h"

typedef struct {
  lg_trainer *trainer;
  uint64_t stop_after;
  uint64_t told;
  lg_status inside;
} watcher;

static int32_t watch(void *user_data, const lg_step_result *step) {
  watcher *watching = user_data;
  lg_evaluation ignored;
  watching->told++;
  /* The trainer is at work, so a call that computes is refused; steering it is not. */
  watching->inside = lg_trainer_evaluate_source(watching->trainer, give, NULL, &ignored, NULL);
  CHECK(lg_trainer_set_work_fraction(watching->trainer, 1.0, NULL) == LG_STATUS_OK);
  return step->step >= watching->stop_after ? LG_ANSWER_STOP : LG_ANSWER_CONTINUE;
}

static int32_t fail(void *user_data, uint64_t number, lg_samples *samples) {
  (void)user_data, (void)number, (void)samples;
  return 42;
}

int main(int count, char **arguments) {
  static batch_source source, test;
  watcher watching = {NULL, 9, 0, LG_STATUS_OK};
  lg_run_options options;
  lg_run_result result;
  lg_evaluation found;
  int32_t waits = 1;
  uint64_t dropped = 0;
  lg_event event;
  lg_trainer *trainer;
  CHECK(count == 2 && arguments[1] != NULL);
  error = lg_error_create();
  trainer = make_trainer();
  source.batches = 80;
  test.batches = 3;
  result.struct_size = sizeof result;
  found.struct_size = sizeof found;
  event.struct_size = sizeof event;
  OK(lg_trainer_set_source(trainer, give, &source, error));

  OK(lg_run_options_init(&options, sizeof options));
  options.until_step = 5;
  OK(lg_trainer_run(trainer, &options, &result, error));
  CHECK(result.reason == LG_REASON_STEPS && result.steps == 5 && result.new_steps == 5 && source.asked == 5);
  OK(lg_trainer_run(trainer, &options, &result, error));
  CHECK(result.reason == LG_REASON_STEPS && result.new_steps == 0);

  watching.trainer = trainer;
  options.until_step = 0;
  options.watch = watch;
  options.user_data = &watching;
  OK(lg_trainer_run(trainer, &options, &result, error));
  CHECK(result.reason == LG_REASON_STOPPED && result.steps == 9 && watching.told == 4);
  CHECK(watching.inside == LG_STATUS_BUSY);

  /* A millisecond is soon over, and a call gets on in any case. */
  options.watch = NULL;
  options.milliseconds = 1;
  OK(lg_trainer_run(trainer, &options, &result, error));
  CHECK(result.reason == LG_REASON_DEADLINE && result.new_steps >= 1 && result.steps < 80);

  /* More events than the queue holds: the oldest are dropped and counted. */
  options.milliseconds = 0;
  OK(lg_trainer_run(trainer, &options, &result, error));
  CHECK(result.reason == LG_REASON_DATA_ENDED && result.steps == 80);
  OK(lg_trainer_dropped_events(trainer, &dropped, error));
  OK(lg_trainer_poll(trainer, &event, &waits, error));
  CHECK(dropped == 80 * 4 - 256 && waits == 1 && event.step >= 16);

  OK(lg_trainer_evaluate_source(trainer, give, &test, &found, error));
  CHECK(found.samples == 3 * BATCH && found.accuracy > 0.8);

  /* A function that fails is no end of the samples, and the trainer goes on after it. */
  OK(lg_trainer_set_source(trainer, fail, NULL, error));
  REFUSED(LG_STATUS_CALLBACK, "42", lg_trainer_run(trainer, &options, &result, error));
  OK(lg_trainer_set_source(trainer, NULL, NULL, error));
  REFUSED(LG_STATUS_CONFIG, "source", lg_trainer_run(trainer, &options, &result, error));
  CHECK(describe(trainer).steps == 80);

  lg_error_destroy(error);
  lg_trainer_destroy(trainer);
  lg_trainer_destroy(trainer);
  return 0;
}
