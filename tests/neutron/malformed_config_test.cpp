// Config files and options that are broken or contradict themselves: each a clear error that names the key.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "octet/support/error.h"
#include "octet/targets/engine/config_file.h"
#include "octet/targets/neutron/neutron_quantizer.h"
#include "octet/targets/targets.h"
#include "tests/engine/malformed.h"

namespace octet {
namespace {

using test::expect_refused;
using test::Parts;

const char* kConfig = R"({
  "version": 1, "target": "imxrt700", "qat": false, "mul_range": "observed",
  "overrides": [
    {"module": "features.0.*", "quantize": false},
    {"op": "linear", "activation_observer": "min_max", "weight_observer": "min_max"},
    {"module": "head", "op": "conv2d", "activation_observer": "histogram"}
  ],
  "calibration": {"data": "npy:c_*.npy", "samples": 8, "batch_size": 2, "seed": 0},
  "training": {"epochs": "3"}
})";

struct Mutation {
  const char* pointer;  // where in the config
  const char* value;    // JSON put there; empty: the key is removed
  Parts parts;          // of the message
};

const std::vector<Mutation>& mutations() {
  static const std::vector<Mutation> all = {
      // the document
      {"", "[]", {"expected an object, got an array"}},
      {"", "3", {"expected an object, got 3"}},
      {"", "null", {"expected an object, got null"}},
      {"", "\"imxrt700\"", {"expected an object"}},
      {"", "{}", {"'version' is missing"}},
      {"/targets", "\"imxrt700\"", {"config.json: targets]", "unknown key", "target"}},
      {"/Target", "\"imxrt700\"", {"config.json: Target]", "unknown key"}},
      {"/override", "[]", {"config.json: override]", "unknown key", "overrides"}},
      {"/is_qat", "true", {"config.json: is_qat]", "unknown key"}},
      {"/", "1", {"unknown key"}},
      // version
      {"/version", "", {"'version' is missing"}},
      {"/version", "0", {"config.json: version]", "expected 1, got 0"}},
      {"/version", "2", {"config.json: version]", "expected 1, got 2"}},
      {"/version", "-1", {"config.json: version]", "got -1"}},
      {"/version", "1.0", {"config.json: version]", "expected an integer, got 1.0"}},
      {"/version", "\"1\"", {"config.json: version]", "expected an integer"}},
      {"/version", "null", {"config.json: version]", "expected an integer, got null"}},
      {"/version", "true", {"config.json: version]", "expected an integer, got true"}},
      {"/version", "18446744073709551615", {"config.json: version]", "64-bit"}},
      // target
      {"/target", "\"imxrt70\"", {"config.json: target]", "imxrt700", "'imxrt70'"}},
      {"/target", "\"IMXRT700\"", {"config.json: target]", "'IMXRT700'"}},
      {"/target", "\"\"", {"config.json: target]", "expected a text"}},
      {"/target", "700", {"config.json: target]", "expected a string, got 700"}},
      {"/target", "null", {"config.json: target]", "expected a string, got null"}},
      {"/target", "[\"imxrt700\"]", {"config.json: target]", "expected a string, got an array"}},
      // qat
      {"/qat", "1", {"config.json: qat]", "true or false, got 1"}},
      {"/qat", "\"true\"", {"config.json: qat]", "true or false"}},
      {"/qat", "null", {"config.json: qat]", "true or false, got null"}},
      {"/qat", "[true]", {"config.json: qat]", "true or false, got an array"}},
      // mul_range
      {"/mul_range", "\"fixed\"", {"config.json: mul_range]", "observed, reference", "'fixed'"}},
      {"/mul_range", "\"Observed\"", {"config.json: mul_range]", "'Observed'"}},
      {"/mul_range", "\"\"", {"config.json: mul_range]", "''"}},
      {"/mul_range", "false", {"config.json: mul_range]", "expected a string, got false"}},
      {"/mul_range", "0.5", {"config.json: mul_range]", "expected a string, got 0.5"}},
      {"/mul_range", "[-1, 1]", {"config.json: mul_range]", "expected a string, got an array"}},
      {"/mul_range", "null", {"config.json: mul_range]", "expected a string, got null"}},
      // overrides
      {"/overrides", "{}", {"config.json: overrides]", "expected an array, got an object"}},
      {"/overrides", "null", {"config.json: overrides]", "expected an array, got null"}},
      {"/overrides", "\"head\"", {"config.json: overrides]", "expected an array"}},
      {"/overrides/0", "\"head\"", {"config.json: overrides[0]]", "expected an object"}},
      {"/overrides/1", "null", {"config.json: overrides[1]]", "expected an object, got null"}},
      {"/overrides/2", "[]", {"config.json: overrides[2]]", "expected an object, got an array"}},
      {"/overrides/0", "{}", {"config.json: overrides[0]]", "selects nothing"}},
      {"/overrides/0", "{\"quantize\": false}", {"config.json: overrides[0]]", "selects nothing"}},
      {"/overrides/1", "{\"activation_observer\": \"min_max\"}", {"config.json: overrides[1]]", "selects nothing"}},
      {"/overrides/0", "{\"module\": \"head\"}", {"config.json: overrides[0]]", "says nothing"}},
      {"/overrides/2", "{\"op\": \"conv2d\"}", {"config.json: overrides[2]]", "says nothing"}},
      {"/overrides/0/modul", "\"x\"", {"config.json: overrides[0].modul]", "unknown key", "module"}},
      {"/overrides/1/observer", "\"min_max\"", {"overrides[1].observer]", "unknown key", "activation_observer"}},
      {"/overrides/2/bits", "8", {"overrides[2].bits]", "unknown key"}},
      // module
      {"/overrides/0/module", "\"\"", {"overrides[0].module]", "expected a text"}},
      {"/overrides/0/module", "7", {"overrides[0].module]", "expected a string, got 7"}},
      {"/overrides/0/module", "null", {"overrides[0].module]", "expected a string, got null"}},
      {"/overrides/0/module", "[\"a\", \"b\"]", {"overrides[0].module]", "expected a string, got an array"}},
      {"/overrides/0/module", "\"features 0\"", {"overrides[0].module]", "without blanks", "'features 0'"}},
      {"/overrides/0/module", "\" head\"", {"overrides[0].module]", "without blanks"}},
      {"/overrides/0/module", "\"head\\n\"", {"overrides[0].module]", "without blanks"}},
      {"/overrides/0/module", "\"he\\u0000ad\"", {"overrides[0].module]", "without blanks"}},
      {"/overrides/0/module", "\"head\\u007f\"", {"overrides[0].module]", "without blanks"}},
      // op
      {"/overrides/1/op", "\"\"", {"overrides[1].op]", "expected a text"}},
      {"/overrides/1/op", "2", {"overrides[1].op]", "expected a string, got 2"}},
      {"/overrides/1/op", "null", {"overrides[1].op]", "expected a string, got null"}},
      {"/overrides/1/op", "\"conv2dd\"", {"overrides[1].op]", "expected an operator", "'conv2dd'"}},
      {"/overrides/1/op", "\"Conv2d\"", {"overrides[1].op]", "expected an operator", "'Conv2d'"}},
      {"/overrides/1/op", "\"aten.conv2d.defualt\"", {"overrides[1].op]", "'aten.conv2d.defualt'"}},
      {"/overrides/1/op", "\"torch.ops.aten.conv2d\"", {"overrides[1].op]", "expected an operator"}},
      {"/overrides/1/op", "\"aten::conv2d\"", {"overrides[1].op]", "'aten::conv2d'"}},
      {"/overrides/1/op", "\"nn.Linear\"", {"overrides[1].op]", "'nn.Linear'"}},
      {"/overrides/1/op", "\"convolution3*\"", {"overrides[1].op]", "'convolution3*'"}},
      {"/overrides/1/op", "\"conv2d, linear\"", {"overrides[1].op]", "without blanks"}},
      {"/overrides/1/op", "\"output\"", {"overrides[1].op]", "expected an operator", "'output'"}},
      // quantize
      {"/overrides/0/quantize", "0", {"overrides[0].quantize]", "true or false, got 0"}},
      {"/overrides/0/quantize", "\"false\"", {"overrides[0].quantize]", "true or false"}},
      {"/overrides/0/quantize", "\"int8\"", {"overrides[0].quantize]", "true or false"}},
      {"/overrides/0/quantize", "null", {"overrides[0].quantize]", "true or false, got null"}},
      {"/overrides/0/quantize", "{}", {"overrides[0].quantize]", "true or false, got an object"}},
      // activation_observer
      {"/overrides/1/activation_observer", "\"\"", {"overrides[1].activation_observer]", "expected a text"}},
      {"/overrides/1/activation_observer", "null", {"overrides[1].activation_observer]", "got null"}},
      {"/overrides/1/activation_observer", "true", {"overrides[1].activation_observer]", "a string, got true"}},
      {"/overrides/1/activation_observer", "8", {"overrides[1].activation_observer]", "a string, got 8"}},
      {"/overrides/1/activation_observer", "{\"name\": \"min_max\"}", {"overrides[1].activation_observer]", "object"}},
      {"/overrides/1/activation_observer",
       "\"minmax\"",
       {"overrides[1].activation_observer]", "expected one of histogram, min_max", "got 'minmax'"}},
      {"/overrides/1/activation_observer", "\"MinMaxObserver\"", {"overrides[1].activation_observer]", "MinMaxObs"}},
      {"/overrides/1/activation_observer", "\"Histogram\"", {"overrides[1].activation_observer]", "'Histogram'"}},
      {"/overrides/1/activation_observer", "\"percentile\"", {"overrides[1].activation_observer]", "'percentile'"}},
      {"/overrides/2/activation_observer", "\"min_max \"", {"overrides[2].activation_observer]", "'min_max '"}},
      {"/overrides/1/activation_observer",
       "\"per_channel_min_max\"",
       {"overrides[1].activation_observer]", "'per_channel_min_max'", "activations have one scale"}},
      {"/overrides/2/activation_observer",
       "\"moving_average_per_channel_min_max\"",
       {"overrides[2].activation_observer]", "activations have one scale"}},
      {"/overrides/1/activation_observer", "\"placeholder\"", {"overrides[1].activation_observer]", "'placeholder'"}},
      // weight_observer
      {"/overrides/1/weight_observer", "\"\"", {"overrides[1].weight_observer]", "expected a text"}},
      {"/overrides/1/weight_observer", "null", {"overrides[1].weight_observer]", "a string, got null"}},
      {"/overrides/1/weight_observer", "0", {"overrides[1].weight_observer]", "a string, got 0"}},
      {"/overrides/1/weight_observer", "[]", {"overrides[1].weight_observer]", "a string, got an array"}},
      {"/overrides/1/weight_observer",
       "\"per_channel\"",
       {"overrides[1].weight_observer]", "per_channel_min_max", "got 'per_channel'"}},
      {"/overrides/1/weight_observer", "\"per_channel_histogram\"", {"overrides[1].weight_observer]", "_histogram'"}},
      {"/overrides/1/weight_observer", "\"fused\"", {"overrides[1].weight_observer]", "'fused'"}},
      // contradictions
      {"/overrides/1/quantize", "false", {"overrides[1]]", "contradicts itself", "activation_observer"}},
      {"/overrides/0/activation_observer", "\"histogram\"", {"overrides[0]]", "contradicts itself"}},
      {"/overrides/0/weight_observer", "\"per_channel_min_max\"", {"overrides[0]]", "contradicts", "weight_observer"}},
      {"/overrides/1",
       "{\"module\": \"features.0.*\", \"quantize\": true}",
       {"overrides[1]]", "selects the same as overrides[0]", "features.0.*"}},
      {"/overrides/2",
       "{\"op\": \"linear\", \"quantize\": false}",
       {"overrides[2]]", "selects the same as overrides[1]", "op 'linear'"}},
      {"/overrides/3",
       "{\"module\": \"head\", \"op\": \"conv2d\", \"activation_observer\": \"histogram\"}",
       {"overrides[3]]", "selects the same as overrides[2]", "module 'head', op 'conv2d'"}},
      {"/qat", "true", {"overrides[2].activation_observer]", "min_max", "'histogram'", "training"}},
      // calibration
      {"/calibration", "null", {"config.json: calibration]", "expected an object, got null"}},
      {"/calibration", "\"npy:c_*.npy\"", {"config.json: calibration]", "expected an object"}},
      {"/calibration", "{}", {"config.json: calibration]", "'data' is missing"}},
      {"/calibration/data", "", {"config.json: calibration]", "'data' is missing"}},
      {"/calibration/data", "\"\"", {"calibration.data]", "expected a text"}},
      {"/calibration/data", "5", {"calibration.data]", "expected a string, got 5"}},
      {"/calibration/data", "[\"a.npy\"]", {"calibration.data]", "expected a string, got an array"}},
      {"/calibration/file", "\"a.npy\"", {"calibration.file]", "unknown key", "data"}},
      {"/calibration/samples", "-1", {"calibration.samples]", "0 or more, got -1"}},
      {"/calibration/samples", "2.5", {"calibration.samples]", "expected an integer, got 2.5"}},
      {"/calibration/samples", "\"all\"", {"calibration.samples]", "expected an integer"}},
      {"/calibration/samples", "1e3", {"calibration.samples]", "expected an integer"}},
      {"/calibration/batch_size", "-32", {"calibration.batch_size]", "0 or more, got -32"}},
      {"/calibration/batch_size", "null", {"calibration.batch_size]", "expected an integer, got null"}},
      {"/calibration/batch_size", "true", {"calibration.batch_size]", "expected an integer, got true"}},
      {"/calibration/seed", "-7", {"calibration.seed]", "0 or more, got -7"}},
      {"/calibration/seed", "9223372036854775808", {"calibration.seed]", "64-bit"}},
      {"/calibration/seed", "\"0\"", {"calibration.seed]", "expected an integer"}},
      {"/calibration/pictures", "[]", {"calibration.pictures]", "expected an object, got an array"}},
      {"/calibration/pictures", "{\"size\": 3}", {"calibration.pictures.size]", "unknown key", "resize"}},
      {"/calibration/pictures", "{\"resize\": 0}", {"calibration.pictures.resize]", "1 or more, got 0"}},
      {"/calibration/pictures", "{\"filter\": \"lanczos\"}", {"pictures.filter]", "bilinear or bicubic", "'lanczos'"}},
      {"/calibration/pictures", "{\"mean\": []}", {"pictures.mean]", "a number a channel"}},
      {"/calibration/pictures", "{\"std\": [1, 0, 1]}", {"pictures.std[1]]", "got 0"}},
      {"/calibration/pictures", "{\"held_out\": 1.5}", {"pictures.held_out]", "0 to 1, got 1.5"}},
      {"/calibration/sounds", "{\"resize\": 3}", {"calibration.sounds.resize]", "unknown key", "features"}},
      {"/calibration/sounds", "{\"features\": \"plp\"}", {"features]", "mfcc, logmel, lfbe or samples, got 'plp'"}},
      {"/calibration/sounds", "{\"rate\": 0}", {"calibration.sounds.rate]", "1 or more, got 0"}},
      {"/calibration/sounds", "{\"mel_range\": [20]}", {"sounds.mel_range]", "the least and the greatest Hz, got 1"}},
      {"/calibration/sounds", "{\"time_last\": 1}", {"calibration.sounds.time_last]"}},
      // training
      {"/training", "[]", {"config.json: training]", "expected an object, got an array"}},
      {"/training", "null", {"config.json: training]", "expected an object, got null"}},
      {"/training/epochs", "{}", {"training.epochs]", "expected a text, a number, true, false or a list"}},
      {"/training/lr", "null", {"training.lr]", "expected a text, a number"}},
  };
  return all;
}

nlohmann::json mutated(const Mutation& mutation) {
  nlohmann::json config = nlohmann::json::parse(kConfig);
  const std::string pointer = mutation.pointer;
  if (*mutation.value == '\0') {
    const size_t slash = pointer.rfind('/');
    config[nlohmann::json::json_pointer(pointer.substr(0, slash))].erase(pointer.substr(slash + 1));
  } else {
    config[nlohmann::json::json_pointer(pointer)] = nlohmann::json::parse(mutation.value);
  }
  return config;
}

TEST(MalformedConfig, TheGoodOneIsRead) {
  const targets::QuantizerConfig config = targets::parse_config(kConfig, "config.json", all_targets());
  EXPECT_EQ(config.options.overrides.size(), 3u);
  EXPECT_EQ(config.calibration->samples, 8);
}

TEST(MalformedConfig, EveryMutationIsRefusedByName) {
  for (const Mutation& mutation : mutations()) {
    Parts parts = mutation.parts;
    parts.emplace_back("[config.json");
    expect_refused(
        octet::str("config ", mutation.pointer, " = ", mutation.value),
        [&] { targets::parse_config(mutated(mutation).dump(), "config.json", all_targets()); }, parts);
  }
}

TEST(MalformedConfig, TextThatIsNoJsonIsRefused) {
  const std::string good = kConfig;
  const std::vector<std::tuple<const char*, std::string, const char*>> texts = {
      {"empty", "", "no valid JSON"},
      {"blank", " \n", "no valid JSON"},
      {"cut", good.substr(0, good.size() / 2), "no valid JSON"},
      {"without its end", good.substr(0, good.size() - 1), "no valid JSON"},
      {"with more behind", good + "x", "no valid JSON"},
      {"two documents", good + good, "no valid JSON"},
      {"trailing comma", "{\"version\": 1,}", "no valid JSON"},
      {"single quotes", "{'version': 1}", "no valid JSON"},
      {"comment", "{\"version\": 1} // mine", "no valid JSON"},
      {"YAML", "version: 1\ntarget: imxrt700\n", "no valid JSON"},
      {"NaN", "{\"version\": NaN}", "no valid JSON"},
      {"broken UTF-8", "{\"version\": 1, \"target\": \"\xff\xfe\"}", "no valid JSON"},
      {"zero bytes", std::string(16, '\0'), "no valid JSON"},
      {"key twice", "{\"version\": 1, \"qat\": true, \"qat\": false}", "stands twice"},
      {"override key twice", "{\"version\": 1, \"overrides\": [{\"op\": \"linear\", \"op\": \"conv2d\"}]}",
       "stands twice"},
      {"too deep", "{\"version\": " + std::string(50, '[') + std::string(50, ']') + "}", "nested deeper"},
      {"too large", "{\"version\": 1, \"target\": \"" + std::string(2 << 20, 'x') + "\"}", "too large"},
  };
  for (const auto& [name, text, part] : texts) {
    const std::string& document = text;
    expect_refused(octet::str("text ", name), [&] { targets::parse_config(document, "config.json", all_targets()); },
                   {"[config.json", part});
  }
}

TEST(MalformedConfig, OptionsMadeInCodeAreHeldToTheSame) {
  const auto refused = [](const char* name, const std::function<void(NeutronOptions&)>& change, const Parts& parts) {
    NeutronOptions options;
    options.overrides.emplace_back();
    options.overrides[0].module = "head";
    options.overrides[0].activation_observer = "histogram";
    change(options);
    expect_refused(
        octet::str("options ", name), [&] { NeutronQuantizer quantizer(options); }, parts);
  };
  refused("empty target", [](auto& o) { o.target = ""; }, {"target", "imxrt700"});
  refused("no selector", [](auto& o) { o.overrides[0].module = ""; }, {"NeutronOptions: overrides[0]", "selects"});
  refused("histogram in training", [](auto& o) { o.is_qat = true; }, {"overrides[0].activation_observer", "training"});
  refused("weight histogram in training",
          [](auto& o) {
            o.is_qat = true;
            o.overrides[0].activation_observer = "";
            o.overrides[0].weight_observer = "histogram";
          },
          {"overrides[0].weight_observer", "training"});
  refused("twice", [](auto& o) { o.overrides.push_back(o.overrides[0]); }, {"overrides[1]", "overrides[0]"});
  refused("nothing said", [](auto& o) { o.overrides[0].activation_observer = ""; }, {"overrides[0]", "says nothing"});
}

}  // namespace
}  // namespace octet
