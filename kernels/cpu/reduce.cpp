// 4 bytes an element forward, 8 backward, 1 or 2 FLOPs: bound by memory. Along a row in double lanes, down the columns
// in float tiles.
#include "kernels/reduce.h"

#include <limits>

#include "kernels/cpu/column_sums.h"
#include "kernels/cpu/lanes.h"

namespace otnfm::cpu {
namespace {

constexpr float kLowest = -std::numeric_limits<float>::infinity();

/// The larger, of numbers or lane by lane; NaN counts as the largest.
constexpr auto larger = [](const auto& a, const auto& b) { return ((b > a) | (b != b)) ? b : a; };

template <class Body>
void for_each_row(const View<const float>& x, const Body& body) {
  host::parallel_rows(x.rows(), x.columns(), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) body(i, x.row(i));
  });
}

/// divisor of a mean over n elements
double count_of(std::int64_t n) {
  return static_cast<double>(std::max<std::int64_t>(1, n));
}

template <class Term>
void sum_columns(Stream& stream, const ReduceColumns& a, double divisor, const Term& term) {
  const auto tile = [&](std::int64_t row_begin, std::int64_t row_end, std::int64_t column_begin,
                        std::int64_t column_end, float* sums) {
    for (std::int64_t i = row_begin; i < row_end; ++i) {
      const float* x = a.x.row(i) + column_begin;
#pragma GCC ivdep
      for (std::int64_t j = 0; j < column_end - column_begin; ++j) sums[j] += term(x[j]);
    }
  };
  column_sums(stream, a.x.rows(), a.x.columns(), tile,
              [&](std::int64_t j, float sum) { a.y.data[j] = static_cast<float>(sum / divisor); });
}

void maximum_of_columns(Stream& stream, const ReduceColumns& a) {
  const auto tile = [&](std::int64_t row_begin, std::int64_t row_end, std::int64_t column_begin,
                        std::int64_t column_end, float* best) {
    for (std::int64_t i = row_begin; i < row_end; ++i) {
      const float* x = a.x.row(i) + column_begin;
#pragma GCC ivdep
      for (std::int64_t j = 0; j < column_end - column_begin; ++j) best[j] = larger(best[j], x[j]);
    }
  };
  fold_columns(stream, a.x.rows(), a.x.columns(), kLowest, larger, tile,
               [&](std::int64_t j, float best) { a.y.data[j] = best; });
}

/// Whether x beats the best so far, of which it stands to the right or below: so equal ones do not.
bool beats(float x, float best) {
  return x > best || (x != x && best == best);
}

void maximum_of_columns_backward(const ReduceColumnsBackward& a) {
  const std::int64_t rows = a.x.rows(), columns = a.x.columns();
  const std::int64_t strips = (columns + kTileColumns - 1) / kTileColumns;
  const std::int64_t grain =
      std::max<std::int64_t>(1, host::kElementGrain / std::max<std::int64_t>(1, rows * kTileColumns));
  host::parallel_ranges(strips, grain, [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t strip = first; strip < last; ++strip) {
      const std::int64_t begin = strip * kTileColumns, count = std::min(kTileColumns, columns - begin);
      float best[kTileColumns];
      std::int64_t where[kTileColumns];
      for (std::int64_t i = 0; i < rows; ++i) {
        const float* x = a.x.row(i) + begin;
        for (std::int64_t j = 0; j < count; ++j) {
          const bool better = i == 0 || beats(x[j], best[j]);
          best[j] = better ? x[j] : best[j];
          where[j] = better ? i : where[j];
        }
      }
      for (std::int64_t i = 0; i < rows; ++i) {
        float* dx = a.dx.row(i) + begin;
        for (std::int64_t j = 0; j < count; ++j) dx[j] = where[j] == i ? a.dy.data[begin + j] : 0.0f;
      }
    }
  });
}

}  // namespace

void reduce_rows(Stream&, const ReduceRows& a) {
  const std::int64_t d = a.x.columns();
  switch (a.reduction) {
    case Reduction::sum:
    case Reduction::mean: {
      const double divisor = a.reduction == Reduction::sum ? 1.0 : count_of(d);
      return for_each_row(a.x, [&](std::int64_t i, const float* x) {
        a.y.data[i] = static_cast<float>(sum_lanes<double>(d, [&](auto load) { return load(x); }) / divisor);
      });
    }
    case Reduction::sum_of_squares:
      return for_each_row(a.x, [&](std::int64_t i, const float* x) {
        a.y.data[i] = static_cast<float>(sum_lanes<double>(d, [&](auto load) { return load(x) * load(x); }));
      });
    case Reduction::max:
      return for_each_row(a.x, [&](std::int64_t i, const float* x) {
        a.y.data[i] = fold_lanes<float>(d, kLowest, larger, [&](auto load) { return load(x); });
      });
  }
}

void reduce_columns(Stream& stream, const ReduceColumns& a) {
  switch (a.reduction) {
    case Reduction::sum:
      return sum_columns(stream, a, 1.0, [](float x) { return x; });
    case Reduction::mean:
      return sum_columns(stream, a, count_of(a.x.rows()), [](float x) { return x; });
    case Reduction::sum_of_squares:
      return sum_columns(stream, a, 1.0, [](float x) { return x * x; });
    case Reduction::max:
      return maximum_of_columns(stream, a);
  }
}

void reduce_rows_backward(Stream&, const ReduceRowsBackward& a) {
  const std::int64_t d = a.x.columns();
  const Reduction reduction = a.reduction;
  const float reciprocal = static_cast<float>(1.0 / count_of(d));
  for_each_row(a.x, [&](std::int64_t i, const float* x) {
    float* dx = a.dx.row(i);
    const float dy = a.dy.data[i];
    if (reduction == Reduction::sum_of_squares) {
#pragma GCC ivdep
      for (std::int64_t j = 0; j < d; ++j) dx[j] = 2.0f * dy * x[j];
    } else if (reduction == Reduction::max) {
      std::int64_t where = 0;
      for (std::int64_t j = 1; j < d; ++j)
        if (beats(x[j], x[where])) where = j;
      std::fill(dx, dx + d, 0.0f);
      if (d > 0) dx[where] = dy;
    } else {
      std::fill(dx, dx + d, reduction == Reduction::sum ? dy : dy * reciprocal);
    }
  });
}

void reduce_columns_backward(Stream&, const ReduceColumnsBackward& a) {
  if (a.reduction == Reduction::max) return maximum_of_columns_backward(a);
  const std::int64_t d = a.x.columns();
  const float factor = a.reduction == Reduction::mean ? static_cast<float>(1.0 / count_of(a.x.rows()))
                                                      : (a.reduction == Reduction::sum ? 1.0f : 2.0f);
  const bool squares = a.reduction == Reduction::sum_of_squares;
  for_each_row(a.x, [&](std::int64_t i, const float* x) {
    float* dx = a.dx.row(i);
    const float* dy = a.dy.data;
    if (squares) {
#pragma GCC ivdep
      for (std::int64_t j = 0; j < d; ++j) dx[j] = factor * dy[j] * x[j];
    } else {
#pragma GCC ivdep
      for (std::int64_t j = 0; j < d; ++j) dx[j] = factor * dy[j];
    }
  });
}

}  // namespace otnfm::cpu
