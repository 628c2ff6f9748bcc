#pragma once

namespace octet::cli {

/// Parses the command line, runs the verb, and returns the program's exit status: 0, 1 where the verb failed, 2 for
/// wrong usage. Errors are one line on stderr.
int run_command_line(int argc, char** argv);

}  // namespace octet::cli
