// The data that a model was trained on, found again.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "engine/data/dataset.h"

namespace otnfm {

struct ModelData {
  Dataset data;
  std::string spec;         ///< as open_dataset() took it
  bool trained_on = false;  ///< its rows (or what is not held out of them) are those that the model was trained on
  bool held_out = false;    ///< its test split are rows that the training was kept from (`train --hold-out`)
};

/// What `spec` names, or where it is empty the model's own data. InputError as of open_dataset(), which for the model's
/// own data says that --data tells where they lie now.
ModelData open_model_data(const nlohmann::json& configuration, const std::string& spec);

}  // namespace otnfm
