#pragma once

#include <cstdint>

#include "octet/formats/tflite.h"

namespace octet::tflite {

// The fields of all option tables: the name that tflite.fbs has for it, and the member of Options that holds it. What
// reads, writes, checks and clears options goes by this list; which table has which field is the schema's to say.
#define OCTET_TFLITE_FIELDS(FIELD)              \
  FIELD(padding, padding)                       \
  FIELD(activation, activation)                 \
  FIELD(stride_h, stride_h)                     \
  FIELD(stride_w, stride_w)                     \
  FIELD(dilation_h, dilation_h)                 \
  FIELD(dilation_w, dilation_w)                 \
  FIELD(filter_h, filter_h)                     \
  FIELD(filter_w, filter_w)                     \
  FIELD(depth_multiplier, depth_multiplier)     \
  FIELD(axis, axis)                             \
  FIELD(num_splits, num_splits)                 \
  FIELD(values_count, values_count)             \
  FIELD(batch_dims, batch_dims)                 \
  FIELD(block_size, block_size)                 \
  FIELD(keep_dims, keep_dims)                   \
  FIELD(keep_num_dims, keep_num_dims)           \
  FIELD(beta, beta)                             \
  FIELD(alpha, alpha)                           \
  FIELD(align_corners, align_corners)           \
  FIELD(half_pixel_centers, half_pixel_centers) \
  FIELD(adj_x, adj_x)                           \
  FIELD(adj_y, adj_y)                           \
  FIELD(mirror_mode, mirror_mode)               \
  FIELD(approximate, approximate)               \
  FIELD(in_type, in_type)                       \
  FIELD(out_type, out_type)                     \
  FIELD(output_type, out_type)                  \
  FIELD(exclusive, exclusive)                   \
  FIELD(reverse, reverse)                       \
  FIELD(begin_mask, masks.begin)                \
  FIELD(end_mask, masks.end)                    \
  FIELD(ellipsis_mask, masks.ellipsis)          \
  FIELD(new_axis_mask, masks.new_axis)          \
  FIELD(shrink_axis_mask, masks.shrink_axis)    \
  FIELD(offset, masks.offset)                   \
  FIELD(new_shape, new_shape)                   \
  FIELD(squeeze_dims, squeeze_dims)

/// A field of an option table, by its name in tflite.fbs.
enum class Field : uint8_t {
#define OCTET_FIELD(name, member) name,
  OCTET_TFLITE_FIELDS(OCTET_FIELD)
#undef OCTET_FIELD
};

/// A set of fields.
class Fields {
 public:
  constexpr void add(Field field) { bits_ |= uint64_t{1} << static_cast<int>(field); }
  constexpr bool has(Field field) const { return (bits_ >> static_cast<int>(field) & 1U) != 0; }

 private:
  uint64_t bits_ = 0;
};

/// These fields of the options; the others at their defaults.
Options only(Fields fields, const Options& options);

}  // namespace octet::tflite
