#include "octet/train/checkpoints.h"

#include <zlib.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <optional>

#include "octet/formats/json.h"
#include "octet/formats/state_dict.h"
#include "octet/formats/torch_save.h"
#include "octet/support/atomic_write.h"
#include "octet/support/error.h"
#include "octet/support/json_text.h"
#include "octet/support/log.h"
#include "octet/train/average.h"
#include "octet/train/clock.h"
#include "octet/train/optimizer.h"

namespace octet {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using Tensors = std::map<std::string, at::Tensor>;

constexpr int64_t kVersion = 1;
constexpr const char* kRun = "run";        // the JSON text of all that is no tensor
constexpr const char* kRandom = "random";  // the generator's state
constexpr const char* kModel = "model:";
constexpr const char* kOptimizer = "optimizer:";
constexpr const char* kAverage = "average:";  // by the number of the tensor (averaged_tensors)
constexpr const char* kBestState = "best:";
constexpr const char* kBest = "best.ckpt";  // the file

std::string name_of(int64_t step) {
  char name[32];
  std::snprintf(name, sizeof name, "step-%08lld.ckpt", static_cast<long long>(step));
  return name;
}

std::optional<int64_t> step_of(const std::string& name) {
  long long step = 0;
  int end = 0;
  if (std::sscanf(name.c_str(), "step-%lld.ckpt%n", &step, &end) != 1 || end != static_cast<int>(name.size())) {
    return std::nullopt;
  }
  return step;
}

// Steps of the files in the folder, the newest first.
std::vector<int64_t> steps_in(const std::string& folder) {
  std::vector<int64_t> steps;
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(folder, ignored)) {
    if (const auto step = step_of(entry.path().filename().string())) steps.push_back(*step);
  }
  std::sort(steps.rbegin(), steps.rend());
  return steps;
}

// ---- what is no tensor ----------------------------------------------------------------------------------------------

json to_json(const std::vector<Score>& scores) {
  auto array = json::array();
  for (const Score& score : scores)
    array.push_back({{"key", score.key}, {"title", score.title}, {"value", score.value}});
  return array;
}

std::vector<Score> scores_from(const JsonCursor& array) {
  std::vector<Score> scores;
  for (const JsonCursor& score : array.elements()) {
    scores.push_back({score.at("key").to_string(), score.at("title").to_string(), score.at("value").to_double()});
  }
  return scores;
}

json to_json(const EpochInfo& info) {
  json epoch = {{"epoch", info.epoch},     {"loss", info.loss},       {"scores", to_json(info.scores)},
                {"seconds", info.seconds}, {"waiting", info.waiting}, {"samples_per_second", info.samples_per_second},
                {"best", info.best}};
  if (info.evaluation) {
    const Evaluation& evaluation = *info.evaluation;
    epoch["evaluation"] = {{"samples", evaluation.samples},
                           {"loss", evaluation.loss},
                           {"scores", to_json(evaluation.scores)},
                           {"seconds", evaluation.seconds},
                           {"samples_per_second", evaluation.samples_per_second}};
  }
  return epoch;
}

EpochInfo epoch_from(const JsonCursor& epoch) {
  EpochInfo info;
  info.epoch = epoch.at("epoch").to_int();
  info.loss = epoch.at("loss").to_double();
  info.scores = scores_from(epoch.at("scores"));
  info.seconds = epoch.at("seconds").to_double();
  info.waiting = epoch.at("waiting").to_double();
  info.samples_per_second = epoch.at("samples_per_second").to_double();
  info.best = epoch.at("best").to_bool();
  if (epoch.has("evaluation")) {
    const JsonCursor evaluation = epoch.at("evaluation");
    info.evaluation = {evaluation.at("samples").to_int(), evaluation.at("loss").to_double(),
                       scores_from(evaluation.at("scores")), evaluation.at("seconds").to_double(),
                       evaluation.at("samples_per_second").to_double()};
  }
  return info;
}

json to_json(const TrainState& state, const RunFacts& facts) {
  json run = {{"version", kVersion},
              {"epoch", state.epoch},
              {"step", state.step},
              {"seconds", state.seconds},
              {"waiting", state.waiting},
              {"tally",
               {{"loss", state.tally.loss},
                {"sums", state.tally.sums},
                {"samples", state.tally.samples},
                {"batches", state.tally.batches}}},
              {"result",
               {{"seconds", state.result.seconds},
                {"samples", state.result.samples},
                {"best_epoch", state.result.best_epoch},
                {"epochs", json::array()}}},
              {"facts", json::array()}};
  for (const EpochInfo& info : state.result.epochs) run["result"]["epochs"].push_back(to_json(info));
  for (const auto& [name, value] : facts) run["facts"].push_back({name, value});
  return run;
}

int64_t count_at(const JsonCursor& object, const char* key) {
  const int64_t count = object.at(key).to_int();
  if (count < 0) throw expected(object.where(), key, "0 or more", str(count));
  return count;
}

// Into `state`, but for its optimizer and generator.
void read_state(const JsonCursor& run, TrainState& state) {
  state.epoch = count_at(run, "epoch");
  state.step = count_at(run, "step");
  state.seconds = run.at("seconds").to_double();
  state.waiting = run.at("waiting").to_double();
  const JsonCursor tally = run.at("tally");
  state.tally.loss = tally.at("loss").to_double();
  state.tally.sums.clear();
  for (const JsonCursor& sum : tally.at("sums").elements()) state.tally.sums.push_back(sum.to_double());
  state.tally.samples = count_at(tally, "samples");
  state.tally.batches = count_at(tally, "batches");
  const JsonCursor result = run.at("result");
  state.result.seconds = result.at("seconds").to_double();
  state.result.samples = count_at(result, "samples");
  state.result.best_epoch = count_at(result, "best_epoch");
  state.result.epochs.clear();
  for (const JsonCursor& epoch : result.at("epochs").elements()) state.result.epochs.push_back(epoch_from(epoch));
  const int64_t over = static_cast<int64_t>(state.result.epochs.size());
  if (over != state.epoch) throw expected(run.where(), "epochs that are over", str(state.epoch), str(over));
  if (over > 0 && state.result.best_epoch >= over) {
    throw expected(run.where(), "best_epoch", str("below ", over), str(state.result.best_epoch));
  }
}

RunFacts facts_of(const JsonCursor& run) {
  RunFacts facts;
  for (const JsonCursor& fact : run.at("facts").elements()) {
    const auto pair = fact.elements();
    if (pair.size() != 2) throw expected(fact.where(), "elements", "2", str(pair.size()));
    facts.emplace_back(pair[0].to_string(), pair[1].to_string());
  }
  return facts;
}

void add_leaves(std::map<std::string, std::string>& to, const std::string& name, const json& value) {
  if (value.is_object()) {
    for (const auto& [key, part] : value.items()) add_leaves(to, name + "." + key, part);
  } else {
    to[name] = value.is_string() ? value.get<std::string>() : json_text(value);
  }
}

std::map<std::string, std::string> by_name(const RunFacts& facts) {
  std::map<std::string, std::string> all;
  for (const auto& [name, value] : facts) {
    const json parsed = value.starts_with('{') ? json::parse(value, nullptr, false) : json();
    add_leaves(all, name, parsed.is_object() ? parsed : json(value));
  }
  return all;
}

// As it comes back: names of files need not be UTF-8.
std::string as_written(const std::string& text) { return json::parse(json_text(json(text))).get<std::string>(); }

void check_facts(const JsonCursor& run, const RunFacts& facts, const std::set<std::string>& usual,
                 const std::string& path) {
  std::map<std::string, std::string> written = by_name(facts_of(run));
  for (const auto& [name, value] : by_name(facts)) {
    const auto found = written.find(name);
    const bool is_newer = found == written.end() && usual.contains(name);  // than the run
    const std::string then = found == written.end() ? "nothing" : found->second;
    if (then != value && !is_newer) {
      throw expected(path, name, then + ", as the run was begun", value)
          .hint("resume with the settings of the run, or begin another in a folder of its own");
    }
    if (found != written.end()) written.erase(found);
  }
  if (!written.empty()) {
    throw expected(path, written.begin()->first, written.begin()->second + ", as the run was begun", "nothing")
        .hint(
            "resume with the settings of the run, by a version of octet that has them, or begin another in a folder of "
            "its own");
  }
}

// ---- files ----------------------------------------------------------------------------------------------------------

void add_all(std::vector<SavedTensor>& into, const char* prefix, const Tensors& tensors) {
  for (const auto& [name, tensor] : tensors) into.push_back({prefix + name, tensor.detach().cpu(), false, false});
}

Tensors behind(const char* prefix, const StateDict& all) {
  Tensors found;
  for (const auto& [name, tensor] : all) {
    if (name.rfind(prefix, 0) == 0) found.emplace(name.substr(std::char_traits<char>::length(prefix)), tensor);
  }
  return found;
}

// Clones of the tensors that are numbered from 0, which are `like` these.
std::vector<at::Tensor> numbered(const Tensors& tensors, const std::vector<at::Tensor>& like, const std::string& path) {
  std::vector<at::Tensor> all;
  if (tensors.empty()) return all;
  for (size_t i = 0; i < like.size(); ++i) {
    const auto found = tensors.find(str(i));
    const bool fits = found != tensors.end() && found->second.sizes() == like[i].sizes() &&
                      found->second.scalar_type() == like[i].scalar_type();
    if (!fits) throw Error(path, str("the moving average of tensor ", i, " is none of it"));
    all.push_back(found->second.to(like[i].device(), /*non_blocking=*/false, /*copy=*/true));
  }
  if (tensors.size() != like.size()) throw Error(path, "holds the moving average of another model");
  return all;
}

at::Tensor bytes_of(const std::string& text) {
  at::Tensor bytes = at::empty({static_cast<int64_t>(text.size())}, at::kByte);
  std::copy(text.begin(), text.end(), bytes.mutable_data_ptr<uint8_t>());
  return bytes;
}

at::Tensor bytes_named(const StateDict& all, const char* name, const std::string& path) {
  for (const auto& [known, tensor] : all) {
    if (known == name && tensor.scalar_type() == at::kByte && tensor.dim() == 1) return tensor.contiguous();
  }
  throw Error(path, str("is no checkpoint of a run: it has no bytes '", name, "'"));
}

// The JSON text of all that is no tensor.
json document_of(const StateDict& all, const std::string& path) {
  const at::Tensor text = bytes_named(all, kRun, path);
  json document = parse_json(std::string_view(reinterpret_cast<const char*>(text.const_data_ptr<uint8_t>()),
                                              static_cast<size_t>(text.numel())),
                             path);
  const JsonCursor run(document, path);
  if (run.at("version").to_int() != kVersion) {
    throw expected(path, "version", str(kVersion), str(run.at("version").to_int()));
  }
  return document;
}

void load(const StateDict& all, const std::string& path, const RunFacts& facts, const std::set<std::string>& usual,
          const ModelHandle& model, TrainState& state) {
  const json document = document_of(all, path);
  const JsonCursor run(document, path);
  check_facts(run, facts, usual, path);
  read_state(run, state);
  state.random = bytes_named(all, kRandom, path);
  load_state(model, behind(kModel, all), path);
  load_optimizer_state(*state.optimizer, model.parameters, behind(kOptimizer, all), path);
  state.average = numbered(behind(kAverage, all), averaged_tensors(model), path);
  state.best.clear();
  for (const auto& [name, tensor] : behind(kBestState, all)) state.best.emplace(name, tensor.clone());
}

}  // namespace

Checkpoints::Checkpoints(CheckpointOptions options, RunFacts facts, std::set<std::string> usual)
    : options_(std::move(options)), facts_(std::move(facts)), usual_(std::move(usual)), last_(now()) {
  if (options_.keep < 1) throw expected("checkpoints", "kept", "at least 1", str(options_.keep));
  for (auto& [name, value] : facts_) value = as_written(value);
  std::error_code failure;
  fs::create_directories(options_.folder, failure);
  if (failure) throw Error(options_.folder, "can't be made: " + failure.message(), ErrorCategory::kFile);
}

int64_t Checkpoints::newest() const {
  const std::vector<int64_t> steps = steps_in(options_.folder);
  return steps.empty() ? -1 : steps.front();
}

bool Checkpoints::resume(const ModelHandle& model, TrainState& state) const {
  for (const int64_t step : steps_in(options_.folder)) {
    const std::string path = (fs::path(options_.folder) / name_of(step)).string();
    StateDict tensors;
    try {
      tensors = load_state_dict(path);
    } catch (const Error& error) {
      log::warn(error.what(), "; going back to the one before");
      continue;
    }
    in_category(ErrorCategory::kFile, [&] { load(tensors, path, facts_, usual_, model, state); });
    return true;
  }
  return false;
}

void Checkpoints::write(const std::string& name, const ModelHandle& model, const TrainState& state) const {
  std::vector<SavedTensor> tensors;
  tensors.push_back({kRun, bytes_of(json_text(to_json(state, facts_))), false, false});
  tensors.push_back({kRandom, state.random, false, false});
  add_all(tensors, kModel, state_of(model));
  add_all(tensors, kOptimizer, optimizer_state(*state.optimizer, model.parameters));
  Tensors average;
  for (size_t i = 0; i < state.average.size(); ++i) average.emplace(str(i), state.average[i]);
  add_all(tensors, kAverage, average);
  add_all(tensors, kBestState, state.best);
  atomic_write((fs::path(options_.folder) / name).string(), torch_save_bytes(tensors));
}

void Checkpoints::drop_old() const {
  const std::vector<int64_t> steps = steps_in(options_.folder);
  std::error_code ignored;
  for (size_t i = static_cast<size_t>(options_.keep); i < steps.size(); ++i)
    fs::remove(fs::path(options_.folder) / name_of(steps[i]), ignored);
}

void Checkpoints::save(const ModelHandle& model, const TrainState& state) {
  write(name_of(state.step), model, state);
  const bool behind_an_epoch = state.tally.batches == 0 && !state.result.epochs.empty();
  if (behind_an_epoch && state.result.epochs.back().best) write(kBest, model, state);
  drop_old();
  last_ = now();
}

void Checkpoints::save_if_due(const ModelHandle& model, const TrainState& state) {
  const bool behind_an_epoch = state.tally.batches == 0;
  if (!behind_an_epoch && now() - last_ < options_.every_seconds) return;
  try {
    save(model, state);
  } catch (const Error& error) {
    log::warn(error.what(), "; training goes on without this checkpoint");
    last_ = now();
  }
}

SavedRun read_run(const std::string& folder) {
  for (const int64_t step : steps_in(folder)) {
    const std::string path = (fs::path(folder) / name_of(step)).string();
    try {
      const json document = document_of(load_state_dict(path), path);
      TrainState state;
      read_state(JsonCursor(document, path), state);
      return {state.step, state.result, facts_of(JsonCursor(document, path))};
    } catch (const Error& error) {
      log::warn(error.what(), "; going back to the one before");
    }
  }
  throw Error(folder, "holds no checkpoint of a run that can be read", ErrorCategory::kFile);
}

std::string fingerprint(const DataSource& data) {
  uLong sum = crc32(0, nullptr, 0);
  const int64_t size = data.size();
  for (const int64_t index : {int64_t{0}, size / 2, size - 1}) {
    if (index < 0 || index >= size) continue;
    Batch batch = data.get({index});
    batch.inputs.push_back(batch.targets);
    for (const at::Tensor& tensor : batch.inputs) {
      if (!tensor.defined() || tensor.numel() == 0) continue;  // a file that can't be read
      const at::Tensor whole = tensor.contiguous();
      sum = crc32_z(sum, static_cast<const Bytef*>(whole.const_data_ptr()), whole.nbytes());
    }
  }
  std::string shapes;
  for (const std::vector<int64_t>& shape : data.sample_shapes()) shapes += octet::str(at::IntArrayRef(shape));
  return str(data.name(), ", ", size, " samples of ", shapes, ", checksum ", sum);
}

}  // namespace octet
