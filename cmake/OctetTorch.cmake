# Imported targets for libtorch, made from the one folder that was asked for.
#
# find_package(Torch) is not used: the config of a wheel picks up a distribution's libtorch.so from the system folders where one is
# installed, and that of a CUDA wheel demands a CUDA toolkit that a CPU build has no use for (docs/dependencies.md).
#
# Looked for in this order: OCTET_TORCH_DIR, CMAKE_PREFIX_PATH, the torch that python3 imports, the checkout's .venv.
# Result: OCTET_TORCH_ROOT, OCTET_TORCH_VERSION, OCTET_TORCH_RPATH, and octet_use_torch(target). Used by the build and by the
# installed package.

# Where the installed package has set it: in projects for CMake before 3.21 a new cache entry takes a variable away.
if(NOT OCTET_TORCH_DIR)
  set(OCTET_TORCH_DIR "" CACHE PATH "libtorch folder (holds include/ and lib/), or a site-packages folder with torch/ in it")
endif()
set(OCTET_TORCH_MIN_VERSION 2.9)

function(_octet_torch_version root out)
  set(version "")
  foreach(header torch/headeronly/version.h torch/csrc/api/include/torch/version.h)
    if(NOT version AND EXISTS "${root}/include/${header}")
      file(READ "${root}/include/${header}" text)
      if(text MATCHES "define TORCH_VERSION_MAJOR ([0-9]+)")
        set(major ${CMAKE_MATCH_1})
        string(REGEX MATCH "define TORCH_VERSION_MINOR ([0-9]+)" _ "${text}")
        set(minor ${CMAKE_MATCH_1})
        string(REGEX MATCH "define TORCH_VERSION_PATCH ([0-9]+)" _ "${text}")
        set(version "${major}.${minor}.${CMAKE_MATCH_1}")
      endif()
    endif()
  endforeach()
  set(${out} "${version}" PARENT_SCOPE)
endfunction()

# A folder serves when it holds libtorch_cpu, its headers, and a version that octet is written for.
function(_octet_torch_serves root out)
  set(${out} FALSE PARENT_SCOPE)
  if(root AND EXISTS "${root}/lib/libtorch_cpu.so" AND EXISTS "${root}/include/ATen/ATen.h")
    _octet_torch_version("${root}" version)
    if(version AND version VERSION_GREATER_EQUAL OCTET_TORCH_MIN_VERSION)
      set(${out} TRUE PARENT_SCOPE)
    endif()
  endif()
endfunction()

set(_candidates "")
if(OCTET_TORCH_DIR)
  list(APPEND _candidates "${OCTET_TORCH_DIR}" "${OCTET_TORCH_DIR}/torch")
else()
  foreach(prefix IN LISTS CMAKE_PREFIX_PATH)
    list(APPEND _candidates "${prefix}" "${prefix}/torch" "${prefix}/../..")
  endforeach()
  foreach(python python3 "${CMAKE_CURRENT_LIST_DIR}/../.venv/bin/python3")
    execute_process(
      COMMAND ${python} -c "import importlib.util as u; s = u.find_spec('torch'); print(s.submodule_search_locations[0] if s else '')"
      OUTPUT_VARIABLE _found OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET RESULT_VARIABLE _rc)
    if(_rc EQUAL 0 AND _found)
      list(APPEND _candidates "${_found}")
    endif()
  endforeach()
endif()

set(OCTET_TORCH_ROOT "")
foreach(candidate IN LISTS _candidates)
  _octet_torch_serves("${candidate}" _serves)
  if(_serves AND NOT OCTET_TORCH_ROOT)
    get_filename_component(OCTET_TORCH_ROOT "${candidate}" REALPATH)
  endif()
endforeach()
if(NOT OCTET_TORCH_ROOT)
  message(FATAL_ERROR
    "octet: no libtorch ${OCTET_TORCH_MIN_VERSION} or newer found.\n"
    "  looked in: ${_candidates}\n"
    "  Run ./demo or ./test, which fetch it into .venv, or set -DOCTET_TORCH_DIR=FOLDER to a libtorch or to an installed torch wheel.")
endif()
_octet_torch_version("${OCTET_TORCH_ROOT}" OCTET_TORCH_VERSION)
message(STATUS "octet: libtorch ${OCTET_TORCH_VERSION} in ${OCTET_TORCH_ROOT}")

# A CUDA wheel's libtorch_cpu needs libcupti and libcudart, which pip puts beside torch under nvidia/cuNN/lib.
get_filename_component(_site "${OCTET_TORCH_ROOT}" DIRECTORY)
file(GLOB _nvidia LIST_DIRECTORIES true "${_site}/nvidia/*/lib")
set(OCTET_TORCH_RPATH "${OCTET_TORCH_ROOT}/lib" ${_nvidia})

# Gives an interface target libtorch's headers and libraries.
function(octet_use_torch target)
  target_include_directories(${target} SYSTEM INTERFACE
    "$<BUILD_INTERFACE:${OCTET_TORCH_ROOT}/include>"
    "$<BUILD_INTERFACE:${OCTET_TORCH_ROOT}/include/torch/csrc/api/include>")
  # libtorch_cpu's own dependencies (libgomp-*.so, libcudart) are found through the rpath, not at link time.
  target_link_libraries(${target} INTERFACE
    "$<BUILD_INTERFACE:${OCTET_TORCH_ROOT}/lib/libtorch_cpu.so>" "$<BUILD_INTERFACE:${OCTET_TORCH_ROOT}/lib/libc10.so>"
    "$<BUILD_INTERFACE:-Wl,--allow-shlib-undefined>")
endfunction()
