#include "kernels/soft_transform.h"

#include <cmath>
#include <limits>

#include "tests/cases/case.h"

namespace otnfm::cases {
namespace {

struct Variant {
  std::int64_t n, m, d = 0;  // targets, columns of the sum, dimension
  double scale = 1, damping = 1;
  bool mean = false, zero_weights = false, bench = false;
};

// The buffers of the source and the target.
std::vector<Buffer> sides(const Variant& v) {
  const Fill weights = v.zero_weights ? Fill::integers(0, 3) : Fill::uniform(0.1, 2);
  // A lone result could be a difference that cancels to nothing.
  const Fill exponents = v.n == 1 ? Fill::uniform(40, 41) : Fill::normal();
  std::vector<Buffer> list = {{"source_rounded", Role::input, {v.m}, DType::float32, exponents},
                              {"source_weight", Role::input, {v.m}, DType::float32, weights},
                              {"before", Role::input, {v.n}, DType::float64},
                              {"marginal", Role::input, {v.n}, DType::float32, Fill::uniform(0.1, 2)},
                              {"after", Role::output, {v.n}, DType::float64},
                              {"rounded", Role::output, {v.n}},
                              {"weight", Role::output, {v.n}},
                              {"residual", Role::output, {v.n}, DType::float64}};
  if (v.damping != 1) list.push_back({"offset", Role::input, {v.n}, DType::float64});
  if (v.mean) list.push_back({"mean", Role::output, {v.n}, DType::float64});
  return list;
}

SoftSource source_of(const Buffers& b) {
  return {b.in("source_rounded"), b.in("source_weight")};
}

SoftTarget target_of(const Buffers& b, const Variant& v) {
  SoftTarget target{.before = b.view<double>("before"),
                    .after = b.view<double>("after"),
                    .marginal = b.in("marginal"),
                    .rounded = b.out("rounded"),
                    .weight = b.out("weight"),
                    .residual = b.view<double>("residual"),
                    .damping = v.damping};
  if (v.mean) target.mean = b.view<double>("mean");
  if (v.damping != 1) target.offset = b.view<double>("offset");
  return target;
}

// s(values, i, j) in double.
template <class S>
Reference reference_of(const Variant& v, const S& s) {
  return [v, s](Values& values) {
    for (std::int64_t i = 0; i < v.n; ++i) {
      const auto at = static_cast<std::size_t>(i);
      double highest = -std::numeric_limits<double>::infinity(), sum = 0, moment = 0;
      for (std::int64_t j = 0; j < v.m; ++j)
        highest = std::max(highest, values["source_rounded"][static_cast<std::size_t>(j)] + v.scale * s(values, i, j));
      for (std::int64_t j = 0; j < v.m; ++j) {
        const double exponent = values["source_rounded"][static_cast<std::size_t>(j)] + v.scale * s(values, i, j);
        const double mass = values["source_weight"][static_cast<std::size_t>(j)] * std::exp2(exponent - highest);
        sum += mass;
        moment += mass * s(values, i, j);
      }
      double after = -(highest + std::log2(sum));
      if (v.damping != 1) after = v.damping * (after + values["offset"][at]) - values["offset"][at];
      values["after"][at] = after;
      values["rounded"][at] = static_cast<double>(static_cast<float>(after));
      values["weight"][at] = values["marginal"][at] * std::exp2(after - values["rounded"][at]);
      values["residual"][at] = values["marginal"][at] * std::fabs(std::exp2(values["before"][at] - after) - 1);
      if (v.mean) values["mean"][at] = moment / sum;
    }
  };
}

std::string name(const Variant& v, const char* form) {
  return std::string(form) + " " + label({v.n, v.m, v.d}) + (v.damping != 1 ? " damped" : "") +
         (v.mean ? " mean" : "") + (v.zero_weights ? " zeros" : "");
}

Case points_case(const Variant& v, PairForm form) {
  std::vector<Buffer> buffers = sides(v);
  buffers.push_back({"x", Role::input, {v.n, v.d}});
  buffers.push_back({"y", Role::input, {v.m, v.d}});
  const auto s = [=](Values& values, std::int64_t i, std::int64_t j) {
    double sum = 0;
    for (std::int64_t k = 0; k < v.d; ++k) {
      const double x = values["x"][static_cast<std::size_t>(i * v.d + k)];
      const double y = values["y"][static_cast<std::size_t>(j * v.d + k)];
      sum += form == PairForm::product ? x * y : (x - y) * (x - y);
    }
    return form == PairForm::product ? sum : form == PairForm::negative_square ? -sum : -std::sqrt(sum);
  };
  const char* const kForms[] = {"product", "square", "distance"};
  const double pairs = static_cast<double>(v.n * v.m);
  return {.op = "soft_transform_points",
          .variant = name(v, kForms[static_cast<int>(form)]),
          .buffers = buffers,
          .run =
              [=](Stream& stream, const Buffers& b) {
                soft_transform_points(stream, {.x = b.in("x"),
                                               .y = b.in("y"),
                                               .form = form,
                                               .scale = static_cast<float>(v.scale),
                                               .source = source_of(b),
                                               .target = target_of(b, v)});
              },
          .reference = reference_of(v, s),
          .tolerance = 5e-6,  // exponents of some tens in float32, whose absolute error is a mass's relative one
          .norm_tolerance = 5e-6,
          .bytes = 4.0 * static_cast<double>((v.n + v.m) * v.d),
          .flops = pairs * (2.0 * static_cast<double>(v.d) + 6),
          .bench = v.bench};
}

template <class T, class Arguments, class Run>
Case stored_case(const Variant& v, bool transposed, const Run& run) {
  constexpr bool kFixed = sizeof(T) == 2;
  std::vector<Buffer> buffers = sides(v);
  const std::vector<std::int64_t> shape =
      transposed ? std::vector<std::int64_t>{v.m, v.n} : std::vector<std::int64_t>{v.n, v.m};
  buffers.push_back({"s", Role::input, shape, dtype_of<T>, kFixed ? Fill::integers(0, 65536) : Fill::normal()});
  const auto s = [=](Values& values, std::int64_t i, std::int64_t j) {
    return values["s"][static_cast<std::size_t>(transposed ? j * v.n + i : i * v.m + j)];
  };
  const double pairs = static_cast<double>(v.n * v.m);
  return {.op = kFixed ? "soft_transform_fixed" : "soft_transform_stored",
          .variant = name(v, transposed ? "columns" : "rows"),
          .buffers = buffers,
          .run =
              [=](Stream& stream, const Buffers& b) {
                Arguments a;
                a.s = b.view<const T>("s");
                a.transposed = transposed;
                a.scale = static_cast<float>(v.scale);
                a.source = source_of(b);
                a.target = target_of(b, v);
                run(stream, a);
              },
          .reference = reference_of(v, s),
          .tolerance = 5e-6,
          .norm_tolerance = 5e-6,
          .bytes = static_cast<double>(sizeof(T)) * pairs,
          .flops = 6 * pairs,
          .bench = v.bench};
}

std::vector<Case> cases() {
  std::vector<Case> list;
  for (const PairForm form : {PairForm::product, PairForm::negative_square, PairForm::negative_distance}) {
    for (const Variant& v : {Variant{.n = 0, .m = 5, .d = 2},
                             {.n = 1, .m = 1, .d = 1},
                             {.n = 31, .m = 33, .d = 2},
                             {.n = 5, .m = 700, .d = 3},
                             {.n = 130, .m = 67, .d = 17, .mean = true},
                             {.n = 33, .m = 257, .d = 0},
                             {.n = 7, .m = 131, .d = 5, .damping = 0.75},
                             {.n = 129, .m = 65, .d = 2, .scale = 0.5, .mean = true, .zero_weights = true}})
      list.push_back(points_case(v, form));
    list.push_back(points_case({.n = 4096, .m = 4096, .d = 64, .scale = 0.1, .bench = true}, form));
  }
  // 784 products added in turn, in float32, would be 2e-5 off (rms), and about one seed in 27 beyond the tolerance.
  list.push_back(points_case({.n = 13, .m = 37, .d = 784, .scale = 0.1}, PairForm::product));
  list.push_back(points_case({.n = 4096, .m = 4096, .d = 2, .bench = true}, PairForm::negative_square));
  for (const bool transposed : {false, true}) {
    for (const Variant& v : {Variant{.n = 0, .m = 5},
                             {.n = 1, .m = 1},
                             {.n = 31, .m = 33, .scale = 4},
                             {.n = 264, .m = 40, .mean = true},
                             {.n = 40, .m = 520, .damping = 0.75},
                             {.n = 72, .m = 1031},
                             {.n = 67, .m = 264, .mean = true, .zero_weights = true}}) {
      list.push_back(stored_case<float, SoftTransformStored>(
          v, transposed, [](Stream& s, const auto& a) { soft_transform_stored(s, a); }));
      Variant fixed = v;
      fixed.scale *= -3e-4;
      list.push_back(stored_case<std::uint16_t, SoftTransformFixed>(
          fixed, transposed, [](Stream& s, const auto& a) { soft_transform_fixed(s, a); }));
    }
    const Variant large{.n = 4096, .m = 4096, .bench = true};
    list.push_back(stored_case<float, SoftTransformStored>(
        large, transposed, [](Stream& s, const auto& a) { soft_transform_stored(s, a); }));
    Variant fixed = large;
    fixed.scale = -3e-4;
    list.push_back(stored_case<std::uint16_t, SoftTransformFixed>(
        fixed, transposed, [](Stream& s, const auto& a) { soft_transform_fixed(s, a); }));
  }
  return list;
}

const Registration registration(cases());

}  // namespace
}  // namespace otnfm::cases
