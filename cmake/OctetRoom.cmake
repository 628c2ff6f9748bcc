# A room of the house (CONTRIBUTING.md) is an object library octet_<room>; all of them together make the shared library `octet`, so
# that operator registrations are always linked in. A room names only rooms below it.

set(OCTET_WARNINGS -Wall -Wextra -Wpedantic -Werror -Wshadow -Wnon-virtual-dtor -Wno-unused-parameter)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  list(APPEND OCTET_WARNINGS -Wno-restrict -Wno-stringop-overflow)  # false alarms of GCC 12 inside std::string
  list(APPEND OCTET_WARNINGS -Wno-attributes)  # fields of templates of libtorch and nlohmann, which are hidden here
else()
  list(APPEND OCTET_WARNINGS -Wno-unknown-pragmas)  # GCC's ivdep
endif()
set(OCTET_ROOMS "" CACHE INTERNAL "")

add_library(octet_torch INTERFACE)
octet_use_torch(octet_torch)
set_target_properties(octet_torch PROPERTIES EXPORT_NAME torch)

add_library(octet_flags INTERFACE)
set_target_properties(octet_flags PROPERTIES EXPORT_NAME flags)
target_compile_options(octet_flags INTERFACE -fPIC)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # Behind a large precompiled header GCC collects garbage all the time: a fifth of the build. A compiler run takes 1.5 GB at most.
  target_compile_options(octet_flags INTERFACE $<BUILD_INTERFACE:--param=ggc-min-heapsize=1500000>)
endif()
target_include_directories(octet_flags INTERFACE
  "$<BUILD_INTERFACE:${CMAKE_SOURCE_DIR}>" "$<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>")
if(OCTET_SANITIZE)
  # The check of dynamic types asks for those that libtorch keeps to itself.
  target_compile_options(octet_flags INTERFACE -fsanitize=${OCTET_SANITIZE} -fno-sanitize=vptr -fno-omit-frame-pointer -g1)
  target_link_options(octet_flags INTERFACE -fsanitize=${OCTET_SANITIZE})
endif()
if(OCTET_BUILD_FUZZERS)
  # Indices that a vector's capacity hides from the sanitizer are findings too; clang's own warnings are none. -O1 saves a fifth of the
  # compiler's time.
  target_compile_options(octet_flags INTERFACE -O1 -D_GLIBCXX_ASSERTIONS -Wno-error)
endif()

# libtorch's headers cost half a minute a file; one precompiled header serves every room, test and program. What it leaves to each
# source, to instantiate the templates that its inline functions use, still takes five seconds: hence few, large compiler runs.
file(CONFIGURE OUTPUT ${CMAKE_BINARY_DIR}/octet_pch.cpp CONTENT "// anchor of the precompiled header\n")
add_library(octet_pch OBJECT ${CMAKE_BINARY_DIR}/octet_pch.cpp)
target_link_libraries(octet_pch PRIVATE octet_flags octet_torch)
target_compile_options(octet_pch PRIVATE ${OCTET_WARNINGS})  # -Wpedantic changes predefined macros, and with them the header
target_precompile_headers(octet_pch PRIVATE ${CMAKE_CURRENT_LIST_DIR}/octet_pch.h)

function(_octet_unity target)
  if(OCTET_UNITY)
    set_target_properties(${target} PROPERTIES UNITY_BUILD ON UNITY_BUILD_BATCH_SIZE 20)
  endif()
endfunction()

# Warnings and the precompiled header, for sources that see libtorch.
function(_octet_own_code target)
  target_compile_options(${target} PRIVATE ${OCTET_WARNINGS})
  target_precompile_headers(${target} REUSE_FROM octet_pch)
  _octet_unity(${target})
endfunction()

# An object library of sources that need no libtorch, and are not shown its headers.
function(_octet_plain_objects target)
  cmake_parse_arguments(PLAIN "" "" "SOURCES;LIBRARIES" ${ARGN})
  add_library(${target} OBJECT ${PLAIN_SOURCES})
  target_link_libraries(${target} PUBLIC octet_flags ${PLAIN_LIBRARIES})
  target_compile_options(${target} PRIVATE ${OCTET_WARNINGS})
  _octet_unity(${target})
endfunction()

# octet_room(name [SOURCES a.cpp ...] [PLAIN b.cpp ...] [ROOMS below ...] [LIBRARIES lib ...])
# PLAIN: sources that include nothing of libtorch; the target octet_<name>_plain, or octet_<name> where there are no others.
function(octet_room name)
  cmake_parse_arguments(ROOM "" "" "SOURCES;PLAIN;ROOMS;LIBRARIES" ${ARGN})
  set(objects "")
  if(ROOM_PLAIN)
    set(plain octet_${name})
    if(ROOM_SOURCES)
      set(plain octet_${name}_plain)
    endif()
    _octet_plain_objects(${plain} SOURCES ${ROOM_PLAIN} LIBRARIES ${ROOM_LIBRARIES})
    list(APPEND objects ${plain})
  endif()
  if(ROOM_SOURCES)
    add_library(octet_${name} OBJECT ${ROOM_SOURCES})
    target_link_libraries(octet_${name} PUBLIC octet_flags octet_torch ${ROOM_LIBRARIES})
    _octet_own_code(octet_${name})
    if(ROOM_PLAIN)
      add_dependencies(octet_${name} ${plain})
    endif()
    list(APPEND objects octet_${name})
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
  set_property(GLOBAL PROPERTY OCTET_ROOM_OBJECTS_${name} "${objects}")
  set(OCTET_ROOMS ${OCTET_ROOMS} ${name} CACHE INTERNAL "")
endfunction()

# A program or a test: its sources, and the rooms it uses with all that stands below them. PLAIN as for a room.
function(octet_executable name)
  cmake_parse_arguments(EXE "" "" "SOURCES;PLAIN;ROOMS;LIBRARIES" ${ARGN})
  add_executable(${name} ${EXE_SOURCES})
  if(EXE_PLAIN)
    _octet_plain_objects(${name}_plain SOURCES ${EXE_PLAIN} LIBRARIES ${EXE_LIBRARIES})
    target_link_libraries(${name} PRIVATE ${name}_plain)
  endif()
  set(rooms "")
  foreach(room IN LISTS EXE_ROOMS)
    get_property(deeper GLOBAL PROPERTY OCTET_ROOM_BELOW_${room})
    list(APPEND rooms ${deeper} ${room})
  endforeach()
  list(REMOVE_DUPLICATES rooms)
  foreach(room IN LISTS rooms)
    get_property(objects GLOBAL PROPERTY OCTET_ROOM_OBJECTS_${room})
    target_link_libraries(${name} PRIVATE ${objects})
  endforeach()
  target_link_libraries(${name} PRIVATE octet_flags octet_torch ${EXE_LIBRARIES})
  set_target_properties(${name} PROPERTIES BUILD_RPATH "${OCTET_TORCH_RPATH}" INSTALL_RPATH "${OCTET_TORCH_RPATH}")
  _octet_own_code(${name})
endfunction()

# One GoogleTest program a room: octet_test(graph SOURCES ... [PLAIN ...] ROOMS ...)
function(octet_test name)
  octet_executable(octet_${name}_test ${ARGN} LIBRARIES GTest::gtest GTest::gtest_main)
  foreach(target octet_${name}_test octet_${name}_test_plain)
    if(TARGET ${target})
      # Tests run what the rooms compiled. With less inlining GCC mistakes moved-from variants for uninitialized ones.
      target_compile_options(${target} PRIVATE -O1 $<$<CXX_COMPILER_ID:GNU>:-Wno-maybe-uninitialized>)
    endif()
  endforeach()
  add_test(NAME ${name} COMMAND octet_${name}_test WORKING_DIRECTORY ${CMAKE_SOURCE_DIR})
  set_tests_properties(${name} PROPERTIES ENVIRONMENT "OCTET_TEST_DATA=${CMAKE_SOURCE_DIR}/tests/data")
endfunction()
