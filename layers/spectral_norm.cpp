#include "layers/spectral_norm.h"

#include <algorithm>

namespace otnfm {
namespace {

constexpr int kMostIterations = 1000;
constexpr float kTolerance = 1e-3f;  // what is added to sigma in the end is below it

}  // namespace

void SpectralNorm::add(const Parameters& parameters, Parameter weight, double target) {
  const Shape& shape = parameters.shape(weight.index);
  if (shape.size() != 2) throw InputError(parameters.name(weight.index) + " is no matrix, and has no spectral norm");
  entries_.push_back({.weight = weight,
                      .matrix = {.rows = shape[0], .columns = shape[1], .left = left_, .right = right_},
                      .target = target,
                      .normalised = {},
                      .fixed = {}});
  left_ += shape[0];
  right_ += shape[1];
}

void SpectralNorm::declare(Parameters& parameters, const std::string& name) {
  vectors_ = parameters.add_buffer(name, {right_}, Initial::normal(1.0));
}

void SpectralNorm::iterate(Tape& tape, const Parameters& parameters) {
  tape_ = tape.serial();
  iterated_.clear();
  const bool step = tape.learns() && parameters.gradients().data != nullptr;
  const View<float> all = parameters.values(), start = parameters.value(vectors_);
  const Tensor left = tape.make({left_});
  const Tensor right = step ? tape.external(start) : tape.make({right_});
  for (std::size_t first = 0; first < entries_.size(); first += PowerIteration::kMost) {
    const std::size_t count = std::min<std::size_t>(PowerIteration::kMost, entries_.size() - first);
    const Tensor sigma = tape.make({static_cast<std::int64_t>(count)});
    PowerIteration call{.weights = all,
                        .start = start,
                        .left = left.view(),
                        .right = right.view(),
                        .sigma = sigma.view(),
                        .matrices = {},
                        .count = static_cast<int>(count),
                        .iterations = step ? 1 : kMostIterations,
                        .tolerance = step ? 0.0f : kTolerance};
    for (std::size_t k = 0; k < count; ++k) {
      Entry& entry = entries_[first + k];
      entry.matrix.weight = parameters.value(entry.weight).data - all.data;
      entry.normalised = {};
      call.matrices[k] = entry.matrix;
    }
    tape.record(power_iteration, call);
    iterated_.push_back({.left = left, .right = right, .sigma = sigma});
  }
}

void SpectralNorm::fix(const Parameters& parameters) {
  if (fixed_) return;
  auto tape = std::make_unique<Tape>(parameters.device(), Tape::Options{.training = false});
  for (Entry& entry : entries_) tape->keep(weight(*tape, parameters, entry.weight));
  tape->plan();
  Stream stream(parameters.device());
  tape->run(stream);
  stream.synchronize();
  for (Entry& entry : entries_) entry.fixed = tape->view(entry.normalised);
  fixed_ = std::move(tape);
}

Tensor SpectralNorm::weight(Tape& tape, const Parameters& parameters, Parameter weight) {
  const auto found = std::find_if(entries_.begin(), entries_.end(),
                                  [&](const Entry& entry) { return entry.weight.index == weight.index; });
  if (found == entries_.end()) throw InputError(parameters.name(weight.index) + " has no spectral norm");
  if (fixed_ && !tape.learns()) return tape.external(found->fixed);
  if (tape_ != tape.serial()) iterate(tape, parameters);
  if (!found->normalised.defined()) {
    const std::size_t k = static_cast<std::size_t>(found - entries_.begin());
    found->normalised =
        spectral_scale(tape, tape.parameter(parameters, weight), iterated_[k / PowerIteration::kMost], found->matrix,
                       static_cast<int>(k % PowerIteration::kMost), static_cast<float>(found->target));
  }
  return found->normalised;
}

}  // namespace otnfm
