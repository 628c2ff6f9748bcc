#pragma once

#include "octet/support/api.h"

/// The program: parses the command line, runs the verb, and returns the exit status: 0, 1 where the verb failed, 2 for
/// wrong usage. Errors are one line on stderr.
extern "C" OCTET_API int octet_main(int argc, char** argv);
