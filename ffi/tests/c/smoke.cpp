// The header and the library from C++: trains a few steps, and an error becomes an exception of the program's own.
#include "common.h"
#include <memory>
#include <stdexcept>
#include <string>

namespace {

struct Destroy {
  void operator()(lg_network *network) const { lg_network_destroy(network); }
  void operator()(lg_trainer *trainer) const { lg_trainer_destroy(trainer); }
};

void check(lg_status status) {
  if (status != LG_STATUS_OK) throw std::runtime_error(lg_error_message(error));
}

}  // namespace

int main() {
  error = lg_error_create();
  {
    std::unique_ptr<lg_network, Destroy> network(make_network(CLASSES));
    lg_trainer_config config = make_config();
    lg_trainer *made = nullptr;
    check(lg_trainer_create(network.get(), &config, &made, error));
    std::unique_ptr<lg_trainer, Destroy> trainer(made);
    batch_source source = batch_source();
    source.batches = 12;
    check(lg_trainer_set_source(trainer.get(), give, &source, error));
    lg_run_result result = lg_run_result();
    result.struct_size = sizeof result;
    check(lg_trainer_run(trainer.get(), nullptr, &result, error));
    CHECK(result.reason == static_cast<int32_t>(LG_REASON_DATA_ENDED) && result.steps == 12);
    std::string said;
    try {
      check(lg_trainer_set(trainer.get(), 0, -1.0, error));
    } catch (const std::runtime_error &caught) {
      said = caught.what();
    }
    CHECK(said.find("learning rate") != std::string::npos);
  }
  lg_error_destroy(error);
  return 0;
}
