# What `cmake --install` gives: the program, three shared libraries, two static ones, headers, CMake and pkg-config files.
#
#   otnfm::ot     libotnfm_ot.so: the transport solvers, with the kernels
#   otnfm::otnfm  libotnfm.so: the generator and what it stands on, and otnfm::ot
#   otnfm::c      libotnfm_c.so: the C ABI; stands alone, shows nothing but its versioned C functions
#   otnfm::ot_static, otnfm::otnfm_static: find_package(otnfm CONFIG COMPONENTS static), which then looks for their libraries
#
# Training is the program's; its parts are in none of them.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

set(ot_folders otnfm_kernels otnfm_ot)
set(generator_folders otnfm_core otnfm_io otnfm_data otnfm_layers otnfm_generate)

function(otnfm_objects out)
  set(objects)
  foreach(target IN LISTS ARGN)
    list(APPEND objects $<TARGET_OBJECTS:${target}>)
  endforeach()
  set(${out} ${objects} PARENT_SCOPE)
endfunction()

# Public targets say where headers lie and what they were built with, and nothing of what they stand on.
function(otnfm_public target export_name)
  set_target_properties(${target} PROPERTIES
    EXPORT_NAME ${export_name} LINKER_LANGUAGE CXX VERSION ${PROJECT_VERSION} SOVERSION ${PROJECT_VERSION_MAJOR}
    INSTALL_RPATH $ORIGIN ARCHIVE_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/package LIBRARY_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/package)
  target_include_directories(${target} INTERFACE $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
  if(NOT export_name STREQUAL c)
    target_compile_features(${target} INTERFACE cxx_std_20)
  endif()
endfunction()

otnfm_objects(ot_objects ${ot_folders})
otnfm_objects(generator_objects ${generator_folders})
set(ot_libraries fmt::fmt otnfm_dnnl OpenMP::OpenMP_CXX)
if(OTNFM_HAVE_CUDA)
  list(APPEND ot_libraries CUDA::cudart_static CUDA::cublasLt)
endif()

add_library(otnfm_ot_shared SHARED ${ot_objects})
set_target_properties(otnfm_ot_shared PROPERTIES OUTPUT_NAME otnfm_ot)
target_link_libraries(otnfm_ot_shared PRIVATE ${ot_libraries})
otnfm_public(otnfm_ot_shared ot)

add_library(otnfm_shared SHARED ${generator_objects})
set_target_properties(otnfm_shared PROPERTIES OUTPUT_NAME otnfm)
target_link_libraries(otnfm_shared PUBLIC otnfm_ot_shared PRIVATE ${ot_libraries} ZLIB::ZLIB PNG::PNG)
otnfm_public(otnfm_shared otnfm)

add_library(otnfm_ot_static STATIC ${ot_objects})
set_target_properties(otnfm_ot_static PROPERTIES OUTPUT_NAME otnfm_ot)
otnfm_public(otnfm_ot_static ot_static)

add_library(otnfm_static STATIC ${generator_objects})
set_target_properties(otnfm_static PROPERTIES OUTPUT_NAME otnfm)
otnfm_public(otnfm_static otnfm_static)

add_library(otnfm_c SHARED ${CMAKE_SOURCE_DIR}/engine/embed/c.cpp)
target_include_directories(otnfm_c PRIVATE ${CMAKE_SOURCE_DIR})
target_compile_definitions(otnfm_c PRIVATE OTNFM_VERSION="${PROJECT_VERSION}")
target_link_libraries(otnfm_c PRIVATE otnfm_generate otnfm_ot)
target_link_options(otnfm_c PRIVATE LINKER:--version-script=${CMAKE_SOURCE_DIR}/engine/embed/c.map LINKER:--exclude-libs,ALL)
set_target_properties(otnfm_c PROPERTIES CXX_VISIBILITY_PRESET hidden VISIBILITY_INLINES_HIDDEN ON
                      LINK_DEPENDS ${CMAKE_SOURCE_DIR}/engine/embed/c.map)
otnfm_public(otnfm_c c)

# The headers that the umbrella reaches, under include/otnfm/. In the tree an include is rooted at the tree; installed, a
# folder named kernels/ would stand in everybody's way, so there it is rooted at include/: "otnfm/kernels/view.h".
function(otnfm_stage_headers)
  set(pending ${ARGN})
  set(done)
  while(pending)
    list(POP_FRONT pending header)
    if(header IN_LIST done)
      continue()
    endif()
    list(APPEND done ${header})
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/${header})
    file(STRINGS ${CMAKE_SOURCE_DIR}/${header} lines REGEX "^#include \"")
    foreach(line IN LISTS lines)
      string(REGEX REPLACE "^#include \"([^\"]+)\".*" "\\1" included "${line}")
      list(APPEND pending ${included})
    endforeach()
    file(READ ${CMAKE_SOURCE_DIR}/${header} text)
    string(REGEX REPLACE "#include \"" "#include \"otnfm/" text "${text}")
    string(REPLACE "engine/embed/" "" installed ${header})
    file(WRITE ${CMAKE_BINARY_DIR}/package/include/otnfm/${installed} "${text}")
  endwhile()
endfunction()
file(REMOVE_RECURSE ${CMAKE_BINARY_DIR}/package/include)
otnfm_stage_headers(engine/embed/otnfm.h engine/embed/ot.h engine/embed/c.h)

install(TARGETS otnfm RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
install(TARGETS otnfm_shared otnfm_ot_shared otnfm_c otnfm_static otnfm_ot_static EXPORT otnfm
        LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(DIRECTORY ${CMAKE_BINARY_DIR}/package/include/otnfm DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})

set(config_folder ${CMAKE_INSTALL_LIBDIR}/cmake/otnfm)
install(EXPORT otnfm NAMESPACE otnfm:: FILE otnfm-targets.cmake DESTINATION ${config_folder})
configure_package_config_file(${CMAKE_SOURCE_DIR}/tools/cmake/otnfm-config.cmake.in ${CMAKE_BINARY_DIR}/package/otnfm-config.cmake
                              INSTALL_DESTINATION ${config_folder})
write_basic_package_version_file(${CMAKE_BINARY_DIR}/package/otnfm-config-version.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_BINARY_DIR}/package/otnfm-config.cmake ${CMAKE_BINARY_DIR}/package/otnfm-config-version.cmake
        DESTINATION ${config_folder})

file(RELATIVE_PATH to_prefix /${CMAKE_INSTALL_LIBDIR}/pkgconfig /)

# otnfm_pkg_config(NAME ABOUT LIBRARIES FLAGS)
function(otnfm_pkg_config name about libraries flags)
  file(WRITE ${CMAKE_BINARY_DIR}/package/${name}.pc "prefix=\${pcfiledir}/${to_prefix}
Name: ${name}
Description: ${about}
Version: ${PROJECT_VERSION}
Cflags: -I\${prefix}/${CMAKE_INSTALL_INCLUDEDIR}${flags}
Libs: -L\${prefix}/${CMAKE_INSTALL_LIBDIR} ${libraries}
")
  install(FILES ${CMAKE_BINARY_DIR}/package/${name}.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
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
set(CPACK_DEBIAN_SHLIBDEPS_PRIVATE_DIRS ${CMAKE_BINARY_DIR}/package)
set(CPACK_STRIP_FILES ON)
include(CPack)
