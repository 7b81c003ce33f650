#include "engine/api/version.h"

#include <gtest/gtest.h>

#include <string>

TEST(Version, ItsNumbersAreItsText) {
  const std::string text = std::to_string(OTNFM_VERSION_MAJOR) + "." + std::to_string(OTNFM_VERSION_MINOR) + "." +
                           std::to_string(OTNFM_VERSION_PATCH);
  EXPECT_EQ(text, OTNFM_VERSION);
}
