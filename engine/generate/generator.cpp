#include "engine/generate/generator.h"

#include <algorithm>
#include <cstring>

namespace otnfm {
namespace {

// The stream that noise for samples is drawn from; training draws have others (engine/train/random_streams.h).
constexpr std::uint32_t kSampleStream = 0x5a;

}  // namespace

Generator::Generator(Model model, Device device, std::int64_t batch)
    : model_(std::move(model)), stream_(device), batch_(batch) {
  if (batch < 1) throw InputError("a generator's batch must be at least 1, not " + std::to_string(batch));
  const std::int64_t d = dimension();
  memory_ = Memory(device, static_cast<std::size_t>(batch * (d + 1)) * sizeof(float), "a batch of noise");
  x0_ = View<float>(reinterpret_cast<float*>(memory_.data()), {batch, d});
  zero_bytes(stream_, memory_.data(), memory_.bytes());
  const View<float> t(x0_.data + batch * d, {batch, 1});
  const std::vector<float> ones(batch, 1.0f);
  copy_bytes(stream_, t.data, ones.data(), ones.size() * sizeof(float));
  noise_.resize(batch * d);

  tape_ = std::make_unique<Tape>(device, Tape::Options{.training = false});
  x1_ = model_.flow->forward(*tape_, tape_->external(t), tape_->external(x0_));
  tape_->keep(x1_);
  tape_->plan();
  stream_.synchronize();
}

void Generator::noise(std::uint64_t seed, std::int64_t first_row, View<float> out) const {
  model_.source.draw({.seed = seed, .stream = kSampleStream, .first_row = first_row}, out);
}

void Generator::map(View<const float> x0, View<float> out) {
  const std::int64_t d = dimension();
  if (x0.rank != 2 || x0.columns() != d || !x0.contiguous() || !same_shape(x0, out) || !out.contiguous())
    throw InputError("a generator of dimension " + std::to_string(d) + " maps contiguous [n, " + std::to_string(d) +
                     "] to the same shape");
  for (std::int64_t begin = 0; begin < x0.rows(); begin += batch_) {
    const std::size_t bytes = static_cast<std::size_t>(std::min(batch_, x0.rows() - begin) * d) * sizeof(float);
    copy_bytes(stream_, x0_.data, x0.row(begin),
               bytes);  // the rest of the batch keeps old noise; its outputs are not read
    tape_->run(stream_);
    copy_bytes(stream_, out.row(begin), tape_->view(x1_).data, bytes);
    stream_.synchronize();
  }
}

void Generator::sample(std::uint64_t seed, std::int64_t first_row, View<float> out) {
  const std::int64_t d = dimension();
  for (std::int64_t begin = 0; begin < out.rows(); begin += batch_) {
    const std::int64_t n = std::min(batch_, out.rows() - begin);
    const View<float> x0(noise_.data(), {n, d});
    noise(seed, first_row + begin, x0);
    map(x0, out.row_slice(begin, n));
  }
}

}  // namespace otnfm
