// int8 programs in the executor: its paths, and the float model in libtorch, in one process and in turn.
// usage: bench_integer [--threads N] [--batch N] [--rounds N] [--net NAME] [--fastest 1] [PROGRAM.tflite MODEL]...
// MODEL: the float model that the program was made from. Without files: octet's own networks, or the one that is named,
// quantized and lowered here; their weights are random, which costs the same time. Without --threads and --batch: 1 and
// 2 threads, batches of 1 and 16 (there without the portable path), and what the second thread is worth. With --fastest
// the fastest path alone is timed.
#include <ATen/Parallel.h>
#include <c10/core/InferenceMode.h>

#include <chrono>
#include <cstdio>
#include <ctime>
#include <string>

#include "octet/formats/model_file.h"
#include "octet/graph/record.h"
#include "octet/integer/executor.h"
#include "octet/lowering/batch.h"
#include "octet/lowering/lowering.h"
#include "octet/models/registry.h"
#include "octet/quantize/quantize_pt2e.h"
#include "octet/support/error.h"
#include "octet/targets/neutron/neutron_quantizer.h"

namespace {

using octet::integer::Executor;
using octet::integer::Path;

struct Settings {
  std::vector<int> threads = {1, 2};
  std::vector<int64_t> batches = {1, 16};
  int rounds = 15;
  bool fastest = false;  // alone
};

struct Network {
  std::string name;
  int64_t size;  // of its images
};
const std::vector<Network> kNetworks = {{"mobilenet_v2", 224}, {"resnet8", 32}, {"cifarnet", 32}};

struct Side {
  std::string name;
  std::function<void()> work;
  std::vector<double> milliseconds = {}, of_processor = {};

  void time() {
    const auto start = std::chrono::steady_clock::now();
    const std::clock_t ticks = std::clock();
    work();
    of_processor.push_back(1e3 * static_cast<double>(std::clock() - ticks) / CLOCKS_PER_SEC);
    milliseconds.push_back(std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count());
  }
};

double quantile(std::vector<double> values, double at) {
  std::sort(values.begin(), values.end());
  return values[static_cast<size_t>(at * static_cast<double>(values.size() - 1) + 0.5)];
}

// Rounds that take the sides in turn; then each side, and how much longer it takes than the last one, round by round:
// by the clock, and in processor time, which other programs on the machine disturb less.
void compare(std::vector<Side>& sides, int rounds) {
  for (Side& side : sides) side.work();
  for (int round = 0; round < rounds; ++round) {
    for (Side& side : sides) side.time();
  }
  const auto figures = [&](const Side& side, std::vector<double> Side::*times) {
    std::vector<double> ratios;
    for (size_t i = 0; i < (side.*times).size(); ++i) ratios.push_back((side.*times)[i] / (sides.back().*times)[i]);
    std::printf(" | %8.2f ms (%.2f to %.2f) %6.2f x (%.2f to %.2f)", quantile(side.*times, 0.5),
                quantile(side.*times, 0.25), quantile(side.*times, 0.75), quantile(ratios, 0.5), quantile(ratios, 0.25),
                quantile(ratios, 0.75));
  };
  for (const Side& side : sides) {
    std::printf("  %-20s", side.name.c_str());
    figures(side, &Side::milliseconds);
    figures(side, &Side::of_processor);
    std::printf("\n");
  }
}

// `image`: what the float model takes; the program takes its levels, in its own layout. Gives the median of the fastest
// path.
double bench(const std::string& name, const octet::tflite::Model& program, octet::GraphModule& model, at::Tensor image,
             int64_t batch, int threads, const Settings& settings) {
  const c10::InferenceMode inference;
  at::set_num_threads(threads);
  model.train(false);
  std::vector<Path> paths = octet::integer::available_paths();
  if (settings.fastest) paths = {paths.back()};
  if (batch > 1 && paths.size() > 1) paths.erase(paths.begin());
  std::vector<std::unique_ptr<Executor>> executors;
  for (const Path path : paths) {
    executors.push_back(std::make_unique<Executor>(program, octet::integer::ExecutorOptions{.path = path}));
  }
  const auto& input = executors[0]->model().tensors[static_cast<size_t>(program.inputs[0])];
  std::vector<int64_t> shape = input.shape;
  shape[0] *= batch;
  const at::Tensor levels = at::randint(-128, 128, shape, at::TensorOptions(octet::integer::scalar_type(input.type)));
  std::vector<int64_t> sizes = image.sizes().vec();
  sizes[0] = batch;
  const at::Tensor images = image.slice(0, 0, 1).expand(sizes);
  std::vector<Side> sides;
  const at::Tensor plain = images.contiguous();
  if (!settings.fastest) sides.push_back({"float, NCHW", [&] { model.run({plain}); }});
  at::Tensor last;
  if (images.dim() == 4 && !settings.fastest) {
    last = images.contiguous(at::MemoryFormat::ChannelsLast);
    sides.push_back({"float, channels last", [&] { model.run({last}); }});
  }
  for (size_t i = 0; i < executors.size(); ++i) {
    sides.push_back(
        {std::string("int8, ") + octet::integer::path_name(paths[i]), [&, i] { executors[i]->run({levels}); }});
  }
  std::printf(
      "%s, batch %ld, %d threads, %d rounds\n  medians (and quartiles); x: times the last line; by the clock | "
      "processor\n",
      name.c_str(), static_cast<long>(batch), at::get_num_threads(), settings.rounds);
  compare(sides, settings.rounds);
  return quantile(sides.back().milliseconds, 0.5);
}

void bench_all(const std::string& name, const octet::tflite::Model& program, octet::GraphModule& model,
               const at::Tensor& image, const Settings& settings) {
  for (const int64_t batch : settings.batches) {
    std::vector<double> medians;
    for (const int threads : settings.threads) {
      medians.push_back(bench(name, program, model, image, batch, threads, settings));
    }
    if (medians.size() < 2) continue;
    std::printf("  %s, batch %ld: %d threads to %d: %.2f x\n", name.c_str(), static_cast<long>(batch),
                settings.threads.back(), settings.threads.front(), medians.back() / medians.front());
  }
}

void bench_network(const Network& network, const Settings& settings) {
  at::manual_seed(0);
  auto model = octet::make_model(network.name);
  model->eval();
  const at::Tensor image = at::randn({2, 3, network.size, network.size});
  auto exported = octet::export_module(*model, {image});
  octet::NeutronQuantizer quantizer(octet::NeutronTargetSpec("imxrt700"), /*is_qat=*/false);
  auto prepared = octet::prepare_pt2e(exported->copy(), quantizer);
  {
    const at::NoGradGuard no_grad;
    prepared->run({image});
  }
  const auto program = octet::lower(*octet::convert_pt2e(prepared), {.batch = 1});
  octet::make_batch_flexible(*exported);
  bench_all(octet::str(network.name, " ", network.size, "x", network.size), program, *exported, image, settings);
}

}  // namespace

int main(int argc, char** argv) try {
  Settings settings;
  std::vector<std::string> files;
  std::string net;
  for (int i = 1; i < argc; ++i) {
    const std::string word = argv[i];
    const bool has_value = word.rfind("--", 0) == 0;
    if (has_value && i + 1 == argc) throw octet::Error(word, "needs a value");
    if (word == "--threads") {
      settings.threads = {std::stoi(argv[++i])};
    } else if (word == "--batch") {
      settings.batches = {std::stoll(argv[++i])};
    } else if (word == "--rounds") {
      settings.rounds = std::stoi(argv[++i]);
    } else if (word == "--fastest") {
      settings.fastest = std::string(argv[++i]) != "0";
    } else if (word == "--net") {
      net = argv[++i];
    } else {
      files.push_back(word);
    }
  }
  if (files.size() % 2 != 0) throw octet::Error("files", "come in pairs: PROGRAM.tflite MODEL");
  for (const Network& network : kNetworks) {
    if (files.empty() && (net.empty() || net == network.name)) bench_network(network, settings);
  }
  for (size_t i = 0; i < files.size(); i += 2) {
    const auto model = octet::load_model(files[i + 1]);
    const auto program = octet::tflite::read(files[i]);
    const at::Tensor image = at::randn(model->graph().placeholders().at(0)->meta().value().sizes);
    octet::make_batch_flexible(*model);
    bench_all(files[i], program, *model, image, settings);
  }
  return 0;
} catch (const std::exception& error) {
  std::fprintf(stderr, "%s\n", error.what());
  return 1;
}
