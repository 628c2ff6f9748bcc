// Quantization after training with the Neutron quantizer, in both its forms: step by step, and in one call. The model
// is first trained for a while in float, so that the accuracies printed mean something. The regions in brackets are
// shown in docs/neutron-quantization.md.
#include <ATen/core/grad_mode.h>
#include <octet/formats/container.h>
#include <octet/formats/pt2_writer.h>
#include <octet/formats/tflite.h>
#include <octet/graph/record.h>
#include <octet/lowering/batch.h>
#include <octet/lowering/lowering.h>
#include <octet/models/registry.h>
#include <octet/quantize/quantize_pt2e.h>
#include <octet/quantize/sqnr.h>
#include <octet/targets/engine/calibrate_and_quantize.h>
#include <octet/targets/neutron/neutron_quantizer.h>
#include <octet/train/loader.h>
#include <octet/train/open_data.h>
#include <octet/train/trainer.h>

#include <cstdio>

#include "arguments.h"

using namespace octet;

namespace {

int usage() {
  std::fprintf(stderr,
               "usage: ptq_mobilenet_v2 [FLOAT_TRAINING_SAMPLES (20000)] [TEST_SAMPLES (0: all)] [OUTPUT_PREFIX]\n"
               "OUTPUT_PREFIX: writes OUTPUT_PREFIXfloat.octet and OUTPUT_PREFIXquantized.octet\n");
  return 2;
}

void train_in_float(const std::shared_ptr<GraphModule>& model, int64_t samples, const Transform& transform) {
  TrainOptions options;
  options.batch_size = 64;
  options.learning_rate = 0.05;
  options.transform = transform;
  train(model_handle(model), open_data("fashion-mnist", Split::kTrain, {.limit = samples}), options);
  model->train(false);
}

}  // namespace

int main(int argc, char** argv) try {
  int64_t num_train = 0, num_test = 0;
  if (argc > 4 || !number_argument(argc, argv, 1, 64, 20000, num_train) ||
      !number_argument(argc, argv, 2, 0, 0, num_test)) {
    return usage();
  }
  at::manual_seed(0);

  // [ptq-1]
  auto model = make_model("mobilenet_v2_w050_small", {.num_classes = 10, .in_channels = 1});
  auto exported = export_module(model, {at::randn({1, 1, 32, 32})}, {.train = false});  // (1)
  make_batch_flexible(*exported);  // exported with one image, calibrated with 64
  // [/ptq-1]

  auto train_data = open_data("fashion-mnist", Split::kTrain);
  const Transform transform = standard_transform(*train_data, model->sample_shape(), /*augment=*/false);
  train_in_float(exported, num_train, transform);
  const auto float_model = exported->copy();

  // [ptq-samples]
  auto calibration_data = open_data("fashion-mnist", Split::kTrain, {.limit = 256});
  std::vector<std::vector<at::Tensor>> samples;  // a tensor for each input of the model, many images at once
  for (Batch& batch : Loader(calibration_data, {.batch_size = 64, .transform = transform}).epoch(0)) {
    samples.push_back(batch.inputs);
  }
  // [/ptq-samples]

  // [ptq-2]
  NeutronQuantizer quantizer(NeutronTargetSpec("imxrt700"));  // (2)
  // [/ptq-2]

  // [ptq-3]
  auto prepared = prepare_pt2e(exported, quantizer);  // (3) `exported` holds the observers from now on
  {
    const at::NoGradGuard no_grad;
    for (const auto& sample : samples) prepared->run(sample);  // (4)
  }
  auto quantized = convert_pt2e(prepared);  // (5)
  // [/ptq-3]

  // The same in one call, on the same samples; a copy, since preparing changes the model.
  // [ptq-one-call]
  auto at_once = calibrate_and_quantize(float_model->copy(), samples, quantizer);
  // [/ptq-one-call]

  auto test_data = open_data("fashion-mnist", Split::kTest, {.limit = num_test});
  EvaluateOptions evaluation;
  evaluation.transform = transform;
  const Evaluation before = evaluate(model_handle(float_model), test_data, evaluation);
  const Evaluation after = evaluate(model_handle(quantized), test_data, evaluation);
  std::printf("top-1 on %lld images: float %.4f, quantized %.4f\n", static_cast<long long>(before.samples),
              before.score("top1"), after.score("top1"));

  const at::NoGradGuard no_grad;
  double noise = 0.0;
  for (Batch& batch : Loader(first_samples(test_data, 256), {.batch_size = 64, .transform = transform}).epoch(0)) {
    const at::Tensor output = quantized->forward(batch.inputs[0]);
    if (!at::equal(output, at_once->forward(batch.inputs[0]))) {
      std::fprintf(stderr, "ptq_mobilenet_v2: the two forms give different outputs\n");
      return 1;
    }
    noise = compute_error(float_model->forward(batch.inputs[0]), output);
  }
  std::printf("both forms give equal outputs; SQNR against float %.1f dB\n", noise);

  if (argc > 3) {
    const std::string prefix = argv[3];
    // [ptq-save]
    save_octet(*float_model, prefix + "float.octet");
    save_octet(*quantized, prefix + "quantized.octet");
    tflite::write(lower(*quantized, {.batch = 1}), prefix + "quantized.tflite");  // for the device
    write_pt2(*quantized, prefix + "quantized.pt2");                              // for ExecuTorch
    // [/ptq-save]
  }
  return 0;
} catch (const std::exception& error) {
  std::fprintf(stderr, "ptq_mobilenet_v2: %s\n", error.what());
  return 1;
}
