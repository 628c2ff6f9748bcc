#include <sstream>

#include "octet/graph/graph.h"

namespace octet {
namespace {

const char* kind_text(NodeKind kind) {
  switch (kind) {
    case NodeKind::kPlaceholder:
      return "placeholder";
    case NodeKind::kGetAttr:
      return "get_attr";
    case NodeKind::kCall:
    case NodeKind::kGetItem:
      return "call_function";
    case NodeKind::kCallModule:
      return "call_module";
    case NodeKind::kOutput:
      return "output";
  }
  return "?";
}

bool same_constant(const Arg& arg, const c10::IValue& value) {
  return arg.is_constant() && arg.text() == Arg(value).text();
}

// Arguments that stand at their default are left out, later ones named by the schema.
std::string arguments_text(const Node& node) {
  std::ostringstream out;
  out << '(';
  bool first = true;
  bool skipped = false;
  for (size_t i = 0; i < node.args().size(); ++i) {
    const Arg& arg = node.args()[i];
    std::string label;
    if (node.is_call()) {
      const auto& argument = node.op().schema().arguments()[i];
      if (argument.default_value() && same_constant(arg, *argument.default_value())) {
        skipped = true;
        continue;
      }
      if (skipped || argument.kwarg_only()) label = argument.name() + "=";
    }
    out << (first ? "" : ", ") << label << arg.text();
    first = false;
  }
  out << ')';
  return out.str();
}

std::string value_text(const Node& node) {
  if (node.meta()) return " -> " + node.meta()->text();
  if (node.element_metas().empty()) return "";
  std::ostringstream out;
  out << " -> (";
  for (size_t i = 0; i < node.element_metas().size(); ++i) out << (i > 0 ? ", " : "") << node.element_metas()[i].text();
  out << ')';
  return out.str();
}

}  // namespace

std::string Graph::text() const {
  std::ostringstream out;
  for (const Node* node : nodes()) {
    out << '%' << node->name() << " : ";
    switch (node->kind()) {
      case NodeKind::kPlaceholder:
        out << "placeholder";
        break;
      case NodeKind::kGetAttr:
        out << "get_attr['" << node->target() << "']";
        break;
      case NodeKind::kCall:
        out << node->target() << arguments_text(*node);
        break;
      case NodeKind::kGetItem:
        out << node->args()[0].text() << '[' << node->args()[1].text() << ']';
        break;
      case NodeKind::kCallModule:
        out << "call_module['" << node->target() << "']" << arguments_text(*node);
        break;
      case NodeKind::kOutput:
        out << "output" << arguments_text(*node);
        break;
    }
    out << value_text(*node) << '\n';
  }
  return out.str();
}

std::string Graph::table() const {
  std::vector<std::array<std::string, 5>> rows = {{"opcode", "name", "target", "args", "value"}};
  for (const Node* node : nodes()) {
    const std::string target = node->kind() == NodeKind::kGetItem ? "getitem" : node->target();
    const std::string value = value_text(*node);
    rows.push_back(
        {kind_text(node->kind()), node->name(), target, arguments_text(*node), value.empty() ? "" : value.substr(4)});
  }
  std::array<size_t, 5> widths{};
  for (const auto& row : rows) {
    for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  std::ostringstream out;
  const auto line = [&](const std::array<std::string, 5>& row) {
    for (size_t i = 0; i < row.size(); ++i) {
      out << row[i];
      if (i + 1 < row.size()) out << std::string(widths[i] - row[i].size() + 2, ' ');
    }
    out << '\n';
  };
  line(rows[0]);
  for (size_t i = 0; i < widths.size(); ++i)
    out << std::string(widths[i], '-') << (i + 1 < widths.size() ? "  " : "\n");
  for (size_t i = 1; i < rows.size(); ++i) line(rows[i]);
  return out.str();
}

}  // namespace octet
