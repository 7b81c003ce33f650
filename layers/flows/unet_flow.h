// The U-Net flow of images: F(t, x) = x + phi(t) g(t, x), g a U-Net (layers/unet.h) and phi one number for all pixels.
#pragma once

#include "layers/flows/flow.h"
#include "layers/time_function.h"
#include "layers/unet.h"

namespace otnfm {

class UNetFlow : public Flow {
 public:
  struct Options {
    std::int64_t dimension = 0;        ///< 0: that of the image, which it must be
    std::string image = "28x28x1";     ///< height x width x channels
    std::int64_t width = 32;           ///< channels of the first level
    std::string multipliers = "1:2";   ///< of the levels
    std::int64_t blocks = 1;           ///< a level
    std::string attention = "lowest";  ///< heights that have it, "16:8"; the lowest level; or none
    std::int64_t heads = 1;
    double dropout = 0;
    std::int64_t patch = 2;
  };

  explicit UNetFlow(const Options& options);

  std::int64_t block_count() const override { return 1; }
  Tensor forward_block(Tape& tape, std::int64_t k, Tensor t, Tensor x) override;
  Tensor velocity(Tape& tape, Tensor t, Tensor x) override;
  nlohmann::json configuration() const override;
  std::int64_t dimension() const override { return options_.dimension; }
  Shape sample_shape() const override { return shape_; }
  std::int64_t most_rows() const override;

 private:
  Options options_;
  Shape shape_;
  std::optional<UNet> g_;
};

std::unique_ptr<Flow> make_unet_flow(const nlohmann::json& configuration);
std::vector<OptionEntry> unet_flow_options();

/// The keys that suit images of this shape on this device, beside those that are given, which are among them: an
/// object.
nlohmann::json unet_preset(const Shape& image, Device device, const nlohmann::json& given);

/// "28x28x1" of [28, 28, 1]
std::string image_text(const Shape& image);

}  // namespace otnfm
