#include "kernels/power_iteration.h"

#include <cmath>

#include "tests/cases/case.h"

namespace otnfm::cases {
namespace {

struct Shapes {
  std::vector<std::pair<std::int64_t, std::int64_t>> sizes;
  std::int64_t weights = 0, left = 0, right = 0;
  std::array<SpectralMatrix, PowerIteration::kMost> matrices;

  explicit Shapes(std::vector<std::pair<std::int64_t, std::int64_t>> list) : sizes(std::move(list)) {
    for (std::size_t k = 0; k < sizes.size(); ++k) {
      const auto& [rows, columns] = sizes[k];
      matrices[k] = {.weight = weights, .rows = rows, .columns = columns, .left = left, .right = right};
      weights += rows * columns, left += rows, right += columns;
    }
  }
};

double normalise(double* x, std::int64_t n) {
  double square = 0;
  for (std::int64_t i = 0; i < n; ++i) square += x[i] * x[i];
  const double norm = std::sqrt(square);
  for (std::int64_t i = 0; i < n && norm > 0; ++i) x[i] /= norm;
  return norm;
}

void iterate(Values& v, const Shapes& shapes, int iterations, const std::string& right_name) {
  std::vector<double>&W = v["weights"], &left = v["left"], &right = v[right_name];
  if (right_name == "right") right = v["start"];
  left.assign(left.size(), 0.0);
  for (std::size_t k = 0; k < shapes.sizes.size(); ++k) {
    const SpectralMatrix& m = shapes.matrices[k];
    double sigma = 0;
    for (int step = 0; step < iterations; ++step) {
      for (std::int64_t i = 0; i < m.rows; ++i) {
        left[m.left + i] = 0;
        for (std::int64_t j = 0; j < m.columns; ++j)
          left[m.left + i] += W[m.weight + i * m.columns + j] * right[m.right + j];
      }
      if (normalise(&left[m.left], m.rows) == 0) break;
      for (std::int64_t j = 0; j < m.columns; ++j) {
        right[m.right + j] = 0;
        for (std::int64_t i = 0; i < m.rows; ++i)
          right[m.right + j] += W[m.weight + i * m.columns + j] * left[m.left + i];
      }
      sigma = normalise(&right[m.right], m.columns);
    }
    v["sigma"][k] = sigma;
  }
}

Case make(const std::string& variant, const Shapes& shapes, int iterations, const Fill& weights, bool in_place,
          bool bench) {
  const std::int64_t count = static_cast<std::int64_t>(shapes.sizes.size());
  std::vector<Buffer> buffers = {{"weights", Role::input, {shapes.weights}, DType::float32, weights},
                                 {"left", Role::output, {shapes.left}},
                                 {"sigma", Role::output, {count}}};
  if (!in_place) buffers.push_back({"start", Role::input, {shapes.right}});
  buffers.push_back({"right", in_place ? Role::in_out : Role::output, {shapes.right}});
  return {.op = "power_iteration",
          .variant = variant,
          .buffers = buffers,
          .run =
              [=](Stream& s, const Buffers& b) {
                power_iteration(s, {.weights = b.in("weights"),
                                    .start = in_place ? b.in("right") : b.in("start"),
                                    .left = b.out("left"),
                                    .right = b.out("right"),
                                    .sigma = b.out("sigma"),
                                    .matrices = shapes.matrices,
                                    .count = static_cast<int>(count),
                                    .iterations = iterations});
              },
          .reference =
              [=](Values& v) {
                if (in_place) v["start"] = v["right"];
                iterate(v, shapes, iterations, "right");
              },
          .tolerance = 2e-5,  // W v may cancel to little of its terms
          .norm_tolerance = 5e-6,
          .bytes = 8.0 * static_cast<double>(shapes.weights) * iterations,
          .flops = 4.0 * static_cast<double>(shapes.weights) * iterations,
          .bench = bench};
}

std::vector<Case> cases() {
  std::vector<Case> list;
  const Fill positive = Fill::uniform(0.5, 1.5);
  list.push_back(make("none", Shapes({}), 1, {}, false, false));
  list.push_back(make("a number", Shapes({{1, 1}}), 1, positive, false, false));
  list.push_back(make("mixed", Shapes({{31, 33}, {64, 3}, {2, 64}, {7, 257}, {127, 1}, {1, 31}}), 1, {}, false, false));
  list.push_back(make("mixed, 5 iterations, in place", Shapes({{31, 33}, {64, 3}, {2, 64}}), 5, {}, true, false));
  list.push_back(make("zero", Shapes({{5, 3}, {33, 17}}), 2, Fill::zeros(), false, false));
  const std::vector<std::pair<std::int64_t, std::int64_t>> toy = {{64, 3}, {64, 64}, {64, 64}, {2, 64}};
  std::vector<std::pair<std::int64_t, std::int64_t>> flow;
  flow.reserve(16);
  for (int block = 0; block < 4; ++block) flow.insert(flow.end(), toy.begin(), toy.end());
  list.push_back(make("4 blocks of 3x64", Shapes(flow), 1, {}, true, true));
  list.push_back(make("3 of 512", Shapes({{512, 785}, {512, 512}, {784, 512}}), 1, {}, true, true));
  return list;
}

const Registration registration(cases());

}  // namespace
}  // namespace otnfm::cases
