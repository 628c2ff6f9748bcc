#include <dlfcn.h>

#include <cstdio>
#include <cstdlib>

// The program's whole code lies in liboctet_cli.so, which is loaded when the environment says how OpenMP's threads
// wait. By default they spin, which beside any other work on the machine makes training several times slower; libgomp
// reads how long when it is loaded, so that a program linked with it comes too late.
int main(int argc, char** argv) {
  if (std::getenv("OMP_WAIT_POLICY") == nullptr) setenv("GOMP_SPINCOUNT", "1000", /*overwrite=*/0);
  void* library = dlopen("liboctet_cli.so", RTLD_NOW | RTLD_GLOBAL);
  void* run = library != nullptr ? dlsym(library, "octet_main") : nullptr;
  if (run == nullptr) {
    std::fprintf(stderr, "octet: %s\n", dlerror());
    return 1;
  }
  return reinterpret_cast<int (*)(int, char**)>(run)(argc, argv);
}
