#include "layers/gru_flow.h"

#include "engine/core/flow_ops.h"
#include "layers/configuration.h"

namespace otnfm {
namespace {

constexpr float kAlpha = 0.4f, kBeta = 0.8f;

}  // namespace

GruFlow::GruFlow(const Options& options) : options_(options) {
  if (!bounded_by_one(options.time_function))
    throw InputError(std::string("flow gru: it needs |phi(t)| <= 1, which the time function ") +
                     name_of(options.time_function) + " has not: there are identity, tanh, bounded_fourier");
  std::vector<std::int64_t> widths(options.depth + 2, options.width);
  widths.front() = options.dimension + 1;
  widths.back() = options.dimension;
  blocks_.reserve(options.blocks);
  for (std::int64_t k = 0; k < options.blocks; ++k) {
    const std::string name = "blocks." + std::to_string(k);
    const auto perceptron = [&](const char* which) {
      Mlp f(parameters_, name + which, widths, options.activation, /*zero_last=*/true);
      f.normalise(parameters_, norm_, options.coefficient);
      return f;
    };
    TimeFunctionLayer phi(parameters_, name + ".phi", options.time_function, options.dimension, options.fourier_terms);
    Mlp r = perceptron(".r"), z = perceptron(".z"), u = perceptron(".u");
    blocks_.push_back({phi, std::move(r), std::move(z), std::move(u)});
  }
  norm_.declare(parameters_, "singular_vectors");
}

Tensor GruFlow::forward_block(Tape& tape, std::int64_t k, Tensor t, Tensor x) {
  const Block& block = blocks_[k];
  const float box = static_cast<float>(options_.box);
  const Tensor seen = concat(tape, gru_reset(tape, x, {}, box, kBeta), t);
  const Tensor r = block.r.forward(tape, parameters_, seen, precision, &norm_);
  const Tensor z = block.z.forward(tape, parameters_, seen, precision, &norm_);
  const Tensor remembered = concat(tape, gru_reset(tape, x, r, box, kBeta), t);
  const Tensor u = block.u.forward(tape, parameters_, remembered, precision, &norm_);
  return gru_gate(tape, x, block.phi.forward(tape, parameters_, t), z, u, box, kAlpha);
}

nlohmann::json GruFlow::configuration() const {
  return {{"family", "gru"},
          {"dimension", options_.dimension},
          {"blocks", options_.blocks},
          {"width", options_.width},
          {"depth", options_.depth},
          {"activation", name_of(options_.activation)},
          {"time_function", name_of(options_.time_function)},
          {"fourier_terms", options_.fourier_terms},
          {"coefficient", options_.coefficient},
          {"box", options_.box}};
}

std::unique_ptr<Flow> make_gru_flow(const nlohmann::json& configuration) {
  GruFlow::Options options;
  std::string activation = name_of(options.activation), phi = name_of(options.time_function);
  ConfigurationReader reader(configuration, "flow gru");
  reader.ignore("family");
  reader.integer("dimension", options.dimension, 1, 1 << 20);
  if (options.dimension > 16) options.width = 512;  // as the free flow's for images
  reader.integer("blocks", options.blocks, 1, 1024);
  reader.integer("width", options.width, 1, 1 << 16);
  reader.integer("depth", options.depth, 0, 64);
  reader.text("activation", activation);
  reader.text("time_function", phi);
  reader.integer("fourier_terms", options.fourier_terms, 1, 1024);
  reader.number("coefficient", options.coefficient, 0.01, 0.9999);
  reader.number("box", options.box, 1e-3, 1e6);
  reader.finish();
  options.activation = activation_by_name(activation);
  options.time_function = time_function_by_name(phi);
  return std::make_unique<GruFlow>(options);
}

}  // namespace otnfm
