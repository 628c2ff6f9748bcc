#include "octet/formats/safetensors.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <array>
#include <unordered_set>

#include "octet/formats/dtype.h"
#include "octet/formats/guard.h"
#include "octet/formats/json.h"
#include "octet/formats/raw_tensor.h"
#include "octet/formats/torch_save.h"
#include "octet/support/atomic_write.h"
#include "octet/support/byte_reader.h"
#include "octet/support/byte_source.h"
#include "octet/support/error.h"

namespace octet {
namespace {

struct DtypeName {
  at::ScalarType dtype;
  const char* code;
};
constexpr std::array kDtypeNames = {
    DtypeName{at::kFloat, "F32"},
    DtypeName{at::kHalf, "F16"},
    DtypeName{at::kBFloat16, "BF16"},
    DtypeName{at::kDouble, "F64"},
    DtypeName{at::kByte, "U8"},
    DtypeName{at::kChar, "I8"},
    DtypeName{at::kShort, "I16"},
    DtypeName{at::kInt, "I32"},
    DtypeName{at::kLong, "I64"},
    DtypeName{at::kBool, "BOOL"},
    DtypeName{at::kUInt16, "U16"},
    DtypeName{at::kUInt32, "U32"},
    DtypeName{at::kUInt64, "U64"},
    DtypeName{at::kFloat8_e4m3fn, "F8_E4M3"},
    DtypeName{at::kFloat8_e5m2, "F8_E5M2"},
    DtypeName{at::kComplexFloat, "C64"},
};

struct Entry {
  std::string name;
  at::ScalarType dtype = at::kFloat;
  std::vector<int64_t> sizes;
  int64_t begin = 0;
  int64_t end = 0;
};

at::ScalarType read_dtype(const JsonCursor& cursor) {
  const std::string code = cursor.to_string();
  for (const DtypeName& entry : kDtypeNames) {
    if (code == entry.code) return entry.dtype;
  }
  throw Error(cursor.where(), "the type '" + code + "' cannot be read");
}

Entry read_entry(const std::string& name, const JsonCursor& cursor) {
  Entry entry;
  entry.name = name;
  entry.dtype = read_dtype(cursor.at("dtype"));
  entry.sizes = cursor.at("shape").to_ints();
  const std::vector<int64_t> offsets = cursor.at("data_offsets").to_ints();
  if (offsets.size() != 2 || offsets[0] < 0 || offsets[1] < offsets[0]) {
    throw expected(cursor.where(), "data_offsets", "[begin, end]", sizes_text(offsets));
  }
  entry.begin = offsets[0];
  entry.end = offsets[1];
  return entry;
}

// The format allows no holes and no overlaps.
void check_layout(const std::vector<Entry>& entries, uint64_t data_size, const std::string& where) {
  int64_t next = 0;
  for (const Entry& entry : entries) {
    if (entry.begin != next) {
      throw Error(where, str("'", entry.name, "' begins at ", entry.begin, " where ", next,
                             " was expected: ", entry.begin < next ? "tensors overlap" : "there is a hole"));
    }
    next = entry.end;
  }
  if (static_cast<uint64_t>(next) != data_size) throw expected(where, "data", str(next, " bytes"), str(data_size));
}

StateDict read_all(const std::shared_ptr<const ByteSource>& source, std::map<std::string, std::string>* metadata) {
  const std::string& path = source->name();
  const std::string prefix = source->read(0, 8);
  const uint64_t header_size = ByteReader(path, prefix).u64();
  if (header_size > limits::kText || header_size > source->size() - 8) {
    throw Error(path, str("is no safetensors file: a header of ", header_size, " bytes in a file of ", source->size()));
  }
  Budget budget(path, source->size());
  const std::string text = source->read(8, header_size);
  const nlohmann::json header = parse_json(text, path + ": header", budget);
  std::vector<Entry> entries;
  for (const auto& [name, cursor] : JsonCursor(header, path + ": header").members()) {
    if (name != "__metadata__") {
      entries.push_back(read_entry(name, cursor));
      continue;
    }
    for (const auto& [key, value] : cursor.members()) {
      const std::string fact = value.to_string();
      if (metadata != nullptr) (*metadata)[key] = fact;
    }
  }
  std::sort(entries.begin(), entries.end(),
            [](const Entry& a, const Entry& b) { return std::tie(a.begin, a.end) < std::tie(b.begin, b.end); });
  const uint64_t base = 8 + header_size;
  check_layout(entries, source->size() - base, path);
  StateDict tensors;
  for (const Entry& entry : entries) {
    const std::string where = path + ": '" + entry.name + "'";
    const auto size = static_cast<uint64_t>(entry.end - entry.begin);
    if (checked_bytes(entry.sizes, entry.dtype, where) != size) {
      throw expected(where, str("data for ", dtype_name(entry.dtype), sizes_text(entry.sizes)),
                     str(checked_bytes(entry.sizes, entry.dtype, where), " bytes"), str(size));
    }
    const std::string bytes = source->read(base + static_cast<uint64_t>(entry.begin), size);
    tensors.emplace_back(entry.name, tensor_from_bytes(bytes, entry.sizes, entry.dtype, where));
  }
  return tensors;
}

}  // namespace

StateDict read_safetensors(const std::string& path, std::map<std::string, std::string>* metadata) {
  return read_safetensors(open_file(path), metadata);
}

StateDict read_safetensors(const std::shared_ptr<const ByteSource>& source,
                           std::map<std::string, std::string>* metadata) {
  return guard_loading(source->name(), [&] { return read_all(source, metadata); });
}

void write_safetensors(const std::string& path, const StateDict& tensors,
                       const std::map<std::string, std::string>& metadata) {
  nlohmann::ordered_json header = nlohmann::ordered_json::object();
  if (!metadata.empty()) header["__metadata__"] = metadata;
  uint64_t offset = 0;
  for (const auto& [name, tensor] : tensors) {
    const auto* code = std::find_if(kDtypeNames.begin(), kDtypeNames.end(),
                                    [&](const DtypeName& c) { return c.dtype == tensor.scalar_type(); });
    if (code == kDtypeNames.end())
      throw Error(path, "'" + name + "' is " + dtype_name(tensor.scalar_type()) + ", which safetensors lacks");
    if (name == "__metadata__" || header.contains(name))
      throw Error(path, "the name '" + name + "' cannot be written twice");
    const uint64_t end = offset + tensor.numel() * tensor.element_size();
    header[name] = {{"dtype", code->code}, {"shape", tensor.sizes().vec()}, {"data_offsets", {offset, end}}};
    offset = end;
  }
  std::string text = header.dump();
  text.append((8 - text.size() % 8) % 8, ' ');
  AtomicFile file(path);
  std::string prefix;
  for (int i = 0; i < 8; ++i) prefix += static_cast<char>(uint64_t{text.size()} >> (8 * i) & 0xff);
  file.write(prefix);
  file.write(text);
  for (const auto& [name, tensor] : tensors) {
    at::Tensor keep;
    file.write(contiguous_bytes(tensor, keep));
  }
  file.commit();
}

StateDict load_state_dict(const std::string& path) { return load_state_dict(open_file(path)); }

StateDict load_state_dict(const std::shared_ptr<const ByteSource>& source) {
  if (ZipReader::is_zip(*source)) return load_torch_save(source);
  const std::string front = source->read(0, std::min<uint64_t>(source->size(), 16));
  if (front.substr(0, 2) == "\x80\x02") return load_torch_save(source);
  if (front.size() > 8 && front[8] == '{') return read_safetensors(source);
  throw Error(source->name(), "is no state dict: neither safetensors nor a file of torch.save");
}

}  // namespace octet
