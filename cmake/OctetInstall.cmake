# `cmake --install` gives the program, the library, its headers and a package, so that find_package(octet) works elsewhere.
include(CMakePackageConfigHelpers)

install(TARGETS octet octet_flags octet_torch EXPORT octet_targets
  LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(TARGETS octet_program RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
install(TARGETS octet_cli LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(EXPORT octet_targets NAMESPACE octet:: FILE octet-targets.cmake DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/octet)

# The headers are those that octet/octet.h includes, directly or not.
function(_octet_headers_from header out)
  set(all ${${out}})
  if(NOT header IN_LIST all)
    list(APPEND all ${header})
    file(STRINGS ${CMAKE_SOURCE_DIR}/${header} includes REGEX "^#include \"octet/")
    foreach(line IN LISTS includes)
      string(REGEX REPLACE "^#include \"([^\"]+)\".*" "\\1" included "${line}")
      _octet_headers_from(${included} all)
    endforeach()
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/${header})
  endif()
  set(${out} ${all} PARENT_SCOPE)
endfunction()
set(OCTET_HEADERS "")
_octet_headers_from(octet/octet.h OCTET_HEADERS)
foreach(header IN LISTS OCTET_HEADERS)
  get_filename_component(folder ${header} DIRECTORY)
  install(FILES ${header} DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/${folder})
endforeach()
configure_package_config_file(${CMAKE_CURRENT_LIST_DIR}/octet-config.cmake.in ${CMAKE_BINARY_DIR}/octet-config.cmake
  INSTALL_DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/octet)
write_basic_package_version_file(${CMAKE_BINARY_DIR}/octet-config-version.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_BINARY_DIR}/octet-config.cmake ${CMAKE_BINARY_DIR}/octet-config-version.cmake
  ${CMAKE_CURRENT_LIST_DIR}/OctetTorch.cmake DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/octet)
