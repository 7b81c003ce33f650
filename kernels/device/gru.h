// One element of a GRU flow's gates (kernels/gru.h), once for every backend.
#pragma once

#include "kernels/device/math.h"

namespace otnfm {

/// x held within +-box. NaN stays.
OTNFM_HD float boxed(float x, float box) {
  const float below = select(x > box, box, x);
  return select(below < -box, -box, below);
}

OTNFM_HD bool inside_box(float x, float box) {
  return x < box && x > -box;
}

/// sigmoid(z) and its derivative.
OTNFM_HD void sigmoid_with_slope(float z, float& value, float& slope) {
  const float e = exp_of(z > 0.0f ? -z : z), large = 1.0f / (1.0f + e), small = e * large;
  value = z > 0.0f ? large : small;
  slope = large * small;
}

struct GruGateGradient {
  float dx, dphi, dz, du;
};

OTNFM_HD float gru_gate_of(float x, float phi, float z, float u, float box, float alpha) {
  float gate, slope;
  sigmoid_with_slope(z, gate, slope);
  return x + phi * (alpha * gate) * (box * tanh_of(u) - boxed(x, box));
}

OTNFM_HD GruGateGradient gru_gate_gradient(float x, float phi, float z, float u, float box, float alpha, float dy) {
  float gate, slope;
  sigmoid_with_slope(z, gate, slope);
  const float towards = tanh_of(u), way = box * towards - boxed(x, box);
  return {.dx = dy * (inside_box(x, box) ? 1.0f - phi * alpha * gate : 1.0f),
          .dphi = dy * alpha * gate * way,
          .dz = dy * phi * alpha * slope * way,
          .du = dy * phi * alpha * gate * box * (1.0f - towards * towards)};
}

/// What h is multiplied by, beta sigmoid(r), and its derivative; 1 and 0 where there is no reset gate.
OTNFM_HD void reset_of(const float* r, std::int64_t j, float beta, float& factor, float& slope) {
  if (r == nullptr) {
    factor = 1.0f;
    slope = 0.0f;
    return;
  }
  sigmoid_with_slope(r[j], factor, slope);
  factor *= beta;
  slope *= beta;
}

}  // namespace otnfm
