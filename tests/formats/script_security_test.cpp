// TorchScript is looked at, all of it, before any of it runs.
#include <ATen/ATen.h>
#include <gtest/gtest.h>
#include <torch/csrc/jit/api/module.h>
#include <torch/csrc/jit/runtime/operator.h>
#include <torch/csrc/jit/serialization/import.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "octet/formats/script_graph.h"
#include "octet/formats/torchscript.h"
#include "octet/formats/zip.h"
#include "tests/support/error_test.h"
#include "tests/support/test_data.h"

namespace octet {
namespace {

using test::fails_with;
using test::TemporaryFolder;

std::string contents(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

// A module saved by libtorch itself.
class ScriptFile {
 public:
  explicit ScriptFile(const std::string& name = "Net") : module_(name) {
    module_.register_attribute("training", c10::BoolType::get(), false);
    victim_ = folder_.file("victim.txt");
    std::ofstream(victim_) << "0123456789abcdef";
  }

  std::string save(const std::string& source) {
    module_.define(source);
    module_.save(path());
    return path();
  }
  // An archive of these texts, as a writer of libtorch would lay it out; no module behind it.
  std::string write(const std::string& source) {
    ZipWriter zip(path());
    constexpr char kNet[] =
        "\x80\x02"
        "c__torch__\nNet\n)\x81}X\x08\0\0\0training\x89sb.";
    zip.add("net/data.pkl", std::string(kNet, sizeof kNet - 1));
    zip.add("net/code/__torch__.py", source);
    zip.add("net/constants.pkl", std::string("\x80\x02).", 4));
    zip.add("net/version", "3");
    zip.finish();
    return path();
  }
  // Its forward, behind the attributes of a module.
  std::string write_forward(const std::string& body) {
    return write(
        "class Net(Module):\n  __parameters__ = []\n  __buffers__ = []\n  training : bool\n"
        "  def forward(self: __torch__.Net,\n    x: Tensor) -> Tensor:\n" +
        body);
  }
  std::string from_file() const { return "torch.from_file(\"" + victim_ + "\", True, 16, dtype=0)"; }

  std::string path() const { return folder_.file("net.pt"); }
  std::string victim() const { return contents(victim_); }
  torch::jit::Module& module() { return module_; }

 private:
  TemporaryFolder folder_;
  torch::jit::Module module_;
  std::string victim_;
};

::testing::AssertionResult refused(const ScriptFile& file, const std::string& part) {
  const auto result = fails_with([&] { load_torchscript_of_sizes(file.path(), {{2, 3}}); }, part);
  if (!result) return result;
  if (file.victim() == "0123456789abcdef") return result;
  return ::testing::AssertionFailure() << "another file was changed";
}

TEST(ScriptSecurity, AFileThatMapsAnotherIsRefused) {
  EXPECT_TRUE(fails_with(
      [] {
        load_torchscript_of_sizes(test::data("hostile/from_file.pt"), {{1, 4}});
      },
      "'aten.from_file', which opens, maps or writes files"));
  ScriptFile file;
  file.save("def forward(self, x):\n    t = " + file.from_file() + "\n    t.fill_(65)\n    return x + t.sum()\n");
  EXPECT_TRUE(refused(file, "aten.from_file"));
}

TEST(ScriptSecurity, WhereverItStands) {
  {
    ScriptFile file;
    file.save(
        "def helper(self, x):\n    t = " + file.from_file() +
        "\n    t.fill_(65)\n    return x + t.sum()\n"
        "def forward(self, x):\n    if x.dim() == 17:\n        for i in range(3):\n            x = self.helper(x)\n"
        "    return x\n");
    EXPECT_TRUE(refused(file, "aten.from_file"));
  }
  for (const char* body : {"    f = torch.from_file\n    return f(\"victim.txt\", True, 16)\n",
                           "    t = torch\n    return t.relu(x)\n", "    return ops.aten.from_file(\"v\", True, 16)\n",
                           "    o = ops\n    return x\n", "    return (ops.aten).from_file(\"v\", True, 16)\n"}) {
    ScriptFile file;
    file.write_forward(body);
    EXPECT_TRUE(refused(file, "__torch__.py")) << body;
  }
}

// libtorch runs __setstate__ while it loads.
TEST(ScriptSecurity, CodeThatRestoresAModuleNeverRuns) {
  ScriptFile file;
  file.save(
      "def __getstate__(self):\n    return 1\n"
      "def __setstate__(self, state: int):\n    t = " +
      file.from_file() +
      "\n    t.fill_(65)\n    self.training = bool(t.sum() > 0)\n"
      "def forward(self, x):\n    return x * 2\n");
  EXPECT_TRUE(refused(file, "aten.from_file"));
  torch::jit::load(file.path());
  EXPECT_EQ(file.victim(), std::string(16, 'A')) << "libtorch is expected to run it; else this test shows nothing";

  ScriptFile harmless;
  harmless.save(
      "def __getstate__(self):\n    return 1\ndef __setstate__(self, state: int):\n    self.training = False\n"
      "def forward(self, x):\n    return x * 2\n");
  EXPECT_TRUE(refused(harmless, "__setstate__"));
}

TEST(ScriptSecurity, StatementsThatAModelNeedsNot) {
  const struct {
    const char* body;
    const char* says;
  } cases[] = {
      {"    ops.prim.Print(\"hello\")\n    return x\n", "prim.Print"},
      {"    torch.save(x, \"victim.txt\")\n    return x\n", "aten.save"},
      {"    return ops.profiler._record_function_enter(\"x\")\n", "profiler"},
      {"    self.training = True\n    return x\n", "prim.SetAttr"},
      {"    a = uninitialized(__torch__.torch.classes.quantized.LinearPackedParamsBase)\n    return x\n",
       "class of C++"},
      {"    return ops.inductor._reinterpret_tensor(x, [4], [1], 100)\n", "inductor"},
      {"    y = torch._reshape_alias(x, [100], [1])\n    return y\n", "_reshape_alias"},
      {"    y = \"a\".ljust(99999999999)\n    return x\n", "ljust"},
      {"    y = torch._print(\"now\")\n    return x\n", "aten._print"},
      {"    y = x.tolist()\n    return x\n", ""},
  };
  for (const auto& [body, says] : cases) {
    ScriptFile file;
    file.write_forward(body);
    EXPECT_TRUE(refused(file, says)) << body;
  }
}

TEST(ScriptSecurity, TextsCannotExhaustTheCompiler) {
  const auto refuses = [](const std::string& body, const std::string& says) {
    ScriptFile file;
    file.write_forward(body);
    EXPECT_TRUE(refused(file, says)) << body.substr(0, 100);
  };
  const auto times = [](size_t count, const std::string& text) {
    std::string all;
    for (size_t i = 0; i < count; ++i) all += text;
    return all;
  };
  refuses("    y = " + times(100'000, "(") + "x" + times(100'000, ")") + "\n    return y\n", "nested too deep");
  refuses("    y = " + times(100'000, "not ") + "True\n    return x\n", "nested too deep");
  refuses("    y = " + times(100'000, "- ") + "1\n    return x\n", "nested too deep");
  std::string blocks;
  for (size_t depth = 4; depth < 600; ++depth) blocks += std::string(depth, ' ') + "if True:\n";
  refuses(blocks + std::string(600, ' ') + "pass\n    return x\n", "indented too deep");
  std::string sums = "    t0 = \"aaaaaaaaaa\"\n";
  for (int i = 0; i < 40; ++i) sums += str("    t", i + 1, " = torch.add(t", i, ", t", i, ")\n");
  refuses(sums + "    return x\n", "without end");
  refuses("    return x + x\n", "character '+'");
  refuses("    return x" + times(100'000, ".a") + "\n", "nested too deep");
  refuses("    return x" + times(100'000, "()") + "\n", "nested too deep");
  refuses("    return x" + times(100'000, "[0]") + "\n", "nested too deep");
  refuses("    return " + times(90, "x.a.a.a.a.a.a.a(") + times(90, ")") + "\n", "nested too deep");
  // Many, but beside one another.
  ScriptFile lists;
  lists.write_forward("    y = [" + times(10'000, "1, ") + "]\n" + times(1000, "    z = torch.relu(x)\n") +
                      "    return z\n");
  EXPECT_NO_THROW(load_torchscript_of_sizes(lists.path(), {{1, 4}}));
}

TEST(ScriptSecurity, DefinitionsNameOneAnotherOnlySoDeep) {
  const auto functions = [](int count) {
    std::string source = "def f0(x: Tensor) -> Tensor:\n  return torch.relu(x)\n";
    for (int i = 1; i < count; ++i)
      source += str("def f", i, "(x: Tensor) -> Tensor:\n  return __torch__.f", i - 1, "(x, )\n");
    return source;
  };
  const auto classes = [](int count) {
    std::string source;
    for (int i = 0; i < count; ++i) {
      source +=
          str("class C", i, "(Module):\n  __parameters__ = []\n  __buffers__ = []\n  next : __torch__.C", i + 1, "\n");
    }
    return source;
  };
  const std::string net =
      "class Net(Module):\n  __parameters__ = []\n  __buffers__ = []\n  training : bool\n"
      "  def forward(self: __torch__.Net,\n    x: Tensor) -> Tensor:\n    return __torch__.f";
  for (const int count : {300, 5'000}) {
    ScriptFile file;
    file.write(functions(count) + net + str(count - 1, "(x, )\n"));
    EXPECT_TRUE(refused(file, "definitions that name one another more than 200 deep")) << count;
    ScriptFile other;
    other.write(classes(count) + functions(1) + net + "0(x, )\n");
    EXPECT_TRUE(refused(other, "definitions that name one another more than 200 deep")) << count;
  }
  ScriptFile honest;
  honest.write(functions(50) + net + "49(x, )\n");
  EXPECT_NO_THROW(load_torchscript_of_sizes(honest.path(), {{1, 4}}));
}

TEST(ScriptSecurity, CodeIsChargedToTheFile) {
  ScriptFile file;
  file.write_forward(std::string(3 << 20, ' ') + "    return x\n");
  EXPECT_TRUE(refused(file, "is refused: its code would take"));
}

TEST(ScriptSecurity, LoopsAndListsEnd) {
  for (const char* body : {
           "    i = 0\n    while True:\n      i = torch.add(i, 1)\n    return torch.add(x, i)\n",
           "    y = x\n    while True:\n      y = torch.add(y, 1)\n    return y\n",
           "    l = [1, 1]\n    while True:\n      l = torch.add(l, l)\n    return torch.add(x, torch.len(l))\n",
           "    l = torch.mul([1], 99999999999)\n    return torch.add(x, torch.len(l))\n",
       }) {
    ScriptFile file;
    file.write_forward(body);
    EXPECT_TRUE(refused(file, "for too long")) << body;
  }
}

// The processor stops the program there; the compiler divides what is constant.
TEST(ScriptSecurity, WholeNumbersThatAreNoneAreErrors) {
  for (const char* quotient : {"torch.floordiv(a, b)", "torch.floordiv(a, -1)", "torch.remainder(a, b)",
                               "torch.remainder(a, -1)", "torch.gcd(a, b)"}) {
    ScriptFile file;
    file.write_forward(
        str("    a = torch.sub(-9223372036854775807, 1)\n    b = torch.sub(torch.size(x, 0), 3)\n"
            "    return torch.add(x, ",
            quotient, ")\n"));
    EXPECT_TRUE(refused(file, "no quotient")) << quotient;
  }
  {
    ScriptFile file;
    file.write_forward(
        "    n = torch.mul(1000000000, torch.size(x, 0))\n    return torch.add(x, torch.factorial(n))\n");
    EXPECT_TRUE(refused(file, "factorial of 2000000000"));
  }
  ScriptFile file;
  file.write_forward("    a = torch.floordiv(torch.size(x, 1), 2)\n    return torch.add(x, torch.remainder(7, -4))\n");
  const auto module = load_torchscript_of_sizes(file.path(), {{2, 3}});
  EXPECT_EQ(module->run({at::zeros({2, 3})})[0].max().item<float>(), -1.0F);
}

TEST(ScriptSecurity, CallsThatMultiplyAreCountedBeforeTheyArePutInPlace) {
  std::string source = "def f0(x: Tensor) -> Tensor:\n  return torch.relu(x)\n";
  for (int i = 1; i < 40; ++i) {
    source +=
        str("def f", i, "(x: Tensor) -> Tensor:\n  return __torch__.f", i - 1, "(__torch__.f", i - 1, "(x, ), )\n");
  }
  ScriptFile file;
  file.write(source +
             "class Net(Module):\n  __parameters__ = []\n  __buffers__ = []\n  training : bool\n"
             "  def forward(self: __torch__.Net,\n    x: Tensor) -> Tensor:\n    return __torch__.f39(x, )\n");
  EXPECT_TRUE(refused(file, "more than 1000000 steps"));
}

// torch.nn's own code writes sizes and names into the errors that it does not raise.
TEST(ScriptSecurity, ErrorsOfSizesAndNamesMayBeWritten) {
  ScriptFile file;
  file.write_forward(
      "    t = (torch.size(x, 0), 3)\n    n = [\"weight\", \"bias\"]\n"
      "    if torch.gt(torch.dim(x), 3):\n      ops.prim.RaiseException(torch.format(\"{} {}\", t, n))\n"
      "    else:\n      pass\n    return torch.relu(x)\n");
  EXPECT_NO_THROW(load_torchscript_of_sizes(file.path(), {{2, 3}}));
}

// An attribute that is not what its class declares would be read at another class's places.
TEST(ScriptSecurity, AttributesAreOfTheTypesThatAreDeclared) {
  const auto with = [](const std::string& type) {
    ScriptFile file;
    file.write("class Net(Module):\n  __parameters__ = []\n  __buffers__ = []\n  training : " + type +
               "\n  def forward(self: __torch__.Net,\n    x: Tensor) -> Tensor:\n    return torch.relu(x)\n");
    load_torchscript_of_sizes(file.path(), {{2, 3}});
  };
  EXPECT_NO_THROW(with("bool"));
  EXPECT_NO_THROW(with("Optional[bool]"));
  for (const char* type : {"Tensor", "int", "str", "List[bool]", "Tuple[bool, bool]"}) {
    EXPECT_TRUE(fails_with([&] { with(type); }, "training")) << type;
  }
}

// libtorch's parser of types reads the first of what stands in the brackets.
TEST(ScriptSecurity, IndexesHoldSomething) {
  const auto with = [](const std::string& argument, const std::string& body) {
    ScriptFile file;
    file.write("class Net(Module):\n  __parameters__ = []\n  __buffers__ = []\n  training : bool\n" +
               octet::str("  def forward(self: __torch__.Net,\n    x: Tensor", argument, ") -> Tensor:\n", body));
    load_torchscript_of_sizes(file.path(), {{2, 3}});
  };
  EXPECT_NO_THROW(with("", "    sizes = annotate(List[int], [])\n    return torch.relu(x)\n"));
  for (const char* type :
       {"Optional[]", "Optional[\n      ]", "Optional\n      []", "BroadcastingList2[]", "List[List[]]"}) {
    EXPECT_TRUE(fails_with([&] { with(octet::str(",\n    y: ", type, "=None"), "    return torch.relu(x)\n"); },
                           "holds an index of nothing"))
        << type;
  }
  EXPECT_TRUE(fails_with([&] { with("", "    return x[]\n"); }, "holds an index of nothing"));
}

TEST(ScriptSecurity, TypesAndDevicesThatAtenWouldTakeAtTheirWord) {
  for (const char* body : {"    return torch.to(x, 200)\n", "    return torch.zeros([2], dtype=12)\n",
                           "    return torch.zeros([2], device=torch.device(\"meta\"))\n"}) {
    ScriptFile file;
    file.write_forward(body);
    EXPECT_TRUE(refused(file, "argument '")) << body;
  }
}

// A graph that holds the operator, with inputs of the types that it takes.
std::string verdict_on(const c10::FunctionSchema& schema) {
  auto graph = std::make_shared<torch::jit::Graph>();
  std::vector<torch::jit::Value*> inputs;
  for (const c10::Argument& argument : schema.arguments()) {
    torch::jit::Value* input = graph->addInput();
    input->setType(argument.type());
    inputs.push_back(input);
  }
  torch::jit::Node* node = graph->create(c10::Symbol::fromQualString(schema.name()), inputs, schema.returns().size());
  for (size_t i = 0; i < schema.returns().size(); ++i) node->outputs()[i]->setType(schema.returns()[i].type());
  graph->insertNode(node);
  if (node->maybeSchema() != nullptr && node->schema().overload_name() != schema.overload_name()) {
    return "another overload takes the same";  // which is asked about by itself
  }
  torch::jit::GraphFunction function("f", graph, nullptr);
  try {
    judged_script_graph(function, {}, "net.pt");
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

bool is_of_numbers_alone(const c10::FunctionSchema& schema) {
  const auto plain = [](const c10::Argument& argument) {
    const std::string type = argument.type()->repr_str();
    return type == "int" || type == "float" || type == "bool" || type == "number" || type == "Scalar" ||
           type == "complex" || type.rfind("Tuple[", 0) == 0;
  };
  return std::all_of(schema.arguments().begin(), schema.arguments().end(), plain) &&
         std::all_of(schema.returns().begin(), schema.returns().end(), plain);
}

TEST(ScriptSecurity, EveryOperatorOutsideTheListsIsRefused) {
  size_t refused = 0;
  for (const auto& op : torch::jit::getAllOperators()) {
    const c10::FunctionSchema& schema = op->schema();
    std::string text = schema.name();
    text.replace(text.find("::"), 2, ".");
    const std::string full = text + "." + (schema.overload_name().empty() ? "default" : schema.overload_name());
    const bool listed = AllowedOperators().has(full) || allowed_script_operators().count(full) > 0 ||
                        allowed_script_statements().count(text) > 0 || is_of_numbers_alone(schema);
    if (listed) continue;
    EXPECT_NE(verdict_on(schema), "") << full;
    ++refused;
  }
  EXPECT_GT(refused, 2000U);
}

TEST(ScriptSecurity, EveryOperatorOfTheScriptListsIsThere) {
  std::unordered_set<std::string> there;
  for (const auto& op : torch::jit::getAllOperators()) {
    std::string text = op->schema().name();
    text.replace(text.find("::"), 2, ".");
    there.insert(text + "." + (op->schema().overload_name().empty() ? "default" : op->schema().overload_name()));
  }
  for (const std::string& name : allowed_script_operators()) EXPECT_EQ(there.count(name), 1U) << name;
}

}  // namespace
}  // namespace octet
