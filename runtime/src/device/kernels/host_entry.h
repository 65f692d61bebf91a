// A kernel of the emulated device, as the build script lists them.
namespace host {
struct Entry {
  const char* name;
  unsigned threads, shared;
  void (*run)(Ctx, const Span*, const void*, Shared<float>);
};
}  // namespace host
