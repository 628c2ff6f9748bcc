#include "octet/formats/container.h"

#include "octet/formats/callable_codec.h"
#include "octet/formats/dtype.h"
#include "octet/formats/graph_json.h"
#include "octet/formats/guard.h"
#include "octet/formats/raw_tensor.h"
#include "octet/formats/zip.h"
#include "octet/support/error.h"

namespace octet {
namespace {

using nlohmann::json;

constexpr int64_t kVersion = 1;
constexpr const char* kProgram = "octet.json";

std::optional<CallableCodec>& registered_codec() {
  static std::optional<CallableCodec> codec;
  return codec;
}

const std::pair<AttrKind, const char*> kAttrKinds[] = {
    {AttrKind::kParameter, "parameter"}, {AttrKind::kBuffer, "buffer"}, {AttrKind::kConstant, "constant"}};

AttrKind attr_kind_from(const JsonCursor& cursor) {
  const std::string text = cursor.to_string();
  for (const auto& [kind, name] : kAttrKinds) {
    if (text == name) return kind;
  }
  throw expected(cursor.where(), "kind of tensor", "parameter, buffer or constant", text);
}

// Tensors go out one by one; the table in the program says what each is.
class TensorWriter {
 public:
  explicit TensorWriter(ZipWriter& zip) : zip_(zip) {}

  json add(const at::Tensor& tensor) {
    const std::string name = "tensors/" + std::to_string(count_++);
    at::Tensor keep;
    zip_.add(name, contiguous_bytes(tensor.detach().cpu(), keep));
    json entry = {{"file", name}, {"dtype", dtype_name(tensor.scalar_type())}, {"sizes", tensor.sizes().vec()}};
    if (tensor.dim() == 4 && !tensor.is_contiguous() && tensor.is_contiguous(at::MemoryFormat::ChannelsLast)) {
      entry["channels_last"] = true;
    }
    return entry;
  }

 private:
  ZipWriter& zip_;
  int64_t count_ = 0;
};

at::Tensor read_tensor(const ZipReader& zip, const JsonCursor& entry) {
  const at::ScalarType dtype = dtype_from_name(entry.at("dtype").to_string(), entry.where());
  const std::vector<int64_t> sizes = entry.at("sizes").to_ints();
  const uint64_t bytes = checked_bytes(sizes, dtype, entry.where());
  const std::string file = entry.at("file").to_string();
  const at::Tensor tensor = tensor_from_bytes(zip.read(file, bytes), sizes, dtype, zip.where(file));
  const bool channels_last = entry.has("channels_last") && entry.at("channels_last").to_bool() && sizes.size() == 4;
  return channels_last ? tensor.contiguous(at::MemoryFormat::ChannelsLast) : tensor;
}

json callables_json(const GraphModule& module, TensorWriter& tensors) {
  json entries = json::array();
  if (module.callable_names().empty()) return entries;
  std::map<const CallableModule*, std::string> saved;  // one observer may have several names
  const CallableCodec::Config config = callable_codec().config_in(module);
  for (const std::string& name : module.callable_names()) {
    const auto callable = module.callable(name);
    json entry = {{"name", name}};
    const auto [first, fresh] = saved.emplace(callable.get(), name);
    if (fresh) {
      entry["config"] = config(*callable);
      entry["training"] = callable->is_training();
      entry["state"] = json::object();
      for (const auto& [key, value] : callable_codec().state(*callable)) entry["state"][key] = tensors.add(value);
    } else {
      entry["same_as"] = first->second;
    }
    entries.push_back(std::move(entry));
  }
  return entries;
}

void load_callables(const ZipReader& zip, const JsonCursor& entries, GraphModule& module) {
  for (const JsonCursor& entry : entries.elements()) {
    const std::string name = entry.at("name").to_string();
    charge_name(*zip.budget(), name);
    if (entry.has("same_as")) {
      module.set_callable(name, module.callable(entry.at("same_as").to_string()));
      continue;
    }
    auto callable = callable_codec().make(entry.at("config"), *zip.budget());
    std::map<std::string, at::Tensor> state;
    for (const auto& [key, tensor] : entry.at("state").members()) state[key] = read_tensor(zip, tensor);
    callable_codec().load_state(*callable, state, entry.where());
    callable->train(entry.at("training").to_bool());
    module.set_callable(name, std::move(callable));
  }
  if (module.callable_names().empty()) return;
  const CallableCodec::Resolve resolve = callable_codec().resolve_in(module);
  for (const JsonCursor& entry : entries.elements()) {
    if (!entry.has("same_as")) resolve(*module.callable(entry.at("name").to_string()), entry.at("config"));
  }
}

std::shared_ptr<GraphModule> load(const std::shared_ptr<const ByteSource>& source, const AllowedOperators& operators) {
  const ZipReader zip(source);
  const json document = parse_json(zip.read(kProgram, limits::kText), zip.where(kProgram), *zip.budget());
  const JsonCursor root(document, zip.where(kProgram));
  const int64_t version = root.at("version").to_int();
  if (version != kVersion) {
    throw expected(root.at("version").where(), "version of the container", std::to_string(kVersion),
                   std::to_string(version))
        .hint("a newer octet may have written it");
  }
  auto module = std::make_shared<GraphModule>();
  for (const auto& [key, value] : root.at("facts").members()) module->facts()[key] = value.to_string();
  for (const JsonCursor& entry : root.at("tensors").elements()) {
    const AttrKind kind = attr_kind_from(entry.at("kind"));
    at::Tensor tensor = read_tensor(zip, entry);
    if (entry.at("requires_grad").to_bool()) {
      if (!tensor.is_floating_point()) throw Error(entry.where(), "requires a gradient, but holds integers");
      tensor.set_requires_grad(true);
    }
    charge_name(*zip.budget(), entry.at("name").to_string());
    module->set_attr(entry.at("name").to_string(), tensor, kind);
  }
  for (const auto& [alias, name] : root.at("aliases").members()) module->tie_attr(alias, name.to_string());
  load_callables(zip, root.at("callables"), *module);
  graph_from_json(root.at("graph"), module->graph(), operators, *zip.budget());
  for (const Node* node : module->graph().nodes()) {
    if (node->kind() == NodeKind::kGetAttr) module->attr(node->target());
    if (node->kind() == NodeKind::kCallModule) module->callable(node->target());
  }
  if (module->is_training() != root.at("training").to_bool()) {
    module->torch::nn::Module::train(root.at("training").to_bool());
    for (const JsonCursor& entry : root.at("callables").elements()) {
      if (!entry.has("same_as")) module->callable(entry.at("name").to_string())->train(entry.at("training").to_bool());
    }
  }
  return module;
}

}  // namespace

void register_callable_codec(CallableCodec codec) { registered_codec() = std::move(codec); }

const CallableCodec& callable_codec() {
  if (!registered_codec()) throw Error("container", "no codec for submodules is linked in");
  return *registered_codec();
}

void save_octet(const GraphModule& module, const std::string& path) {
  ZipWriter zip(path);
  TensorWriter tensors(zip);
  json root = {{"version", kVersion},         {"facts", module.facts()},  {"training", module.is_training()},
               {"aliases", module.aliases()}, {"tensors", json::array()}, {"graph", graph_to_json(module.graph())}};
  for (const std::string& name : module.attr_names()) {
    const at::Tensor tensor = module.attr(name);
    json entry = tensors.add(tensor);
    entry["name"] = name;
    entry["requires_grad"] = tensor.requires_grad();
    for (const auto& [kind, text] : kAttrKinds) {
      if (kind == module.attr_kind(name)) entry["kind"] = text;
    }
    root["tensors"].push_back(std::move(entry));
  }
  root["callables"] = callables_json(module, tensors);
  zip.add(kProgram, root.dump());
  zip.finish();
}

std::shared_ptr<GraphModule> load_octet(const std::string& path, const AllowedOperators& operators) {
  return load_octet(open_file(path), operators);
}

std::shared_ptr<GraphModule> load_octet(const std::shared_ptr<const ByteSource>& source,
                                        const AllowedOperators& operators) {
  return guard_loading(source->name(), [&] { return load(source, operators); });
}

}  // namespace octet
