#pragma once
// An option table as the flatbuffer has it: what reads and writes it, made from the fields that its schema says.

#include <functional>

#include "octet/formats/tflite_fields.h"
#include "octet/support/error.h"
#include "tflite_generated.h"

namespace octet::tflite {

/// Copies a vector of the file, whatever that costs its reader.
using CopyInts = std::function<std::vector<int32_t>(const flatbuffers::Vector<int32_t>*)>;

struct OptionsTable {
  uint8_t number;  ///< in the union BuiltinOptions
  Fields fields;
  /// `where` names the operator in errors.
  void (*read)(const void* table, Options& options, const CopyInts& copy, const std::string& where);
  flatbuffers::Offset<void> (*write)(flatbuffers::FlatBufferBuilder& builder, const Options& options);
};

namespace detail {

template <typename To, typename From>
void take(To& to, const From& from, const CopyInts& copy) {
  if constexpr (std::is_pointer_v<From>) {
    to = copy(from);
  } else {
    to = static_cast<To>(from);
  }
}

template <typename Table>
constexpr Fields fields_of() {
  Fields fields;
#define OCTET_FIELD(name, member) \
  if constexpr (requires(const Table& table) { table.name(); }) fields.add(Field::name);
  OCTET_TFLITE_FIELDS(OCTET_FIELD)
#undef OCTET_FIELD
  return fields;
}

template <typename Table>
void read_options(const void* from, Options& options, const CopyInts& copy, const std::string& where) {
  const auto& table = *static_cast<const Table*>(from);
  if constexpr (requires { table.weights_format(); }) {
    if (table.weights_format() != 0) throw Error(where, "shuffled weights cannot be read");
  }
#define OCTET_FIELD(name, member) \
  if constexpr (requires { table.name(); }) take(options.member, table.name(), copy);
  OCTET_TFLITE_FIELDS(OCTET_FIELD)
#undef OCTET_FIELD
}

template <typename Table>
flatbuffers::Offset<void> write_options(flatbuffers::FlatBufferBuilder& builder, const Options& options) {
  typename Table::NativeTableType table;
#define OCTET_FIELD(name, member) \
  if constexpr (requires { table.name; }) table.name = static_cast<decltype(table.name)>(options.member);
  OCTET_TFLITE_FIELDS(OCTET_FIELD)
#undef OCTET_FIELD
  return Table::Pack(builder, &table).Union();
}

}  // namespace detail

template <typename Table>
inline constexpr OptionsTable kOptions = {fb::BuiltinOptionsTraits<Table>::enum_value, detail::fields_of<Table>(),
                                          detail::read_options<Table>, detail::write_options<Table>};

}  // namespace octet::tflite
