/* A process that is killed goes on where it last saved, from a directory or from memory, and ends in the same bytes. */
#include "common.h"
#include <signal.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { STEPS = 24, KILLED_AT = 13 };

static int32_t kill_at(void *user_data, const lg_step_result *step) {
  (void)user_data;
  if (step->step == KILLED_AT) kill(getpid(), SIGKILL);
  return LG_ANSWER_CONTINUE;
}

static lg_run_result run(lg_trainer *trainer, uint64_t until, uint64_t every, lg_watch_fn watch) {
  static batch_source source;
  lg_run_options options;
  lg_run_result result;
  source.batches = STEPS;
  OK(lg_trainer_set_source(trainer, give, &source, error));
  OK(lg_run_options_init(&options, sizeof options));
  options.until_step = until;
  options.checkpoint_steps = every;
  options.watch = watch;
  result.struct_size = sizeof result;
  OK(lg_trainer_run(trainer, &options, &result, error));
  return result;
}

static void finish(lg_trainer *trainer, const char *path) {
  run(trainer, STEPS, 0, NULL);
  OK(lg_trainer_export(trainer, path, LG_PRECISION_F32, error));
  lg_trainer_destroy(trainer);
}

static void in_directory_of_files(const char *checkpoints, const char *path) {
  int status, found = -1;
  double rate = 0;
  lg_trainer *trainer;
  pid_t child = fork();
  CHECK(child >= 0);
  if (child == 0) {
    trainer = make_trainer();
    OK(lg_trainer_open_checkpoints(trainer, checkpoints, 2, &found, error));
    CHECK(found == 0);
    OK(lg_trainer_set(trainer, LG_SETTING_LEARNING_RATE, 0.03, error));
    run(trainer, STEPS, 5, kill_at);
    _exit(1);
  }
  CHECK(waitpid(child, &status, 0) == child && WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);

  trainer = make_trainer();
  OK(lg_trainer_open_checkpoints(trainer, checkpoints, 2, &found, error));
  CHECK(found == 1 && describe(trainer).steps == 10);
  OK(lg_trainer_get(trainer, LG_SETTING_LEARNING_RATE, &rate, error));
  CHECK(rate == 0.03);
  run(trainer, 20, 5, NULL);
  OK(lg_trainer_save(trainer, error));
  finish(trainer, path);
}

static void in_memory(const char *path) {
  size_t bytes = 0, written = 0;
  char *state;
  lg_trainer *trainer = make_trainer(), *other = make_trainer();
  OK(lg_trainer_set(trainer, LG_SETTING_LEARNING_RATE, 0.03, error));
  run(trainer, 11, 0, NULL);
  OK(lg_trainer_state_bytes(trainer, &bytes, error));
  state = malloc(bytes);
  CHECK(state != NULL);
  REFUSED(LG_STATUS_BUFFER, "room", lg_trainer_get_state(trainer, state, bytes - 1, &written, error));
  CHECK(written == bytes);
  OK(lg_trainer_get_state(trainer, state, bytes, &written, error));
  CHECK(written == bytes);
  lg_trainer_destroy(trainer);

  run(other, 3, 0, NULL);
  REFUSED(LG_STATUS_FORMAT, "whole", lg_trainer_set_state(other, state, bytes - 1, error));
  state[bytes / 2] ^= 1;
  REFUSED(LG_STATUS_FORMAT, "", lg_trainer_set_state(other, state, bytes, error));
  state[bytes / 2] ^= 1;
  CHECK(describe(other).steps == 3);
  OK(lg_trainer_set_state(other, state, bytes, error));
  CHECK(describe(other).steps == 11);
  free(state);
  finish(other, path);
}

static int32_t cancel_every_third(void *user_data, const lg_step_result *step) {
  if (step->step % 3 == 0) CHECK(lg_trainer_cancel(user_data, NULL) == LG_STATUS_OK);
  return LG_ANSWER_CONTINUE;
}

static int32_t cancel_each(void *user_data, const lg_step_result *step) {
  (void)step;
  CHECK(lg_trainer_cancel(user_data, NULL) == LG_STATUS_OK);
  return LG_ANSWER_CONTINUE;
}

/* Slices shorter than a checkpoint's interval, all of them cancelled, are saved all the same: the steps that are. */
static uint64_t saved_of_slices(const char *checkpoints, uint64_t every, uint64_t milliseconds, lg_watch_fn watch) {
  static batch_source source;
  static const struct timespec pause = {0, 60 * 1000000};
  lg_run_options options;
  lg_run_result result;
  uint64_t saved;
  int slice, resumed;
  lg_trainer *trainer = make_trainer();
  source.batches = STEPS;
  OK(lg_trainer_set_source(trainer, give, &source, error));
  OK(lg_trainer_open_checkpoints(trainer, checkpoints, 1, &resumed, error));
  CHECK(resumed == 0);
  OK(lg_run_options_init(&options, sizeof options));
  options.checkpoint_steps = every;
  options.checkpoint_milliseconds = milliseconds;
  options.watch = watch;
  options.user_data = trainer;
  result.struct_size = sizeof result;
  for (slice = 0; slice < 3; slice++) {
    OK(lg_trainer_run(trainer, &options, &result, error));
    CHECK(result.reason == LG_REASON_CANCELLED && result.new_steps > 0);
    OK(lg_trainer_clear_cancel(trainer, error));
    nanosleep(&pause, NULL);
  }
  lg_trainer_destroy(trainer);

  trainer = make_trainer();
  OK(lg_trainer_open_checkpoints(trainer, checkpoints, 1, &resumed, error));
  CHECK(resumed == 1);
  saved = describe(trainer).steps;
  lg_trainer_destroy(trainer);
  return saved;
}

/* Opens checkpoints in a process of its own, which tells how that went: 0 begun, 1 resumed, 2 in use, 3 anything else.
   It holds them until `hold` ends, if that is a descriptor. */
static pid_t open_elsewhere(const char *checkpoints, int tell, int hold) {
  char found, nothing;
  int resumed = 0;
  lg_status status;
  lg_trainer *trainer;
  pid_t child = fork();
  CHECK(child >= 0);
  if (child != 0) return child;
  trainer = make_trainer();
  status = lg_trainer_open_checkpoints(trainer, checkpoints, 1, &resumed, error);
  found = (char)(status == LG_STATUS_OK                             ? resumed
                 : strstr(lg_error_message(error), "in use") != NULL ? 2
                                                                     : 3);
  CHECK(write(tell, &found, 1) == 1);
  if (hold >= 0) CHECK(read(hold, &nothing, 1) == 0);
  _exit(0);
}

/* Three processes open one fresh directory at once: one begins; the others find it in use while that one lives, and
   resume it where that one has gone meanwhile. */
static void three_at_once(const char *checkpoints, int first_stays) {
  int told[2], held[2], process, counts[4] = {0, 0, 0, 0}, status;
  pid_t children[3];
  char found;
  CHECK(pipe(told) == 0 && pipe(held) == 0);
  for (process = 0; process < 3; process++) {
    children[process] = open_elsewhere(checkpoints, told[1], first_stays ? held[0] : -1);
    if (children[process] == 0) _exit(1);
  }
  close(held[0]);
  for (process = 0; process < 3; process++) {
    CHECK(read(told[0], &found, 1) == 1);
    counts[(int)found]++;
  }
  CHECK(counts[0] == 1 && counts[3] == 0);
  CHECK(!first_stays || counts[2] == 2);
  kill(children[0], SIGKILL), kill(children[1], SIGKILL), kill(children[2], SIGKILL);
  for (process = 0; process < 3; process++) CHECK(waitpid(children[process], &status, 0) == children[process]);
  close(held[1]), close(told[0]), close(told[1]);
}

int main(int count, char **arguments) {
  const char *plain, *resumed, *restored;
  lg_trainer *trainer;
  CHECK(count == 2);
  error = lg_error_create();
  plain = in_directory(arguments[1], "plain.safetensors");
  resumed = in_directory(arguments[1], "resumed.safetensors");
  restored = in_directory(arguments[1], "restored.safetensors");
  in_directory_of_files(in_directory(arguments[1], "checkpoints"), resumed);
  in_memory(restored);
  trainer = make_trainer();
  OK(lg_trainer_set(trainer, LG_SETTING_LEARNING_RATE, 0.03, error));
  finish(trainer, plain);
  CHECK(same_files(plain, resumed));
  CHECK(same_files(plain, restored));
  CHECK(saved_of_slices(in_directory(arguments[1], "counted"), 5, 0, cancel_every_third) == 5);
  CHECK(saved_of_slices(in_directory(arguments[1], "timed"), 0, 50, cancel_each) >= 1);
  three_at_once(in_directory(arguments[1], "held"), 1);
  three_at_once(in_directory(arguments[1], "passed-on"), 0);
  lg_error_destroy(error);
  return 0;
}
