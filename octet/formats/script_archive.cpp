#include "octet/formats/script_archive.h"

#include <caffe2/serialize/versions.h>
#include <torch/csrc/jit/api/compilation_unit.h>
#include <torch/csrc/jit/serialization/import_source.h>

#include <charconv>
#include <map>
#include <unordered_map>

#include "octet/formats/pickle.h"
#include "octet/formats/script_source.h"
#include "octet/formats/torch_save.h"
#include "octet/support/error.h"

namespace octet {
namespace {

namespace jit = torch::jit;

constexpr uint64_t kCompiledBytes = 128;             // of libtorch's compiler, for a character
constexpr uint64_t kMaxSource = uint64_t{16} << 20;  // of all texts together
constexpr int kDeepestObject = 100;

bool has_ending(const std::string& text, std::string_view end) {
  return text.size() >= end.size() && text.compare(text.size() - end.size(), end.size(), end) == 0;
}

// "scripted/": the folder that holds constants.pkl.
std::string root_of(const ZipReader& zip) {
  for (const ZipEntry& entry : zip.entries()) {
    if (has_ending(entry.name, "/constants.pkl")) {
      return entry.name.substr(0, entry.name.size() - std::string_view("constants.pkl").size());
    }
  }
  throw Error(zip.name(), "cannot be read as TorchScript: constants.pkl is missing");
}

uint64_t version_of(const ZipReader& zip, const std::string& root) {
  const std::string inner = root + ".data/version";
  const std::string name = zip.has(inner) ? inner : root + "version";
  const std::string text = zip.read(name, 16);
  uint64_t version = 0;
  std::from_chars(text.data(), text.data() + text.size(), version);
  if (version < caffe2::serialize::kMinSupportedFileFormatVersion ||
      version > caffe2::serialize::kMaxSupportedFileFormatVersion) {
    throw expected(zip.where(name), "version of TorchScript's files",
                   str(caffe2::serialize::kMinSupportedFileFormatVersion, " to ",
                       caffe2::serialize::kMaxSupportedFileFormatVersion),
                   text);
  }
  return version;
}

// A value of a pickle, and where it is wanted; throws for one that is not of the type declared.
class ScriptValues {
 public:
  ScriptValues(const Pickle& pickle, const ZipReader& zip, const std::string& folder,
               const jit::SourceImporter& importer, const std::shared_ptr<jit::CompilationUnit>& unit)
      : pickle_(pickle), tensors_(pickled_tensors(pickle, zip, folder)), importer_(importer), unit_(unit) {}

  // What a pickle says without a type: constants of the code.
  c10::IValue plain(Pickle::Ref ref, const std::string& name) {
    if (auto tensor = tensors_(ref, name)) return tensor->tensor;
    if (pickle_.get<Pickle::None>(ref)) return {};
    if (const auto* value = pickle_.get<bool>(ref)) return *value;
    if (const auto* value = pickle_.get<int64_t>(ref)) return *value;
    if (const auto* value = pickle_.get<double>(ref)) return *value;
    if (const auto* value = pickle_.get<std::string>(ref)) return *value;
    fail(name, "is no constant of a model");
  }

  c10::IValue object(Pickle::Ref ref, const c10::TypePtr& declared, const std::string& name, int depth) {
    const auto* object = pickle_.get<Pickle::Object>(ref);
    if (object == nullptr) fail(name, "is no object");
    if (depth > kDeepestObject) fail(name, "is nested too deep");
    const auto type = importer_.loadType(c10::QualifiedName(object->type))->cast<c10::ClassType>();
    if (!type) fail(name, "is of '" + object->type + "', which is no class");
    if (declared && !type->isSubtypeOf(*declared)) {
      fail(name, "is of '" + object->type + "', where its class declares " + declared->repr_str());
    }
    const auto [at, fresh] = objects_.emplace(ref, c10::IValue());
    if (!fresh) {
      if (at->second.isNone()) fail(name, "holds itself");
      return at->second;
    }
    if (type->findMethod("__setstate__") != nullptr || type->findMethod("__getstate__") != nullptr) {
      fail(name, "is of '" + object->type + "', which is restored by code of its own (__setstate__); octet runs none");
    }
    const auto* state = object->state ? pickle_.get<Pickle::Dict>(*object->state) : nullptr;
    if (state == nullptr) fail(name, "has no attributes");
    std::unordered_map<std::string, Pickle::Ref> attributes;
    for (const auto& [key, value] : state->items) attributes[pickle_.to_string(key, "name of an attribute")] = value;
    const auto made = c10::ivalue::Object::create(c10::StrongTypePtr(unit_, type), type->numAttributes());
    for (size_t i = 0; i < type->numAttributes(); ++i) {
      const std::string& attribute = type->getAttributeName(i);
      const auto found = attributes.find(attribute);
      const std::string full = name.empty() ? attribute : name + "." + attribute;
      if (found == attributes.end()) fail(full, "is missing");
      made->setSlot(i, typed(found->second, type->getAttribute(i), full, depth + 1));
    }
    return objects_[ref] = c10::IValue(made);
  }

 private:
  [[noreturn]] void fail(const std::string& name, const std::string& what) const {
    throw Error(pickle_.where() + (name.empty() ? "" : ": '" + name + "'"), what);
  }

  c10::IValue typed(Pickle::Ref ref, const c10::TypePtr& type, const std::string& name, int depth) {
    if (depth > kDeepestObject) fail(name, "is nested too deep");
    switch (type->kind()) {
      case c10::TypeKind::OptionalType:
        if (pickle_.get<Pickle::None>(ref)) return {};
        return typed(ref, type->containedTypes()[0], name, depth + 1);
      case c10::TypeKind::NoneType:
        if (pickle_.get<Pickle::None>(ref)) return {};
        break;
      case c10::TypeKind::TensorType:
        return tensor(ref, name);
      case c10::TypeKind::BoolType:
        return pickle_.to_bool(ref, name.c_str());
      case c10::TypeKind::IntType:
        return pickle_.to_int(ref, name.c_str());
      case c10::TypeKind::FloatType:
        if (const auto* value = pickle_.get<double>(ref)) return *value;
        break;
      case c10::TypeKind::NumberType:
        if (const auto* value = pickle_.get<double>(ref)) return *value;
        return pickle_.to_int(ref, name.c_str());
      case c10::TypeKind::StringType:
        return pickle_.to_string(ref, name.c_str());
      case c10::TypeKind::DeviceObjType:
        return c10::Device(c10::kCPU);  // whatever it was saved on, it is loaded here
      case c10::TypeKind::ListType:
        return list(ref, type, name, depth);
      case c10::TypeKind::TupleType:
        return tuple(ref, type, name, depth);
      case c10::TypeKind::DictType:
        return dict(ref, type, name, depth);
      case c10::TypeKind::ClassType:
      case c10::TypeKind::InterfaceType:
        return object(ref, type, name, depth);
      default:
        fail(name, "is declared as " + type->repr_str() + ", which no model needs to keep");
    }
    fail(name, "is not of the type that its class declares, " + type->repr_str());
  }

  c10::IValue tensor(Pickle::Ref ref, const std::string& name) {
    auto saved = tensors_(ref, name);
    if (!saved) fail(name, "is no tensor");
    if (saved->requires_grad && saved->tensor.is_floating_point()) saved->tensor.set_requires_grad(true);
    return saved->tensor;
  }

  // A list may come in a call that says its type, which the class says as well.
  Pickle::Ref untagged(Pickle::Ref ref) const {
    const auto* call = pickle_.get<Pickle::Call>(ref);
    const bool tagged = call != nullptr && call->function.rfind("torch.jit._pickle.", 0) == 0 && !call->args.empty();
    return tagged ? call->args[0] : ref;
  }

  void spend(size_t items, const std::string& name) {
    copied_ += items;
    if (copied_ > 8 * static_cast<size_t>(pickle_.count()) + 1024) fail(name, "repeats its parts without end");
  }

  c10::IValue list(Pickle::Ref ref, const c10::TypePtr& type, const std::string& name, int depth) {
    const auto* items = pickle_.get<Pickle::List>(untagged(ref));
    if (items == nullptr) fail(name, "is no list");
    spend(items->items.size(), name);
    c10::impl::GenericList made(type->containedTypes()[0]);
    for (const Pickle::Ref item : items->items) made.push_back(typed(item, type->containedTypes()[0], name, depth + 1));
    return made;
  }

  c10::IValue dict(Pickle::Ref ref, const c10::TypePtr& type, const std::string& name, int depth) {
    const auto* items = pickle_.get<Pickle::Dict>(untagged(ref));
    if (items == nullptr) fail(name, "is no dict");
    const c10::TypePtr& key_type = type->containedTypes()[0];
    if (key_type->kind() != c10::TypeKind::StringType && key_type->kind() != c10::TypeKind::IntType) {
      fail(name, "is a dict by keys of type " + key_type->repr_str());
    }
    spend(items->items.size(), name);
    c10::impl::GenericDict made(key_type, type->containedTypes()[1]);
    for (const auto& [key, value] : items->items) {
      made.insert_or_assign(typed(key, key_type, name, depth + 1),
                            typed(value, type->containedTypes()[1], name, depth + 1));
    }
    return made;
  }

  c10::IValue tuple(Pickle::Ref ref, const c10::TypePtr& type, const std::string& name, int depth) {
    const auto* named = pickle_.get<Pickle::Call>(ref);  // of a NamedTuple
    const auto* plain = pickle_.get<Pickle::Tuple>(ref);
    if (named == nullptr && plain == nullptr) fail(name, "is no tuple");
    const std::vector<Pickle::Ref>& items = named != nullptr ? named->args : plain->items;
    const auto& types = type->containedTypes();
    if (items.size() != types.size()) fail(name, "is no tuple of the length that its class declares");
    spend(items.size(), name);
    std::vector<c10::IValue> made;
    for (size_t i = 0; i < items.size(); ++i) made.push_back(typed(items[i], types[i], name, depth + 1));
    const auto tuple_type = type->expect<c10::TupleType>();
    return tuple_type->schema() ? c10::ivalue::Tuple::createNamed(std::move(made), tuple_type)
                                : c10::ivalue::Tuple::create(std::move(made));
  }

  const Pickle& pickle_;
  PickledTensors tensors_;
  const jit::SourceImporter& importer_;
  const std::shared_ptr<jit::CompilationUnit>& unit_;
  std::unordered_map<Pickle::Ref, c10::IValue> objects_;
  size_t copied_ = 0;
};

std::map<std::string, std::string> sources_of(const ZipReader& zip, const std::string& root) {
  std::map<std::string, std::string> sources;
  uint64_t left = kMaxSource;
  for (const ZipEntry& entry : zip.entries()) {
    if (entry.name.compare(0, root.size() + 5, root + "code/") != 0 || !has_ending(entry.name, ".py")) continue;
    if (entry.size > left) throw Error(zip.where(entry.name), str("is longer than ", kMaxSource, " bytes of source"));
    left -= entry.size;
    zip.budget()->charge(entry.size, kCompiledBytes, "its code");
    sources[zip.where(entry.name)] = zip.read(entry);
  }
  return sources;
}

}  // namespace

torch::jit::Module read_script_archive(const ZipReader& zip, const AllowedOperators& operators) {
  const std::string root = root_of(zip);
  if (zip.has(root + "model.json"))
    throw Error(zip.name(), "is of a TorchScript before PyTorch 1.4").hint("save it again");
  if (zip.has(root + "byteorder") && zip.read(root + "byteorder", 16) != "little") {
    throw Error(zip.where(root + "byteorder"), "is not little-endian");
  }
  const uint64_t version = version_of(zip, root);
  const std::map<std::string, std::string> sources = sources_of(zip, root);
  check_script_sources(sources, zip.where(root + "code/"), operators);

  const auto unit = std::make_shared<jit::CompilationUnit>();
  std::vector<c10::IValue> constants;
  const auto source = [&](const std::string& qualifier) -> std::shared_ptr<jit::Source> {
    std::string file = qualifier;
    std::replace(file.begin(), file.end(), '.', '/');
    file = "code/" + file + ".py";
    const auto found = sources.find(zip.where(root + file));
    return found == sources.end() ? nullptr : std::make_shared<jit::Source>(found->second, file, 1);
  };
  const jit::SourceImporter importer(unit, &constants, source, version);
  const auto pickle_in = [&](const std::string& name) {
    return read_script_pickle(zip.read(root + name, limits::kText), zip.where(root + name), *zip.budget());
  };
  const Pickle constant_pickle = pickle_in("constants.pkl");
  ScriptValues constant_values(constant_pickle, zip, root + "constants/", importer, unit);
  size_t number = 0;
  for (const Pickle::Ref ref : constant_pickle.to_items(constant_pickle.root(), "constants")) {
    constants.push_back(constant_values.plain(ref, str("constant ", number++)));
  }
  const Pickle pickle = pickle_in("data.pkl");
  ScriptValues values(pickle, zip, root + "data/", importer, unit);
  const c10::IValue model = values.object(pickle.root(), nullptr, "", 0);
  if (!model.toObjectRef().type()->is_module()) throw Error(pickle.where(), "holds an object that is no module");
  return jit::Module(model.toObject());
}

}  // namespace octet
