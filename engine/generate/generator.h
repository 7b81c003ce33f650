// Generator: samples F(1, x0) of a trained flow, one network evaluation a sample, for programs that must not wait.
//
//     const Generator generator = Generator::load("model.safetensors", Device::cpu);   // once; any thread may use it
//     GeneratorContext context = generator.prepare(64);                                // one a thread
//     context.sample(nullptr, seed, 0, out);                // no allocation, no lock, no log
//
// Sample i of a seed is the same bit for bit, however a request is split into calls and whatever number of threads or
// contexts make it: on the CPU every row is computed by itself (kernels/resnet_flow.h, kernels/cpu/packed_linear.h), on
// CUDA all in passes of one size. A flow whose products are not of given weights (spectrally normalised ones) and that
// is not one kernel still goes through the GEMM library on the CPU, which allocates and whose last bit may depend on
// the batch.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>

#include "engine/core/precision.h"
#include "kernels/stream.h"
#include "kernels/view.h"

namespace otnfm {

struct Model;  // engine/generate/model_file.h
class GeneratorContext;

struct GeneratorOptions {
  Precision precision = Precision::float32;  ///< of the matrix products
};

/// Cheap to copy: copies share the weights. Everything is const and may be called by several threads at once.
class Generator {
 public:
  using Options = GeneratorOptions;

  /// Reads model.safetensors onto the device. InputError where the file is wrong, RunError where the device is not
  /// there or memory does not suffice.
  static Generator load(const std::filesystem::path& path, Device device, const Options& options = {});

  /// Takes a model over, whose parameters are on `device`.
  Generator(Model model, Device device, const Options& options = {});

  Device device() const;
  std::int64_t dimension() const;
  const Model& model() const;

  /// What one thread needs to sample `max_batch` rows at a time. Allocates everything, runs and captures everything
  /// once. `threads` > 1 (CPU): a call parts its rows among so many OpenMP threads, 0 among all; then the thread that
  /// makes the first call pays for the start of the others. InputError for max_batch < 1.
  GeneratorContext prepare(std::int64_t max_batch, int threads = 1) const;

  /// x0 of samples first_row .. first_row + n - 1 of this seed, into host memory [n, d]. Allocates.
  void noise(std::uint64_t seed, std::int64_t first_row, View<float> out) const;

  struct State;

 private:
  std::shared_ptr<const State> state_;
};

/// One call at a time. It keeps the weights alive, so the Generator may go before it.
///
/// `stream`, on CUDA: a cudaStream_t that the work is put on; the call returns before it is done, and the next call may
/// use another stream only after that. Null: a stream of the context's own. Ignored on the CPU. Views are rows
/// contiguous and on the generator's device; on CUDA they may also be in host memory, which makes the call wait.
class GeneratorContext {
 public:
  ~GeneratorContext();
  GeneratorContext(GeneratorContext&&) noexcept;
  GeneratorContext& operator=(GeneratorContext&&) noexcept;

  /// Samples first_row .. first_row + n - 1 of this seed to out [n, d]; more rows than max_batch are made in several
  /// passes. InputError for another shape, and on CUDA where the model's source is a data set, whose rows are on the
  /// host: then draw them by Generator::noise.
  void sample(CUstream_st* stream, std::uint64_t seed, std::int64_t first_row, View<float> out);

  /// out = F(1, x0), both [n, d]. They may be the same memory.
  void sample(CUstream_st* stream, View<const float> x0, View<float> out);

  /// Waits for the work on the context's own stream.
  void synchronize();

  struct State;

 private:
  friend class Generator;
  explicit GeneratorContext(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace otnfm
