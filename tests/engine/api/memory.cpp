// What a program is told where memory does not suffice: how much was wanted, and for what.
#include "kernels/memory.h"

#include <gtest/gtest.h>

#include "kernels/error.h"
#include "tests/cuda_at_hand.h"

namespace otnfm::test {
namespace {

std::string refusal(Device device) {
  try {
    const Memory memory(device, std::size_t{1} << 60, "a test");
  } catch (const RunError& error) {
    return error.what();
  }
  return "2^60 bytes were there";
}

TEST(Memory, WhatIsMissingIsCountedAndNamed) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "a sanitizer ends the program by itself";
#endif
  EXPECT_EQ(refusal(Device::cpu), "out of memory on cpu: 1152921504606846976 bytes for a test");
}

TEST(Memory, WhatIsMissingOnCudaIsCountedAndNamed) {
  OTNFM_NEEDS_CUDA();
  EXPECT_EQ(refusal(Device::cuda), "out of memory on cuda: 1152921504606846976 bytes for a test");
}

}  // namespace
}  // namespace otnfm::test
