#include "octet/formats/dtype.h"

#include <array>
#include <sstream>

#include "octet/support/error.h"

namespace octet {
namespace {

struct Name {
  at::ScalarType dtype;
  const char* name;
};

constexpr std::array kNames = {
    Name{at::kFloat, "float32"},
    Name{at::kHalf, "float16"},
    Name{at::kBFloat16, "bfloat16"},
    Name{at::kDouble, "float64"},
    Name{at::kByte, "uint8"},
    Name{at::kChar, "int8"},
    Name{at::kShort, "int16"},
    Name{at::kInt, "int32"},
    Name{at::kLong, "int64"},
    Name{at::kBool, "bool"},
    Name{at::kUInt16, "uint16"},
    Name{at::kUInt32, "uint32"},
    Name{at::kUInt64, "uint64"},
    Name{at::kComplexHalf, "complex32"},
    Name{at::kComplexFloat, "complex64"},
    Name{at::kComplexDouble, "complex128"},
    Name{at::kFloat8_e4m3fn, "float8_e4m3fn"},
    Name{at::kFloat8_e5m2, "float8_e5m2"},
    Name{at::kFloat8_e4m3fnuz, "float8_e4m3fnuz"},
    Name{at::kFloat8_e5m2fnuz, "float8_e5m2fnuz"},
};

}  // namespace

std::string dtype_name(at::ScalarType dtype) {
  for (const Name& entry : kNames) {
    if (entry.dtype == dtype) return entry.name;
  }
  return c10::toString(dtype);
}

at::ScalarType dtype_from_name(const std::string& name, const std::string& where) {
  for (const Name& entry : kNames) {
    if (entry.name == name) return entry.dtype;
  }
  throw Error(where, "dtype '" + name + "' is not supported");
}

uint64_t checked_bytes(const std::vector<int64_t>& sizes, at::ScalarType dtype, const std::string& where) {
  if (sizes.size() > kMaxRank)
    throw Error(where, str("has ", sizes.size(), " dimensions, at most ", kMaxRank, " are possible"));
  int64_t bytes = static_cast<int64_t>(c10::elementSize(dtype));
  bool empty = false;
  for (const int64_t size : sizes) {
    if (size < 0) throw Error(where, str("has a negative size: ", sizes_text(sizes)));
    empty = empty || size == 0;
    if (size > 0 && __builtin_mul_overflow(bytes, size, &bytes)) {
      throw Error(where, str("has absurd sizes: ", sizes_text(sizes)));
    }
  }
  return empty ? 0 : static_cast<uint64_t>(bytes);
}

std::string sizes_text(const std::vector<int64_t>& sizes) {
  std::ostringstream out;
  out << '[';
  for (size_t i = 0; i < sizes.size(); ++i) out << (i > 0 ? ", " : "") << sizes[i];
  out << ']';
  return out.str();
}

}  // namespace octet
