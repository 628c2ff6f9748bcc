#pragma once

#include <ATen/core/Tensor.h>

#include <memory>
#include <optional>
#include <vector>

#include "octet/formats/tflite.h"
#include "octet/integer/kernel.h"
#include "octet/integer/memory_plan.h"
#include "octet/integer/memory_pool.h"
#include "octet/support/api.h"

namespace octet::integer {

struct OCTET_API ExecutorOptions {
  bool check_overflow = false;  ///< an accumulator that leaves int32 is an octet::Error; slow
  Path path = best_path();      ///< all give the same bits
};

/// Runs an int8 program with the integers of TFLite's reference kernels, to the bit, whatever the instruction set and
/// the number of threads.
///
///     integer::Executor executor(tflite::read("model.tflite"));
///     std::vector<at::Tensor> results = executor.run({image});  // int8, NHWC
class OCTET_API Executor {
 public:
  /// Prepares every operator. Throws octet::Error naming the operator that it has no kernel for, or that does not fit.
  explicit Executor(tflite::Model model, ExecutorOptions options = {});

  /// The program that runs: as given, but for what depends on constants alone, which is computed beforehand.
  const tflite::Model& model() const { return model_; }
  /// What the program needs as it is, on a device.
  const MemoryPlan& memory() const { return plan_; }

  /// One tensor an input, of the program's type and shape; dimension 0 may be a multiple of the program's: samples run
  /// on several threads, layers of matrices several at a time; a single one splits its large operators among them.
  /// Float values of inputs on a grid are quantized. Throws octet::Error for other types and shapes.
  std::vector<at::Tensor> run(const std::vector<at::Tensor>& inputs) const;

  /// The results in float: dequantized where they are on a grid.
  std::vector<at::Tensor> run_dequantized(const std::vector<at::Tensor>& inputs) const;

 private:
  /// The operators, ready to run.
  struct Pass {
    int64_t samples = 1;  ///< at once
    std::vector<Kernel> kernels;
    MemoryPlan layout;
    std::shared_ptr<MemoryPool> pool;
  };
  static Pass prepare(const tflite::Model& model, int64_t samples, const ExecutorOptions& options);
  void execute(const Pass& pass, const std::vector<const void*>& inputs, const std::vector<void*>& outputs) const;

  tflite::Model model_;
  MemoryPlan plan_;
  Pass one_;
  std::optional<Pass> several_;  // where weights are worth reading once for several samples
};

/// torch's type of a program's type; throws octet::Error for one that torch has not.
OCTET_API at::ScalarType scalar_type(tflite::Type type);

}  // namespace octet::integer
