#include "layers/flows/gru_flow.h"

#include <algorithm>

#include "engine/core/ops/flow_ops.h"
#include "layers/flows/shared_keys.h"

namespace otnfm {
namespace {

constexpr float kBeta = 0.8f;

constexpr OptionField<GruFlow::Options> kGruOwnOptions[] = {
    {.key = "coefficient",
     .member = &GruFlow::Options::coefficient,
     .help = "Lipschitz bound of a block's residual",
     .range = {0.5, 0.9999}},
    {.key = "alpha", .member = &GruFlow::Options::alpha, .help = "the largest gate", .range = {0.001, 0.4}},
    {.key = "box", .member = &GruFlow::Options::box, .help = "the data lie well within +-box", .range = {1e-3, 1e6}},
};
constexpr auto kGruOptions = flow_table(kGruOwnOptions);

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
  const Scope s = scope(tape, &norm_);
  const float box = static_cast<float>(options_.box);
  const Tensor seen = concat(tape, gru_reset(tape, x, {}, box, kBeta), t);
  const Tensor r = block.r(s, seen);
  const Tensor z = block.z(s, seen);
  const Tensor remembered = concat(tape, gru_reset(tape, x, r, box, kBeta), t);
  const Tensor u = block.u(s, remembered);
  return gru_gate(tape, x, block.phi(s, t), z, u, box, static_cast<float>(options_.alpha));
}

nlohmann::json GruFlow::configuration() const {
  return flow_configuration("gru", kGruOptions, options_);
}

std::unique_ptr<Flow> make_gru_flow(const nlohmann::json& configuration) {
  return std::make_unique<GruFlow>(read_flow_options(kGruOptions, configuration, "flow gru"));
}

std::vector<OptionEntry> gru_flow_options() {
  return entries_of(kGruOptions);
}

}  // namespace otnfm
