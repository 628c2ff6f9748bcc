#include "octet/targets/engine/placement/check.h"

#include <algorithm>
#include <sstream>

#include "octet/cli/common.h"
#include "octet/cli/print.h"
#include "octet/cli/quantizer.h"
#include "octet/cli/verbs.h"
#include "octet/lowering/program_graph.h"
#include "octet/quantize/qdq.h"
#include "octet/report/check_report.h"
#include "octet/support/error.h"
#include "octet/targets/engine/weigh_settings.h"
#include "octet/targets/targets.h"

namespace octet::cli {
namespace {

using Sizes = std::vector<std::vector<int64_t>>;

bool is_full(const std::string& size) { return size.find(',') != std::string::npos; }

int64_t positive(const std::string& digits, const std::string& size) {
  const bool is_number =
      !digits.empty() && digits.size() < 10 && digits.find_first_not_of("0123456789") == std::string::npos;
  if (!is_number || std::stoll(digits) == 0) {
    throw expected("--input-size", "value", "224, 224x160, or 1,3,224,224 (several inputs: joined by +)",
                   "'" + size + "'");
  }
  return std::stoll(digits);
}

std::vector<std::string> split(const std::string& text, char separator) {
  std::vector<std::string> parts;
  std::stringstream in(text);
  for (std::string part; std::getline(in, part, separator);) parts.push_back(part);
  if (text.empty() || text.back() == separator) parts.emplace_back();
  return parts;
}

// "224" and "224x160" stand for height and width of every input with four dimensions.
Sizes sizes_for(const GraphModule& model, const std::string& size) {
  Sizes sizes;
  if (is_full(size)) {
    for (const std::string& input : split(size, '+')) sizes.push_back(parse_sizes(input));
    return sizes;
  }
  const std::vector<std::string> sides = split(size, 'x');
  if (sides.size() > 2) positive("", size);
  const int64_t height = positive(sides.front(), size);
  const int64_t width = positive(sides.back(), size);
  for (const Node* input : model.graph().placeholders()) {
    sizes.push_back(input->sizes());
    if (sizes.back().size() != 4) continue;
    sizes.back()[2] = height;
    sizes.back()[3] = width;
  }
  return sizes;
}

// TorchScript files are opened with sizes; other files have some of their own.
std::shared_ptr<GraphModule> opened(const ModelArguments& file, const std::vector<std::string>& sizes) {
  const auto at = [&](const std::vector<std::string>& given) {
    ModelArguments sized = file;
    sized.input_sizes = given;
    return sized;
  };
  try {
    return open_model(at({}));
  } catch (const Error&) {
    if (sizes.empty()) throw;
    return open_model(at(sizes));
  }
}

bool computes_in_float(const std::string& path) {
  const tflite::Model program = tflite::read(path);
  const auto is_float = [&](const tflite::Operator& op) {
    const tflite::Type type = program.tensors[static_cast<size_t>(op.outputs.at(0))].type;
    return type != tflite::Type::kInt8 && type != tflite::Type::kUInt8 && type != tflite::Type::kInt16;
  };
  return std::all_of(program.operators.begin(), program.operators.end(), is_float);
}

// What quantize weighs on its data is placed in the forms that bring more over: as everything that calibration decides.
targets::QuantizerOptions in_likely_form(const GraphModule& model, const targets::QuantizerOptions& options) {
  return is_quantized(model) ? options : targets::in_whole_form(model, options, all_targets().find(options.target));
}

std::optional<report::CheckReport::Weighed> weighed(const GraphModule& model, const targets::QuantizerOptions& whole,
                                                    const targets::QuantizerOptions& options,
                                                    const std::vector<std::vector<int64_t>>& sizes) {
  const targets::QuantizerOptions exact = settled(options, *all_targets().find(options.target));
  std::string flags;
  for (const auto& [name, value] : whole.settings) {
    if (value != targets::kWeighed && exact.settings.at(name) != value) {
      flags += octet::str(flags.empty() ? "" : " ", flag_of(name), ' ', value);
    }
  }
  if (flags.empty()) return std::nullopt;
  targets::TableQuantizer quantizer = make_quantizer(exact);
  return report::CheckReport::Weighed{flags, targets::check_model(model, quantizer, sizes)};
}

}  // namespace

void check(const CheckArguments& arguments) {
  // TorchScript files hold no sizes: the first that is given whole serves.
  std::vector<std::string> opening;
  for (const std::string& size : arguments.model.input_sizes) {
    if (is_full(size) && opening.empty()) opening = split(size, '+');
  }
  const bool is_tflite = is_program(arguments.model);
  const auto model = is_tflite ? graph_of(tflite::read(arguments.model.path)) : opened(arguments.model, opening);
  targets::QuantizerOptions options = resolve(arguments.quantizer, std::nullopt).options;
  const std::optional<targets::Scheme> scheme = all_targets().find(options.target)->find_scheme(options.scheme);
  if (!scheme || !scheme->mode) options.mode = QuantizationMode::kPtq;  // the program that is checked is one
  const targets::QuantizerOptions likely = is_tflite ? options : in_likely_form(*model, options);
  targets::TableQuantizer quantizer = make_quantizer(likely);
  report::CheckReport report{quantizer.target().name, {}};
  if (arguments.model.input_sizes.empty()) report.sizes.push_back({"", targets::check_model(*model, quantizer), ""});
  for (const std::string& size : arguments.model.input_sizes) {
    const Sizes sizes = sizes_for(*model, size);
    report::SizeCheck outcome{size, std::nullopt, ""};
    try {
      outcome.check = targets::check_model(*at_sizes(model, arguments.model, sizes), quantizer, sizes);
    } catch (const Error& error) {
      if (arguments.model.input_sizes.size() == 1) throw;
      outcome.error = error.what();
    }
    report.sizes.push_back(std::move(outcome));
  }
  if (report.sizes.size() == 1 && report.sizes[0].check) {
    report.weighed = weighed(*model, likely, options, report.sizes[0].check->input_sizes);
  }
  if (arguments.model.input_sizes.empty() && is_tflite && computes_in_float(arguments.model.path)) {
    const auto computed = open_model({arguments.model.path, {}, {}});
    targets::TableQuantizer other = make_quantizer(in_likely_form(*computed, options));
    report.quantized = targets::check_model(*computed, other);
  }
  print(report, arguments.json);
}

}  // namespace octet::cli
