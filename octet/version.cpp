#include "octet/version.h"

namespace octet {

const char* version() { return OCTET_VERSION; }
const char* torch_version() { return OCTET_TORCH_VERSION; }

}  // namespace octet
