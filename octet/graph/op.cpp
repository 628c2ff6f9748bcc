#include "octet/graph/op.h"

#include <mutex>
#include <unordered_map>

#include "octet/graph/late_operators.h"
#include "octet/support/error.h"

namespace octet {
namespace {

// "aten.conv2d.default" -> {"aten::conv2d", ""}; the default overload has an empty name in the dispatcher.
std::optional<c10::OperatorName> split_text(std::string_view text) {
  const size_t first = text.find('.');
  if (first == std::string_view::npos || first == 0) return std::nullopt;
  const size_t second = text.find('.', first + 1);
  std::string overload;
  std::string_view name = text.substr(first + 1);
  if (second != std::string_view::npos) {
    name = text.substr(first + 1, second - first - 1);
    overload = std::string(text.substr(second + 1));
    if (overload == "default") overload.clear();
  }
  if (name.empty()) return std::nullopt;
  return c10::OperatorName(std::string(text.substr(0, first)) + "::" + std::string(name), overload);
}

std::string join_text(const c10::OperatorName& name) {
  std::string text = name.name;
  const size_t colons = text.find("::");
  if (colons != std::string::npos) text.replace(colons, 2, ".");
  return text + "." + (name.overload_name.empty() ? "default" : name.overload_name);
}

}  // namespace

struct Op::Facts {
  explicit Facts(const c10::OperatorHandle& of)
      : handle(of),
        text(join_text(of.operator_name())),
        packet(std::string_view(text).substr(0, text.rfind('.'))),
        short_name(packet.substr(packet.find('.') + 1)),
        name(text),
        packet_name(packet),
        traits(traits_of(text)) {
    if (of.hasTag(at::Tag::nondeterministic_seeded)) traits |= static_cast<uint32_t>(Trait::kRandom);
    for (const c10::Argument& argument : of.schema().arguments()) {
      arguments.emplace_back(argument.name());
      writes.push_back(argument.alias_info() != nullptr && argument.alias_info()->isWrite());
      mutates = mutates || writes.back();
    }
  }
  Facts(const Facts&) = delete;
  Facts& operator=(const Facts&) = delete;

  c10::OperatorHandle handle;
  std::string text;
  std::string_view packet, short_name;  // of text
  OpName name, packet_name;
  uint32_t traits;
  std::vector<std::string> arguments;
  std::vector<bool> writes;
  bool mutates = false;
};

// Every operator that was ever asked for. Lives as long as the process: libraries take their operators away at its end.
class Op::Table {
 public:
  static Table& get() {
    static Table* table = new Table();
    return *table;
  }

  const Facts* find(std::string_view text) {
    const std::lock_guard lock(mutex_);
    return known(OpName(text).id(), text);
  }

  const Facts* of(const c10::OperatorHandle& handle) {
    auto facts = std::make_unique<Facts>(handle);
    const std::lock_guard lock(mutex_);
    const uint64_t id = facts->name.id();
    if (const Facts* before = known(id, facts->text)) return before;
    all_.push_back(std::move(facts));
    return by_name_[id] = all_.back().get();
  }

  void forget(const c10::OperatorHandle& handle) {
    const std::lock_guard lock(mutex_);
    by_name_.erase(OpName(join_text(handle.operator_name())).id());
  }

 private:
  // An operator that is registered again is another one, with another schema maybe.
  struct Listener : c10::OpRegistrationListener {
    explicit Listener(Table* of) : table(of) {}
    void onOperatorRegistered(const c10::OperatorHandle&) override {}
    void onOperatorDeregistered(const c10::OperatorHandle& op) override { table->forget(op); }
    Table* table;
  };

  Table() : registration_(c10::Dispatcher::singleton().addRegistrationListener(std::make_unique<Listener>(this))) {}

  const Facts* known(uint64_t id, std::string_view text) const {
    const auto found = by_name_.find(id);
    if (found == by_name_.end()) return nullptr;
    if (found->second->text != text) {
      throw Error(std::string(text), "its name has the same number as that of " + found->second->text);
    }
    return found->second;
  }

  std::mutex mutex_;
  std::vector<std::unique_ptr<const Facts>> all_;
  std::unordered_map<uint64_t, const Facts*> by_name_;
  c10::RegistrationHandleRAII registration_;
};

Op::Op(const c10::OperatorHandle& handle) : facts_(nullptr) {
  // A handle says its name at once; the facts take longer.
  facts_ = Table::get().find(join_text(handle.operator_name()));
  if (facts_ == nullptr) facts_ = Table::get().of(handle);
}

std::optional<Op> Op::try_find(std::string_view text) {
  if (const Facts* facts = Table::get().find(text)) return Op(facts);
  const auto name = split_text(text);
  if (!name) return std::nullopt;
  auto handle = c10::Dispatcher::singleton().findSchema(*name);
  if (!handle && define_late_operators(name->name.substr(0, name->name.find("::")).c_str())) {
    handle = c10::Dispatcher::singleton().findSchema(*name);
  }
  if (!handle) return std::nullopt;
  return Op(*handle);
}

Op Op::find(std::string_view text) {
  auto op = try_find(text);
  if (!op) {
    throw Error(std::string(text), "no such operator in this libtorch")
        .hint("operators are written namespace.name.overload, as in aten.conv2d.default");
  }
  return *op;
}

const std::string& Op::text() const { return facts_->text; }
std::string_view Op::packet() const { return facts_->packet; }
std::string_view Op::short_name() const { return facts_->short_name; }
OpName Op::name() const { return facts_->name; }
OpName Op::packet_name() const { return facts_->packet_name; }
const c10::OperatorHandle& Op::handle() const { return facts_->handle; }
bool Op::mutates() const { return facts_->mutates; }
bool Op::is(Trait trait) const { return (facts_->traits & static_cast<uint32_t>(trait)) != 0; }

int Op::argument_index(std::string_view name) const {
  const auto& names = facts_->arguments;
  const auto found = std::find(names.begin(), names.end(), name);
  return found == names.end() ? -1 : static_cast<int>(found - names.begin());
}

bool Op::writes_argument(size_t i) const { return i < facts_->writes.size() && facts_->writes[i]; }

std::optional<Op> Op::in_place() const {
  return try_find(str(packet(), "_", std::string_view(text()).substr(packet().size())));
}

}  // namespace octet
