# `cmake --install` gives the program, the library, its headers and a package, so that find_package(octet) works elsewhere.
include(CMakePackageConfigHelpers)

install(TARGETS octet octet_flags octet_torch EXPORT octet_targets
  LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(TARGETS octet_program RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
install(TARGETS octet_cli LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(EXPORT octet_targets NAMESPACE octet:: FILE octet-targets.cmake DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/octet)
install(DIRECTORY octet/ DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/octet FILES_MATCHING PATTERN "*.h")
configure_package_config_file(${CMAKE_CURRENT_LIST_DIR}/octet-config.cmake.in ${CMAKE_BINARY_DIR}/octet-config.cmake
  INSTALL_DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/octet)
write_basic_package_version_file(${CMAKE_BINARY_DIR}/octet-config-version.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_BINARY_DIR}/octet-config.cmake ${CMAKE_BINARY_DIR}/octet-config-version.cmake
  ${CMAKE_CURRENT_LIST_DIR}/OctetTorch.cmake DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/octet)
