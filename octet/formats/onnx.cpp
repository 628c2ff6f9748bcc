#include "octet/formats/onnx.h"

#include "octet/formats/float32.h"
#include "octet/formats/guard.h"
#include "octet/formats/onnx/importer.h"
#include "octet/formats/onnx/merge.h"
#include "octet/support/error.h"

namespace octet {
namespace {

constexpr uint64_t kMaxFile = (uint64_t{1} << 31) - 1;

std::shared_ptr<GraphModule> load(const std::shared_ptr<const ByteSource>& source, const OnnxOptions& options,
                                  bool has_folder) {
  const std::string& file = source->name();
  if (source->size() > kMaxFile) {
    throw Error(file, "is too long for protobuf: 2 GB is the most")
        .hint("keep the weights in files of their own: onnx.save_model(..., save_as_external_data=True)");
  }
  Budget budget(file, source->size());
  budget.charge(source->size(), "its bytes");
  const std::string bytes = source->read(0, source->size());
  const onnx::Model model = onnx::read_model(bytes, file, budget);
  onnx::TensorReader tensors(file, has_folder, budget);
  std::shared_ptr<GraphModule> module = onnx::import_model(model, file, options.input_sizes, tensors, budget);
  onnx::merge_patterns(*module);
  convert_to_float32(*module, {}, file);
  module->facts()["source"] = "ONNX";
  module->facts()["opset"] = std::to_string(model.opset);
  if (!model.producer.empty()) module->facts()["producer"] = model.producer;
  return module;
}

}  // namespace

bool is_onnx(const ByteSource& source) { return onnx::looks_like_model(source); }

std::shared_ptr<GraphModule> load_onnx(const std::shared_ptr<const ByteSource>& source, const OnnxOptions& options) {
  return guard_loading(source->name(), [&] { return load(source, options, false); });
}

std::shared_ptr<GraphModule> load_onnx(const std::string& path, const OnnxOptions& options) {
  return guard_loading(path, [&] { return load(open_file(path), options, true); });
}

}  // namespace octet
