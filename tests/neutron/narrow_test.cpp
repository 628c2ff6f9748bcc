// Values that their readers flatten beyond some place: no grid holds what lies there.

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

// An input of -60 to 20 through this activation alone.
double db_behind(const std::string& activation, MulRange range, bool is_qat) {
  GraphBuilder g;
  const auto model = g.finish({g.call(activation, {g.input({1, 4, 16, 16})})});
  const std::vector<at::Tensor> inputs = {at::linspace(-60, 20, 1024).view({1, 4, 16, 16})};
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
      EXPECT_GT(narrow, 38.0) << name << (is_qat ? " in training" : "");
      if (activation == "aten.silu.default") continue;  // in float otherwise
      EXPECT_GT(narrow, db_behind(activation, MulRange::kReference, is_qat) + 5.0) << name;
    }
  }
}

}  // namespace
}  // namespace octet
