// The states that a sampler passes through on the way from noise to samples.
#pragma once

#include <cstdint>
#include <vector>

#include "engine/core/standardisation.h"
#include "engine/core/tape.h"
#include "engine/generate/sampler.h"
#include "kernels/memory.h"
#include "kernels/stream.h"
#include "layers/flows/flow.h"

namespace otnfm {

/// Of any number of rows, in raw coordinates (Flow::coordinates).
class SampledStates {
 public:
  /// The flow's parameters lie on `device`; it outlives this. `batch` rows at a time.
  SampledStates(Flow& flow, const Sampler& sampler, Device device, std::int64_t batch);

  /// x0 [n, d] -> states [K, n, d] at the sampler's K times, all contiguous host memory. InputError for other shapes.
  void operator()(View<const float> x0, View<float> states);

  /// Network evaluations that a row takes.
  std::int64_t nfe() const { return nfe_; }

 private:
  FlowCoordinates coordinates_;
  std::vector<float> times_;
  Stream stream_;
  Memory memory_;
  View<float> x0_;  // [batch, d] on the device
  TimeColumns columns_;
  Tape tape_;
  std::vector<Tensor> states_;
  std::int64_t nfe_ = 0;
};

}  // namespace otnfm
