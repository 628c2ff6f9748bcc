#include <charconv>
#include <mutex>

#include "octet/quantize/observers.h"
#include "octet/support/error.h"

namespace octet {
namespace {

constexpr std::string_view kProduct = "input * weight";
constexpr std::string_view kBiasProduct = "bias = input * weight";

QParams product(const std::vector<QParams>& sources) {
  if (sources.size() != 2) throw expected(std::string(kBiasProduct), "sources", "2", octet::str(sources.size()));
  const at::Tensor scale = sources[0].scale.flatten() * sources[1].scale.flatten();
  return {scale, at::zeros_like(scale, scale.options().dtype(at::kLong))};
}

QParams repeated(const QParams& grid, int64_t times) {
  return {grid.scale.repeat({times}), grid.zero_point.repeat({times})};
}

// Each scale `times` times before the next.
QParams repeated_each(const QParams& grid, int64_t times) {
  return {grid.scale.repeat_interleave(times), grid.zero_point.repeat_interleave(times)};
}

// Of a weight in blocks, output channels first: the largest product of each channel, in steps of `levels`.
QParams product_of_blocks(const std::vector<QParams>& sources, int64_t levels) {
  if (sources.size() != 2) throw expected(std::string(kBiasProduct), "sources", "2", octet::str(sources.size()));
  const at::Tensor& blocks = sources[1].scale;
  const at::Tensor products = sources[0].scale.flatten() * blocks.reshape({blocks.size(0), -1});
  const at::Tensor scale = products.amax(1) / static_cast<double>(levels);
  return {scale, at::zeros_like(scale, scale.options().dtype(at::kLong))};
}

// The number between `before` and `after`, if the text is just that.
std::optional<int64_t> number_between(std::string_view text, std::string_view before, std::string_view after) {
  if (!text.starts_with(before) || !text.ends_with(after) || text.size() <= before.size() + after.size()) {
    return std::nullopt;
  }
  const std::string_view digits = text.substr(before.size(), text.size() - before.size() - after.size());
  int64_t value = 0;
  const auto [end, failure] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (failure != std::errc() || end != digits.data() + digits.size() || value < 1) return std::nullopt;
  return value;
}

std::optional<Derivation> product_by_name(const std::string& name) {
  std::string_view rest = name;
  if (rest.starts_with(kBiasProduct)) {
    rest.remove_prefix(kBiasProduct.size());
  } else if (rest.starts_with(kProduct)) {
    rest.remove_prefix(kProduct.size());
  } else {
    return std::nullopt;
  }
  if (rest.empty()) return Derivation{name, product};
  if (const auto times = number_between(rest, ", tiled ", "")) {
    return Derivation{name, [times](const std::vector<QParams>& from) { return repeated(product(from), *times); }};
  }
  if (const auto times = number_between(rest, ", each ", " times")) {
    return Derivation{name, [times](const std::vector<QParams>& from) { return repeated_each(product(from), *times); }};
  }
  if (const auto levels = number_between(rest, " of blocks / ", "")) {
    return Derivation{name, [levels](const std::vector<QParams>& from) { return product_of_blocks(from, *levels); }};
  }
  const auto channels = number_between(rest, " for ", " channels");
  if (!channels) return std::nullopt;
  return Derivation{name, [channels, name](const std::vector<QParams>& from) {
                      const QParams grid = product(from);
                      if (*channels % grid.scale.numel() != 0) {
                        throw expected(name, "channels", octet::str("a multiple of ", grid.scale.numel(), " scales"),
                                       octet::str(*channels));
                      }
                      return repeated(grid, *channels / grid.scale.numel());
                    }};
}

struct Registry {
  std::mutex mutex;
  std::map<std::string, Derivation> by_name;
};

Registry& registry() {
  static Registry all;
  return all;
}

}  // namespace

Derivation bias_derivation() { return {std::string(kBiasProduct), product}; }

Derivation find_derivation(const std::string& name) {
  {
    Registry& all = registry();
    const std::lock_guard lock(all.mutex);
    const auto found = all.by_name.find(name);
    if (found != all.by_name.end()) return found->second;
  }
  if (auto known = product_by_name(name)) return *known;
  throw Error("", octet::str("unknown derivation '", name, "'")).hint("register_derivation() it before loading");
}

void register_derivation(const Derivation& derivation) {
  Registry& all = registry();
  const std::lock_guard lock(all.mutex);
  all.by_name.insert_or_assign(derivation.name, derivation);
}

}  // namespace octet
