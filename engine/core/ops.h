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

/// [a | b] along the last axis, the others alike. a [..., m], b [..., n], stored alike -> [..., m + n]
Tensor concat(Tape& tape, Tensor a, Tensor b);

struct ConvolutionOptions {
  std::int64_t stride = 1;  ///< 1 or 2
  Precision precision = Precision::float32;
  DType stored = DType::float32;  ///< of the result, in precision bfloat16 (float32 or bfloat16); else it is float32
  Tensor added = {};              ///< of the result's shape and type, added to it; or undefined
};

/// x * weight + bias (+ added). x [B, H, W, C], weight [O, k, k, C] (k 1 or 3), bias [O] or undefined ->
/// [B, ceil(H / stride), ceil(W / stride), O]. In bfloat16 as linear() has it.
Tensor conv2d(Tape& tape, Tensor x, Tensor weight, Tensor bias, const ConvolutionOptions& how = {});

/// activation((weight z + bias)(1 + scale) + shift), z of mean 0 and variance 1 in each of an image's groups of
/// channels. x [B, ..., C], weight, bias [C], film [B, 2C] (scale | shift) or undefined -> x's shape; activation
/// identity or silu
Tensor group_norm(Tape& tape, Tensor x, Tensor weight, Tensor bias, Tensor film, std::int64_t groups,
                  Activation activation);

/// Every pixel twice in both directions. [B, H, W, C] -> [B, 2H, 2W, C]
Tensor upsample(Tape& tape, Tensor x);

/// Patches as channels, and back. [B, H, W, C] -> [B, H / p, W / p, p p C]
Tensor space_to_depth(Tape& tape, Tensor x, std::int64_t patch);
Tensor depth_to_space(Tape& tape, Tensor x, std::int64_t patch);

/// x / (1 - rate) or, with probability `rate`, 0; drawn anew at every run from key.step. Any shape of at least 2 axes.
Tensor dropout(Tape& tape, Tensor x, const RandomKey& key, float rate);

/// Self-attention of `heads` heads. qkv [B, N, 3C] -> [B, N, C]
Tensor attention(Tape& tape, Tensor qkv, std::int64_t heads);

/// Sines and cosines of t [B, 1] -> [B, size], size even. No gradient flows to t.
Tensor time_embedding(Tape& tape, Tensor t, std::int64_t size);

/// activation(x), element by element
Tensor activation(Tape& tape, Tensor x, Activation kind);

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

/// -1/B sum_bk target_bk log softmax(logits_b)_k. [B, K], [B, K] -> [1]. No gradient flows to target.
Tensor cross_entropy(Tape& tape, Tensor logits, Tensor target);

/// Numbers drawn anew at every run from key.step (kernels/random.h). -> `shape`, a matrix
Tensor uniform(Tape& tape, const Shape& shape, const RandomKey& key, float low = 0, float high = 1);
Tensor normal(Tape& tape, const Shape& shape, const RandomKey& key, float mean = 0, float standard_deviation = 1);

/// Rows of x picked at random, with replacement, the same for every x that is drawn with the same key.
/// x [n, d] -> [B, d]
Tensor random_rows(Tape& tape, Tensor x, std::int64_t B, const RandomKey& key);

}  // namespace otnfm
