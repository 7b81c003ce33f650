# The libraries for other programs, installed (find_package) or in their own tree (add_subdirectory, FetchContent), and their headers.
#
#   otnfm::ot     libotnfm_ot.so: the transport solvers, with the kernels
#   otnfm::otnfm  libotnfm.so: the generator and what it stands on, and otnfm::ot
#   otnfm::c      libotnfm_c.so: the C ABI; stands alone, shows nothing but its versioned C functions
#   otnfm::ot_static, otnfm::otnfm_static: installed alone, find_package(otnfm CONFIG COMPONENTS static), which then looks for their libraries
#
# Training is the program's; its parts are in none of them.
include(GNUInstallDirs)

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
    INSTALL_RPATH $ORIGIN ARCHIVE_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/package LIBRARY_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/package)
  target_include_directories(${target} INTERFACE $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>
                             $<BUILD_INTERFACE:${PROJECT_BINARY_DIR}/package/include>)
  add_library(otnfm::${export_name} ALIAS ${target})
  get_target_property(type ${target} TYPE)
  if(type STREQUAL SHARED_LIBRARY)  # its threads never end (kernels/host/parallel.cpp), so neither may their code
    target_link_options(${target} PRIVATE LINKER:-z,nodelete)
  endif()
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

add_library(otnfm_c SHARED $<TARGET_OBJECTS:otnfm_api>)
target_link_libraries(otnfm_c PRIVATE otnfm_generate otnfm_ot)
target_link_options(otnfm_c PRIVATE LINKER:--version-script=${PROJECT_SOURCE_DIR}/engine/api/c.map LINKER:--exclude-libs,ALL)
set_target_properties(otnfm_c PROPERTIES LINK_DEPENDS ${PROJECT_SOURCE_DIR}/engine/api/c.map)
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
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/${header})
    file(STRINGS ${PROJECT_SOURCE_DIR}/${header} lines REGEX "^#include \"")
    foreach(line IN LISTS lines)
      string(REGEX REPLACE "^#include \"([^\"]+)\".*" "\\1" included "${line}")
      list(APPEND pending ${included})
    endforeach()
    file(READ ${PROJECT_SOURCE_DIR}/${header} text)
    string(REPLACE "#include \"engine/api/" "#include \"" text "${text}")
    string(REPLACE "#include \"" "#include \"otnfm/" text "${text}")
    string(REPLACE "engine/api/" "" installed ${header})
    file(WRITE ${PROJECT_BINARY_DIR}/package/include/otnfm/${installed} "${text}")
  endwhile()
endfunction()
file(REMOVE_RECURSE ${PROJECT_BINARY_DIR}/package/include)
otnfm_stage_headers(engine/api/otnfm.h engine/api/ot.h engine/api/c.h engine/api/version.h)
