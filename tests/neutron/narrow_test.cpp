// Values that their readers flatten beyond some place: no grid holds what lies there.

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/linspace.h>
#include <gtest/gtest.h>

#include "octet/integer/executor.h"
#include "octet/lowering/lowering.h"
#include "octet/quantize/sqnr.h"
#include "octet/targets/engine/calibrate_and_quantize.h"
#include "octet/targets/neutron/neutron_quantizer.h"
#include "tests/engine/graph_builder.h"

namespace octet {
namespace {

using test::GraphBuilder;

// Values of -56 to 22 through this activation alone.
double db_behind(const std::string& activation, MulRange range, bool is_qat) {
  GraphBuilder g;
  const std::vector<int64_t> sizes = {1, 4, 16, 16};
  Node* sum = g.call("aten.add.Tensor", {g.input(sizes), g.input(sizes)});
  const auto model = g.finish({g.call(activation, {sum})});
  const at::Tensor x = at::linspace(-30, 10, 1024).view(sizes);
  const std::vector<at::Tensor> inputs = {x * 1.7, x.sin() * 5};
  const at::Tensor wanted = model->copy()->run(inputs)[0];
  NeutronOptions options;
  options.is_qat = is_qat;
  options.mul_range = range;
  NeutronQuantizer quantizer(options);
  const auto quantized = calibrate_and_quantize(model, {inputs}, quantizer);
  const double db = compute_error(wanted, quantized->run(inputs)[0]);
  const double in_integers = compute_error(wanted, integer::Executor(lower(*quantized)).run_dequantized(inputs)[0]);
  EXPECT_NEAR(db, in_integers, 1.5) << activation;
  return db;
}

TEST(NarrowRanges, WhatAnActivationFlattensTakesNoLevels) {
  for (const bool is_qat : {false, true}) {
    for (const char* name : {"relu", "hardswish", "sigmoid", "silu"}) {
      const std::string activation = octet::str("aten.", name, ".default");
      const double narrow = db_behind(activation, MulRange::kObserved, is_qat);
      EXPECT_GT(narrow, 30.0) << name << (is_qat ? " in training" : "");
      if (activation == "aten.silu.default") continue;  // in float otherwise
      EXPECT_GT(narrow, db_behind(activation, MulRange::kReference, is_qat) + 2.0) << name;
    }
  }
}

}  // namespace
}  // namespace octet
