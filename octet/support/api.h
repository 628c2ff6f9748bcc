#pragma once

/// On what a public header declares, a class or a function: it is visible outside of liboctet.so. All else is hidden.
#if defined(__GNUC__)
#define OCTET_API __attribute__((visibility("default")))
#else
#define OCTET_API
#endif
