// The threads of a block as fibers on one thread of the CPU. A barrier is a rendezvous, and so is each operation of a warp: a thread that
// does not come is an error, not a hang. Lanes run in any order, and any one barrier can be left out, to see that it is missed.
#include <setjmp.h>
#include <ucontext.h>
#include <algorithm>
#include <atomic>
#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <new>
#include <random>
#include <string>
#include <vector>

namespace host {
struct Fault {
  std::string what;
};
enum Waits { RUNS, FOR_WARP, FOR_BLOCK };
struct Lane {
  ucontext_t start;
  jmp_buf at;
  bool begun, done;
  Waits waits;
  int line;            // of the barrier at which it waits
  float shown[2][8];   // to the others of its warp; two in turn, so that one rendezvous is enough
  unsigned turn;
};
// Where a block counted itself, and when.
struct Arrival {
  const unsigned* at;
  unsigned epoch;
};
constexpr size_t STACK_BYTES = 96 << 10;

struct Machine {
  std::vector<Lane> lanes;
  std::vector<std::unique_ptr<char[]>> stacks;
  jmp_buf back;
  unsigned lane = 0, block = 0, group[3] = {0, 0, 0};
  unsigned epoch = 1, launch = 0;  // epoch: barriers met, over all blocks
  std::string fault;
  std::function<void()> body;
  std::map<std::string, unsigned> barriers;  // those met so far, `file:line`
  std::string left_out;
  std::map<unsigned, Arrival> arrivals;  // of the blocks of this launch
  const unsigned* last_at = nullptr;     // where this block was the last to arrive
  unsigned last_epoch = 0;
};
inline thread_local Machine machine;

[[noreturn]] inline void fail(const std::string& what) {
  throw Fault{what + " (block " + std::to_string(machine.block) + ", thread " + std::to_string(machine.lane) + ")"};
}
inline void leave(Waits waits) {
  Lane& lane = machine.lanes[machine.lane];
  lane.waits = waits;
  if (!_setjmp(lane.at)) _longjmp(machine.back, 1);
}
inline void run_lane() {
  try {
    machine.body();
  } catch (Fault& fault) {
    if (machine.fault.empty()) machine.fault = fault.what;
  }
  machine.lanes[machine.lane].done = true;
  _longjmp(machine.back, 1);
}
// A context is made to begin on a new stack alone; _setjmp and _longjmp go on from there without a system call.
inline void resume(unsigned i) {
  machine.lane = i;
  Lane& lane = machine.lanes[i];
  if (_setjmp(machine.back)) return;
  if (lane.begun) _longjmp(lane.at, 1);
  lane.begun = true;
  getcontext(&lane.start);
  lane.start.uc_stack.ss_sp = machine.stacks[i].get();
  lane.start.uc_stack.ss_size = STACK_BYTES;
  lane.start.uc_link = nullptr;
  makecontext(&lane.start, run_lane, 0);
  setcontext(&lane.start);
}
inline void barrier(const char* file, int line) {
  const std::string path(file), at = path.substr(path.rfind('/') + 1) + ":" + std::to_string(line);
  if (machine.lane == 0) machine.barriers[at]++;
  if (at == machine.left_out) return;
  machine.lanes[machine.lane].line = line;
  leave(FOR_BLOCK);
}
inline void show(const float* mine, int count) {
  Lane& lane = machine.lanes[machine.lane];
  lane.turn ^= 1;
  std::copy(mine, mine + count, lane.shown[lane.turn]);
  leave(FOR_WARP);
}
inline const float* shown_by(unsigned lane) {
  const unsigned turn = machine.lanes[machine.lane].turn;
  return machine.lanes[machine.lane / 32 * 32 + lane].shown[turn];
}

inline bool all_wait(unsigned from, unsigned to, Waits waits) {
  for (unsigned i = from; i < to; i++)
    if (machine.lanes[i].waits != waits || machine.lanes[i].done) return false;
  return true;
}
inline void release(unsigned from, unsigned to) {
  for (unsigned i = from; i < to; i++) machine.lanes[i].waits = RUNS;
}
// One round: each lane that may run does until it waits, and who is complete goes on. False at the end, and after a fault.
inline bool run_round(unsigned threads, const std::vector<unsigned>& order) {
  bool went_on = false, alive = false;
  for (unsigned i : order) {
    if (machine.lanes[i].done || machine.lanes[i].waits != RUNS) continue;
    resume(i);
    went_on = true;
    if (!machine.fault.empty()) return false;
  }
  for (unsigned i = 0; i < threads; i++) alive |= !machine.lanes[i].done;
  if (!alive) return false;
  for (unsigned warp = 0; warp < threads; warp += 32) {
    if (!all_wait(warp, warp + 32, FOR_WARP)) continue;
    release(warp, warp + 32);
    went_on = true;
  }
  if (all_wait(0, threads, FOR_BLOCK)) {
    for (unsigned i = 1; i < threads; i++) {
      if (machine.lanes[i].line == machine.lanes[0].line) continue;
      machine.fault = "threads wait at different barriers";  // which CUDA lets pass and Metal does not
      return false;
    }
    release(0, threads);
    machine.epoch++;
    went_on = true;
  }
  if (!went_on) machine.fault = "not all threads come to a barrier or an operation of their warp";
  return went_on;
}
inline void run_block(unsigned threads, const std::vector<unsigned>& order) {
  for (unsigned i = 0; i < threads; i++) {
    Lane& lane = machine.lanes[i];
    lane.begun = lane.done = false;
    lane.waits = RUNS;
    lane.turn = 0;
  }
  machine.epoch++;
  while (run_round(threads, order)) {
  }
}
}  // namespace host
