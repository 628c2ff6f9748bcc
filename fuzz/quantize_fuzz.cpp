#include <ATen/core/grad_mode.h>

#include "fuzz/fuzz.h"
#include "fuzz/programs.h"
#include "fuzz/small_memory.h"
#include "octet/lowering/lowering.h"
#include "octet/quantize/qdq.h"
#include "octet/targets/engine/calibrate_and_quantize.h"
#include "octet/targets/engine/placement/check.h"
#include "octet/targets/engine/table_quantizer.h"
#include "octet/targets/engine/weigh_settings.h"
#include "octet/targets/targets.h"

using namespace octet;

// The whole way of a program: its passes and its placement, quantized on one sample, lowered, written. The input's
// length says for which target, in which mode, and with which forms.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  return fuzz::only_errors([&] {
    const at::NoGradGuard no_grad;
    const std::shared_ptr<GraphModule> model = fuzz::program_of(fuzz::view(data, size));
    fuzz::run(*model);  // what is not small ends here
    if (is_quantized(*model)) return;
    const auto& targets = all_targets().all();
    const auto& target = size % 2 == 0 ? all_targets().standard() : targets[size / 2 % targets.size()];
    targets::QuantizerOptions options;
    options.mode = size % 3 == 0 ? QuantizationMode::kQat : QuantizationMode::kPtq;
    if (size % 5 != 0) options = targets::in_whole_form(*model, options, target);
    targets::TableQuantizer quantizer(target, options);
    targets::check_model(*model, quantizer);
    const auto quantized = calibrate_and_quantize(model, {example_inputs(*model)}, quantizer);
    LoweringOptions lowering;
    lowering.form = target->form;
    tflite::serialize(lower(*quantized, lowering));
  });
}
