#include <algorithm>
#include <cstring>
#include <map>
#include <set>

#include "octet/formats/guard.h"
#include "octet/formats/tflite_names.h"
#include "octet/formats/tflite_ops.h"
#include "octet/formats/tflite_options.h"
#include "octet/formats/tflite_variables.h"
#include "octet/support/budget.h"
#include "octet/support/error.h"

namespace octet::tflite {
namespace {

constexpr uint64_t kMaxFile = FLATBUFFERS_MAX_BUFFER_SIZE - 1;
constexpr int32_t kCustom = 32;  // BuiltinOperator of custom operators

template <typename T>
using Tables = flatbuffers::Vector<flatbuffers::Offset<T>>;

template <typename T>
size_t count(const flatbuffers::Vector<T>* vector) {
  return vector == nullptr ? 0 : vector->size();
}

class Reader {
 public:
  Reader(const std::string& file, const std::string& bytes)
      : file_(file), root_(verified(file, bytes)), budget_(file, bytes.size()) {}

  Model read() {
    if (root_.version() != 3) throw expected(file_, "version of the schema", "3", std::to_string(root_.version()));
    if (count(root_.subgraphs()) < 1) throw expected(file_, "subgraphs", "1", "0");
    const fb::SubGraph& graph = *root_.subgraphs()->Get(0);
    Model model;
    model.description = text(root_.description());
    model.inputs = values<int32_t>(graph.inputs());
    model.outputs = values<int32_t>(graph.outputs());
    for (size_t i = 0; i < count(graph.tensors()); ++i) model.tensors.push_back(tensor(*graph.tensors()->Get(i), i));
    Variables variables(file_, model);
    for (size_t i = 0; i < count(graph.operators()); ++i) {
      const fb::Operator& from = *graph.operators()->Get(i);
      if (read_variable_operator(from, i, variables)) continue;
      model.operators.push_back(operation(from, i));
      variables.follow(model.operators.back().inputs);
    }
    variables.finish();
    if (count(root_.subgraphs()) > subgraphs_read_) {
      throw expected(file_, "subgraphs", std::to_string(subgraphs_read_), std::to_string(count(root_.subgraphs())))
          .hint("models with control flow, or with several programs, cannot be read");
    }
    find_empty_constants(model);
    read_signature(model);
    for (size_t i = 0; i < count(root_.metadata()); ++i) {
      charge(2 * sizeof(model.metadata[0]));
      const fb::Metadata& entry = *root_.metadata()->Get(i);
      const std::string name = text(entry.name());
      const auto* data = buffer(entry.buffer(), octet::str(file_, ": metadata '", name, "'"));
      const auto bytes = values<uint8_t>(data);
      model.metadata.emplace_back(name, std::string(bytes.begin(), bytes.end()));
    }
    check(model, file_);
    return model;
  }

 private:
  static const fb::Model& verified(const std::string& file, const std::string& bytes) {
    const auto* data = reinterpret_cast<const uint8_t*>(bytes.data());
    if (bytes.size() < 8 || std::memcmp(bytes.data() + 4, fb::ModelIdentifier(), 4) != 0) {
      throw Error(file, "is no .tflite file: the identifier TFL3 is missing");
    }
    flatbuffers::Verifier verifier(data, bytes.size(), limits::kTableDepth, limits::kTables);
    if (!fb::VerifyModelBuffer(verifier)) {
      throw Error(file, "is damaged: an offset or a length inside it leads nowhere");
    }
    return *fb::GetModel(data);
  }

  // Many tables may share one vector, and many places one table, so that a small file could ask for endless memory.
  void charge(uint64_t bytes) { budget_.charge(bytes, "its tables, which may name the same data often,"); }
  std::string text(const flatbuffers::String* string) {
    if (string == nullptr) return "";
    charge(string->size());
    return string->str();
  }
  template <typename To, typename From>
  std::vector<To> values(const flatbuffers::Vector<From>* vector) {
    if (vector == nullptr) return {};
    charge(uint64_t{vector->size()} * sizeof(To));
    std::vector<From> raw(vector->size());  // the verifier lets elements of 8 bytes stand at any multiple of 4
    if (!raw.empty()) std::memcpy(raw.data(), vector->data(), raw.size() * sizeof(From));
    std::vector<To> copy;
    copy.reserve(raw.size());
    for (const From value : raw) copy.push_back(flatbuffers::EndianScalar(value));
    return copy;
  }

  const flatbuffers::Vector<uint8_t>* buffer(uint32_t index, const std::string& where) const {
    if (index == 0) return nullptr;  // by convention no data
    if (index >= count(root_.buffers())) {
      throw Error(where, octet::str("there is no buffer ", index, " among ", count(root_.buffers())));
    }
    const fb::Buffer& entry = *root_.buffers()->Get(index);
    if (entry.offset() > 1) {
      throw Error(where, octet::str("buffer ", index, " keeps its data outside the flatbuffer, which cannot be read"));
    }
    return entry.data();
  }

  Tensor tensor(const fb::Tensor& from, size_t index) {
    charge(2 * sizeof(Tensor));
    Tensor tensor;
    tensor.name = text(from.name());
    const std::string where = tensor_place(file_, index, tensor.name);
    const auto refuse = [&](bool present, const char* what) {
      if (present) throw Error(where, octet::str(what, " cannot be read"));
    };
    refuse(from.is_variable(), "a variable that keeps its value between runs");
    refuse(from.sparsity() != nullptr, "sparse data");
    refuse(from.external_buffer() != 0, "data outside the file");
    tensor.type = static_cast<Type>(from.type());
    tensor.shape = values<int64_t>(from.shape());
    if (const fb::QuantizationParameters* quantization = from.quantization()) {
      refuse(quantization->details_type() != 0, "custom quantization");
      tensor.quantization.scale = values<float>(quantization->scale());
      tensor.quantization.zero_point = values<int64_t>(quantization->zero_point());
      tensor.quantization.axis = quantization->quantized_dimension();
    }
    const auto* data = buffer(from.buffer(), where);
    tensor.is_constant = count(data) != 0;
    if (tensor.is_constant) {
      charge(data->size());
      tensor.data.assign(data->begin(), data->end());
    }
    return tensor;
  }

  static int32_t number_of(const fb::OperatorCode& code) {
    return std::max<int32_t>(code.deprecated_builtin_code(), code.builtin_code());
  }

  // What keeps values between runs; false for any other operator.
  bool read_variable_operator(const fb::Operator& from, size_t index, Variables& variables) {
    if (from.opcode_index() >= count(root_.operator_codes())) return false;  // for operation() to say
    const int32_t number = number_of(*root_.operator_codes()->Get(from.opcode_index()));
    if (!Variables::is_operator(number)) return false;
    charge(sizeof(Operator));
    const auto inputs = values<int32_t>(from.inputs()), outputs = values<int32_t>(from.outputs());
    const std::string where = octet::str(file_, ": operator ", index, " ", builtin_name(number));
    if (number == Variables::kCallOnce) {
      const auto* options = from.builtin_options_as_CallOnceOptions();
      read_initial_values(options == nullptr ? 0 : options->init_subgraph_index(), where, variables);
    } else {
      variables.add(number, inputs, outputs, variable_name(from), where);
    }
    return true;
  }

  std::string variable_name(const fb::Operator& from) {
    const auto* options = from.builtin_options_as_VarHandleOptions();
    if (options == nullptr) return "";
    const std::string container = text(options->container());
    return (container.empty() ? "" : container + "/") + text(options->shared_name());
  }

  // A subgraph that runs once, before the first run: constants for variables.
  void read_initial_values(int32_t subgraph, const std::string& where, Variables& variables) {
    if (subgraph < 1 || static_cast<size_t>(subgraph) >= count(root_.subgraphs())) {
      throw Error(where, octet::str("there is no subgraph ", subgraph, " to call"));
    }
    if (!initial_.insert(subgraph).second) return;
    ++subgraphs_read_;
    const fb::SubGraph& graph = *root_.subgraphs()->Get(static_cast<uint32_t>(subgraph));
    std::map<int32_t, std::string> handles;
    for (size_t i = 0; i < count(graph.operators()); ++i) {
      const fb::Operator& from = *graph.operators()->Get(i);
      const std::string place = octet::str(where, ": operator ", i, " of subgraph ", subgraph);
      const int32_t number = from.opcode_index() < count(root_.operator_codes())
                                 ? number_of(*root_.operator_codes()->Get(from.opcode_index()))
                                 : -1;
      const auto inputs = values<int32_t>(from.inputs()), outputs = values<int32_t>(from.outputs());
      if (number == Variables::kVarHandle && outputs.size() == 1) {
        handles[outputs[0]] = variable_name(from);
      } else if (number == Variables::kAssignVariable && inputs.size() == 2 && handles.count(inputs[0]) > 0) {
        if (inputs[1] < 0 || static_cast<size_t>(inputs[1]) >= count(graph.tensors())) {
          throw Error(place, octet::str("there is no tensor ", inputs[1]));
        }
        Tensor value = tensor(*graph.tensors()->Get(static_cast<uint32_t>(inputs[1])), static_cast<size_t>(inputs[1]));
        if (!value.is_constant)
          throw Error(place, "begins a variable with other than a constant, which cannot be read");
        variables.begin(handles.at(inputs[0]), std::move(value));
      } else {
        throw Error(place, octet::str(number < 0 ? "no operator" : builtin_name(number),
                                      " is not one that octet reads where variables begin"));
      }
    }
  }

  Operator operation(const fb::Operator& from, size_t index) {
    const std::string where = octet::str(file_, ": operator ", index);
    if (from.opcode_index() >= count(root_.operator_codes())) {
      throw Error(where, octet::str("there is no operator code ", from.opcode_index(), " among ",
                                    count(root_.operator_codes())));
    }
    const fb::OperatorCode& code = *root_.operator_codes()->Get(from.opcode_index());
    const int32_t number = number_of(code);
    if (number == kCustom) throw Error(where, "is the custom operator '" + text(code.custom_code()) + "'");
    const OpFacts* facts = find_op(number);
    if (facts == nullptr) throw Error(where, builtin_name(number) + " is not an operator that octet reads");
    charge(2 * sizeof(Operator));
    Operator op;
    op.code = facts->code;
    op.version = code.version();
    op.inputs = values<int32_t>(from.inputs());
    op.outputs = values<int32_t>(from.outputs());
    op.options = options(from, *facts, operator_place(file_, index, op.code));
    return op;
  }

  Options options(const fb::Operator& from, const OpFacts& facts, const std::string& where) {
    const int type = from.builtin_options_type();
    if (from.builtin_options_2_type() != 0) throw Error(where, "options of the second kind cannot be read");
    const int wanted = facts.options == nullptr ? 0 : facts.options->number;
    if (type != 0 && type != wanted) {
      throw expected(where, "number of the options' table", std::to_string(wanted), std::to_string(type));
    }
    Options options;
    if (type == 0 || from.builtin_options() == nullptr) {
      for (const Field needed :
           {Field::padding, Field::beta, Field::num_splits, Field::block_size, Field::values_count}) {
        if (facts.has(needed)) throw Error(where, "its options are missing");
      }
      return options;
    }
    facts.options->read(
        from.builtin_options(), options, [this](const auto* vector) { return values<int32_t>(vector); }, where);
    return options;
  }

  // A constant without elements (the shape of a scalar) has no data that would tell it from a tensor to be computed.
  void find_empty_constants(Model& model) const {
    std::vector<bool> computed(model.tensors.size());
    const auto mark = [&](const std::vector<int32_t>& indices) {
      for (const int32_t index : indices) {
        if (index >= 0 && static_cast<size_t>(index) < computed.size()) computed[index] = true;
      }
    };
    mark(model.inputs);
    for (const Operator& op : model.operators) mark(op.outputs);
    for (size_t i = 0; i < computed.size(); ++i) {
      const std::vector<int64_t>& shape = model.tensors[i].shape;
      if (!computed[i] && std::find(shape.begin(), shape.end(), 0) != shape.end()) model.tensors[i].is_constant = true;
    }
  }

  void read_signature(Model& model) {
    const fb::SignatureDef* signature = nullptr;
    for (size_t i = 0; i < count(root_.signature_defs()); ++i) {
      const fb::SignatureDef* candidate = root_.signature_defs()->Get(i);
      if (candidate->subgraph_index() != 0 && count(root_.subgraphs()) > 1) continue;
      const bool is_default = candidate->signature_key() != nullptr && candidate->signature_key()->str() == kSignature;
      if (signature == nullptr || is_default) signature = candidate;
      if (is_default) break;
    }
    if (signature == nullptr) return;
    if (signature->subgraph_index() != 0) {
      throw expected(file_ + ": signature", "subgraph", "0", std::to_string(signature->subgraph_index()));
    }
    const auto entries = [&](const Tables<fb::TensorMap>* maps) {
      std::vector<SignatureEntry> list;
      for (size_t i = 0; i < count(maps); ++i) {
        charge(2 * sizeof(SignatureEntry));
        const std::string name = text(maps->Get(i)->name());
        const uint32_t index = maps->Get(i)->tensor_index();
        if (index >= model.tensors.size()) {
          throw Error(octet::str(file_, ": signature '", name, "'"),
                      octet::str("there is no tensor ", index, " among ", model.tensors.size()));
        }
        list.emplace_back(name, static_cast<int32_t>(index));
      }
      return list;
    };
    model.signature_inputs = entries(signature->inputs());
    model.signature_outputs = entries(signature->outputs());
  }

  const std::string& file_;
  const fb::Model& root_;
  Budget budget_;
  std::set<int32_t> initial_;  // subgraphs that CALL_ONCE calls
  size_t subgraphs_read_ = 1;
};

}  // namespace

bool is_tflite(const std::string& path) {
  const auto source = open_file(path);
  return source->size() >= 8 && source->read(4, 4) == "TFL3";
}

Model read(const std::string& path) { return read(open_file(path)); }

Model read(const std::shared_ptr<const ByteSource>& source) {
  const std::string& file = source->name();
  if (source->size() > kMaxFile) throw Error(file, "is too long for a flatbuffer: 2 GB is the most");
  return guard_loading(file, [&] {
    const std::string bytes = source->read(0, source->size());
    return Reader(file, bytes).read();
  });
}

}  // namespace octet::tflite
