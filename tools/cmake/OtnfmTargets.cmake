# One library a folder. A folder's headers are reached only through its target, so an include against the arrows
# (kernels <- engine/core <- layers, ot <- engine/train, engine/generate <- tools) does not compile: each target exports a
# directory that holds nothing but a link to its own folder.

# otnfm_library(NAME FOLDER [SOURCES ...] [DEPENDS targets ...])
function(otnfm_library name folder)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPENDS" ${ARGN})
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
  else()
    add_library(${name} INTERFACE)
    target_include_directories(${name} INTERFACE ${root})
    target_link_libraries(${name} INTERFACE otnfm_options ${ARG_DEPENDS})
  endif()
endfunction()

# otnfm_test(FOLDER [DEPENDS ...]): tests/FOLDER/*.cpp as one GoogleTest program, test_<folder>, its cases known to ctest.
function(otnfm_test folder)
  cmake_parse_arguments(ARG "" "" "DEPENDS;LABELS" ${ARGN})
  file(GLOB sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/tests/${folder}/*.cpp)
  if(NOT sources)
    return()
  endif()
  string(REPLACE "/" "_" name test_${folder})
  add_executable(${name} ${sources})
  target_include_directories(${name} PRIVATE ${PROJECT_SOURCE_DIR}/tests/..)
  target_link_libraries(${name} PRIVATE ${ARG_DEPENDS} GTest::gtest GTest::gtest_main)
  add_test(NAME ${folder} COMMAND ${name})
  set_tests_properties(${folder} PROPERTIES TIMEOUT 1800)
  if(OTNFM_SANITIZE MATCHES thread)
    # What libomp does inside is its own affair; what it orders it says (Archer). A thread that waits must not keep a core from one
    # that works.
    set_tests_properties(${folder} PROPERTIES TIMEOUT 7200
                         ENVIRONMENT "TSAN_OPTIONS=ignore_noninstrumented_modules=1;OMP_WAIT_POLICY=passive")
  endif()
endfunction()

# otnfm_bench(FOLDER [DEPENDS ...]): bench/FOLDER/*.cpp as one Google Benchmark program, bench_<folder>; one of the files has main.
function(otnfm_bench folder)
  cmake_parse_arguments(ARG "" "" "DEPENDS" ${ARGN})
  file(GLOB sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/bench/${folder}/*.cpp)
  if(NOT sources)
    return()
  endif()
  string(REPLACE "/" "_" name bench_${folder})
  add_executable(${name} ${sources})
  target_include_directories(${name} PRIVATE ${PROJECT_SOURCE_DIR}/bench/..)
  target_link_libraries(${name} PRIVATE ${ARG_DEPENDS} benchmark::benchmark)
endfunction()
