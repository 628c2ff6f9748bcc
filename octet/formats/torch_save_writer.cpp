#include <array>
#include <map>

#include "octet/formats/dtype.h"
#include "octet/formats/raw_tensor.h"
#include "octet/formats/torch_save.h"
#include "octet/support/error.h"

namespace octet {
namespace {

// Opcodes of pickle protocol 2.
constexpr char kProtocol = '\x80';
constexpr char kMark = '(';
constexpr char kStop = '.';
constexpr char kGlobal = 'c';
constexpr char kText = 'X';
constexpr char kInt8 = 'K';
constexpr char kInt32 = 'J';
constexpr char kLong = '\x8a';
constexpr char kTrue = '\x88';
constexpr char kFalse = '\x89';
constexpr char kEmptyTuple = ')';
constexpr char kTuple = 't';
constexpr char kEmptyDict = '}';
constexpr char kSetItems = 'u';
constexpr char kReduce = 'R';
constexpr char kPersistentId = 'Q';
constexpr char kPut = 'r';
constexpr char kGet = 'j';

// Classes of storages that the oldest readers know; the other types go with storages of bytes.
constexpr std::array kTypedStorages = {
    std::pair{at::kFloat, "FloatStorage"},
    std::pair{at::kHalf, "HalfStorage"},
    std::pair{at::kBFloat16, "BFloat16Storage"},
    std::pair{at::kDouble, "DoubleStorage"},
    std::pair{at::kInt, "IntStorage"},
    std::pair{at::kLong, "LongStorage"},
    std::pair{at::kShort, "ShortStorage"},
    std::pair{at::kChar, "CharStorage"},
    std::pair{at::kByte, "ByteStorage"},
    std::pair{at::kBool, "BoolStorage"},
    std::pair{at::kComplexFloat, "ComplexFloatStorage"},
    std::pair{at::kComplexDouble, "ComplexDoubleStorage"},
};

const char* typed_storage(at::ScalarType dtype) {
  for (const auto& [known, name] : kTypedStorages) {
    if (known == dtype) return name;
  }
  return nullptr;
}

class StateDictPickler {
 public:
  // The tensors' storages, in the order of their keys "0", "1", ...
  const std::vector<at::Tensor>& storages() const { return storages_; }

  std::string pickle(const std::vector<SavedTensor>& tensors) {
    op(kProtocol);
    bytes_.push_back(2);
    op(kEmptyDict);
    op(kMark);
    for (const SavedTensor& saved : tensors) {
      text(saved.name);
      object(saved);
    }
    op(kSetItems);
    op(kStop);
    return std::move(bytes_);
  }

 private:
  void op(char code) { bytes_.push_back(code); }
  void little(uint64_t value, int size) {
    for (int i = 0; i < size; ++i) bytes_.push_back(static_cast<char>(value >> (8 * i) & 0xff));
  }
  void text(const std::string& value) {
    op(kText);
    little(value.size(), 4);
    bytes_ += value;
  }
  void integer(int64_t value) {
    if (value >= 0 && value <= 0xff) {
      op(kInt8);
      little(static_cast<uint64_t>(value), 1);
    } else if (value >= INT32_MIN && value <= INT32_MAX) {
      op(kInt32);
      little(static_cast<uint64_t>(value), 4);
    } else {
      op(kLong);
      little(8, 1);
      little(static_cast<uint64_t>(value), 8);
    }
  }
  void integers(at::IntArrayRef values) {
    op(kMark);
    for (const int64_t value : values) integer(value);
    op(kTuple);
  }
  void boolean(bool value) { op(value ? kTrue : kFalse); }
  void global(const std::string& module, const std::string& name) {
    op(kGlobal);
    bytes_ += module + '\n' + name + '\n';
  }
  void empty_ordered_dict() {
    global("collections", "OrderedDict");
    op(kEmptyTuple);
    op(kReduce);
  }

  void object(const SavedTensor& saved) {
    const auto [entry, fresh] = memo_.emplace(saved.tensor.unsafeGetTensorImpl(), memo_.size());
    if (!fresh) {
      op(kGet);
      little(entry->second, 4);
      return;
    }
    if (saved.is_parameter) {
      global("torch._utils", "_rebuild_parameter");
      op(kMark);
      tensor(saved);
      boolean(saved.requires_grad);
      empty_ordered_dict();
      op(kTuple);
      op(kReduce);
    } else {
      tensor(saved);
    }
    op(kPut);
    little(entry->second, 4);
  }

  void tensor(const SavedTensor& saved) {
    const at::Tensor whole = as_whole_storage(saved.tensor, saved.name);
    const char* storage = typed_storage(whole.scalar_type());
    global("torch._utils", storage != nullptr ? "_rebuild_tensor_v2" : "_rebuild_tensor_v3");
    op(kMark);
    op(kMark);
    text("storage");
    if (storage != nullptr) {
      global("torch", storage);
    } else {
      global("torch.storage", "UntypedStorage");
    }
    text(std::to_string(storages_.size()));
    text("cpu");
    integer(storage != nullptr ? whole.numel() : static_cast<int64_t>(whole.nbytes()));
    op(kTuple);
    op(kPersistentId);
    integer(0);
    integers(whole.sizes());
    integers(whole.strides());
    boolean(saved.requires_grad && !saved.is_parameter);
    empty_ordered_dict();
    if (storage == nullptr) global("torch", dtype_name(whole.scalar_type()));
    op(kTuple);
    op(kReduce);
    storages_.push_back(whole);
  }

  std::string bytes_;
  std::vector<at::Tensor> storages_;
  std::map<const c10::TensorImpl*, uint64_t> memo_;
};

}  // namespace

std::string torch_save_bytes(const std::vector<SavedTensor>& tensors) {
  StateDictPickler pickler;
  std::string bytes;
  ZipWriter zip(&bytes);
  zip.add("archive/data.pkl", pickler.pickle(tensors));
  zip.add("archive/byteorder", "little");
  for (size_t i = 0; i < pickler.storages().size(); ++i) {
    zip.add("archive/data/" + std::to_string(i), storage_bytes_of(pickler.storages()[i]));
  }
  zip.add("archive/version", "3\n");
  zip.finish();
  return bytes;
}

}  // namespace octet
