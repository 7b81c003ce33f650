#include "engine/data/record_draw.h"

#include "kernels/concat.h"
#include "kernels/distribution.h"
#include "kernels/gather.h"
#include "kernels/gather_images.h"
#include "kernels/matmul.h"

namespace otnfm {

namespace {

/// In place on the CPU unless it is `passing`, which is to say gone before the tape runs.
template <class T>
Tensor constant_of(Tape& tape, const View<const T>& values, bool passing, HeldMemory& held) {
  if (tape.device() == Device::cpu && !passing) return tape.external(values);
  if (!values.contiguous()) throw InputError("a constant must be contiguous");
  const std::size_t bytes = static_cast<std::size_t>(values.size()) * sizeof(T);
  held.emplace_back(tape.device(), bytes, "a constant of the training step");
  const View<T> copy(reinterpret_cast<T*>(held.back().data()), static_cast<const Extents&>(values));
  Stream stream(tape.device());
  copy_bytes(stream, copy.data, values.data, bytes);
  stream.synchronize();
  return tape.external(copy);
}

/// What the draws of the set are moved by.
Tensor standardised_draws(Tape& tape, const Dataset& dataset, const Tensor& y, HeldMemory& held) {
  StandardisationOps standardisation(dataset.standardisation(), tape.device(), y.rows());
  const Tensor u = standardisation.apply(tape, y);
  held.push_back(std::move(standardisation).memory());
  return u;
}

}  // namespace

Tensor record_constant(Tape& tape, View<const float> rows, HeldMemory& held) {
  return constant_of(tape, rows, false, held);
}

Tensor record_rows(Tape& tape, const Dataset& dataset, Tensor index, HeldMemory& held) {
  Tensor y = tape.make({index.size(), dataset.dimension()});
  const View<const std::int64_t> numbers = index.view<std::int64_t>();
  if (const View<const std::uint8_t> pixels = dataset.pixels(); !pixels.empty()) {
    const Tensor images = constant_of(tape, pixels, false, held);
    View<const std::uint8_t> all = images.view<std::uint8_t>();
    tape.record(gather_images, GatherImages{.images = all, .index = numbers, .y = y.view()});
    return standardised_draws(tape, dataset, y, held);
  }
  Tensor rows;
  if (const View<const float> in_place = dataset.rows_in_place(); !in_place.empty()) {
    rows = constant_of(tape, in_place, false, held);
  } else {
    const FloatRows moved = dataset.float_rows();
    rows = constant_of(tape, moved.view(), true, held);
  }
  tape.record(gather_rows, GatherRows{.x = rows.view(), .index = numbers, .y = y.view()});
  return y;
}

Tensor record_draw(Tape& tape, const Dataset& dataset, std::int64_t B, const RandomKey& key, HeldMemory& held) {
  if (!dataset.endless()) {
    const Tensor index = tape.make({B}, DType::int64);
    tape.record(random_indices,
                RandomIndices{.index = index.view<std::int64_t>(), .key = key, .bound = dataset.count()});
    return record_rows(tape, dataset, index, held);
  }
  Tensor y;
  if (dataset.kind()) {
    y = tape.make({B, dataset.dimension()});
    tape.record(sample_distribution, SampleDistribution{.y = y.view(), .key = key, .kind = *dataset.kind()});
  } else {
    y = normal(tape, {B, dataset.dimension()}, key);
  }
  return standardised_draws(tape, dataset, y, held);
}

Tensor record_draw(Tape& tape, const Source& source, std::int64_t B, const RandomKey& key, std::uint32_t second_stream,
                   HeldMemory& held) {
  if (source.data()) return record_draw(tape, *source.data(), B, key, held);
  const GaussianParameters& fit = *source.parameters();
  const std::int64_t d = fit.dimension(), rank = fit.rank();
  const Tensor factor = record_constant(tape, {fit.factor.data(), {rank, d}}, held);
  const Tensor mean = record_constant(tape, {fit.mean.data(), {1, d}}, held);
  const Tensor z = normal(tape, {B, rank}, key);
  Tensor x = tape.make({B, d});
  tape.record(matmul, Matmul{.a = z.view(), .b = factor.view(), .c = x.view(), .bias = mean.flat()});
  if (fit.diagonal.empty()) return x;
  RandomKey second = key;
  second.stream = second_stream;
  const Tensor diagonal = record_constant(tape, {fit.diagonal.data(), {1, d}}, held);
  Tensor spread = tape.make({B, d});
  tape.record(broadcast, Broadcast{.x = diagonal.view(), .y = spread.view()});
  return add(tape, x, multiply(tape, spread, normal(tape, {B, d}, second)));
}

}  // namespace otnfm
