#include "layers/flows/gru_flow.h"

#include <algorithm>

#include "engine/core/flow_ops.h"
#include "layers/flows/shared_keys.h"

namespace otnfm {
namespace {

constexpr float kBeta = 0.8f;

}  // namespace

GruFlow::GruFlow(const Options& options) : options_(options) {
  if (!bounded_by_one(options.time_function))
    throw InputError(std::string("flow gru: it needs |phi(t)| <= 1, which the time function ") +
                     name_of(options.time_function) + " has not: there are identity, tanh, bounded_fourier");
  std::vector<std::int64_t> widths(options.depth + 2, options.width);
  widths.front() = options.dimension + 1;
  widths.back() = options.dimension;
  // What the residual's bound leaves to f_z and f_u (the header's inequality): f_u, which moves, has nine tenths of it.
  const double left = options.coefficient / options.alpha - 1;
  blocks_.reserve(options.blocks);
  for (std::int64_t k = 0; k < options.blocks; ++k) {
    const std::string name = "blocks." + std::to_string(k);
    const auto perceptron = [&](const char* which, double most) {
      Mlp f(parameters_, name + which, widths, options.activation, /*zero_last=*/true);
      f.normalise(parameters_, norm_, most);
      return f;
    };
    TimeFunctionLayer phi(parameters_, name + ".phi", options.time_function, options.dimension, options.fourier_terms);
    Mlp r = perceptron(".r", 1 / options.box), z = perceptron(".z", 0.2 * left / options.box),
        u = perceptron(".u", 0.9 * left / options.box);
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
  return gru_gate(tape, x, block.phi.forward(tape, parameters_, t), z, u, box, static_cast<float>(options_.alpha));
}

nlohmann::json GruFlow::configuration() const {
  nlohmann::json all = shared_keys("gru", options_);
  all["coefficient"] = options_.coefficient;
  all["alpha"] = options_.alpha;
  all["box"] = options_.box;
  return all;
}

std::unique_ptr<Flow> make_gru_flow(const nlohmann::json& configuration) {
  GruFlow::Options options;
  ConfigurationReader reader(configuration, "flow gru");
  reader.integer("dimension", options.dimension, 1, 1 << 20);
  if (options.dimension > 16) options.width = 512;  // as the free flow's for images
  read_shared_keys(reader, options);
  reader.number("coefficient", options.coefficient, 0.5, 0.9999);
  reader.number("alpha", options.alpha, 0.001, 0.4);
  reader.number("box", options.box, 1e-3, 1e6);
  reader.finish();
  return std::make_unique<GruFlow>(options);
}

}  // namespace otnfm
