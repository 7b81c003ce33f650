#include "layers/flows/flow.h"

#include <nlohmann/json.hpp>

#include "engine/core/table.h"
#include "layers/flows/coupling_flow.h"
#include "layers/flows/gru_flow.h"
#include "layers/flows/resnet_flow.h"
#include "layers/flows/unet_flow.h"

namespace otnfm {
namespace {

/// A family by another name: with defaults of its own.
template <std::unique_ptr<Flow> (*make)(const nlohmann::json&), OptionValues (*defaults)()>
std::unique_ptr<Flow> make_preset(const nlohmann::json& configuration) {
  nlohmann::json all = nlohmann::json::object();
  for (const auto& [key, value] : defaults()) all[key] = json_of(value);
  all.update(configuration);
  return make(all);
}

template <std::vector<OptionEntry> (*options)(), OptionValues (*defaults)()>
std::vector<OptionEntry> preset_options() {
  std::vector<OptionEntry> entries = options();
  for (OptionEntry& entry : entries)
    if (const OptionValues own = defaults(); own.contains(entry.key)) {
      entry.standard = own.at(entry.key);
      entry.many = {};
    }
  return entries;
}

// Where every layer's norm is bounded, the activations should have slope 1, so that a layer can reach its bound: with
// SiLU the same flow on 8 Gaussians stays at twice the distance.
OptionValues invertible_resnet() {
  return {{"invertible", true}, {"blocks", 10}, {"depth", 2}, {"activation", "relu"}};
}

OptionValues spline_coupling() {
  return {{"transform", "spline"}, {"blocks", 8}};
}

constexpr FlowFamily kFamilies[] = {
    {.name = "resnet",
     .about = "x <- x + phi(t) g(t, x), several blocks in a row, each g a multilayer perceptron",
     .learning_rate = 2e-3,
     .steps = 20000,
     .make = make_resnet_flow,
     .options = resnet_flow_options,
     .has_velocity = true},
    {.name = "resnet-invertible",
     .about = "the same with every g a contraction: a block is inverted by its fixed point",
     .learning_rate = 6e-3,
     .steps = 8000,
     .make = make_preset<make_resnet_flow, invertible_resnet>,
     .options = preset_options<resnet_flow_options, invertible_resnet>},
    {.name = "gru",
     .about = "x <- x + phi(t) z (u - x) with gates z and u: every block contracts, and is inverted by its fixed point",
     .learning_rate = 1e-2,
     .steps = 5000,
     .make = make_gru_flow,
     .options = gru_flow_options},
    {.name = "coupling",
     .about = "some columns move by what the others say, in turns: inverse and likelihood in closed form",
     .learning_rate = 4e-3,
     .steps = 8000,
     .make = make_coupling_flow,
     .options = coupling_flow_options},
    {.name = "coupling-spline",
     .about = "the same, moved by monotone splines and not by affine maps",
     .learning_rate = 2e-3,
     .steps = 8000,
     .make = make_preset<make_coupling_flow, spline_coupling>,
     .options = preset_options<coupling_flow_options, spline_coupling>},
    {.name = "unet",
     .about = "x + t g(t, x), g a U-Net: for images",
     .learning_rate = 1e-3,
     .steps = 8000,
     .make = make_unet_flow,
     .options = unet_flow_options,
     .has_velocity = true,
     .image_preset = unet_preset},
};

}  // namespace

Tensor Flow::forward(Tape& tape, Tensor t, Tensor x) {
  for (std::int64_t k = 0; k < block_count(); ++k) x = forward_block(tape, k, t, x);
  return x;
}

Tensor Flow::velocity(Tape&, Tensor, Tensor) {
  throw RunError("this flow has no velocity");
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
