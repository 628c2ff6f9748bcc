#pragma once

namespace octet {

/// Makes libtorch's TorchScript say an octet::Error where an operator of whole numbers would stop the process (the
/// smallest one divided by -1) or have no end (a factorial). The compiler runs them too: it works out at once what is
/// constant. They are replaced for the whole process, the first time this is called; all else they do is the same.
void check_script_numbers();

}  // namespace octet
