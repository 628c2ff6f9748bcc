#include "octet/formats/pickle.h"

#include <algorithm>
#include <array>
#include <unordered_map>

#include "octet/support/byte_reader.h"
#include "octet/support/error.h"

namespace octet {
namespace {

constexpr size_t kMaxArguments = 16;   // a call copies its arguments, which many calls may share
constexpr size_t kMaxLongBytes = 255;  // of an integer
// What opcodes cost, most of which take one byte of the file: a value; a place on the stack or in a list, which double
// as they grow; a slot of the memo.
constexpr uint64_t kPickleValueBytes = sizeof(Pickle::Value) + 16;
constexpr uint64_t kPlaceBytes = 3 * sizeof(Pickle::Ref);
constexpr uint64_t kPairBytes = 3 * 2 * sizeof(Pickle::Ref);
constexpr uint64_t kMemoBytes = 64;

// The functions whose calls are kept; storages and dtypes are recognized by their form.
constexpr std::array<std::string_view, 7> kFunctions = {
    "collections.OrderedDict",
    "torch._utils._rebuild_tensor_v2",
    "torch._utils._rebuild_tensor_v3",
    "torch._utils._rebuild_parameter",
    "torch._tensor._rebuild_from_type_v2",
    "torch.Size",
    "torch._utils._rebuild_parameter_with_state",
};
constexpr std::array<std::string_view, 5> kClasses = {
    "torch.storage.UntypedStorage", "torch.UntypedStorage", "torch.nn.parameter.Parameter", "torch.Tensor",
    "torch.nn.parameter.Buffer",
};

// What TorchScript's pickles call besides: lists with a type, and devices.
constexpr std::array<std::string_view, 6> kScriptFunctions = {
    "torch.jit._pickle.build_intlist",  "torch.jit._pickle.build_tensorlist", "torch.jit._pickle.build_doublelist",
    "torch.jit._pickle.build_boollist", "torch.jit._pickle.restore_type_tag", "torch.device",
};

bool is_script_class(std::string_view name) { return name.substr(0, 10) == "__torch__."; }

bool is_script_function(std::string_view name) {
  return is_script_class(name) ||
         std::find(kScriptFunctions.begin(), kScriptFunctions.end(), name) != kScriptFunctions.end();
}

bool is_function(std::string_view name) {
  return std::find(kFunctions.begin(), kFunctions.end(), name) != kFunctions.end();
}

// torch.FloatStorage, torch.float32
bool is_torch_type(std::string_view name) {
  constexpr std::string_view kPrefix = "torch.";
  if (name.substr(0, kPrefix.size()) != kPrefix) return false;
  name.remove_prefix(kPrefix.size());
  if (name.size() > 7 && name.substr(name.size() - 7) == "Storage") return name.find('.') == std::string_view::npos;
  for (const std::string_view kind :
       {"float", "bfloat", "int", "uint", "complex", "bool", "half", "double", "long", "short"}) {
    if (name.substr(0, kind.size()) == kind && name.find('.') == std::string_view::npos) return true;
  }
  return false;
}

const char* kind_name(const Pickle::Value& value) {
  constexpr std::array kNames = {"None",      "a bool",  "an integer", "a float", "a text",   "a class",
                                 "an object", "a tuple", "a list",     "a dict",  "an object"};
  return kNames[value.index()];
}

}  // namespace

class Unpickler {
 public:
  Unpickler(std::string_view bytes, const std::string& where, Budget& budget, bool script = false)
      : reader_(where, bytes), budget_(budget), script_(script) {
    result_.where_ = where;
    for (Value constant : {Value(Pickle::None{}), Value(false), Value(true)}) result_.arena_.push_back(constant);
  }

  Pickle run() {
    bool stopped = false;
    while (!stopped) stopped = step(reader_.u8());
    result_.root_ = pop();
    result_.size_ = reader_.offset();
    return std::move(result_);
  }

 private:
  using Ref = Pickle::Ref;
  using Value = Pickle::Value;
  enum Constant : Ref { kNone, kFalse, kTrue };  // the first values

  [[noreturn]] void fail(const std::string& what) const {
    throw Error(reader_.where(), str("pickle offset ", reader_.offset(), ": ", what));
  }

  void charge(uint64_t bytes) { budget_.charge(bytes, "its pickle"); }
  void push_ref(Ref ref) {
    if (stack_.size() == highest_) {
      charge(kPlaceBytes);
      ++highest_;
    }
    stack_.push_back(ref);
  }
  void push(Value value) {
    charge(kPickleValueBytes);
    result_.arena_.push_back(std::move(value));
    push_ref(static_cast<Ref>(result_.arena_.size() - 1));
  }
  void push_text(std::string_view text) {
    charge(text.size());
    push(std::string(text));
  }
  void mark() {
    if (marks_.size() == limits::kDepth) fail(str("is nested deeper than ", limits::kDepth, " marks"));
    marks_.push_back(stack_.size());
  }
  size_t floor() const { return marks_.empty() ? 0 : marks_.back(); }
  Ref pop() {
    if (stack_.size() <= floor()) fail("takes a value from an empty stack");
    const Ref top = stack_.back();
    stack_.pop_back();
    return top;
  }
  Value& top() {
    if (stack_.size() <= floor()) fail("needs a value on an empty stack");
    return result_.arena_[stack_.back()];
  }
  std::vector<Ref> pop_to_mark() {
    if (marks_.empty()) fail("looks for a mark that was not set");
    charge((stack_.size() - marks_.back()) * sizeof(Ref));
    std::vector<Ref> items(stack_.begin() + static_cast<std::ptrdiff_t>(marks_.back()), stack_.end());
    stack_.resize(marks_.back());
    marks_.pop_back();
    return items;
  }
  void push_tuple(size_t count) {
    std::vector<Ref> items(count);
    for (size_t i = count; i-- > 0;) items[i] = pop();
    push(Pickle::Tuple{std::move(items)});
  }

  void put(uint32_t slot) {
    top();
    const auto [at, fresh] = memo_.insert_or_assign(slot, stack_.back());
    if (fresh) charge(kMemoBytes);
  }
  void get(uint32_t slot) {
    const auto found = memo_.find(slot);
    if (found == memo_.end()) fail(str("reads memo ", slot, ", which was not written"));
    push_ref(found->second);
  }

  void long_integer(uint64_t size) {
    const std::string_view raw = reader_.bytes(size);
    // The magic number of the format before PyTorch 1.6 is the one integer beyond 64 bits; it is kept as its bytes.
    if (size > kMaxLongBytes) fail(str("holds an integer of ", size, " bytes"));
    if (size > 8) return push_text(raw);
    uint64_t bits = size > 0 && (static_cast<uint8_t>(raw.back()) & 0x80) ? ~uint64_t{0} : 0;
    for (size_t i = raw.size(); i-- > 0;) bits = bits << 8 | static_cast<uint8_t>(raw[i]);
    push(static_cast<int64_t>(bits));
  }

  double big_endian_double() {
    const std::string_view raw = reader_.bytes(8);
    const std::string turned(raw.rbegin(), raw.rend());
    return ByteReader(reader_.where(), turned).read<double>();
  }

  bool may_call(std::string_view name) const { return is_function(name) || (script_ && is_script_function(name)); }

  void global(const std::string& name) {
    if (!may_call(name) && !is_torch_type(name) &&
        std::find(kClasses.begin(), kClasses.end(), name) == kClasses.end()) {
      throw Error(reader_.where(),
                  "holds the Python object '" + name + "', which octet does not load: only tensors and plain data")
          .hint("save model.state_dict() instead of the whole model");
    }
    charge(name.size());
    push(Pickle::Global{name});
  }

  void reduce() {
    const Ref args = pop();
    const Ref function = pop();
    const auto* callee = result_.get<Pickle::Global>(function);
    if (callee == nullptr || !may_call(callee->name)) fail("calls something that may not be called");
    const auto* tuple = result_.get<Pickle::Tuple>(args);
    if (tuple == nullptr) fail("calls '" + callee->name + "' without a tuple of arguments");
    if (callee->name == "collections.OrderedDict") {
      if (!tuple->items.empty()) fail("makes an OrderedDict with arguments");
      return push(Pickle::Dict{});
    }
    if (callee->name == "torch.Size") {
      if (tuple->items.size() != 1) fail("makes a torch.Size of more than one argument");
      return push_ref(tuple->items[0]);
    }
    if (tuple->items.size() > kMaxArguments)
      fail(str("calls '", callee->name, "' with ", tuple->items.size(), " arguments"));
    charge(callee->name.size() + tuple->items.size() * sizeof(Ref));
    Pickle::Call call{callee->name, tuple->items};
    push(std::move(call));
  }

  void new_object() {
    pop();  // arguments: an empty tuple
    const auto* type = result_.get<Pickle::Global>(pop());
    if (type == nullptr || !is_script_class(type->name)) fail("makes an object of something that is no class");
    push(Pickle::Object{type->name, std::nullopt});
  }

  // BUILD sets the attributes of an object; those of others (`_metadata` of an OrderedDict) matter nowhere.
  void build() {
    const Ref state = pop();
    if (auto* object = std::get_if<Pickle::Object>(&top())) object->state = state;
  }

  void append(const std::vector<Ref>& items) {
    auto* list = std::get_if<Pickle::List>(&top());
    if (list == nullptr) fail("appends to something that is no list");
    charge(items.size() * kPlaceBytes);
    list->items.insert(list->items.end(), items.begin(), items.end());
  }
  void set_items(const std::vector<Ref>& items) {
    auto* dict = std::get_if<Pickle::Dict>(&top());
    if (dict == nullptr) fail("sets an item of something that is no dict");
    if (items.size() % 2 != 0) fail("sets a key without a value");
    charge(items.size() / 2 * kPairBytes);
    for (size_t i = 0; i < items.size(); i += 2) dict->items.emplace_back(items[i], items[i + 1]);
  }

  // True at STOP.
  bool step(uint8_t opcode) {
    switch (opcode) {
      case 0x80:
        protocol();
        break;
      case 0x95:
        reader_.skip(8);
        break;  // FRAME: only a hint for buffering
      case '.':
        return true;
      case '(':
        mark();
        break;
      case '0':
        pop();
        break;
      case '1':
        pop_to_mark();
        break;
      case '2':
        top();
        push_ref(stack_.back());
        break;
      case 'N':
        push_ref(kNone);
        break;
      case 0x88:
        push_ref(kTrue);
        break;
      case 0x89:
        push_ref(kFalse);
        break;
      case 'J':
        push(static_cast<int64_t>(reader_.read<int32_t>()));
        break;
      case 'K':
        push(static_cast<int64_t>(reader_.u8()));
        break;
      case 'M':
        push(static_cast<int64_t>(reader_.u16()));
        break;
      case 0x8a:
        long_integer(reader_.u8());
        break;
      case 0x8b:
        long_integer(reader_.u32());
        break;
      case 'G':
        push(big_endian_double());
        break;
      case 'X':
        push_text(reader_.bytes(reader_.u32()));
        break;
      case 0x8c:
        push_text(reader_.bytes(reader_.u8()));
        break;
      case 0x8d:
        push_text(reader_.bytes(reader_.u64()));
        break;
      case 'U':
        push_text(reader_.bytes(reader_.u8()));
        break;
      case 'T':
        push_text(reader_.bytes(reader_.u32()));
        break;
      case 'C':
        push_text(reader_.bytes(reader_.u8()));
        break;
      case 'B':
        push_text(reader_.bytes(reader_.u32()));
        break;
      case ')':
        push(Pickle::Tuple{});
        break;
      case 't':
        push(Pickle::Tuple{pop_to_mark()});
        break;
      case 0x85:
        push_tuple(1);
        break;
      case 0x86:
        push_tuple(2);
        break;
      case 0x87:
        push_tuple(3);
        break;
      case ']':
        push(Pickle::List{});
        break;
      case 'l':
        push(Pickle::List{pop_to_mark()});
        break;
      case 'a': {
        const Ref item = pop();
        append({item});
        break;
      }
      case 'e':
        append(pop_to_mark());
        break;
      case '}':
        push(Pickle::Dict{});
        break;
      case 's': {
        const Ref value = pop();
        const Ref key = pop();
        set_items({key, value});
        break;
      }
      case 'u':
        set_items(pop_to_mark());
        break;
      case 'q':
        put(reader_.u8());
        break;
      case 'r':
        put(reader_.u32());
        break;
      case 0x94:
        put(static_cast<uint32_t>(memo_.size()));
        break;
      case 'h':
        get(reader_.u8());
        break;
      case 'j':
        get(reader_.u32());
        break;
      case 'c': {
        const std::string module(reader_.until('\n'));
        global(module + "." + std::string(reader_.until('\n')));
        break;
      }
      case 0x93: {
        const std::string name = result_.to_string(pop(), "name of a class");
        global(result_.to_string(pop(), "module of a class") + "." + name);
        break;
      }
      case 'Q': {
        const Ref id = pop();
        push(Pickle::Call{"persistent_id", {id}});
        break;
      }
      case 'R':
        reduce();
        break;
      case 'b':
        build();
        break;
      case 0x81:
        if (script_) {
          new_object();
          break;
        }
        [[fallthrough]];
      default: {
        char code[8];
        std::snprintf(code, sizeof code, "0x%02x", opcode);
        fail(str("opcode ", code, " is not allowed in a state dict"));
      }
    }
    return false;
  }

  void protocol() {
    const int version = reader_.u8();
    if (version < 2 || version > 5) fail(str("protocol ", version, " is not supported (2 to 5 are)"));
  }

  ByteReader reader_;
  Budget& budget_;
  bool script_;
  Pickle result_;
  std::vector<Ref> stack_;
  size_t highest_ = 0;  // that the stack ever was
  std::vector<size_t> marks_;
  std::unordered_map<uint32_t, Ref> memo_;
};

Pickle read_pickle(std::string_view bytes, const std::string& where, Budget& budget) {
  return Unpickler(bytes.substr(0, limits::kText), where, budget).run();
}

Pickle read_pickle(std::string_view bytes, const std::string& where) {
  Budget budget(where, bytes.size());
  return read_pickle(bytes, where, budget);
}

Pickle read_script_pickle(std::string_view bytes, const std::string& where, Budget& budget) {
  return Unpickler(bytes.substr(0, limits::kText), where, budget, /*script=*/true).run();
}

namespace {

[[noreturn]] void mismatch(const Pickle& pickle, Pickle::Ref ref, const char* what, const char* wanted) {
  throw expected(pickle.where(), what, wanted, kind_name(pickle[ref]));
}

}  // namespace

int64_t Pickle::to_int(Ref ref, const char* what) const {
  if (const auto* value = get<int64_t>(ref)) return *value;
  mismatch(*this, ref, what, "an integer");
}

bool Pickle::to_bool(Ref ref, const char* what) const {
  if (const auto* value = get<bool>(ref)) return *value;
  mismatch(*this, ref, what, "a bool");
}

const std::string& Pickle::to_string(Ref ref, const char* what) const {
  if (const auto* value = get<std::string>(ref)) return *value;
  mismatch(*this, ref, what, "a text");
}

const std::vector<Pickle::Ref>& Pickle::to_items(Ref ref, const char* what) const {
  if (const auto* tuple = get<Tuple>(ref)) return tuple->items;
  if (const auto* list = get<List>(ref)) return list->items;
  mismatch(*this, ref, what, "a tuple");
}

std::vector<int64_t> Pickle::to_ints(Ref ref, const char* what) const {
  std::vector<int64_t> ints;
  for (const Ref item : to_items(ref, what)) ints.push_back(to_int(item, what));
  return ints;
}

}  // namespace octet
