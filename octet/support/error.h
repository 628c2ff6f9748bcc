#pragma once

#include <stdexcept>
#include <string>

#include "octet/support/api.h"
#include "octet/support/text.h"

namespace octet {

/// What failed, for a program's exit status and for what a binding throws.
enum class ErrorCategory {
  kUsage,     ///< the arguments of a call, or of the program
  kFile,      ///< a file that cannot be read, trusted or written
  kModel,     ///< a model, or data, that does not fit what is asked of it
  kTarget,    ///< a target that is not known, or cannot be given what was asked
  kInternal,  ///< octet itself
};

/// Every failure that octet reports. The message is one line that a user can act on:
///
///     [conv2d 'features.0.0'] weight channels: expected 32, got 16; export the model again
///      where                  what             expected  got       way out
///
/// The program prints it on stderr and exits with status 2 for wrong usage, 1 for all others. Control characters are
/// replaced and the middle of an endless message is left out, since names from files stand in it.
class OCTET_API Error : public std::runtime_error {
 public:
  /// `where` names the file, node or argument ("model.pt2", "conv2d 'features.0.0'"); empty leaves the brackets out.
  Error(const std::string& where, const std::string& message, ErrorCategory category = ErrorCategory::kModel);

  /// The same error with a way out appended.
  Error hint(const std::string& way_out) const;

  /// The same error in another category: who opens a file, or knows the target, knows better than the code that failed.
  Error as(ErrorCategory category) const;

  const std::string& where() const { return where_; }
  ErrorCategory category() const { return category_; }

 private:
  std::string where_;
  ErrorCategory category_;
};

/// An `Error` of the common form "what: expected ..., got ...".
OCTET_API Error expected(const std::string& where, const std::string& what, const std::string& expected,
                         const std::string& got);

/// Runs `work`; an octet::Error leaves it in this category.
template <typename Work>
auto in_category(ErrorCategory category, const Work& work) {
  try {
    return work();
  } catch (const Error& error) {
    throw error.as(category);
  }
}

}  // namespace octet
