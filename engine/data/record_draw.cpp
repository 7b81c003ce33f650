#include "engine/data/record_draw.h"

#include "kernels/concat.h"
#include "kernels/distribution.h"
#include "kernels/matmul.h"

namespace otnfm {

Tensor record_constant(Tape& tape, View<const float> rows, HeldMemory& held) {
  if (tape.device() == Device::cpu) return tape.external(rows);
  if (!rows.contiguous()) throw InputError("a constant must be contiguous");
  held.emplace_back(tape.device(), rows.size() * sizeof(float), "a constant of the training step");
  View<float> copy = View<float>(reinterpret_cast<float*>(held.back().data()), {rows.rows(), rows.columns()});
  Stream stream(tape.device());
  copy_bytes(stream, copy.data, rows.data, rows.size() * sizeof(float));
  stream.synchronize();
  return tape.external(copy);
}

Tensor record_draw(Tape& tape, const Dataset& dataset, std::int64_t B, const RandomKey& key, HeldMemory& held) {
  if (!dataset.endless()) return random_rows(tape, record_constant(tape, dataset.rows(), held), B, key);
  Tensor y;
  if (dataset.kind()) {
    y = tape.make({B, dataset.dimension()});
    tape.record(sample_distribution, SampleDistribution{.y = y.view(), .key = key, .kind = *dataset.kind()});
  } else {
    y = normal(tape, {B, dataset.dimension()}, key);
  }
  StandardisationOps standardisation(dataset.standardisation(), tape.device(), B);
  const Tensor u = standardisation.apply(tape, y);
  held.push_back(std::move(standardisation).memory());
  return u;
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
