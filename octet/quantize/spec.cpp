#include "octet/quantize/spec.h"

#include <cmath>

#include "octet/formats/dtype.h"
#include "octet/graph/node.h"
#include "octet/quantize/observer.h"
#include "octet/quantize/spec_text.h"
#include "octet/support/error.h"

namespace octet {
namespace {

bool is_per_channel_scheme(at::QScheme qscheme) {
  return qscheme == at::kPerChannelAffine || qscheme == at::kPerChannelSymmetric ||
         qscheme == at::kPerChannelAffineFloatQParams;
}

// Given one by one, unlike resolve_quant_range, which takes a lone bound for none.
void check_bounds(at::ScalarType dtype, std::optional<int64_t> low, std::optional<int64_t> high,
                  const std::string& where) {
  if (low && high && *low > *high) {
    throw expected(where, "quant_min", octet::str("at most quant_max ", *high), octet::str(*low));
  }
  const auto whole = dtype_range(dtype);
  if (!whole) return;
  const auto check = [&](const char* field, std::optional<int64_t> bound) {
    if (bound && (*bound < whole->first || *bound > whole->second)) {
      throw expected(where, field,
                     octet::str("within ", dtype_name(dtype), "'s [", whole->first, ", ", whole->second, "]"),
                     octet::str(*bound));
    }
  };
  check("quant_min", low);
  check("quant_max", high);
  if (low.has_value() != high.has_value()) {
    throw Error(where,
                octet::str(low ? "quant_min" : "quant_max", " is given without ", low ? "quant_max" : "quant_min"))
        .hint("give both, or none for the whole range of the dtype");
  }
}

void check_axis(at::QScheme qscheme, std::optional<int64_t> axis, const std::string& where) {
  if (axis && *axis < 0) throw expected(where, "ch_axis", "0 or more", octet::str(*axis));
  if (!axis && is_per_channel_scheme(qscheme)) {
    throw Error(where, octet::str(qscheme_text(qscheme), " needs ch_axis")).hint("set the dimension of the channels");
  }
}

void check_block(const QuantizationSpec& spec, const std::string& where) {
  if (spec.block_size.empty()) return;
  if (is_per_channel_scheme(spec.qscheme)) {
    throw expected(where, "qscheme of blocks", "a per-tensor one", qscheme_text(spec.qscheme));
  }
  for (const int64_t size : spec.block_size) {
    if (size < 1) throw expected(where, "block_size", "1 or more in each dimension", octet::str(size));
  }
}

void check(const QuantizationSpec& spec, const std::string& where) {
  if (!spec.observer_or_fake_quant.make) {
    throw Error(where, "observer_or_fake_quant is not set").hint("take one of octet/quantize/factories.h");
  }
  check_bounds(spec.dtype, spec.quant_min, spec.quant_max, where);
  check_axis(spec.qscheme, spec.ch_axis, where);
  if (spec.zero_point) {
    const auto whole = dtype_range(spec.dtype);
    const int64_t low = spec.quant_min.value_or(whole ? whole->first : *spec.zero_point);
    const int64_t high = spec.quant_max.value_or(whole ? whole->second : *spec.zero_point);
    if (*spec.zero_point < low || *spec.zero_point > high) {
      throw expected(where, "zero_point", octet::str("within [", low, ", ", high, "]"), octet::str(*spec.zero_point));
    }
    if (spec.qscheme != at::kPerTensorSymmetric && spec.qscheme != at::kPerChannelSymmetric) {
      throw expected(where, "qscheme beside a zero_point", "a symmetric one", qscheme_text(spec.qscheme));
    }
  }
  for (const EdgeOrNode& follower : spec.followers) {
    if (follower.node == nullptr) throw Error(where, "followers holds an empty edge");
  }
  check_block(spec, where);
}

void check(const FixedQParamsQuantizationSpec& spec, const std::string& where) {
  check_bounds(spec.dtype, spec.quant_min, spec.quant_max, where);
  if (is_per_channel_scheme(spec.qscheme)) {
    throw expected(where, "qscheme", "a per-tensor one", qscheme_text(spec.qscheme));
  }
  // What computes with it is float32.
  const auto scale = static_cast<float>(spec.scale);
  if (!(scale > 0) || !std::isfinite(scale)) {
    throw expected(where, "scale", "positive and finite", octet::str(spec.scale));
  }
  if (spec.is_dynamic) throw Error(where, "is_dynamic contradicts a fixed scale and zero point");
  const auto whole = dtype_range(spec.dtype);
  const bool given = spec.quant_min && spec.quant_max;
  if (!given && !whole) return;
  const int64_t low = given ? *spec.quant_min : whole->first;
  const int64_t high = given ? *spec.quant_max : whole->second;
  if (spec.zero_point < low || spec.zero_point > high) {
    throw expected(where, "zero_point", octet::str("within [", low, ", ", high, "]"), octet::str(spec.zero_point));
  }
  if (spec.qscheme == at::kPerTensorSymmetric && low < 0 && spec.zero_point != 0) {
    throw expected(where, "zero_point", "0 for a symmetric scheme", octet::str(spec.zero_point));
  }
}

void check(const SharedQuantizationSpec& spec, const std::string& where) {
  if (spec.edge_or_node.node == nullptr) throw Error(where, "the shared spec names no edge or node");
}

void check(const DerivedQuantizationSpec& spec, const std::string& where) {
  check_bounds(spec.dtype, spec.quant_min, spec.quant_max, where);
  check_axis(spec.qscheme, spec.ch_axis, where);
  if (!spec.derive_qparams) throw Error(where, "derive_qparams is not set");
  if (spec.derived_from.empty()) throw Error(where, "derived_from names no edge or node");
  for (const EdgeOrNode& source : spec.derived_from) {
    if (source.node == nullptr) throw Error(where, "derived_from holds an empty edge");
  }
}

std::string range_text(std::optional<int64_t> low, std::optional<int64_t> high) {
  if (!low && !high) return "";
  const auto bound = [](std::optional<int64_t> value) { return value ? octet::str(*value) : std::string("?"); };
  return octet::str("[", bound(low), ", ", bound(high), "]");
}

std::string axis_text(std::optional<int64_t> axis) { return axis ? octet::str(" axis ", *axis) : ""; }

std::string block_text(const std::vector<int64_t>& block_size) {
  return block_size.empty() ? "" : octet::str(" in blocks of [", join(", ", block_size), "]");
}

std::string spec_text(const QuantizationSpec& spec) {
  return octet::str(dtype_name(spec.dtype), range_text(spec.quant_min, spec.quant_max), " ", qscheme_text(spec.qscheme),
                    axis_text(spec.ch_axis), block_text(spec.block_size),
                    spec.zero_point ? octet::str(" zero point ", *spec.zero_point) : "",
                    spec.is_dynamic ? " dynamic" : "", " ", spec.observer_or_fake_quant.name,
                    spec.followers.empty() ? "" : octet::str(" followed by ", spec.followers.size(), " more"));
}

std::string spec_text(const FixedQParamsQuantizationSpec& spec) {
  return octet::str(dtype_name(spec.dtype), range_text(spec.quant_min, spec.quant_max), " ", qscheme_text(spec.qscheme),
                    spec.is_dynamic ? " dynamic" : "", " fixed scale ", spec.scale, " zero point ", spec.zero_point);
}

std::string spec_text(const SharedQuantizationSpec& spec) { return "shared with " + spec.edge_or_node.text(); }

std::string spec_text(const DerivedQuantizationSpec& spec) {
  std::string sources;
  for (const EdgeOrNode& source : spec.derived_from) sources += (sources.empty() ? "" : ", ") + source.text();
  return octet::str(dtype_name(spec.dtype), range_text(spec.quant_min, spec.quant_max), " ", qscheme_text(spec.qscheme),
                    axis_text(spec.ch_axis), " derived (", spec.derive_name, ") from ", sources);
}

struct SchemeName {
  at::QScheme qscheme;
  const char* name;
};
constexpr SchemeName kSchemeNames[] = {
    {at::kPerTensorAffine, "per_tensor_affine"},
    {at::kPerTensorSymmetric, "per_tensor_symmetric"},
    {at::kPerChannelAffine, "per_channel_affine"},
    {at::kPerChannelSymmetric, "per_channel_symmetric"},
    {at::kPerChannelAffineFloatQParams, "per_channel_affine_float_qparams"},
};

}  // namespace

std::string qscheme_text(at::QScheme qscheme) {
  for (const SchemeName& entry : kSchemeNames) {
    if (entry.qscheme == qscheme) return entry.name;
  }
  throw Error("", "unknown quantization scheme");
}

at::QScheme qscheme_from_text(const std::string& text) {
  for (const SchemeName& entry : kSchemeNames) {
    if (entry.name == text) return entry.qscheme;
  }
  throw Error("", octet::str("unknown quantization scheme '", text, "'"));
}

std::string EdgeOrNode::text() const {
  if (node == nullptr) return "nothing";
  if (consumer == nullptr) return octet::str("output of '", node->name(), "'");
  return octet::str("edge '", node->name(), "' -> '", consumer->name(), "'");
}

void validate(const AnySpec& spec, const std::string& where) {
  std::visit([&](const auto& kind) { check(kind, where); }, spec);
}

std::string text(const AnySpec& spec) {
  return std::visit([](const auto& kind) { return spec_text(kind); }, spec);
}

const AnySpec* QuantizationAnnotation::input(const Node* producer) const {
  for (const auto& [node, spec] : input_qspec_map) {
    if (node == producer) return &spec;
  }
  return nullptr;
}

void QuantizationAnnotation::set_input(Node* producer, AnySpec spec) {
  for (auto& [node, present] : input_qspec_map) {
    if (node == producer) {
      present = std::move(spec);
      return;
    }
  }
  input_qspec_map.emplace_back(producer, std::move(spec));
}

void QuantizationAnnotation::remap(const NodeMap& copies) {
  const auto remap_spec = [&](AnySpec& spec) {
    for_each_place(spec, [&](EdgeOrNode& place) {
      place.node.remap(copies);
      place.consumer.remap(copies);
    });
  };
  for (auto& [producer, spec] : input_qspec_map) {
    producer.remap(copies);
    remap_spec(spec);
  }
  if (output_qspec) remap_spec(*output_qspec);
}

void for_each_place(AnySpec& spec, const std::function<void(EdgeOrNode&)>& visit) {
  if (auto* plain = std::get_if<QuantizationSpec>(&spec)) {
    for (EdgeOrNode& follower : plain->followers) visit(follower);
  }
  if (auto* shared = std::get_if<SharedQuantizationSpec>(&spec)) visit(shared->edge_or_node);
  if (auto* derived = std::get_if<DerivedQuantizationSpec>(&spec)) {
    for (EdgeOrNode& source : derived->derived_from) visit(source);
  }
}

QuantizationAnnotation* annotation(Node& node) { return node.notes().find(kAnnotationKey); }

const QuantizationAnnotation* annotation(const Node& node) { return node.notes().find(kAnnotationKey); }

QuantizationAnnotation& ensure_annotation(Node& node) { return node.notes()[kAnnotationKey]; }

bool is_annotated(const Node& node) {
  const QuantizationAnnotation* present = annotation(node);
  return present != nullptr && present->annotated;
}

}  // namespace octet
