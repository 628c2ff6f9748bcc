#include "octet/formats/pt2.h"

#include "octet/formats/float32.h"
#include "octet/formats/guard.h"
#include "octet/formats/json.h"
#include "octet/formats/pt2_archive.h"
#include "octet/formats/pt2_bodies.h"
#include "octet/formats/pt2_builder.h"
#include "octet/formats/pt2_schema.h"
#include "octet/formats/pt2_symbols.h"
#include "octet/formats/zip.h"
#include "octet/graph/compose.h"
#include "octet/support/error.h"
#include "octet/support/log.h"

namespace octet {
namespace {

constexpr uint64_t kProgramBytes = 4;  // that nodes and arguments take for a character, beside the document

// "training": composite operators whole, as torch.export gives them; "aten": decomposed.
std::string dialect(const pt2::Program& program) {
  for (const std::string& verifier : program.verifiers) {
    if (verifier == "TRAINING") return "training";
  }
  return program.verifiers.empty() ? "unknown" : "aten";
}

// Before torch 2.8, infinities stand bare in the JSON, as Python writes them: as the texts that JsonCursor reads.
std::string with_quoted_infinities(const std::string& text) {
  std::string quoted;
  quoted.reserve(text.size());
  bool in_string = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string) {
      quoted += c;
      if (c == '\\' && i + 1 < text.size()) quoted += text[++i];
      if (c == '"') in_string = false;
      continue;
    }
    in_string = c == '"';
    const std::string_view rest = std::string_view(text).substr(i);
    std::string_view word;
    for (const std::string_view known : {"-Infinity", "Infinity", "NaN"}) {
      if (word.empty() && rest.substr(0, known.size()) == known) word = known;
    }
    quoted += word.empty() ? std::string(1, c) : str('"', word, '"');
    if (!word.empty()) i += word.size() - 1;
  }
  return quoted;
}

nlohmann::json parse_program(const pt2::Archive& archive) {
  const std::string& text = archive.program;
  const bool infinite = text.find("Infinity") != std::string::npos || text.find("NaN") != std::string::npos;
  if (!infinite) return parse_json(text, archive.program_where, *archive.budget);
  archive.budget->charge(2 * text.size(), "its JSON");
  return parse_json(with_quoted_infinities(text), archive.program_where, *archive.budget);
}

std::shared_ptr<GraphModule> load(const std::shared_ptr<const ByteSource>& source, const Pt2Options& options) {
  const pt2::Archive archive = pt2::read_archive(ZipReader(source), options.model);
  const nlohmann::json document = parse_program(archive);
  archive.budget->charge(archive.program.size(), kProgramBytes, "its program");
  pt2::Program program = pt2::read_program(JsonCursor(document, archive.program_where));
  const pt2::EnteredBlocks blocks = pt2::enter_bodies(program);
  const pt2::Symbols symbols(program, options.batch, options.input_sizes);
  std::shared_ptr<GraphModule> module = pt2::build_module(program, blocks, archive, symbols, options.operators);
  if (!blocks.without_gradients.empty()) {
    log::info("[", source->name(), "] ", blocks.without_gradients.size(),
              " parameters stand in blocks without gradients: training leaves them as they are");
  }
  compose_synonyms(*module);
  if (dialect(program) == "aten") compose_operators(*module);
  convert_to_float32(*module, blocks.autocast, source->name());
  module->facts()["source"] = "pt2";
  module->facts()["torch_version"] = program.torch_version;
  module->facts()["schema"] = str(program.schema_major, ".", program.schema_minor);
  module->facts()["dialect"] = dialect(program);
  module->facts()["layout"] = archive.layout;
  return module;
}

}  // namespace

std::shared_ptr<GraphModule> load_pt2(const std::shared_ptr<const ByteSource>& source, const Pt2Options& options) {
  return guard_loading(source->name(), [&] { return load(source, options); });
}

std::shared_ptr<GraphModule> load_pt2(const std::string& path, const Pt2Options& options) {
  return load_pt2(open_file(path), options);
}

}  // namespace octet
