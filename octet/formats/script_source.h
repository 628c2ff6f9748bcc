#pragma once

#include <map>
#include <string>

#include "octet/formats/allowed_operators.h"

namespace octet {

/// Looks at the source texts of a TorchScript archive, by the names that errors give them, before libtorch's compiler
/// does: it works out what is constant while it compiles, and recurses as deep as the text is nested. Throws
/// octet::Error naming text, line and name for operators that no file may hold, classes of C++, operators that the
/// compiler would run at once, texts that grow without end, nesting and rows of definitions beyond what writers of such
/// files make, and characters outside the little language that they write in. `folder` is what the names of all texts
/// begin with; the rest says how the code names them ("__torch__/torch/nn/modules/conv.py").
void check_script_sources(const std::map<std::string, std::string>& sources, const std::string& folder,
                          const AllowedOperators& operators);

}  // namespace octet
