// The U-Net (Ronneberger et al. 2015, as diffusion models have it: Ho et al. 2020; adaptive group normalisation of
// Dhariwal & Nichol 2021): a map of images and a time to images of the same shape.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "layers/convolution.h"
#include "layers/linear.h"

namespace otnfm {

/// [GroupNorm, SiLU, conv 3x3, GroupNorm, FiLM by the time, SiLU, dropout, conv 3x3 started at zero] beside a skip,
/// which is a 1x1 convolution where the channels change.
class ResidualBlock {
 public:
  ResidualBlock(Parameters& parameters, const std::string& name, std::int64_t in, std::int64_t out,
                std::int64_t embedding);

  struct Dropout {
    float rate = 0;
    RandomKey key = {};  ///< the block's own stream
  };

  /// x [B, H, W, in], embedding [B, e], behind its SiLU -> [B, H, W, out]
  Tensor operator()(const Scope& s, Tensor x, Tensor embedding, const Dropout& dropout) const;

  std::int64_t channels() const { return out_; }

 private:
  std::int64_t out_;
  GroupNormalisation first_norm_;
  Convolution first_;
  Linear film_;
  GroupNormalisation second_norm_;
  Convolution second_;
  std::optional<Convolution> skip_;
};

/// x + project(attention(q, k, v of GroupNorm(x))), the projection started at zero.
class AttentionBlock {
 public:
  AttentionBlock(Parameters& parameters, const std::string& name, std::int64_t channels, std::int64_t heads);

  /// x [B, H, W, C] -> the same shape
  Tensor operator()(const Scope& s, Tensor x) const;

 private:
  std::int64_t heads_;
  GroupNormalisation norm_;
  Convolution to_qkv_, project_;
};

class UNet {
 public:
  struct Options {
    std::int64_t height = 28, width = 28, channels = 1;  ///< of the images
    std::int64_t features = 32;                          ///< channels of the network's first level
    std::vector<std::int64_t> multipliers = {1, 2};      ///< a level each, of `features`; a level halves the image
    std::int64_t blocks = 1;                             ///< residual blocks a level, one more on the way up
    std::vector<std::int64_t> attention = {};            ///< heights, behind the patches, that have attention
    std::int64_t heads = 1;
    std::int64_t patch = 1;  ///< pixels by pixels that become channels of one
  };

  /// InputError where the image cannot be cut into patches or halved so often, where attention is asked for at a height
  /// that no level has, and where heads do not divide the channels.
  UNet(Parameters& parameters, const std::string& name, const Options& options);

  /// t [B, 1], x [B, H, W, C] -> [B, H, W, C] float32. Starts at 0. `dropout.key` has a stream for each block from its
  /// own on.
  Tensor operator()(const Scope& s, Tensor t, Tensor x, const ResidualBlock::Dropout& dropout) const;

  /// Streams of random numbers that dropout takes.
  std::int64_t block_count() const;

 private:
  struct Step {
    ResidualBlock block;
    std::optional<AttentionBlock> attention;
  };
  struct Level {
    std::vector<Step> steps;
    std::optional<Convolution> resize;  ///< halves on the way down, follows the doubling on the way up
  };

  Options options_;
  std::optional<Linear> first_time_, second_time_;
  std::optional<Convolution> stem_, head_;
  std::vector<Level> down_, up_;
  std::vector<Step> middle_;
  std::optional<GroupNormalisation> last_norm_;
};

}  // namespace otnfm
