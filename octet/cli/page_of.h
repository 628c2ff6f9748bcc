#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "octet/cli/data.h"
#include "octet/graph/graph_module.h"
#include "octet/integer/executor.h"
#include "octet/report/page.h"
#include "octet/targets/engine/table_quantizer.h"
#include "octet/train/task.h"

namespace octet::cli {

/// What a page measures models on.
struct PageData {
  ModelData data;
  Task task;
};

/// Adds a row of what a model is worth.
void measure(report::Page& page, const std::string& name, std::shared_ptr<GraphModule> model, const PageData& data);
/// The same of a quantized model in integers, where its program can be written; else nothing.
void measure_in_integers(report::Page& page, const std::string& name, const GraphModule& quantized,
                         const PageData& data);
/// The same of a program that was read.
void measure_program(report::Page& page, const std::string& name, std::shared_ptr<const integer::Executor> program,
                     const PageData& data);

/// Placement and memory of a model, and of its integer program what is alive at each operator, where there is one.
void add_placement(report::Page& page, const GraphModule& model, targets::TableQuantizer& quantizer);

/// Noise and ranges by layer, on one run of both. `float_model` as the quantizer's passes leave it
/// (TableQuantizer::explain). Where the quantized model's weights were trained on since, it is held against itself with
/// its values in float, and the page says so. Nothing for an empty sample.
void add_noise(report::Page& page, GraphModule& float_model, GraphModule& quantized,
               const std::vector<at::Tensor>& sample, const targets::Target& target);

/// Facts about this program, and the machine's threads and seed.
void add_versions(report::Page& page, std::optional<uint64_t> seed);

/// Writes the page, and says so.
void write_page(const report::Page& page, const std::string& path);

}  // namespace octet::cli
