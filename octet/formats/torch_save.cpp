#include "octet/formats/torch_save.h"

#include <ATen/ATen.h>

#include <array>
#include <functional>
#include <optional>
#include <unordered_map>
#include <unordered_set>

#include "octet/formats/dtype.h"
#include "octet/formats/guard.h"
#include "octet/formats/pickle.h"
#include "octet/formats/raw_tensor.h"
#include "octet/support/byte_reader.h"
#include "octet/support/error.h"

namespace octet {
namespace {

constexpr int kMaxWrapping = 8;  // a parameter of a tensor of ...
constexpr uint64_t kNamedBytes = 256;
// The number 0x1950a86a20f9469cfc6c as pickled: how files of PyTorch before 1.6 begin.
constexpr std::string_view kLegacyMagic("\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.", 15);

struct StorageName {
  std::string_view name;
  at::ScalarType dtype;
};
constexpr std::array kStorages = {
    StorageName{"torch.FloatStorage", at::kFloat},
    StorageName{"torch.HalfStorage", at::kHalf},
    StorageName{"torch.BFloat16Storage", at::kBFloat16},
    StorageName{"torch.DoubleStorage", at::kDouble},
    StorageName{"torch.IntStorage", at::kInt},
    StorageName{"torch.LongStorage", at::kLong},
    StorageName{"torch.ShortStorage", at::kShort},
    StorageName{"torch.CharStorage", at::kChar},
    StorageName{"torch.ByteStorage", at::kByte},
    StorageName{"torch.BoolStorage", at::kBool},
    StorageName{"torch.ComplexFloatStorage", at::kComplexFloat},
    StorageName{"torch.ComplexDoubleStorage", at::kComplexDouble},
    StorageName{"torch.UntypedStorage", at::kByte},
    StorageName{"torch.storage.UntypedStorage", at::kByte},
};

// What a pickle says of a storage: ("storage", class, key, device, numel).
struct StorageRef {
  at::ScalarType dtype = at::kByte;
  std::string key;
  int64_t numel = 0;
};

StorageRef read_storage_ref(const Pickle& pickle, Pickle::Ref ref) {
  const auto* call = pickle.get<Pickle::Call>(ref);
  if (call == nullptr || call->function != "persistent_id") throw Error(pickle.where(), "a tensor has no storage");
  const std::vector<Pickle::Ref>& parts = pickle.to_items(call->args[0], "persistent id");
  if (parts.size() < 5 || pickle.to_string(parts[0], "persistent id") != "storage") {
    throw Error(pickle.where(), "has a persistent id that is no storage");
  }
  const auto* type = pickle.get<Pickle::Global>(parts[1]);
  StorageRef storage;
  const auto* known = std::find_if(kStorages.begin(), kStorages.end(), [&](const StorageName& entry) {
    return type != nullptr && entry.name == type->name;
  });
  if (known == kStorages.end())
    throw Error(pickle.where(), "has a storage of type '" + (type ? type->name : "?") + "', which cannot be read");
  storage.dtype = known->dtype;
  storage.key = pickle.to_string(parts[2], "storage key");
  storage.numel = pickle.to_int(parts[4], "storage size");
  if (storage.numel < 0) throw Error(pickle.where(), "storage '" + storage.key + "' has a negative size");
  return storage;
}

using LoadStorage = std::function<at::Tensor(const StorageRef&)>;

// Tensors from the calls that a pickle describes.
class TensorBuilder {
 public:
  TensorBuilder(const Pickle& pickle, LoadStorage load, Budget& budget)
      : pickle_(pickle), load_(std::move(load)), storages_(budget) {}

  /// The tensor that a value of the pickle describes; nullopt where it is something else.
  std::optional<SavedTensor> build(Pickle::Ref ref, const std::string& name, int depth = 0) {
    const auto* call = pickle_.get<Pickle::Call>(ref);
    if (call == nullptr || call->function == "persistent_id") return std::nullopt;
    return rebuild(call->function, call->args, name, depth);
  }

 private:
  std::optional<SavedTensor> rebuild(const std::string& function, const std::vector<Pickle::Ref>& args,
                                     const std::string& name, int depth) {
    const std::string where = pickle_.where() + ": '" + name + "'";
    if (depth > kMaxWrapping) throw Error(where, "is wrapped too often");
    const auto need = [&](size_t count) {
      if (args.size() < count) throw Error(where, function + " lacks arguments");
    };
    if (function == "torch._utils._rebuild_tensor_v2") {
      need(5);
      return tensor(args, std::nullopt, name, where);
    }
    if (function == "torch._utils._rebuild_tensor_v3") {
      need(7);
      const auto* dtype = pickle_.get<Pickle::Global>(args[6]);
      if (dtype == nullptr) throw Error(where, "has no dtype");
      return tensor(args, dtype_from_name(dtype->name.substr(dtype->name.rfind('.') + 1), where), name, where);
    }
    if (function == "torch._tensor._rebuild_from_type_v2") {  // (function, type, its arguments, attributes)
      need(3);
      const auto* inner = pickle_.get<Pickle::Global>(args[0]);
      if (inner == nullptr) throw Error(where, "is rebuilt by something that is no function");
      return rebuild(inner->name, pickle_.to_items(args[2], "arguments of a tensor"), name, depth + 1);
    }
    if (function == "torch._utils._rebuild_parameter" || function == "torch._utils._rebuild_parameter_with_state") {
      need(2);
      std::optional<SavedTensor> inner = build(args[0], name, depth + 1);
      if (!inner) throw Error(where, "is a parameter without a tensor");
      inner->is_parameter = true;
      inner->requires_grad = pickle_.to_bool(args[1], "requires_grad");
      return inner;
    }
    throw Error(where, "is made by '" + function + "', which gives no tensor");
  }

  SavedTensor tensor(const std::vector<Pickle::Ref>& args, std::optional<at::ScalarType> dtype, const std::string& name,
                     const std::string& where) {
    const StorageRef storage = read_storage_ref(pickle_, args[0]);
    StridedView view;
    view.dtype = dtype.value_or(storage.dtype);
    view.offset = pickle_.to_int(args[1], "storage offset");
    view.sizes = sizes(args[2], "tensor size", where);
    view.strides = sizes(args[3], "tensor stride", where);
    SavedTensor saved;
    saved.name = name;
    saved.requires_grad = pickle_.to_bool(args[4], "requires_grad");
    saved.tensor = storages_.tensor(storage.key, view, where, [&] { return load_(storage); });
    return saved;
  }

  std::vector<int64_t> sizes(Pickle::Ref ref, const char* what, const std::string& where) const {
    const size_t rank =
        pickle_.to_items(ref, what).size();  // before a shared list of millions is copied for each tensor
    if (rank > kMaxRank) throw Error(where, str("has ", rank, " dimensions, at most ", kMaxRank, " are possible"));
    return pickle_.to_ints(ref, what);
  }

  const Pickle& pickle_;
  LoadStorage load_;
  StorageTable storages_;
};

// The dict of tensors: the root itself, or the one that a checkpoint keeps under a usual name.
const Pickle::Dict& find_state_dict(const Pickle& pickle) {
  const auto* root = pickle.get<Pickle::Dict>(pickle.root());
  if (root == nullptr) throw Error(pickle.where(), "holds no dict of tensors").hint("save model.state_dict()");
  for (const char* wanted : {"state_dict", "model_state_dict", "model"}) {
    for (const auto& [key, value] : root->items) {
      const auto* name = pickle.get<std::string>(key);
      const auto* inner = pickle.get<Pickle::Dict>(value);
      if (name != nullptr && inner != nullptr && *name == wanted) return *inner;
    }
  }
  return *root;
}

std::vector<SavedTensor> read_tensors(const Pickle& pickle, const LoadStorage& load, Budget& budget) {
  TensorBuilder builder(pickle, load, budget);
  std::vector<SavedTensor> tensors;
  std::unordered_set<std::string> names;
  const Pickle::Dict& dict = find_state_dict(pickle);
  for (const auto& [key, value] : dict.items) {
    const auto* name = pickle.get<std::string>(key);
    if (name == nullptr) continue;
    std::optional<SavedTensor> saved = builder.build(value, *name);
    if (!saved) continue;
    budget.charge(kNamedBytes + 2 * name->size(), "the names of its tensors");
    if (!names.insert(*name).second) throw Error(pickle.where(), "holds the name '" + *name + "' twice");
    tensors.push_back(std::move(*saved));
  }
  if (tensors.empty() && !dict.items.empty()) {
    throw Error(pickle.where(), "holds no tensors").hint("save model.state_dict()");
  }
  return tensors;
}

int64_t storage_bytes(const StorageRef& storage, const std::string& where) {
  return static_cast<int64_t>(checked_bytes({storage.numel}, storage.dtype, where));
}

// Before PyTorch 1.6: pickles one after another (magic, version, system, the object, storage keys), then for every
// storage its element count and its bytes.
std::vector<SavedTensor> read_legacy(const std::string& bytes, const std::string& where) {
  ByteReader reader(where, bytes);
  Budget budget(where, bytes.size());
  const auto next = [&] {
    Pickle pickle = read_pickle(std::string_view(bytes).substr(reader.offset()), where, budget);
    reader.skip(pickle.size());
    return pickle;
  };
  next();
  const Pickle version = next();
  if (version.to_int(version.root(), "format version") != 1001) throw Error(where, "has an unknown format version");
  next();
  const Pickle object = next();
  std::unordered_map<std::string, StorageRef> declared;
  for (Pickle::Ref ref = 0; ref < object.count(); ++ref) {
    const auto* call = object.get<Pickle::Call>(ref);
    if (call == nullptr || call->function != "persistent_id") continue;
    const StorageRef storage = read_storage_ref(object, ref);
    declared[storage.key] = storage;
  }
  const Pickle keys = next();
  std::unordered_map<std::string, std::string_view> data;
  for (const Pickle::Ref ref : keys.to_items(keys.root(), "storage keys")) {
    const std::string& key = keys.to_string(ref, "storage key");
    const auto storage = declared.find(key);
    if (storage == declared.end()) throw Error(where, "holds data of a storage '" + key + "' that no tensor names");
    const auto count = reader.read<int64_t>();
    if (count != storage->second.numel)
      throw expected(where, "elements of storage '" + key + "'", str(storage->second.numel), str(count));
    data[key] = reader.bytes(static_cast<uint64_t>(storage_bytes(storage->second, where)));
  }
  return read_tensors(
      object,
      [&](const StorageRef& storage) {
        const auto found = data.find(storage.key);
        if (found == data.end()) throw Error(where, "lacks the data of storage '" + storage.key + "'");
        return tensor_from_bytes(found->second, {static_cast<int64_t>(found->second.size())}, at::kByte, where);
      },
      budget);
}

std::string find_pickle(const ZipReader& zip) {
  for (const ZipEntry& entry : zip.entries()) {
    const size_t slash = entry.name.rfind('/');
    if (entry.name.substr(slash == std::string::npos ? 0 : slash + 1) == "data.pkl") return entry.name;
  }
  throw Error(zip.name(), "is no file of torch.save: data.pkl is missing");
}

at::Tensor load_storage(const ZipReader& zip, const std::string& folder, const StorageRef& storage) {
  const std::string name = folder + storage.key;
  const ZipEntry* entry = zip.find(name);
  if (entry == nullptr) throw Error(zip.where(name), "is missing from the archive");
  const int64_t wanted = storage_bytes(storage, zip.where(name));
  if (static_cast<uint64_t>(wanted) != entry->size) {
    throw expected(zip.where(name), "storage", str(wanted, " bytes"), str(entry->size));
  }
  return read_storage(zip, *entry);
}

}  // namespace

PickledTensors pickled_tensors(const Pickle& pickle, const ZipReader& zip, const std::string& folder) {
  const auto load = [&zip, folder](const StorageRef& storage) { return load_storage(zip, folder, storage); };
  return [builder = std::make_shared<TensorBuilder>(pickle, load, *zip.budget())](
             Pickle::Ref ref, const std::string& name) { return builder->build(ref, name); };
}

std::vector<SavedTensor> read_torch_save(const ZipReader& zip) {
  const std::string pickle_name = find_pickle(zip);
  const std::string root = pickle_name.substr(0, pickle_name.size() - std::string_view("data.pkl").size());
  if (zip.has(root + "constants.pkl")) {
    throw Error(zip.name(), "is a TorchScript program, not a state dict").hint("load it as a model");
  }
  if (zip.has(root + "byteorder") && zip.read(root + "byteorder", 16) != "little") {
    throw Error(zip.where(root + "byteorder"), "is not little-endian");
  }
  const std::string bytes = zip.read(pickle_name, limits::kText);
  const Pickle pickle = read_pickle(bytes, zip.where(pickle_name), *zip.budget());
  const auto load = [&](const StorageRef& storage) { return load_storage(zip, root + "data/", storage); };
  return read_tensors(pickle, load, *zip.budget());
}

namespace {

std::vector<SavedTensor> read_any(const std::shared_ptr<const ByteSource>& source) {
  if (ZipReader::is_zip(*source)) return read_torch_save(ZipReader(source));
  const std::string bytes = source->read(0, source->size());
  if (std::string_view(bytes).substr(0, kLegacyMagic.size()) != kLegacyMagic) {
    throw Error(source->name(), "is no file of torch.save: neither a zip archive nor its older format");
  }
  return read_legacy(bytes, source->name());
}

}  // namespace

StateDict load_torch_save(const std::string& path) { return load_torch_save(open_file(path)); }

StateDict load_torch_save(const std::shared_ptr<const ByteSource>& source) {
  StateDict dict;
  for (SavedTensor& saved : guard_loading(source->name(), [&] { return read_any(source); })) {
    dict.emplace_back(saved.name, saved.tensor);
  }
  return dict;
}

}  // namespace octet
