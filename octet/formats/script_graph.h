#pragma once

#include <torch/csrc/jit/api/function_impl.h>

#include <memory>
#include <string>

#include "octet/formats/allowed_operators.h"

namespace octet {

/// True where the source of a TorchScript file may name `name_space`.`name`: some overload of it is allowed.
bool script_may_name(const std::string& name_space, const std::string& name, const AllowedOperators& operators);

/// Operators of TorchScript itself, on lists, numbers and texts, that a file may hold: "aten.len.t".
const std::unordered_set<std::string>& allowed_script_operators();
/// Its statements and structures: "prim.If".
const std::unordered_set<std::string>& allowed_script_statements();

/// The function with everything that it calls put in its place, judged: operators that a file may hold, in all blocks,
/// whether they run or not. Nothing has run. Throws octet::Error naming the operator and the line of the source.
///
/// Counters stand in the graph that end it where it runs for too long, or where its lists grow too long: run it under a
/// ScriptBudget.
std::shared_ptr<torch::jit::Graph> judged_script_graph(torch::jit::Function& function,
                                                       const AllowedOperators& operators, const std::string& where);

/// While it lives, what a judged graph may do on this thread.
class ScriptBudget {
 public:
  ScriptBudget();
  ~ScriptBudget();
  ScriptBudget(const ScriptBudget&) = delete;
  ScriptBudget& operator=(const ScriptBudget&) = delete;

 private:
  int64_t outer_;
};

}  // namespace octet
