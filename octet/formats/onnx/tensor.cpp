#include "octet/formats/onnx/tensor.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>
#include <filesystem>

#include "octet/formats/dtype.h"
#include "octet/formats/onnx/wire.h"
#include "octet/formats/raw_tensor.h"
#include "octet/support/error.h"

namespace octet::onnx {
namespace {

// Where TensorProto keeps numbers that do not stand in raw_data.
enum class Field : uint32_t { kFloats = 4, kInt32s = 5, kInt64s = 7, kDoubles = 10, kUint64s = 11 };
constexpr uint32_t kRawData = 9;
constexpr uint32_t kExternalData = 13;

struct ElementType {
  int64_t type;
  at::ScalarType dtype;
  Field field;
};
constexpr std::array kElementTypes = {
    ElementType{1, at::kFloat, Field::kFloats},     ElementType{2, at::kByte, Field::kInt32s},
    ElementType{3, at::kChar, Field::kInt32s},      ElementType{4, at::kUInt16, Field::kInt32s},
    ElementType{5, at::kShort, Field::kInt32s},     ElementType{6, at::kInt, Field::kInt32s},
    ElementType{7, at::kLong, Field::kInt64s},      ElementType{9, at::kBool, Field::kInt32s},
    ElementType{10, at::kHalf, Field::kInt32s},     ElementType{11, at::kDouble, Field::kDoubles},
    ElementType{12, at::kUInt32, Field::kUint64s},  ElementType{13, at::kUInt64, Field::kUint64s},
    ElementType{16, at::kBFloat16, Field::kInt32s},
};

const char* name_of_type(int64_t type) {
  switch (type) {
    case 0:
      return "no type";
    case 8:
      return "texts";
    case 14:
    case 15:
      return "complex numbers";
    case 17:
    case 18:
    case 19:
    case 20:
      return "8-bit floats";
    case 21:
    case 22:
    case 23:
      return "4-bit numbers";
    default:
      return "a type of a newer ONNX";
  }
}

const ElementType& element_type(int64_t type, const std::string& where) {
  const auto* found = std::find_if(kElementTypes.begin(), kElementTypes.end(),
                                   [&](const ElementType& each) { return each.type == type; });
  if (found != kElementTypes.end()) return *found;
  throw Error(where, str("holds ", name_of_type(type), " (type ", type, "), which octet does not take"));
}

/// What a TensorProto has in one place.
struct Numbers {
  bool raw = false;
  std::string_view bytes;  // of raw_data
  uint64_t count = 0;      // in the field of the type
};

size_t width_of(Field field) {
  if (field == Field::kFloats) return 4;
  return field == Field::kDoubles ? 8 : 0;
}

Numbers find_numbers(std::string_view message, Field wanted, const std::string& where) {
  Numbers found;
  for (WireReader field(message, where); field.next();) {
    if (field.number() == kRawData) {
      found.raw = true;
      found.bytes = field.bytes();
    } else if (field.number() == static_cast<uint32_t>(wanted)) {
      const size_t width = width_of(wanted);
      found.count += width > 0 ? field.count_fixed(width) : field.count_integers();
    }
  }
  return found;
}

// The numbers of typed fields, each cut to the size of an element, as protobuf has them: low bytes first.
std::string typed_bytes(std::string_view message, Field wanted, size_t element, uint64_t bytes,
                        const std::string& where) {
  std::string made;
  made.reserve(bytes);
  const auto put = [&](uint64_t bits) {
    for (size_t i = 0; i < element; ++i) made += static_cast<char>(bits >> (8 * i) & 0xff);
  };
  for (WireReader field(message, where); field.next();) {
    if (field.number() != static_cast<uint32_t>(wanted)) continue;
    if (const size_t width = width_of(wanted); width > 0) {
      field.for_each_fixed(width, put);
    } else {
      field.for_each_integer([&](int64_t value) { put(static_cast<uint64_t>(value)); });
    }
  }
  return made;
}

uint64_t to_number(std::string_view text, const char* what, const std::string& where) {
  uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size())
    throw expected(where, str("the ", what, " of its external data"), "a number", str("'", text, "'"));
  return value;
}

}  // namespace

at::ScalarType dtype_of(int64_t type, const std::string& where) { return element_type(type, where).dtype; }

at::Tensor TensorReader::read(const TensorProto& tensor, const std::string& where) {
  const ElementType& type = element_type(tensor.type, where);
  const uint64_t bytes = checked_bytes(tensor.dims, type.dtype, where);
  const size_t element = c10::elementSize(type.dtype);
  at::Tensor made;
  if (tensor.external) {
    made = tensor_from_bytes(external_bytes(tensor.message, bytes, where), tensor.dims, type.dtype, where);
  } else {
    const Numbers numbers = find_numbers(tensor.message, type.field, where);
    if (numbers.raw) {
      if (numbers.bytes.size() != bytes)
        throw expected(where, str("data for ", dtype_name(type.dtype), sizes_text(tensor.dims)), str(bytes, " bytes"),
                       str(numbers.bytes.size()));
      budget_.charge(bytes, "its tensors");
      made = tensor_from_bytes(numbers.bytes, tensor.dims, type.dtype, where);
    } else {
      if (numbers.count != bytes / element)
        throw expected(where, str("data for ", dtype_name(type.dtype), sizes_text(tensor.dims)),
                       str(bytes / element, " numbers"), str(numbers.count));
      budget_.charge(2 * bytes, "its tensors");
      const std::string data = typed_bytes(tensor.message, type.field, element, bytes, where);
      made = tensor_from_bytes(data, tensor.dims, type.dtype, where);
    }
  }
  return made;
}

std::string TensorReader::external_bytes(std::string_view message, uint64_t bytes, const std::string& where) {
  std::string location;
  uint64_t offset = 0;
  uint64_t length = bytes;
  for (WireReader field(message, where); field.next();) {
    if (field.number() != kExternalData) continue;
    std::string_view key;
    std::string_view value;
    for (WireReader entry(field.bytes(), where); entry.next();) {
      if (entry.number() == 1) key = entry.bytes();
      if (entry.number() == 2) value = entry.bytes();
    }
    if (key == "location") location = value;
    if (key == "offset") offset = to_number(value, "offset", where);
    if (key == "length") length = to_number(value, "length", where);
  }
  if (length != bytes) throw expected(where, "external data", str(bytes, " bytes"), str(length));
  Beside& file = open_beside(location, where);
  if (offset > file.source->size() || bytes > file.source->size() - offset) {
    throw Error(where, str("its ", bytes, " bytes at offset ", offset, " reach past the end of '", location, "' (",
                           file.source->size(), " bytes)"));
  }
  file.budget->charge(2 * bytes, "its tensors");
  return file.source->read(offset, bytes);
}

TensorReader::Beside& TensorReader::open_beside(const std::string& name, const std::string& where) {
  if (const auto found = beside_.find(name); found != beside_.end()) return found->second;
  const std::string names = str("names external data '", name, "'");
  if (!has_folder_) throw Error(where, names + ", but the model has no folder");
  const bool is_plain = !name.empty() && name != "." && name != ".." &&
                        name.find_first_of(std::string_view("/\\\0", 3)) == std::string::npos;
  if (!is_plain) {
    throw Error(where, names + ", which is no plain name of a file in the model's own folder")
        .hint("put both into one folder and save the model anew: onnx.save_model(..., save_as_external_data=True)");
  }
  const std::filesystem::path path = std::filesystem::path(file_).parent_path() / name;
  std::error_code ignored;
  if (std::filesystem::is_symlink(path, ignored))
    throw Error(where, names + ", which is a link to another place").hint("put the file itself there");
  Beside opened;
  opened.source = open_file(path.string());
  opened.budget = std::make_unique<Budget>(path.string(), opened.source->size());
  return beside_.emplace(name, std::move(opened)).first->second;
}

}  // namespace octet::onnx
