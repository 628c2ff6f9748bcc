// What a node costs in graphs of 100, 1,000, 10,000 and 30,000 operators, phase by phase, in one process: where a phase
// is linear, the cost of a node stays. usage: growth [most = 30000] [kind: relu conv fan cat; all where none is given]
#include <ATen/ATen.h>

#include <chrono>
#include <cstdio>
#include <cstring>
#include <map>
#include <string>

#include "octet/graph/graph_module.h"
#include "octet/quantize/quantize_pt2e.h"
#include "octet/targets/engine/placement/placement.h"
#include "octet/targets/neutron/neutron_quantizer.h"

namespace {

using octet::Arg;
using octet::GraphModule;
using octet::Node;

std::shared_ptr<GraphModule> empty_module(Node** x) {
  auto module = std::make_shared<GraphModule>();
  *x = module->graph().placeholder("x");
  (*x)->set_meta(octet::TensorMeta{at::kFloat, {1, 1, 2, 2}});
  return module;
}

Node* convolution(GraphModule& module, Node* x, int64_t number) {
  const std::string weight = "conv" + std::to_string(number) + ".weight";
  module.set_attr(weight, at::ones({1, 1, 1, 1}), octet::AttrKind::kParameter);
  return module.graph().call("aten.conv2d.default", {x, module.graph().get_attr(weight)});
}

// A chain of activations, of convolutions with activations, one value with all the readers, a concatenation of all.
std::shared_ptr<GraphModule> build(const std::string& kind, int64_t count) {
  Node* x = nullptr;
  auto module = empty_module(&x);
  octet::Graph& graph = module->graph();
  std::vector<Arg> results;
  if (kind == "relu") {
    for (int64_t i = 0; i < count; ++i) x = graph.call("aten.relu.default", {x});
    results = {Arg(x)};
  } else if (kind == "conv") {
    for (int64_t i = 0; i < count / 2; ++i) x = graph.call("aten.relu.default", {convolution(*module, x, i)});
    results = {Arg(x)};
  } else {
    for (int64_t i = 0; i < count; ++i) results.emplace_back(graph.call("aten.relu.default", {x}));
    if (kind == "cat") results = {Arg(graph.call("aten.cat.default", {Arg(results), 1}))};
  }
  graph.output(std::move(results));
  octet::propagate_shapes(*module);
  return module;
}

class Phases {
 public:
  void run(const std::string& kind, int64_t count) {
    std::shared_ptr<GraphModule> model;
    std::shared_ptr<GraphModule> copy;
    octet::NeutronQuantizer quantizer(octet::NeutronTargetSpec("imxrt700"));
    measure("build", count, [&] { model = build(kind, count); });
    measure("copy", count, [&] { copy = model->copy(); });
    measure("verify", count, [&] { copy->verify(); });
    measure("prepare", count, [&] { copy = octet::prepare_pt2e(copy, quantizer); });
    measure("run", count, [&] { copy->run({at::ones({1, 1, 2, 2})}); });
    measure("convert", count, [&] { copy = octet::convert_pt2e(copy); });
    measure("place", count, [&] { octet::targets::place(*copy, quantizer.target()); });
    measure("destroy", count, [&] { copy.reset(), model.reset(); });
  }

 private:
  void measure(const char* phase, int64_t count, const std::function<void()>& work) {
    const auto start = std::chrono::steady_clock::now();
    work();
    const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - start;
    const double each = 1e6 * taken.count() / static_cast<double>(count);
    const double first = first_.emplace(phase, each).first->second;
    std::printf("  %-8s %7ld nodes %9.3f s %9.2f us a node, %6.2f times the smallest graph's\n", phase,
                static_cast<long>(count), taken.count(), each, each / first);
    std::fflush(stdout);
  }

  std::map<std::string, double> first_;
};

}  // namespace

int main(int argc, char** argv) {
  const int64_t most = argc > 1 ? std::stoll(argv[1]) : 30000;
  for (const char* kind : {"relu", "conv", "fan", "cat"}) {
    if (argc > 2 && std::strcmp(argv[2], kind) != 0) continue;
    std::printf("%s\n", kind);
    Phases phases;
    for (const int64_t count : {100, 1000, 10000, 30000}) {
      if (count <= most) phases.run(kind, count);
    }
  }
  return 0;
}
