// Rounding. A float32 sum of K products of normal numbers, added up one after the other, is off by a random walk of
// standard deviation about 2.4e-8 sqrt(K) of its size (seen: 1.9e-7 at K = 64), so 1e-6 is six deviations or more up to
// K = 48, and the bound grows with sqrt(K) from there. The few elements of a tiny product may cancel to nothing, so
// there the operands are positive. bfloat16 operands are compared after their rounding: 1e-4 shows that products are
// added up, and given, in float32 (a bfloat16 result would be off by 4e-3), also by tensor cores, which truncate.
#include "kernels/matmul.h"

#include <array>
#include <cmath>

#include "tests/cases/case.h"
#include "tests/cases/reference_activation.h"

namespace otnfm::cases {
namespace {

struct Product {
  std::int64_t batch, m, n, k;  // batch 0: matrices
  bool transpose_a = false, transpose_b = false;
  float beta = 0;
  bool bias = false;
  Activation activation = Activation::identity;
  bool bfloat16 = false, tf32 = false, bench = false;
};

void reference(const Product& p, Values& v) {
  const std::vector<double>&a = v["a"], &b = v["b"];
  std::vector<double>& c = v["c"];
  for (std::int64_t q = 0; q < std::max<std::int64_t>(1, p.batch); ++q)
    for (std::int64_t i = 0; i < p.m; ++i)
      for (std::int64_t j = 0; j < p.n; ++j) {
        double& value = c[(q * p.m + i) * p.n + j];
        double z = p.beta == 0 ? 0 : static_cast<double>(p.beta) * value;
        for (std::int64_t k = 0; k < p.k; ++k)
          z += a[q * p.m * p.k + (p.transpose_a ? k * p.m + i : i * p.k + k)] *
               b[q * p.k * p.n + (p.transpose_b ? j * p.k + k : k * p.n + j)];
        value = activated(p.activation, z + (p.bias ? v["bias"][j] : 0));
      }
}

void run(const Product& p, Stream& s, const Buffers& buffers) {
  const View<const float> bias = p.bias ? buffers.in("bias") : View<const float>();
  matmul(s, {.a = buffers.stored("a"),
             .b = buffers.stored("b"),
             .c = buffers.stored("c"),
             .transpose_a = p.transpose_a,
             .transpose_b = p.transpose_b,
             .beta = p.beta,
             .precision = p.tf32 ? Precision::tf32 : Precision::float32,
             .bias = bias,
             .activation = p.activation});
}

Case make_case(const Product& p) {
  const DType dtype = p.bfloat16 ? DType::bfloat16 : DType::float32;
  const auto shape = [&](std::int64_t rows, std::int64_t columns, bool transposed) {
    std::vector<std::int64_t> sizes = {rows, columns};
    if (transposed) std::swap(sizes[0], sizes[1]);
    if (p.batch > 0) sizes.insert(sizes.begin(), p.batch);
    return sizes;
  };
  // Activations are tried where they bend.
  const bool few = p.m * p.n < 16, bent = p.activation != Activation::identity;
  const Fill fill = few ? Fill::uniform(0.5, 1.5) : Fill::normal();
  const Fill fill_a = bent ? Fill::uniform(-0.4, 0.4) : fill;
  std::string variant = label({p.m, p.n, p.k}) + (p.transpose_a ? " T" : " N") + (p.transpose_b ? "T" : "N");
  if (p.batch > 0) variant = std::to_string(p.batch) + " of " + variant;
  if (p.tf32) variant += " tf32";
  if (p.beta != 0) variant += " beta " + std::to_string(p.beta).substr(0, 3);
  if (p.bias) variant += " bias";
  if (bent) variant += " activation " + std::to_string(static_cast<int>(p.activation));

  const double batch = static_cast<double>(std::max<std::int64_t>(1, p.batch)), m = static_cast<double>(p.m),
               n = static_cast<double>(p.n), k = static_cast<double>(p.k), element = p.bfloat16 ? 2 : 4;
  Case c{.op = "matmul",
         .variant = variant,
         .buffers = {{"a", Role::input, shape(p.m, p.k, p.transpose_a), dtype, fill_a},
                     {"b", Role::input, shape(p.k, p.n, p.transpose_b), dtype, fill},
                     {"c", p.beta == 0 ? Role::output : Role::in_out, shape(p.m, p.n, false), DType::float32, fill}},
         .run = [p](Stream& s, const Buffers& buffers) { run(p, s, buffers); },
         .reference = [p](Values& v) { reference(p, v); },
         .tolerance = 1e-6 * std::sqrt(std::max(1.0, k / 48)),
         .bytes = batch * (element * (m * k + k * n) + 4 * m * n * (p.beta == 0 ? 1 : 2)),
         .flops = 2 * batch * m * n * k,
         .bench = p.bench};
  if (p.bias) c.buffers.push_back({"bias", Role::input, {p.n}, DType::float32, fill});
  if (p.bfloat16) c.variant += " bf16", c.tolerance = c.norm_tolerance = 1e-4;
  if (p.tf32) c.tolerance = c.norm_tolerance = 3e-3;
  return c;
}

std::vector<Case> cases() {
  std::vector<Case> list;
  for (bool bf16 : {false, true})
    for (bool transpose_a : {false, true})
      for (bool transpose_b : {false, true}) {
        const auto add = [&](Product p) {
          p.transpose_a = transpose_a;
          p.transpose_b = transpose_b;
          p.bfloat16 = bf16;
          list.push_back(make_case(p));
        };
        for (const auto& [m, n, k] : std::initializer_list<std::array<std::int64_t, 3>>{{0, 5, 3},
                                                                                        {5, 0, 3},
                                                                                        {5, 3, 0},
                                                                                        {1, 1, 1},
                                                                                        {1, 31, 33},
                                                                                        {31, 1, 33},
                                                                                        {33, 31, 2},
                                                                                        {64, 3, 48},
                                                                                        {2, 67, 31},
                                                                                        {67, 8, 17},
                                                                                        {31, 33, 48},
                                                                                        {97, 37, 1},
                                                                                        {16, 16, 257}})
          add({.batch = 0, .m = m, .n = n, .k = k});
        add({.batch = 0, .m = 31, .n = 33, .k = 17, .beta = 1});
        add({.batch = 0, .m = 47, .n = 5, .k = 33, .beta = 1, .bias = true});
        add({.batch = 0, .m = 31, .n = 32, .k = 33, .beta = 0.5f, .bias = true});
        add({.batch = 0, .m = 7, .n = 33, .k = 0, .beta = 0.5f, .bias = true});
        add({.batch = 0, .m = 8, .n = 64, .k = 16, .bias = true});
        add({.batch = 3, .m = 17, .n = 31, .k = 33, .beta = 1, .bias = true});
        add({.batch = 5, .m = 33, .n = 2, .k = 7});
        add({.batch = 1, .m = 3, .n = 33, .k = 31});
        add({.batch = 0, .m = 0, .n = 0, .k = 0});
        add({.batch = 2, .m = 5, .n = 7, .k = 0, .activation = Activation::silu});
      }
  for (int kind = 0; kind <= static_cast<int>(Activation::softplus); ++kind)
    for (bool bf16 : {false, true}) {
      const auto activation = static_cast<Activation>(kind);
      list.push_back(
          make_case({.batch = 0, .m = 31, .n = 33, .k = 17, .bias = true, .activation = activation, .bfloat16 = bf16}));
      list.push_back(make_case({.batch = 0,
                                .m = 47,
                                .n = 3,
                                .k = 17,
                                .transpose_b = true,
                                .beta = 1,
                                .bias = true,
                                .activation = activation,
                                .bfloat16 = bf16}));
      list.push_back(make_case({.batch = 2, .m = 16, .n = 17, .k = 5, .activation = activation, .bfloat16 = bf16}));
    }
  list.push_back(make_case({.batch = 0, .m = 33, .n = 65, .k = 31, .tf32 = true}));

  for (bool bf16 : {false, true}) {
    const auto add = [&](std::int64_t m, std::int64_t n, std::int64_t k, bool transpose_a, bool transpose_b) {
      list.push_back(make_case({.batch = 0,
                                .m = m,
                                .n = n,
                                .k = k,
                                .transpose_a = transpose_a,
                                .transpose_b = transpose_b,
                                .bfloat16 = bf16,
                                .bench = true}));
    };
    // y = x W^T, dx = dy W, dW = dy^T x of a layer with W [outputs, inputs]
    const auto add_layer = [&](std::int64_t rows, std::int64_t outputs, std::int64_t inputs) {
      add(rows, outputs, inputs, false, true);
      add(rows, inputs, outputs, false, false);
      add(outputs, inputs, rows, true, false);
    };
    if (!bf16) {
      add_layer(256, 64, 64);
      add_layer(256, 64, 3);
      add_layer(256, 2, 64);
    }
    add_layer(256, 512, 785);
    add(4096, 64, 64, false, true);
    add(1024, 784, 512, false, true);
    add(2048, 2048, 2048, false, false);
  }
  return list;
}

/// A result in bfloat16 is rounded once, or, where bias and activation follow in a pass of their own, twice: off by
/// 2^-8 of the sum before the bias too.
std::vector<Case> with_rounded_results(std::vector<Case> list) {
  for (std::size_t k = 0, end = list.size(); k < end; ++k)
    if (list[k].buffers[0].dtype == DType::bfloat16) {
      Case c = in_bfloat16(list[k], {"c"});
      c.variant += " result";
      if (c.variant.find("activation") != std::string::npos || c.variant.find("bias") != std::string::npos)
        c.tolerance = c.norm_tolerance = 1.6e-2;
      list.push_back(std::move(c));
    }
  return list;
}

const Registration registration(with_rounded_results(cases()));

}  // namespace
}  // namespace otnfm::cases
