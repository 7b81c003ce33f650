#include "ot/costs/row_minima.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/host/parallel.h"
#include "ot/costs/infinity.h"
#include "ot/costs/widen.h"
#include "ot/loops/loops.h"

namespace otnfm {
namespace {

constexpr std::int64_t kScreenFrom = 12;         // dimensions: below, a product is no faster than differences in double
constexpr std::int64_t kMostScreened = 1 << 17;  // of which the bound below is one
constexpr std::int64_t kMostPanels = std::int64_t{1} << 28;  // floats: a gigabyte
constexpr std::int64_t kSegment = 512;                       // columns whose products are kept: 256 KB of them
constexpr std::int64_t kMostNear = 24;                       // columns of a row that are computed in double
// Rounding: 1 / 2^24 of float32, and what is added to a sum of several of them for the roundings of the sum itself.
constexpr double kUnit = 0x1p-24, kAbove = 1.01;

template <class T>
const T* row_of(const AnyMatrix& matrix, std::int64_t i) {
  return static_cast<const T*>(matrix.data) + i * matrix.row_stride;
}

constexpr std::int64_t kUnasked = std::int64_t{1} << 22;  // multiply-adds, some milliseconds

// Asks whether to stop, after so many multiply-adds.
class Stop {
 public:
  explicit Stop(const RowMinima::Scratch& scratch) : scratch_(scratch) {}
  bool after(std::int64_t work) {
    done_ += work;
    if (done_ < kUnasked) return false;
    done_ = 0;
    return scratch_.stop && scratch_.stop();
  }

 private:
  const RowMinima::Scratch& scratch_;
  std::int64_t done_ = 0;
};

template <class T>
bool matrix_rows(const AnyMatrix& costs, const double* g, std::int64_t begin, std::int64_t end,
                 RowMinima::Scratch& scratch, double* out) {
  double largest = 0;
  Stop stop(scratch);
  for (std::int64_t i = begin; i < end; ++i) {
    const T* row = row_of<T>(costs, i);
    double least = kInfinity;
#pragma omp simd reduction(min : least) reduction(max : largest)
    for (std::int64_t j = 0; j < costs.columns; ++j) {
      const double c = widen(row[j]), reduced = c - g[j], size = std::fabs(c);
      least = reduced < least ? reduced : least;
      largest = size > largest && size < kInfinity ? size : largest;
    }
    out[i - begin] = least;
    if (stop.after(costs.columns)) return false;
  }
  scratch.largest = largest;
  return true;
}

/// The least float that is not below.
float rounded_up(double value) {
  const auto rounded = static_cast<float>(value);
  return static_cast<double>(rounded) < value ? std::nextafter(rounded, std::numeric_limits<float>::infinity())
                                              : rounded;
}

double norm_of(const double* x, std::int64_t d) {
  double sum = 0;
  for (std::int64_t k = 0; k < d; ++k) sum += x[k] * x[k];
  return std::sqrt(sum);
}

template <class T>
void add_points(const AnyMatrix& points, double part, double* sum) {
  for (std::int64_t i = 0; i < points.rows; ++i) {
    const T* row = row_of<T>(points, i);
    for (std::int64_t k = 0; k < points.columns; ++k) sum[k] += part * widen(row[k]);
  }
}

template <class T>
double reach_of(const AnyMatrix& points, const double* centre) {
  double reach = 0;
  for (std::int64_t i = 0; i < points.rows; ++i) {
    const T* row = row_of<T>(points, i);
#pragma omp simd reduction(max : reach)
    for (std::int64_t k = 0; k < points.columns; ++k) {
      const double size = std::fabs(widen(row[k]) - centre[k]);
      reach = size > reach ? size : reach;
    }
  }
  return reach;
}

}  // namespace

RowMinima::RowMinima(const Problem& problem, std::span<const double> g) : problem_(problem), g_(g) {
  const std::int64_t n = problem.n(), m = problem.m(), d = problem.dimension();
  if (problem.has_matrix || problem.cost == Cost::euclidean || d < kScreenFrom || n == 0 || m == 0 ||
      d > kMostPanels / m || d > kMostScreened)
    return;
  if (problem.dtype() == DType::float32)
    prepare_screen<float>();
  else if (problem.dtype() == DType::bfloat16)
    prepare_screen<bfloat16>();
  else
    prepare_screen<double>();
}

template <class T>
void RowMinima::prepare_screen() {
  const std::int64_t m = problem_.m(), d = problem_.dimension();
  centre_.assign(static_cast<std::size_t>(d), 0.0);
  add_points<T>(problem_.target, 1 / static_cast<double>(m), centre_.data());
  const double largest =
      std::max(reach_of<T>(problem_.source, centre_.data()), reach_of<T>(problem_.target, centre_.data()));
  // Beyond these a square leaves the range of double.
  if (!(largest > 1e-130 && largest < 1e140)) return;
  scale_ = std::ldexp(1.0, -std::ilogb(largest) - 1);

  const std::int64_t padded = (m + kPanelColumns - 1) / kPanelColumns * kPanelColumns;
  panels_.assign(static_cast<std::size_t>(padded * d), 0.0f);
  bias_.assign(static_cast<std::size_t>(padded), std::numeric_limits<float>::infinity());
  for (auto* values : {&cost_, &target_, &slack_}) values->assign(static_cast<std::size_t>(padded), 0.0f);
  const bool square = problem_.cost == Cost::squared_euclidean;
  const double centre_norm = norm_of(centre_.data(), d), unit = scale_ * scale_;
  host::parallel_rows(m, d, [&](std::int64_t begin, std::int64_t end) {
    HostVector<double> y(static_cast<std::size_t>(d));
    for (std::int64_t j = begin; j < end; ++j) {
      const T* row = row_of<T>(problem_.target, j);
      float* panel = panels_.data() + j / kPanelColumns * d * kPanelColumns + j % kPanelColumns;
      double dot = 0;
      for (std::int64_t k = 0; k < d; ++k) {
        const auto at = static_cast<std::size_t>(k);
        y[at] = widen(row[k]) - centre_[at];
        dot += centre_[at] * y[at];
        panel[k * kPanelColumns] = static_cast<float>(scale_ * y[at]);
      }
      const auto column = static_cast<std::size_t>(j);
      const double norm = norm_of(y.data(), d), own = square ? norm * norm : -dot;
      const double bias = unit * (own - g_[column]);
      target_[column] = rounded_up(kAbove * scale_ * norm);
      cost_[column] = static_cast<float>(unit * own);
      if (g_[column] == -kInfinity) continue;  // the bias stays infinite
      bias_[column] = static_cast<float>(bias);
      const double exact = unit * (square ? norm * norm : centre_norm * norm) + unit * std::fabs(g_[column]);
      slack_[column] = rounded_up(kAbove * (3 * kUnit * std::fabs(bias) + 0x1p-52 * static_cast<double>(d + 4) * exact +
                                            0x1p-149 * static_cast<double>(8 * d + 8)));
    }
  });
  for (std::int64_t j = m; j < padded; ++j) {  // the last column stands in for those beyond it, without its bias
    float* panel = panels_.data() + j / kPanelColumns * d * kPanelColumns;
    const std::int64_t last = (m - 1) % kPanelColumns;
    for (std::int64_t k = 0; k < d; ++k) panel[k * kPanelColumns + j % kPanelColumns] = panel[k * kPanelColumns + last];
    cost_[static_cast<std::size_t>(j)] = cost_[static_cast<std::size_t>(m - 1)];
  }
  for (std::int64_t j = 0; j < m; ++j) {
    // A potential that float32 cannot hold beside the costs: nothing would be screened out.
    const float bias = bias_[static_cast<std::size_t>(j)];
    if (g_[static_cast<std::size_t>(j)] != -kInfinity && !(std::fabs(bias) < 1e30f)) scale_ = 0;
  }
}

bool RowMinima::find(std::int64_t begin, std::int64_t end, double* out, Scratch& scratch) const {
  const auto in_rows = [&](auto element) -> bool {
    using T = decltype(element);
    if constexpr (!std::is_same_v<T, bfloat16>)
      if (problem_.has_matrix) return matrix_rows<T>(problem_.costs, g_.data(), begin, end, scratch, out);
    double largest = 0;
    if constexpr (!std::is_integral_v<T>)
      for (std::int64_t i = begin; i < end; i += kTile) {
        if (!find_in_points<T>(i, std::min(kTile, end - i), scratch, out + (i - begin))) return false;
        largest = std::max(largest, scratch.largest);
      }
    scratch.largest = largest;
    return true;
  };
  return with_element(problem_.dtype(), in_rows);
}

template <class T>
bool RowMinima::find_in_points(std::int64_t begin, std::int64_t count, Scratch& scratch, double* out) const {
  const auto d = static_cast<std::size_t>(problem_.dimension());
  scratch.x.resize(kTile * d);
  if (screens()) return screen_rows<T>(begin, count, scratch, out);
  std::int64_t rows[kTile];
  for (std::int64_t r = 0; r < count; ++r) rows[r] = begin + r;
  return scan_rows<T>(rows, count, scratch, out);
}

// All columns in double.
template <class T>
bool RowMinima::scan_rows(const std::int64_t* rows, std::int64_t count, Scratch& scratch, double* out) const {
  const std::int64_t m = problem_.m(), d = problem_.dimension();
  scratch.block.resize(static_cast<std::size_t>(kPairColumns * d));
  double *const x = scratch.x.data(), *const block = scratch.block.data();
  for (std::int64_t r = 0; r < count; ++r) {
    const T* row = row_of<T>(problem_.source, rows[r]);
    for (std::int64_t k = 0; k < d; ++k) x[r * d + k] = widen(row[k]);
  }
  double minima[kTile * kMinimaLanes], largest[kMinimaLanes] = {}, bias[kPairColumns];
  std::fill_n(minima, count * kMinimaLanes, kInfinity);
  const auto& row_minima = loops().row_minima;
  Stop stop(scratch);
  for (std::int64_t column = 0; column < m; column += kPairColumns) {
    if (stop.after(count * kPairColumns * d)) return false;
    for (int c = 0; c < kPairColumns; ++c) {  // the last column stands in for those beyond it
      const std::int64_t j = std::min(column + c, m - 1);
      const T* row = row_of<T>(problem_.target, j);
      for (std::int64_t k = 0; k < d; ++k) block[k * kPairColumns + c] = widen(row[k]);
      bias[c] = g_[static_cast<std::size_t>(j)];
    }
    row_minima(problem_.cost, x, count, block, d, bias, minima, largest);
  }
  for (std::int64_t r = 0; r < count; ++r)
    out[r] = *std::min_element(minima + r * kMinimaLanes, minima + (r + 1) * kMinimaLanes);
  scratch.largest = *std::max_element(largest, largest + kMinimaLanes);
  return true;
}

template <class T>
bool RowMinima::screen_rows(std::int64_t begin, std::int64_t count, Scratch& scratch, double* out) const {
  const std::int64_t d = problem_.dimension();
  const auto padded = static_cast<std::int64_t>(bias_.size());
  const bool square = problem_.cost == Cost::squared_euclidean;
  const Loops& by = loops();
  scratch.rows.resize(static_cast<std::size_t>(kTile * d));
  scratch.products.resize(static_cast<std::size_t>(kTile * std::min(kSegment, padded)));
  scratch.near.resize(static_cast<std::size_t>(kTile * kMostNear));
  scratch.low.resize(static_cast<std::size_t>(kTile * kMostNear));
  double own[kTile];  // what a row adds to all of its costs
  float size[kTile], ceiling[kTile], least[kTile], most[kTile];
  std::int64_t found[kTile] = {};
  constexpr float kFar = std::numeric_limits<float>::infinity();
  for (std::int64_t r = 0; r < count; ++r) {
    const T* row = row_of<T>(problem_.source, begin + r);
    double* x = scratch.x.data() + r * d;
    float* scaled = scratch.rows.data() + r * d;
    double sum = 0, dot = 0;
    for (std::int64_t k = 0; k < d; ++k) {
      x[k] = widen(row[k]);
      const double c = centre_[static_cast<std::size_t>(k)], centred = x[k] - c;
      sum += centred * centred;
      dot += x[k] * c;
      scaled[k] = static_cast<float>(scale_ * centred);
    }
    own[r] = square ? sum : -dot;
    size[r] = rounded_up(kAbove * (square ? 2 : 1) * static_cast<double>(d + 6) * kUnit * scale_ * std::sqrt(sum));
    ceiling[r] = least[r] = kFar;
    most[r] = -kFar;
  }
  Stop stop(scratch);
  for (std::int64_t column = 0; column < padded; column += kSegment) {
    const std::int64_t width = std::min(kSegment, padded - column);
    if (stop.after(count * width * d / 8)) return false;  // a product's are cheaper
    by.product(scratch.rows.data(), count, d, panels_.data() + column * d, width, scratch.products.data(), width);
    for (std::int64_t r = 0; r < count; ++r) {
      if (found[r] > kMostNear) continue;
      std::int32_t* near = scratch.near.data() + r * kMostNear;
      float* low = scratch.low.data() + r * kMostNear;
      const Loops::Screen screen{.bias = bias_.data() + column,
                                 .target = target_.data() + column,
                                 .slack = slack_.data() + column,
                                 .cost = cost_.data() + column,
                                 .factor = square ? 2.0f : 1.0f,
                                 .size = size[r]};
      const std::int64_t before = found[r];
      const float old = ceiling[r];
      found[r] += by.screen(screen, scratch.products.data() + r * width, width, ceiling + r, least + r, most + r,
                            kMostNear - before, near + before, low + before);
      if (found[r] > kMostNear) continue;
      for (std::int64_t a = before; a < found[r]; ++a) near[a] += static_cast<std::int32_t>(column);
      if (ceiling[r] < old) {  // a lower ceiling leaves fewer of those before
        std::int64_t kept = 0;
        for (std::int64_t a = 0; a < found[r]; ++a)
          if (low[a] <= ceiling[r]) near[kept] = near[a], low[kept++] = low[a];
        found[r] = kept;
      }
    }
  }
  double largest = 0;
  const double unit = scale_ * scale_;
  scratch.y.resize(static_cast<std::size_t>(d));
  std::int64_t left[kTile], places[kTile], others = 0;
  for (std::int64_t r = 0; r < count; ++r) {
    if (found[r] == 0 || found[r] > kMostNear) {
      places[others] = r;
      left[others++] = begin + r;
      continue;
    }
    double minimum = kInfinity;
    for (std::int64_t a = 0; a < found[r]; ++a) {
      const std::int64_t j = scratch.near[static_cast<std::size_t>(r * kMostNear + a)];
      const T* row = row_of<T>(problem_.target, j);
      for (std::int64_t k = 0; k < d; ++k) scratch.y[static_cast<std::size_t>(k)] = widen(row[k]);
      minimum = std::min(minimum, by.pair_cost(problem_.cost, scratch.x.data() + r * d, scratch.y.data(), d) -
                                      g_[static_cast<std::size_t>(j)]);
    }
    out[r] = minimum;
    largest = std::max({largest, std::fabs(own[r] + static_cast<double>(least[r]) / unit),
                        std::fabs(own[r] + static_cast<double>(most[r]) / unit)});
  }
  scratch.largest = largest;
  if (others == 0) return true;
  double minima[kTile];
  if (!scan_rows<T>(left, others, scratch, minima)) return false;
  for (std::int64_t a = 0; a < others; ++a) out[places[a]] = minima[a];
  scratch.largest = std::max(scratch.largest, largest);
  return true;
}

}  // namespace otnfm
