// One element of a rational-quadratic spline (kernels/spline_coupling.h), once for every backend. The weights are read
// where they lie. On a GPU an exponential is made again where it is needed again, so that a thread keeps no array; a
// CPU makes all of them at once, with its vector unit, and keeps them. Knots are added up in double: in float their
// rounding, near the box's edge a millionth of a bin, is what the log-slope loses in steep bins (1e-3 of it).
#pragma once

#include "kernels/device/math.h"

namespace otnfm {

/// What all elements share.
struct SplineShape {
  int bins;
  float box;          ///< outside of +-box the map is the identity
  float slope_bound;  ///< a knot's slope lies within e^-bound .. e^bound
  /// A bin has at least this part of an equal share of the box. Chords then have slopes of 1 / (K + 1) to K + 1: a
  /// steeper one, or a narrower bin, would make the log-slope a matter of the point's last bits.
  static constexpr double kLeastShare = 0.5;
  static constexpr int kMostBins = 64;
  OTNFM_HD int weights() const { return 3 * bins - 1; }
  OTNFM_HD double least() const { return 2.0 * box * kLeastShare / bins; }  // of a bin
  OTNFM_HD double spread() const { return 2.0 * box * (1 - kLeastShare); }  // what softmax deals out
};

/// Of phi times one of the two rows of unnormalised sizes.
struct SplineSizes {
  const float* raw;
  float phi, highest;
  double inverse_sum;
#if OTNFM_ON_GPU
  OTNFM_HD float exponential(int k) const {
    return exp_of(phi * raw[k] - highest);
  }
#else
  float exponentials[SplineShape::kMostBins];
  float exponential(int k) const {
    return exponentials[k];
  }
#endif
  /// Of the softmax.
  OTNFM_HD double part(int k) const {
    return static_cast<double>(exponential(k)) * inverse_sum;
  }
};

OTNFM_HD SplineSizes spline_sizes(const float* raw, float phi, int bins) {
  SplineSizes s;
  s.raw = raw;
  s.phi = phi;
  s.highest = phi * raw[0];
  for (int k = 1; k < bins; ++k) s.highest = select(phi * raw[k] > s.highest, phi * raw[k], s.highest);
#if !OTNFM_ON_GPU
  for (int k = 0; k < bins; ++k) s.exponentials[k] = exp_of(phi * raw[k] - s.highest);
#endif
  double sum = 0;
  for (int k = 0; k < bins; ++k) sum += static_cast<double>(s.exponential(k));
  s.inverse_sum = 1 / sum;
  return s;
}

/// The bin that a point lies in.
struct SplineBin {
  SplineSizes widths, heights;
  int k;
  double x, y;  ///< its lower corner
  float width, height;
  float slope_before, slope_after;                ///< at its knots
  float width_part, height_part;                  ///< of the softmax
  float width_parts_before, height_parts_before;  ///< the sums of all before it
};

OTNFM_HD float spline_slope(const float* raw, float phi, const SplineShape& shape, int knot) {
  if (knot == 0 || knot == shape.bins) return 1.0f;
  return exp_of(shape.slope_bound * tanh_of(phi * raw[2 * shape.bins + knot - 1] / shape.slope_bound));
}

/// `point` is an x, or a y where `inverse`; it lies within the box.
OTNFM_HD SplineBin find_spline_bin(const float* raw, float phi, const SplineShape& shape, float point, bool inverse) {
  SplineBin bin;
  bin.widths = spline_sizes(raw, phi, shape.bins);
  bin.heights = spline_sizes(raw + shape.bins, phi, shape.bins);
  bin.x = bin.y = -shape.box;
  const double least = shape.least(), spread = shape.spread();
  for (bin.k = 0;; ++bin.k) {
    const double width_part = bin.widths.part(bin.k), height_part = bin.heights.part(bin.k);
    const double width = least + spread * width_part, height = least + spread * height_part;
    if (bin.k == shape.bins - 1 || point < (inverse ? bin.y + height : bin.x + width)) {
      bin.width = static_cast<float>(width);
      bin.height = static_cast<float>(height);
      bin.width_part = static_cast<float>(width_part);
      bin.height_part = static_cast<float>(height_part);
      break;
    }
    bin.x += width;
    bin.y += height;
  }
  bin.width_parts_before = static_cast<float>((bin.x + shape.box - bin.k * least) / spread);
  bin.height_parts_before = static_cast<float>((bin.y + shape.box - bin.k * least) / spread);
  bin.slope_before = spline_slope(raw, phi, shape, bin.k);
  bin.slope_after = spline_slope(raw, phi, shape, bin.k + 1);
  return bin;
}

/// With xi the place within the bin, s the chord's slope, u = xi (1 - xi), beta = slope_after + slope_before - 2 s:
/// y = y_k + height N / D, N = s xi^2 + slope_before u, D = s + beta u; slope = s^2 M / D^2.
struct SplinePoint {
  float xi, s, u, N, D, M;
};

OTNFM_HD SplinePoint spline_point(const SplineBin& bin, float xi) {
  SplinePoint p;
  p.xi = xi;
  p.s = bin.height / bin.width;
  p.u = xi * (1.0f - xi);
  p.N = p.s * xi * xi + bin.slope_before * p.u;
  p.D = p.s + (bin.slope_after + bin.slope_before - 2.0f * p.s) * p.u;
  p.M = bin.slope_after * xi * xi + 2.0f * p.s * p.u + bin.slope_before * (1.0f - xi) * (1.0f - xi);
  return p;
}

/// xi in [0, 1].
OTNFM_HD float spline_place_of_x(const SplineBin& bin, float x) {
  return static_cast<float>((x - bin.x) / bin.width);
}

OTNFM_HD float square_root(float x) {
#if OTNFM_ON_GPU
  return sqrtf(x);
#else
  return __builtin_sqrtf(x);
#endif
}

/// The root in [0, 1] of y(xi) = y, in the form that does not cancel (Durkan et al., equation 29).
OTNFM_HD float spline_place_of_y(const SplineBin& bin, float y) {
  const float s = bin.height / bin.width, up = static_cast<float>(y - bin.y);
  const float bend = up * (bin.slope_after + bin.slope_before - 2.0f * s);
  const float a = bin.height * (s - bin.slope_before) + bend, b = bin.height * bin.slope_before - bend, c = -s * up;
  const float inside = b * b - 4.0f * a * c;
  const float xi = 2.0f * c / (-b - square_root(select(inside > 0.0f, inside, 0.0f)));
  return select(xi < 0.0f, 0.0f, select(xi > 1.0f, 1.0f, xi));
}

/// Whether the map leaves a point as it is: outside of the box, or at phi = 0, where it is the identity but for
/// rounding. NaN stays.
OTNFM_HD bool spline_passes(float point, float phi, const SplineShape& shape) {
  return !(point > -shape.box && point < shape.box) || phi == 0.0f;
}

/// Maps a point; adds the logarithm of the map's slope.
OTNFM_HD float spline_map(const float* raw, float phi, const SplineShape& shape, float point, bool inverse,
                          double& log_slope) {
  if (spline_passes(point, phi, shape)) return point;
  const SplineBin bin = find_spline_bin(raw, phi, shape, point, inverse);
  const SplinePoint p = spline_point(bin, inverse ? spline_place_of_y(bin, point) : spline_place_of_x(bin, point));
  const float slope = p.s * p.s * p.M / (p.D * p.D);
  log_slope += inverse ? -log_exact_bits(slope) : log_exact_bits(slope);
  return static_cast<float>(inverse ? bin.x + bin.width * p.xi : bin.y + bin.height * p.N / p.D);
}

/// draw[k] (k in 0 .. bins - 1) of one row of sizes, from the gradients of the bin's size and of its lower edge.
OTNFM_HD void spline_size_gradient(const SplineSizes& sizes, const SplineShape& shape, const SplineBin& bin, float part,
                                   float parts_before, float dsize, float dedge, float* draw, float& dphi) {
  const float scale = static_cast<float>(shape.spread()), mean = dedge * parts_before + dsize * part;
  for (int k = 0; k < shape.bins; ++k) {
    const float own = k < bin.k ? dedge : (k == bin.k ? dsize : 0.0f);
    const float dz = scale * static_cast<float>(sizes.part(k)) * (own - mean);
    draw[k] = sizes.phi * dz;
    dphi += sizes.raw[k] * dz;
  }
}

OTNFM_HD void spline_slope_gradient(const float* raw, float phi, const SplineShape& shape, int knot, float slope,
                                    float dslope, float* draw, float& dphi) {
  if (knot == 0 || knot == shape.bins) return;
  const int k = 2 * shape.bins + knot - 1;
  const float squashed = tanh_of(phi * raw[k] / shape.slope_bound);
  const float dz = dslope * slope * (1.0f - squashed * squashed);
  draw[k] = phi * dz;
  dphi += raw[k] * dz;
}

/// Given the gradients dy of the mapped point and dl of its log-slope: returns that of the point, writes draw and dphi.
/// The inverse's follow from the forward map's at its result x: with G = dy - dl d(log slope)/dx, the point's is
/// G / slope, and the weights' those of the forward map for -G / slope and -dl.
OTNFM_HD float spline_gradient(const float* raw, float phi, const SplineShape& shape, float point, bool inverse,
                               float dy, float dl, float* draw, float& dphi) {
  for (int k = 0; k < shape.weights(); ++k) draw[k] = 0.0f;
  dphi = 0.0f;
  if (!(point > -shape.box && point < shape.box)) return dy;
  const SplineBin bin = find_spline_bin(raw, phi, shape, point, inverse);
  const SplinePoint p = spline_point(bin, inverse ? spline_place_of_y(bin, point) : spline_place_of_x(bin, point));
  const float slope = p.s * p.s * p.M / (p.D * p.D), turn = 1.0f - 2.0f * p.xi;
  const float beta = bin.slope_after + bin.slope_before - 2.0f * p.s;
  // d(log slope)/d(xi)
  const float bend =
      (2.0f * bin.slope_after * p.xi + 2.0f * p.s * turn - 2.0f * bin.slope_before * (1.0f - p.xi)) / p.M -
      2.0f * beta * turn / p.D;
  float dpoint = dy * slope + dl * bend / bin.width;
  if (inverse) {
    dpoint = (dy - dl * bend / bin.width) / slope;
    dy = -dpoint;
    dl = -dl;
  }
  const float across = bin.height / (p.D * p.D);
  const float dxi = dy * slope * bin.width + dl * bend;
  const float ds = dy * across * (p.xi * p.xi * p.D - p.N * (1.0f - 2.0f * p.u)) +
                   dl * (2.0f / p.s + 2.0f * p.u / p.M - 2.0f * (1.0f - 2.0f * p.u) / p.D);
  const float rest = (1.0f - p.xi) * (1.0f - p.xi);
  const float dbefore = dy * across * p.u * (p.D - p.N) + dl * (rest / p.M - 2.0f * p.u / p.D);
  const float dafter = -dy * across * p.u * p.N + dl * (p.xi * p.xi / p.M - 2.0f * p.u / p.D);
  const float dwidth = -(dxi * p.xi + ds * p.s) / bin.width, dheight = ds / bin.width + dy * p.N / p.D;
  spline_size_gradient(bin.widths, shape, bin, bin.width_part, bin.width_parts_before, dwidth, -dxi / bin.width, draw,
                       dphi);
  spline_size_gradient(bin.heights, shape, bin, bin.height_part, bin.height_parts_before, dheight, dy,
                       draw + shape.bins, dphi);
  spline_slope_gradient(raw, phi, shape, bin.k, bin.slope_before, dbefore, draw, dphi);
  spline_slope_gradient(raw, phi, shape, bin.k + 1, bin.slope_after, dafter, draw, dphi);
  return dpoint;
}

}  // namespace otnfm
