#include "octet/graph/arg.h"

#include <sstream>

#include "octet/graph/node.h"
#include "octet/support/error.h"

namespace octet {
namespace {

Error wrong_kind(const Arg& arg, const char* wanted) { return expected("", "argument", wanted, arg.text()); }

void print_constant(std::ostream& out, const c10::IValue& value) {
  if (value.isNone()) {
    out << "None";
  } else if (value.isBool()) {
    out << (value.toBool() ? "True" : "False");
  } else if (value.isString()) {
    out << '\'' << value.toStringRef() << '\'';
  } else if (value.isTensor()) {
    out << "tensor" << value.toTensor().sizes();
  } else if (value.isList()) {
    out << '[';
    const auto list = value.toListRef();
    for (size_t i = 0; i < list.size(); ++i) {
      if (i > 0) out << ", ";
      print_constant(out, list[i]);
    }
    out << ']';
  } else if (value.isDouble()) {
    std::ostringstream number;
    number.precision(9);
    number << value.toDouble();
    out << number.str();
  } else {
    out << value;
  }
}

}  // namespace

int64_t Arg::to_int() const {
  if (is_constant() && constant().isInt()) return constant().toInt();
  if (is_constant() && constant().isBool()) return constant().toBool() ? 1 : 0;
  throw wrong_kind(*this, "an int");
}

double Arg::to_double() const {
  if (is_constant() && constant().isDouble()) return constant().toDouble();
  if (is_constant() && constant().isInt()) return static_cast<double>(constant().toInt());
  if (is_constant() && constant().isBool()) return constant().toBool() ? 1.0 : 0.0;
  throw wrong_kind(*this, "a number");
}

bool Arg::to_bool() const {
  if (is_constant() && constant().isBool()) return constant().toBool();
  if (is_constant() && constant().isInt()) return constant().toInt() != 0;
  throw wrong_kind(*this, "a bool");
}

std::string Arg::to_string() const {
  if (is_constant() && constant().isString()) return constant().toStringRef();
  throw wrong_kind(*this, "a string");
}

std::vector<int64_t> Arg::to_ints() const {
  if (is_constant() && constant().isIntList()) return constant().toIntVector();
  if (is_constant() && constant().isInt()) return {constant().toInt()};
  if (is_list() || (is_constant() && constant().isList())) {
    std::vector<int64_t> values;
    if (is_list()) {
      for (const Arg& element : list()) values.push_back(element.to_int());
    } else {
      for (const c10::IValue& element : constant().toListRef()) values.push_back(Arg(element).to_int());
    }
    return values;
  }
  throw wrong_kind(*this, "a list of ints");
}

void Arg::for_each_node(const std::function<void(Node*)>& visit) const {
  if (is_node()) {
    visit(node());
  } else if (is_list()) {
    for (const Arg& element : list()) element.for_each_node(visit);
  }
}

Arg Arg::map_nodes(const std::function<Node*(Node*)>& map) const {
  if (is_node()) return Arg(map(node()));
  if (!is_list()) return *this;
  std::vector<Arg> mapped;
  mapped.reserve(list().size());
  for (const Arg& element : list()) mapped.push_back(element.map_nodes(map));
  return Arg(std::move(mapped));
}

void Arg::replace_node(const Node* from, Node* to) {
  if (is_node() && node() == from) {
    value_ = to;
  } else if (auto* elements = std::get_if<std::vector<Arg>>(&value_)) {
    for (Arg& element : *elements) element.replace_node(from, to);
  }
}

void Arg::replace_node(const Node* from, Node* to, size_t element) {
  if (auto* elements = std::get_if<std::vector<Arg>>(&value_)) {
    elements->at(element).replace_node(from, to);
  } else {
    replace_node(from, to);
  }
}

std::string Arg::text() const {
  std::ostringstream out;
  if (is_node()) {
    out << '%' << node()->name();
  } else if (is_list()) {
    out << '[';
    for (size_t i = 0; i < list().size(); ++i) out << (i > 0 ? ", " : "") << list()[i].text();
    out << ']';
  } else {
    print_constant(out, constant());
  }
  return out.str();
}

}  // namespace octet
