#include "engine/generate/sampled_states.h"

#include <algorithm>
#include <string>

#include "kernels/check.h"
#include "layers/maps/flow_map.h"

namespace otnfm {

SampledStates::SampledStates(Flow& flow, const Sampler& sampler, Device device, std::int64_t batch)
    : coordinates_(flow.coordinates),
      times_(sampler.times()),
      stream_(device),
      memory_(device, static_cast<std::size_t>(batch * flow.dimension()) * sizeof(float), "a batch of noise"),
      x0_(reinterpret_cast<float*>(memory_.data()), {batch, flow.dimension()}),
      columns_(device, batch),
      tape_(device, {.training = false}) {
  zero_bytes(stream_, memory_.data(), memory_.bytes());
  FlowOnTape on_tape(tape_, flow, columns_);
  states_ = sampler.record(tape_, on_tape, tape_.external(x0_));
  nfe_ = on_tape.evaluations();
  for (const Tensor& state : states_) tape_.keep(state);
  tape_.plan();
}

void SampledStates::operator()(View<const float> x0, View<float> states) {
  const std::int64_t K = std::ssize(states_), n = x0.rank == 2 ? x0.rows() : 0, d = x0_.columns();
  require(x0.rank == 2 && x0.columns() == d && x0.contiguous(), "SampledStates", "x0",
          describe(x0) + ", wanted contiguous [n, " + std::to_string(d) + "]");
  require(same_shape(states, {K, n, d}) && states.contiguous(), "SampledStates", "the states",
          describe(states) + ", wanted contiguous [" + std::to_string(K) + ", " + std::to_string(n) + ", " +
              std::to_string(d) + "]");
  std::vector<float> memory;
  for (std::int64_t begin = 0; begin < n; begin += x0_.rows()) {
    const std::int64_t count = std::min(x0_.rows(), n - begin);
    copy_rows(stream_, x0_, entered(coordinates_, x0.row_slice(begin, count), memory), count);
    tape_.run(stream_);
    for (std::int64_t k = 0; k < K; ++k) {
      const View<float> at(states.data + (k * n + begin) * d, {count, d});
      copy_rows(stream_, at, tape_.view(states_[static_cast<std::size_t>(k)]), count);
      stream_.synchronize();
      const std::vector<float> times(static_cast<std::size_t>(count), times_[static_cast<std::size_t>(k)]);
      coordinates_.leave({times.data(), {count, 1}}, View<const float>(at), at);
    }
  }
}

}  // namespace otnfm
