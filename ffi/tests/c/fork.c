/* A forked child has none of the parent's threads: what was made by the parent is refused there, and nothing hangs. */
#include "common.h"
#include <sys/wait.h>
#include <unistd.h>

static batch_data data;

static void step(lg_trainer *trainer) {
  lg_samples samples = make_samples(&data, 0, BATCH);
  OK(lg_trainer_push(trainer, &samples, error));
  OK(lg_trainer_step(trainer, NULL, error));
}

/* Runs `work` in a child, which is killed if it hangs; its exit code. */
static int in_a_child(void (*work)(lg_trainer *), lg_trainer *trainer) {
  int status = 0;
  pid_t child = fork();
  CHECK(child >= 0);
  if (child == 0) {
    alarm(60);
    work(trainer);
    _exit(0);
  }
  CHECK(waitpid(child, &status, 0) == child);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void use_the_parents(lg_trainer *trainer) {
  lg_samples samples = make_samples(&data, 0, BATCH);
  lg_event event;
  int32_t found;
  event.struct_size = sizeof event;
  REFUSED(LG_STATUS_FORKED, "forked", lg_trainer_push(trainer, &samples, error));
  REFUSED(LG_STATUS_FORKED, "forked", lg_trainer_step(trainer, NULL, error));
  REFUSED(LG_STATUS_FORKED, "forked", lg_trainer_run(trainer, NULL, NULL, error));
  REFUSED(LG_STATUS_FORKED, "forked", lg_trainer_pause(trainer, error));
  REFUSED(LG_STATUS_FORKED, "forked", lg_trainer_poll(trainer, &event, &found, error));
  CHECK(strcmp(lg_status_name(LG_STATUS_FORKED), "LG_STATUS_FORKED") == 0);
  /* Its threads cannot be waited for. */
  lg_trainer_destroy(trainer);
  REFUSED(LG_STATUS_HANDLE, "destroyed", lg_trainer_step(trainer, NULL, error));
  /* What is made here works. */
  trainer = make_trainer();
  step(trainer);
  lg_trainer_destroy(trainer);
}

/* The child leaves the callback in the middle of the parent's call. */
static int32_t give_from_a_child(void *user_data, uint64_t number, lg_samples *samples) {
  pid_t *child = user_data;
  (void)number;
  *samples = make_samples(&data, 0, BATCH);
  *child = fork();
  CHECK(*child >= 0);
  if (*child == 0) {
    lg_network *network = NULL;
    alarm(60);
    /* Whatever was locked stays locked: nothing is let in, and even the message needs no lock. */
    CHECK(lg_network_create("resnet8", NULL, &network, error) == LG_STATUS_FORKED && network == NULL);
    CHECK(strstr(lg_error_message(error), "forked while a call was at work") != NULL);
    CHECK(lg_error_status(error) == LG_STATUS_FORKED);
    lg_error_destroy(error);
    lg_network_destroy(network);
  }
  return LG_ANSWER_CONTINUE;
}

static void fork_inside(lg_trainer *trainer) {
  pid_t child = -1;
  int status = 0;
  lg_status found;
  OK(lg_trainer_set_source(trainer, give_from_a_child, &child, error));
  found = lg_trainer_step(trainer, NULL, error);
  if (child == 0) _exit(found == LG_STATUS_FORKED ? 7 : 8);
  CHECK(found == LG_STATUS_OK);
  CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 7);
}

int main(void) {
  lg_trainer *trainer;
  error = lg_error_create();
  trainer = make_trainer();
  step(trainer);
  CHECK(in_a_child(use_the_parents, trainer) == 0);
  fork_inside(trainer);
  /* The parent goes on as if nothing had happened. */
  step(trainer);
  lg_trainer_destroy(trainer);
  lg_error_destroy(error);
  return 0;
}
