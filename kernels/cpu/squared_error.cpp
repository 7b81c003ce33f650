// 8 bytes an element forward, 12 backward, 3 FLOPs: bound by memory. The forward adds up in double, in pieces of fixed
// size whose sums are then added in order.
#include "kernels/squared_error.h"

#include "kernels/cpu/lanes.h"
#include "kernels/cpu/spans.h"

namespace otnfm::cpu {
namespace {

constexpr std::int64_t kPieceElements = 4096;

double squared_distance(const float* prediction, const float* target, std::int64_t n) {
  return sum_lanes<double>(n, [&](auto load) {
    const auto difference = load(prediction) - load(target);
    return difference * difference;
  });
}

/// piece(k) for k in [0, n), added up in groups of `group`.
template <class Piece>
double grouped_sum(Stream& stream, std::int64_t n, std::int64_t group, const Piece& piece) {
  const std::int64_t capacity = static_cast<std::int64_t>(Stream::kWorkspaceBytes / sizeof(double));
  group = std::max(group, (n + capacity - 1) / capacity);
  const std::int64_t groups = (n + group - 1) / group;
  double* partial = reinterpret_cast<double*>(stream.workspace());
  host::parallel_ranges(groups, 2, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t g = begin; g < end; ++g) {
      double sum = 0;
      for (std::int64_t k = g * group; k < std::min(n, (g + 1) * group); ++k) sum += piece(k);
      partial[g] = sum;
    }
  });
  double sum = 0;
  for (std::int64_t g = 0; g < groups; ++g) sum += partial[g];
  return sum;
}

}  // namespace

void squared_error(Stream& stream, const SquaredError& a) {
  const std::int64_t rows = a.prediction.rows(), d = a.prediction.columns(), n = rows * d;
  double sum = 0;
  if (a.weight.data == nullptr && a.prediction.contiguous() && a.target.contiguous()) {
    const std::int64_t pieces = (n + kPieceElements - 1) / kPieceElements;
    sum = grouped_sum(stream, pieces, 1, [&](std::int64_t k) {
      const std::int64_t begin = k * kPieceElements;
      return squared_distance(a.prediction.data + begin, a.target.data + begin, std::min(kPieceElements, n - begin));
    });
  } else {
    const std::int64_t group = std::max<std::int64_t>(1, kPieceElements / std::max<std::int64_t>(1, d));
    sum = grouped_sum(stream, rows, group, [&](std::int64_t i) {
      const double square = squared_distance(a.prediction.row(i), a.target.row(i), d);
      return a.weight.data == nullptr ? square : static_cast<double>(a.weight.data[i]) * square;
    });
  }
  a.loss.data[0] = rows == 0 ? 0.0f : static_cast<float>(sum / static_cast<double>(rows));
}

void squared_error_backward(Stream&, const SquaredErrorBackward& a) {
  const std::int64_t rows = a.prediction.rows(), d = a.prediction.columns();
  const float common = 2.0f * a.dloss.data[0] / static_cast<float>(rows);
  const auto span = [&](std::int64_t i, std::int64_t begin, std::int64_t end, float factor) {
    const float *prediction = a.prediction.row(i), *target = a.target.row(i);
    float* dprediction = a.dprediction.row(i);
#pragma GCC ivdep
    for (std::int64_t j = begin; j < end; ++j) dprediction[j] = factor * (prediction[j] - target[j]);
  };
  if (a.weight.data == nullptr) {
    const bool contiguous = a.prediction.contiguous() && a.target.contiguous() && a.dprediction.contiguous();
    return parallel_spans(rows, d, contiguous,
                          [&](std::int64_t i, std::int64_t begin, std::int64_t end) { span(i, begin, end, common); });
  }
  host::parallel_rows(rows, d, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) span(i, 0, d, common * a.weight.data[i]);
  });
}

}  // namespace otnfm::cpu
