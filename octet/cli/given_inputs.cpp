#include "octet/cli/given_inputs.h"

#include <algorithm>

#include "octet/cli/common.h"
#include "octet/formats/dtype.h"
#include "octet/support/text.h"

namespace octet::cli {
namespace {

std::string text_of(at::ScalarType type, const std::vector<int64_t>& sizes) {
  return octet::str(dtype_name(type), sizes_text(sizes));
}

bool only_batch_differs(const std::vector<int64_t>& exported, const std::vector<int64_t>& given) {
  return !given.empty() && exported.size() == given.size() && exported[0] != given[0] &&
         std::equal(exported.begin() + 1, exported.end(), given.begin() + 1);
}

}  // namespace

void take_batch_of(const std::string& where, GraphModule& module, const std::vector<at::Tensor>& inputs) {
  const std::vector<Node*> placeholders = module.graph().placeholders();
  if (inputs.empty() || inputs.size() != placeholders.size()) return;
  bool differs = false;
  for (size_t i = 0; i < inputs.size(); ++i) {
    const std::vector<int64_t> given = inputs[i].sizes().vec();
    if (!placeholders[i]->meta()) return;
    if (placeholders[i]->sizes() == given) continue;
    if (!only_batch_differs(placeholders[i]->sizes(), given)) return;
    differs = true;
  }
  if (!differs) return;
  free_batch(module, where);
}

Error of_inputs(const std::string& where, const GraphModule& module, const std::vector<at::Tensor>& inputs,
                const Error& error) {
  const std::vector<Node*> placeholders = module.graph().placeholders();
  if (inputs.size() != placeholders.size()) return error;
  for (size_t i = 0; i < inputs.size(); ++i) {
    const std::optional<TensorMeta>& meta = placeholders[i]->meta();
    const std::vector<int64_t> given = inputs[i].sizes().vec();
    const at::ScalarType type = inputs[i].scalar_type();
    if (!meta || (meta->sizes == given && meta->dtype == type)) continue;
    const bool is_batch = only_batch_differs(meta->sizes, given);
    return expected(where, octet::str("input '", placeholders[i]->name(), "'"), text_of(meta->dtype, meta->sizes),
                    octet::str(text_of(type, given), ": ", error.what()))
        .hint(is_batch ? "give a batch as the model was exported with, or export it with a dynamic one"
                       : "give the inputs in the order and sizes of the export, or export it with these sizes dynamic");
  }
  return error;
}

}  // namespace octet::cli
