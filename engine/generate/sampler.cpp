#include "engine/generate/sampler.h"

#include <string>

#include "kernels/error.h"

namespace otnfm {

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

}  // namespace otnfm
