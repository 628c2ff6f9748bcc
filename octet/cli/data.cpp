#include "octet/cli/data.h"

#include "octet/formats/dtype.h"
#include "octet/lowering/batch.h"
#include "octet/support/error.h"
#include "octet/train/loader.h"
#include "octet/train/transforms.h"

namespace octet::cli {
namespace {

// A model's input: its name, and the shape of one sample, or of all where the data comes in sets.
struct Input {
  std::string name;
  std::vector<int64_t> sample;
};

std::vector<int64_t> without_batch(const std::vector<int64_t>& sizes) {
  return sizes.empty() ? sizes : std::vector<int64_t>(sizes.begin() + 1, sizes.end());
}

void check_inputs(const std::vector<Input>& inputs, const DataSource& data) {
  if (data.size() < 1) throw Error(data.name(), "holds no sample");
  const auto shapes = data.sample_shapes();
  if (inputs.size() != shapes.size()) {
    throw expected(data.name(), "inputs a sample", octet::str(inputs.size(), ", as many as the model has"),
                   std::to_string(shapes.size()));
  }
  if (data.image_facts() != nullptr) return;  // images are brought to the model's size
  for (size_t i = 0; i < inputs.size(); ++i) {
    if (shapes[i] != inputs[i].sample) {
      throw expected(data.name(), octet::str("shape of a sample for input '", inputs[i].name, "'"),
                     octet::str('[', join(", ", inputs[i].sample), ']'), octet::str('[', join(", ", shapes[i]), ']'));
    }
  }
}

// What goes into a graph as it is: floats where it takes floats, whole numbers where it takes those.
void check_types(const GraphModule& module, const DataSource& data) {
  if (data.image_facts() != nullptr) return;
  const std::vector<Node*> placeholders = module.graph().placeholders();
  const Batch first = data.get({0});
  for (size_t i = 0; i < placeholders.size() && i < first.inputs.size(); ++i) {
    const at::ScalarType given = first.inputs[i].scalar_type();
    const std::optional<TensorMeta>& meta = placeholders[i]->meta();
    if (!meta || at::isFloatingType(meta->dtype) == at::isFloatingType(given)) continue;
    throw expected(data.name(), octet::str("type of input '", placeholders[i]->name(), "'"), dtype_name(meta->dtype),
                   dtype_name(given));
  }
}

// The number at a place of a list, where it is that long.
template <typename Value, typename Number>
Value nth(const std::vector<Number>& numbers, size_t i, Value otherwise) {
  return i < numbers.size() ? static_cast<Value>(numbers[i]) : otherwise;
}

images::RandAugment rand_augment_options(const MakingArguments& given) {
  images::RandAugment chosen;
  chosen.changes = nth(given.rand_augment, 0, chosen.changes);
  chosen.magnitude = nth(given.rand_augment, 1, chosen.magnitude);
  chosen.bins = nth(given.rand_augment, 2, chosen.bins);
  for (size_t i = 0; i < chosen.fill.size(); ++i) {
    const auto level = nth<int64_t>(given.fill, i, 0);
    if (level < 0 || level > 255) throw expected("--fill", "a color", "levels from 0 to 255", std::to_string(level));
    chosen.fill[i] = static_cast<uint8_t>(level);
  }
  return chosen;
}

ModelData open_for_inputs(const std::vector<Input>& inputs, std::shared_ptr<DataSource> source,
                          const DataArguments& choice, int64_t default_batch) {
  ModelData data;
  data.source = std::move(source);
  check_inputs(inputs, *data.source);
  const bool has_pictures = data.source->image_facts() != nullptr || choice.spec.starts_with("images:");
  if (!choice.making.rand_augment.empty() && !has_pictures) {
    throw Error(choice.spec, "--randaugment is for pictures: images:FOLDER, idx:, cifar10:, fashion-mnist",
                ErrorCategory::kUsage);
  }
  if (data.source->gives_sets() && choice.batch_size > 1) {
    throw expected(data.source->name(), "--batch-size", "1, since its inputs are not batched along dimension 0",
                   std::to_string(choice.batch_size));
  }
  data.batch_size = choice.batch_size > 0              ? choice.batch_size
                    : data.source->natural_batch() > 0 ? data.source->natural_batch()
                                                       : std::min<int64_t>(default_batch, data.source->size());
  data.workers = choice.making.workers > 0 ? choice.making.workers : data.source->usual_workers();
  data.transform =
      standard_transform(*data.source, inputs.at(0).sample, choice.augment, rand_augment_options(choice.making));
  return data;
}

// `sample`: the sizes of the model's first input without the batch, channels first or last.
ImageFolderOptions image_options(const DataArguments& choice, std::vector<int64_t> sample) {
  const MakingArguments& given = choice.making;
  const auto holds_channels = [](int64_t size) { return size == 1 || size == 3; };
  if (sample.size() == 3 && !holds_channels(sample[0]) && holds_channels(sample[2])) {
    sample = {sample[2], sample[0], sample[1]};
  }
  ImageFolderOptions options;
  options.sample = std::move(sample);
  options.resize = given.facts.resize.value_or(0);
  options.filter = given.facts.filter == "bicubic" ? images::Filter::kBicubic : images::Filter::kBilinear;
  options.mean = given.facts.mean;
  options.std = given.facts.std;
  options.augment = choice.augment;
  options.least_scale = given.least_scale;
  options.mirror = !given.no_mirror;
  options.jitter = {nth(given.jitter, 0, 0.0), nth(given.jitter, 1, 0.0), nth(given.jitter, 2, 0.0),
                    nth(given.jitter, 3, 0.0)};
  options.rand_augment = rand_augment_options(given);
  options.held_out = given.facts.held_out.value_or(options.held_out);
  options.strict = given.strict;
  return options;
}

AudioFolderOptions audio_options(const DataArguments& choice, const std::vector<int64_t>& sample) {
  const MakingArguments& given = choice.making;
  const targets::SampleFacts& facts = given.facts;
  AudioFolderOptions options;
  options.sample = sample;
  audio::FeatureOptions& features = options.features;
  features.kind = audio::feature_kind(facts.features.value_or("mfcc"));
  features.rate = facts.rate.value_or(0);
  features.window_ms = facts.window_ms.value_or(0);
  features.stride_ms = facts.stride_ms.value_or(0);
  features.bands = facts.bands.value_or(0);
  features.coefficients = facts.coefficients.value_or(0);
  features.least_hz = nth(facts.mel_range, 0, features.least_hz);
  features.most_hz = nth(facts.mel_range, 1, features.most_hz);
  options.time_last = facts.time_last.value_or(false);
  options.clip_ms = facts.clip_ms.value_or(0);
  options.hop_ms = facts.hop_ms.value_or(0);
  options.part_ms = facts.part_ms;
  options.mean = facts.mean;
  options.std = facts.std;
  options.augment = choice.augment;
  options.shift_ms = given.shift_ms;
  options.gain = given.gain;
  options.noise = given.noise;
  options.noise_level = given.noise_level;
  options.noise_share = given.noise_share;
  options.held_out = facts.held_out.value_or(options.held_out);
  options.strict = given.strict;
  return options;
}

// An image's sizes as [C, H, W], whichever way round the program has them.
std::vector<int64_t> as_chw(const std::vector<int64_t>& sample, const std::vector<int64_t>& of_data) {
  if (sample.size() != 3 || of_data.size() != 3 || sample[0] == of_data[0] || sample[2] != of_data[0]) return sample;
  return {sample[2], sample[0], sample[1]};
}

Transform in_nhwc(Transform transform) {
  return [transform = std::move(transform)](at::Tensor images, const SampleSeeds& seeds) {
    if (transform) images = transform(std::move(images), seeds);
    return images.permute({0, 2, 3, 1}).contiguous();
  };
}

}  // namespace

void check_making(const std::string& spec, const MakingArguments& making) {
  const bool is_of_images = spec.starts_with("images:"), is_of_sounds = spec.starts_with("audio:");
  const auto only = [&](bool for_these, const char* these, bool given, const char* flag) {
    if (!given || for_these) return;
    throw Error(spec.empty() ? "data" : spec, octet::str(flag, " is for ", these), ErrorCategory::kUsage);
  };
  const auto of_files = [&](bool given, const char* flag) {
    only(is_of_images || is_of_sounds, "images:FOLDER and audio:FOLDER", given, flag);
  };
  const auto of_images = [&](bool given, const char* flag) { only(is_of_images, "images:FOLDER", given, flag); };
  const auto of_sounds = [&](bool given, const char* flag) { only(is_of_sounds, "audio:FOLDER", given, flag); };
  const targets::SampleFacts& facts = making.facts;
  const MakingArguments usual;
  of_files(!facts.mean.empty(), "--mean");
  of_files(!facts.std.empty(), "--std");
  of_files(facts.held_out.has_value(), "--held-out");
  of_files(making.strict, "--strict");
  of_images(facts.resize.has_value(), "--resize");
  of_images(facts.filter.has_value(), "--filter");
  of_images(making.least_scale != usual.least_scale, "--least-scale");
  of_images(!making.jitter.empty(), "--jitter");
  of_sounds(facts.features.has_value(), "--features");
  of_sounds(facts.rate.has_value(), "--rate");
  of_sounds(facts.window_ms.has_value(), "--window-ms");
  of_sounds(facts.stride_ms.has_value(), "--stride-ms");
  of_sounds(facts.bands.has_value(), "--mel-bands");
  of_sounds(!facts.mel_range.empty(), "--mel-range");
  of_sounds(facts.coefficients.has_value(), "--coefficients");
  of_sounds(facts.time_last.has_value(), "--time-last");
  of_sounds(facts.clip_ms.has_value(), "--clip-ms");
  of_sounds(facts.hop_ms.has_value(), "--hop-ms");
  of_sounds(!facts.part_ms.empty(), "--part-ms");
  of_sounds(making.shift_ms != usual.shift_ms, "--time-shift-ms");
  of_sounds(!making.gain.empty(), "--gain");
  of_sounds(!making.noise.empty(), "--noise");
  of_sounds(making.noise_level != usual.noise_level, "--noise-level");
  of_sounds(making.noise_share != usual.noise_share, "--noise-share");
}

std::shared_ptr<DataSource> open_source(const DataArguments& choice, Split split, const std::vector<int64_t>& sample) {
  DataOptions options;
  options.limit = choice.samples;
  if (choice.spec.starts_with("audio:")) {
    options.audio = audio_options(choice, sample);
  } else {
    options.images = image_options(choice, sample);
  }
  return open_data(choice.spec, split, options);
}

ModelData open_data_for(GraphModule& module, const DataArguments& choice, Split split, int64_t default_batch) {
  const std::vector<Node*> placeholders = module.graph().placeholders();
  if (placeholders.empty()) throw Error(choice.spec, "is not needed: the model takes no input");
  std::shared_ptr<DataSource> source = open_source(choice, split, without_batch(placeholders[0]->sizes()));
  std::vector<Input> inputs;
  for (const Node* node : placeholders) {
    inputs.push_back({node->name(), source->gives_sets() ? node->sizes() : without_batch(node->sizes())});
  }
  // A .tflite takes images as NHWC; sets of images give NCHW.
  const std::vector<int64_t> given = inputs.at(0).sample;
  if (source->image_facts() != nullptr) inputs[0].sample = as_chw(given, source->sample_shapes().at(0));
  const bool turns = inputs[0].sample != given;
  ModelData data = open_for_inputs(inputs, std::move(source), choice, default_batch);
  check_types(module, *data.source);
  if (turns) data.transform = in_nhwc(std::move(data.transform));
  data.is_nhwc = turns;
  const std::vector<int64_t>& sizes = module.graph().placeholders().at(0)->sizes();
  if (data.source->gives_sets()) return data;
  if (sizes.empty() || data.batch_size != sizes[0]) make_batch_flexible(module);
  return data;
}

ModelData open_data_for(const tflite::Model& program, const DataArguments& choice, Split split, int64_t default_batch) {
  const std::vector<int64_t> first =
      program.inputs.empty() ? std::vector<int64_t>() : program.tensors[static_cast<size_t>(program.inputs[0])].shape;
  std::shared_ptr<DataSource> source = open_source(choice, split, without_batch(first));
  const auto shapes = source->sample_shapes();
  std::vector<Input> inputs;
  for (size_t j = 0; j < program.inputs.size(); ++j) {
    const tflite::Tensor& tensor = program.tensors[static_cast<size_t>(program.inputs[j])];
    std::vector<int64_t> sample = without_batch(tensor.shape);
    if (j < shapes.size()) sample = as_chw(sample, source->gives_sets() ? without_batch(shapes[j]) : shapes[j]);
    if (source->gives_sets() && !tensor.shape.empty()) sample.insert(sample.begin(), tensor.shape[0]);
    inputs.push_back({tensor.name, sample});
  }
  if (source->gives_sets()) return open_for_inputs(inputs, std::move(source), choice, 1);
  ModelData data = open_for_inputs(inputs, std::move(source), choice, default_batch);
  const auto& shape = program.tensors[static_cast<size_t>(program.inputs.at(0))].shape;
  const int64_t batch = shape.empty() ? 1 : std::max<int64_t>(shape[0], 1);
  if (data.source->size() % batch != 0) {
    throw expected(choice.spec, "samples", octet::str("a multiple of ", batch, ", the program's batch"),
                   std::to_string(data.source->size()))
        .hint("--samples, or export the model with --batch 1");
  }
  data.batch_size = std::max<int64_t>(data.batch_size / batch, 1) * batch;
  return data;
}

std::vector<at::Tensor> first_batch(const ModelData& data, int64_t count) {
  LoaderOptions loading;
  loading.batch_size = data.source->gives_sets() ? 1 : std::min(count, data.source->size());
  loading.transform = data.transform;
  for (const Batch& batch : Loader(data.source, loading).epoch(0)) return batch.inputs;
  return {};
}

}  // namespace octet::cli
