#pragma once

#include <ATen/core/ScalarType.h>

#include <set>
#include <string>

#include "octet/formats/pt2_schema.h"

namespace octet::pt2 {

/// What the blocks said whose bodies were put in their place.
struct EnteredBlocks {
  /// Inputs of the program that only blocks without gradients read (`torch.no_grad`), and other blocks do not. Empty
  /// where nothing outside such blocks reads any: the whole forward is one.
  std::set<std::string> without_gradients;
  /// Types that autocast computes in.
  std::set<at::ScalarType> autocast;
};

/// Puts the bodies of higher-order operators that only wrap them (no_grad and autocast blocks, checkpoints, regions
/// that are compiled alone) in the operators' place, bodies in bodies too; names of values stay unique. Control flow is
/// left as it is, for the builder to refuse. Throws octet::Error naming the operator where its arguments do not fit its
/// body, or bodies are nested too deep.
EnteredBlocks enter_bodies(Program& program);

}  // namespace octet::pt2
