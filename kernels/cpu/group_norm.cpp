// 8 bytes a number forward and 12 backward where an image stays in the cache, as it does up to 32x32x64: an image is
// read three times forward (mean, variance, result) and twice backward, by one thread. SiLU costs 20 to 40 FLOPs a
// number, the rest 8 forward and 14 backward: bound by arithmetic, and every loop is over vectors of channels, whose
// sums stay in registers while the positions go by.
#include "kernels/group_norm.h"

#include <algorithm>
#include <cmath>

#include "kernels/host/parallel.h"

namespace otnfm::cpu {
namespace {

// Channels whose sums are in registers together, in several rows of positions at once: a sum alone would wait for
// itself.
constexpr int kStrip = 16, kRows = 4;

/// The runs of channels of an image: strips of kStrip, and what is left.
template <class Body>
void for_each_strip(std::int64_t C, const Body& body) {
  for (std::int64_t c = 0; c < C; c += kStrip) body(c, std::min<std::int64_t>(kStrip, C - c));
}

/// sums[q][c] += term(q, x) of each position's channel, q < kCount; strip by strip, kRows positions side by side.
template <int kCount, class Term>
void strip_sums(std::int64_t N, std::int64_t C, std::int64_t c, std::int64_t width, const Term& term,
                float* const (&sums)[kCount]) {
  float partial[kCount][kRows][kStrip] = {};
  const auto add = [&](std::int64_t i, int r, std::int64_t count) {
#pragma GCC ivdep
    for (std::int64_t k = 0; k < count; ++k) {
      float terms[kCount];
      term(i * C + c + k, c + k, terms);
      for (int q = 0; q < kCount; ++q) partial[q][r][k] += terms[q];
    }
  };
  std::int64_t i = 0;
  if (width == kStrip) {
    for (; i + kRows <= N; i += kRows)
      for (int r = 0; r < kRows; ++r) add(i + r, r, kStrip);
    for (; i < N; ++i) add(i, 0, kStrip);
  } else {
    for (; i < N; ++i) add(i, static_cast<int>(i % kRows), width);
  }
  for (int q = 0; q < kCount; ++q)
    for (std::int64_t k = 0; k < width; ++k)
      sums[q][c + k] = (partial[q][0][k] + partial[q][1][k]) + (partial[q][2][k] + partial[q][3][k]);
}

/// What is done to a channel of one image: y = activation(slope x + offset).
struct Channels {
  float slope[kMostGroupNormChannels], offset[kMostGroupNormChannels];
};

template <class Op>
void channels_of(const Op& a, std::int64_t b, Channels& channels) {
  const std::int64_t C = a.x.shape[2], G = a.mean.columns(), width = C / G;
  const float* const film = a.film.data == nullptr ? nullptr : a.film.row(b);
  for (std::int64_t c = 0; c < C; ++c) {
    const float mean = a.mean.data[b * G + c / width], rstd = a.rstd.data[b * G + c / width];
    const float scale = film == nullptr ? 1.0f : 1.0f + film[c], shift = film == nullptr ? 0.0f : film[C + c];
    channels.slope[c] = rstd * a.weight.data[c] * scale;
    channels.offset[c] = a.bias.data[c] * scale + shift - mean * channels.slope[c];
  }
}

template <Activation kind, class T>
void normalise_image(const GroupNorm& a, std::int64_t b) {
  const std::int64_t N = a.x.shape[1], C = a.x.shape[2], G = a.mean.columns(), width = C / G;
  const T* const x = a.x.as<T>().data + b * N * C;
  T* const y = a.y.as<T>().data + b * N * C;
  float *const means = a.mean.data + b * G, *const rstds = a.rstd.data + b * G;
  const float count = static_cast<float>(N * width);
  float sums[kMostGroupNormChannels];
  const auto of_group = [&](std::int64_t g) {
    float sum = 0;
    for (std::int64_t c = g * width; c < (g + 1) * width; ++c) sum += sums[c];
    return sum;
  };
  for_each_strip(C, [&](std::int64_t c, std::int64_t lanes) {
    strip_sums<1>(N, C, c, lanes,
                  [&](std::int64_t at, std::int64_t, float(&terms)[1]) { terms[0] = static_cast<float>(x[at]); },
                  {sums});
  });
  float mean_of[kMostGroupNormChannels];
  for (std::int64_t g = 0; g < G; ++g) {
    means[g] = of_group(g) / count;
    std::fill_n(mean_of + g * width, width, means[g]);
  }
  for_each_strip(C, [&](std::int64_t c, std::int64_t lanes) {
    strip_sums<1>(N, C, c, lanes,
                  [&](std::int64_t at, std::int64_t channel, float(&terms)[1]) {
                    const float z = static_cast<float>(x[at]) - mean_of[channel];
                    terms[0] = z * z;
                  },
                  {sums});
  });
  for (std::int64_t g = 0; g < G; ++g) rstds[g] = 1.0f / std::sqrt(of_group(g) / count + a.epsilon);
  Channels channels;
  channels_of(a, b, channels);
  for (std::int64_t i = 0; i < N; ++i) {
    const T* const from = x + i * C;
    T* const to = y + i * C;
#pragma GCC ivdep
    for (std::int64_t c = 0; c < C; ++c)
      to[c] = T(activate<kind>(static_cast<float>(from[c]) * channels.slope[c] + channels.offset[c]));
  }
}

/// dx of an image, and sums [2C]: those over the positions of du and of du z, where y = activation(u).
template <Activation kind, class T>
void differentiate_image(const GroupNormBackward& a, std::int64_t b, float* image_sums) {
  const std::int64_t N = a.x.shape[1], C = a.x.shape[2], G = a.mean.columns(), width = C / G;
  const T *const x = a.x.as<T>().data + b * N * C, *const dy = a.dy.as<T>().data + b * N * C;
  T* const dx = a.dx.as<T>().data + b * N * C;
  const float *const means = a.mean.data + b * G, *const rstds = a.rstd.data + b * G;
  Channels channels;
  channels_of(a, b, channels);
  float mean_of[kMostGroupNormChannels];
  for (std::int64_t g = 0; g < G; ++g) std::fill_n(mean_of + g * width, width, means[g]);
  const auto du_of = [&](std::int64_t at, std::int64_t c) {
    return static_cast<float>(dy[at]) *
           activate_derivative<kind>(static_cast<float>(x[at]) * channels.slope[c] + channels.offset[c]);
  };
  // du is kept where dx will be, if it is not rounded there.
  constexpr bool kept = std::is_same_v<T, float>;
  for_each_strip(C, [&](std::int64_t c, std::int64_t lanes) {
    strip_sums<2>(N, C, c, lanes,
                  [&](std::int64_t at, std::int64_t channel, float(&terms)[2]) {
                    const float du = du_of(at, channel);
                    if constexpr (kept) dx[at] = du;
                    terms[0] = du;
                    terms[1] = du * (static_cast<float>(x[at]) - mean_of[channel]);
                  },
                  {image_sums, image_sums + C});
  });
  // dx = rstd (w du - mean(w du) - z mean(w du z)), w = weight (1 + scale), the means over the group.
  float by_z[kMostGroupNormChannels], constant[kMostGroupNormChannels];
  const float count = static_cast<float>(N * width);
  for (std::int64_t g = 0; g < G; ++g) {
    float of_du = 0, of_du_z = 0;
    for (std::int64_t c = g * width; c < (g + 1) * width; ++c) {
      of_du += channels.slope[c] * image_sums[c];  // the slope has rstd in it already
      of_du_z += channels.slope[c] * image_sums[C + c];
      image_sums[C + c] *= rstds[g];
    }
    std::fill_n(constant + g * width, width, of_du / count);
    std::fill_n(by_z + g * width, width, of_du_z * rstds[g] * rstds[g] / count);
  }
  for (std::int64_t i = 0; i < N; ++i) {
#pragma GCC ivdep
    for (std::int64_t c = 0; c < C; ++c) {
      const std::int64_t at = i * C + c;
      const float z = static_cast<float>(x[at]) - mean_of[c];
      float du;
      if constexpr (kept)
        du = dx[at];
      else
        du = du_of(at, c);
      dx[at] = T(channels.slope[c] * du - constant[c] - z * by_z[c]);
    }
  }
}

template <class Body>
void with_group_norm_activation(Activation kind, const Body& body) {
  if (kind == Activation::silu)
    body.template operator()<Activation::silu>();
  else
    body.template operator()<Activation::identity>();
}

}  // namespace

void group_norm(Stream&, const GroupNorm& a) {
  const std::int64_t image = a.x.shape[1] * a.x.shape[2];
  if (image == 0) return;
  with_stored_type(a.x.dtype, [&]<class T>() {
    with_group_norm_activation(a.activation, [&]<Activation kind>() {
      host::parallel_rows(a.x.shape[0], image, [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t b = begin; b < end; ++b) normalise_image<kind, T>(a, b);
      });
    });
  });
}

void group_norm_backward(Stream& stream, const GroupNormBackward& a) {
  const std::int64_t B = a.x.shape[0], C = a.x.shape[2], image = a.x.shape[1] * C;
  float* const sums = reinterpret_cast<float*>(stream.workspace());  // [B, 2C]
  if (image == 0) std::fill_n(sums, 2 * B * C, 0.0f);
  with_stored_type(a.x.dtype, [&]<class T>() {
    with_group_norm_activation(a.activation, [&]<Activation kind>() {
      if (image > 0)
        host::parallel_rows(B, image, [&](std::int64_t begin, std::int64_t end) {
          for (std::int64_t b = begin; b < end; ++b) differentiate_image<kind, T>(a, b, sums + 2 * b * C);
        });
    });
  });
  host::parallel_rows(C, 2 * B, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t c = begin; c < end; ++c) a.dweight.data[c] = a.dbias.data[c] = 0;
    for (std::int64_t b = 0; b < B; ++b) {
      const float *const of_du = sums + 2 * b * C, *const of_du_z = of_du + C;
      const float* const film = a.film.data == nullptr ? nullptr : a.film.row(b);
      float* const dfilm = a.film.data == nullptr ? nullptr : a.dfilm.row(b);
#pragma GCC ivdep
      for (std::int64_t c = begin; c < end; ++c) {
        const float scale = film == nullptr ? 1.0f : 1.0f + film[c];
        a.dweight.data[c] += scale * of_du_z[c];
        a.dbias.data[c] += scale * of_du[c];
        if (dfilm == nullptr) continue;
        dfilm[c] = a.weight.data[c] * of_du_z[c] + a.bias.data[c] * of_du[c];
        dfilm[C + c] = of_du[c];
      }
    }
  });
}

}  // namespace otnfm::cpu
