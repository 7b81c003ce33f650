# What `cmake --install` gives: the program, the libraries of OtnfmPublic.cmake, shared and static, headers, CMake and pkg-config files.
include(CMakePackageConfigHelpers)

set(installed otnfm_shared otnfm_ot_shared otnfm_c otnfm_static otnfm_ot_static)

# Whoever built the program alone, as tools/demo.sh does, has all of the libraries but the linking: that is done now.
set(to_build ${installed})
if(OTNFM_PROGRAM)
  list(APPEND to_build otnfm)
endif()
cmake_host_system_information(RESULT processors QUERY NUMBER_OF_LOGICAL_CORES)
set(files)
foreach(target IN LISTS to_build)
  list(APPEND files $<TARGET_FILE:${target}>)
endforeach()
install(CODE "
  set(files \"${files}\")
  foreach(file IN LISTS files)
    if(NOT EXISTS \${file})
      message(STATUS \"\${file} is not built yet: building what is to be installed\")
      execute_process(COMMAND \"${CMAKE_COMMAND}\" --build \"${PROJECT_BINARY_DIR}\" --parallel ${processors} --target ${to_build}
                      COMMAND_ERROR_IS_FATAL ANY)
      break()
    endif()
  endforeach()")

if(OTNFM_PROGRAM)
  install(TARGETS otnfm RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
endif()
install(TARGETS ${installed} EXPORT otnfm
        LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(DIRECTORY ${PROJECT_BINARY_DIR}/package/include/otnfm DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})

set(config_folder ${CMAKE_INSTALL_LIBDIR}/cmake/otnfm)
install(EXPORT otnfm NAMESPACE otnfm:: FILE otnfm-targets.cmake DESTINATION ${config_folder})
configure_package_config_file(${PROJECT_SOURCE_DIR}/tools/cmake/otnfm-config.cmake.in ${PROJECT_BINARY_DIR}/package/otnfm-config.cmake
                              INSTALL_DESTINATION ${config_folder})
write_basic_package_version_file(${PROJECT_BINARY_DIR}/package/otnfm-config-version.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/package/otnfm-config.cmake ${PROJECT_BINARY_DIR}/package/otnfm-config-version.cmake
        DESTINATION ${config_folder})

file(RELATIVE_PATH to_prefix /${CMAKE_INSTALL_LIBDIR}/pkgconfig /)

# otnfm_pkg_config(NAME ABOUT LIBRARIES FLAGS)
function(otnfm_pkg_config name about libraries flags)
  file(WRITE ${PROJECT_BINARY_DIR}/package/${name}.pc "prefix=\${pcfiledir}/${to_prefix}
Name: ${name}
Description: ${about}
Version: ${PROJECT_VERSION}
Cflags: -I\${prefix}/${CMAKE_INSTALL_INCLUDEDIR}${flags}
Libs: -L\${prefix}/${CMAKE_INSTALL_LIBDIR} ${libraries}
")
  install(FILES ${PROJECT_BINARY_DIR}/package/${name}.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
endfunction()
set(cxx_flags " -std=c++20")
otnfm_pkg_config(otnfm "${PROJECT_DESCRIPTION}" "-lotnfm -lotnfm_ot" "${cxx_flags}")
otnfm_pkg_config(otnfm-ot "Optimal transport solvers of otnfm" -lotnfm_ot "${cxx_flags}")
otnfm_pkg_config(otnfm-c "C interface of otnfm" -lotnfm_c "")

# `cpack -G DEB` (tools/package.sh); what the files need is found by dpkg-shlibdeps.
set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME otnfm)
set(CPACK_PACKAGE_CONTACT "the authors of otnfm")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY ${PROJECT_DESCRIPTION})
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION science)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_GENERATE_SHLIBS ON)
set(CPACK_DEBIAN_SHLIBDEPS_PRIVATE_DIRS ${PROJECT_BINARY_DIR}/package)
set(CPACK_STRIP_FILES ON)
include(CPack)
