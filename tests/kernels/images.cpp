// What the ops of images refuse, and that a convolution can be captured once it has run.
#include <gtest/gtest.h>

#include <vector>

#include "kernels/attention.h"
#include "kernels/conv2d.h"
#include "kernels/dropout.h"
#include "kernels/error.h"
#include "kernels/group_norm.h"
#include "kernels/space_to_depth.h"
#include "kernels/time_embedding.h"
#include "kernels/upsample.h"
#include "tests/cuda_at_hand.h"
#include "tests/kernels/on_devices.h"

namespace otnfm {
namespace {

class ImageChecks : public testing::Test {
 protected:
  Stream stream{Device::cpu};
  std::vector<float> memory = std::vector<float>(512, 1.0f), result = std::vector<float>(512, -1.0f);

  View<float> in(std::initializer_list<std::int64_t> sizes) { return {memory.data(), sizes}; }
  View<float> out(std::initializer_list<std::int64_t> sizes) { return {result.data(), sizes}; }
  View<bfloat16> in_bfloat16(std::initializer_list<std::int64_t> sizes) {
    return {reinterpret_cast<bfloat16*>(memory.data()), sizes};
  }

  void TearDown() override {
    for (float x : result) EXPECT_EQ(x, -1.0f) << "a refused op wrote";
  }
};

TEST_F(ImageChecks, Conv2d) {
  const auto forward = [&](const View<const Stored>& x, const View<const Stored>& weight, const View<Stored>& y,
                           std::int64_t stride) {
    conv2d(stream, {x, weight, {}, {}, y, stride});
  };
  EXPECT_THROW(forward(in({1, 4, 4, 2}), in({3, 2, 2, 2}), out({1, 4, 4, 3}), 1), InputError) << "a kernel of 2x2";
  EXPECT_THROW(forward(in({1, 4, 4, 2}), in({3, 3, 3, 2}), out({1, 4, 4, 3}), 3), InputError) << "stride 3";
  EXPECT_THROW(forward(in({1, 4, 4, 2}), in({3, 3, 3, 1}), out({1, 4, 4, 3}), 1), InputError) << "channels";
  EXPECT_THROW(forward(in({1, 5, 4, 2}), in({3, 3, 3, 2}), out({1, 2, 2, 3}), 2), InputError) << "rounded down";
  EXPECT_THROW(forward(in({1, 4, 4, 2}), in_bfloat16({3, 3, 3, 2}), out({1, 4, 4, 3}), 1), InputError) << "mixed";
  EXPECT_THROW(conv2d_backward_data(stream, {in({1, 4, 4, 3}), in({3, 3, 3, 2}), out({1, 4, 4, 3})}), InputError);
  EXPECT_THROW(conv2d_backward_weight(stream, {in({1, 4, 4, 2}), in({1, 4, 4, 3}), out({3, 3, 3, 2}), out({2})}),
               InputError);
}

TEST_F(ImageChecks, GroupNorm) {
  EXPECT_THROW(group_norm(stream, {in({2, 3, 4}), in({4}), in({4}), {}, out({2, 3, 4}), out({2, 3}), out({2, 3})}),
               InputError)
      << "3 groups of 4 channels";
  EXPECT_THROW(
      group_norm(stream, {in({2, 3, 4}), in({4}), in({4}), in({2, 4}), out({2, 3, 4}), out({2, 2}), out({2, 2})}),
      InputError)
      << "a scale without a shift";
  EXPECT_THROW(
      group_norm(stream,
                 {in({2, 3, 4}), in({4}), in({4}), {}, out({2, 3, 4}), out({2, 2}), out({2, 2}), Activation::relu}),
      InputError);
  EXPECT_THROW(group_norm_backward(stream, {in({2, 3, 4}), in({4}), in({4}), in({2, 8}), in({2, 2}), in({2, 2}),
                                            in({2, 3, 4}), out({2, 3, 4}), out({4}), out({4})}),
               InputError)
      << "a film without its gradient";
}

TEST_F(ImageChecks, SmallOps) {
  EXPECT_THROW(upsample(stream, {in({1, 2, 2, 3}), out({1, 4, 2, 3})}), InputError);
  EXPECT_THROW(upsample_backward(stream, {in({1, 2, 2, 3}), out({1, 4, 4, 3})}), InputError);
  EXPECT_THROW(space_to_depth(stream, {in({1, 4, 3, 2}), out({1, 2, 1, 8}), 2}), InputError);
  EXPECT_THROW(depth_to_space(stream, {in({1, 2, 2, 6}), out({1, 4, 4, 2}), 2}), InputError);
  EXPECT_THROW(time_embedding(stream, {in({4}), out({4, 5})}), InputError);
  EXPECT_THROW(dropout(stream, {in({4, 5}), out({4, 5}), {}, 1.0f}), InputError);
  EXPECT_THROW(dropout(stream, {in({4, 5}), out({4, 5}), {}, -0.1f}), InputError);
}

TEST_F(ImageChecks, Attention) {
  EXPECT_THROW(attention(stream, {in({2, 3, 15}), out({2, 3, 5}), out({2, 2, 3})}), InputError)
      << "2 heads of 5 channels";
  EXPECT_THROW(attention(stream, {in({2, 3, 12}), out({2, 3, 6}), out({2, 2, 3})}), InputError);
}

TEST(ImagesOnCuda, AConvolutionThatHasRunIsCaptured) {
  OTNFM_NEEDS_CUDA();
  Stream stream(Device::cuda);
  const std::int64_t B = 2, H = 5, W = 6, C = 4, O = 8;
  std::vector<float> numbers(static_cast<std::size_t>(B * H * W * C), 0.5f);
  const DeviceArray<float> x(stream, numbers), weight(stream, std::vector<float>(O * 9 * C, 0.25f));
  const DeviceArray<float> bias(stream, std::vector<float>(O, 1.0f));
  const DeviceArray<float> y(stream, std::vector<float>(static_cast<std::size_t>(B * H * W * O), -1.0f));
  const DeviceArray<float> dweight(stream, std::vector<float>(O * 9 * C, -1.0f));
  const auto run = [&] {
    const View<float> image(x.data(), {B, H, W, C}), result(y.data(), {B, H, W, O});
    conv2d(stream,
           {.x = image, .weight = View<float>(weight.data(), {O, 3, 3, C}), .bias = bias.vector(), .y = result});
    conv2d_backward_weight(
        stream, {.x = image, .dy = result, .dweight = View<float>(dweight.data(), {O, 3, 3, C}), .dbias = {}});
  };
  run();
  const std::vector<float> once = dweight.values();
  const Graph graph = Graph::capture(stream, run);
  // Other numbers: the same convolution again, and not a copy of what it gave.
  for (float& number : numbers) number *= 2;
  copy_bytes(stream, x.data(), numbers.data(), numbers.size() * sizeof(float));
  graph.launch(stream);
  EXPECT_EQ(y.values()[0], 1.0f + 4 * 4 * 0.25f);  // four of nine taps meet a corner
  EXPECT_NE(dweight.values(), once);
}

}  // namespace
}  // namespace otnfm
