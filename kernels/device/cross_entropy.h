// A row of kernels/cross_entropy.h, once for every backend.
#pragma once

#include <cstdint>

#include "kernels/device/math.h"

namespace otnfm {

/// The largest logit of a row, and the sum of exp(logit - largest).
struct RowSoftmax {
  float most, sum;
};

OTNFM_HD RowSoftmax row_softmax(const float* logits, std::int64_t K) {
  float most = logits[0];
  for (std::int64_t k = 1; k < K; ++k) most = logits[k] > most ? logits[k] : most;
  float sum = 0;
  for (std::int64_t k = 0; k < K; ++k) sum += exp_of(logits[k] - most);
  return {most, sum};
}

/// -sum_k target_k log softmax(logits)_k
OTNFM_HD double row_cross_entropy(const float* logits, const float* target, std::int64_t K) {
  const RowSoftmax row = row_softmax(logits, K);
  const double log_sum = static_cast<double>(row.most) + log(static_cast<double>(row.sum));
  double loss = 0;
  for (std::int64_t k = 0; k < K; ++k)
    loss += static_cast<double>(target[k]) * (log_sum - static_cast<double>(logits[k]));
  return loss;
}

OTNFM_HD void row_cross_entropy_gradient(const float* logits, const float* target, std::int64_t K, float factor,
                                         float* dlogits) {
  const RowSoftmax row = row_softmax(logits, K);
  float share = 0;
  for (std::int64_t k = 0; k < K; ++k) share += target[k];
  share /= row.sum;
  for (std::int64_t k = 0; k < K; ++k) dlogits[k] = factor * (share * exp_of(logits[k] - row.most) - target[k]);
}

}  // namespace otnfm
