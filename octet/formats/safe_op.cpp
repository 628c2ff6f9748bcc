#include "octet/formats/safe_op.h"

#include "octet/formats/dtype.h"
#include "octet/support/error.h"

namespace octet {
namespace {

constexpr uint64_t kMaxInputBytes = uint64_t{16} << 30;

// aten.from_file maps, and makes, any file; the others take indices and sizes without checking them.
constexpr std::array<std::string_view, 7> kUnsafe = {
    "aten.from_file",
    "aten._sparse_coo_tensor_unsafe",
    "aten._sparse_compressed_tensor_unsafe",
    "aten._sparse_csr_tensor_unsafe",
    "aten._sparse_csc_tensor_unsafe",
    "aten._sparse_bsr_tensor_unsafe",
    "aten._sparse_bsc_tensor_unsafe",
};

}  // namespace

Op find_safe_op(const std::string& text, const std::string& where) {
  const auto op = Op::try_find(text);
  if (!op) {
    throw Error(where, "unknown operator '" + text + "'")
        .hint("it may be a custom operator, or newer than this libtorch");
  }
  const bool out_of_inductor = op->text().compare(0, 9, "inductor.") == 0;  // raw views of memory
  if (out_of_inductor || std::find(kUnsafe.begin(), kUnsafe.end(), op->packet()) != kUnsafe.end()) {
    throw Error(where, "the operator '" + op->text() + "' is refused in files: it can reach beyond the model");
  }
  return *op;
}

void check_input_size(const Node& input, const std::string& where) {
  if (!input.meta()) return;
  const uint64_t bytes = checked_bytes(input.meta()->sizes, input.meta()->dtype, where);
  if (bytes > kMaxInputBytes) throw Error(where, "the input has absurd sizes: " + input.meta()->text());
}

}  // namespace octet
