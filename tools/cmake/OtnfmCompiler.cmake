# Compiler, sanitizers, ccache, and whether the CUDA kernels are built and by what.

find_program(CCACHE ccache)
if(CCACHE)
  # A precompiled header's own macros and times are no part of what is compiled from it.
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CMAKE_COMMAND} -E env CCACHE_SLOPPINESS=pch_defines,time_macros,include_file_mtime,include_file_ctime ${CCACHE})
  set(CMAKE_CUDA_COMPILER_LAUNCHER ${CCACHE})
endif()

set(OTNFM_HAVE_CUDA 0)
if(OTNFM_SIMT)
  set(OTNFM_HAVE_CUDA 1)
elseif(NOT OTNFM_CUDA STREQUAL "OFF")
  include(CheckLanguage)
  # tools/setup.sh --cuda puts a toolkit into .cuda/ where the system has none.
  if(NOT CMAKE_CUDA_COMPILER AND NOT DEFINED ENV{CUDACXX})
    find_program(NVCC nvcc PATHS /usr/local/cuda/bin ${PROJECT_SOURCE_DIR}/.cuda/toolkit/bin)
    if(NVCC)
      set(CMAKE_CUDA_COMPILER ${NVCC})
    endif()
  endif()
  check_language(CUDA)
  if(CMAKE_CUDA_COMPILER)
    set(CMAKE_CUDA_ARCHITECTURES ${OTNFM_CUDA_ARCHITECTURES})
    set(CMAKE_CUDA_RUNTIME_LIBRARY Static)
    enable_language(CUDA)
    if(NOT CMAKE_CUDA20_STANDARD_COMPILE_OPTION)  # CMake 3.25.1 (Debian 12) stops at C++17
      set(CMAKE_CUDA20_STANDARD_COMPILE_OPTION -std=c++20)
      set(CMAKE_CUDA20_EXTENSION_COMPILE_OPTION -std=c++20)
    endif()
    set(CMAKE_CUDA_STANDARD 20)  # after enable_language, whose own test would stop at the same gap
    find_package(CUDAToolkit 12.6 REQUIRED)
    # CMake writes no RPATH where nvcc's language links, and a toolkit is seldom in the loader's own path.
    add_link_options(LINKER:-rpath,${CUDAToolkit_LIBRARY_DIR})
    # cuDNN's headers alone: the first convolution loads the library, from wherever the loader finds it, or from beside its headers.
    find_path(CUDNN_INCLUDE cudnn.h HINTS ${CUDAToolkit_INCLUDE_DIRS} ${PROJECT_SOURCE_DIR}/.cuda/wheels/nvidia/cudnn/include)
    set(cudnn_version)
    if(CUDNN_INCLUDE AND EXISTS ${CUDNN_INCLUDE}/cudnn_version.h)
      file(STRINGS ${CUDNN_INCLUDE}/cudnn_version.h cudnn_version REGEX "#define CUDNN_MAJOR 9")
    endif()
    if(NOT cudnn_version)
      message(FATAL_ERROR "The CUDA build needs the headers of cuDNN 9, and they were not found: set CUDNN_INCLUDE to their folder "
                          "(tools/setup.sh --cuda installs them), or OTNFM_CUDA=OFF")
    endif()
    find_file(CUDNN_LIBRARY libcudnn.so.9 HINTS ${CUDAToolkit_LIBRARY_DIR} ${CUDNN_INCLUDE}/../lib)
    if(CUDNN_LIBRARY)
      get_filename_component(cudnn_folder ${CUDNN_LIBRARY} DIRECTORY)
      add_link_options(LINKER:-rpath,${cudnn_folder})
    endif()
    set(OTNFM_HAVE_CUDA 1)
  elseif(OTNFM_CUDA STREQUAL "ON")
    message(FATAL_ERROR "OTNFM_CUDA=ON, but no nvcc was found: put it on PATH or set CMAKE_CUDA_COMPILER "
                        "(tools/setup.sh --cuda installs one)")
  endif()
endif()

# What every target of ours is compiled with.
add_library(otnfm_options INTERFACE)
target_compile_definitions(otnfm_options INTERFACE OTNFM_SIMT=$<BOOL:${OTNFM_SIMT}>)
# -ffp-contract=off: the random numbers must be the same on every backend, so a fused multiply-add is always written out.
set(host_flags -Wall -Wextra -march=${OTNFM_MARCH} -ffp-contract=off -fno-math-errno -fno-trapping-math)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")  # g++ 12 warns of "text" + std::string (its bug 105651)
  list(APPEND host_flags -Wno-restrict)
  if(CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)  # and of std::string itself, once it comes from a precompiled header
    list(APPEND host_flags -Wno-array-bounds -Wno-stringop-overflow)
  endif()
else()  # what is said to g++ alone
  list(APPEND host_flags -Wno-unknown-pragmas -Wno-unknown-warning-option -Wno-pass-failed)
endif()
# Without AVX-512 g++ warns that vectors of 64 bytes are handed over in another way: ours cross no library's boundary.
include(CheckCXXSourceCompiles)
set(CMAKE_REQUIRED_FLAGS -march=${OTNFM_MARCH})
check_cxx_source_compiles("#ifndef __AVX512F__\n#error\n#endif\nint main() {}" OTNFM_AVX512)
unset(CMAKE_REQUIRED_FLAGS)
if(NOT OTNFM_AVX512)
  list(APPEND host_flags -Wno-psabi)
endif()
if(OTNFM_WERROR)
  list(APPEND host_flags -Werror)
endif()
target_compile_options(otnfm_options INTERFACE "$<$<COMPILE_LANGUAGE:CXX>:${host_flags}>")
string(REPLACE ";" "," host_flags_for_nvcc "-Wall;-Wextra;-ffp-contract=off;-fno-math-errno;-fno-trapping-math")
target_compile_options(otnfm_options INTERFACE
  "$<$<COMPILE_LANGUAGE:CUDA>:--expt-relaxed-constexpr;-Xcompiler=${host_flags_for_nvcc};-lineinfo>")
if(NOT OTNFM_AVX512_LOOPS)
  target_compile_definitions(otnfm_options INTERFACE OTNFM_NO_AVX512)
endif()
if(OTNFM_SANITIZE)
  target_compile_options(otnfm_options INTERFACE -fsanitize=${OTNFM_SANITIZE} -fno-omit-frame-pointer)
  if(NOT OTNFM_SANITIZE MATCHES thread)
    target_compile_options(otnfm_options INTERFACE -fno-sanitize-recover=all)
  endif()
  target_link_options(otnfm_options INTERFACE -fsanitize=${OTNFM_SANITIZE})
  if(OTNFM_SANITIZE MATCHES thread AND CMAKE_CXX_COMPILER_ID STREQUAL "Clang")  # which says it by __has_feature alone
    target_compile_definitions(otnfm_options INTERFACE __SANITIZE_THREAD__=1)
  endif()
endif()

find_package(OpenMP REQUIRED COMPONENTS CXX)
# OpenMP is for `omp simd`, and to tell oneDNN, whose threads are OpenMP's, to take one (kernels/host/parallel.h). g++'s is invisible to
# ThreadSanitizer.
if(OTNFM_SANITIZE MATCHES thread AND NOT CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
  target_compile_options(otnfm_options INTERFACE $<$<COMPILE_LANGUAGE:CXX>:-Wno-unknown-pragmas>)
else()
  target_link_libraries(otnfm_options INTERFACE OpenMP::OpenMP_CXX)
endif()
