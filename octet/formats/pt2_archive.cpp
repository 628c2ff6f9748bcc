#include "octet/formats/pt2_archive.h"

#include <algorithm>

#include "octet/formats/json.h"
#include "octet/formats/pt2_schema.h"
#include "octet/formats/raw_tensor.h"
#include "octet/formats/torch_save.h"
#include "octet/support/error.h"

namespace octet::pt2 {
namespace {

constexpr const char* kFlatProgram = "serialized_exported_program.json";

// Everything stands in one folder, usually named after the file; the first entry tells.
std::string root_folder(const ZipReader& zip) {
  for (const ZipEntry& entry : zip.entries()) {
    const size_t slash = entry.name.find('/');
    return slash == std::string::npos ? "" : entry.name.substr(0, slash + 1);
  }
  return "";
}

bool is_archive_layout(const ZipReader& zip) {
  const std::string root = root_folder(zip);
  return zip.has(root + "archive_format") && zip.has(root + "archive_version");
}

int64_t constant_int(const SymValue& value, const char* what) {
  if (!value.value || !value.value->isInt())
    throw Error(value.where, str("a weight's ", what, " is not a plain integer"));
  return value.value->toInt();
}

StridedView read_view(const JsonCursor& meta) {
  const TensorValue value = read_tensor_value(meta);
  StridedView view;
  view.dtype = value.dtype;
  for (const SymValue& size : value.sizes) view.sizes.push_back(constant_int(size, "size"));
  for (const SymValue& stride : value.strides) view.strides.push_back(constant_int(stride, "stride"));
  view.offset = constant_int(value.storage_offset, "offset");
  return view;
}

at::Tensor load_storage(const ZipReader& zip, const std::string& entry_name) {
  const ZipEntry* entry = zip.find(entry_name);
  if (entry == nullptr) throw Error(zip.where(entry_name), "is missing from the archive");
  return read_storage(zip, *entry);
}

// A config file names, for each tensor, the entry that holds its storage and how it lies in it.
std::map<std::string, Weight> read_config(const ZipReader& zip, const std::string& folder,
                                          const std::string& config_name) {
  const std::string where = zip.where(config_name);
  const nlohmann::json document = parse_json(zip.read(config_name, limits::kText), where, *zip.budget());
  std::map<std::string, Weight> weights;
  StorageTable storages(*zip.budget());
  for (const auto& [name, cursor] : JsonCursor(document, where).at("config").members()) {
    const std::string entry_name = folder + cursor.at("path_name").to_string();
    if (cursor.at("use_pickle").to_bool()) {
      throw Error(cursor.where(), "the tensor is a pickled subclass, which octet does not load")
          .hint("export the float model, or one quantized with plain int8 tensors");
    }
    if (!cursor.has("tensor_meta")) {
      throw Error(cursor.where(),
                  "is no tensor: '" + entry_name + "' holds a custom object, which octet does not load");
    }
    const JsonCursor meta = cursor.at("tensor_meta");
    Weight weight;
    weight.is_parameter = cursor.at("is_param").to_bool();
    weight.requires_grad = meta.at("requires_grad").to_bool();
    weight.tensor = storages.tensor(entry_name, read_view(meta), zip.where(entry_name),
                                    [&] { return load_storage(zip, entry_name); });
    weights[name] = std::move(weight);
  }
  return weights;
}

// A torch.save file inside the archive. Empty stands for no tensors.
std::map<std::string, Weight> read_nested(const ZipReader& zip, const std::string& entry_name) {
  std::map<std::string, Weight> weights;
  std::string bytes = zip.read(entry_name);
  if (bytes.empty()) return weights;
  const ZipReader nested(memory_source(zip.where(entry_name), std::move(bytes)), zip.budget());
  for (SavedTensor& saved : read_torch_save(nested)) {
    weights[saved.name] = Weight{std::move(saved.tensor), saved.is_parameter, saved.requires_grad};
  }
  return weights;
}

// data/KIND/MODEL_KIND_config.json with raw storages beside it, or data/KIND/MODEL.pt as torch 2.8 wrote it.
std::map<std::string, Weight> read_payload(const ZipReader& zip, const std::string& root, const std::string& kind,
                                           const std::string& model) {
  const std::string folder = root + "data/" + kind + "/";
  const std::string config = folder + model + "_" + kind + "_config.json";
  if (zip.has(config)) return read_config(zip, folder, config);
  if (zip.has(folder + model + ".pt")) return read_nested(zip, folder + model + ".pt");
  return {};
}

Archive read_packaged(const ZipReader& zip, const std::string& wanted) {
  const std::string root = root_folder(zip);
  const std::string version = zip.read(root + "archive_version", 64);
  if (version != "0" && version != "0\n")
    throw expected(zip.where(root + "archive_version"), "archive version", "0", version.substr(0, 20));
  if (zip.has(root + "byteorder") && zip.read(root + "byteorder", 16) != "little") {
    throw Error(zip.where(root + "byteorder"), "is not little-endian");
  }
  const std::string front = root + "models/";
  std::vector<std::string> models;
  for (const ZipEntry& entry : zip.entries()) {
    if (entry.name.size() > front.size() + 5 && entry.name.compare(0, front.size(), front) == 0 &&
        entry.name.ends_with(".json")) {
      models.push_back(entry.name.substr(front.size(), entry.name.size() - front.size() - 5));
    }
  }
  if (models.empty()) throw Error(zip.name(), "holds no exported program (models/*.json)");
  const bool has_wanted = std::find(models.begin(), models.end(), wanted) != models.end();
  if (!has_wanted && models.size() > 1) {
    std::string names;
    for (const std::string& name : models) names += (names.empty() ? "" : ", ") + name;
    throw Error(zip.name(), "holds no program '" + wanted + "', but " + names);
  }
  const std::string model = has_wanted ? wanted : models[0];
  Archive archive;
  archive.budget = zip.budget();
  archive.layout = "archive";
  archive.program = zip.read(front + model + ".json", limits::kText);
  archive.program_where = zip.where(front + model + ".json");
  archive.weights = read_payload(zip, root, "weights", model);
  archive.constants = read_payload(zip, root, "constants", model);
  return archive;
}

Archive read_flat(const ZipReader& zip) {
  const std::string version = zip.read("version", 64);
  if (version.substr(0, version.find('.')) != "8") {
    throw expected(zip.where("version"), "schema major", "8", version.substr(0, 20))
        .hint("export the model again with torch 2.6 or newer");
  }
  Archive archive;
  archive.budget = zip.budget();
  archive.layout = "flat";
  archive.program = zip.read(kFlatProgram, limits::kText);
  archive.program_where = zip.where(kFlatProgram);
  archive.weights = read_nested(zip, "serialized_state_dict.pt");
  if (zip.has("serialized_constants.pt")) archive.constants = read_nested(zip, "serialized_constants.pt");
  return archive;
}

}  // namespace

bool is_pt2(const ZipReader& zip) { return zip.has(kFlatProgram) || is_archive_layout(zip); }

Archive read_archive(const ZipReader& zip, const std::string& model) {
  if (zip.has(kFlatProgram)) return read_flat(zip);
  if (is_archive_layout(zip)) return read_packaged(zip, model);
  throw Error(zip.name(), str("is a zip archive, but no .pt2: neither archive_format nor ", kFlatProgram, " is in it"));
}

}  // namespace octet::pt2
