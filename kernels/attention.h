// Scaled dot-product self-attention of several heads (Vaswani et al. 2017): for each image and head,
//   y_i = sum_j p_ij v_j, p_i = softmax_j(q_i . k_j / sqrt(D)),
// D = C / heads. 4 B N^2 C FLOPs forward, 10 backward (which computes p again from the logits' log-sum-exp, so that no
// N x N numbers are kept).
#pragma once

#include "kernels/op.h"

namespace otnfm {

struct Attention {
  static constexpr const char* kName = "attention";
  View<const Stored> qkv;  // [B, N, 3C]: q | k | v, each of them head by head
  View<Stored> y;          // [B, N, C], stored as qkv is
  View<float> log_sum;     // [B, heads, N]: log sum_j exp(q_i . k_j / sqrt(D))
};
OTNFM_DECLARE_OP(attention, Attention);

/// Given dy: the gradients of q, k and v.
struct AttentionBackward {
  static constexpr const char* kName = "attention_backward";
  View<const Stored> qkv;     // [B, N, 3C]
  View<const Stored> y;       // [B, N, C], as the forward gave it
  View<const float> log_sum;  // [B, heads, N]
  View<const Stored> dy;      // [B, N, C], stored as qkv is
  View<Stored> dqkv;          // [B, N, 3C]
};
OTNFM_DECLARE_OP(attention_backward, AttentionBackward);

}  // namespace otnfm
