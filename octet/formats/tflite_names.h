#pragma once

#include <cstdint>
#include <string>

/// What the schema of `.tflite` calls its numbers, also those that octet does not read, for messages.
namespace octet::tflite {

/// "SHAPE"; "operator 999" where the schema has no such number.
std::string builtin_name(int32_t code);
/// "float16"; "type 99" where the schema has no such number.
std::string tensor_type_name(int32_t type);

}  // namespace octet::tflite
