#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "octet/lowering/lowering.h"
#include "octet/support/api.h"
#include "octet/targets/engine/operator_rule.h"
#include "octet/targets/engine/options.h"
#include "octet/targets/engine/passes/pass_manager.h"
#include "octet/targets/engine/pattern.h"
#include "octet/targets/engine/placement/warning.h"
#include "octet/targets/engine/quantization_config.h"

namespace octet::targets {

/// A choice that a target offers beside the overrides: a key of its config files, and a flag of the program.
struct Setting {
  struct Choice {
    std::string value;
    std::string note = {};  ///< behind it where settings are printed: "fixed 1/256 with zero point 0"
  };
  std::string name;             ///< "mul_range"; the flag is --mul-range
  std::string help;             ///< for --help
  std::vector<Choice> choices;  ///< the first is the default
  /// Two choices between which samples decide (weigh_settings.h) where the value is kWeighed, which is a choice too.
  struct Weighed {
    std::string exact;  ///< leaves more in float; what counts where nothing was weighed
    std::string whole;  ///< brings more onto the accelerator, less exactly
  };
  std::optional<Weighed> weighed = {};
};

/// The choice of a setting that samples decide.
inline constexpr const char* kWeighed = "auto";

/// A named way to quantize: static per channel, dynamic, weights alone, ...; a mode of the program.
struct Scheme {
  std::string name;
  std::function<QuantizationConfig(const QuantizerOptions&)> config;  ///< as the settings and the mode say
  std::optional<QuantizationMode> mode = {};                          ///< it is made for that alone; nullopt: for any
  /// The numbers of single operators in place of the config's: blocks that fit a weight; nullopt: the config's. Empty:
  /// of none.
  std::function<std::optional<QuantizationConfig>(const Node&, const QuantizerOptions&)> for_node = {};
};

/// Schemes that are made by their names, more than a list can hold.
struct SchemeFamily {
  std::string form;                                                    ///< for people: what their names look like
  std::function<std::optional<Scheme>(const std::string&)> make = {};  ///< nullopt for a name of another form
};

/// A device or runtime that models are quantized for, as data. Quantizer, placement, operator table and lowering are
/// made of it; adding one is a function that returns it, and a line in octet/targets/targets.cpp.
struct OCTET_API Target {
  std::string name;         ///< "imxrt700"
  std::string description;  ///< "NXP i.MX RT700, Neutron-C N3-64"
  std::vector<QuantizationMode> modes = {QuantizationMode::kPtq, QuantizationMode::kQat};
  std::vector<Scheme> schemes;     ///< at least one; the first of the mode serves where none is named
  SchemeFamily more_schemes = {};  ///< besides; empty: none
  RuleTable rules;                 ///< what no row names stays in float
  /// In place of the rows, for a quantizer that tries patterns in order; as settings and mode say. Empty: the rows.
  std::function<PatternTable(const QuantizerOptions&)> patterns = {};
  std::vector<Setting> settings = {};                            ///< none: nothing to choose
  std::vector<std::pair<std::string, std::string>> limits = {};  ///< for people: "stride", "<= 4096"
  bool folds_batch_norms = true;  ///< after training, into the convolutions and linears before them
  /// Rewrites of the float graph before annotation, as mode and settings say (passes/passes.h); empty: none.
  std::function<std::vector<Pass>(const QuantizerOptions&)> passes = {};
  /// Changes constants once their readers' grids are decided: infinities that no grid holds. Empty: none.
  std::function<void(GraphModule&)> fit_constants = {};

  // Placement: what its compiler takes.
  std::vector<std::string> value_types = {"int8"};  ///< of inputs, weights and results; the first is the usual one
  /// For an operator that no row knows, "gelu": what could be used in its place, or empty.
  std::function<std::string(std::string_view short_name)> substitute_for = {};

  /// What else ruins accuracy on it, of a quantized program. Empty: nothing.
  std::function<std::vector<Warning>(const GraphModule& quantized)> warnings = {};

  LoweringForm form = LoweringForm::kFused;  ///< of a .tflite for its compiler
  int64_t on_chip_bytes = 0;                 ///< RAM for activations, shared with the application; 0: not known
  std::string document = {};                 ///< head of its operator table, in Markdown

  /// The numbers of a scheme by name; empty: the first. Throws octet::Error for another.
  QuantizationConfig config(const std::string& scheme, const QuantizerOptions& options) const;
  std::vector<std::string> scheme_names() const;
  /// The same for people, and what the family's look like.
  std::string schemes_text() const;
  /// The scheme of this name: of the list, or of the family; nullopt for another.
  std::optional<Scheme> find_scheme(const std::string& scheme) const;
  /// What has in training the numbers of a scheme after training, by its name: "qat-per-channel" of
  /// "static-per-channel" or "per-channel"; nullopt: none.
  std::optional<Scheme> scheme_in_training(const std::string& scheme) const;
  /// The passes without those that the options leave out; these are completed. What is to be weighed counts as exact.
  std::vector<Pass> chosen_passes(const QuantizerOptions& options) const;
};

/// Throws octet::Error naming `where` for a setting that the target does not have, or a value that is none of its
/// choices.
OCTET_API void check_setting(const Target& target, const std::string& name, const std::string& value,
                             const std::string& where);

/// Completed options with the more exact form of each setting that is to be weighed.
OCTET_API QuantizerOptions settled(QuantizerOptions options, const Target& target);

/// Throws octet::Error naming the target: without a name, a scheme or a mode, a setting without a choice or that weighs
/// what is none, and a config that check() refuses in one of its modes.
OCTET_API void check(const Target& target);

}  // namespace octet::targets
