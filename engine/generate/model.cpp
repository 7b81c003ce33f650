#include "engine/generate/model.h"

namespace otnfm {

Shape Model::sample_shape() const {
  const auto found = configuration.find("sample_shape");
  return found == configuration.end() ? flow->sample_shape() : found->get<Shape>();
}

std::string Model::title() const {
  return configuration["source"].get<std::string>() + " \u2192 " + configuration["data"].get<std::string>();
}

Model model_of(const Flow& flow, const Source& source, nlohmann::json configuration, Stream& stream) {
  Model model{.flow = make_flow(flow.configuration()), .source = source, .configuration = std::move(configuration)};
  Parameters& parameters = model.flow->parameters();
  parameters.allocate(stream.device(), 0, /*training=*/false);
  const View<float> from = flow.parameters().averages(), to = parameters.values();
  copy_bytes(stream, to.data, from.data, static_cast<std::size_t>(to.size()) * sizeof(float));
  stream.synchronize();
  model.flow->fix_weights();
  model.flow->coordinates = flow.coordinates;
  return model;
}

}  // namespace otnfm
