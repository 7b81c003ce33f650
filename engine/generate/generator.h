// Generator: samples F(1, x0) of a trained flow, one network evaluation a sample. Sample i of a seed is the same
// whatever the batches are.
#pragma once

#include <memory>

#include "engine/core/tape.h"
#include "engine/generate/model_file.h"

namespace otnfm {

class Generator {
 public:
  /// Takes a model's flow (its parameters on `device`) and source. Samples are made `batch` at a time.
  Generator(Model model, Device device, std::int64_t batch = 4096);

  static Generator load(const std::filesystem::path& path, Device device, std::int64_t batch = 4096) {
    return Generator(load_model(path, device), device, batch);
  }

  const Model& model() const { return model_; }
  std::int64_t dimension() const { return model_.dimension(); }

  /// x0 of samples first_row .. first_row + n - 1 of this seed, into host memory [n, d].
  void noise(std::uint64_t seed, std::int64_t first_row, View<float> out) const;

  /// out = F(1, x0), both in host memory, [n, d].
  void map(View<const float> x0, View<float> out);

  /// Samples first_row .. first_row + n - 1 of this seed, into host memory [n, d].
  void sample(std::uint64_t seed, std::int64_t first_row, View<float> out);

 private:
  Model model_;
  Stream stream_;
  std::int64_t batch_;
  Memory memory_;  // x0 [batch, d] and t [batch, 1]
  std::unique_ptr<Tape> tape_;
  View<float> x0_;
  Tensor x1_;
  std::vector<float> noise_;  // of one batch, on the host
};

}  // namespace otnfm
