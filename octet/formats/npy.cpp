#include "octet/formats/npy.h"

#include <ATen/ATen.h>

#include <array>
#include "octet/formats/dtype.h"
#include "octet/formats/guard.h"
#include "octet/formats/raw_tensor.h"
#include "octet/support/atomic_write.h"
#include "octet/support/budget.h"
#include "octet/support/byte_reader.h"
#include "octet/support/byte_source.h"
#include "octet/support/error.h"

namespace octet {
namespace {

constexpr std::string_view kMagic("\x93NUMPY", 6);

struct NpyCode {
  at::ScalarType dtype;
  const char* code;  // NumPy's kind and size
};
constexpr std::array kNpyCodes = {
    NpyCode{at::kFloat, "f4"},        NpyCode{at::kDouble, "f8"},         NpyCode{at::kHalf, "f2"},
    NpyCode{at::kChar, "i1"},         NpyCode{at::kShort, "i2"},          NpyCode{at::kInt, "i4"},
    NpyCode{at::kLong, "i8"},         NpyCode{at::kByte, "u1"},           NpyCode{at::kUInt16, "u2"},
    NpyCode{at::kUInt32, "u4"},       NpyCode{at::kUInt64, "u8"},         NpyCode{at::kBool, "b1"},
    NpyCode{at::kComplexFloat, "c8"}, NpyCode{at::kComplexDouble, "c16"},
};

struct Header {
  at::ScalarType dtype = at::kFloat;
  bool big_endian = false;
  bool fortran_order = false;
  std::vector<int64_t> sizes;
};

// The header is a Python literal of one shape: {'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }
class HeaderParser {
 public:
  HeaderParser(std::string_view text, const std::string& where) : text_(text), where_(where) {}

  Header parse() {
    Header header;
    bool seen_descr = false, seen_order = false, seen_shape = false;
    expect('{');
    while (!take('}')) {
      const std::string key = quoted();
      expect(':');
      if (key == "descr" && !seen_descr) {
        seen_descr = true;
        descr(header);
      } else if (key == "fortran_order" && !seen_order) {
        seen_order = true;
        header.fortran_order = boolean();
      } else if (key == "shape" && !seen_shape) {
        seen_shape = true;
        header.sizes = shape();
      } else {
        fail("has an unexpected key '" + key + "'");
      }
      if (!take(',')) {
        expect('}');
        break;
      }
    }
    if (!seen_descr || !seen_order || !seen_shape) fail("lacks one of descr, fortran_order, shape");
    skip_space();
    if (at_ != text_.size()) fail("has something behind its '}'");
    return header;
  }

 private:
  [[noreturn]] void fail(const std::string& what) const { throw Error(where_, "the .npy header " + what); }
  void skip_space() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\n' || text_[at_] == '\t')) ++at_;
  }
  bool take(char wanted) {
    skip_space();
    if (at_ >= text_.size() || text_[at_] != wanted) return false;
    ++at_;
    return true;
  }
  void expect(char wanted) {
    if (!take(wanted)) fail(str("is malformed: '", wanted, "' expected at position ", at_));
  }
  std::string quoted() {
    skip_space();
    const char quote = at_ < text_.size() ? text_[at_] : '\0';
    if (quote != '\'' && quote != '"') fail(str("is malformed: a quoted text expected at position ", at_));
    const size_t end = text_.find(quote, at_ + 1);
    if (end == std::string_view::npos) fail("has a text without an end");
    const std::string value(text_.substr(at_ + 1, end - at_ - 1));
    at_ = end + 1;
    return value;
  }
  bool boolean() {
    skip_space();
    for (const bool value : {true, false}) {
      const std::string_view word = value ? "True" : "False";
      if (text_.substr(at_, word.size()) == word) {
        at_ += word.size();
        return value;
      }
    }
    fail("has a fortran_order that is neither True nor False");
  }
  void descr(Header& header) {
    skip_space();
    if (at_ < text_.size() && text_[at_] == '[') fail("describes a structured array; only plain types can be read");
    const std::string code = quoted();
    const std::string type = code.empty() ? "" : code.substr(1);
    header.big_endian = !code.empty() && code[0] == '>';
    if (!code.empty() && std::string_view("<>|=").find(code[0]) != std::string_view::npos) {
      for (const NpyCode& entry : kNpyCodes) {
        if (type == entry.code) {
          header.dtype = entry.dtype;
          return;
        }
      }
    }
    fail("has the type '" + code + "', which cannot be read");
  }
  std::vector<int64_t> shape() {
    std::vector<int64_t> sizes;
    expect('(');
    while (!take(')')) {
      if (sizes.size() == kMaxRank) fail(str("has more than ", kMaxRank, " dimensions"));
      sizes.push_back(integer());
      if (!take(',')) {
        expect(')');
        break;
      }
    }
    return sizes;
  }
  int64_t integer() {
    skip_space();
    int64_t value = 0;
    const size_t begin = at_;
    for (; at_ < text_.size() && text_[at_] >= '0' && text_[at_] <= '9'; ++at_) {
      if (__builtin_mul_overflow(value, int64_t{10}, &value) ||
          __builtin_add_overflow(value, text_[at_] - '0', &value)) {
        fail("has an absurd size");
      }
    }
    if (at_ == begin) fail(str("is malformed: a size expected at position ", at_));
    if (at_ < text_.size() && text_[at_] == 'L') ++at_;  // Python 2 wrote longs so
    return value;
  }

  std::string_view text_;
  const std::string& where_;
  size_t at_ = 0;
};

// Numbers of big-endian files, turned in place; complex numbers are two numbers.
void swap_bytes(at::Tensor& tensor) {
  const size_t width = tensor.element_size() / (tensor.is_complex() ? 2 : 1);
  auto* bytes = static_cast<char*>(tensor.data_ptr());
  for (size_t at = 0; at < tensor.nbytes(); at += width) std::reverse(bytes + at, bytes + at + width);
}

}  // namespace

at::Tensor parse_npy(std::string_view bytes, const std::string& where) {
  if (bytes.substr(0, kMagic.size()) != kMagic)
    throw Error(where, "is no .npy file: it does not begin with \\x93NUMPY");
  ByteReader reader(where, bytes);
  reader.skip(kMagic.size());
  const int major = reader.u8();
  reader.u8();
  if (major < 1 || major > 3) throw expected(where, ".npy format version", "1, 2 or 3", std::to_string(major));
  const uint64_t header_size = major == 1 ? reader.u16() : reader.u32();
  if (header_size > limits::kHeader) throw Error(where, str("has an absurd header size: ", header_size, " bytes"));
  const Header header = HeaderParser(reader.bytes(header_size), where).parse();
  std::vector<int64_t> sizes = header.sizes;
  if (header.fortran_order) std::reverse(sizes.begin(), sizes.end());
  at::Tensor tensor = tensor_from_bytes(reader.bytes(reader.remaining()), sizes, header.dtype, where);
  if (header.big_endian) swap_bytes(tensor);
  if (header.fortran_order) {
    std::vector<int64_t> order;
    for (int64_t i = tensor.dim() - 1; i >= 0; --i) order.push_back(i);
    tensor = tensor.permute(order).contiguous();
  }
  return tensor;
}

at::Tensor read_npy(const std::string& path) {
  return guard_loading(path, [&] { return parse_npy(read_file(path), path); });
}

at::Tensor read_npy_input(const std::string& path) {
  const at::Tensor array = read_npy(path);
  const bool is_other_float = array.scalar_type() == at::kDouble || array.scalar_type() == at::kHalf;
  return is_other_float ? array.to(at::kFloat) : array;
}

std::string npy_bytes(const at::Tensor& tensor, const std::string& where) {
  const char* code = nullptr;
  for (const NpyCode& entry : kNpyCodes) {
    if (entry.dtype == tensor.scalar_type()) code = entry.code;
  }
  if (code == nullptr) {
    throw Error(where, "NumPy has no type for " + dtype_name(tensor.scalar_type()))
        .hint("convert the tensor to float32");
  }
  std::string header = str("{'descr': '", c10::elementSize(tensor.scalar_type()) == 1 ? '|' : '<', code,
                           "', 'fortran_order': False, 'shape': (");
  for (int64_t i = 0; i < tensor.dim(); ++i) header += str(tensor.size(i), i + 1 < tensor.dim() ? ", " : "");
  header += tensor.dim() == 1 ? ",), }" : "), }";
  const size_t prefix = kMagic.size() + 4;
  header.append((64 - (prefix + header.size() + 1) % 64) % 64, ' ');
  header += '\n';
  at::Tensor keep;
  const std::string_view data = contiguous_bytes(tensor, keep);
  std::string bytes(kMagic);
  bytes += '\x01';
  bytes += '\0';
  bytes += static_cast<char>(header.size() & 0xff);
  bytes += static_cast<char>(header.size() >> 8);
  bytes += header;
  bytes += data;
  return bytes;
}

void write_npy(const std::string& path, const at::Tensor& tensor) { atomic_write(path, npy_bytes(tensor, path)); }

}  // namespace octet
