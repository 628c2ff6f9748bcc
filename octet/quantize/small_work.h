#pragma once

#include <ATen/Parallel.h>

#include "octet/graph/graph_module.h"

namespace octet {

/// While it lives, the calling thread works alone. Folding and rounding a network's weights is hundreds of passes over
/// small tensors: on a machine whose cores are busy, waiting for a second thread at each takes thirty times as long as
/// the work. Models of more than 100 million values keep their threads.
class SmallWork {
 public:
  explicit SmallWork(const GraphModule& module) : threads_(at::get_num_threads()) {
    int64_t values = 0;
    for (const std::string& name : module.attr_names()) values += module.attr(name).numel();
    alone_ = threads_ > 1 && values < 100'000'000;
    if (alone_) at::set_num_threads(1);
  }
  ~SmallWork() {
    if (alone_) at::set_num_threads(threads_);
  }
  SmallWork(const SmallWork&) = delete;
  SmallWork& operator=(const SmallWork&) = delete;

 private:
  int threads_;
  bool alone_ = false;
};

}  // namespace octet
