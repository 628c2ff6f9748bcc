// How many pictures a second the loader gives of a folder: bench_image_loading FOLDER [WORKERS ...].
// tests/peers/images/compare_loading.py runs it beside torchvision's.
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "octet/octet.h"

namespace {

double seconds() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

// Of one pass over the folder, as training draws it or as a model is measured, normalised.
double images_a_second(const std::string& folder, bool augment, int64_t workers) {
  octet::DataOptions options;
  options.images.sample = {3, 224, 224};
  options.images.resize = 256;
  options.images.augment = augment;
  options.images.held_out = 0;
  const auto data = octet::open_data("images:" + folder, octet::Split::kTrain, options);
  const octet::Transform transform = octet::standard_transform(*data, options.images.sample, augment);
  const octet::Loader loader(data, {.batch_size = 32, .shuffle = augment, .workers = workers, .transform = transform});
  int64_t count = 0;
  const double begin = seconds();
  for (const octet::Batch& batch : loader.epoch(0)) count += batch.size();
  return static_cast<double>(count) / (seconds() - begin);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) {
    std::fprintf(stderr, "bench_image_loading FOLDER [WORKERS ...]\n");
    return 2;
  }
  std::vector<int64_t> workers;
  for (int i = 2; i < argc; ++i) workers.push_back(std::atoll(argv[i]));
  if (workers.empty()) workers = {1, 2};
  for (const int64_t count : workers) {
    for (const bool augment : {true, false}) {
      std::printf("%s %lld %.2f\n", augment ? "train" : "eval", static_cast<long long>(count),
                  images_a_second(argv[1], augment, count));
    }
  }
  return 0;
}
