#include "engine/generate/model_data.h"

#include <nlohmann/json.hpp>

#include "kernels/error.h"

namespace otnfm {

ModelData open_model_data(const nlohmann::json& configuration, const std::string& spec) {
  const std::string own = configuration.at("data").get<std::string>();
  const auto open = [&] {
    if (!spec.empty()) return open_dataset(spec);
    try {
      return open_dataset(own);
    } catch (const InputError& error) {
      throw InputError(std::string(error.what()) +
                       " (the model was trained on it: --data says where the data are now)");
    }
  };
  ModelData result{.data = open(), .spec = spec.empty() ? own : spec};
  const nlohmann::json training = configuration.value("training", nlohmann::json::object());
  const auto checksum = configuration.find("data_checksum");
  // Without a checksum, of models that know none, the name has to do.
  result.trained_on = checksum != configuration.end() && checksum->is_number_unsigned()
                          ? !result.data.endless() && *checksum == result.data.checksum()
                          : !result.data.endless() && result.spec == own;
  if (!result.trained_on || !training.is_object()) return result;
  const auto share = training.find("hold_out"), seed = training.find("seed");
  if (share == training.end() || !share->is_number() || seed == training.end() || !seed->is_number_unsigned())
    return result;
  if (share->get<double>() > 0) {
    result.data = result.data.hold_out(share->get<double>(), seed->get<std::uint64_t>());
    result.held_out = true;
  }
  return result;
}

}  // namespace otnfm
