// Tests that need CUDA are skipped without it, and say so; OTNFM_REQUIRE=cuda turns the skip into a failure.
#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <string>

#include "kernels/stream.h"

#define OTNFM_NEEDS_CUDA()                                                                              \
  do {                                                                                                  \
    std::string reason_;                                                                                \
    if (otnfm::cuda_available(&reason_)) break;                                                         \
    const char* required_ = std::getenv("OTNFM_REQUIRE");                                               \
    if (required_ && std::string(required_) == "cuda") FAIL() << "OTNFM_REQUIRE=cuda, but " << reason_; \
    GTEST_SKIP() << "needs CUDA or the simt build: " << reason_;                                        \
  } while (false)
