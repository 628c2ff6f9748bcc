#pragma once

#include <vector>

#include "octet/graph/node.h"

/// What the passes about pools share.
namespace octet::targets {

/// max_pool1d, max_pool2d, avg_pool1d or avg_pool2d.
bool is_any_pool(const Node& node);
bool is_average_pool(const Node& node);
bool is_pool_of_a_line(const Node& node);

/// Height and width of an image, or the length of a line.
std::vector<int64_t> pooled_sizes(const Node& pool);

/// How far the last window reaches beyond the padded image along each dimension that is pooled: 0 or less but for
/// ceil_mode, whose last window may hang over. Empty where shapes are not known or no window fits.
std::vector<int64_t> overhang(const Node& pool);

/// A node that pads the pool's image by so much behind its end along each dimension that is pooled, at the graph's
/// insert point; the image itself where that is 0 or less.
Node* padded_behind(const Node& pool, const std::vector<int64_t>& by, double value);

}  // namespace octet::targets
