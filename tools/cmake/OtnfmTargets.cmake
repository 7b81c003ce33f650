# One library a folder. A folder's headers are reached only through its target, so an include against the arrows
# (kernels <- engine/core <- layers, ot <- engine/train, engine/generate <- tools) does not compile: each target exports a
# directory that holds nothing but a link to its own folder.

# What most files include and is slow to read is read once for the libraries, once for the program, once for the tests. JSON's header
# costs every file that has it 0.6 s, used or not, so only those have it that speak JSON throughout. Each file still includes what it
# uses (clang-tidy reads them without).
option(OTNFM_PRECOMPILE "Precompile the headers of the standard library and fmt that most files include" ON)
set(precompiled_headers <algorithm> <array> <atomic> <chrono> <cmath> <cstdint> <cstring> <filesystem> <fstream> <functional> <limits>
                        <memory> <mutex> <numeric> <optional> <span> <string> <thread> <utility> <vector> <fmt/format.h>)

# otnfm_precompile(TARGET KIND): KIND is library, json_library, program, case or test: each is compiled with flags, or headers, of its own.
function(otnfm_precompile target kind)
  if(NOT OTNFM_PRECOMPILE)
    return()
  endif()
  set(holder otnfm_precompiled_${kind})
  if(NOT TARGET ${holder})
    file(WRITE ${PROJECT_BINARY_DIR}/precompiled/empty.cpp "")
    set(empty ${PROJECT_BINARY_DIR}/precompiled/empty.cpp)
    set(headers ${precompiled_headers})
    add_library(${holder} OBJECT ${empty})
    if(NOT kind MATCHES "library|case")  # an executable's flags
      set_target_properties(${holder} PROPERTIES POSITION_INDEPENDENT_CODE OFF)
      target_compile_options(${holder} PRIVATE -fPIE)
    endif()
    target_link_libraries(${holder} PRIVATE otnfm_options fmt::fmt)
    if(kind STREQUAL test)
      list(APPEND headers <gtest/gtest.h>)
      target_link_libraries(${holder} PRIVATE GTest::gtest)
    elseif(NOT kind MATCHES "^(library|case)$")
      list(APPEND headers <nlohmann/json.hpp>)
      target_link_libraries(${holder} PRIVATE nlohmann_json::nlohmann_json)
    endif()
    if(NOT kind STREQUAL library)
      otnfm_seldom(${holder})
    endif()
    target_precompile_headers(${holder} PRIVATE ${headers})
  endif()
  target_precompile_headers(${target} REUSE_FROM ${holder})
endfunction()

# What runs once a command, and hands all work on to kernels/, ot/ and engine/core: it compiles in two thirds of the time.
function(otnfm_seldom target)
  target_compile_options(${target} PRIVATE $<$<CONFIG:Release>:-O1>)
endfunction()

# Eight files are compiled as one, in less than half the time; so no two of a folder may define a name of their own twice. Off where
# each file is to be compiled, or read by clang-tidy, as it stands.
option(OTNFM_UNITY "Compile several files of a library as one" ON)
function(otnfm_unity target)
  set_target_properties(${target} PROPERTIES UNITY_BUILD ${OTNFM_UNITY} UNITY_BUILD_BATCH_SIZE 8)
  if(OTNFM_UNITY AND CMAKE_CXX_COMPILER_ID STREQUAL "GNU")  # which then takes a .cpp file's own types for a header's
    target_compile_options(${target} PRIVATE $<$<COMPILE_LANGUAGE:CXX>:-Wno-subobject-linkage>)
  endif()
endfunction()

# otnfm_library(NAME FOLDER [PRECOMPILED kind] [SOURCES ...] [DEPENDS targets ...])
function(otnfm_library name folder)
  cmake_parse_arguments(ARG "" "PRECOMPILED" "SOURCES;DEPENDS" ${ARGN})
  if(NOT ARG_PRECOMPILED)
    set(ARG_PRECOMPILED library)
  endif()
  if(NOT ARG_SOURCES)
    file(GLOB ARG_SOURCES CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/${folder}/*.cpp)
  endif()
  set(root ${PROJECT_BINARY_DIR}/include/${name})
  get_filename_component(parent ${root}/${folder} DIRECTORY)
  file(MAKE_DIRECTORY ${parent})
  file(CREATE_LINK ${PROJECT_SOURCE_DIR}/${folder} ${root}/${folder} SYMBOLIC)
  if(ARG_SOURCES)
    add_library(${name} STATIC ${ARG_SOURCES})
    target_include_directories(${name} PUBLIC ${root})
    target_link_libraries(${name} PUBLIC otnfm_options ${ARG_DEPENDS})
    otnfm_precompile(${name} ${ARG_PRECOMPILED})
    otnfm_unity(${name})
  else()
    add_library(${name} INTERFACE)
    target_include_directories(${name} INTERFACE ${root})
    target_link_libraries(${name} INTERFACE otnfm_options ${ARG_DEPENDS})
  endif()
endfunction()

# otnfm_sources(OUT FOLDER FOLDERS...): the .cpp files of FOLDER and of these folders in it.
function(otnfm_sources out folder)
  set(patterns ${PROJECT_SOURCE_DIR}/${folder}/*.cpp)
  foreach(inner IN LISTS ARGN)
    list(APPEND patterns ${PROJECT_SOURCE_DIR}/${folder}/${inner}/*.cpp)
  endforeach()
  file(GLOB sources CONFIGURE_DEPENDS ${patterns})
  set(${out} ${sources} PARENT_SCOPE)
endfunction()

# otnfm_test(FOLDER [SHARDS n] [FOLDERS ...] [DEPENDS ...]): tests/FOLDER/*.cpp, and those of FOLDERS in it, as one GoogleTest
# program, test_<folder>. ctest runs it in so many shards, so that a long one does not keep a processor to itself at the end.
function(otnfm_test folder)
  cmake_parse_arguments(ARG "" "SHARDS" "FOLDERS;DEPENDS" ${ARGN})
  otnfm_sources(sources tests/${folder} ${ARG_FOLDERS})
  if(NOT sources)
    return()
  endif()
  string(REPLACE "/" "_" name test_${folder})
  add_executable(${name} ${sources})
  target_include_directories(${name} PRIVATE ${PROJECT_SOURCE_DIR}/tests/..)
  target_link_libraries(${name} PRIVATE ${ARG_DEPENDS} otnfm_options fmt::fmt GTest::gtest GTest::gtest_main)
  otnfm_precompile(${name} test)
  otnfm_unity(${name})
  otnfm_seldom(${name})
  if(NOT ARG_SHARDS)
    set(ARG_SHARDS 1)
  endif()
  foreach(shard RANGE 1 ${ARG_SHARDS})
    set(test ${folder})
    set(environment)
    if(ARG_SHARDS GREATER 1)
      math(EXPR index "${shard} - 1")
      set(test ${folder}_${shard})
      set(environment GTEST_TOTAL_SHARDS=${ARG_SHARDS} GTEST_SHARD_INDEX=${index})
    endif()
    add_test(NAME ${test} COMMAND ${name})
    set_tests_properties(${test} PROPERTIES TIMEOUT 1800)
    if(OTNFM_SANITIZE MATCHES thread)
      # What libomp does inside is its own affair; what it orders it says (Archer). A thread that waits must not keep a core from one
      # that works.
      list(APPEND environment "TSAN_OPTIONS=ignore_noninstrumented_modules=1" OMP_WAIT_POLICY=passive)
      set_tests_properties(${test} PROPERTIES TIMEOUT 7200)
    endif()
    set_tests_properties(${test} PROPERTIES ENVIRONMENT "${environment}")
  endforeach()
endfunction()

# otnfm_bench(FOLDER [FOLDERS ...] [DEPENDS ...]): the same of bench/ as one Google Benchmark program, bench_<folder>; one of the
# files has main.
function(otnfm_bench folder)
  cmake_parse_arguments(ARG "" "" "FOLDERS;DEPENDS" ${ARGN})
  otnfm_sources(sources bench/${folder} ${ARG_FOLDERS})
  if(NOT sources)
    return()
  endif()
  string(REPLACE "/" "_" name bench_${folder})
  add_executable(${name} ${sources})
  target_include_directories(${name} PRIVATE ${PROJECT_SOURCE_DIR}/bench/..)
  target_link_libraries(${name} PRIVATE ${ARG_DEPENDS} benchmark::benchmark)
endfunction()
