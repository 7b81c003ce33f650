#include "layers/flows/pull_flow.h"

#include "layers/flows/shared_keys.h"

namespace otnfm {
namespace {

constexpr OptionField<PullFlow::Options> kPullOwnOptions[] = {
    {.key = "pull",
     .member = &PullFlow::Options::pull,
     .help = "towards 0, as a share of a block's phi",
     .range = {0, 1}},
};
constexpr auto kPullOptions = flow_table(kPullOwnOptions);

}  // namespace

PullFlow::PullFlow(const Options& options) : options_(options) {
  std::vector<std::int64_t> widths(options.depth + 2, options.width);
  widths.front() = options.dimension + 1;
  widths.back() = options.dimension;
  for (std::int64_t k = 0; k < options.blocks; ++k) {
    const std::string name = "blocks." + std::to_string(k);
    blocks_.push_back(
        {TimeFunctionLayer(parameters_, name + ".phi", options.time_function, options.dimension, options.fourier_terms),
         Mlp(parameters_, name + ".g", widths, options.activation, /*zero_last=*/true)});
  }
}

Tensor PullFlow::forward_block(Tape& tape, std::int64_t k, Tensor t, Tensor x) {
  const Block& block = blocks_[k];
  const Scope s = scope(tape);
  const Tensor g = block.g(s, concat(tape, x, t));
  const Tensor pulled = add(tape, g, scale(tape, x, -static_cast<float>(options_.pull)));
  return residual(tape, x, options_.time_function, t, block.phi.weight(s), pulled);
}

nlohmann::json PullFlow::configuration() const {
  return flow_configuration("pull", kPullOptions, options_);
}

std::unique_ptr<Flow> make_pull_flow(const nlohmann::json& configuration) {
  return std::make_unique<PullFlow>(read_flow_options(kPullOptions, configuration, "flow pull"));
}

std::vector<OptionEntry> pull_flow_options() {
  return entries_of(kPullOptions);
}

}  // namespace otnfm
