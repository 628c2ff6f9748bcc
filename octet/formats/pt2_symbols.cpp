#include "octet/formats/pt2_symbols.h"

#include "octet/formats/sym_expr.h"
#include "octet/support/error.h"

namespace octet::pt2 {
namespace {

// The name of the only symbol in an expression such as Mul(Integer(2), Symbol('s0', ...)), or empty.
std::string only_symbol(const std::string& expression) {
  constexpr std::string_view kFront = "Symbol('";
  const size_t at = expression.find(kFront);
  if (at == std::string::npos) return "";
  const size_t begin = at + kFront.size();
  const size_t end = expression.find('\'', begin);
  return end == std::string::npos ? "" : expression.substr(begin, end - begin);
}

}  // namespace

Symbols::Symbols(const Program& program, int64_t batch, const std::vector<std::vector<int64_t>>& input_sizes)
    : program_(program) {
  for (const auto& [name, value] : program.tensor_values) {
    for (const SymValue& size : value.sizes) learn(size);
  }
  for (const auto& [name, value] : program.symbol_values) learn(value);
  std::vector<Input> inputs;
  for (size_t i = 0; i < program.inputs.size(); ++i) {
    if (program.input_specs[i].kind != "user_input" || program.inputs[i].kind != ArgumentKind::kTensor) continue;
    const auto value = program.tensor_values.find(program.inputs[i].names[0]);
    if (value != program.tensor_values.end()) inputs.push_back({value->first, &value->second.sizes});
  }
  if (!input_sizes.empty()) set_sizes(inputs, input_sizes);
  if (batch <= 0) return;
  for (const Input& input : inputs) {
    if (!input.sizes->empty()) set_size(input.sizes->front(), 0, batch);
  }
}

void Symbols::set_sizes(const std::vector<Input>& inputs, const std::vector<std::vector<int64_t>>& wanted) {
  if (wanted.size() != inputs.size()) {
    throw expected("model", "input sizes", str("one for each of ", inputs.size(), " inputs"), str(wanted.size()));
  }
  for (size_t i = 0; i < inputs.size(); ++i) {
    if (wanted[i].size() != inputs[i].sizes->size()) {
      throw expected(inputs[i].name, "dimensions", str(inputs[i].sizes->size()), str(wanted[i].size()));
    }
    for (size_t d = 0; d < wanted[i].size(); ++d) set_size((*inputs[i].sizes)[d], d, wanted[i][d]);
  }
  // One symbol may stand for several sizes.
  for (size_t i = 0; i < inputs.size(); ++i) {
    for (size_t d = 0; d < wanted[i].size(); ++d) {
      const c10::IValue got = evaluate((*inputs[i].sizes)[d]);
      if (got.isInt() && got.toInt() == wanted[i][d]) continue;
      throw expected(inputs[i].name, str("size of dimension ", d), str(got.isInt() ? got.toInt() : 0),
                     str(wanted[i][d]))
          .hint("export the model with this size, or leave the dimension open (dynamic_shapes)");
    }
  }
}

void Symbols::learn(const SymValue& value) {
  const std::string symbol = single_symbol(value.expression);
  if (!symbol.empty() && value.hint && value.hint->isInt()) values_.emplace(symbol, value.hint->toInt());
}

void Symbols::set_size(const SymValue& size, size_t dimension, int64_t to) {
  if (size.value) return;
  const auto cannot = [&] {
    return Error(size.where, str("dimension ", dimension, " is ", size.expression, " and cannot be ", to));
  };
  std::string symbol = single_symbol(size.expression);
  int64_t wanted = to;
  if (symbol.empty()) {  // a multiple of a symbol
    symbol = only_symbol(size.expression);
    const std::map<std::string, int64_t> one{{symbol, 1}};
    const int64_t factor = evaluate_symbolic_int(size.expression, one, size.where);
    if (factor <= 0 || to % factor != 0) throw cannot();
    wanted = to / factor;
  }
  specialised_ = specialised_ || values_[symbol] != wanted;
  values_[symbol] = wanted;
  const c10::IValue got = evaluate(size);
  if (!got.isInt() || got.toInt() != to) throw cannot();
}

c10::IValue Symbols::evaluate(const SymValue& value) const {
  if (value.value) return *value.value;
  try {
    const SymNumber number = evaluate_symbolic(value.expression, values_, value.where);
    // An integral double is an exact division of sizes; a hint says which kind was meant.
    if (value.hint && value.hint->isBool() && std::holds_alternative<int64_t>(number))
      return std::get<int64_t>(number) != 0;
    if (std::holds_alternative<int64_t>(number)) return std::get<int64_t>(number);
    return std::get<double>(number);
  } catch (const Error&) {
    if (value.hint && !specialised_) return *value.hint;
    throw;
  }
}

c10::IValue Symbols::evaluate(const Symbol& symbol, const std::string& where) const {
  if (symbol.name.empty()) return symbol.value;
  if (const auto known = evaluated_.find(symbol.name); known != evaluated_.end()) return known->second;
  const auto found = program_.symbol_values.find(symbol.name);
  if (found == program_.symbol_values.end())
    throw Error(where, "the symbolic value '" + symbol.name + "' is not defined");
  return evaluated_[symbol.name] = evaluate(found->second);
}

std::optional<TensorMeta> Symbols::meta(const std::string& tensor) const {
  if (const auto known = metas_.find(tensor); known != metas_.end()) return known->second;
  const auto found = program_.tensor_values.find(tensor);
  if (found == program_.tensor_values.end()) return std::nullopt;
  return metas_[tensor] = meta_of(found->second);
}

std::optional<TensorMeta> Symbols::meta_of(const TensorValue& tensor) const {
  TensorMeta meta;
  meta.dtype = tensor.dtype;
  for (const SymValue& size : tensor.sizes) {
    if (size.value && size.value->isInt()) {
      meta.sizes.push_back(size.value->toInt());
      continue;
    }
    try {
      const c10::IValue value = evaluate(size);
      if (!value.isInt()) return std::nullopt;
      meta.sizes.push_back(value.toInt());
    } catch (const Error&) {
      return std::nullopt;
    }
  }
  return meta;
}

}  // namespace octet::pt2
