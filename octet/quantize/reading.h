#pragma once

#include <ATen/core/Tensor.h>

#include <string>

#include "octet/graph/node.h"
#include "octet/support/api.h"

namespace octet {

/// What the readers of a value make of its lowest elements. Networks write "nothing here" as a number so low that it
/// never counts: -inf, float32's least, -1e4, in front of a softmax or a maximum. A grid that holds such a number holds
/// nothing else; so the range comes from the others, and the sentinel becomes the lowest level.
enum class Reading {
  kPlain,     ///< all elements count that are finite and within 1e30
  kMaximum,   ///< only maxima read it: elements of -1e4 and below do not count where all others are far from them
  kSoftmax,   ///< only softmaxes along the last dimension read it: see seen_range()
  kSummed,    ///< the same behind a sum: a mask, or what it is added to
  kTakenOff,  ///< a mask that is subtracted: the highest elements are the sentinels
  // What stands in front of a function that is flat from some place on counts as that place: it gives the same.
  kRelu,       ///< all its readers are relus: nothing below 0
  kRelu6,      ///< the same, and nothing above 6
  kHardswish,  ///< nothing below -3
  kSilu,       ///< x * sigmoid(x): nothing below where that is 1/2048 of the greatest result, an eighth of its step
  kSigmoid,    ///< nothing beyond +-ln(511), which its grid of 1/256 rounds as all that follows
  kTanh,       ///< nothing beyond +-ln(511) / 2, the same on a grid of 1/128
};

/// kRelu to kTanh.
bool flattens(Reading reading);

/// As the readers of the value say; all of them must be of one mind. What only moves rows is looked through.
Reading reading_of(const Node& value);
/// As this one of its readers says.
Reading reading_of(const Node& value, const Node& reader);

const char* text(Reading reading);
/// The inverse; kPlain for unknown words.
Reading reading_from(const std::string& word);

/// What an observer takes notice of, and its range; 0-dim float32 each, undefined where nothing counts.
struct SeenRange {
  at::Tensor elements;  ///< in any order; those of this process (range_meeting.h)
  at::Tensor low;
  at::Tensor high;
  bool left_out = false;  ///< infinities, or numbers beyond 1e30, were there
};

/// True where all elements between these bounds count, whatever they are: seen_range() would give just this range.
bool is_whole_range(float low, float high, Reading reading);

/// The elements of `x` that count. With kSoftmax, an element that lies 64 or more below the greatest of its row (its
/// share is under 2^-92) is taken for one 8 + log(row) below it, where all such together have less than half a step of
/// an 8-bit share; with kSummed for one 32 lower, since the other summand lifts it again; with kTakenOff
/// all this upside down. Without elements where none
/// counts. Throws octet::Error naming `observer` for NaN.
SeenRange seen_range(const std::string& observer, const at::Tensor& x, Reading reading);

/// What the value's readers flatten (kRelu to kTanh) counts as where that begins, in the elements and in their range.
/// For a range that several processes have, where they share one: silu's depends on the greatest element.
void flatten(SeenRange& seen, Reading reading);

}  // namespace octet
