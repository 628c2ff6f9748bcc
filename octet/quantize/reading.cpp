#include "octet/quantize/reading.h"

#include <ATen/ATen.h>

#include <cmath>
#include <limits>
#include <optional>
#include <utility>
#include <vector>

#include "octet/kernels/fake_quantize_kernel.h"
#include "octet/kernels/small_tensors.h"
#include "octet/quantize/range_meeting.h"
#include "octet/support/error.h"

namespace octet {
namespace {

constexpr float kBeyondAll = 1e30F;    // of a finite number that no network computes
constexpr float kSentinel = -1e4F;     // in front of a maximum, from here on down
constexpr float kFarBeyond = 64.0F;    // times the reach of all other elements
constexpr float kNoShare = 64.0F;      // below a row's greatest: a share of the softmax below 2^-92
constexpr float kHalfAStep = 8.0F;     // exp(-8) is below half of 1/256
constexpr float kSpreadOfSum = 32.0F;  // that the other summand may take off the distance

constexpr std::pair<Reading, const char*> kNames[] = {{Reading::kPlain, "plain"},
                                                      {Reading::kMaximum, "maximum"},
                                                      {Reading::kSoftmax, "softmax"},
                                                      {Reading::kSummed, "summed softmax"},
                                                      {Reading::kTakenOff, "taken off softmax"},
                                                      {Reading::kRelu, "relu"},
                                                      {Reading::kRelu6, "relu6"},
                                                      {Reading::kHardswish, "hardswish"},
                                                      {Reading::kSilu, "silu"},
                                                      {Reading::kSigmoid, "sigmoid"},
                                                      {Reading::kTanh, "tanh"}};

bool is_one_of(const Node& node, std::initializer_list<const char*> ops) {
  return std::any_of(ops.begin(), ops.end(), [&](const char* op) { return node.is_call(op); });
}

int64_t last_size(const Node& node) { return node.meta() && node.meta()->rank() > 0 ? node.sizes().back() : -1; }

bool turns_last_dimension(const Node& node) {
  const int64_t rank = node.meta()->rank();
  const auto is_last = [&](const char* name) { return (node.arg(name).to_int() + rank) % rank == rank - 1; };
  if (node.is_call("aten.permute.default")) return (node.arg("dims").to_ints().back() + rank) % rank != rank - 1;
  return is_one_of(node, {"aten.transpose.int"}) && is_last("dim0") != is_last("dim1");
}

// Every element that stays is what it was, and rows along the last dimension stay whole.
bool keeps_rows(const Node& node, const Node& value) {
  const bool may_keep =
      node.is(Trait::kView) ||
      is_one_of(node, {"aten.unsqueeze.default", "aten.squeeze.dim", "aten.squeeze.dims", "aten.squeeze.default",
                       "aten.expand.default", "aten.clone.default", "aten.contiguous.default", "aten.alias.default",
                       "aten.permute.default", "aten.transpose.int", "aten.cat.default", "aten.repeat.default",
                       "aten.slice.Tensor", "aten.select.int", "aten.index_select.default"});
  return may_keep && last_size(node) > 0 && last_size(node) == last_size(value) && !turns_last_dimension(node);
}

bool is_softmax_of_rows(const Node& node) {
  const bool is_softmax = is_one_of(node, {"aten.softmax.int", "aten._softmax.default", "aten._safe_softmax.default"});
  if (!is_softmax || !node.meta()) return false;
  const int64_t dim = node.arg("dim").to_int();
  return dim == -1 || dim == node.meta()->rank() - 1;
}

bool is_maximum(const Node& node) {
  return is_one_of(node, {"aten.max_pool1d.default", "aten.max_pool2d.default", "aten.amax.default"});
}

bool pads(const Node& node) { return is_one_of(node, {"aten.constant_pad_nd.default", "aten.pad.default"}); }

bool subtracts(const Node& node) { return is_one_of(node, {"aten.sub.Tensor", "aten.sub_.Tensor"}); }

// A sum or difference of two whole operands.
bool sums(const Node& node) {
  if (!subtracts(node) && !is_one_of(node, {"aten.add.Tensor", "aten.add_.Tensor"})) return false;
  return node.arg("alpha").is_constant() && node.arg("alpha").constant().toScalar().toDouble() == 1.0;
}

bool is_sigmoid(const Node& node) { return is_one_of(node, {"aten.sigmoid.default", "aten.sigmoid_.default"}); }

// A product of the value and its own sigmoid.
bool is_gated(const Node& product, const Node& value) {
  if (!is_one_of(product, {"aten.mul.Tensor", "aten.mul_.Tensor"})) return false;
  const Node* a = product.arg(size_t{0}).node();
  const Node* b = product.arg(1).node();
  if (a == nullptr || b == nullptr) return false;
  const Node& gate = a == &value ? *b : *a;
  return (a == &value || b == &value) && is_sigmoid(gate) && gate.arg(size_t{0}).node() == &value;
}

// Of functions of each element alone.
Reading flattened_by(const Node& value, const Node& reader) {
  if (is_one_of(reader, {"aten.relu.default", "aten.relu_.default"})) return Reading::kRelu;
  if (is_one_of(reader, {"aten.relu6.default", "aten.relu6_.default"})) return Reading::kRelu6;
  if (is_one_of(reader, {"aten.hardswish.default", "aten.hardswish_.default"})) return Reading::kHardswish;
  if (is_one_of(reader, {"aten.silu.default", "aten.silu_.default"})) return Reading::kSilu;
  if (is_one_of(reader, {"aten.tanh.default", "aten.tanh_.default"})) return Reading::kTanh;
  if (is_gated(reader, value)) return Reading::kSilu;
  if (!is_sigmoid(reader)) return Reading::kPlain;
  const std::vector<Node*> users = reader.users();
  const auto gates = [&](const Node* user) { return is_gated(*user, value); };
  if (!users.empty() && std::all_of(users.begin(), users.end(), gates)) return Reading::kSilu;
  return Reading::kSigmoid;
}

// Through a few steps, past few readers: what stands between a mask and its softmax is short, and graphs in which much
// is joined again and again have more ways through them than anyone can walk.
constexpr int kMostSteps = 8;
constexpr int kMostReaders = 256;

class Readers {
 public:
  Reading of(const Node& value, int left) {
    std::optional<Reading> common;
    for (const Node* reader : value.users()) {
      const Reading reading = says(value, *reader, left);
      if (reading == Reading::kPlain || (common && *common != reading)) return Reading::kPlain;
      common = reading;
    }
    return common.value_or(Reading::kPlain);
  }

  Reading says(const Node& value, const Node& reader, int left) {
    if (left == 0 || --readers_left_ < 0 || !reader.is_call()) return Reading::kPlain;
    if (is_softmax_of_rows(reader)) return Reading::kSoftmax;
    if (is_maximum(reader)) return Reading::kMaximum;
    if (pads(reader)) {
      const Reading of_padded = of(reader, left - 1);
      return of_padded == Reading::kSoftmax ? Reading::kSummed : of_padded;  // what is added may be the row's greatest
    }
    if (keeps_rows(reader, value)) return of(reader, left - 1);
    if (sums(reader) && last_size(reader) > 0 && last_size(reader) == last_size(value)) {
      const Reading of_sum = of(reader, left - 1);
      if (of_sum != Reading::kSoftmax && of_sum != Reading::kSummed) return Reading::kPlain;
      if (!subtracts(reader) || reader.arg(1).node() != &value) return Reading::kSummed;
      return reader.arg(size_t{0}).node() != &value ? Reading::kTakenOff : Reading::kPlain;
    }
    return flattened_by(value, reader);
  }

 private:
  int readers_left_ = kMostReaders;
};

at::Tensor with_rows_lifted(const at::Tensor& x, Reading reading) {
  if (x.dim() == 0) return x;
  const at::Tensor greatest = x.amax(-1, /*keepdim=*/true);
  const at::Tensor masked = x < greatest - kNoShare;
  if (!masked.any().item<bool>()) return x;
  const float distance =
      kHalfAStep + std::log(static_cast<float>(x.size(-1))) + (reading == Reading::kSummed ? kSpreadOfSum : 0.0F);
  return at::where(masked, greatest - distance, x);
}

// Without what lies at the sentinel or below, where all else is far from that, in every process.
at::Tensor without_padding(const at::Tensor& x) {
  const float nothing = -std::numeric_limits<float>::infinity();
  const at::Tensor is_low = x <= kSentinel;
  const at::Tensor others = x.masked_select(is_low.logical_not());
  const at::Tensor sentinels = x.masked_select(is_low);
  const at::Tensor greatest = at::tensor({sentinels.numel() > 0 ? first_value<float>(sentinels.max()) : nothing,
                                          others.numel() > 0 ? first_value<float>(others.abs().max()) : nothing});
  meet_greatest(greatest);
  const float of_sentinels = first_value<float>(greatest[0]), of_others = first_value<float>(greatest[1]);
  if (of_sentinels == nothing || of_others == nothing) return x;
  return -of_sentinels >= kFarBeyond * of_others ? others : x;
}

// Where x * sigmoid(x) is -`size`, on the side where it goes to 0.
float tail_of_silu(double size) {
  constexpr double kLowest = -1.2785;  // there it is least
  double low = -40.0, high = kLowest;
  for (int step = 0; step < 50; ++step) {
    const double middle = (low + high) / 2;
    (-middle / (1.0 + std::exp(-middle)) > size ? high : low) = middle;
  }
  return static_cast<float>(low);
}

bool is_counted(float value) { return std::abs(value) < kBeyondAll; }  // false for infinities

}  // namespace

bool flattens(Reading reading) { return reading >= Reading::kRelu; }

namespace {

// The bounds beyond which elements count as these, for a value whose greatest element is `high`; infinite where there
// are none.
std::pair<float, float> flat_bounds(Reading reading, float high) {
  constexpr float kNone = std::numeric_limits<float>::infinity();
  constexpr double kStepsOfResult = 2048.0;  // eighths of a step of 255 levels, roughly
  constexpr float kLastLevel = 6.2363696F;   // ln(511): the sigmoid is half a step of 1/256 from 0 or 1
  if (reading == Reading::kRelu) return {0.0F, kNone};
  if (reading == Reading::kRelu6) return {0.0F, 6.0F};
  if (reading == Reading::kHardswish) return {-3.0F, kNone};
  if (reading == Reading::kSilu) return {tail_of_silu(std::max(high, 1.0F) / kStepsOfResult), kNone};
  if (reading == Reading::kSigmoid) return {-kLastLevel, kLastLevel};
  if (reading == Reading::kTanh) return {-kLastLevel / 2, kLastLevel / 2};
  return {-kNone, kNone};
}

}  // namespace

Reading reading_of(const Node& value) { return Readers().of(value, kMostSteps); }
Reading reading_of(const Node& value, const Node& reader) { return Readers().says(value, reader, kMostSteps); }

const char* text(Reading reading) {
  for (const auto& [known, word] : kNames) {
    if (known == reading) return word;
  }
  return "plain";
}

Reading reading_from(const std::string& word) {
  for (const auto& [known, name] : kNames) {
    if (name == word) return known;
  }
  return Reading::kPlain;
}

bool is_whole_range(float low, float high, Reading reading) {
  if (!is_counted(low) || !is_counted(high)) return false;  // NaN too
  return reading == Reading::kPlain || flattens(reading) || (reading == Reading::kMaximum && low > kSentinel);
}

SeenRange seen_range(const std::string& observer, const at::Tensor& x, Reading reading) {
  SeenRange seen{x, {}, {}};
  if (reading == Reading::kSoftmax || reading == Reading::kSummed) seen.elements = with_rows_lifted(x, reading);
  if (reading == Reading::kTakenOff) seen.elements = -with_rows_lifted(-x, Reading::kSummed);
  seen.elements = flat_memory(seen.elements);
  const auto measure = [&] { std::tie(seen.low, seen.high) = min_max(seen.elements); };
  measure();
  const at::Tensor all = seen.elements;
  if (std::isnan(first_value<float>(seen.low)) || std::isnan(first_value<float>(seen.high))) {
    throw Error(observer, "the observed tensor holds NaN")
        .hint("look for a diverging loss (lower the learning rate) or a division by 0");
  }
  if (!is_counted(first_value<float>(seen.low)) || !is_counted(first_value<float>(seen.high))) {
    seen.left_out = true;
    seen.elements = seen.elements.masked_select(seen.elements.abs() < kBeyondAll);
  }
  const bool may_be_padded = ranges_meet() || first_value<float>(seen.low) <= kSentinel;
  if (reading == Reading::kMaximum && may_be_padded) seen.elements = without_padding(seen.elements);
  if (seen.elements.numel() == 0) {
    seen.low = seen.high = at::Tensor();
  } else if (!seen.elements.is_same(all)) {
    measure();
  }
  return seen;
}

void flatten(SeenRange& seen, Reading reading) {
  if (!flattens(reading) || !seen.low.defined()) return;
  const float least = first_value<float>(seen.low), greatest = first_value<float>(seen.high);
  const auto [low, high] = flat_bounds(reading, greatest);
  if (least >= low && greatest <= high) return;
  for (at::Tensor* each : {&seen.elements, &seen.low, &seen.high}) {
    if (each->defined()) *each = each->clamp(low, high);
  }
}

}  // namespace octet
