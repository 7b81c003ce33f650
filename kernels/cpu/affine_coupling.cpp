// 24 bytes a moved element forward, 44 backward, and some 40 FLOPs (a tanh and an exponential): bound by arithmetic
// within the caches.
#include "kernels/affine_coupling.h"

#include "kernels/cpu/lane_blocks.h"
#include "kernels/device/affine_coupling.h"

namespace otnfm::cpu {
namespace {

struct Inputs {
  float x[kLaneBlock], s[kLaneBlock], m[kLaneBlock], phi_s[kLaneBlock], phi_m[kLaneBlock];
};

template <class Arguments>
void load(const Arguments& a, const LaneBlock& block, std::int64_t n, const std::int64_t* moved, Inputs& in) {
  for (std::int64_t l = 0; l < block.count; ++l) in.x[l] = a.x.row(block.row(l))[moved[block.column(l)]];
  load_lanes(block, a.raw, 0, in.s);
  load_lanes(block, a.raw, n, in.m);
  load_lanes(block, a.phi_scale, 0, in.phi_s);
  load_lanes(block, a.phi_shift, 0, in.phi_m);
}

}  // namespace

void affine_coupling(Stream&, const AffineCoupling& a) {
  const std::int64_t d = a.x.columns(), n = a.phi_scale.columns(), kept = d - n;
  const std::int64_t* moved = a.index.data + kept;
  const float direction = a.inverse ? -1.0f : 1.0f;
  for_lane_blocks(
      a.x.rows(), n,
      [&](const LaneBlock& block, double* sums) {
        Inputs in = {};
        float y[kLaneBlock], log_scale[kLaneBlock];
        load(a, block, n, moved, in);
        for (std::int64_t l = 0; l < kLaneBlock; ++l) {
          const AffineElement e = affine_element(in.s[l], in.m[l], in.phi_s[l], in.phi_m[l], a.bound, direction);
          y[l] = affine_map(e, in.x[l], a.inverse);
          log_scale[l] = e.log_scale;
        }
        for (std::int64_t l = 0; l < block.count; ++l) {
          a.y.row(block.row(l))[moved[block.column(l)]] = y[l];
          sums[l] += log_scale[l];
        }
      },
      [&](std::int64_t i, double sum) {
        for (std::int64_t j = 0; j < kept; ++j) a.y.row(i)[a.index.data[j]] = a.x.row(i)[a.index.data[j]];
        if (a.log_det.data != nullptr) a.log_det.data[i] = static_cast<float>(sum);
      });
}

void affine_coupling_backward(Stream&, const AffineCouplingBackward& a) {
  const std::int64_t d = a.x.columns(), n = a.phi_scale.columns(), kept = d - n;
  const std::int64_t* moved = a.index.data + kept;
  const float direction = a.inverse ? -1.0f : 1.0f;
  for_lane_blocks(
      a.x.rows(), n,
      [&](const LaneBlock& block, double*) {
        Inputs in = {};
        float dy[kLaneBlock] = {}, dlog_det[kLaneBlock] = {}, dx[kLaneBlock], ds[kLaneBlock], dm[kLaneBlock],
              dphi_s[kLaneBlock], dphi_m[kLaneBlock];
        load(a, block, n, moved, in);
        for (std::int64_t l = 0; l < block.count; ++l) {
          if (a.dy.data != nullptr) dy[l] = a.dy.row(block.row(l))[moved[block.column(l)]];
          if (a.dlog_det.data != nullptr) dlog_det[l] = a.dlog_det.data[block.row(l)];
        }
        for (std::int64_t l = 0; l < kLaneBlock; ++l) {
          const AffineElement e = affine_element(in.s[l], in.m[l], in.phi_s[l], in.phi_m[l], a.bound, direction);
          const AffineGradient g = affine_gradient(e, in.x[l], in.s[l], in.m[l], in.phi_s[l], in.phi_m[l], direction,
                                                   a.inverse, dy[l], dlog_det[l]);
          dx[l] = g.dx, ds[l] = g.ds, dm[l] = g.dm, dphi_s[l] = g.dphi_s, dphi_m[l] = g.dphi_m;
        }
        for (std::int64_t l = 0; l < block.count; ++l) a.dx.row(block.row(l))[moved[block.column(l)]] = dx[l];
        store_lanes(block, ds, a.draw, 0);
        store_lanes(block, dm, a.draw, n);
        store_lanes(block, dphi_s, a.dphi_scale, 0);
        store_lanes(block, dphi_m, a.dphi_shift, 0);
      },
      [&](std::int64_t i, double) {
        for (std::int64_t j = 0; j < kept; ++j) {
          const std::int64_t column = a.index.data[j];
          a.dx.row(i)[column] = a.dy.data != nullptr ? a.dy.row(i)[column] : 0.0f;
        }
      });
}

}  // namespace otnfm::cpu
