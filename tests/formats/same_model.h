#pragma once

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "octet/formats/npy.h"
#include "octet/formats/pt2.h"
#include "octet/formats/pt2_writer.h"
#include "octet/graph/graph_module.h"

namespace octet::test {

/// What a `.pt2` knows of a node beside the graph's text.
inline std::map<std::string, std::string> torch_notes(const Node& node) {
  std::map<std::string, std::string> kept;
  node.notes().for_each_saved([&](const std::string& key, const SavedNote& note) {
    const auto* text = std::get_if<std::string>(&note);
    if (text != nullptr && (key == kModulePathNote.name() || key.rfind(kTorchNotePrefix, 0) == 0)) kept[key] = *text;
  });
  if (node.notes().contains(kNonPersistentNote)) kept[kNonPersistentNote.name()] = "true";
  return kept;
}

inline void expect_same_tensors(const GraphModule& got, const GraphModule& wanted) {
  const auto sorted = [](std::vector<std::string> names) {
    std::sort(names.begin(), names.end());
    return names;
  };
  EXPECT_EQ(sorted(got.attr_names()), sorted(wanted.attr_names()));
  EXPECT_EQ(got.aliases(), wanted.aliases());
  for (const std::string& name : wanted.attr_names()) {
    ASSERT_TRUE(got.has_attr(name)) << name;
    const at::Tensor left = got.attr(name);
    const at::Tensor right = wanted.attr(name);
    EXPECT_EQ(left.scalar_type(), right.scalar_type()) << name;
    EXPECT_EQ(left.strides().vec(), right.strides().vec()) << name;
    EXPECT_TRUE(at::equal(left, right)) << name;
    EXPECT_EQ(left.requires_grad(), right.requires_grad()) << name;
    EXPECT_EQ(got.attr_kind(name), wanted.attr_kind(name)) << name;
  }
}

inline void expect_same_model(const GraphModule& got, const GraphModule& wanted) {
  EXPECT_EQ(got.graph().text(), wanted.graph().text());
  EXPECT_EQ(got.is_training(), wanted.is_training());
  expect_same_tensors(got, wanted);
  for (const Node* node : wanted.graph().nodes()) {
    const Node* twin = got.graph().find(node->name());
    ASSERT_NE(twin, nullptr) << node->name();
    EXPECT_EQ(torch_notes(*twin), torch_notes(*node)) << node->name();
    EXPECT_EQ(twin->element_metas(), node->element_metas()) << node->name();
  }
}

inline void expect_same_results(GraphModule& got, GraphModule& wanted, const std::vector<at::Tensor>& inputs) {
  const at::NoGradGuard no_grad;
  const auto left = got.run(inputs);
  const auto right = wanted.run(inputs);
  ASSERT_EQ(left.size(), right.size());
  for (size_t i = 0; i < left.size(); ++i) EXPECT_TRUE(at::equal(left[i], right[i])) << "output " << i;
}

/// PREFIX_0.npy, PREFIX_1.npy, ... of a folder.
inline std::vector<at::Tensor> numbered_arrays(const std::filesystem::path& folder, const std::string& prefix) {
  std::vector<at::Tensor> arrays;
  for (int i = 0;; ++i) {
    const std::filesystem::path file = folder / (prefix + "_" + std::to_string(i) + ".npy");
    if (!std::filesystem::exists(file)) return arrays;
    arrays.push_back(read_npy(file));
  }
}

/// With OCTET_WRITE_PT2=FOLDER in the environment: puts the model in both layouts there under `name`, with these inputs
/// and what it gives for them, for tests/peers/torch_export.
inline void keep_for_peers(const GraphModule& module, const std::string& name, const std::vector<at::Tensor>& inputs) {
  const char* root = std::getenv("OCTET_WRITE_PT2");
  if (root == nullptr) return;
  const at::NoGradGuard no_grad;
  const std::filesystem::path folder = std::filesystem::path(root) / name;
  std::filesystem::remove_all(folder);
  std::filesystem::create_directories(folder);
  const auto model = module.copy();
  model->train(false);
  const auto outputs = model->run(inputs);
  const auto write = [&](const std::string& front, const std::vector<at::Tensor>& tensors) {
    for (size_t i = 0; i < tensors.size(); ++i) {
      const bool unknown_to_numpy =
          tensors[i].scalar_type() == at::kBFloat16 || c10::isFloat8Type(tensors[i].scalar_type());
      write_npy((folder / (front + "_" + std::to_string(i) + ".npy")).string(),
                unknown_to_numpy ? tensors[i].to(at::kFloat) : tensors[i]);
    }
  };
  write("in", inputs);
  write("out", outputs);
  write_pt2(*model, folder / "current.pt2", {Pt2Layout::kCurrent});
  write_pt2(*model, folder / "legacy.pt2", {Pt2Layout::kLegacy});
}

/// Every .pt2 below a folder, sorted.
inline std::vector<std::filesystem::path> pt2_files(const std::filesystem::path& folder) {
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder)) {
    if (entry.path().extension() == ".pt2") files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  return files;
}

}  // namespace octet::test
