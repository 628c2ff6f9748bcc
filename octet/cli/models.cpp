#include "octet/models/registry.h"

#include <ATen/ops/zeros.h>

#include "octet/cli/print.h"
#include "octet/cli/verbs.h"
#include "octet/graph/record.h"
#include "octet/lowering/stats.h"
#include "octet/report/model_reports.h"

namespace octet::cli {

void models(const ModelsArguments& arguments) {
  report::KnownModelsReport report;
  for (const ModelFacts& facts : known_models()) {
    const std::shared_ptr<Model> net = make_model(facts.name);
    net->eval();
    std::vector<int64_t> sizes = net->sample_shape();
    sizes.insert(sizes.begin(), 1);
    const ModelStats stats = model_stats(*export_module(*net, {at::zeros(sizes)}));
    report.models.push_back(
        {facts.name, sizes, stats.parameters, stats.macs, facts.purpose, facts.state_dict, facts.options});
  }
  report.names = model_names();
  print(report, arguments.json);
}

}  // namespace octet::cli
