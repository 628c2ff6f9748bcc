#include "octet/formats/pt2_writer.h"

#include <map>

#include "octet/formats/pt2_program_writer.h"
#include "octet/formats/raw_tensor.h"
#include "octet/formats/torch_save.h"
#include "octet/formats/zip.h"

namespace octet {
namespace {

using nlohmann::json;
using pt2::StoredTensor;
using pt2::WrittenProgram;

constexpr const char* kRoot = "model/";

// One entry for each storage, and a table that says where each tensor lies.
void add_payload(ZipWriter& zip, const WrittenProgram& program, bool in_state_dict, const std::string& kind,
                 const std::string& entry_front) {
  const std::string folder = kRoot + std::string("data/") + kind + "/";
  json config = json::object();
  std::map<const c10::TensorImpl*, std::string> entries;
  for (const StoredTensor& stored : program.tensors) {
    if (stored.in_state_dict != in_state_dict) continue;
    const auto [entry, fresh] =
        entries.emplace(stored.tensor.unsafeGetTensorImpl(), entry_front + std::to_string(entries.size()));
    if (fresh) zip.add(folder + entry->second, storage_bytes_of(stored.tensor));
    config[stored.name] = {{"path_name", entry->second},
                           {"is_param", stored.is_parameter},
                           {"use_pickle", false},
                           {"tensor_meta", pt2::tensor_meta_json(stored.tensor, stored.requires_grad,
                                                                 pt2::kCurrentSchema, "'" + stored.name + "'")}};
  }
  zip.add(folder + "model_" + kind + "_config.json", json{{"config", std::move(config)}}.dump());
}

void write_current(const WrittenProgram& program, const std::string& path) {
  ZipWriter zip(path);
  const auto add = [&](const char* name, std::string_view bytes) { zip.add(kRoot + std::string(name), bytes); };
  add_payload(zip, program, true, "weights", "weight_");
  add_payload(zip, program, false, "constants", "tensor_");
  add("models/model.json", program.text);
  add("data/sample_inputs/model.pt", "");  // must be there; empty stands for none
  add("archive_format", "pt2");
  add("archive_version", "0");
  add(".data/version", "6\n");
  add("byteorder", "little");
  zip.finish();
}

std::string saved_tensors(const WrittenProgram& program, bool in_state_dict) {
  std::vector<SavedTensor> saved;
  for (const StoredTensor& stored : program.tensors) {
    if (stored.in_state_dict != in_state_dict) continue;
    saved.push_back({stored.name, stored.tensor, stored.is_parameter, stored.requires_grad});
  }
  return torch_save_bytes(saved);
}

void write_legacy(const WrittenProgram& program, const std::string& path) {
  ZipWriter zip(path);
  zip.add("serialized_exported_program.json", program.text);
  zip.add("serialized_state_dict.pt", saved_tensors(program, true));
  zip.add("serialized_constants.pt", saved_tensors(program, false));
  zip.add("serialized_example_inputs.pt", "");
  zip.add("version", "8.2");
  zip.finish();
}

}  // namespace

void write_pt2(const GraphModule& module, const std::string& path, const Pt2WriteOptions& options) {
  if (options.layout == Pt2Layout::kLegacy) {
    write_legacy(pt2::write_program(module, pt2::kLegacySchema), path);
  } else {
    write_current(pt2::write_program(module, pt2::kCurrentSchema), path);
  }
}

}  // namespace octet
