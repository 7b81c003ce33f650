#include "engine/generate/noise.h"

#include <algorithm>

#include "kernels/host/parallel.h"
#include "kernels/matmul.h"
#include "kernels/residual.h"

namespace otnfm {

Noise::Noise(const Source& source, Device device, std::int64_t rows) : source_(source) {
  if (const Dataset* data = source.data()) {
    if (data->endless()) return;
    available_ = device == Device::cpu;
    if (available_) index_.resize(static_cast<std::size_t>(rows));
    return;
  }
  const GaussianFit& fit = *source.fit();
  const GaussianParameters& parameters = fit.parameters();
  const std::int64_t d = fit.dimension(), width = fit.noise_width(), rank = parameters.rank();
  const bool on_device = device == Device::cuda, spread = on_device && !parameters.diagonal.empty();
  // A block of the noise of a wide fit is as large as the samples: on the CPU a few rows at a time do as well.
  const std::int64_t z_rows = on_device ? rows : std::min<std::int64_t>(rows, 256);
  const std::int64_t counts[] = {z_rows * width, on_device ? d : 0, on_device ? rank * d : 0, spread ? d + rows : 0};
  std::int64_t total = 0;
  for (std::int64_t count : counts) total += count;
  memory_ = Memory(device, static_cast<std::size_t>(total) * sizeof(float), "noise of a gaussian-fit");
  float* at = reinterpret_cast<float*>(memory_.data());
  z_ = View<float>(at, {z_rows, width});
  if (!on_device) return;
  mean_ = View<float>(at += counts[0], {d});
  factor_ = View<float>(at += counts[1], {rank, d});
  Stream stream(device);
  const auto upload = [&](float* to, const std::vector<float>& from) {
    copy_bytes(stream, to, from.data(), from.size() * sizeof(float));
  };
  upload(mean_.data, parameters.mean);
  upload(factor_.data, parameters.factor);
  if (spread) {
    spread_ = View<float>(at + counts[2], {1, d});
    ones_ = View<float>(spread_.data + d, {rows});
    upload(spread_.data, parameters.diagonal);
    upload(ones_.data, std::vector<float>(static_cast<std::size_t>(rows), 1.0f));
  }
  stream.synchronize();
}

void Noise::draw_fit_on_device(Stream& stream, const RandomKey& key, View<float> out) {
  const std::int64_t n = out.rows(), rank = factor_.rows();
  const View<float> z = z_.row_slice(0, n);
  normal(stream, {.y = z, .key = key});
  matmul(stream, {.a = z.column_slice(0, rank), .b = factor_, .c = out, .bias = mean_});
  if (spread_.data == nullptr) return;
  // out + diagonal * z: a linear phi at t = 1.
  residual(stream, {.t = View<float>(ones_.data, {n}),
                    .w = spread_,
                    .x = out,
                    .g = z.column_slice(rank, z.columns() - rank),
                    .y = out,
                    .kind = TimeFunctionKind::linear});
}

void Noise::draw(Stream& stream, std::uint64_t seed, std::int64_t first_row, View<float> out) {
  // Without a step in the key it is 0, on every device.
  const RandomKey key{.seed = seed, .stream = kSampleStream, .first_row = first_row};
  const Dataset* data = source_.data();
  if (data == nullptr) {
    if (stream.on_cuda()) return draw_fit_on_device(stream, key, out);
    return source_.fit()->draw(stream, {.seed = seed, .stream = kSampleStream, .first_row = first_row}, out, z_);
  }
  if (data->endless()) {
    if (data->kind())
      sample_distribution(stream, {.y = out, .key = key, .kind = *data->kind()});
    else
      normal(stream, {.y = out, .key = key});
    return;
  }
  random_indices(stream, {.index = {index_.data(), {out.rows()}}, .key = key, .bound = data->count()});
  host::parallel_rows(out.rows(), out.columns(), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) data->copy_row(index_[static_cast<std::size_t>(i)], out.row(i));
  });
}

}  // namespace otnfm
