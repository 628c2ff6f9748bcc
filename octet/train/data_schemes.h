#pragma once

namespace octet {

/// The names that open_data() takes, in a line, for help texts.
const char* data_scheme_help();

}  // namespace octet
