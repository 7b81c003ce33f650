#include "layers/flows/resnet_flow.h"

#include "engine/core/ops/resnet_flow.h"
#include "layers/flows/shared_keys.h"

namespace otnfm {
namespace {

constexpr OptionField<ResNetFlow::Options> kResNetOwnOptions[] = {
    {.key = "invertible",
     .member = &ResNetFlow::Options::invertible,
     .help = "every g is a contraction: a block is inverted by its fixed point"},
    {.key = "coefficient",
     .member = &ResNetFlow::Options::coefficient,
     .help = "Lipschitz bound of an invertible flow's g",
     .range = {0.01, 0.9999}},
};
constexpr auto kResNetOptions = flow_table(kResNetOwnOptions, /*depth of images*/ 2.0);

}  // namespace

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

ResNetFlowShape ResNetFlow::shape() const {
  const bool phi_has_terms = is_fourier(options_.time_function);
  const bool phi_has_weights = options_.time_function != TimeFunctionKind::identity;
  return {.dimension = options_.dimension,
          .blocks = options_.blocks,
          .width = options_.width,
          .depth = options_.depth,
          .phi_weights = phi_has_terms ? 2 * options_.fourier_terms : (phi_has_weights ? 1 : 0),
          .activation = options_.activation,
          .phi = options_.time_function};
}

Tensor ResNetFlow::packed_weights(Tape& tape) {
  if (fixed_ && !tape.learns()) return tape.external(fixed_weights_);
  const Scope s = scope(tape, options_.invertible ? &norm_ : nullptr);
  std::vector<ResNetBlockWeights> weights(blocks_.size());
  for (std::size_t k = 0; k < blocks_.size(); ++k) {
    weights[k].phi = blocks_[k].phi.weight(s);
    for (const Linear& layer : blocks_[k].g.layers()) {
      weights[k].weights.push_back(s.weight(layer.weight()));
      weights[k].biases.push_back(s.parameter(layer.bias()));
    }
  }
  return pack_resnet_weights(tape, shape(), weights);
}

void ResNetFlow::fix_weights() {
  if (options_.invertible) norm_.fix(parameters_);
  if (fixed_ || !resnet_flow_fits(shape())) return;
  auto tape = std::make_unique<Tape>(parameters_.device(), Tape::Options{.training = false});
  const Tensor packed = packed_weights(*tape);
  tape->keep(packed);
  tape->plan();
  Stream stream(parameters_.device());
  tape->run(stream);
  stream.synchronize();
  fixed_weights_ = tape->view(packed);
  fixed_ = std::move(tape);
}

Tensor ResNetFlow::forward(Tape& tape, Tensor t, Tensor x) {
  if (!one_kernel || !resnet_flow_fits(shape())) return Flow::forward(tape, t, x);
  return fused_resnet(tape, shape(), t, x, packed_weights(tape), precision);
}

Tensor ResNetFlow::forward_block(Tape& tape, std::int64_t k, Tensor t, Tensor x) {
  const Block& block = blocks_[k];
  const Scope s = scope(tape, options_.invertible ? &norm_ : nullptr);
  const Tensor g = block.g(s, concat(tape, x, t));
  return residual(tape, x, options_.time_function, t, block.phi.weight(s), g);
}

Tensor ResNetFlow::velocity(Tape& tape, Tensor t, Tensor x) {
  const Scope s = scope(tape, options_.invertible ? &norm_ : nullptr);
  Tensor at = x, total;
  for (const Block& block : blocks_) {
    if (total.defined()) at = add(tape, x, total);
    const Tensor g = block.g(s, concat(tape, at, t));
    total = total.defined() ? add(tape, total, g) : g;
  }
  return total;
}

nlohmann::json ResNetFlow::configuration() const {
  return flow_configuration("resnet", kResNetOptions, options_);
}

std::unique_ptr<Flow> make_resnet_flow(const nlohmann::json& configuration) {
  return std::make_unique<ResNetFlow>(read_flow_options(kResNetOptions, configuration, "flow resnet"));
}

std::vector<OptionEntry> resnet_flow_options() {
  return entries_of(kResNetOptions);
}

}  // namespace otnfm
