# The libraries the project stands on, all from Debian's packages (tools/setup.sh).
find_package(fmt REQUIRED)
find_package(nlohmann_json REQUIRED)
find_package(ZLIB REQUIRED)
find_package(PNG REQUIRED)
find_package(Eigen3 REQUIRED NO_MODULE)
set(OTNFM_TRAINING OFF)  # engine/train and engine/metrics, which no library for others holds
if(OTNFM_PROGRAM OR OTNFM_TESTS OR OTNFM_BENCH)
  set(OTNFM_TRAINING ON)
  find_package(spdlog REQUIRED)
endif()
if(OTNFM_PROGRAM)
  find_package(CLI11 REQUIRED)
endif()
if(OTNFM_TESTS)
  find_package(GTest REQUIRED)
endif()

# oneDNN: Debian ships no CMake package for it.
find_path(DNNL_INCLUDE dnnl.hpp REQUIRED)
find_library(DNNL_LIBRARY dnnl REQUIRED)
add_library(otnfm_dnnl INTERFACE)
target_include_directories(otnfm_dnnl SYSTEM INTERFACE ${DNNL_INCLUDE})
target_link_libraries(otnfm_dnnl INTERFACE ${DNNL_LIBRARY})
