#include "octet/formats/onnx/importer.h"

#include <algorithm>
#include <set>
#include <unordered_map>

#include "octet/formats/allowed_operators.h"
#include "octet/formats/dtype.h"
#include "octet/formats/onnx/operators.h"
#include "octet/support/error.h"

namespace octet::onnx {
namespace {

constexpr int64_t kOldestOpset = 13;
constexpr int64_t kNewestOpset = 21;
constexpr int64_t kBatch = 1;  // where the file leaves it open

class Importer {
 public:
  Importer(const Model& model, const std::string& file, TensorReader& tensors, Budget& budget)
      : model_(model),
        file_(file),
        tensors_(tensors),
        budget_(budget),
        module_(std::make_shared<GraphModule>()),
        builder_(*module_, budget) {}

  std::shared_ptr<GraphModule> run(const std::vector<std::vector<int64_t>>& input_sizes) {
    check_opset();
    for (const TensorProto& tensor : model_.initializers) add_initializer(tensor);
    add_inputs(input_sizes);
    for (const NodeProto& node : model_.nodes) add_node(node);
    add_outputs();
    in_category(ErrorCategory::kFile, [&] { module_->graph().verify(); });
    module_->torch::nn::Module::train(false);
    return module_;
  }

 private:
  void check_opset() const {
    if (model_.opset == 0) throw Error(file_, "does not say its opset").hint("save it by onnx.save");
    if (model_.opset >= kOldestOpset && model_.opset <= kNewestOpset) return;
    throw expected(file_, "opset", str(kOldestOpset, " to ", kNewestOpset), std::to_string(model_.opset))
        .hint(str("export it with opset_version=18, or turn it by onnx.version_converter.convert_version(model, 18)"));
  }

  void define(std::string_view name, Value value, const std::string& where) {
    if (!values_.emplace(name, std::move(value)).second)
      throw Error(where, str("the value '", name, "' is defined twice"));
  }

  void add_initializer(const TensorProto& tensor) {
    const std::string where = str(file_, ": '", tensor.name, "'");
    if (tensor.name.empty()) throw Error(where, "an initializer has no name");
    Value value;
    value.constant = tensors_.read(tensor, where);
    value.name = tensor.name;
    value.learns = value.constant.is_floating_point();
    define(tensor.name, std::move(value), where);
  }

  void add_inputs(const std::vector<std::vector<int64_t>>& input_sizes) {
    std::vector<const ValueInfo*> inputs;
    for (const ValueInfo& input : model_.inputs) {
      if (values_.count(input.name) == 0) inputs.push_back(&input);  // else it has its default, an initializer
    }
    if (!input_sizes.empty() && input_sizes.size() != inputs.size()) {
      throw expected(file_, "sizes of inputs", std::to_string(inputs.size()), std::to_string(input_sizes.size()));
    }
    for (const ValueInfo* input : inputs) {
      if (!input->shape.empty() && !input->shape[0].name.empty()) batch_names_.insert(input->shape[0].name);
    }
    for (size_t i = 0; i < inputs.size(); ++i) {
      const std::string where = str(file_, ": input '", inputs[i]->name, "'");
      TensorMeta meta;
      meta.dtype = dtype_of(inputs[i]->type, where);
      meta.sizes = input_sizes.empty() ? sizes_of(*inputs[i], where) : checked(*inputs[i], input_sizes[i], where);
      checked_bytes(meta.sizes, meta.dtype, where);
      Node* node = module_->graph().placeholder(std::string(inputs[i]->name));
      node->set_meta(meta);
      check_input_size(*node, where);
      define(inputs[i]->name, Value{node, {}, "", false}, where);
    }
  }

  // What the file says, its batch taken as 1.
  std::vector<int64_t> sizes_of(const ValueInfo& input, const std::string& where) const {
    const Error open = Error(where, "leaves sizes open beside the batch").hint("give them: --input-size 1,3,224,224");
    if (!input.has_shape) throw open;
    std::vector<int64_t> sizes;
    for (size_t i = 0; i < input.shape.size(); ++i) {
      const Dimension& dimension = input.shape[i];
      const bool is_batch = i == 0 || batch_names_.count(dimension.name) > 0;
      const bool is_open = dimension.size < 0 || (dimension.size == 0 && i == 0);
      if (dimension.size < -1) throw Error(where, str("has a size of ", dimension.size));
      if (is_open && !is_batch) throw open;
      sizes.push_back(is_open ? kBatch : dimension.size);
    }
    return sizes;
  }

  std::vector<int64_t> checked(const ValueInfo& input, const std::vector<int64_t>& sizes,
                               const std::string& where) const {
    if (!input.has_shape) return sizes;
    bool fits = sizes.size() == input.shape.size();
    for (size_t i = 0; i < sizes.size() && fits; ++i) {
      fits = input.shape[i].size < 1 || input.shape[i].size == sizes[i];
    }
    if (fits) return sizes;
    std::vector<std::string> said;
    for (const Dimension& dimension : input.shape) {
      said.push_back(dimension.size >= 0 ? std::to_string(dimension.size)
                                         : std::string(dimension.name.empty() ? "?" : dimension.name));
    }
    throw expected(where, "sizes", octet::str("[", join(", ", said), "]"), sizes_text(sizes));
  }

  void add_node(const NodeProto& node) {
    const std::string where =
        str(node.op_type, " '", node.name.empty() && !node.outputs.empty() ? node.outputs[0] : node.name, "'");
    const OperatorRow& row = find_row(node, where);
    std::vector<Value> inputs;
    for (const std::string_view name : node.inputs) inputs.push_back(name.empty() ? Value() : value(name, where));
    while (!inputs.empty() && !inputs.back().defined()) inputs.pop_back();
    if (inputs.size() < row.least_inputs || inputs.size() > row.most_inputs) {
      const std::string wanted = row.most_inputs == SIZE_MAX           ? str("at least ", row.least_inputs)
                                 : row.least_inputs == row.most_inputs ? str(row.least_inputs)
                                                                       : str(row.least_inputs, " to ", row.most_inputs);
      throw expected(where, "inputs", wanted, std::to_string(inputs.size()));
    }
    for (const AttributeProto& attribute : node.attributes) {
      if (attribute.kind == AttributeKind::kOther)
        throw Error(where, str("attribute '", attribute.name, "' holds a graph or a list of tensors"))
            .hint("export the model without control flow");
    }
    Step step(node, std::move(inputs), model_.opset, builder_, tensors_, budget_);
    row.build(step);
    for (size_t i = 0; i < node.outputs.size(); ++i) {
      if (node.outputs[i].empty()) continue;
      if (i >= step.given().size() || !step.given()[i].defined())
        throw Error(where, str("gives output ", i, " ('", node.outputs[i], "'), which octet does not take"));
      Value made = step.given()[i];
      if (made.known() && made.name.empty()) made.name = node.outputs[i];
      define(node.outputs[i], std::move(made), where);
    }
  }

  const OperatorRow& find_row(const NodeProto& node, const std::string& where) const {
    if (const OperatorRow* row = find_operator(node.domain, node.op_type)) return *row;
    const std::string domain(node.domain.empty() ? "ai.onnx" : node.domain);
    const std::string own = str(node.domain, ".", node.op_type);
    if (std::find(model_.functions.begin(), model_.functions.end(), own) != model_.functions.end()) {
      throw Error(where, str("calls '", own, "', a function of the file's own"))
          .hint("put functions in place: onnx.inliner.inline_local_functions(model)");
    }
    std::string way_out = "docs/onnx.md lists what octet reads; write it in these, or cut the model in front of it";
    if (node.op_type.substr(0, 7) == "QLinear" || node.op_type == "ConvInteger" || node.op_type == "MatMulInteger")
      way_out = "quantize the model in the format QDQ, or give octet the float model";
    if (node.op_type == "If" || node.op_type == "Loop" || node.op_type == "Scan")
      way_out = "export the model without control flow";
    throw Error(where, str("the operator '", node.op_type, "' of ", domain, " (opset ", model_.opset,
                           ") is not one that octet reads"))
        .hint(way_out);
  }

  const Value& value(std::string_view name, const std::string& where) const {
    const auto found = values_.find(name);
    if (found != values_.end()) return found->second;
    throw Error(where, str("the value '", name, "' is not defined before its use")).hint("sort the graph's nodes");
  }

  void add_outputs() {
    std::vector<Arg> results;
    for (const ValueInfo& output : model_.outputs) {
      results.emplace_back(builder_.node_of(value(output.name, file_ + ": its outputs")));
    }
    if (results.empty()) throw Error(file_, "the graph has no outputs");
    module_->graph().output(std::move(results));
  }

  const Model& model_;
  const std::string& file_;
  TensorReader& tensors_;
  Budget& budget_;
  std::shared_ptr<GraphModule> module_;
  Builder builder_;
  std::unordered_map<std::string_view, Value> values_;
  std::set<std::string_view> batch_names_;
};

}  // namespace

std::shared_ptr<GraphModule> import_model(const Model& model, const std::string& file,
                                          const std::vector<std::vector<int64_t>>& input_sizes, TensorReader& tensors,
                                          Budget& budget) {
  return Importer(model, file, tensors, budget).run(input_sizes);
}

}  // namespace octet::onnx
