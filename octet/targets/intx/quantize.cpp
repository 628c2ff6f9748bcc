#include "octet/targets/intx/quantize.h"

#include "octet/quantize/quantize_pt2e.h"
#include "octet/targets/engine/table_quantizer.h"
#include "octet/targets/intx/target.h"

namespace octet {
namespace {

targets::QuantizerOptions options_for(const IntxConfig& config) {
  targets::QuantizerOptions options;
  options.scheme = intx::mode_name(intx::choice_of(config));
  options.settings["operators"] = "all";  // of which the filter takes some
  return options;
}

class FilteredQuantizer : public targets::TableQuantizer {
 public:
  FilteredQuantizer(const IntxConfig& config, const std::function<bool(const Node&)>& filter)
      : TableQuantizer(std::make_shared<const targets::Target>(intx::target()), options_for(config), "quantize_"),
        filter_(filter) {}

 protected:
  bool takes(const Node& node) const override { return filter_(node); }

 private:
  const std::function<bool(const Node&)>& filter_;
};

}  // namespace

bool is_linear(const Node& node) { return node.is(Trait::kLinear); }

std::shared_ptr<GraphModule> quantize_(std::shared_ptr<GraphModule> model, const IntxConfig& config,
                                       const std::function<bool(const Node&)>& filter) {
  FilteredQuantizer quantizer(config, filter);
  return finish(prepare(std::move(model), quantizer), quantizer);
}

}  // namespace octet
