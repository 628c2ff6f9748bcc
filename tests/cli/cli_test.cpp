// The program as a user runs it: exit status, one-line errors, files in and out. What it computes is held against what
// the Python reference and LiteRT recorded, and against numbers by hand.
#include <ATen/ops/equal.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>

#include "octet/formats/container.h"
#include "octet/formats/npy.h"
#include "tests/cli/program.h"
#include "tests/support/golden_rows.h"

namespace octet {
namespace {

using test::lines;
using test::Outcome;
using test::Program;
using test::slurp;

TEST_F(Program, WrongUsageExitsWithTwo) {
  for (const char* arguments : {"", "frobnicate", "inspect", "quantize m.pt2", "inspect m.pt2 --no-such-option",
                                "export m.octet", "train m.pt2 --data npy:x --epochs 1 -o m.octet"}) {
    const Outcome result = run(arguments);
    EXPECT_EQ(result.status, 2) << arguments;
    EXPECT_EQ(lines(result.err), 1u) << arguments << ": " << result.err;
  }
}

TEST_F(Program, EveryVerbHasHelp) {
  EXPECT_EQ(run("--help").status, 0);
  for (const char* verb : {"quantize", "train", "eval", "run", "inspect", "compare", "check", "report", "export",
                           "verify", "targets", "models", "operators", "demo"}) {
    const Outcome result = run(std::string(verb) + " --help");
    EXPECT_EQ(result.status, 0) << verb;
    EXPECT_NE(result.out.find("--help"), std::string::npos) << verb;
  }
}

TEST_F(Program, WhatIsNoVerbIsNamed) {
  EXPECT_NE(run("frobnicate").err.find("'frobnicate' is no verb"), std::string::npos);
  EXPECT_NE(run("").err.find("A subcommand is required"), std::string::npos);
}

TEST_F(Program, FlagsTakeFiniteNumbersAlone) {
  for (const char* flag : {"--lr nan", "--lr inf", "--lr 0", "--momentum nan", "--ema nan", "--weight-decay -1",
                           "--held-out nan", "--epochs 1e30", "--seed -1", "--jitter nan,0,0", "--mean nan"}) {
    const Outcome result = run(std::string("train m.pt2 --float --data npy:x -o m.octet --epochs 1 ") + flag);
    EXPECT_EQ(result.status, 2) << flag << ": " << result.err;
    EXPECT_LT(result.err.size(), 200u) << result.err;
  }
}

TEST_F(Program, WhatIsTooLargeIsToldInALine) {
  const Outcome classes = run("inspect resnet8 --classes 1000000000000");
  EXPECT_EQ(classes.status, 1);
  EXPECT_NE(classes.err.find("there is not enough memory: 256000000000000 bytes"), std::string::npos) << classes.err;
  EXPECT_EQ(run("--threads 100000 inspect resnet8").status, 2);
}

TEST_F(Program, ResultsThatDoNotArriveAreAFailure) {
  for (const char* verb : {"targets", "operators", "--help"}) {
    const Outcome result = run(std::string(verb) + " > /dev/full");
    EXPECT_EQ(result.status, 1) << verb;
    EXPECT_NE(result.err.find("[standard output] cannot be written"), std::string::npos) << result.err;
  }
}

// Before hours of work, not behind them.
TEST_F(Program, FilesThatCannotBeWrittenAreToldFirst) {
  const std::string folder = golden("net_cifarnet"), nowhere = file("no/such/folder") + "/x";
  const std::string model = folder + "/model.pt2", own = file("own.pt2");
  std::filesystem::copy_file(model, own);
  const std::string calibrated = " --calibrate 'npy:" + folder + "/calib_*.npy'";
  const auto refuses = [&](const std::string& arguments, int status, const std::string& why) {
    const Outcome result = run(arguments);
    EXPECT_EQ(result.status, status) << arguments;
    EXPECT_EQ(lines(result.err), 1u) << arguments << ": " << result.err;
    EXPECT_NE(result.err.find(why), std::string::npos) << result.err;
  };
  refuses("quantize " + model + calibrated + " -o " + nowhere, 1, "[" + nowhere + "] cannot be written");
  refuses("quantize " + model + calibrated + " -o " + file("q.octet") + " --report " + nowhere, 1, nowhere);
  refuses("train resnet8 --float --data npy:x --epochs 1 -o " + nowhere, 1, nowhere);
  refuses("export " + own + " --pt2 " + nowhere, 1, nowhere);
  refuses("report " + own + " -o " + nowhere, 1, nowhere);
  refuses("quantize " + own + calibrated + " -o " + own, 2, "would be written over, and is read");
  refuses("export " + own + " --pt2 " + file("./own.pt2"), 2, "would be written over");
  refuses("export " + own + " --pt2 " + file("a") + " --encodings " + file("a"), 2, "is to be written twice");
  EXPECT_EQ(slurp(own), slurp(model));
  size_t left = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder_.path())) left += entry.exists() ? 1 : 0;
  EXPECT_EQ(left, 2u) << "the model and stderr: what was tried is gone";
  EXPECT_EQ(run("export " + own + " --pt2 /dev/null").status, 0);
}

// One line that names the data, before anything runs.
TEST_F(Program, DataOfOtherTypesAndOfNoSamplesAreRefused) {
  const std::string model = golden("net_cifarnet/model.pt2");
  const auto refuses = [&](const std::string& data, const std::string& why) {
    const Outcome result = run("quantize " + model + " --calibrate npy:" + data + " -o " + file("q.octet"));
    EXPECT_EQ(result.status, 1) << why;
    EXPECT_EQ(lines(result.err), 1u) << result.err;
    EXPECT_NE(result.err.find("[npy:" + data + "] " + why), std::string::npos) << result.err;
  };
  write_npy(file("whole.npy"), at::zeros({2, 3, 32, 32}, at::kLong));
  refuses(file("whole.npy"), "type of input 'x': expected float32, got int64");
  write_npy(file("none.npy"), at::zeros({0, 3, 32, 32}));
  refuses(file("none.npy"), "holds no sample");
  write_npy(file("x.npy"), at::zeros({1, 3, 32, 32}));
  const Outcome result = run("run " + model + " --input " + file("x.npy") + " --output " + file("x.npy"));
  EXPECT_EQ(result.status, 2);
  EXPECT_NE(result.err.find("would be written over, and is read"), std::string::npos) << result.err;
}

TEST_F(Program, NamesOfFilesNeedNotBeUtf8) {
  const std::string folder = file("odd\xff");
  std::filesystem::create_directory(folder);
  for (const auto& entry : std::filesystem::directory_iterator(golden("net_cifarnet"))) {
    std::filesystem::copy_file(entry.path(), folder + "/" + entry.path().filename().string());
  }
  const std::string calibrated = "/model.pt2' --calibrate 'npy:" + folder + "/calib_*.npy' --json ";
  const Outcome made = run("quantize '" + folder + calibrated + "-o '" + folder + "/q.tflite' --report " + file("r"));
  ASSERT_EQ(made.status, 0) << made.err;
  EXPECT_EQ(nlohmann::json::parse(made.out).at("output"), file("odd\xEF\xBF\xBD") + "/q.tflite");
}

TEST_F(Program, FlagsThatWouldDoNothingAreRefused) {
  const std::string model = golden("net_cifarnet/model.pt2");
  const auto refuses = [&](const std::string& flags, const std::string& why) {
    const Outcome result = run("train " + model + " --float --epochs 1 -o " + file("m.octet") + " " + flags);
    EXPECT_EQ(result.status, 2) << flags;
    EXPECT_NE(result.err.find(why), std::string::npos) << result.err;
  };
  for (const char* flag : {"--resize 9", "--jitter 1,1,1", "--filter bicubic", "--least-scale 0.5"}) {
    refuses(std::string("--data audio:x ") + flag, " is for images:FOLDER");
  }
  for (const char* flag : {"--rate 8000", "--clip-ms 9", "--hop-ms 9", "--part-ms 1,2", "--time-last",
                           "--noise-level 0.5", "--mel-bands 3"}) {
    refuses(std::string("--data images:x ") + flag, " is for audio:FOLDER");
  }
  refuses("--data npy:x --mean 0.5", "--mean is for images:FOLDER and audio:FOLDER");
  refuses("--data npy:x --teacher t.pt2", "--teacher is for --distill");
  refuses("--data images:x --fill 1,2,3", "--fill is for --randaugment");
  refuses("--data npy:x --freeze-observers-after 1", "--freeze-observers-after is for --qat");
  refuses("--data npy:x --update-share 0.5", "--update-share is for --qat");
  refuses("--data npy:x --nproc 3 --batch-size 4", "a multiple of --nproc 3, got 4");
  // Every verb that takes data.
  const std::string data = " --data npy:x --features mfcc", why = "--features is for audio:FOLDER";
  for (const std::string& verb :
       {"compare " + model + " " + model, "eval " + model, "report " + model + " -o " + file("page.html")}) {
    const Outcome result = run(verb + data);
    EXPECT_EQ(result.status, 2) << verb;
    EXPECT_NE(result.err.find(why), std::string::npos) << result.err;
  }
}

TEST_F(Program, FailuresAreOneLineThatNamesTheFile) {
  std::ofstream(file("broken.pt2")) << "this is no archive";
  for (const std::string& path : {file("absent.pt2"), file("broken.pt2")}) {
    const Outcome result = run("inspect " + path);
    EXPECT_EQ(result.status, 1);
    EXPECT_EQ(lines(result.err), 1u) << result.err;
    EXPECT_NE(result.err.find(path), std::string::npos) << result.err;
  }
}

TEST_F(Program, InspectSaysWhatAFloatModelIs) {
  const Outcome text = run("inspect " + golden("net_cifarnet/model.pt2"));
  ASSERT_EQ(text.status, 0) << text.err;
  for (const char* part :
       {"input   x: float32 [1, 3, 32, 32]\n", "[1, 10]\n",
        "parameters 89578, stored in 358.3 KB; 12.30 million multiply-accumulates\n", "    3  aten.conv2d.default\n"}) {
    EXPECT_NE(text.out.find(part), std::string::npos) << part << " in " << text.out;
  }
  const Outcome as_json = run("inspect --json " + golden("net_cifarnet/model.pt2"));
  ASSERT_EQ(as_json.status, 0) << as_json.err;
  const auto facts = nlohmann::json::parse(as_json.out);
  EXPECT_EQ(facts.at("inputs").at(0).at("shape"), (std::vector<int64_t>{1, 3, 32, 32}));
  EXPECT_EQ(facts.at("ops").at("aten.conv2d.default"), 3);
  // Three 5x5 convolutions of 3 to 32 to 32 to 64 channels at 32x32, 16x16, 8x8, and a linear from 1024 to 10.
  EXPECT_EQ(facts.at("parameters"), (75 + 1) * 32 + (800 + 1) * 32 + (800 + 1) * 64 + (1024 + 1) * 10);
  EXPECT_EQ(facts.at("bytes"), 4 * 89578);
  EXPECT_EQ(facts.at("macs"), 1024 * 75 * 32 + 256 * 800 * 32 + 64 * 800 * 64 + 1024 * 10);
  EXPECT_EQ(facts.at("outputs").at(0).at("shape"), (std::vector<int64_t>{1, 10}));
}

double sqnr_db(const at::Tensor& reference, const at::Tensor& value) {
  return 20.0 * std::log10((reference.norm() / (reference - value).norm()).item<double>());
}

class QuantizeGolden : public Program, public testing::WithParamInterface<std::tuple<const char*, bool>> {};

TEST_P(QuantizeGolden, GivesTheReferencesRowsAndOutput) {
  const auto [name, qat] = GetParam();
  const std::string folder = golden(name);
  const std::string output = file("q.octet");
  const Outcome quantized = run("quantize --json " + folder + "/model.pt2 --calibrate 'npy:" + folder +
                                "/calib_*.npy' -o " + output + (qat ? " --qat --qat-ranges reference" : ""));
  ASSERT_EQ(quantized.status, 0) << quantized.err;
  EXPECT_EQ(nlohmann::json::parse(quantized.out).at("in_float"), 0) << quantized.out;
  EXPECT_LT(std::filesystem::file_size(output),
            0.6 * static_cast<double>(std::filesystem::file_size(folder + "/model.pt2")));
  const Outcome inspected = run("inspect --json " + output);
  ASSERT_EQ(inspected.status, 0) << inspected.err;
  const auto rows = nlohmann::ordered_json::parse(inspected.out);
  const auto recorded = nlohmann::ordered_json::parse(slurp(folder + (qat ? "/qat.json" : "/ptq.json")));
  EXPECT_EQ(test::joined(test::RowComparison::differences(rows, recorded, {.is_qat = qat, .one_flip = !qat})), "");

  const Outcome ran = run("run " + output + " --input " + folder + "/test_0.npy --output " + file("out.npy"));
  ASSERT_EQ(ran.status, 0) << ran.err;
  const at::Tensor got = read_npy(file("out.npy"));
  EXPECT_GE(sqnr_db(read_npy(folder + (qat ? "/qat_out.npy" : "/ptq_out.npy")), got), 35.0);

  const Outcome compared =
      run("compare --json " + folder + "/model.pt2 " + output + " --input " + folder + "/test_0.npy");
  ASSERT_EQ(compared.status, 0) << compared.err;
  const auto comparison = nlohmann::json::parse(compared.out);
  const Outcome of_data =
      run("compare --json " + folder + "/model.pt2 " + output + " --data 'npy:" + folder + "/test_0.npy'");
  EXPECT_EQ(of_data.out, compared.out) << of_data.err;
  ASSERT_EQ(comparison.at("output_sqnr_db").size(), 1u);
  const double of_the_output = comparison.at("output_sqnr_db")[0];
  EXPECT_NEAR(of_the_output, sqnr_db(read_npy(folder + "/float_out.npy"), got), 1e-2);
  // A layer an operator that has a grid; the last one is the output.
  std::multiset<std::string> layers, quantized_ops;
  double last = -INFINITY, of_the_last_op = 0;
  for (const auto& layer : comparison.at("layers")) {
    EXPECT_GE(layer.at("sqnr_db"), last) << "worst first";
    last = layer.at("sqnr_db");
    layers.insert(layer.at("op").get<std::string>());
    if (layer.at("op") == recorded.back().at("op")) of_the_last_op = last;
  }
  for (const auto& row : recorded) {
    if (row.at("op") != "input") quantized_ops.insert(row.at("op").get<std::string>());
  }
  EXPECT_EQ(layers, quantized_ops);
  EXPECT_NEAR(of_the_last_op, of_the_output, 1e-9);
}

INSTANTIATE_TEST_SUITE_P(Networks, QuantizeGolden,
                         testing::Combine(testing::Values("net_cifarnet", "net_mobilenet_v2_w025"), testing::Bool()),
                         [](const auto& instance) {
                           return std::string(std::get<0>(instance.param)) +
                                  (std::get<1>(instance.param) ? "_qat" : "_ptq");
                         });

// The recorded outputs, and what follows from them by the plain formulas.
TEST_F(Program, EvalGivesTheAccuracyOfRecordedOutputs) {
  const std::string folder = golden("net_cifarnet");
  struct Case {
    std::string model, input;
    at::Tensor output;
    const char* arithmetic;
  };
  const at::Tensor levels = read_npy(folder + "/neutron_0_out_0.npy");
  for (const Case& each :
       {Case{"/model.pt2", "/test_0.npy", read_npy(folder + "/float_out.npy"), "float"},
        Case{"/neutron_0.tflite", "/neutron_0_in_0.npy", (levels.to(at::kFloat) + 128) / 256, "integers"}}) {
    const at::Tensor order = each.output[0].argsort(/*stable=*/true, /*dim=*/0, /*descending=*/true);
    write_npy(file("x_0.npy"), read_npy(folder + each.input));
    for (const int64_t rank : {0, 3, 9}) {
      const at::Tensor label = order.slice(0, rank, rank + 1);
      write_npy(file("labels.npy"), label);
      const Outcome result = run("eval --json " + folder + each.model + " --data 'npy:" + file("x_*.npy") + "'");
      ASSERT_EQ(result.status, 0) << result.err;
      const auto facts = nlohmann::json::parse(result.out);
      EXPECT_EQ(facts.at("arithmetic"), each.arithmetic);
      EXPECT_EQ(facts.at("samples"), 1);
      // Whatever is as high counts as higher.
      const int64_t higher = each.output.ge(each.output[0][label.item<int64_t>()]).sum().item<int64_t>();
      EXPECT_EQ(facts.at("top1"), higher <= 1 ? 1.0 : 0.0) << each.model << rank;
      EXPECT_EQ(facts.at("top5"), higher <= 5 ? 1.0 : 0.0) << each.model << rank;
      const double loss = -at::log_softmax(each.output, 1)[0][label.item<int64_t>()].item<double>();
      EXPECT_NEAR(facts.at("loss").get<double>(), loss, 1e-5) << each.model << rank;
    }
  }
}

TEST_F(Program, TrainsAndEvaluatesOnDataInFiles) {
  const std::string folder = golden("net_cifarnet");
  at::manual_seed(0);
  const at::Tensor labels = at::arange(64).remainder(2);
  at::Tensor images = 0.1 * at::randn({64, 3, 32, 32});
  images.select(1, 0).add_(labels.to(at::kFloat).view({64, 1, 1}) * 2 - 1);
  write_npy(file("images_0.npy"), images);
  write_npy(file("labels.npy"), labels);
  const std::string data = "'npy:" + file("images_*.npy") + "'";
  for (const std::string mode : {"--float", "--qat"}) {
    const Outcome trained = run("train --json " + folder + "/model.pt2 " + mode + " --data " + data +
                                " --epochs 6 --batch-size 16 --lr 0.02 -o " + file("t.octet"));
    ASSERT_EQ(trained.status, 0) << trained.err;
    const auto epochs = nlohmann::json::parse(trained.out).at("epochs");
    ASSERT_EQ(epochs.size(), 6u);
    EXPECT_LT(epochs[5].at("loss").get<double>(), epochs[0].at("loss").get<double>()) << mode;
    const Outcome evaluated = run("eval --json " + file("t.octet") + " --data " + data);
    ASSERT_EQ(evaluated.status, 0) << evaluated.err;
    const auto facts = nlohmann::json::parse(evaluated.out);
    EXPECT_EQ(facts.at("samples"), 64);
    EXPECT_GE(facts.at("top1").get<double>(), 0.9) << mode;
  }
  EXPECT_EQ(run("train " + folder + "/model.pt2 --data " + data + " --epochs 1 -o " + file("t.octet")).status, 2);
}

TEST_F(Program, RunChecksItsFiles) {
  const std::string model = golden("net_cifarnet/model.pt2");
  const std::string input = golden("net_cifarnet/test_0.npy");
  const Outcome two = run("run " + model + " --input " + input + " --input " + input + " --output " + file("o.npy"));
  EXPECT_EQ(two.status, 1);
  EXPECT_NE(two.err.find("expected 1"), std::string::npos) << two.err;
  write_npy(file("wrong.npy"), at::zeros({1, 4, 32, 32}));
  const Outcome shape = run("run " + model + " --input " + file("wrong.npy") + " --output " + file("o.npy"));
  EXPECT_EQ(shape.status, 1);
  EXPECT_EQ(lines(shape.err), 1u) << shape.err;
  EXPECT_NE(shape.err.find("conv2d"), std::string::npos) << shape.err;
  EXPECT_FALSE(std::ifstream(file("o.npy")).good());
}

// A program keeps the sizes it was exported with: the batch is made free, all else is said in the model's terms.
TEST_F(Program, RunTakesBatchesOfWhatWasExportedWithOneSample) {
  GraphModule module;
  Node* x = module.graph().placeholder("x");
  x->set_meta(TensorMeta{at::kFloat, {1, 2, 3}});
  Node* flat = module.graph().call("aten.view.default", {x, std::vector<int64_t>{1, 6}});
  module.graph().output({module.graph().call("aten.relu.default", {flat})});
  save_octet(module, file("one.octet"));
  const at::Tensor batch = at::randn({4, 2, 3});
  write_npy(file("batch.npy"), batch);
  const auto on = [&](const std::string& input, const std::string& verb) {
    return run(verb + " --input " + file(input));
  };
  const std::string running = "run " + file("one.octet") + " --output " + file("o.npy");
  const Outcome more = on("batch.npy", running);
  ASSERT_EQ(more.status, 0) << more.err;
  EXPECT_TRUE(at::equal(read_npy(file("o.npy")), batch.view({4, 6}).relu()));
  EXPECT_EQ(on("batch.npy", "compare " + file("one.octet") + " " + file("one.octet")).status, 0);
  write_npy(file("wide.npy"), at::randn({1, 2, 5}));
  const Outcome wide = on("wide.npy", running);
  EXPECT_EQ(wide.status, 1);
  EXPECT_NE(wide.err.find("input 'x': expected float32[1, 2, 3], got float32[1, 2, 5]"), std::string::npos) << wide.err;
}

TEST_F(Program, RunTakesAsManyInputsAsTheProgramHas) {
  GraphModule module;
  Node* made = module.graph().call("aten.full.default", {std::vector<int64_t>{2, 3}, 1.5});
  module.graph().output({made});
  save_octet(module, file("none.octet"));
  const Outcome none = run("run " + file("none.octet") + " --output " + file("o.npy"));
  ASSERT_EQ(none.status, 0) << none.err;
  EXPECT_TRUE(at::equal(read_npy(file("o.npy")), at::full({2, 3}, 1.5)));
  const Outcome missing = run("run " + golden("net_cifarnet/model.pt2") + " --output " + file("p.npy"));
  EXPECT_EQ(missing.status, 2);
  EXPECT_NE(missing.err.find("--input: expected 1 files, one for each input, got 0"), std::string::npos) << missing.err;
}

// Held back until the verb has ended well; tests/cli/hostile_test.cpp has the other case.
TEST_F(Program, WarningsOfLibtorchAreSaidOnceBehindTheResults) {
  GraphModule module;
  Graph& graph = module.graph();
  Node* x = graph.placeholder("x");
  x->set_meta(TensorMeta{at::kFloat, {1, 2, 6, 6}});
  Node* weight = graph.call("aten.full.default", {std::vector<int64_t>{2, 2, 4, 4}, 0.1});
  Node* y = graph.call("aten.conv2d.padding", {x, weight, Arg(), std::vector<int64_t>{1, 1}, "same"});
  graph.output({graph.call("aten.conv2d.padding", {y, weight, Arg(), std::vector<int64_t>{1, 1}, "same"})});
  save_octet(module, file("same.octet"));
  write_npy(file("x.npy"), at::ones({1, 2, 6, 6}));
  const Outcome ran = run("run " + file("same.octet") + " --input " + file("x.npy") + " --output " + file("o.npy"));
  ASSERT_EQ(ran.status, 0) << ran.err;
  const std::string warning = "Using padding='same' with even kernel lengths";
  const size_t first = ran.err.find(warning);
  ASSERT_NE(first, std::string::npos) << ran.err;
  EXPECT_EQ(ran.err.find(warning, first + 1), std::string::npos) << ran.err;
}

TEST_F(Program, RunsTflite) {
  const std::string folder = golden("net_cifarnet");
  const auto ran =
      run("run " + folder + "/neutron_0.tflite --input " + folder + "/neutron_0_in_0.npy --output " + file("out.npy"));
  ASSERT_EQ(ran.status, 0) << ran.err;
  EXPECT_NE(ran.err.find("arena "), std::string::npos) << ran.err;
  const at::Tensor levels = read_npy(file("out.npy"));
  EXPECT_TRUE(at::equal(levels, read_npy(folder + "/neutron_0_out_0.npy"))) << "LiteRT's bits";
  const auto real = run("run " + folder + "/neutron_0.tflite --dequantize --input " + folder +
                        "/neutron_0_in_0.npy --output " + file("real.npy"));
  ASSERT_EQ(real.status, 0) << real.err;
  EXPECT_TRUE(at::allclose(read_npy(file("real.npy")), (levels.to(at::kFloat) + 128) / 256));
  const auto missing = run("run " + folder + "/neutron_0.tflite --input " + folder + "/test_0.npy --input " + folder +
                           "/test_0.npy --output " + file("o.npy"));
  EXPECT_EQ(missing.status, 1);
  EXPECT_NE(missing.err.find("--input: expected 1 files"), std::string::npos) << missing.err;
}

TEST_F(Program, InspectsTflite) {
  const std::string model = golden("net_cifarnet") + "/neutron_0.tflite";
  const auto text = run("inspect " + model);
  ASSERT_EQ(text.status, 0) << text.err;
  for (const char* part : {"FULLY_CONNECTED", "SOFTMAX", "[1, 10] int8 0.00390625 zp -128", "arena "}) {
    EXPECT_NE(text.out.find(part), std::string::npos) << part << " in " << text.out;
  }
  const auto facts = nlohmann::json::parse(run("inspect --json " + model).out);
  EXPECT_EQ(facts.at("outputs")[0].at("scale")[0].get<float>(), 1.0F / 256);
  EXPECT_EQ(facts.at("operators").back().at("op"), "SOFTMAX");
  EXPECT_GE(facts.at("arena_bytes").get<int64_t>(), facts.at("peak_bytes").get<int64_t>());
  const auto graph = run("inspect --graph " + model);
  EXPECT_EQ(graph.status, 0) << graph.err;
  EXPECT_NE(graph.out.find("aten.softmax"), std::string::npos) << "as the graph that it becomes: " << graph.out;
}

}  // namespace
}  // namespace octet
