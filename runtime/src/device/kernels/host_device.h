// The emulated device as functions of C: memory, and launches of kernels. `../emulated.rs` has the other side of each.
// Each ends with an entry without a name, and the lists with a null.
extern const host::Entry* const localgrad_kernel_lists[];

namespace host {
inline const Entry* entry_named(const char* name) {
  for (const Entry* const* list = localgrad_kernel_lists; *list != nullptr; list++)
    for (const Entry* entry = *list; entry->name != nullptr; entry++)
      if (std::strcmp(entry->name, name) == 0) return entry;
  return nullptr;
}
// The numbers below `count` in an order that is the seed's; 0 leaves them as they are.
inline std::vector<unsigned> ordered(unsigned count, unsigned seed) {
  std::vector<unsigned> order(count);
  for (unsigned i = 0; i < count; i++) order[i] = i;
  std::mt19937 random(seed);
  if (seed != 0) std::shuffle(order.begin(), order.end(), random);
  return order;
}
inline std::string launch(const Entry& entry, const unsigned* grid, const Span* memory, const void* arguments,
                          unsigned seed) {
  if (machine.lanes.size() < entry.threads) machine.lanes.resize(entry.threads);
  while (machine.stacks.size() < entry.threads) machine.stacks.emplace_back(new char[STACK_BYTES]);
  static std::atomic<unsigned> launches{0};
  machine.launch = ++launches;
  machine.fault.clear();
  machine.arrivals.clear();
  const std::vector<unsigned> lanes = ordered(entry.threads, seed);
  for (unsigned block : ordered(grid[0] * grid[1] * grid[2], seed)) {
    Memory shared(entry.shared, sizeof(float));
    const Span s{&shared, 0, entry.shared};
    machine.block = block;
    machine.last_at = nullptr;
    machine.group[0] = block % grid[0];
    machine.group[1] = block / grid[0] % grid[1];
    machine.group[2] = block / grid[0] / grid[1];
    machine.body = [&] { entry.run(Ctx{}, memory, arguments, s.pointer<float>()); };
    run_block(entry.threads, lanes);
    if (!machine.fault.empty()) break;
  }
  return machine.fault;
}
inline void tell(const std::string& text, char* to, size_t bytes) {
  const size_t len = std::min(text.size(), bytes - 1);
  std::memcpy(to, text.data(), len);
  to[len] = 0;
}
}  // namespace host

extern "C" {
void* localgrad_emulated_allocate(size_t len, size_t element_bytes) {
  try {
    host::Memory* const memory = new host::Memory(len, element_bytes);
    const std::lock_guard<std::mutex> held(host::blocks().lock);
    host::blocks().live.insert(memory);
    return memory;
  } catch (const std::bad_alloc&) {
    return nullptr;
  }
}
void localgrad_emulated_free(host::Memory* memory) {
  {
    const std::lock_guard<std::mutex> held(host::blocks().lock);
    host::blocks().live.erase(memory);
  }
  delete memory;
}
void localgrad_emulated_upload(host::Memory* memory, size_t first, const void* from, size_t len) {
  std::memcpy(memory->bytes.data() + first * memory->element_bytes, from, len * memory->element_bytes);
  for (size_t i = first; i < first + len; i++) memory->shadows[i].written = true;
}
void localgrad_emulated_download(const host::Memory* memory, size_t first, void* to, size_t len) {
  std::memcpy(to, memory->bytes.data() + first * memory->element_bytes, len * memory->element_bytes);
}
// What nobody has written stays so.
void localgrad_emulated_copy(host::Memory* to, size_t first, const host::Memory* from, size_t from_first, size_t len) {
  const size_t each = to->element_bytes;
  std::memcpy(to->bytes.data() + first * each, from->bytes.data() + from_first * each, len * each);
  for (size_t i = 0; i < len; i++) to->shadows[first + i].written = from->shadows[from_first + i].written;
}
void localgrad_emulated_renew(host::Memory* memory) {
  *memory = host::Memory(memory->shadows.size(), memory->element_bytes);
}
// Writes what went wrong, or nothing, to `message`. The lanes and blocks run in an order that is the seed's; the barrier `left_out`,
// `file:line`, is none.
void localgrad_emulated_launch(const char* name, const unsigned* grid, const host::Span* memory, const void* arguments,
                               unsigned seed, const char* left_out, char* message, size_t message_bytes) {
  const host::Entry* entry = host::entry_named(name);
  host::machine.left_out = left_out;
  host::tell(entry == nullptr ? "there is no such kernel" : host::launch(*entry, grid, memory, arguments, seed), message,
             message_bytes);
}
// The barriers that this thread's launches have met since it was last asked, `file:line` each on a line.
void localgrad_emulated_barriers(char* text, size_t bytes) {
  std::string all;
  for (const auto& barrier : host::machine.barriers) all += barrier.first + "\n";
  host::machine.barriers.clear();
  host::tell(all, text, bytes);
}
}
