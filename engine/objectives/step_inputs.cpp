#include "engine/objectives/step_inputs.h"

#include "engine/data/random_streams.h"
#include "kernels/error.h"

namespace otnfm {

const Pairs& StepInputs::pairs() const {
  if (!pairs_) throw RunError("an objective that said it needs no pairs has asked for them");
  return *pairs_;
}

const Times& StepInputs::times() {
  if (!times_) times_ = options_.time_weighting->draw(tape_, batch(), key(kTimeStream));
  return *times_;
}

Tensor StepInputs::noise() {
  const std::uint32_t stream = kFreshNoiseStream + 2 * noises_++;
  return record_draw(tape_, source_, batch(), key(stream), stream + 1, held_);
}

Tensor StepInputs::data() {
  return record_draw(tape_, target_, batch(), key(kFreshDataStream + data_++), held_);
}

}  // namespace otnfm
