// The reference is the formula of method and header, row by row, in double; that of the backward is made from it by
// central differences. Those see nothing of bfloat16, whose backward has a reference of its own
// (reference_resnet_flow.h; without rounding, tests/kernels/resnet_flow.cpp holds it against the differences), at rows
// where no operand is next to the middle between two bfloat16 numbers.
#include "kernels/resnet_flow.h"

#include <cmath>

#include "kernels/memory.h"
#include "tests/cases/case.h"
#include "tests/cases/reference_resnet_flow.h"

namespace otnfm::cases {
namespace {

double as_operand(double x, bool rounded) {
  return rounded ? static_cast<double>(static_cast<float>(bfloat16(static_cast<float>(x)))) : x;
}

Reference forward(ResNetFlowShape s, std::int64_t B, bool rounded = false) {
  return [=](Values& v) {
    const std::int64_t d = s.dimension;
    for (std::int64_t b = 0; b < B; ++b) {
      std::vector<double> x(v["x"].begin() + b * d, v["x"].begin() + (b + 1) * d);
      const double* w = v["weights"].data();
      for (std::int64_t k = 0; k < s.blocks; ++k) {
        const double* const phi = w;
        w += s.phi_weights * d;
        std::vector<double> h = x;
        h.push_back(v["t"][b]);
        for (std::int64_t l = 0; l <= s.depth; ++l) {
          const std::size_t out = static_cast<std::size_t>(l == s.depth ? d : s.width);
          std::vector<double> z(out);
          for (std::size_t o = 0; o < out; ++o) {
            z[o] = w[out * h.size() + o];
            for (std::size_t i = 0; i < h.size(); ++i)
              z[o] += as_operand(w[o * h.size() + i], rounded) * as_operand(h[i], rounded);
            if (l < s.depth) z[o] = activated(s.activation, z[o]);
          }
          w += out * (h.size() + 1);
          h = z;
        }
        for (std::int64_t j = 0; j < d; ++j)
          x[j] += time_function_at(s.phi, phi + j, d, s.phi_weights, v["t"][b]) * h[j];
      }
      std::copy(x.begin(), x.end(), v["y"].begin() + b * d);
    }
  };
}

struct Shape {
  std::int64_t B;
  ResNetFlowShape flow;
};

std::int64_t weights_of_phi(TimeFunctionKind phi) {
  return phi == TimeFunctionKind::identity ? 0 : (is_fourier(phi) ? 4 : 1);
}

Shape shape(std::int64_t B, std::int64_t d, std::int64_t blocks, std::int64_t width, std::int64_t depth,
            Activation activation = Activation::silu, TimeFunctionKind phi = TimeFunctionKind::tanh) {
  return {B,
          {.dimension = d,
           .blocks = blocks,
           .width = width,
           .depth = depth,
           .phi_weights = weights_of_phi(phi),
           .activation = activation,
           .phi = phi}};
}

std::vector<Buffer> inputs(const Shape& s) {
  const double scale = 1 / std::sqrt(static_cast<double>(std::max<std::int64_t>(4, s.flow.width)));
  return {{"t", Role::input, {s.B}, DType::float32, Fill::uniform(0, 1)},
          {"x", Role::input, {s.B, s.flow.dimension}, DType::float32, terms(s.B * s.flow.dimension)},
          {"weights", Role::input, {s.flow.weight_count()}, DType::float32, Fill::uniform(-scale, 2 * scale)}};
}

Reference gradient(const ResNetFlowShape& s, std::int64_t B) {
  const Reference by_differences = gradient_of(
      {.forward = forward(s, B), .outputs = {{"y", "dy"}}, .inputs = {{"x", "dx"}, {"weights", "dweights"}}});
  return [=](Values& v) {
    by_differences(v);
    forward(s, B)(v);
  };
}

Reference rounded_gradient(ResNetFlowShape s, std::int64_t B) {
  return [=](Values& v) {
    const std::int64_t d = s.dimension;
    ResNetFlowRow row(s, v["weights"].data(), true);
    v["dweights"].assign(static_cast<std::size_t>(s.weight_count()), 0);
    for (std::int64_t b = 0; b < B; ++b) {
      const std::vector<double> y = row.forward(v["t"][b], v["x"].data() + b * d);
      const std::vector<double> dx = row.backward(v["dy"].data() + b * d, 0, v["dweights"].data());
      std::copy(y.begin(), y.end(), v["y"].begin() + b * d);
      std::copy(dx.begin(), dx.end(), v["dx"].begin() + b * d);
    }
  };
}

/// Rows that are not well conditioned get another x and dy.
std::function<void(Values&, std::mt19937_64&)> draw_rows_again(ResNetFlowShape s) {
  return [=](Values& v, std::mt19937_64& random) {
    const std::int64_t d = s.dimension;
    const bool few = v["x"].size() < 64;  // as terms()
    std::uniform_real_distribution<float> uniform(0.5, 1.5);
    std::normal_distribution<float> normal;
    ResNetFlowRow row(s, v["weights"].data(), true);
    for (std::size_t b = 0; b < v["t"].size(); ++b) {
      double *const x = v["x"].data() + b * d, *const dy = v["dy"].data() + b * d;
      const auto draw = [&] { return few ? uniform(random) : normal(random); };
      for (int k = 0; !row.is_well_conditioned(v["t"][b], x, dy); ++k) {
        if (k == 10000) throw InputError("no row is well conditioned");
        for (std::int64_t j = 0; j < d; ++j) x[j] = draw(), dy[j] = draw();
      }
      // The time function's gradient is a sum over all rows of dy (y - x) or so, which may cancel to a tenth of what is
      // left of it elsewhere: turned to one sign it does not, and a row is as well conditioned either way round.
      const std::vector<double> y = row.forward(v["t"][b], x);
      double along = 0;
      for (std::int64_t j = 0; j < d; ++j) along += dy[j] * (y[static_cast<std::size_t>(j)] - x[j]);
      if (along < 0)
        for (std::int64_t j = 0; j < d; ++j) dy[j] = -dy[j];
    }
  };
}

/// Rows with a sum next to relu's kink, where finite differences tell another slope, get another x.
std::function<void(Values&, std::mt19937_64&)> draw_off_kinks(ResNetFlowShape s) {
  return [=](Values& v, std::mt19937_64& random) {
    const std::int64_t d = s.dimension;
    std::uniform_real_distribution<float> uniform(0.5, 1.5);
    std::normal_distribution<float> normal;
    const bool few = v["x"].size() < 64;  // as terms()
    ResNetFlowRow row(s, v["weights"].data(), false);
    for (std::size_t b = 0; b < v["t"].size(); ++b) {
      double* const x = v["x"].data() + b * d;
      const auto is_clear = [&] { return row.forward(v["t"][b], x), row.is_clear_of_kinks(); };
      for (int k = 0; !is_clear(); ++k) {
        if (k == 10000) throw InputError("no row is clear of kinks");
        for (std::int64_t j = 0; j < d; ++j) x[j] = few ? uniform(random) : normal(random);
      }
    }
  };
}

double flops_of(const Shape& s) {
  double products = 0;
  for (std::int64_t l = 0; l <= s.flow.depth; ++l)
    products += static_cast<double>(s.flow.inputs(l) * s.flow.outputs(l));
  return 2.0 * static_cast<double>(s.B * s.flow.blocks) * products;
}

double bytes_of(const Shape& s) {
  return 4.0 * static_cast<double>(s.B * (2 * s.flow.dimension + 1));
}

std::vector<Case> cases() {
  std::vector<Case> list;
  const auto text = [](const Shape& s) {
    const ResNetFlowShape& f = s.flow;
    return label({s.B, f.dimension, f.blocks, f.width, f.depth}) + " a" +
           std::to_string(static_cast<int>(f.activation)) + " p" + std::to_string(static_cast<int>(f.phi));
  };
  const auto add_forward = [&](const Shape& s, bool bench) {
    const ResNetFlowShape& f = s.flow;
    std::vector<Buffer> buffers = inputs(s);
    buffers.push_back({"y", Role::output, {s.B, f.dimension}});
    for (const bool packed : {false, true})
      for (const Precision precision : {Precision::float32, Precision::bfloat16}) {
        const bool rounded = rounds(precision);
        if (bench && packed) continue;  // latency is timed by bench_engine
        list.push_back({.op = "resnet_flow_forward",
                        .variant = text(s) + (rounded ? " bf16" : "") + (packed ? " packed" : ""),
                        .buffers = buffers,
                        .run =
                            [=](Stream& stream, const Buffers& b) {
                              ResNetFlowForward call{.t = b.in("t"),
                                                     .x = b.in("x"),
                                                     .weights = b.in("weights"),
                                                     .y = b.out("y"),
                                                     .shape = s.flow,
                                                     .precision = precision};
                              // A CUDA kernel takes the weights as they are.
                              const bool packs = packed && !stream.on_cuda();
                              const std::int64_t size = packs ? resnet_flow_packed_bytes(s.flow) : 0;
                              const Memory memory(Device::cpu, size, "packed weights");
                              const View<std::uint8_t> to(reinterpret_cast<std::uint8_t*>(memory.data()), {size});
                              if (packs) {
                                cpu::resnet_flow_pack(s.flow, b.in("weights").data, precision, to.data);
                                call.packed = to;
                              }
                              resnet_flow_forward(stream, call);
                            },
                        .reference = forward(f, s.B, rounded),
                        // An operand next to the middle between two bfloat16 numbers may round either way.
                        .tolerance = rounded ? 2e-2 : 2e-6,
                        .norm_tolerance = rounded ? 4e-3 : 1e-6,
                        .bytes = bytes_of(s),
                        .flops = flops_of(s),
                        .bench = bench});
      }
  };
  const auto add_backward = [&](const Shape& s, bool rounded, bool bench) {
    const Precision precision = rounded ? Precision::bfloat16 : Precision::float32;
    const ResNetFlowShape& f = s.flow;
    std::vector<Buffer> buffers = inputs(s);
    buffers.push_back({"dy", Role::input, {s.B, f.dimension}, DType::float32, terms(s.B * f.dimension)});
    buffers.push_back({"y", Role::output, {s.B, f.dimension}});
    buffers.push_back({"dx", Role::output, {s.B, f.dimension}});
    buffers.push_back({"dweights", Role::output, {f.weight_count()}});
    list.push_back(
        {.op = "resnet_flow_backward",
         .variant = text(s) + (rounded ? " bf16" : ""),
         .buffers = buffers,
         .run =
             [=](Stream& stream, const Buffers& b) {
               const std::int64_t kept_bytes = resnet_flow_kept_bytes(s.flow, s.B, precision);
               const std::int64_t scratch_bytes = resnet_flow_scratch_bytes(s.flow, s.B);
               const Memory kept_memory(stream.device(), kept_bytes, "kept");
               const Memory scratch(stream.device(), scratch_bytes, "scratch");
               const View<std::uint8_t> kept(reinterpret_cast<std::uint8_t*>(kept_memory.data()), {kept_bytes});
               resnet_flow_forward(stream, {.t = b.in("t"),
                                            .x = b.in("x"),
                                            .weights = b.in("weights"),
                                            .y = b.out("y"),
                                            .kept = kept,
                                            .shape = s.flow,
                                            .precision = precision});
               resnet_flow_backward(stream, {.t = b.in("t"),
                                             .dy = b.in("dy"),
                                             .weights = b.in("weights"),
                                             .kept = kept,
                                             .dweights = b.out("dweights"),
                                             .dx = b.out("dx"),
                                             .scratch = View<std::uint8_t>(
                                                 reinterpret_cast<std::uint8_t*>(scratch.data()), {scratch_bytes}),
                                             .shape = s.flow,
                                             .precision = precision});
             },
         .reference = rounded ? rounded_gradient(f, s.B) : gradient(f, s.B),
         .draw_again = bench                              ? nullptr
                       : rounded                          ? draw_rows_again(f)
                       : f.activation == Activation::relu ? draw_off_kinks(f)
                                                          : nullptr,
         .tolerance = 2e-5,
         .norm_tolerance = 2e-6,
         .bytes = 3 * bytes_of(s),
         .flops = 3 * flops_of(s),
         .bench = bench});
  };
  const auto add = [&](const Shape& s, bool bench) {
    add_forward(s, bench);
    for (const bool rounded : {false, true}) add_backward(s, rounded, bench);
  };
  for (int k = 0; k <= static_cast<int>(Activation::softplus); ++k)
    add(shape(5, 3, 2, 9, 2, static_cast<Activation>(k)), false);
  for (int k = 0; k <= static_cast<int>(TimeFunctionKind::bounded_fourier); ++k)
    add(shape(7, 2, 2, 5, 1, Activation::silu, static_cast<TimeFunctionKind>(k)), false);
  add(shape(0, 2, 1, 4, 1), false);
  add(shape(1, 1, 1, 1, 0), false);
  add(shape(1, 2, 1, 1, 1), false);
  add(shape(31, 2, 2, 16, 1), false);
  add(shape(33, 1, 1, 7, 3), false);
  add(shape(257, 2, 1, 6, 1), false);
  add(shape(3, 33, 1, 17, 1), false);
  add(shape(2, 64, 1, 8, 0), false);
  add_forward(shape(65, 2, 1, 70, 2), false);  // gradients by finite differences would take minutes
  add_forward(shape(2, 64, 2, 128, 1), false);
  add_backward(shape(65, 2, 1, 70, 2), true, false);
  add_backward(shape(2, 64, 2, 128, 1), true, false);
  add_backward(shape(33, 3, 4, 64, 3), true, false);
  add_backward(shape(257, 1, 1, 33, 2), true, false);
  add(shape(256, 2, 4, 64, 3), true);
  add(shape(4096, 2, 4, 64, 3), true);
  add(shape(4096, 2, 4, 128, 3), true);
  return list;
}

const Registration registration(cases());

}  // namespace
}  // namespace otnfm::cases
