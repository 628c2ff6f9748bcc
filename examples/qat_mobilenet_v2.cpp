// Quantization-aware training with the Neutron quantizer: the training listing of NXP's guide, step by step and under
// its names, with Fashion-MNIST in place of ImageNet. The regions in brackets are shown in README.md and in
// docs/neutron-quantization.md.
#include <octet/graph/record.h>
#include <octet/lowering/batch.h>
#include <octet/models/registry.h>
#include <octet/quantize/bias_pass.h>
#include <octet/quantize/observer.h>
#include <octet/quantize/quantize_pt2e.h>
#include <octet/targets/neutron/neutron_quantizer.h>
#include <octet/train/evaluate.h>
#include <octet/train/loader.h>
#include <octet/train/open_data.h>
#include <torch/nn/modules/loss.h>
#include <torch/optim/sgd.h>

#include <cstdio>

#include "arguments.h"

using namespace octet;

namespace {

int usage() {
  std::fprintf(stderr, "usage: qat_mobilenet_v2 [EPOCHS (1)] [TRAINING_SAMPLES (0: all)] [TEST_SAMPLES (0: all)]\n");
  return 2;
}

}  // namespace

int main(int argc, char** argv) try {
  int64_t num_epochs = 0, num_train = 0, num_test = 0;
  if (argc > 4 || !number_argument(argc, argv, 1, 1, 1, num_epochs) ||
      !number_argument(argc, argv, 2, 0, 0, num_train) || !number_argument(argc, argv, 3, 0, 0, num_test)) {
    return usage();
  }
  at::manual_seed(0);

  // [qat]
  // [qat-1]
  auto model = make_model("mobilenet_v2_w050_small", {.num_classes = 10, .in_channels = 1});
  model->eval();

  NeutronTargetSpec neutron_target_spec("imxrt700");
  NeutronQuantizer quantizer(neutron_target_spec, /*is_qat=*/true);  // (1)
  // [/qat-1]

  // [qat-2]
  auto sample_inputs = std::vector<at::Tensor>{at::randn({1, 1, 32, 32})};
  auto training_ep = export_module(model, sample_inputs);  // (2)
  make_batch_flexible(*training_ep);                       // exported with one image, trained with 64
  // [/qat-2]

  // Steps different from PTQ (3-6)
  // [qat-3]
  auto prepared_model = prepare_qat_pt2e(training_ep, quantizer);  // (3) !!! Different prepare function
  prepared_model = move_exported_model_to_train(prepared_model);   // (4)
  // [/qat-3]

  // ---------------- Training phase (5) ----------------
  // [qat-5]
  torch::nn::CrossEntropyLoss criterion;
  torch::optim::SGD optimizer(prepared_model->parameters(), torch::optim::SGDOptions(1e-2).momentum(0.9));

  auto train_data = open_data("fashion-mnist", Split::kTrain, {.limit = num_train});
  auto transform = standard_transform(*train_data, model->sample_shape(), /*augment=*/false);
  Loader train_loader(train_data, {.batch_size = 64, .shuffle = true, .transform = transform});

  // Training replaces calibration in QAT
  for (int64_t epoch = 0; epoch < num_epochs; ++epoch) {
    for (auto& [imgs, labels] : train_loader.epoch(epoch)) {
      optimizer.zero_grad();
      auto outputs = prepared_model->forward(imgs[0]);
      auto loss = criterion(outputs, labels);
      loss.backward();
      optimizer.step();
    }
    // It is recommended to disable quantization params updates after a few epochs of training.
    if (epoch >= num_epochs / 3.0) prepared_model->apply(disable_observer);
  }
  // [/qat-5]
  // --------------- End of training phase ---------------

  // [qat-6]
  prepared_model = move_exported_model_to_eval(prepared_model);  // (6)
  auto quantized_model = convert_pt2e(prepared_model);           // (7)
  // [/qat-6]
  // [/qat]

  // Optional step: fixes biasless convolutions. Only programs of other converters need it, octet's have int32 biases.
  // [qat-bias-pass]
  size_t fixed = QuantizeFusedConvBnBiasAtenPass(/*default_zero_bias=*/true)(*quantized_model);
  // [/qat-bias-pass]

  auto test_data = open_data("fashion-mnist", Split::kTest, {.limit = num_test});
  const Evaluation accuracy = evaluate(model_handle(quantized_model), test_data, {.transform = transform});
  std::printf("biases fixed %zu, top-1 of the quantized model %.4f on %lld images\n", fixed, accuracy.score("top1"),
              static_cast<long long>(accuracy.samples));
  return 0;
} catch (const std::exception& error) {
  std::fprintf(stderr, "qat_mobilenet_v2: %s\n", error.what());
  return 1;
}
