// What the cases of clamp do not say: NaN stays, and bounds that are none are refused.
#include "kernels/clamp.h"

#include <gtest/gtest.h>

#include <cmath>

#include "kernels/error.h"

namespace otnfm {
namespace {

TEST(Clamp, KeepsNanAndRefusesBoundsTheWrongWayRound) {
  Stream stream(Device::cpu);
  float x[2] = {std::nanf(""), 7}, y[2] = {0, 0};
  clamp(stream, {.x = {x, {1, 2}}, .y = {y, {1, 2}}});
  EXPECT_TRUE(std::isnan(y[0]));
  EXPECT_EQ(y[1], 1);
  EXPECT_THROW(clamp(stream, {.x = {x, {1, 2}}, .y = {y, {2, 1}}}), InputError);
  EXPECT_THROW(clamp(stream, {.x = {x, {1, 2}}, .y = {y, {1, 2}}, .low = 2}), InputError);
  EXPECT_THROW(clamp(stream, {.x = {x, {1, 2}}, .y = {y, {1, 2}}, .low = x[0]}), InputError);
}

}  // namespace
}  // namespace otnfm
