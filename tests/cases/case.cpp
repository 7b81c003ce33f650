#include "tests/cases/case.h"

#include <algorithm>
#include <cmath>

namespace otnfm::cases {
namespace {

std::vector<Case>& registry() {
  static std::vector<Case> cases;
  return cases;
}

}  // namespace

const std::vector<Case>& all() {
  return registry();
}

Registration::Registration(std::vector<Case> cases) {
  for (Case& c : cases) registry().push_back(std::move(c));
}

Case in_bfloat16(Case c, const std::vector<std::string>& buffers) {
  c.variant += " bf16";
  double bytes = 0;
  for (Buffer& b : c.buffers) {
    if (std::find(buffers.begin(), buffers.end(), b.name) == buffers.end()) continue;
    b.dtype = DType::bfloat16;
    double n = 1;
    for (std::int64_t size : b.shape) n *= static_cast<double>(size);
    bytes += (b.role == Role::in_out ? 4 : 2) * n;
    if (b.role != Role::input) c.tolerance = c.norm_tolerance = 4e-3;
  }
  c.bytes -= bytes;
  return c;
}

Reference gradient_of(Gradient gradient) {
  return [gradient](Values& values) {
    const auto objective = [&](Values& trial) {
      gradient.forward(trial);
      double sum = 0;
      for (const auto& [output, upstream] : gradient.outputs)
        for (std::size_t i = 0; i < trial.at(output).size(); ++i) sum += trial.at(output)[i] * values.at(upstream)[i];
      return sum;
    };
    Values trial = values;
    for (const auto& [output, upstream] : gradient.outputs) trial[output].resize(values.at(upstream).size());
    for (const auto& [input, derivative] : gradient.inputs) {
      std::vector<double>& x = trial.at(input);
      for (std::size_t i = 0; i < x.size(); ++i) {
        const double kept = x[i], h = gradient.step * std::max(1.0, std::abs(kept));
        x[i] = kept + h;
        const double above = objective(trial);
        x[i] = kept - h;
        const double below = objective(trial);
        x[i] = kept;
        values.at(derivative)[i] = (above - below) / (2 * h);
      }
    }
  };
}

}  // namespace otnfm::cases
