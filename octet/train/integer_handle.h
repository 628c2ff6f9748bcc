#pragma once

#include <memory>

#include "octet/integer/executor.h"
#include "octet/support/api.h"
#include "octet/train/model_handle.h"

namespace octet {

/// An int8 program that runs in integers; its first result, dequantized, counts. Float inputs are quantized; images
/// come as NCHW and are turned where the program takes NHWC. There is nothing to train: set_training(true) throws
/// octet::Error.
OCTET_API ModelHandle model_handle(std::shared_ptr<const integer::Executor> executor);

}  // namespace octet
