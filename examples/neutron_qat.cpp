// The example of NXP's guide to quantization-aware training with the Neutron backend, line for line, in C++ and on real
// data: MobileNetV2 on Fashion-MNIST. usage: neutron_qat [epochs] [batches an epoch, 0: all]
#include <ATen/ops/cross_entropy_loss.h>
#include <octet/graph/batch.h>
#include <octet/graph/record.h>
#include <octet/models/registry.h>
#include <octet/quantize/bias_pass.h>
#include <octet/quantize/observer.h>
#include <octet/quantize/quantize_pt2e.h>
#include <octet/targets/neutron/neutron_quantizer.h>
#include <octet/train/loader.h>
#include <octet/train/open_data.h>
#include <torch/optim/sgd.h>

#include <cstdio>
#include <cstdlib>

using namespace octet;

int main(int argc, char** argv) try {
  const int64_t num_epochs = argc > 1 ? std::atoll(argv[1]) : 1;
  const int64_t num_batches = argc > 2 ? std::atoll(argv[2]) : 0;
  at::manual_seed(0);

  ModelOptions model_options;
  model_options.in_channels = 1;
  model_options.num_classes = 10;
  auto model = make_model("mobilenet_v2_w050_small", model_options);
  model->eval();

  NeutronTargetSpec neutron_target_spec("imxrt700");
  NeutronQuantizer quantizer(neutron_target_spec, /*is_qat=*/true);  // (1)

  auto sample_inputs = std::vector<at::Tensor>{at::randn({1, 1, 32, 32})};
  auto training_ep = export_module(*model, sample_inputs);  // (2)
  make_batch_flexible(*training_ep);

  // Steps different from PTQ (3-6)
  auto prepared_model = prepare_qat_pt2e(training_ep, quantizer);  // (3) !!! Different prepare function
  prepared_model = move_exported_model_to_train(prepared_model);   // (4)

  // ---------------- Training phase (5) ----------------
  torch::optim::SGD optimizer(prepared_model->parameters(), torch::optim::SGDOptions(1e-2).momentum(0.9));

  auto train_data = open_data("fashion-mnist", Split::kTrain);
  LoaderOptions loader_options;
  loader_options.batch_size = 64;
  loader_options.shuffle = true;
  loader_options.transform = standard_transform(*train_data, {1, 32, 32}, /*augment=*/false);
  Loader train_loader(train_data, loader_options);

  // Training replaces calibration in QAT
  double loss_value = 0.0;
  for (int64_t epoch = 0; epoch < num_epochs; ++epoch) {
    int64_t batch = 0;
    for (Batch& sample : train_loader.epoch(epoch)) {
      if (num_batches > 0 && batch++ == num_batches) break;
      optimizer.zero_grad();
      auto outputs = prepared_model->forward(sample.inputs[0]);
      auto loss = at::cross_entropy_loss(outputs, sample.labels);
      loss.backward();
      optimizer.step();
      loss_value = loss.item<double>();
    }
    // It is recommended to disable quantization params updates after few epochs of training.
    if (epoch >= num_epochs / 3) prepared_model->apply(disable_observer);
  }
  // --------------- End of training phase ---------------

  prepared_model = move_exported_model_to_eval(prepared_model);  // (6)
  auto quantized_model = convert_pt2e(prepared_model);           // (7)

  // Optional step - fixes biasless convolutions of programs from elsewhere; here every bias is int32 already
  const size_t fixed = QuantizeFusedConvBnBiasAtenPass(/*default_zero_bias=*/true)(*quantized_model);

  auto test_data = first_samples(open_data("fashion-mnist", Split::kTest), num_batches > 0 ? 512 : 10000);
  loader_options.shuffle = false;
  int64_t correct = 0;
  const at::NoGradGuard no_grad;
  for (Batch& sample : Loader(test_data, loader_options).epoch(0)) {
    const at::Tensor guessed = quantized_model->forward(sample.inputs[0]).argmax(1);
    correct += guessed.eq(sample.labels).sum().item<int64_t>();
  }
  std::printf("last loss %.3f, biases fixed %zu, top-1 of the quantized model %.4f\n", loss_value, fixed,
              static_cast<double>(correct) / static_cast<double>(test_data->size()));
  return 0;
} catch (const std::exception& error) {
  std::fprintf(stderr, "neutron_qat: %s\n", error.what());
  return 1;
}
