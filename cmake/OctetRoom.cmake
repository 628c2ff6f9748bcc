# A room of the house (CONTRIBUTING.md) is an object library octet_<room>; all of them together make the shared library `octet`, so
# that operator registrations are always linked in. A room names only rooms below it.

set(OCTET_WARNINGS -Wall -Wextra -Wpedantic -Werror -Wshadow -Wnon-virtual-dtor -Wno-unused-parameter)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  list(APPEND OCTET_WARNINGS -Wno-restrict -Wno-stringop-overflow)  # false alarms of GCC 12 inside std::string
endif()
set(OCTET_ROOMS "" CACHE INTERNAL "")

add_library(octet_torch INTERFACE)
octet_use_torch(octet_torch)
set_target_properties(octet_torch PROPERTIES EXPORT_NAME torch)

add_library(octet_flags INTERFACE)
set_target_properties(octet_flags PROPERTIES EXPORT_NAME flags)
target_compile_options(octet_flags INTERFACE -fPIC)
target_include_directories(octet_flags INTERFACE
  "$<BUILD_INTERFACE:${CMAKE_SOURCE_DIR}>" "$<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>")
if(OCTET_SANITIZE)
  target_compile_options(octet_flags INTERFACE -fsanitize=${OCTET_SANITIZE} -fno-omit-frame-pointer -g1)
  target_link_options(octet_flags INTERFACE -fsanitize=${OCTET_SANITIZE})
endif()
if(OCTET_BUILD_FUZZERS)
  # Indices that a vector's capacity hides from the sanitizer are findings too; clang's own warnings are none.
  target_compile_options(octet_flags INTERFACE -D_GLIBCXX_ASSERTIONS -Wno-error)
endif()
target_link_libraries(octet_flags INTERFACE octet_torch)

# libtorch's headers cost half a minute a file; one precompiled header serves every room, test and program.
file(CONFIGURE OUTPUT ${CMAKE_BINARY_DIR}/octet_pch.cpp CONTENT "// anchor of the precompiled header\n")
add_library(octet_pch OBJECT ${CMAKE_BINARY_DIR}/octet_pch.cpp)
target_link_libraries(octet_pch PRIVATE octet_flags)
target_compile_options(octet_pch PRIVATE ${OCTET_WARNINGS})  # -Wpedantic changes predefined macros, and with them the header
target_precompile_headers(octet_pch PRIVATE ${CMAKE_CURRENT_LIST_DIR}/octet_pch.h)

function(_octet_own_code target)
  target_compile_options(${target} PRIVATE ${OCTET_WARNINGS})
  target_precompile_headers(${target} REUSE_FROM octet_pch)
endfunction()

# octet_room(name SOURCES a.cpp ... [ROOMS below ...] [LIBRARIES lib ...])
function(octet_room name)
  cmake_parse_arguments(ROOM "" "" "SOURCES;ROOMS;LIBRARIES" ${ARGN})
  add_library(octet_${name} OBJECT ${ROOM_SOURCES})
  target_link_libraries(octet_${name} PUBLIC octet_flags ${ROOM_LIBRARIES})
  _octet_own_code(octet_${name})
  # Several sources a compiler run: most of a small file's time goes into libtorch's headers.
  if(OCTET_UNITY)
    set_target_properties(octet_${name} PROPERTIES UNITY_BUILD ON UNITY_BUILD_BATCH_SIZE 5)
  endif()
  set(below "")
  foreach(room IN LISTS ROOM_ROOMS)
    if(NOT room IN_LIST OCTET_ROOMS)
      message(FATAL_ERROR "room '${name}' names '${room}', which does not stand below it")
    endif()
    get_property(deeper GLOBAL PROPERTY OCTET_ROOM_BELOW_${room})
    list(APPEND below ${deeper} ${room})
  endforeach()
  list(REMOVE_DUPLICATES below)
  set_property(GLOBAL PROPERTY OCTET_ROOM_BELOW_${name} "${below}")
  set_property(GLOBAL PROPERTY OCTET_ROOM_LIBRARIES_${name} "${ROOM_LIBRARIES}")
  set(OCTET_ROOMS ${OCTET_ROOMS} ${name} CACHE INTERNAL "")
endfunction()

# A program or a test: its sources, and the rooms it uses with all that stands below them.
function(octet_executable name)
  cmake_parse_arguments(EXE "" "" "SOURCES;ROOMS;LIBRARIES" ${ARGN})
  add_executable(${name} ${EXE_SOURCES})
  set(rooms "")
  foreach(room IN LISTS EXE_ROOMS)
    get_property(deeper GLOBAL PROPERTY OCTET_ROOM_BELOW_${room})
    list(APPEND rooms ${deeper} ${room})
  endforeach()
  list(REMOVE_DUPLICATES rooms)
  foreach(room IN LISTS rooms)
    target_link_libraries(${name} PRIVATE octet_${room})
  endforeach()
  target_link_libraries(${name} PRIVATE octet_flags ${EXE_LIBRARIES})
  set_target_properties(${name} PROPERTIES BUILD_RPATH "${OCTET_TORCH_RPATH}" INSTALL_RPATH "${OCTET_TORCH_RPATH}")
  _octet_own_code(${name})
endfunction()

# One GoogleTest program a room: octet_test(graph SOURCES ... ROOMS ...)
function(octet_test name)
  octet_executable(octet_${name}_test ${ARGN} LIBRARIES GTest::gtest GTest::gtest_main)
  if(OCTET_SANITIZE)
    target_compile_options(octet_${name}_test PRIVATE -Wno-maybe-uninitialized)  # false alarms in instrumented code
  endif()
  add_test(NAME ${name} COMMAND octet_${name}_test WORKING_DIRECTORY ${CMAKE_SOURCE_DIR})
  set_tests_properties(${name} PROPERTIES ENVIRONMENT "OCTET_TEST_DATA=${CMAKE_SOURCE_DIR}/tests/data")
endfunction()
