// The ops of kernels/ on tensors: each makes its output, records its kernel, and its backward rule stands beside it in
// its file of engine/core/ops.
#pragma once

#include "engine/core/tape.h"
#include "kernels/device/activation.h"
#include "kernels/device/time_function.h"
#include "kernels/precision.h"
#include "kernels/random.h"

namespace otnfm {

struct LinearOptions {
  Activation activation = Activation::identity;
  Precision precision = Precision::float32;
  DType stored = DType::float32;  ///< of the result, in precision bfloat16 (float32 or bfloat16); else it is float32
};

/// activation(x weight^T + bias). x [B, in], weight [out, in], bias [out] or undefined -> [B, out]. In bfloat16 x may
/// be stored as either; the weight is its working copy where the tape has one.
Tensor linear(Tape& tape, Tensor x, Tensor weight, Tensor bias, const LinearOptions& how = {});

/// [a | b]. a [B, m], b [B, n] -> [B, m + n]
Tensor concat(Tape& tape, Tensor a, Tensor b);

/// a + b, element by element, same shapes
Tensor add(Tape& tape, Tensor a, Tensor b);

/// a * b, element by element, same shapes
Tensor multiply(Tape& tape, Tensor a, Tensor b);

/// factor * x
Tensor scale(Tape& tape, Tensor x, float factor);

/// x_j + phi_j(t) * g_j. x, g [B, d]; t [B, 1], w [K, d] or undefined for identity. No gradient flows to t.
Tensor residual(Tape& tape, Tensor x, TimeFunctionKind kind, Tensor t, Tensor w, Tensor g);

/// phi_j(t_b). t [B, 1], w [K, d] or undefined for identity -> [B, d]. No gradient flows to t.
Tensor time_function(Tape& tape, TimeFunctionKind kind, Tensor t, Tensor w, std::int64_t d);

/// 1 / max(t, lowest)^2. t [B, 1] -> [B, 1]. No gradient flows to t.
Tensor time_weight(Tape& tape, Tensor t, float lowest);

/// (1 - t) x0 + t x1. x0, x1 [B, d], t [B, 1] -> [B, d]. No gradient flows to t.
Tensor interpolate(Tape& tape, Tensor x0, Tensor x1, Tensor t);

/// 1/B sum_b weight_b ||prediction_b - target_b||^2. [B, d], [B, d], [B, 1] or undefined -> [1]. No gradient flows to
/// target and weight.
Tensor squared_error(Tape& tape, Tensor prediction, Tensor target, Tensor weight = {});

/// Numbers drawn anew at every run from key.step (kernels/random.h). -> `shape`, a matrix
Tensor uniform(Tape& tape, const Shape& shape, const RandomKey& key, float low = 0, float high = 1);
Tensor normal(Tape& tape, const Shape& shape, const RandomKey& key, float mean = 0, float standard_deviation = 1);

/// Rows of x picked at random, with replacement, the same for every x that is drawn with the same key.
/// x [n, d] -> [B, d]
Tensor random_rows(Tape& tape, Tensor x, std::int64_t B, const RandomKey& key);

}  // namespace otnfm
