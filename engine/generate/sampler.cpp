#include "engine/generate/sampler.h"

#include <nlohmann/json.hpp>
#include <span>
#include <string>

#include "engine/core/table.h"
#include "kernels/error.h"

namespace otnfm {
namespace {

constexpr const char *kMap = "map", *kSamplerKey = "sampler";

struct NamedMethod {
  const char* name;
  Integration::Method method;
};
constexpr NamedMethod kMethods[] = {{"euler", Integration::Method::euler}, {"midpoint", Integration::Method::midpoint}};

constexpr std::int64_t kMostSteps = 10000;

}  // namespace

View<const float> TimeColumns::at(float t) {
  Memory& memory = columns_[t];
  if (memory.data() == nullptr) {
    const std::vector<float> rows(static_cast<std::size_t>(rows_), t);
    const std::size_t bytes = rows.size() * sizeof(float);
    memory = Memory(device_, bytes, "a column of times");
    Stream stream(device_);
    copy_bytes(stream, memory.data(), rows.data(), bytes);
    stream.synchronize();
  }
  return {reinterpret_cast<const float*>(memory.data()), {rows_, 1}};
}

Tensor FlowOnTape::operator()(float t, const Tensor& x) {
  ++evaluations_;
  return flow_.forward(tape_, tape_.external(columns_.at(t).row_slice(0, x.rows())), x);
}

nlohmann::json Sampler::configuration() const {
  return nullptr;
}

Tensor FlowOnTape::velocity(float t, const Tensor& x) {
  ++evaluations_;
  return flow_.velocity(tape_, tape_.external(columns_.at(t).row_slice(0, x.rows())), x);
}

nlohmann::json OneStep::configuration() const {
  return {{"method", kMap}};
}

std::vector<Tensor> OneStep::record(Tape&, FlowOnTape& flow, const Tensor& x0) const {
  return {flow(1, x0)};
}

FlowPath::FlowPath(std::int64_t count) {
  if (count < 2)
    throw InputError("a path needs at least 2 times, the first is 0, the last 1, not " + std::to_string(count));
  for (std::int64_t k = 1; k < count; ++k) times_.push_back(static_cast<float>(k) / static_cast<float>(count - 1));
}

std::vector<Tensor> FlowPath::record(Tape&, FlowOnTape& flow, const Tensor& x0) const {
  std::vector<Tensor> states;
  for (const float t : times_) states.push_back(flow(t, x0));
  return states;
}

nlohmann::json FlowPath::configuration() const {
  return {{"method", kMap}};
}

Integration::Integration(Method method, std::int64_t steps, std::int64_t states) : method_(method), steps_(steps) {
  if (steps < 1 || steps > kMostSteps)
    throw InputError("steps per sample must be 1 to " + std::to_string(kMostSteps) + ", not " + std::to_string(steps));
  if (states < 2 || steps % (states - 1) != 0)
    throw InputError(std::to_string(steps) + " steps per sample do not divide into the " + std::to_string(states - 1) +
                     " parts between " + std::to_string(states) + " times");
  for (std::int64_t k = 1; k < states; ++k) times_.push_back(static_cast<float>(k) / static_cast<float>(states - 1));
}

std::vector<Tensor> Integration::record(Tape& tape, FlowOnTape& flow, const Tensor& x0) const {
  const auto parts = static_cast<std::int64_t>(times_.size());
  const double h = 1.0 / static_cast<double>(steps_);
  const auto moved = [&](const Tensor& x, const Tensor& g, double by) {
    return add(tape, x, scale(tape, g, static_cast<float>(by)));
  };
  std::vector<Tensor> states;
  Tensor x = x0;
  for (std::int64_t k = 0; k < steps_; ++k) {
    const double t = static_cast<double>(k) * h;
    Tensor g = flow.velocity(static_cast<float>(t), x);
    if (method_ == Method::midpoint) g = flow.velocity(static_cast<float>(t + h / 2), moved(x, g, h / 2));
    x = moved(x, g, h);
    if ((k + 1) % (steps_ / parts) == 0) states.push_back(x);
  }
  return states;
}

nlohmann::json Integration::configuration() const {
  for (const NamedMethod& entry : kMethods)
    if (entry.method == method_) return {{"method", entry.name}, {"steps", steps_}};
  return {};
}

std::vector<std::string> integration_methods() {
  std::vector<std::string> names;
  for (const NamedMethod& entry : kMethods) names.emplace_back(entry.name);
  return names;
}

std::shared_ptr<const Sampler> make_sampler(const nlohmann::json& model_configuration, const SamplerChoice& choice,
                                            std::int64_t states) {
  const bool says = model_configuration.is_object() && model_configuration.contains(kSamplerKey);
  const nlohmann::json own = says ? model_configuration[kSamplerKey] : nlohmann::json{{"method", kMap}};
  if (!own.is_object() || !own.contains("method") || !own["method"].is_string())
    throw InputError("the model's \"sampler\" must be an object with a \"method\"");
  if (own["method"] == kMap) {
    if (!choice.empty())
      throw InputError(
          "the model is a map from noise to data in one evaluation: steps and methods of integration are "
          "for models of a velocity (objective velocity)");
    if (states == 2) return std::make_shared<OneStep>();
    return std::make_shared<FlowPath>(states);
  }
  const std::string method = choice.method.empty() ? own["method"].get<std::string>() : choice.method;
  if (choice.steps == 0 && !(own.contains("steps") && own["steps"].is_number_integer()))
    throw InputError("the model's \"sampler\" must say its \"steps\"");
  std::int64_t steps = choice.steps != 0 ? choice.steps : own["steps"].get<std::int64_t>();
  // Where the way is to be shown nobody minds a step more.
  if (choice.steps == 0 && states > 2) steps = (steps + states - 2) / (states - 1) * (states - 1);
  return std::make_shared<Integration>(
      find_by_name(std::span<const NamedMethod>(kMethods), method, "method of integration").method, steps, states);
}

void require_map(const nlohmann::json& model_configuration, const std::string& what) {
  if (!make_sampler(model_configuration)->is_map())
    throw InputError(what +
                     ": the model is a velocity, whose samples are made by steps: it has no map to look at, no "
                     "inverse and no likelihood");
}

}  // namespace otnfm
