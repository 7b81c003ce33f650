#include "layers/resnet_flow.h"

#include "engine/core/fused_resnet.h"
#include "layers/configuration.h"

namespace otnfm {

ResNetFlow::ResNetFlow(const Options& options) : options_(options) {
  if (options.invertible && !bounded_by_one(options.time_function))
    throw InputError(std::string("flow resnet: an invertible flow needs |phi(t)| <= 1, which the time function ") +
                     name_of(options.time_function) + " has not: there are identity, tanh, bounded_fourier");
  std::vector<std::int64_t> widths(options.depth + 2, options.width);
  widths.front() = options.dimension + 1;
  widths.back() = options.dimension;
  for (std::int64_t k = 0; k < options.blocks; ++k) {
    const std::string name = "blocks." + std::to_string(k);
    blocks_.push_back(
        {TimeFunctionLayer(parameters_, name + ".phi", options.time_function, options.dimension, options.fourier_terms),
         Mlp(parameters_, name + ".g", widths, options.activation, /*zero_last=*/true)});
    if (options.invertible) blocks_.back().g.normalise(parameters_, norm_, options.coefficient);
  }
  if (options.invertible) norm_.declare(parameters_, "singular_vectors");
}

Tensor ResNetFlow::forward(Tape& tape, Tensor t, Tensor x) {
  const bool phi_has_terms = is_fourier(options_.time_function);
  const bool phi_has_weights = options_.time_function != TimeFunctionKind::identity;
  const ResNetFlowShape shape = {.dimension = options_.dimension,
                                 .blocks = options_.blocks,
                                 .width = options_.width,
                                 .depth = options_.depth,
                                 .phi_weights = phi_has_terms ? 2 * options_.fourier_terms : (phi_has_weights ? 1 : 0),
                                 .activation = options_.activation,
                                 .phi = options_.time_function};
  // The kernel takes the weights as they are, and those of an invertible flow are normalised first.
  if (options_.invertible || !one_kernel || !fused_resnet_fits(tape, shape, precision))
    return Flow::forward(tape, t, x);
  std::vector<ResNetBlockWeights> weights(blocks_.size());
  for (std::size_t k = 0; k < blocks_.size(); ++k) {
    weights[k].phi = blocks_[k].phi.weight(tape, parameters_);
    for (const Linear& layer : blocks_[k].g.layers()) {
      weights[k].weights.push_back(tape.parameter(parameters_, layer.weight()));
      weights[k].biases.push_back(tape.parameter(parameters_, layer.bias()));
    }
  }
  return fused_resnet(tape, shape, t, x, weights, precision);
}

Tensor ResNetFlow::forward_block(Tape& tape, std::int64_t k, Tensor t, Tensor x) {
  const Block& block = blocks_[k];
  const Tensor phi = block.phi.forward(tape, parameters_, t);
  const Tensor g =
      block.g.forward(tape, parameters_, concat(tape, x, t), precision, options_.invertible ? &norm_ : nullptr);
  return residual(tape, x, phi, g);
}

nlohmann::json ResNetFlow::configuration() const {
  return {{"family", "resnet"},
          {"dimension", options_.dimension},
          {"blocks", options_.blocks},
          {"width", options_.width},
          {"depth", options_.depth},
          {"activation", name_of(options_.activation)},
          {"time_function", name_of(options_.time_function)},
          {"fourier_terms", options_.fourier_terms},
          {"invertible", options_.invertible},
          {"coefficient", options_.coefficient}};
}

std::unique_ptr<Flow> make_resnet_flow(const nlohmann::json& configuration) {
  ResNetFlow::Options options;
  std::string activation = name_of(options.activation), phi = name_of(options.time_function);
  ConfigurationReader reader(configuration, "flow resnet");
  reader.ignore("family");
  reader.integer("dimension", options.dimension, 1, 1 << 20);
  reader.integer("blocks", options.blocks, 1, 1024);
  reader.integer("width", options.width, 1, 1 << 16);
  reader.integer("depth", options.depth, 0, 64);
  reader.text("activation", activation);
  reader.text("time_function", phi);
  reader.integer("fourier_terms", options.fourier_terms, 1, 1024);
  reader.boolean("invertible", options.invertible);
  reader.number("coefficient", options.coefficient, 0.01, 0.9999);
  reader.finish();
  options.activation = activation_by_name(activation);
  options.time_function = time_function_by_name(phi);
  return std::make_unique<ResNetFlow>(options);
}

}  // namespace otnfm
