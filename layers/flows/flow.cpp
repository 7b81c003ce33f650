#include "layers/flows/flow.h"

#include <nlohmann/json.hpp>

#include "engine/core/table.h"
#include "layers/flows/coupling_flow.h"
#include "layers/flows/gru_flow.h"
#include "layers/flows/resnet_flow.h"

namespace otnfm {
namespace {

/// A family by another name: with defaults of its own.
template <std::unique_ptr<Flow> (*make)(const nlohmann::json&)>
std::unique_ptr<Flow> preset(const nlohmann::json& configuration, nlohmann::json defaults) {
  defaults.update(configuration);
  return make(defaults);
}

// Where every layer's norm is bounded, the activations should have slope 1, so that a layer can reach its bound: with
// SiLU the same flow on 8 Gaussians stays at twice the distance.
std::unique_ptr<Flow> make_invertible_resnet_flow(const nlohmann::json& configuration) {
  return preset<make_resnet_flow>(configuration,
                                  {{"invertible", true}, {"blocks", 10}, {"depth", 2}, {"activation", "relu"}});
}

std::unique_ptr<Flow> make_spline_coupling_flow(const nlohmann::json& configuration) {
  return preset<make_coupling_flow>(configuration, {{"transform", "spline"}, {"blocks", 8}});
}

constexpr FlowFamily kFamilies[] = {
    {"resnet", "x <- x + phi(t) g(t, x), several blocks in a row, each g a multilayer perceptron", 2e-3, 20000,
     make_resnet_flow},
    {"resnet-invertible", "the same with every g a contraction: a block is inverted by its fixed point", 6e-3, 8000,
     make_invertible_resnet_flow},
    {"gru", "x <- x + phi(t) z (u - x) with gates z and u: every block contracts, and is inverted by its fixed point",
     1e-2, 5000, make_gru_flow},
    {"coupling", "some columns move by what the others say, in turns: inverse and likelihood in closed form", 4e-3,
     8000, make_coupling_flow},
    {"coupling-spline", "the same, moved by monotone splines and not by affine maps", 2e-3, 8000,
     make_spline_coupling_flow},
};

}  // namespace

Tensor Flow::forward(Tape& tape, Tensor t, Tensor x) {
  for (std::int64_t k = 0; k < block_count(); ++k) x = forward_block(tape, k, t, x);
  return x;
}

Tensor Flow::inverse_block(Tape&, std::int64_t, Tensor, Tensor) {
  throw RunError("this flow has no inverse in closed form");
}

BlockWithLogDet Flow::forward_block_with_log_det(Tape&, std::int64_t, Tensor, Tensor) {
  throw RunError("this flow has no log-determinant in closed form");
}

BlockWithLogDet Flow::inverse_block_with_log_det(Tape&, std::int64_t, Tensor, Tensor) {
  throw RunError("this flow has no log-determinant in closed form");
}

std::span<const FlowFamily> flow_families() {
  return kFamilies;
}

std::unique_ptr<Flow> make_flow(const nlohmann::json& configuration) {
  if (!configuration.is_object() || !configuration.contains("family") || !configuration["family"].is_string())
    throw InputError("a flow's configuration must be an object with a \"family\"");
  return find_by_name(flow_families(), configuration["family"].get<std::string>(), "flow").make(configuration);
}

}  // namespace otnfm
