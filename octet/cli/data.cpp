#include "octet/cli/data.h"

#include "octet/graph/batch.h"
#include "octet/support/error.h"
#include "octet/train/transforms.h"

namespace octet::cli {
namespace {

std::vector<int64_t> without_batch(const Node& input) {
  const std::vector<int64_t>& sizes = input.sizes();
  return sizes.empty() ? sizes : std::vector<int64_t>(sizes.begin() + 1, sizes.end());
}

void check_inputs(const GraphModule& module, const Dataset& data) {
  const std::vector<Node*> inputs = module.graph().placeholders();
  const auto shapes = data.sample_shapes();
  if (inputs.size() != shapes.size()) {
    throw expected(data.name(), "inputs a sample", octet::str(inputs.size(), ", as many as the model has"),
                   std::to_string(shapes.size()));
  }
  if (data.image_facts() != nullptr) return;  // images are brought to the model's size
  for (size_t i = 0; i < inputs.size(); ++i) {
    const std::vector<int64_t> wanted = without_batch(*inputs[i]);
    if (shapes[i] != wanted) {
      throw expected(data.name(), octet::str("shape of a sample for input '", inputs[i]->name(), "'"),
                     octet::str('[', c10::Join(", ", wanted), ']'), octet::str('[', c10::Join(", ", shapes[i]), ']'));
    }
  }
}

}  // namespace

ModelData open_data_for(GraphModule& module, const DataChoice& choice, Split split, int64_t default_batch) {
  DataOptions options;
  options.limit = choice.samples;
  ModelData data;
  data.dataset = open_data(choice.spec, split, options);
  check_inputs(module, *data.dataset);
  data.batch_size = choice.batch_size > 0               ? choice.batch_size
                    : data.dataset->natural_batch() > 0 ? data.dataset->natural_batch()
                                                        : std::min<int64_t>(default_batch, data.dataset->size());
  const Node& input = *module.graph().placeholders().at(0);
  data.transform = standard_transform(*data.dataset, without_batch(input), choice.augment);
  if (input.sizes().empty() || data.batch_size != input.sizes()[0]) make_batch_flexible(module);
  return data;
}

}  // namespace octet::cli
