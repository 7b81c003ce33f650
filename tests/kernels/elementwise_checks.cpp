// What the headers promise beside the numbers: wrong shapes and null data are refused, and a bad index gives NaN.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "kernels/bias_activation.h"
#include "kernels/concat.h"
#include "kernels/copy.h"
#include "kernels/elementwise.h"
#include "kernels/error.h"
#include "kernels/fill.h"
#include "kernels/finite.h"
#include "kernels/gather.h"
#include "kernels/interpolate.h"
#include "kernels/reduce.h"
#include "kernels/squared_error.h"

namespace otnfm {
namespace {

constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();

class OpChecks : public testing::Test {
 protected:
  Stream stream{Device::cpu};
  std::vector<float> memory = std::vector<float>(64, 1.0f), result = std::vector<float>(64, -1.0f);
  View<float> matrix{memory.data(), {3, 4}}, narrow{memory.data(), {3, 3}}, null{nullptr, {3, 4}};
  View<float> out{result.data(), {3, 4}}, row{memory.data(), {4}}, column{memory.data(), {3}}, one{result.data(), {1}};
};

TEST_F(OpChecks, WrongShapesAreRefused) {
  EXPECT_THROW(copy(stream, {narrow, out}), InputError);
  EXPECT_THROW(add(stream, {matrix, narrow, out}), InputError);
  EXPECT_THROW(multiply(stream, {matrix, narrow, out}), InputError);
  EXPECT_THROW(scale(stream, {narrow, out, 1.0f}), InputError);
  EXPECT_THROW(axpby(stream, {narrow, out, 1.0f, 1.0f}), InputError);
  EXPECT_THROW(bias_activation(stream, {matrix, column, out, Activation::relu}), InputError);
  EXPECT_THROW(bias_activation(stream, {matrix, row, out, static_cast<Activation>(7)}), InputError);
  EXPECT_THROW(concat_columns(stream, {matrix, narrow, out}), InputError);
  EXPECT_THROW(split_columns(stream, {matrix, View<float>(nullptr, {3, 1}), View<float>(nullptr, {3, 2})}), InputError);
  EXPECT_THROW(broadcast(stream, {narrow, out}), InputError);
  EXPECT_THROW(interpolate(stream, {matrix, matrix, row, out}), InputError);
  EXPECT_THROW(squared_error(stream, {matrix, narrow, {}, one}), InputError);
  EXPECT_THROW(squared_error(stream, {matrix, matrix, row, one}), InputError);
  EXPECT_THROW(reduce_rows(stream, {matrix, row, Reduction::sum}), InputError);
  for (float x : result) EXPECT_EQ(x, -1.0f) << "a refused op wrote";
}

TEST_F(OpChecks, NullDataIsRefusedUnlessOptional) {
  EXPECT_THROW(fill(stream, {null, 0.0f}), InputError);
  EXPECT_THROW(copy(stream, {null, out}), InputError);
  EXPECT_THROW(add(stream, {matrix, null, out}), InputError);
  EXPECT_THROW(squared_error(stream, {matrix, null, {}, one}), InputError);
  EXPECT_NO_THROW(bias_activation(stream, {matrix, {}, out, Activation::silu}));
  EXPECT_NO_THROW(split_columns(stream, {matrix, View<float>(nullptr, {3, 1}), View<float>(nullptr, {3, 3})}));
  EXPECT_NO_THROW(interpolate_backward(stream, {column, matrix, {}, {}}));
}

TEST_F(OpChecks, ABadIndexGivesARowOfNaN) {
  const std::vector<std::int64_t> index = {-1, 2, 3};
  memory[8] = 7;
  gather_rows(stream, {matrix, View<const std::int64_t>(index.data(), {3}), out});
  for (int j = 0; j < 4; ++j) {
    EXPECT_TRUE(std::isnan(out(0, j)));
    EXPECT_EQ(out(1, j), matrix(2, j));
    EXPECT_TRUE(std::isnan(out(2, j)));
  }
}

TEST_F(OpChecks, NaNAndInfinityAreCounted) {
  memory[1] = kNaN;
  memory[2] = std::numeric_limits<float>::infinity();
  memory[7] = -std::numeric_limits<float>::infinity();
  memory[8] = std::numeric_limits<float>::max();
  std::uint64_t count = 99;
  count_nonfinite(stream, {matrix, View<std::uint64_t>(&count, {1})});
  EXPECT_EQ(count, 3u);
}

}  // namespace
}  // namespace otnfm
