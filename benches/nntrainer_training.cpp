// Trains a network of NNTrainer's layers step by step, for nntrainer_training.py: the layers come from a file, a line each, its
// parts between tabs; every line that is read makes a step, whose seconds are answered.

#include <dataset.h>
#include <layer.h>
#include <model.h>
#include <optimizer.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <fstream>
#include <iostream>
#include <random>
#include <sstream>
#include <string>
#include <vector>

using Clock = std::chrono::steady_clock;

static unsigned batch, image_len, classes;

static std::vector<std::string> split(const std::string &text, char by) {
  std::vector<std::string> parts;
  std::stringstream stream(text);
  for (std::string part; std::getline(stream, part, by);) parts.push_back(part);
  return parts;
}

static long status_kib(const std::string &key) {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);)
    if (line.rfind(key, 0) == 0) return std::stol(line.substr(key.size() + 1));
  return 0;
}

// Numbers of which each sample takes a stretch: drawing them anew would be a part of a step.
static std::vector<float> numbers() {
  std::mt19937 random(1);
  std::uniform_real_distribution<float> number(-1.0f, 1.0f);
  std::vector<float> all(image_len + batch);
  for (float &one : all) one = number(random);
  return all;
}

// A sample a call; a batch is an epoch, so that one may wait between two.
static int sample(float **images, float **labels, bool *last, void *) {
  static const std::vector<float> drawn = numbers();
  static unsigned given = 0;
  if (given == batch) {
    given = 0;
    *last = true;
    return 0;
  }
  std::copy_n(drawn.begin() + given, image_len, images[0]);
  for (unsigned i = 0; i < classes; ++i) labels[0][i] = i == given % classes ? 1.0f : 0.0f;
  ++given;
  *last = false;
  return 0;
}

// Answers for a step and waits for the next; the end of the input ends all.
static Clock::time_point began;

static void wait_for_a_step(void *) {
  const double seconds = std::chrono::duration<double>(Clock::now() - began).count();
  std::printf("%.9f %ld\n", seconds, status_kib("VmHWM:"));
  std::fflush(stdout);
  std::string line;
  if (!std::getline(std::cin, line)) std::_Exit(0);
  began = Clock::now();
}

int main(int count, char **words) {
  if (count != 6) return 2;
  batch = std::stoul(words[2]);
  image_len = std::stoul(words[3]);
  classes = std::stoul(words[4]);
  // The framework tells its progress there.
  std::cout.rdbuf(nullptr);
  const long before = status_kib("VmRSS:");
  auto model = ml::train::createModel(ml::train::ModelType::NEURAL_NET, {std::string("loss=") + words[5]});
  std::ifstream layers(words[1]);
  for (std::string line; std::getline(layers, line);) {
    auto parts = split(line, '\t');
    const std::string kind = parts.front();
    parts.erase(parts.begin());
    model->addLayer(ml::train::createLayer(kind, parts));
  }
  model->setProperty({"batch_size=" + std::to_string(batch), "epochs=1000000"});
  model->setOptimizer(ml::train::createOptimizer("sgd", {"learning_rate=0.01"}));
  if (model->compile() || model->initialize()) return 1;
  auto data = ml::train::createDataset(ml::train::DatasetType::GENERATOR, sample);
  data->setProperty({"buffer_size=" + std::to_string(batch)});
  model->setDataset(ml::train::DatasetModeType::MODE_TRAIN, std::move(data));
  std::printf("%ld\n", before);
  began = Clock::now();
  auto never = [](void *) { return false; };
  return model->train({}, never, nullptr, wait_for_a_step, nullptr);
}
