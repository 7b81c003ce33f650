#include "layers/time_function.h"

#include <span>

#include "engine/core/table.h"

namespace otnfm {
namespace {

struct NamedTimeFunction {
  const char* name;
  TimeFunctionKind kind;
};

constexpr NamedTimeFunction kTimeFunctions[] = {
    {"identity", TimeFunctionKind::identity}, {"linear", TimeFunctionKind::linear},
    {"tanh", TimeFunctionKind::tanh},         {"log", TimeFunctionKind::log},
    {"fourier", TimeFunctionKind::fourier},   {"bounded_fourier", TimeFunctionKind::bounded_fourier},
};

}  // namespace

TimeFunctionKind time_function_by_name(const std::string& name) {
  return find_by_name(std::span<const NamedTimeFunction>(kTimeFunctions), name, "time function").kind;
}

std::vector<OptionWord> time_function_words() {
  return words_of(std::span<const NamedTimeFunction>(kTimeFunctions));
}

const char* name_of(TimeFunctionKind kind) {
  for (const NamedTimeFunction& entry : kTimeFunctions)
    if (entry.kind == kind) return entry.name;
  return "unknown";
}

bool bounded_by_one(TimeFunctionKind kind) {
  return kind == TimeFunctionKind::identity || kind == TimeFunctionKind::tanh ||
         kind == TimeFunctionKind::bounded_fourier;
}

TimeFunctionLayer::TimeFunctionLayer(Parameters& parameters, const std::string& name, TimeFunctionKind kind,
                                     std::int64_t d, std::int64_t terms)
    : kind_(kind), d_(d) {
  switch (kind) {
    case TimeFunctionKind::identity:
      return;
    case TimeFunctionKind::linear:
    case TimeFunctionKind::tanh:
      weight_ = parameters.add(name, {1, d}, Initial::constant(1.0), false);
      return;
    case TimeFunctionKind::log:
      weight_ = parameters.add(name, {1, d}, Initial::constant(0.0), false);
      return;
    case TimeFunctionKind::fourier:
    case TimeFunctionKind::bounded_fourier:
      if (terms < 1)
        throw InputError(name + ": a Fourier time function needs at least one term, not " + std::to_string(terms));
      weight_ = parameters.add(name, {2 * terms, d}, Initial::normal(1.0), false);
      return;
  }
}

Tensor TimeFunctionLayer::operator()(const Scope& s, Tensor t) const {
  return time_function(s.tape, kind_, t, weight(s), d_);
}

}  // namespace otnfm
