// What a caller asks for in place of a model's own way of sampling.
#pragma once

#include <cstdint>
#include <string>

namespace otnfm {

/// For models of a velocity, whose samples are made by steps.
struct SamplerChoice {
  std::string method = {};  ///< "euler" or "midpoint"; empty: the model's
  std::int64_t steps = 0;   ///< a sample; 0: the model's

  bool empty() const { return method.empty() && steps == 0; }
};

}  // namespace otnfm
