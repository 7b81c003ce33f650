// The U-Net flow: a training step, samples, and one step written to a file for bench/peers/unet.py to compare with.
#pragma once

#include <string>

namespace otnfm {

/// unet_step/28x28x1, unet_step/32x32x3 and unet_sampling/...
void register_unet_benchmarks();

/// Writes one step of the flow that `configuration` (JSON) describes, with random weights everywhere, to a
/// .safetensors: x0, t, target, weights/NAME, output, loss and gradient/NAME. Returns the exit code.
int write_unet_step(const std::string& configuration, const std::string& path);

}  // namespace otnfm
