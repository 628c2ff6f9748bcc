#include "octet/formats/model_file.h"

#include "octet/formats/container.h"
#include "octet/formats/onnx.h"
#include "octet/formats/pt2.h"
#include "octet/formats/torchscript.h"
#include "octet/formats/zip.h"
#include "octet/support/error.h"

namespace octet {
namespace {

bool ends_with(const std::string& text, const std::string& end) {
  return text.size() >= end.size() && text.compare(text.size() - end.size(), end.size(), end) == 0;
}

enum class Kind { kPt2, kOctet, kTorchScript, kStateDict, kUnknown };

Kind kind_of(const ZipReader& zip) {
  Kind kind = Kind::kUnknown;
  for (const ZipEntry& entry : zip.entries()) {
    if (entry.name == "octet.json") return Kind::kOctet;
    if (entry.name == "serialized_exported_program.json" || ends_with(entry.name, "/archive_format")) return Kind::kPt2;
    if (ends_with(entry.name, "/constants.pkl")) return Kind::kTorchScript;
    if (ends_with(entry.name, "/data.pkl")) kind = Kind::kStateDict;
  }
  return kind;
}

std::shared_ptr<GraphModule> load_any(const std::string& path, const ModelFileOptions& options) {
  const auto source = open_file(path);
  const std::string ways =
      "a model is a .pt2 of torch.export.save, an .onnx file, a TorchScript file, a .tflite or a file that octet wrote";
  if (source->size() >= 8 && source->read(4, 4) == "TFL3") {
    throw Error(path, "is a .tflite, a program of TFLite's operators").hint("load_tflite() makes a model of it");
  }
  if (!ZipReader::is_zip(*source)) {
    if (is_onnx(*source)) return load_onnx(path, {.input_sizes = options.input_sizes});
    throw Error(path, "is no model: neither a zip archive nor ONNX").hint(ways);
  }
  switch (kind_of(ZipReader(source))) {
    case Kind::kPt2:
      return load_pt2(path, {.operators = options.operators, .input_sizes = options.input_sizes});
    case Kind::kOctet:
      return load_octet(path, options.operators);
    case Kind::kTorchScript:
      if (options.input_sizes.empty()) {
        throw Error(path, "is a TorchScript file, which does not say the shapes of its inputs")
            .hint("give them: --input-size 1,3,224,224");
      }
      return load_torchscript_of_sizes(path, options.input_sizes, {}, options.operators);
    case Kind::kStateDict:
      throw Error(path, "holds weights without a program")
          .hint("export the model: torch.export.save(torch.export.export(model, inputs), 'model.pt2')");
    case Kind::kUnknown:
      break;
  }
  throw Error(path, "is a zip archive, but no model").hint(ways);
}

}  // namespace

std::shared_ptr<GraphModule> load_model(const std::string& path, const ModelFileOptions& options) {
  return in_category(ErrorCategory::kFile, [&] { return load_any(path, options); });
}

}  // namespace octet
