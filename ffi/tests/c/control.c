/* Pause, cancel, pace and threads, all from another thread than the one that trains. */
#include "common.h"
#include <pthread.h>
#include <time.h>

enum { STEPS = 30 };

typedef struct {
  lg_trainer *trainer;
  lg_run_result result;
  lg_status status;
} runner;

static void *run(void *user_data) {
  runner *running = user_data;
  lg_run_options options;
  CHECK(lg_run_options_init(&options, sizeof options) == LG_STATUS_OK);
  options.until_step = STEPS;
  running->result.struct_size = sizeof running->result;
  running->status = lg_trainer_run(running->trainer, &options, &running->result, NULL);
  return NULL;
}

static void wait_milliseconds(long milliseconds) {
  struct timespec time;
  time.tv_sec = 0;
  time.tv_nsec = milliseconds * 1000000;
  nanosleep(&time, NULL);
}

/* Events of a kind until one comes, whenever that is. */
static lg_event wait_event(lg_trainer *trainer, int32_t kind) {
  lg_event event;
  int32_t found = 0;
  event.struct_size = sizeof event;
  event.kind = 0;
  while (!found || event.kind != kind) {
    OK(lg_trainer_poll(trainer, &event, &found, error));
    if (!found) wait_milliseconds(1);
  }
  return event;
}

static void drain(lg_trainer *trainer) {
  lg_event event;
  int32_t found = 1;
  event.struct_size = sizeof event;
  while (found) OK(lg_trainer_poll(trainer, &event, &found, error));
}

static lg_trainer *make_pulling(batch_source *source) {
  lg_trainer *trainer = make_trainer();
  source->batches = STEPS;
  OK(lg_trainer_set_source(trainer, give, source, error));
  return trainer;
}

/* Everything at once changes nothing of the result. */
static void steer(const char *directory) {
  static batch_source source;
  runner running;
  pthread_t thread;
  lg_trainer_info info;
  lg_event event;
  size_t bytes;
  lg_trainer *trainer = running.trainer = make_pulling(&source);
  CHECK(pthread_create(&thread, NULL, run, &running) == 0);
  wait_event(trainer, LG_EVENT_KIND_STEP);
  OK(lg_trainer_pause(trainer, error));
  CHECK(wait_event(trainer, LG_EVENT_KIND_PAUSED).pause_reason == LG_PAUSE_REASON_USER);
  drain(trainer);
  REFUSED(LG_STATUS_BUSY, "at work", lg_trainer_save(trainer, error));
  OK(lg_trainer_set_threads(trainer, 3, error));
  OK(lg_trainer_set_work_fraction(trainer, 0.5, error));
  OK(lg_trainer_resume(trainer, error));
  wait_event(trainer, LG_EVENT_KIND_RESUMED);
  event = wait_event(trainer, LG_EVENT_KIND_PACE);
  CHECK(event.work_fraction == 0.5 && event.pause_reason == LG_PAUSE_REASON_WORK_FRACTION);
  wait_event(trainer, LG_EVENT_KIND_STEP);
  OK(lg_trainer_set_work_fraction_for(trainer, 0.02, LG_PAUSE_REASON_THERMAL, error));
  event = wait_event(trainer, LG_EVENT_KIND_PACE);
  CHECK(event.work_fraction == 0.02 && event.pause_reason == LG_PAUSE_REASON_THERMAL);
  CHECK(strcmp(event.text, "the device is hot") == 0);
  OK(lg_trainer_set_threads(trainer, 1, error));
  /* One block into a step, at a pace at which the next is far off. */
  while (wait_event(trainer, LG_EVENT_KIND_BLOCK).block != 0) continue;
  OK(lg_trainer_cancel(trainer, error));
  CHECK(pthread_join(thread, NULL) == 0);
  CHECK(running.status == LG_STATUS_OK && running.result.reason == LG_REASON_CANCELLED);

  /* It sticks, and what is half done cannot be saved. */
  info = describe(trainer);
  CHECK(info.steps < STEPS && info.step_is_open == 1 && info.blocks_done >= 1 && info.blocks_done < 3);
  run(&running);
  CHECK(running.result.reason == LG_REASON_CANCELLED && running.result.new_steps == 0);
  REFUSED(LG_STATUS_CANCELLED, "cancelled", lg_trainer_step(trainer, NULL, error));
  REFUSED(LG_STATUS_STATE, "interrupted", lg_trainer_state_bytes(trainer, &bytes, error));
  OK(lg_trainer_set_work_fraction(trainer, 1.0, error));
  OK(lg_trainer_clear_cancel(trainer, error));
  run(&running);
  CHECK(running.status == LG_STATUS_OK && running.result.reason == LG_REASON_STEPS);
  CHECK(describe(trainer).step_is_open == 0);
  OK(lg_trainer_export(trainer, in_directory(directory, "steered.safetensors"), LG_PRECISION_F32, error));
  lg_trainer_destroy(trainer);
}

static void plain(const char *directory) {
  static batch_source source;
  runner running;
  running.trainer = make_pulling(&source);
  run(&running);
  OK(lg_trainer_export(running.trainer, in_directory(directory, "plain.safetensors"), LG_PRECISION_F32, error));
  lg_trainer_destroy(running.trainer);
}

/* A deadline ends a pause. */
static void late(void) {
  static batch_source source;
  lg_run_options options;
  lg_run_result result;
  lg_event event;
  int32_t found = 0;
  lg_trainer *trainer = make_pulling(&source);
  OK(lg_trainer_pause_for(trainer, LG_PAUSE_REASON_BATTERY, error));
  OK(lg_run_options_init(&options, sizeof options));
  options.milliseconds = 20;
  result.struct_size = sizeof result;
  OK(lg_trainer_run(trainer, &options, &result, error));
  CHECK(result.reason == LG_REASON_DEADLINE && result.new_steps == 0);
  CHECK(wait_event(trainer, LG_EVENT_KIND_PAUSED).pause_reason == LG_PAUSE_REASON_BATTERY);
  /* An app of an older header has a shorter event. */
  OK(lg_trainer_pause_for(trainer, -3, error));
  OK(lg_trainer_run(trainer, &options, &result, error));
  event.struct_size = offsetof(lg_event, pause_reason);
  event.pause_reason = 77;
  OK(lg_trainer_poll(trainer, &event, &found, error));
  CHECK(found && event.kind == LG_EVENT_KIND_PAUSED && event.pause_reason == 77);
  CHECK(strstr(event.text, "the app's own") != NULL);
  lg_trainer_destroy(trainer);
}

/* A trainer that is destroyed at work ends that work, and nothing of it is left. */
static void destroy_at_work(void) {
  static batch_source source;
  runner running;
  pthread_t thread;
  running.trainer = make_pulling(&source);
  CHECK(pthread_create(&thread, NULL, run, &running) == 0);
  wait_event(running.trainer, LG_EVENT_KIND_BLOCK);
  OK(lg_trainer_set_work_fraction(running.trainer, 0.01, error));
  lg_trainer_destroy(running.trainer);
  CHECK(pthread_join(thread, NULL) == 0);
  CHECK(running.status == LG_STATUS_OK);
  REFUSED(LG_STATUS_HANDLE, "destroyed", lg_trainer_cancel(running.trainer, error));
}

int main(int count, char **arguments) {
  CHECK(count == 2);
  error = lg_error_create();
  plain(arguments[1]);
  steer(arguments[1]);
  CHECK(same_files(in_directory(arguments[1], "plain.safetensors"),
                   in_directory(arguments[1], "steered.safetensors")));
  late();
  destroy_at_work();
  lg_error_destroy(error);
  return 0;
}
